"""Limits and overload on real sockets: what one caller, one address, one host may take, what the worker does when it
has too little left itself, and attacks that try to use it up. Where time matters, the door's own numbers are moved."""

from __future__ import annotations

import contextlib
import resource
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway import config, counters
from gateway.config import Limits, Rate
from gateway.door.downstream import Downstream
from gateway.door.exchange import Exchange
from gateway.door.limits import PACED as PACED_MOST
from gateway.door.turns import TURN_REQUESTS
from tests.integration.conftest import request
from tests.support.certificates import make
from tests.support.door import UNHURRIED, RunningDoor, running_door, settings_for, until
from tests.support.greedy import WITH_TLS
from tests.support.parties import DOOR_CORE, OTHERS_CORE, Party, keep_on
from tests.support.ports import free_port
from tests.support.small_catalog import publish_small_catalog
from tests.support.tokens import ES256
from tests.support.upstream import OK, Seen, Upstream
from tests.support.whole_node import WholeNode, whole_node
from tests.support.wire import Client, Got

HEALTH = "/.stagedoor/bigip/health"
TRUSTING = (config.Listener(name="main", address="127.0.0.1:0", trusted_peers=("127.0.0.0/8",)),)
SLOWLY = Rate(requests_per_second=0.01, burst=2)  # a burst, and then nothing for a while


@contextlib.contextmanager
def door_with(
    tmp_path: Path, upstream: Upstream, listeners: tuple[config.Listener, ...] = (), **limits: Any
) -> Iterator[RunningDoor]:
    state = tmp_path / "state"
    settings = settings_for(state, limits=Limits(**{**UNHURRIED, **limits}))
    if listeners:
        settings = replace(settings, listeners=listeners)
    with running_door(
        state, publish=lambda folder: publish_small_catalog(folder, upstream.url), settings=settings
    ) as running:
        yield running


def ask(door: RunningDoor, **said: Any) -> Got:
    with Client(door.port) as client:
        return client.send(request(**said)).answer(said.get("method", "GET"))


def forwarded_for(address: str) -> bytes:
    return b"X-Forwarded-For: %b\r\n" % address.encode()


def connections(door: RunningDoor) -> list[Downstream]:
    return door.thread.call(lambda: [each for part in door.door._slices for each in part])


def count(door: RunningDoor, cell: int) -> int:
    return door.thread.call(lambda: door.door.values[cell])


def connect_from(door: RunningDoor, address: str) -> Client:
    client = Client.__new__(Client)
    client.sock = socket.create_connection(("127.0.0.1", door.port), 5, (address, 0))
    client.buffer = b""
    return client


def is_closed(client: Client) -> bool:
    try:
        return client.sock.recv(1) == b""
    except ConnectionResetError:
        return True


# === what one caller may do ===


def test_a_caller_above_its_rate_is_told_when_to_come_again_and_nobody_else_is(
    tmp_path: Path, upstream: Upstream
) -> None:
    with door_with(tmp_path, upstream, principals=SLOWLY) as door:
        with Client(door.port) as client:
            got = [client.send(request(f"/{n}")).answer() for n in range(3)]
        assert [each.status for each in got] == [200, 200, 429]
        assert got[2].code == "rate_limited"
        assert 95 <= int(got[2].headers["retry-after"]) <= 100, "a rate of one in 100 s, just now used up"
        assert ask(door).status == 429, "another connection is the same caller"
        assert ask(door, sub="joe").status == 200
        records = door.records(5)
        assert [record["reason"] for record in records].count("rate_limited") == 2
        assert {record["subject"] for record in records if record["reason"] == "rate_limited"} == {
            record["subject"] for record in records if record["path"] == "/0"
        }, "the record says who"
        assert count(door, counters.OUTCOME["rate_limited"]) == 2
    assert [seen.target for seen in upstream.seen] == ["/0", "/1", "/"]


def test_refused_requests_count_too(tmp_path: Path, upstream: Upstream) -> None:
    """Else an account could try every path of every service at full speed."""
    with door_with(tmp_path, upstream, principals=SLOWLY) as door:
        assert [ask(door, sub="joe", host="team.test").status for _ in range(3)] == [403, 403, 429]


def test_a_connection_of_somebody_too_fast_goes_on_after_a_pause(tmp_path: Path, upstream: Upstream) -> None:
    with door_with(tmp_path, upstream, principals=Rate(requests_per_second=0.01, burst=1)) as door:
        with Client(door.port) as client:
            client.send(request() * 3 + request("/joe", sub="joe"))
            assert [client.answer().status for _ in range(4)] == [200, 429, 429, 200]
        assert [seen.target for seen in upstream.seen] == ["/", "/joe"]


