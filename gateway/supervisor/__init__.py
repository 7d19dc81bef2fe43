"""The supervisor: holds what must not be lost and keeps the roles filled. It never parses input.

It owns the listening sockets for its whole life, starts every role by exec, and answers signals:

    SIGTERM, SIGINT   drain and end; a second one ends at once
    SIGHUP            validate the configuration in a short-lived child; on success tell every role `settings NAME`
    SIGUSR2           a planned restart of all doors, one after another

Draining: health says so while the listeners still accept (``drain.announce``), then the doors finish what runs
(at most ``drain.finish``), then control and engine stop. The node is `up` while at least one door serves, and
`failing` when none does, because it is away or because it cannot write its audit trail and refuses everything:
provider, catalog or control being away is no reason to leave the pool.

What must be kept right for a node's whole life stands beside it, a module each: the sockets and the state folder
(`sockets.py`), the children (`posts.py`), the way to settings (`loading.py`), the words of systemd (`systemd.py`).
"""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import time
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Final

import gateway
from gateway import config, telemetry
from gateway.child import DRAINING, FAILING, STARTING, UP, NodeState
from gateway.errors import ConfigError
from gateway.supervisor.loading import APP, drop_stale_frames, fixed_changes, keep_frame, load_frame
from gateway.supervisor.posts import Exec, Post, happens
from gateway.supervisor.sockets import Wanted, address_of, lock_state, open_sockets
from gateway.supervisor.systemd import Systemd, environment_of_children

DOOR: Final = "door"
CONTROL: Final = "control"
ADMIN: Final = "admin"
ROLES: Final[Mapping[str, str]] = {
    "engine": "gateway.engine.sync",
    CONTROL: "gateway.control.role",
    DOOR: "gateway.door.worker",
}
NO_RESTART_HELPS: Final = (3, 4)  # exit codes of a role: configuration, cannot reach what it needs
OTHERS_STOP_S: Final = 5.0
DESCRIPTORS: Final = 1 << 20  # of a process, where the hard limit allows them


def serve(file: Path, *, modules: Mapping[str, str] = ROLES, on_up: Callable[[], None] = lambda: None) -> int:
    """Run a node until it is told to stop; the exit code. ``on_up`` is called once, when every door serves.

    Raises `ConfigError`, `AddressError` or `StateError` when it cannot start.
    """
    return asyncio.run(Supervisor(file, modules, on_up, Systemd.of_this_process()).run())


