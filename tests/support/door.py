"""A door on real sockets, inside the test process: its own event loop in a thread, a scripted control beside it.

What is real: the door, its listeners, TLS, upstream connections, links, frames on disk, the audit trail. What is
scripted: control (it only hands over the keys a test gives it) and the upstreams (`tests.support.upstream`).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import uvloop

from gateway import config, counters
from gateway.child import NodeState, ParentChannel, RoleContext
from gateway.door.worker import Door
from gateway.link import Link, LinkServer
from gateway.snapshot import read_manifest
from tests.support.tokens import RS256, Signer

T = TypeVar("T")
ISSUER = config.Issuer(
    name="test",
    issuer="https://idp.test",
    audiences=("api",),
    match=(config.MatchField("sub", "metadata.name"),),
    workload_when={"gty": "client-credentials"},
)
UNHURRIED: dict[str, Any] = {"refusals": config.Rate()}  # all tests are one address


class LoopThread:
    """An event loop of its own; `call` runs a function there and waits for what it returns."""

    def __init__(self, name: str) -> None:
        self.loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        self.loop.run_forever()
        self.loop.close()

    def call(self, function: Callable[[], T]) -> T:
        done: Future[T] = Future()

        def run() -> None:
            try:
                done.set_result(function())
            except BaseException as error:
                done.set_exception(error)

        self.loop.call_soon_threadsafe(run)
        return done.result(10)

    def wait(self, made: Awaitable[T], timeout_s: float = 10) -> T:
        async def run() -> T:
            return await made

        return asyncio.run_coroutine_threadsafe(run(), self.loop).result(timeout_s)

    def start(self, coroutine: Any) -> Future[Any]:
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop)

    def close(self) -> None:
        """Fails where the loop's end waits for something that a test has left open."""
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(5)
        assert not self._thread.is_alive(), f"the loop of thread `{self._thread.name}` does not end"


class Control:
    """Control as the door sees it: answers `hello` with the overlay, counts what it was asked."""

    def __init__(self, thread: LoopThread, path: Path, signers: tuple[Signer, ...]) -> None:
        self.thread = thread
        self.keys: dict[str, tuple[Signer, ...]] = {"test": signers}
        self.after_question: dict[str, tuple[Signer, ...]] = {}
        self.wanted: list[dict[str, Any]] = []
        self.acked: list[int] = []
        self.denied: list[str] = []
        self.seq = 1
        self.answers = True
        self.asked: list[dict[str, Any]] = []
        self.seen: list[dict[str, Any]] = []  # entries of who came
        self.words: dict[str, tuple[str, int]] = {}  # of issuers about tokens: the answer, and how long it counts
        self.word_ends = 0  # until when the last one counts, as the door was told
        self.server = LinkServer(path, self._said, lambda link: None)
        thread.wait(self.server.start())

    def overlay(self) -> dict[str, Any]:
        return {
            "t": "overlay",
            "seq": self.seq,
            "keys": {
                name: {"jwks": [signer.jwk for signer in signers], "at": int(time.time())}
                for name, signers in self.keys.items()
            },
            "denied": self.denied,
            "grants": [],
        }

    def publish(self, **keys: tuple[Signer, ...]) -> None:
        """Other keys for every door, as after a rotation; returns once a door took them."""
        self.keys.update(keys)
        self.seq += 1
        self.thread.call(lambda: self.server.broadcast(self.overlay()))
        seq = self.seq
        until(lambda: seq in self.acked)

    def _said(self, link: Link, message: dict[str, Any]) -> None:
        if message["t"] == "hello":
            link.send(self.overlay())
        elif message["t"] == "ack":
            self.acked.append(message["seq"])
        elif message["t"] == "want_key":
            self.wanted.append(message)
            if not self.answers:
                return
            if self.after_question:
                self.keys.update(self.after_question)
                self.seq += 1
            link.send(self.overlay())
            link.send({"t": "key_done", "id": message["id"]})
        elif message["t"] == "sightings":
            self.seen += message["seen"]
        elif message["t"] == "introspect":
            self.asked.append(message)
            if self.answers:
                answer, counts_s = self.words.get(message["token"], ("", 0))
                self.word_ends = int(time.time()) + counts_s
                told = {"t": "introspected", "id": message["id"], "answer": answer, "until": self.word_ends}
                link.send(told)


def until(holds: Callable[[], Any], timeout_s: float = 40.0) -> None:
    """Wait for something another thread or process does; fails when it does not happen in time. A promise has its own
    time; the default is for a machine that is busy with something else."""
    deadline = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.002)


