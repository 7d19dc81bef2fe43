"""The supervisor's side of its children: a post is a role and a slot that must be filled, a child fills it.

A child that ends while its post stands is followed by another, after a pause that doubles from
:data:`FIRST_PAUSE_S` to :data:`LONGEST_PAUSE_S` and starts anew once a child has served for a while. A planned
change has the successor serve first: both hold the same listening sockets, so no connection waits or is lost
between them. Roles that may not meet (``overlap`` False) change the other way round: stop, then start.

Nothing here reads what a child does. It hears four words from it: ``ready`` and ``restart``, and of a door
``unrecorded`` and ``recorded``, whether its audit trail can be written.
"""

from __future__ import annotations

import asyncio
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

from gateway import telemetry

FIRST_PAUSE_S: Final = 0.1
LONGEST_PAUSE_S: Final = 10.0
SETTLED_S: Final = 10.0
READY_S: Final = 30.0
STOP_S: Final = 2.0

# Blocked while a child is started and in the child until it has its own dispositions: the terminal's Ctrl-C reaches
# the whole process group, and must neither kill a child that is not yet Stagedoor nor be lost to the supervisor.
CHILD_SIGNALS: Final = frozenset((signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR2))

NAMED_SIGNALS: Final = frozenset(signal.Signals)  # most of the real-time ones have no name


class Exec(NamedTuple):
    """How to start a child. The descriptor of its channel is appended as ``--parent FD``."""

    argv: Sequence[str]
    fds: Sequence[int]
    environ: Mapping[str, str]


class Child:
    """One running process and the channel to it."""

    def __init__(self, how: Exec, on_change: Callable[[Child], None], on_restart: Callable[[], None]) -> None:
        self.started = time.monotonic()
        self.ready = asyncio.Event()
        self.unrecorded = False
        self.ended = asyncio.Event()
        self.code: int | None = None
        self._on_change = on_change
        self._on_restart = on_restart
        self._loop = asyncio.get_running_loop()
        self._channel, theirs = socket.socketpair()
        self._channel.setblocking(False)
        masked = signal.pthread_sigmask(signal.SIG_BLOCK, CHILD_SIGNALS)
        try:
            self._process = subprocess.Popen(
                [*how.argv, "--parent", str(theirs.fileno())],
                pass_fds=(*how.fds, theirs.fileno()),
                env=how.environ,
                stdin=subprocess.DEVNULL,
                stdout=2,  # stdout is data of the command line; a role has none
            )
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, masked)
            theirs.close()
        self._loop.add_reader(self._channel.fileno(), self._readable)

    @property
    def pid(self) -> int:
        return self._process.pid

    def say(self, line: str) -> None:
        try:
            self._channel.send(line.encode() + b"\n")
        except OSError:  # it ended, or its channel is full because it hangs; its end is noticed by `reap`
            return

    def kill(self) -> None:
        self._process.kill()

    def reap(self) -> bool:
        """True when it has ended by now; to be called on SIGCHLD."""
        if self.code is None and (code := self._process.poll()) is not None:
            self.code = code
            self._loop.remove_reader(self._channel.fileno())
            self._channel.close()
            self.ended.set()
        return self.code is not None

    async def leave(self, word: str, within_s: float) -> None:
        """Ask it to end, then insist, then kill."""
        for line, patience_s in ((word, within_s), ("stop", STOP_S)):
            self.say(line)
            if await happens(self.ended, patience_s):
                return
        telemetry.log("child_killed", level="warning", child_pid=self.pid)
        self.kill()
        await self.ended.wait()

    def _readable(self) -> None:
        try:
            received = self._channel.recv(4096)
        except BlockingIOError:
            return
        except OSError:
            received = b""
        if not received:
            self._loop.remove_reader(self._channel.fileno())
        for word in received.split():
            if word == b"ready" and not self.ready.is_set():
                self.ready.set()
                self._on_change(self)
            elif word in (b"unrecorded", b"recorded"):
                self.unrecorded = word == b"unrecorded"
                self._on_change(self)
            elif word == b"restart":
                self._on_restart()