class Supervisor:
    def __init__(self, file: Path, modules: Mapping[str, str], on_up: Callable[[], None], systemd: Systemd) -> None:
        self._file = file
        self._modules = modules
        self._on_up = on_up
        self._systemd = systemd
        self._environ = environment_of_children(str(Path(gateway.__file__).parents[1]))
        self._terminal = _has_terminal()
        self._node = NodeState.create()
        self._frame: Path  # of the settings in force
        self._settings: config.Settings
        self._posts: list[Post] = []
        self._stop = asyncio.Event()
        self._hurry = asyncio.Event()
        self._changes: asyncio.Queue[Post] = asyncio.Queue()
        self._reloading = asyncio.Lock()
        self._reload_waits = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._code = 0

    async def run(self) -> int:
        self._listen_to_signals()
        _raise_descriptors()
        await self._adopt()
        telemetry.speak_as("supervisor", 0, self._settings.log_format, journal=self._systemd.journal)
        lock = lock_state(self._frame.parent)
        self._open_sockets()
        self._posts = self._posts_of(lock)
        for post in self._posts:
            post.fill()
        changing = self._spawn(self._change_posts())
        await self._stop.wait()
        changing.cancel()
        await self._leave()
        telemetry.log("ended", code=self._code)
        return self._code

    # === starting ===

    def _open_sockets(self) -> None:
        """INVARIANT: they stay open until this process ends."""
        listeners = [
            Wanted(listener.name, listener.address, f"listeners[{number}].address")
            for number, listener in enumerate(self._settings.listeners)
        ]
        admin = [Wanted(ADMIN, self._settings.admin_address, "admin.address")]
        self._doors_sockets = open_sockets(listeners, self._settings.workers, self._systemd.sockets())
        self._admin_socket = open_sockets(admin, 1, {})
        for name, slots in (self._doors_sockets | self._admin_socket).items():
            telemetry.log("listening", listener=name, address=address_of(slots[0]), slots=len(slots))

    def _posts_of(self, lock: int) -> list[Post]:
        return [
            self._post(role, module, slot, lock)
            for role, module in self._modules.items()
            for slot in range(self._settings.workers if role == DOOR else 1)
        ]

    def _post(self, role: str, module: str, slot: int, lock: int) -> Post:
        sockets = {DOOR: self._doors_sockets, CONTROL: self._admin_socket}.get(role, {})
        held = {name: slots[slot].fileno() for name, slots in sockets.items()}

        def how() -> Exec:
            if not keep_frame(self._frame, self._settings):
                telemetry.log("settings_not_kept", level="error", settings=self._frame.name)
            argv = [*APP, role, "--module", module, "--slot", str(slot)]
            argv += ["--settings", str(self._frame), "--node", str(self._node.fd)]
            argv += [word for name, fd in held.items() for word in ("--socket", f"{name}={fd}")]
            argv += ["--journal"] if self._systemd.journal else []
            return Exec(argv, (*held.values(), self._node.fd, lock), self._environ)

        return Post(
            role, slot, how,
            overlap=role == DOOR,
            drain_s=lambda: self._settings.timeouts.drain_finish_s if role == DOOR else OTHERS_STOP_S,
            on_change=self._judge,
            on_restart=self._changes.put_nowait,
        )  # fmt: skip

    def _judge(self, post: Post, code: int | None) -> None:
        """A post came to serve, lost its child to ``code``, or changed its mind: what does that make of the node?"""
        before = self._node.value
        if before == DRAINING or self._stop.is_set():
            return
        if code in NO_RESTART_HELPS and (before == STARTING or not post.has_served):
            self._code = code
            self._stop.set()
            return
        doors = [post for post in self._posts if post.role == DOOR]
        ready, serving = sum(post.is_ready for post in doors), sum(post.serves for post in doors)
        if before == STARTING and ready < len(doors):
            return
        after = UP if serving else FAILING
        self._node.value = after
        if before == STARTING:
            self._systemd.notify("READY=1", f"STATUS={self._node.name}")
            self._on_up()
        if after == UP and before != UP:
            telemetry.log("up", doors=serving)
        elif after == FAILING and before != FAILING:
            why = "no door can write its audit trail" if ready else "no door serves"
            telemetry.log("failing", level="error", why=why)

    # === planned changes ===

    async def _change_posts(self) -> None:
        while True:
            post = await self._changes.get()
            if await post.change():
                telemetry.log("changed", child=post.role, child_slot=post.slot)

    def _ask_to_reload(self) -> None:
        """One that has not begun reads whatever a later one was to read."""
        if not self._reload_waits and not self._stop.is_set():
            self._reload_waits = True
            self._spawn(self._reload())

    async def _reload(self) -> None:
        async with self._reloading:
            self._reload_waits = False
            self._systemd.notify("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")
            try:
                await self._adopt()
            except (ConfigError, config.FrameFault, OSError) as error:
                telemetry.log("reload_refused", level="error", why=str(error))
            else:
                for post in self._posts:
                    post.say(f"settings {self._frame.name}")
                telemetry.log("reloaded", settings=self._frame.name)
            self._systemd.notify("READY=1")
        if self._terminal and not _has_terminal():
            self._ask_to_stop()  # it was the terminal that hung up, nobody asked for a reload

    async def _adopt(self) -> None:
        frame = await load_frame(self._file, self._environ)
        settings = config.decode(frame.read_bytes())
        if self._posts and (fixed := fixed_changes(self._settings, settings)):
            raise ConfigError(
                f"{', '.join(fixed)} cannot change in a running node: restart it, or take the change back"
            )
        self._frame = frame
        self._settings = settings
        drop_stale_frames(frame)

    # === ending ===

    async def _leave(self) -> None:
        was_up = self._node.value == UP
        self._node.value = DRAINING
        timeouts = self._settings.timeouts
        self._systemd.notify("STOPPING=1", "STATUS=draining")
        telemetry.log("draining", announce_s=timeouts.drain_announce_s, finish_s=timeouts.drain_finish_s)
        if was_up:
            await happens(self._hurry, timeouts.drain_announce_s)
        doors = [post for post in self._posts if post.role == DOOR]
        others = [post for post in self._posts if post.role != DOOR]
        await asyncio.gather(*(post.leave("drain", timeouts.drain_finish_s) for post in doors))
        await asyncio.gather(*(post.leave("stop", OTHERS_STOP_S) for post in others))

    def _ask_to_stop(self) -> None:
        if not self._stop.is_set():
            self._stop.set()
            return
        self._hurry.set()
        for post in self._posts:
            post.hurry()

    # === signals ===

    def _listen_to_signals(self) -> None:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._ask_to_stop)
        loop.add_signal_handler(signal.SIGINT, self._ask_to_stop)
        loop.add_signal_handler(signal.SIGHUP, self._ask_to_reload)
        loop.add_signal_handler(signal.SIGUSR2, self._restart_doors)
        loop.add_signal_handler(signal.SIGCHLD, self._reap)

    def _restart_doors(self) -> None:
        for post in self._posts:
            if post.role == DOOR:
                self._changes.put_nowait(post)

    def _reap(self) -> None:
        for post in self._posts:
            post.reap()

    def _spawn(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def raised_descriptors(soft: int, hard: int) -> int:
    """How many descriptors a node's processes have that is started under these limits."""
    wanted = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, DESCRIPTORS)
    return soft if soft == resource.RLIM_INFINITY else max(soft, wanted)


def _raise_descriptors() -> None:
    """Let this process and its children have as many descriptors as the machine allows: what a shell or a unit starts
    with (1024, for programs that use `select`) is less than the connections of a worker."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = raised_descriptors(soft, hard)
    if wanted != soft:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _has_terminal() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY | os.O_CLOEXEC))
    except OSError:
        return False
    return True
