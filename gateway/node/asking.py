"""One question to a running node over a socket in its state folder, and its answer.

The kernel says who is at either end: the node answers its own user and root, and we believe an answer of our own user,
of root, or of whoever owns the state folder. An answer may still be another version's, so whoever asks reads it with
care.
"""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path
from typing import Final

from gateway.errors import StagedoorError
from gateway.link import OWN_UIDS, Link, Message
from gateway.socket_file import at_path
from gateway.supervisor.sockets import LOCK_FILE

CONTROL: Final = "control.sock"
ENGINE: Final = "engine.sock"
PATIENCE_S: Final = 5.0
ROLES: Final = {CONTROL: "control", ENGINE: "the engine"}


class Away(StagedoorError):
    """Nobody listens there: the node, or that role of it, is not running."""


class Refusing(StagedoorError):
    """Somebody listens and gives no answer."""


def ask(folder: Path, name: str, question: Message, *answers: str, within_s: float = PATIENCE_S) -> Message:
    """The first message of a type in ``answers``. Raises `Away` or `Refusing`, with a sentence for the operator."""
    return asyncio.run(asked(folder, name, question, *answers, within_s=within_s))


async def asked(folder: Path, name: str, question: Message, *answers: str, within_s: float = PATIENCE_S) -> Message:
    """The same, for who asks several things at once."""
    path = folder / name
    role = ROLES[name]
    try:
        return await _ask(path, question, frozenset(answers), within_s)
    except (FileNotFoundError, NotADirectoryError, ConnectionRefusedError):
        raise Away(f"{role} does not run: nobody listens at `{path}`") from None
    except PermissionError:
        raise Refusing(f"`{path}` is another user's: ask as the user that runs the node, or as root") from None
    except TimeoutError:
        raise Refusing(f"{role} did not answer at `{path}` within {within_s:.0f} s") from None
    except OSError as error:
        raise Refusing(f"cannot ask {role} at `{path}`: {error.strerror or error}") from None


async def _ask(path: Path, question: Message, answers: frozenset[str], within_s: float) -> Message:
    loop = asyncio.get_running_loop()
    answered: asyncio.Future[Message] = loop.create_future()

    def heard(_link: Link, message: Message) -> None:
        if message["t"] in answers and not answered.done():
            answered.set_result(message)

    def opened(link: Link) -> None:
        link.send(question)

    def closed(_link: Link) -> None:
        if not answered.done():
            answered.set_exception(ConnectionResetError(0, "it ended the connection; it answers its own user and root"))

    uids = OWN_UIDS | {_owner_of(path.parent)}
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.setblocking(False)
    try:
        at_path(path, sock.connect)
        _, link = await loop.create_unix_connection(lambda: Link(opened, heard, closed, uids), sock=sock)
    except BaseException:
        sock.close()
        raise
    try:
        async with asyncio.timeout(within_s):
            return await answered
    finally:
        link.close()
        await asyncio.sleep(0)  # a turn of the loop, in which it closes


def _owner_of(folder: Path) -> int:
    return folder.stat().st_uid


def supervisor_of(state: Path) -> int | None:
    """The pid of the node that holds a state folder: it wrote it into the lock file, and the lock is held."""
    try:
        with (state / LOCK_FILE).open("rb") as lock:
            inode = os.fstat(lock.fileno()).st_ino
            pid = int(lock.read(32) or b"0")
        held = any(f":{inode} " in line and " FLOCK " in line for line in Path("/proc/locks").read_text().splitlines())
    except (OSError, ValueError):
        return None
    return pid if held and pid else None
