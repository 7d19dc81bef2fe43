"""What control remembers, file by file: each is replaced whole or not at all, and readable by its owner alone."""

from __future__ import annotations

import os
from collections.abc import Iterable
from itertools import count
from pathlib import Path
from typing import Final

_DRAFTS: Final = count()  # two threads of one process never share a draft


def write_whole(path: Path, pieces: Iterable[bytes], *, renamed: bool = False) -> None:
    """On the disk when this returns; ``renamed``: the new name too, which a crash could otherwise take back to the
    old file. Raises `OSError`; then the old file is there as it was."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.{next(_DRAFTS)}")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.writelines(pieces)
            file.flush()
            os.fsync(file.fileno())
        draft.rename(path)
    except OSError:
        draft.unlink(missing_ok=True)
        raise
    if renamed:
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