def test_an_unread_body_of_a_refused_request_is_dropped_or_ends_the_connection(
    tmp_path: Path, upstream: Upstream
) -> None:
    with door_with(tmp_path, upstream, principals=Rate(requests_per_second=0.01, burst=1)) as door:
        assert ask(door).status == 200
        with Client(door.port) as client:
            assert client.send(request(method="POST", body=b"x" * 1000)).answer("POST").status == 429
            assert client.send(request(sub="joe")).answer().status == 200, "its body was no request"
            client.send(request(method="POST", lines=b"Content-Length: 500000\r\n"))
            got = client.answer("POST")
            assert (got.status, got.headers["connection"]) == (429, "close")
    assert len(upstream.seen) == 2


def test_callers_without_identity_are_told_apart_by_the_address_a_trusted_peer_names(
    tmp_path: Path, upstream: Upstream
) -> None:
    with door_with(tmp_path, upstream, TRUSTING, addresses=SLOWLY) as door:

        def statuses(*addresses: str) -> list[int]:
            return [ask(door, sub=None, lines=forwarded_for(address)).status for address in addresses]

        assert statuses(*["198.51.100.7"] * 3) == [401, 401, 429]
        assert statuses("198.51.100.8") == [401]
        assert statuses("2001:db8::1", "2001:db8::2", "2001:db8::3", "2001:db8:0:1::1") == [401, 401, 429, 401]
        assert [ask(door, lines=forwarded_for("198.51.100.7")).status for _ in range(4)] == [200] * 4, "jane is jane"


def test_tokens_that_are_none_count_by_address(tmp_path: Path, upstream: Upstream) -> None:
    """Whoever tries tokens out has no name to be limited by."""
    with door_with(tmp_path, upstream, addresses=SLOWLY) as door:
        bad = [b"Authorization: Bearer a.b.%d\r\n" % number for number in range(3)]
        assert [ask(door, sub=None, lines=lines).status for lines in bad] == [401, 401, 429]
        assert ask(door).status == 200


def test_a_host_has_its_rate_and_who_may_not_reach_it_cannot_use_it_up(tmp_path: Path, upstream: Upstream) -> None:
    with door_with(tmp_path, upstream, hosts=SLOWLY) as door:
        assert [ask(door, sub="joe", host="team.test").status for _ in range(5)] == [403] * 5
        assert [ask(door, host="team.test").status for _ in range(3)] == [200, 200, 429]
        assert ask(door).status == 200, "another host is another matter"


@pytest.mark.parametrize("kind", ["principals", "hosts"])
def test_requests_under_way_are_bounded_and_their_places_come_free(
    tmp_path: Path, upstream: Upstream, kind: str
) -> None:
    upstream.gate = threading.Event()
    with (
        door_with(tmp_path, upstream, **dict[str, Any]({kind: Rate(concurrent=2)})) as door,
        contextlib.ExitStack() as stack,
    ):
        first, second = (stack.enter_context(Client(door.port)).send(request(f"/{n}")) for n in range(2))
        upstream.wait_for(2)
        got = ask(door)
        assert (got.status, got.code, got.headers["retry-after"]) == (429, "rate_limited", "1")
        second.sock.close()  # who leaves gives the place back
        until(lambda: ask(door, sub=None).status == 401 and len(connections(door)) == 1)
        third = stack.enter_context(Client(door.port)).send(request("/third"))
        upstream.wait_for(3)
        upstream.gate.set()
        assert [first.answer().status, third.answer().status] == [200, 200]
        guard = door.door.guard
        until(lambda: not door.thread.call(lambda: guard.callers.seats.taken or guard.hosts.seats.taken))
        assert ask(door).status == 200


# === connections ===


def test_a_peer_has_so_many_connections_and_those_that_are_open_stay_well(tmp_path: Path, upstream: Upstream) -> None:
    with door_with(tmp_path, upstream, peer_connections=2) as door, contextlib.ExitStack() as stack:
        kept = [stack.enter_context(Client(door.port)) for _ in range(2)]
        until(lambda: len(connections(door)) == 2)
        assert is_closed(stack.enter_context(Client(door.port)))
        assert count(door, counters.DOWNSTREAM_REFUSED) == 1
        assert [client.send(request()).answer().status for client in kept] == [200, 200]
        other = stack.enter_context(connect_from(door, "127.0.0.2"))
        assert other.send(request()).answer().status == 200
        kept[0].sock.close()
        until(lambda: len(connections(door)) == 2)
        assert ask(door).status == 200


def test_a_peer_that_connects_again_and_again_is_turned_away_and_nobody_else_is(
    tmp_path: Path, upstream: Upstream
) -> None:
    with door_with(tmp_path, upstream, peer_connects=1) as door:
        statuses = [ask(door).status for _ in range(5)]
        assert statuses == [200] * 5, "five seconds' worth at once"
        with Client(door.port) as client:
            assert is_closed(client)
        with connect_from(door, "127.0.0.2") as other:
            assert other.send(request()).answer().status == 200
        assert count(door, counters.DOWNSTREAM_REFUSED) == 1
        until(lambda: not is_refused(door), 5)


