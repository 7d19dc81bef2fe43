"""The supervisor's way to settings: a short-lived child reads and validates, a frame on disk is what comes of it.

The child (`python -m gateway.app load`) loads pydantic and PyYAML and ends, so that neither stays in the memory of
the process that must never fall. It prints a path or, on a fault, every fault; a child that fails has changed
nothing.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from gateway import config
from gateway.errors import ConfigError

# -P: a folder called `gateway` where the operator happens to stand is not this program.
APP: Final = (sys.executable, "-P", "-m", "gateway.app")
LOAD_S: Final = 60.0
FRAMES_KEPT: Final = 8  # a role that is told of several reloads in a row still finds each frame


async def load_frame(file: Path, environ: Mapping[str, str]) -> Path:
    """The path of a validated settings frame. Raises `ConfigError` with every fault."""
    # A session of its own: Ctrl-C in the terminal is for the supervisor alone.
    child = await asyncio.create_subprocess_exec(
        *APP, "load", "--config", str(file),
        env=environ, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    try:
        async with asyncio.timeout(LOAD_S):
            said, _ = await child.communicate()
    except TimeoutError:
        raise ConfigError(f"reading `{file}` took more than {LOAD_S:.0f} s") from None
    finally:
        if child.returncode is None:
            child.kill()
            await child.communicate()
    text = said.decode().strip()
    if child.returncode != 0:
        raise ConfigError(text or f"reading `{file}` ended with {child.returncode}")
    return Path(text)


def fixed_changes(old: config.Settings, new: config.Settings) -> list[str]:
    """The settings that differ and that only a restart of the node can change."""
    fixed = {
        "`listeners[].address`": _addresses(old) != _addresses(new),
        "`admin.address`": old.admin_address != new.admin_address,
        "`workers`": old.workers != new.workers,
        "`state.folder`": old.state_folder != new.state_folder,
        "`state.database`": old.database != new.database,
    }
    return [name for name, differs in fixed.items() if differs]


def _addresses(settings: config.Settings) -> list[tuple[str, str]]:
    return [(listener.name, listener.address) for listener in settings.listeners]


def keep_frame(frame: Path, settings: config.Settings) -> bool:
    """The frame that a child is about to read, written again when it is gone or damaged: otherwise that child would
    fail again and again. Returns whether it is there; the settings in force are the supervisor's own."""
    content = config.encode(settings)
    draft = frame.with_name(f".{frame.name}.{os.getpid()}")
    try:
        if frame.exists() and frame.read_bytes() == content:
            return True
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with open(descriptor, "wb") as out:
            out.write(content)
        draft.rename(frame)
    except OSError:
        return False
    return True


def drop_stale_frames(newest: Path) -> None:
    """Leave ``newest`` and the youngest others. The clock may have been set back since those were written, and what
    cannot be removed is in nobody's way."""
    others = [path for path in newest.parent.glob("settings-*.frame") if path != newest]
    with suppress(OSError):
        others.sort(key=lambda path: path.lstat().st_mtime_ns)
    for stale in others[: 1 - FRAMES_KEPT]:
        with suppress(OSError):
            stale.unlink()
