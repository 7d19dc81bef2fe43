"""Secrets live in files of their own, never in the configuration: a file holds one secret, one line, and no more.

It is read each time it is needed, so that a rotated secret counts at once and none stays in memory for the life of a
process.
"""

from __future__ import annotations

import os
from typing import Final

LARGEST_BYTES: Final = 4096
SIGNING_CHARACTERS: Final = 32  # of a secret that signs what anybody may see: a shorter one can be guessed from it


def read_secret(file: str) -> str:
    """The secret in a file, without the line's end. Raises `OSError`, or `ValueError` when there is none in it."""
    with open(file, "rb") as opened:
        raw = opened.read(LARGEST_BYTES + 1)
    text = raw.decode("utf-8", "replace").rstrip("\r\n")
    if not text:
        raise ValueError("it is empty")
    if len(raw) > LARGEST_BYTES or not text.isprintable() or "\ufffd" in text:
        raise ValueError("it holds more than one line of text")
    return text


def secret_fault(file: str) -> str:
    """Why the file holds no secret, or ``""``."""
    try:
        read_secret(file)
    except OSError as error:
        return f"cannot read `{file}`: {str(error.strerror).lower()}"
    except ValueError as error:
        return f"`{file}` holds no secret: {error}"
    return ""


def signing_secret_fault(file: str) -> str:
    """Why the file holds no secret to sign with, or ``""``."""
    if fault := secret_fault(file):
        return fault
    if os.stat(file).st_mode & 0o077:
        return f"`{file}` can be read by others than its owner"
    if len(secret := read_secret(file)) < SIGNING_CHARACTERS:
        return f"the secret in `{file}` has {len(secret)} characters, fewer than {SIGNING_CHARACTERS}"
    return ""
