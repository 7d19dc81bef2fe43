"""An upstream that misbehaves in more than thirty ways.

Each time three things are promised: the client sees one whole answer or an answer that is visibly cut, never a
clean end of half a thing; the connection is not used again, so the next request gets its own answer; the audit
record names the reason.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import h11
import pytest

from gateway.config import Timeouts
from tests.integration.conftest import request
from tests.support.door import RunningDoor, running_door, settings_for, until
from tests.support.faulty import Faulty, Line, answer, faulty
from tests.support.small_catalog import publish_small_catalog
from tests.support.wire import Client

QUICK = Timeouts(connect_s=0.4, response_s=0.4, idle_s=0.4, body_s=0.4, drain_finish_s=1.0)
HEAD = b"HTTP/1.1 200 OK\r\n"
LATE = b"HTTP/1.1 408 Late\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
PERMITTED = "owner"  # the reason of a record where nothing went wrong
WHOLE = "whole"
CUT = "cut"


@contextlib.contextmanager
def door_before(state: Path, *urls: str, timeouts: Timeouts = QUICK) -> Iterator[RunningDoor]:
    with running_door(
        state, publish=lambda folder: publish_small_catalog(folder, *urls),
        settings=settings_for(state, timeouts=timeouts),
    ) as running:  # fmt: skip
        yield running


@dataclass
class Seen:
    """What a client saw: ``end`` is `WHOLE` or `CUT`."""

    status: int
    body: bytes
    end: str
    code: str = ""


def seen_by(client: Client, method: str = "GET") -> Seen:
    """The next answer, however it ends."""
    judge = h11.Connection(h11.CLIENT, max_incomplete_event_size=1 << 20)
    judge.send(h11.Request(method=method, target="/", headers=[("Host", "judge")]))
    judge.send(h11.EndOfMessage())
    if client.buffer:
        judge.receive_data(client.buffer)
    status, body, code = 0, b"", ""
    while True:
        event = judge.next_event()
        if event is h11.NEED_DATA:
            try:
                piece = client.sock.recv(65536)
            except ConnectionResetError:
                return Seen(status, body, CUT)
            assert piece, "a clean end where the answer was not whole"
            judge.receive_data(piece)
        elif isinstance(event, h11.Response):
            status = event.status_code
            if dict(event.headers).get(b"content-type") == b"application/problem+json":
                code = "problem"
        elif isinstance(event, h11.Data):
            body += bytes(event.data)
        elif isinstance(event, h11.EndOfMessage):
            client.buffer = judge.trailing_data[0]
            if code:
                code = body.partition(b'"code":"')[2].partition(b'"')[0].decode()
            return Seen(status, body, WHOLE, code)


# === the ways ===


def then(*steps: Callable[[Line], object]) -> Callable[[Line], None]:
    def script(line: Line) -> None:
        for step in steps:
            step(line)

    return script


def sends(data: bytes) -> Callable[[Line], None]:
    return lambda line: line.send(data)


def half_closes(line: Line) -> None:
    line.sock.shutdown(socket.SHUT_WR)
    line.until_gone()


def closes(line: Line) -> None:
    line.sock.close()


def answers_well(line: Line) -> None:
    line.send(answer(line.request()))


def is_sent_more(line: Line) -> None:
    """Waits for a request and reads none of it."""
    line.sock.recv(1, socket.MSG_PEEK)


def drips(data: bytes, pause_s: float = 0.02) -> Callable[[Line], None]:
    def script(line: Line) -> None:
        waiting = threading.Event()
        for byte in data:
            waiting.wait(pause_s)  # the pace is the fault
            line.send(bytes((byte,)))

    return script


read, reset, gone = Line.request, Line.reset, Line.until_gone


@dataclass(frozen=True)
class Fault:
    name: str
    script: Callable[[Line], None]
    status: int
    reason: str  # of the record; a refusal's is the answer's code too
    end: str = WHOLE
    body: bytes | None = None
    method: str = "GET"
    warm: bool = False  # a good request came before on the same connection


FAULTS = (
    # no answer at all
    Fault("ends the connection at once", closes, 502, "upstream_connect|upstream_closed"),
    Fault("resets the connection at once", reset, 502, "upstream_connect|upstream_closed"),
    Fault("resets instead of an answer", then(read, reset), 502, "upstream_closed"),
    Fault("closes instead of an answer", then(read, closes), 502, "upstream_closed"),
    Fault("half-closes instead of an answer", then(read, half_closes), 502, "upstream_closed"),
    Fault("never answers", then(read, gone), 504, "upstream_timeout"),
    # within the head
    Fault("resets within the head", then(read, sends(HEAD), reset), 502, "upstream_malformed|upstream_closed"),
    Fault("closes within the head", then(read, sends(HEAD + b"X-A: b\r\n"), closes), 502, "upstream_malformed"),
    Fault("stops within the head", then(read, sends(HEAD), gone), 504, "upstream_timeout"),
    Fault("drips the head too slowly", then(read, drips(HEAD + b"X-A: b\r\n" * 9), gone), 504, "upstream_timeout"),
    # behind the head
    Fault("resets after the head", then(read, sends(HEAD + b"Content-Length: 9\r\n\r\n"), reset),
          200, "upstream_malformed", CUT),
    Fault("closes after the head", then(read, sends(HEAD + b"Content-Length: 9\r\n\r\n"), closes),
          200, "upstream_malformed", CUT),
    Fault("closes within a body", then(read, sends(HEAD + b"Content-Length: 9\r\n\r\nabc"), closes),
          200, "upstream_malformed", CUT),
    Fault("closes within a large body",
          then(read, sends(HEAD + b"Content-Length: 99999\r\n\r\n" + b"a" * 50_000), closes), 200, "upstream_malformed",
          CUT),
    Fault("closes within a chunk", then(read, sends(HEAD + b"Transfer-Encoding: chunked\r\n\r\n9\r\nabc"), closes),
          200, "upstream_malformed", CUT),
    Fault("closes between chunks", then(read, sends(HEAD + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"), closes),
          200, "upstream_malformed", CUT),
    Fault("stops within a body", then(read, sends(HEAD + b"Content-Length: 9\r\n\r\nabc"), gone),
          200, "upstream_timeout", CUT),
    Fault("resets where only the end ends the body", then(read, sends(HEAD + b"\r\nabc"), reset),
          200, "upstream_malformed", CUT),
    Fault("drips the body, in time",
          then(read, sends(HEAD + b"Content-Length: 8\r\n\r\n"), drips(b"abcdefgh", 0.1), Line.serve), 200, PERMITTED,
          body=b"abcdefgh"),
    # what it says is wrong
    Fault("speaks another protocol", then(read, sends(b"SSH-2.0-OpenSSH_9.2\r\n"), gone), 502, "upstream_malformed"),
    Fault("speaks first, another protocol", then(sends(b"220 mail ESMTP\r\n"), gone), 502,
          "upstream_connect|upstream_malformed|upstream_closed"),
    Fault("speaks HTTP/0.9", then(read, sends(b"<html>hello</html>"), closes), 502, "upstream_malformed"),
    Fault("speaks HTTP/2", then(read, sends(b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n"), gone), 502,
          "upstream_malformed"),
    Fault("has a status that is none", then(read, sends(b"HTTP/1.1 99 Low\r\nContent-Length: 0\r\n\r\n"), gone), 502,
          "upstream_malformed"),
    Fault("has a head without end", then(read, sends(HEAD + b"X-A: " + b"a" * 70_000), gone), 502,
          "upstream_malformed"),
    Fault("has too many fields", then(read, sends(HEAD + b"X-A: b\r\n" * 200 + b"\r\n"), gone), 502,
          "upstream_malformed"),
    Fault("has two lengths", then(read, sends(HEAD + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nabc"), gone), 502,
          "upstream_malformed"),
    Fault("has length and chunks",
          then(read, sends(HEAD + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), gone), 502,
          "upstream_malformed"),
    Fault("has a negative length", then(read, sends(HEAD + b"Content-Length: -1\r\n\r\n"), gone), 502,
          "upstream_malformed"),
    Fault("has a field that breaks the line", then(read, sends(HEAD + b"X-A: b\x00c\r\n\r\n"), gone), 502,
          "upstream_malformed"),
    Fault("has chunks that are none", then(read, sends(HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nabc"), gone),
          502, "upstream_malformed"),
    Fault("has a chunk beyond all numbers",
          then(read, sends(HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"f" * 20 + b"\r\nabc"), gone),
          502, "upstream_malformed"),
    Fault("has a good chunk and then none",
          then(read, sends(HEAD + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"), drips(b"zz\r\n"), gone),
          200, "upstream_malformed", CUT),
    Fault("floods with interim answers", then(read, sends(b"HTTP/1.1 102 Wait\r\n\r\n" * 5000), gone), 502,
          "upstream_malformed"),
    Fault("switches protocols unasked",
          then(read, sends(b"HTTP/1.1 101 Go\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"), gone), 502,
          "upstream_malformed"),
    # too much
    Fault("sends a longer body than it said", then(read, sends(answer(b"abc") + b"def"), gone), 200, PERMITTED,
          body=b"abc"),
    Fault("answers twice", then(read, sends(answer(b"one") + answer(b"two")), gone), 200, PERMITTED, body=b"one"),
    Fault("sends a body where none may be", then(read, sends(b"HTTP/1.1 204 No\r\nContent-Length: 3\r\n\r\nabc"), gone),
          204, PERMITTED, body=b""),
    Fault("sends endless trailers",
          then(read, sends(HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\n" + b"X-T: v\r\n" * 20_000), gone), 200,
          "upstream_malformed", CUT),
    # the end of a connection that idled
    Fault("closes an idle connection as it is used", then(answers_well, is_sent_more, closes), 200, PERMITTED,
          body=b"/bad", warm=True),
    Fault("resets an idle connection as it is used", then(answers_well, is_sent_more, reset), 200, PERMITTED,
          body=b"/bad", warm=True),
    Fault("closes an idle connection as a POST is sent", then(answers_well, is_sent_more, closes), 502,
          "upstream_closed", method="POST", warm=True),
    Fault("says 408 to a connection that idled, as it is used",
          then(answers_well, is_sent_more, sends(LATE), closes), 200, PERMITTED, body=b"/bad", warm=True),
    Fault("says 408 as a POST is sent",
          then(answers_well, is_sent_more, sends(LATE), half_closes), 408, PERMITTED, body=b"", method="POST",
          warm=True),
    Fault("closes after an answer without saying so", then(answers_well, closes), 200, PERMITTED, body=b"/bad"),
    Fault("half-closes after an answer without saying so", then(answers_well, half_closes), 200, PERMITTED,
          body=b"/bad"),
)  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name.replace(" ", "-"))
def test_an_upstream_that(tmp_path: Path, fault: Fault) -> None:
    with (
        faulty(fault.script) as upstream,
        door_before(tmp_path / "state", upstream.url) as door,
        Client(door.port) as client,
    ):
        if fault.warm:
            assert seen_by(client.send(request("/warm"))) == Seen(200, b"/warm", WHOLE)
        body = b"pay" if fault.method == "POST" else b""
        got = seen_by(client.send(request("/bad", method=fault.method, body=body)), fault.method)
        assert (got.status, got.end) == (fault.status, fault.end)
        if fault.body is not None:
            assert got.body == fault.body
        record = next(each for each in door.records(1 + fault.warm) if each["path"] == "/bad")
        assert record["reason"] in fault.reason.split("|")
        assert record["upstream"] == upstream.url
        if got.code:
            assert got.code == record["reason"]
        with Client(door.port) as other:
            for target in ("/next", "/and/next"):
                assert seen_by(other.send(request(target))) == Seen(200, target.encode(), WHOLE)
        until(lambda: busy(door) == [0])


def busy(door: RunningDoor) -> list[int]:
    return door.thread.call(lambda: [each.busy for each in door.door.pool._endpoints.values()])


# === those that need more than one connection's script ===


def test_an_upstream_that_refuses_connections_and_comes_back(tmp_path: Path) -> None:
    upstream = Faulty()
    upstream.close()
    with door_before(tmp_path / "state", upstream.url) as door, Client(door.port) as client:
        got = seen_by(client.send(request("/bad")))
        assert (got.status, got.code) == (502, "upstream_connect")
        with socket.create_server(("127.0.0.1", upstream.port)) as back:
            serving = threading.Thread(target=serve_one, args=(back,), daemon=True)
            serving.start()
            assert seen_by(client.send(request("/next"))) == Seen(200, b"/next", WHOLE)
        assert [each["reason"] for each in door.records(2)] == ["upstream_connect", PERMITTED]
    serving.join(5)


def serve_one(listening: socket.socket) -> None:
    sock, _ = listening.accept()
    with sock, contextlib.suppress(ConnectionError):
        Line(sock).serve()


def test_an_upstream_that_accepts_no_connection(tmp_path: Path) -> None:
    """Its backlog is full: the kernel drops what comes, and nothing ever says no."""
    with socket.socket() as full, contextlib.ExitStack() as fillers:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        for _ in range(4):
            filler = fillers.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
        with door_before(tmp_path / "state", f"http://127.0.0.1:{port}") as door, Client(door.port) as client:
            got = seen_by(client.send(request("/bad")))
            assert (got.status, got.code) == (504, "upstream_timeout")
            assert door.records(1)[0]["reason"] == "upstream_timeout"
            until(lambda: door.thread.call(lambda: [each.open for each in door.door.pool._endpoints.values()]) == [0])


def test_an_upstream_that_says_408_to_an_idle_connection(tmp_path: Path) -> None:
    """Many servers do before they close it. Nobody asked, so nobody gets it."""
    go = threading.Event()
    with (
        faulty(then(answers_well, lambda line: go.wait(5), sends(LATE), gone)) as upstream,
        door_before(tmp_path / "state", upstream.url) as door,
        Client(door.port) as client,
    ):
        assert seen_by(client.send(request("/warm"))).body == b"/warm"
        go.set()
        until(lambda: idle(door) == 0)
        assert seen_by(client.send(request("/next", method="POST", body=b"x")), "POST").body == b"/next"
        assert upstream.lines == 2


def idle(door: RunningDoor) -> int:
    return door.thread.call(lambda: sum(len(each.idle) for each in door.door.pool._endpoints.values()))


def test_an_upstream_that_answers_before_it_was_asked(tmp_path: Path) -> None:
    """Bytes that come before the request went out end the connection; what comes behind it is an answer."""
    asked = threading.Event()

    def premature(line: Line) -> None:
        line.send(answer(b"of nobody"))
        line.until_gone()
        asked.set()

    with (
        faulty(premature, premature) as upstream,
        door_before(tmp_path / "state", upstream.url) as door,
        Client(door.port) as client,
    ):
        for count in (1, 2):
            door.thread.call(lambda: open_one(door))  # for a client that has left by the time it is made
            assert asked.wait(5)
            asked.clear()
            assert upstream.lines == count
            until(lambda: idle(door) == 0)
        assert seen_by(client.send(request("/next"))) == Seen(200, b"/next", WHOLE)


def open_one(door: RunningDoor) -> None:
    (endpoint,) = door.door.pool.route(door.door.snapshot.table.exposures["component:default/echo@prod"]).endpoints
    endpoint.open_another()


def test_an_upstream_that_answers_before_it_read_the_request(tmp_path: Path) -> None:
    """The answer counts, the connection does not: nobody knows what it will read of the rest."""

    def early(line: Line) -> None:
        line.head()
        line.send(b"HTTP/1.1 413 Too Much\r\nContent-Length: 4\r\n\r\nmuch")
        line.until_gone()

    with (
        faulty(early) as upstream,
        door_before(tmp_path / "state", upstream.url) as door,
        Client(door.port) as client,
    ):
        client.send(request("/bad", method="POST", lines=b"Content-Length: 1000\r\n") + b"x" * 10)
        assert seen_by(client, "POST") == Seen(413, b"much", WHOLE)
        until(lambda: idle(door) == 0)
        with Client(door.port) as other:
            assert seen_by(other.send(request("/next"))) == Seen(200, b"/next", WHOLE)
        assert upstream.lines == 2
        assert door.records(2)[0]["reason"] == PERMITTED


def test_an_upstream_that_answers_and_resets_before_the_answer_was_read(tmp_path: Path) -> None:
    """A part of the body that cannot be written any more takes nothing away from the answer that has arrived."""
    asked, comes, has_gone = threading.Event(), threading.Event(), threading.Event()

    def early(line: Line) -> None:
        line.head()
        asked.set()
        comes.wait(10)
        line.send(b"HTTP/1.1 413 Too Much\r\nContent-Length: 4\r\n\r\nmuch")
        line.reset()
        has_gone.set()

    def write_too_late(door: RunningDoor) -> None:
        """In the door's loop, which reads nothing meanwhile."""
        (connection,) = (each for part in door.door._slices for each in part)
        exchange = connection.exchange
        assert exchange is not None
        comes.set()
        assert has_gone.wait(10)
        exchange.feed(b"x")

    with (
        faulty(early) as upstream,
        door_before(tmp_path / "state", upstream.url) as door,
        Client(door.port) as client,
    ):
        client.send(request("/bad", method="POST", lines=b"Content-Length: 1000\r\n") + b"x" * 10)
        assert asked.wait(5)
        door.thread.call(lambda: write_too_late(door))
        assert seen_by(client, "POST") == Seen(413, b"much", WHOLE)
        assert busy(door) == [0]
        assert idle(door) == 0
        with Client(door.port) as other:
            assert seen_by(other.send(request("/next"))) == Seen(200, b"/next", WHOLE)
        assert door.records(2)[0]["reason"] == PERMITTED


