"""The keys of session cookies as an operator writes them: a line `name base64` for each, the newest first.

The first key seals and all of them open, so a key is rotated by putting a new line on top and, once every cookie that
the old one sealed has ended, taking the old line away. Faults name the line and never what stands on it.
"""

from __future__ import annotations

import os
import re
from base64 import b64decode
from typing import Final

KEY_BYTES: Final = 32
KEYS_LIMIT: Final = 16
LARGEST_BYTES: Final = 4096
_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,16}\Z")


def read_session_keys(file: str) -> tuple[tuple[str, bytes], ...]:
    """Names and keys of a file, in its order. Raises `OSError`, or `ValueError` with what is wrong and where."""
    with open(file, "rb") as opened:
        raw = opened.read(LARGEST_BYTES + 1)
    if len(raw) > LARGEST_BYTES:
        raise ValueError(f"it is larger than {LARGEST_BYTES // 1024} KiB")
    keys: dict[str, bytes] = {}
    for number, line in enumerate(raw.decode("utf-8", "replace").splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        name, _, spelled = line.strip().partition(" ")
        if not _NAME.match(name):
            raise ValueError(f"line {number} begins with no name of 1 to 16 letters and digits")
        if name in keys:
            raise ValueError(f"line {number} repeats the name of another key")
        try:
            keys[name] = b64decode(spelled.strip(), validate=True)
        except ValueError:
            raise ValueError(f"line {number} holds no base64 after the name") from None
        if len(keys[name]) != KEY_BYTES:
            raise ValueError(f"the key on line {number} has {len(keys[name])} bytes, not {KEY_BYTES}")
    if not 0 < len(keys) <= KEYS_LIMIT:
        raise ValueError(f"it holds {len(keys)} keys, not 1 to {KEYS_LIMIT}")
    return tuple(keys.items())


def session_keys_fault(file: str) -> str:
    """Why the file holds no usable keys, or ``""``."""
    try:
        read_session_keys(file)
        if os.stat(file).st_mode & 0o077:
            return f"`{file}` can be read by others than its owner"
    except OSError as error:
        return f"cannot read `{file}`: {str(error.strerror).lower()}"
    except ValueError as error:
        return f"`{file}` holds no keys of sessions: {error}"
    return ""
