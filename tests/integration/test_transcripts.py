"""The promises of `docs/http-behaviour.md`, run over real sockets: whole, and byte by byte."""

from __future__ import annotations

import select
import socket
from collections.abc import Iterator
from dataclasses import replace

import pytest

from gateway.config import ServiceSettings, Settings
from gateway.counters import CLASSES, DOWNSTREAM_OPEN, RESPONSES, UPSTREAM_OPEN
from tests.integration.conftest import token
from tests.support.door import RunningDoor, running_door, settings_for, until
from tests.support.small_catalog import publish_small_catalog
from tests.support.transcripts import PAGE, Step, Transcript, matches, page, transcripts

ALL = list(transcripts())
WAIT_S = 5.0


@pytest.fixture(scope="module")
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(WAIT_S)
        yield server


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory, listener: socket.socket) -> Iterator[RunningDoor]:
    state = tmp_path_factory.mktemp("transcripts") / "state"
    where = f"http://127.0.0.1:{listener.getsockname()[1]}"
    with running_door(
        state, publish=lambda folder: publish_small_catalog(folder, where), settings=with_trailers(settings_for(state))
    ) as running:
        yield running


def with_trailers(settings: Settings) -> Settings:
    """What the transcripts' ``app.test`` lets through."""
    services = {"component:default/app": ServiceSettings(trailers=("x-checksum", "grpc-status"))}
    return replace(settings, environments={"prod": replace(settings.environments["prod"], services=services)})


class Side:
    """One end of the conversation: what came and was not yet expected."""

    def __init__(self, sock: socket.socket, drip: bool) -> None:
        self.sock = sock
        self.drip = drip
        self.came = b""
        sock.settimeout(WAIT_S)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, data: bytes) -> None:
        for piece in [data[at : at + 1] for at in range(len(data))] if self.drip else [data]:
            self.sock.sendall(piece)

    def more(self) -> bool:
        """Read a piece; False at the end."""
        piece = self.sock.recv(65536)
        self.came += piece
        return bool(piece)

    def head(self) -> bytes:
        while b"\r\n\r\n" not in self.came:
            assert self.more(), f"the connection ended within a head: {self.came!r}"
        end = self.came.index(b"\r\n\r\n") + 4
        head, self.came = self.came[:end], self.came[end:]
        return head

    def expect(self, step: Step) -> None:
        if step.mark.endswith("="):
            while len(self.came) < len(step.raw):
                assert self.more(), f"the connection ended at {self.came!r}, {step.raw!r} was due"
            got, self.came = self.came[: len(step.raw)], self.came[len(step.raw) :]
            assert got == step.raw
            return
        head = self.head()
        why = matches(step.lines, head)
        assert not why, f"{why} in {head!r}"

    def is_silent(self) -> bool:
        """Nothing came that no step expected."""
        readable, _, _ = select.select([self.sock], [], [], 0)
        return not self.came and (not readable or self.sock.recv(1, socket.MSG_PEEK) == b"")


class Stage:
    """A conversation: the client from the start, an upstream connection from the first head it gets."""

    def __init__(self, door: RunningDoor, listener: socket.socket, drip: bool) -> None:
        self.listener = listener
        self.drip = drip
        self.client = Side(door.connect(WAIT_S), drip)
        self.upstream: Side | None = None

    def play(self, step: Step) -> None:
        if step.mark in ("C>", "C>="):
            self.client.send(step.raw.replace(b"{token}", token()))
        elif step.mark in ("U>", "U>="):
            if self.upstream is None:
                self.upstream = Side(self.listener.accept()[0], drip=self.drip)
            self.upstream.expect(step)
        elif step.mark in ("U<", "U<="):
            assert self.upstream is not None
            self.upstream.send(step.raw)
        elif step.mark == "C:":
            assert step.lines == ("half",)
            self.client.sock.shutdown(socket.SHUT_WR)
        elif step.mark == "U:":
            assert step.lines == ("close",)
            assert self.upstream is not None
            self.upstream.sock.close()
            self.upstream = None
        elif step.lines == ("end",):
            assert not self.client.came
            assert not self.client.more(), f"{self.client.came!r} instead of the end"
        elif step.lines == ("cut",):
            with pytest.raises(ConnectionResetError):
                while self.client.more():
                    pass
        else:
            self.client.expect(step)

    def close(self) -> None:
        self.client.sock.close()
        if self.upstream is not None:
            self.upstream.sock.close()


@pytest.mark.parametrize("drip", [False, True], ids=["whole", "byte by byte"])
@pytest.mark.parametrize("case", ALL, ids=lambda case: case.name)
def test_the_promise_is_kept(door: RunningDoor, listener: socket.socket, case: Transcript, drip: bool) -> None:
    values = door.door.values
    before = sum(values[RESPONSES : RESPONSES + len(CLASSES)])  # each exchange that ended left a record
    assert len(door.records(before)) == before
    stage = Stage(door, listener, drip)
    records = 0
    try:
        for step in case.steps:
            if step.mark != "A:":
                stage.play(step)
                continue
            records += 1
            wanted = dict(pair.split("=", 1) for pair in step.lines[0].split())
            record = door.records(before + records)[before + records - 1]
            assert {key: str(record[key]) for key in wanted} == wanted
        if case.steps[-1].mark == "A:":
            ended = any(step.lines in (("end",), ("cut",)) for step in case.steps)
            assert ended or stage.client.is_silent()
            assert stage.upstream is None or stage.upstream.is_silent()
    finally:
        stage.close()
        until(lambda: values[DOWNSTREAM_OPEN] == values[UPSTREAM_OPEN] == 0)


def test_there_is_a_transcript_for_every_promise() -> None:
    assert len(ALL) >= 30
    assert len({case.promise for case in ALL}) == len(ALL)


def test_the_page_is_made_of_these_transcripts() -> None:
    assert PAGE.read_text() == page(), "python -m tests.support.transcripts > docs/http-behaviour.md"