def test_an_upstream_that_reads_no_body(tmp_path: Path) -> None:
    release = threading.Event()
    with (
        faulty(then(Line.head, lambda line: release.wait(10))) as upstream,
        door_before(tmp_path / "state", upstream.url) as door,
        Client(door.port) as client,
    ):
        post = request("/bad", method="POST", body=b"x" * 20_000_000)
        sending = threading.Thread(target=send_quietly, args=(client, post), daemon=True)
        sending.start()
        got = seen_by(client, "POST")
        assert (got.status, got.code) == (504, "upstream_timeout")
        release.set()
        with Client(door.port) as other:
            assert seen_by(other.send(request("/next"))).body == b"/next"
        assert door.records(2)[0]["reason"] == "upstream_timeout"
    sending.join(5)


def send_quietly(client: Client, data: bytes) -> None:
    with contextlib.suppress(OSError):
        client.send(data)


def test_an_upstream_whose_parts_come_one_byte_at_a_time_is_read_like_any_other(tmp_path: Path) -> None:
    chunked = HEAD + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-T: v\r\n\r\n"
    with (
        faulty(then(read, drips(chunked), answers_well, gone)) as upstream,
        door_before(tmp_path / "state", upstream.url, timeouts=Timeouts(drain_finish_s=1)) as door,
        Client(door.port) as client,
    ):
        assert seen_by(client.send(request("/slow"))) == Seen(200, b"abc", WHOLE)
        assert seen_by(client.send(request("/next"))).body == b"/next"
        assert upstream.lines == 1


# === older ones, that do no wrong ===


@pytest.mark.parametrize(
    ("lines", "pooled"),
    [
        (b"Content-Length: 3\r\n\r\nabc", False),
        (b"Content-Length: 3\r\nConnection: keep-alive\r\n\r\nabc", True),
        (b"\r\nabc", False),
    ],
    ids=["length", "length and keep-alive", "until the end"],
)
def test_an_upstream_that_speaks_http_1_0(tmp_path: Path, lines: bytes, pooled: bool) -> None:
    with (
        faulty(then(read, sends(b"HTTP/1.0 200 OK\r\n" + lines), answers_well if pooled else closes)) as upstream,
        door_before(tmp_path / "state", upstream.url) as door,
        Client(door.port) as client,
    ):
        assert seen_by(client.send(request("/old"))) == Seen(200, b"abc", WHOLE)
        assert seen_by(client.send(request("/next"))).body == b"/next"
        assert upstream.lines == (1 if pooled else 2)