def is_refused(door: RunningDoor) -> bool:
    try:
        return ask(door).status != 200
    except (OSError, AssertionError):
        return True


def test_a_trusted_peer_connects_as_often_as_its_clients_want(tmp_path: Path, upstream: Upstream) -> None:
    with door_with(tmp_path, upstream, TRUSTING, peer_connects=1) as door:
        assert [ask(door).status for _ in range(20)] == [200] * 20


def test_a_trusted_peer_brings_the_connections_of_others(tmp_path: Path, upstream: Upstream) -> None:
    with door_with(tmp_path, upstream, TRUSTING, peer_connections=1) as door, contextlib.ExitStack() as stack:
        clients = [stack.enter_context(Client(door.port)) for _ in range(5)]
        assert [client.send(request()).answer().status for client in clients] == [200] * 5


def test_a_full_worker_ends_what_comes_new(tmp_path: Path, upstream: Upstream) -> None:
    with door_with(tmp_path, upstream, connections=3) as door, contextlib.ExitStack() as stack:
        kept = [stack.enter_context(Client(door.port)) for _ in range(3)]
        until(lambda: len(connections(door)) == 3)
        assert all(is_closed(stack.enter_context(Client(door.port))) for _ in range(20))
        assert [client.send(request()).answer().status for client in kept] == [200] * 3


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("certificates")
    make(folder, "door", "echo.localhost")
    return folder


def test_handshakes_that_are_never_ended_give_way(tmp_path: Path, upstream: Upstream, authority: Path) -> None:
    tls = config.ListenerTls(str(authority / "door.pem"), str(authority / "door.key"))
    listeners = (config.Listener("main", "127.0.0.1:0", tls),)
    with door_with(tmp_path, upstream, listeners, handshakes=4) as door, contextlib.ExitStack() as stack:
        silent = [stack.enter_context(Client(door.port)) for _ in range(20)]
        until(lambda: count(door, counters.TLS_HANDSHAKES_FAILED) == 16)
        assert all(is_closed(client) for client in silent[:16]), "the oldest"
        context = ssl.create_default_context(cafile=str(authority / "ca.pem"))
        with Client(door.port) as client:
            client.sock = context.wrap_socket(client.sock, server_hostname="echo.localhost")
            assert client.send(request()).answer().status == 200
        assert count(door, counters.TLS_HANDSHAKES) == 1
        for client in silent:
            client.sock.close()
        until(lambda: door.thread.call(lambda: door.door._clients) == 0)


FLOODER = """
import socket, sys
port, count = int(sys.argv[1]), int(sys.argv[2])
held = []
for number in range(count):
    sock = socket.socket()
    sock.connect(("127.0.0.1", port))
    sock.sendall(b"GET / HTTP/1.1\\r\\nHo")
    held.append(sock)
print("held", flush=True)
sys.stdin.read()
"""