@dataclass
class RunningDoor:
    """A serving door. `port` is its one listener's."""

    door: Door
    thread: LoopThread
    rest: LoopThread
    control: Control
    port: int
    state: Path
    parent: socket.socket
    tls_ca: Path | None = None
    node: NodeState = field(init=False)

    def connect(self, timeout_s: float = 5.0) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout_s)

    def exchange(self, request: bytes, timeout_s: float = 5.0) -> bytes:
        """Send bytes, read to the end of the connection or until `timeout_s` of silence."""
        with self.connect(timeout_s) as sock:
            sock.sendall(request)
            return read_to_end(sock)

    open_connections = counters.DOWNSTREAM_OPEN

    def records(self, count: int) -> list[dict[str, Any]]:
        """The audit records, once there are at least ``count`` of them."""
        folder = self.state / "audit"

        def read() -> list[dict[str, Any]]:
            texts = [path.read_bytes() for path in sorted(folder.rglob("*.jsonl"))]
            lines = [json.loads(line) for text in texts for line in text.splitlines() if line.endswith(b"}")]
            return [line for line in lines if "request_id" in line]

        until(lambda: len(read()) >= count)
        return read()

    def follow_base(self) -> None:
        """What the engine says after publishing: read the manifest; returns once the door serves it."""
        manifest = read_manifest(self.state)
        assert manifest is not None
        message = {"t": "base", "base": manifest.base, "full": True}
        self.thread.call(lambda: self.door.following.from_engine(message))
        until(lambda: self.door.snapshot.base == manifest.base)

    def skip_to(self, now: int) -> None:
        """Its clock, which never steps back, says at least this from now on (epoch seconds)."""

        def skip() -> None:
            self.door.now = max(self.door.now, now)

        self.thread.call(skip)

    def tell(self, line: str) -> None:
        self.parent.sendall(line.encode() + b"\n")


def read_to_end(sock: socket.socket) -> bytes:
    received = b""
    with contextlib.suppress(TimeoutError, ConnectionResetError):
        while piece := sock.recv(65536):
            received += piece
    return received


@contextlib.contextmanager
def running_door(
    state: Path,
    *,
    publish: Callable[[Path], None],
    settings: config.Settings,
    signers: tuple[Signer, ...] = (RS256,),
    control_kind: type[Control] = Control,
) -> Iterator[RunningDoor]:
    """Start a door on the base that ``publish`` writes into the state folder, stop it at the end."""
    state.mkdir(mode=0o700, exist_ok=True)
    publish(state)
    rest = LoopThread("rest")
    control = control_kind(rest, state / "control.sock", signers)
    listening = socket.create_server(("127.0.0.1", 0), backlog=2048)
    listening.setblocking(False)
    parent, child = socket.socketpair()
    node = NodeState.create()
    node.value = 1
    thread = LoopThread("door")
    context = RoleContext(
        role="door",
        slot=0,
        settings=settings,
        state_folder=state,
        sockets={settings.listeners[0].name: listening.dup()},  # as a child has its own descriptor
        parent=ParentChannel(child),
        node=node,
    )
    made: list[Door] = []

    async def serve() -> None:
        made.append(Door(context))
        await made[0].serve()

    serving = thread.start(serve())
    until(lambda: parent.recv(64) == b"ready\n")
    running = RunningDoor(made[0], thread, rest, control, listening.getsockname()[1], state, parent)
    running.node = node
    try:
        yield running
    finally:
        with contextlib.suppress(OSError):
            parent.sendall(b"stop\n")
        serving.result(10)
        # An upstream that owes its part of a goodbye would answer into a loop that is closing.
        until(lambda: made[0].values[counters.UPSTREAM_OPEN] <= 0)
        thread.close()
        rest.call(control.server.close)
        rest.close()
        parent.close()
        child.close()
        listening.close()
        os.close(node.fd)


def settings_for(state: Path, **changes: Any) -> config.Settings:
    """Settings for one plain listener, one issuer, and upstreams on loopback."""
    settings = config.Settings(
        listeners=(config.Listener(name="main", address="127.0.0.1:0"),),
        issuers=(ISSUER,),
        environments={"prod": config.Environment("prod", hosts=(".test",), upstreams=("127.0.0.0/8",))},
        catalog=config.Catalog(),
        access_policy="",
        state_folder=str(state),
        timeouts=config.Timeouts(drain_finish_s=1.0),
        limits=config.Limits(**UNHURRIED),
    )
    return replace(settings, **changes)