class Post:
    """A role and a slot that must be filled. ``current`` fills it; a predecessor may still be draining."""

    def __init__(
        self,
        role: str,
        slot: int,
        how: Callable[[], Exec],
        *,
        overlap: bool,
        drain_s: Callable[[], float],
        on_change: Callable[[Post, int | None], None],
        on_restart: Callable[[Post], None],
    ) -> None:
        self.role = role
        self.slot = slot
        self.children: list[Child] = []
        self.current: Child | None = None
        self.has_served = False
        self._drain_s = drain_s
        self._overlap = overlap
        self._how = how
        self._on_change = on_change
        self._on_restart = on_restart
        self._pause_s = FIRST_PAUSE_S
        self._refill: asyncio.TimerHandle | None = None
        self._leaving = False

    @property
    def is_ready(self) -> bool:
        return self.current is not None and self.current.ready.is_set()

    @property
    def serves(self) -> bool:
        """It is ready, and does not refuse everything."""
        return self.current is not None and self.current.ready.is_set() and not self.current.unrecorded

    def fill(self) -> None:
        self._refill = None
        if self.current is None and not self._leaving:
            try:
                self.current = self._start()
            except OSError as error:  # no memory, no descriptor: a pause may cure it
                telemetry.log("child_not_started", level="error", child=self.role, child_slot=self.slot, why=str(error))
                self._fill_later()

    def say(self, line: str) -> None:
        for child in self.children:
            child.say(line)

    def reap(self) -> None:
        for child in tuple(self.children):
            if child.reap():
                self.children.remove(child)
                self._ended(child)

    async def change(self) -> bool:
        """A planned restart. False, and the predecessor goes on, when the successor does not come to serve."""
        if not self._overlap:
            predecessor, self.current = self.current, None
            if predecessor is not None:
                await predecessor.leave("drain", self._drain_s())
            self.fill()
            return True
        try:
            successor = self._start()
        except OSError as error:
            telemetry.log("child_not_started", level="error", child=self.role, child_slot=self.slot, why=str(error))
            return False
        if not await _either(successor.ready, successor.ended, READY_S):
            telemetry.log("change_failed", level="error", child=self.role, child_slot=self.slot)
            await successor.leave("stop", STOP_S)
            return False
        predecessor, self.current = self.current, successor
        self._on_change(self, None)
        if predecessor is not None:
            await predecessor.leave("drain", self._drain_s())
        return True

    async def leave(self, word: str, within_s: float) -> None:
        """The post is given up: nobody follows its children."""
        self._leaving = True
        if self._refill is not None:
            self._refill.cancel()
        await asyncio.gather(*(child.leave(word, within_s) for child in self.children))

    def hurry(self) -> None:
        """End what is still draining: now, or dead in :data:`STOP_S`."""
        self.say("stop")
        for child in self.children:
            asyncio.get_running_loop().call_later(STOP_S, child.kill)

    def _start(self) -> Child:
        child = Child(self._how(), self._changed, lambda: self._on_restart(self))
        self.children.append(child)
        telemetry.log("child_started", child=self.role, child_slot=self.slot, child_pid=child.pid)
        return child

    def _changed(self, child: Child) -> None:
        self.has_served = self.has_served or child.ready.is_set()
        if child is self.current:
            self._on_change(self, None)

    def _ended(self, child: Child) -> None:
        planned = child is not self.current
        telemetry.log(
            "child_ended",
            level="info" if planned or self._leaving else "warning",
            child=self.role, child_slot=self.slot, child_pid=child.pid, ended_by=_cause(child.code),
        )  # fmt: skip
        if planned:
            return
        self.current = None
        if time.monotonic() - child.started >= SETTLED_S and child.ready.is_set():
            self._pause_s = FIRST_PAUSE_S
        if not self._leaving:
            self._fill_later()
        self._on_change(self, child.code)

    def _fill_later(self) -> None:
        self._refill = asyncio.get_running_loop().call_later(self._pause_s, self.fill)
        self._pause_s = min(self._pause_s * 2, LONGEST_PAUSE_S)


def _cause(code: int | None) -> str:
    if code is None or code >= 0:
        return f"exit {code}"
    number = -code
    return signal.Signals(number).name if number in NAMED_SIGNALS else f"signal {number}"


async def happens(event: asyncio.Event, within_s: float) -> bool:
    try:
        async with asyncio.timeout(within_s):
            await event.wait()
    except TimeoutError:
        return False
    return True


async def _either(wanted: asyncio.Event, feared: asyncio.Event, within_s: float) -> bool:
    """True when ``wanted`` happens, False as soon as ``feared`` does or the time is over."""
    waits = {asyncio.get_running_loop().create_task(event.wait()) for event in (wanted, feared)}
    try:
        await asyncio.wait(waits, timeout=within_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
    return wanted.is_set() and not feared.is_set()