@pytest.mark.slow
def test_ten_thousand_half_open_connections_of_one_peer_keep_nobody_out_and_end(
    tmp_path: Path, upstream: Upstream
) -> None:
    with door_with(tmp_path, upstream, peer_connections=6_000) as door:
        with subprocess.Popen(
            [sys.executable, "-c", FLOODER, str(door.port), "10000"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as flooder:
            assert flooder.stdout is not None
            assert flooder.stdout.readline() == b"held\n"
            until(lambda: count(door, counters.DOWNSTREAM_REFUSED) >= 4_000 and len(connections(door)) == 6_000)
            with connect_from(door, "127.0.0.2") as client:
                assert client.send(request()).answer().status == 200
            for each in connections(door):
                each.deadline_s = 0.0  # `timeouts.head` later
            until(lambda: not connections(door), 40)  # nobody takes their answers
            flooder.communicate()
        assert ask(door).status == 200


# === slow clients ===


def uploading(door: RunningDoor) -> Exchange:
    (connection,) = connections(door)
    assert connection.exchange is not None
    return connection.exchange


def begin_upload(client: Client, upstream: Upstream, door: RunningDoor, framing: bytes) -> None:
    client.send(request(method="POST", lines=framing))
    until(lambda: connections(door) and connections(door)[0].exchange and uploading(door).upstream)


@pytest.mark.parametrize(
    ("framing", "piece"), [(b"Content-Length: 1000000\r\n", b"x"), (b"Transfer-Encoding: chunked\r\n", b"1\r\nx\r\n")]
)
def test_a_body_that_drips_is_ended(door: RunningDoor, upstream: Upstream, framing: bytes, piece: bytes) -> None:
    with Client(door.port) as client:
        begin_upload(client, upstream, door, framing)
        client.send(piece)
        until(lambda: uploading(door).bytes_in == 1)
        door.thread.call(lambda: setattr(uploading_now(door), "window_s", 0.0))
        client.send(piece)
        got = client.answer("POST")
        assert (got.status, got.code) == (408, "request_timeout")
        assert client.ended()
    upstream.faults.clear()  # it was cut off within a request


def uploading_now(door: RunningDoor) -> Exchange:
    """For use on the door's own thread."""
    return next(each.exchange for part in door.door._slices for each in part if each.exchange is not None)


def test_a_body_that_comes_steadily_or_waits_for_the_upstream_is_not(door: RunningDoor, upstream: Upstream) -> None:
    with Client(door.port) as client:
        begin_upload(client, upstream, door, b"Content-Length: 20001\r\n")
        client.send(b"x" * 10_000)
        until(lambda: uploading(door).bytes_in == 10_000)
        door.thread.call(lambda: setattr(uploading_now(door), "window_s", 0.0))
        client.send(b"x" * 10_000)
        until(lambda: uploading(door).window_s > 0, 2)
        door.thread.call(lambda: uploading_now(door).upstream.resume_writing())  # type: ignore[union-attr]  # there is one: see above
        assert uploading(door).window_bytes == 20_000, "what was held up begins anew"
        door.thread.call(lambda: setattr(uploading_now(door), "window_s", 0.0))
        client.send(b"x")
        assert client.answer("POST").status == 200, "the last byte makes it whole, however late"


def test_a_head_that_drips_is_given_no_more_time(door: RunningDoor) -> None:
    with Client(door.port) as client:
        client.send(b"GET / HTTP/1.1\r\nHost: e")
        until(lambda: connections(door) and connections(door)[0].in_head)
        before = connections(door)[0].deadline_s
        for _ in range(5):
            client.send(b"c")
        until(lambda: connections(door)[0].head_pending == 5)
        assert connections(door)[0].deadline_s == before
        connections(door)[0].deadline_s = 0.0
        assert client.answer().code == "request_timeout"


def test_a_client_that_reads_a_drop_now_and_then_is_given_no_more_time(door: RunningDoor, upstream: Upstream) -> None:
    upstream.answer = lambda seen: b"HTTP/1.1 200 OK\r\nContent-Length: 50000000\r\n\r\n" + b"z" * 50_000_000
    with Client(door.port) as client:
        client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.send(request())
        until(lambda: connections(door) and connections(door)[0].write_paused)
        before = connections(door)[0].deadline_s
        for _ in range(10):
            client.sock.recv(1)
        assert connections(door)[0].deadline_s == before
        connections(door)[0].deadline_s = 0.0
        until(lambda: not connections(door))
    assert door.records(1)[0]["reason"] == "client_gone"


# === too little left ===


def test_without_memory_what_comes_new_is_refused_and_monitors_are_answered(tmp_path: Path, upstream: Upstream) -> None:
    with door_with(tmp_path, upstream, TRUSTING) as door, Client(door.port) as client:
        assert client.send(request()).answer().status == 200
        door.thread.call(lambda: door.door.room.configure(Limits(memory_bytes=1)))
        until(lambda: count(door, counters.SHEDDING) == 1)
        got = client.send(request()).answer()
        assert (got.status, got.code, got.headers["retry-after"]) == (503, "overloaded", "1")
        assert client.ended(), "what it held is free again"
        assert ask(door, target=HEALTH, sub=None).status == 200
        door.thread.call(lambda: door.door.room.configure(Limits()))
        assert ask(door).status == 200
        assert count(door, counters.RESIDENT_BYTES) > 1_000_000


def test_without_memory_clients_that_come_themselves_are_turned_away(tmp_path: Path, upstream: Upstream) -> None:
    with door_with(tmp_path, upstream, memory_bytes=1) as door:
        until(lambda: count(door, counters.SHEDDING) == 1)
        with Client(door.port) as client:
            assert is_closed(client)


def test_without_a_descriptor_to_spare_no_upstream_is_connected_and_pooled_ones_serve(
    door: RunningDoor, upstream: Upstream
) -> None:
    room = door.door.room
    with Client(door.port) as client:
        assert client.send(request()).answer().status == 200
        enough, room.descriptors = room.descriptors, 2  # this client and the pooled connection
        assert client.send(request()).answer().status == 200
        upstream.close_connections()
        until(lambda: count(door, counters.UPSTREAM_OPEN) == 0)
        room.descriptors = 1
        got = client.send(request()).answer()
        assert (got.status, got.code) == (503, "overloaded")
        room.descriptors = enough
    assert ask(door).status == 200


def test_running_out_of_descriptors_neither_spins_nor_kills_and_is_made_up_for(
    door: RunningDoor, upstream: Upstream
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    cpu = time.pthread_getcpuclockid(door.thread._thread.ident or 0)
    with Client(door.port) as served, contextlib.ExitStack() as stack:
        assert served.send(request()).answer().status == 200
        waiting = [Client.__new__(Client) for _ in range(10)]
        for client in waiting:
            client.buffer, client.sock = b"", stack.enter_context(socket.socket())
            client.sock.settimeout(5)
        probe = socket.socket()
        lowest = probe.fileno()
        probe.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))
        try:
            for client in waiting:
                client.sock.connect(("127.0.0.1", door.port))
                client.send(request())
            began = time.clock_gettime(cpu)
            assert [served.send(request()).answer().status for _ in range(20)] == [200] * 20, "what is open stays well"
            threading.Event().wait(0.5)
            assert time.clock_gettime(cpu) - began < 0.25, "it does not ask again and again"
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert [client.answer().status for client in waiting] == [200] * 10


@pytest.mark.slow
def test_a_node_takes_the_descriptors_that_the_machine_allows(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    few = 64 + len(list(Path("/proc/self/fd").iterdir()))  # this process must be able to start the node
    assert few < 1024
    resource.setrlimit(resource.RLIMIT_NOFILE, (few, hard))
    try:
        with whole_node(tmp_path, workers=1) as node:
            limits = Path(f"/proc/{node.children('door')[0]}/limits").read_text()
            (line,) = (line for line in limits.splitlines() if line.startswith("Max open files"))
            assert int(line.split()[3]) == min(hard, 1 << 20)
            assert "stagedoor_descriptors_open" in node.metrics()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


# === asking in vain ===


def test_an_address_that_asks_in_vain_again_and_again_is_told_to_wait_and_is_read_more_slowly(
    tmp_path: Path, upstream: Upstream
) -> None:
    with door_with(tmp_path, upstream, refusals=SLOWLY) as door:
        broken = b"Authorization: Bearer a.b.c\r\n"
        asked = [("nobody.test", b""), ("echo.test", b""), ("nobody.test", b""), ("echo.test", broken)]
        got = [ask(door, host=host, sub=None, lines=lines) for host, lines in asked]
        assert [each.status for each in got] == [404, 401, 429, 429]
        assert got[2].headers["retry-after"]
        assert [ask(door).status for _ in range(5)] == [200] * 5, "who says who it is came there all the same"
        assert [ask(door, sub="joe", host="team.test").status for _ in range(3)] == [403] * 3, "so does a refused name"
        with connect_from(door, "127.0.0.2") as other:
            assert other.send(request(host="nobody.test", sub=None)).answer().status == 404
        assert [record["reason"] for record in door.records(13)].count("rate_limited") == 2
        with Client(door.port) as client:
            began = time.monotonic()
            client.send(request(host="nobody.test", sub=None) * 3)
            assert [client.answer().status for _ in range(3)] == [429] * 3
            assert time.monotonic() - began > 0.4, "two pauses"


def test_behind_a_trusted_peer_it_is_the_client_who_asks_in_vain(tmp_path: Path, upstream: Upstream) -> None:
    with door_with(tmp_path, upstream, TRUSTING, refusals=SLOWLY) as door, Client(door.port) as peer:

        def statuses(*addresses: str) -> list[int]:
            asked = (request(host="nobody.test", sub=None, lines=forwarded_for(address)) for address in addresses)
            return [peer.send(each).answer().status for each in asked]

        assert statuses(*["198.51.100.7"] * 4) == [404, 404, 429, 429]
        assert statuses("198.51.100.8", "198.51.100.9", "198.51.100.10") == [404] * 3
        assert not door.door.paced.waiting, "its connection brings others' requests and is read on"


def test_where_too_many_are_to_be_read_slowly_a_connection_ends_instead(tmp_path: Path, upstream: Upstream) -> None:
    """Else all beyond the first few hundred connections would be served at full speed."""
    with door_with(tmp_path, upstream, refusals=SLOWLY) as door, Client(door.port) as client:
        asked = request(host="nobody.test", sub=None)
        assert [client.send(asked).answer().status for _ in range(2)] == [404, 404]
        (own,) = connections(door)
        never = [(float("inf"), own)] * PACED_MOST
        door.thread.call(lambda: door.door.paced.waiting.extend(never))
        got = client.send(asked).answer()
        assert (got.status, got.headers["connection"]) == (429, "close")
        assert client.ended()


# === one among others ===


def most_in_a_turn(door: RunningDoor, stop: threading.Event) -> list[int]:
    """Counts answers from turn to turn of the door's loop, until told to stop."""
    seen = [0]

    def look(before: int) -> None:
        answered = sum(door.door.values[counters.RESPONSES : counters.RESPONSES + len(counters.CLASSES)])
        seen[0] = max(seen[0], answered - before)
        if not stop.is_set():
            door.thread.loop.call_soon(look, answered)

    door.thread.call(lambda: look(0))
    return seen


@pytest.mark.parametrize("chunked", [False, True])
def test_a_flood_of_pipelined_requests_is_served_a_few_at_a_time(
    door: RunningDoor, upstream: Upstream, chunked: bool
) -> None:
    """Counted in turns of the loop, not in seconds: between two turns everybody else is served."""
    stop = threading.Event()
    flood = request(host="nobody.test", sub=None) * 3000
    if chunked:  # hidden behind the end of a body
        flood = request(method="POST", sub=None, lines=b"Transfer-Encoding: chunked\r\n") + b"0\r\n\r\n" + flood
    with Client(door.port, 20) as client:
        seen = most_in_a_turn(door, stop)
        threading.Thread(target=client.send, args=(flood,)).start()
        if chunked:
            assert client.answer("POST").status == 401
            return stop.set()
        assert {client.answer().status for _ in range(3000)} == {404}
        stop.set()
        assert client.send(request()).answer().status == 200, "and then it goes on as before"
    assert 0 < seen[0] <= 2 * TURN_REQUESTS
    return None


def test_what_is_pipelined_behind_a_slow_answer_waits_unread_and_none_is_lost(
    door: RunningDoor, upstream: Upstream
) -> None:
    upstream.gate = threading.Event()
    upstream.answer = lambda seen: OK
    with Client(door.port, 20) as client:
        client.send(request("/first"))
        upstream.wait_for(1)
        sender = threading.Thread(target=client.send, args=(b"".join(request(f"/{n}") for n in range(1000)),))
        sender.start()
        until(lambda: connections(door)[0].aside)
        assert len(connections(door)[0].queue or ()) < 100
        upstream.gate.set()
        assert [client.answer().status for _ in range(1001)] == [200] * 1001
        sender.join()
    assert [seen.target for seen in upstream.seen][1:] == [f"/{n}" for n in range(1000)]


def test_a_flood_of_header_fields_ends_its_own_connection_only(door: RunningDoor) -> None:
    with Client(door.port) as flood, Client(door.port) as other:
        with contextlib.suppress(OSError):
            flood.send(b"GET / HTTP/1.1\r\nHost: echo.test\r\n" + b"".join(b"a%d: b\r\n" % n for n in range(50_000)))
        with contextlib.suppress(OSError):
            assert flood.answer().code == "request_head_too_large"
        assert other.send(request()).answer().status == 200


def test_a_flood_of_keys_nobody_has_is_limited_like_any_other(tmp_path: Path, upstream: Upstream) -> None:
    unknown = [b"Authorization: Bearer " + ES256.token(sub=f"x{n}", exp=2**31, iat=1) + b"\r\n" for n in range(4)]
    with door_with(tmp_path, upstream, addresses=SLOWLY) as door:
        door.control.answers = True
        statuses = [ask(door, sub=None, lines=lines).status for lines in unknown]
        assert statuses[:2] == [401, 401]
        assert ask(door).status == 200


@contextlib.contextmanager
def standing_still(door: RunningDoor) -> Iterator[None]:
    """The door's loop waits, so that what is sent meanwhile is there all at once."""
    still, go_on = threading.Event(), threading.Event()

    def stand_still() -> None:
        still.set()
        go_on.wait(10)

    door.thread.loop.call_soon_threadsafe(stand_still)
    assert still.wait(5)
    try:
        yield
    finally:
        go_on.set()


SLICE_MOST = 2 * TURN_REQUESTS  # refusals that fit into a slice of 40 µs, on any machine


def test_beside_another_client_a_crowd_of_connections_has_the_turn_of_one(door: RunningDoor) -> None:
    """Two hundred requests are there at once: one turn of the loop begins a few of them, whoever sends them."""
    asked = request(host="nobody.test", sub=None)
    with contextlib.ExitStack() as stack:
        other = stack.enter_context(connect_from(door, "127.0.0.2"))
        assert other.send(asked).answer().status == 404
        crowd = [stack.enter_context(Client(door.port, 20)) for _ in range(200)]
        until(lambda: len(connections(door)) == 201)
        stop = threading.Event()
        seen = most_in_a_turn(door, stop)
        with standing_still(door):
            for client in crowd:
                client.send(asked)
        assert {client.answer().status for client in crowd} == {404}
        stop.set()
        assert 0 < seen[0] <= SLICE_MOST


def test_beside_another_client_pipelined_requests_of_many_connections_have_the_turn_of_one(door: RunningDoor) -> None:
    """Alone, each of the twenty would have `TURN_REQUESTS` of them begun."""
    asked = request(host="nobody.test", sub=None)
    with contextlib.ExitStack() as stack:
        other = stack.enter_context(connect_from(door, "127.0.0.2"))
        assert other.send(asked).answer().status == 404
        flood = [stack.enter_context(Client(door.port, 20)) for _ in range(20)]
        until(lambda: len(connections(door)) == 21)
        stop = threading.Event()
        seen = most_in_a_turn(door, stop)
        with standing_still(door):
            for client in flood:
                client.send(asked * 50)
        assert {client.answer().status for client in flood for _ in range(50)} == {404}
        stop.set()
        assert 0 < seen[0] <= SLICE_MOST
        assert other.send(request()).answer().status == 200


UNTIL_CLOSED = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nok"


@pytest.mark.parametrize(
    ("answer", "ends"), [(OK, False), (OK, True), (UNTIL_CLOSED, True)], ids=["kept", "closed", "until-closed"]
)
def test_beside_another_client_answers_that_come_at_once_have_the_turn_of_one(
    door: RunningDoor, upstream: Upstream, answer: bytes, ends: bool
) -> None:
    """What services answer waits for its client's turn as well: a hundred that were held up until one moment. Where the
    service ends its connections in that moment, too, nothing waits, and all answers are whole."""
    with contextlib.ExitStack() as stack:
        other = stack.enter_context(connect_from(door, "127.0.0.2"))
        assert other.send(request()).answer().status == 200
        answered: list[Seen] = []
        upstream.gate = threading.Event()

        def answering(seen: Seen) -> bytes:
            answered.append(seen)
            return answer

        upstream.answer = answering
        crowd = [stack.enter_context(Client(door.port, 20)).send(request()) for _ in range(100)]
        upstream.wait_for(101)
        stop = threading.Event()
        seen = most_in_a_turn(door, stop)
        with standing_still(door):
            upstream.gate.set()
            until(lambda: len(answered) == 100)
            if ends:
                upstream.close_connections()
        assert [client.answer().body for client in crowd] == [b"ok"] * 100
        stop.set()
        assert ends or 0 < seen[0] <= SLICE_MOST
        upstream.answer = lambda seen: OK
        assert other.send(request()).answer().status == 200


def test_behind_one_address_who_asks_little_comes_past_who_asks_much(door: RunningDoor, upstream: Upstream) -> None:
    """Joe's hundred requests are there before Jane's one; the door numbers requests as it sends them on."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(connect_from(door, "127.0.0.2"))
        crowd = [stack.enter_context(Client(door.port, 20)) for _ in range(100)]
        jane = stack.enter_context(Client(door.port, 20))
        assert {client.send(request(sub="joe")).answer().status for client in crowd} == {200}
        assert jane.send(request()).answer().status == 200
        before = len(upstream.seen)
        with standing_still(door):
            for client in crowd:
                client.send(request(sub="joe"))
            jane.send(request("/jane"))
        assert {client.answer().status for client in (*crowd, jane)} == {200}
        ids = {seen.target: seen.header("x-request-id") or "" for seen in upstream.seen}
        numbers = {target: int(said.rpartition("-")[2], 16) for target, said in ids.items()}
        last = max(numbers.values())
        assert len(upstream.seen) == before + 101
        assert last - numbers["/jane"] >= 100 - 2 * SLICE_MOST


def test_what_waits_for_its_turn_is_served_in_order_and_complete(door: RunningDoor, upstream: Upstream) -> None:
    upstream.answer = lambda seen: b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(seen.body), seen.body)
    bodies = [b"%d:" % n + b"x" * (n * 400) for n in range(100)]
    with contextlib.ExitStack() as stack:
        stack.enter_context(connect_from(door, "127.0.0.2"))
        clients = [stack.enter_context(Client(door.port, 20)) for _ in range(20)]
        until(lambda: len(connections(door)) == 21)
        with standing_still(door):
            for place, client in enumerate(clients):
                for body in bodies[place::20]:
                    client.send(request(method="POST", body=body))
        for place, client in enumerate(clients):
            assert [client.answer("POST").body for _ in range(5)] == bodies[place::20]


def test_a_body_in_crumbs_goes_on_in_pieces_and_little_of_it_in_a_turn(door: RunningDoor, upstream: Upstream) -> None:
    """Forty thousand chunks of one byte fit into one read of the event loop."""
    crumbs = 100_000
    seen = [0]
    stop = threading.Event()

    def look(before: int) -> None:
        came = sum(each.exchange.bytes_in for part in door.door._slices for each in part if each.exchange is not None)
        seen[0] = max(seen[0], came - before)
        if not stop.is_set():
            door.thread.loop.call_soon(look, came)

    with Client(door.port, 20) as client, connect_from(door, "127.0.0.2") as other:
        assert other.send(request()).answer().status == 200
        door.thread.call(lambda: look(0))
        client.send(request(method="POST", lines=b"Transfer-Encoding: chunked\r\n"))
        client.send(b"1\r\nx\r\n" * crumbs + b"0\r\n\r\n")
        assert client.answer("POST").status == 200
        stop.set()
    assert upstream.seen[-1].body == b"x" * crumbs
    assert 0 < seen[0] <= 6_000


# === a greedy client beside a paced one ===

PACED = """\
apiVersion: backstage.io/v1alpha1
kind: Component
metadata:
  name: {name}
  annotations:
    stagedoor.dev/environments: prod
    stagedoor.dev/host: {name}.test
    stagedoor.dev/upstream: http://127.0.0.1:{port}
    stagedoor.dev/access: everyone
spec: {{type: website, lifecycle: production, owner: team}}
---
"""
FAIR = "limits: {principals: {requests_per_second: 400, burst: 20, concurrent: 2}, peer_connections: 250}\n"
GREEDY = "tests.support.greedy"
ROUNDS = 5
ROUNDS_AT_MOST = 15


@pytest.fixture(scope="module")
def shared_node(tmp_path_factory: pytest.TempPathFactory, authority: Path) -> Iterator[tuple[WholeNode, str]]:
    """One worker, a service each for the greedy and the paced client, and limits: all share two cores with the worker,
    so what the greedy client sets in motion beside it has to be bounded, too. With the address of its TLS listener."""
    folder = tmp_path_factory.mktemp("node")
    port = free_port()
    files = f"certificate: {authority / 'door.pem'}, key: {authority / 'door.key'}"
    secure = f'listeners: [{{name: tls, address: "127.0.0.1:{port}", tls: {{{files}}}}}, '
    with (
        Party(OTHERS_CORE, GREEDY, "upstream", urgent=True) as first,
        Party(OTHERS_CORE, GREEDY, "upstream") as second,
        whole_node(folder, workers=1, configure=lambda said: said.replace("listeners: [", secure)) as node,
    ):
        services = [PACED.format(name="paced", port=first.says()), PACED.format(name="greedy", port=second.says())]
        (folder / "catalog" / "two.yaml").write_text("".join(services))
        with (folder / "stagedoor.yaml").open("a") as settings:
            settings.write(FAIR)
        node.process.send_signal(signal.SIGHUP)
        until(lambda: node.events("settings_taken"))
        until(lambda: _served(node))
        keep_on(DOOR_CORE, node.children("door")[0])
        yield node, f"tls:{port}"


def _served(node: WholeNode) -> bool:
    identity = f"Authorization: Bearer {node.token('jane').decode()}\r\n"
    with Client(node.port) as client:
        return client.send(f"GET / HTTP/1.1\r\nHost: paced.test\r\n{identity}\r\n".encode()).answer().status == 200


def times(node: WholeNode, port: str) -> tuple[float, float]:
    """Median and 99th percentile of the paced client, ms; raises `SystemExit` when it is not served every time."""
    words = ("paced", port, "1", "100", node.token("jane").decode())
    with Party(OTHERS_CORE, GREEDY, *words, urgent=True) as paced:
        median, p99 = paced.says().split()
    return float(median), float(p99)


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind", ["many", "pipelined", "unknown_host", "bad_token", "crumbs", "churn", "handshakes", "hellos"]
)
def test_a_greedy_client_does_not_show_in_the_times_of_another(shared_node: tuple[WholeNode, str], kind: str) -> None:
    """Alone and beside it in turn, and the best round of each, because other programs of this machine only ever add to
    a time: rounds are repeated until one was left in peace. A fifth, and for the slowest in a hundred a slice of the
    scheduler, which has more processes than cores."""
    node, secure = shared_node
    port = secure if kind in WITH_TLS else str(node.port)
    alone: list[tuple[float, float]] = []
    beside: list[tuple[float, float]] = []
    while len(beside) < ROUNDS or (len(beside) < ROUNDS_AT_MOST and _shows(alone, beside)):
        alone.append(times(node, port))
        with Party(OTHERS_CORE, GREEDY, "greedy", port, kind, node.token("joe").decode()) as greedy:
            assert greedy.says() == "go"
            beside.append(times(node, port))
    assert not _shows(alone, beside), (alone, beside)


def _shows(alone: list[tuple[float, float]], beside: list[tuple[float, float]]) -> bool:
    """Medians and 99th percentiles, ms."""
    median, p99 = min(alone)[0], min(p99 for _, p99 in alone)
    return min(beside)[0] > 1.2 * median + 0.1 or min(p99 for _, p99 in beside) > 1.2 * p99 + 5


@pytest.mark.slow
@pytest.mark.parametrize("way", ["up", "down"])
def test_of_a_huge_body_little_is_moved_in_a_turn(door: RunningDoor, upstream: Upstream, way: str) -> None:
    """Left alone, the event loop reads one connection 32 times, 8 MB, before it turns to the next."""
    size = 30_000_000
    seen = [0]
    stop = threading.Event()

    def look(before: int) -> None:
        moved = sum(
            each.exchange.bytes_in + each.exchange.bytes_out
            for part in door.door._slices for each in part if each.exchange is not None
        )  # fmt: skip
        seen[0] = max(seen[0], moved - before)
        if not stop.is_set():
            door.thread.loop.call_soon(look, moved)

    body = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + b"z" * size
    upstream.answer = lambda seen: body if way == "down" else OK
    with Client(door.port, 20) as client:
        door.thread.call(lambda: look(0))
        if way == "up":
            client.send(request(method="POST", body=b"z" * size))
            assert client.answer("POST").status == 200
        else:
            client.send(request())
            while size > 0 and (piece := client.sock.recv(1 << 20)):
                size -= len(piece)
        stop.set()
    assert 50_000 < seen[0] <= 600_000
