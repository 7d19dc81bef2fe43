"""Connections to upstreams: how many, how old, how long idle, to which of a name's addresses."""

from __future__ import annotations

import contextlib
import errno
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from gateway.config import Environment, Listener, ServiceSettings, Timeouts, UpstreamTls
from gateway.door.connect import STAGGER_S, why_unconnected
from gateway.door.endpoint import UNUSED_S, WAITING_PER_CONNECTION, Endpoint
from gateway.door.pool import Route
from gateway.door.upstream import Upstream as UpstreamConnection
from gateway.egress.resolve import Resolver
from tests.integration.conftest import request
from tests.integration.test_upstream_faults import CUT, seen_by, then
from tests.support.authority import Authority
from tests.support.door import RunningDoor, running_door, settings_for, until
from tests.support.faulty import Faulty, Line, answer, faulty
from tests.support.public_door import public_door
from tests.support.small_catalog import publish_small_catalog
from tests.support.upstream import OK, Upstream
from tests.support.wire import Client

ECHO, APP = "component:default/echo@prod", "component:default/app@prod"
LOOPBACK = ("127.0.0.0/8", ".internal")


@contextlib.contextmanager
def door_before(
    state: Path, *urls: str, service: ServiceSettings | None = None, upstreams: tuple[str, ...] = LOOPBACK,
    **changes: Any,
) -> Iterator[RunningDoor]:  # fmt: skip
    """``service``: what the operator set for `echo`; `app` has the defaults."""
    services = {"component:default/echo": service} if service is not None else {}
    environments = {"prod": Environment("prod", (".test",), upstreams, services)}
    settings = settings_for(state, environments=environments, **changes)
    with running_door(state, publish=lambda folder: publish_small_catalog(folder, *urls), settings=settings) as running:
        yield running


def endpoint(door: RunningDoor, key: str = ECHO) -> Endpoint:
    return door.thread.call(lambda: door.door.pool.routes[key].endpoints[0])


def idle(door: RunningDoor) -> list[UpstreamConnection]:
    return door.thread.call(lambda: list(endpoint_of(door).idle))


def endpoint_of(door: RunningDoor) -> Endpoint:
    return door.door.pool.routes[ECHO].endpoints[0]


def busy(door: RunningDoor) -> int:
    return door.thread.call(lambda: endpoint_of(door).busy if ECHO in door.door.pool.routes else 0)


def age(door: RunningDoor, seconds: float) -> None:
    """Make idle connections look as if they had idled longer: nobody has to wait for it."""

    def older() -> None:
        for each in endpoint_of(door).idle:
            each.idle_since_s -= seconds

    door.thread.call(older)


# === how many ===


def test_a_service_has_no_more_connections_than_its_operator_said_the_rest_waits_and_beyond_that_is_503(
    tmp_path: Path, upstream: Upstream
) -> None:
    limit, most = 2, 2 * WAITING_PER_CONNECTION
    upstream.gate = threading.Event()
    service = ServiceSettings(connections=limit)
    with door_before(tmp_path / "state", upstream.url, service=service) as door, contextlib.ExitStack() as clients:
        waiting = [clients.enter_context(Client(door.port)).send(request()) for _ in range(limit + most)]
        until(lambda: busy(door) == limit + most)
        until(lambda: upstream.open == limit)
        got = clients.enter_context(Client(door.port)).send(request()).answer()
        assert (got.status, got.code, got.headers["retry-after"]) == (503, "overloaded", "1")
        with Client(door.port) as other:
            other.send(request(host="app.test"))  # another service at the same address has connections of its own
            until(lambda: upstream.open == limit + 1)
            upstream.gate.set()
            assert other.answer().status == 200
        assert {client.answer().status for client in waiting} == {200}
        assert upstream.connections == limit + 1


def test_a_request_that_may_not_use_an_idle_connection_makes_room_for_its_own(
    tmp_path: Path, upstream: Upstream
) -> None:
    service = ServiceSettings(connections=1)
    with door_before(tmp_path / "state", upstream.url, service=service) as door, Client(door.port, 3) as client:
        assert client.send(request()).answer().status == 200
        age(door, 1.5)
        assert client.send(request(method="POST", body=b"x")).answer("POST").status == 200
        assert upstream.connections == 2
        until(lambda: upstream.open == 1)


def test_a_request_sent_again_gets_a_fresh_connection_though_others_come_free(tmp_path: Path) -> None:
    """All connections are taken: the one that is given back makes room instead of being used."""

    def dies_of_the_second(line: Line) -> None:
        line.send(answer(line.request()))
        line.request()

    release = threading.Event()

    def slow(line: Line) -> None:
        target = line.request()
        release.wait(5)
        line.send(answer(target))
        line.serve()

    service = ServiceSettings(connections=2)
    with (
        faulty(dies_of_the_second, slow) as upstream,
        door_before(tmp_path / "state", upstream.url, service=service) as door,
        Client(door.port) as first,
        Client(door.port) as second,
        Client(door.port) as third,
    ):
        assert first.send(request("/1")).answer().body == b"/1"
        door.thread.call(lambda: age_all(endpoint_of(door), 1.5))
        second.send(request("/slow", method="POST", body=b"x"))  # may not use the idle one
        until(lambda: upstream.lines == 2)
        first.send(request("/2"))  # dies with the idle one; both places are taken until `/slow` is answered
        third.send(request("/3"))
        release.set()
        assert second.answer("POST").body == b"/slow"
        assert first.answer().body == b"/2"
        assert third.answer().body == b"/3"


def age_all(of: Endpoint, seconds: float) -> None:
    for each in of.idle:
        each.idle_since_s -= seconds


def test_a_connection_that_ends_while_a_request_waits_does_not_bring_one_too_many(tmp_path: Path) -> None:
    """Each answer ends its connection, and the end is slow: the next request waits for its own by then."""
    files = Authority(tmp_path, "ours").leaf("leaf", "127.0.0.1")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*files)

    def slow_end(line: Line) -> None:
        closing(line)
        line.until_gone()

    service = ServiceSettings(tls=UpstreamTls(ca=str(tmp_path / "ours-ca.pem")))
    with (
        faulty(*[slow_end] * 20, tls=context) as upstream,
        door_before(tmp_path / "state", upstream.url, service=service) as door,
        Client(door.port) as client,
    ):
        for _ in range(20):
            assert client.send(request()).answer().body == b"x"
        assert upstream.lines == 20


# === how long ===


def test_methods_that_may_not_be_repeated_use_no_connection_that_idled_for_a_second(
    tmp_path: Path, upstream: Upstream
) -> None:
    with door_before(tmp_path / "state", upstream.url) as door, Client(door.port) as client:
        client.send(request()).answer()
        age(door, 0.8)
        client.send(request(method="POST", body=b"x")).answer("POST")
        assert upstream.connections == 1
        age(door, 1.1)
        client.send(request()).answer()
        assert upstream.connections == 1
        age(door, 1.1)
        client.send(request(method="POST", body=b"x")).answer("POST")
        assert upstream.connections == 2


@pytest.mark.parametrize(
    ("field", "limit_s"),
    [
        (b"Keep-Alive: timeout=2", 1.6),
        (b"Keep-Alive: timeout=2, max=100", 1.6),
        (b"keep-alive: max=100,TIMEOUT=1", 0.8),
        (b"Keep-Alive: timeout=60", 4.0),
        (b"Keep-Alive: max=7", 4.0),
        (b"Keep-Alive: timeout=x", 4.0),
        (b"X-Other: timeout=1", 4.0),
    ],
)
def test_a_connection_ends_before_its_upstream_ends_it(
    tmp_path: Path, upstream: Upstream, field: bytes, limit_s: float
) -> None:
    upstream.answer = lambda seen: answer(b"ok", field)
    with door_before(tmp_path / "state", upstream.url) as door, Client(door.port) as client:
        got = client.send(request()).answer()
        assert "keep-alive" not in got.headers, "it is about the connection to the upstream"
        assert [each.idle_limit_s for each in idle(door)] == [pytest.approx(limit_s)]
        age(door, limit_s - 0.3)
        client.send(request()).answer()
        assert upstream.connections == 1
        age(door, limit_s + 0.1)
        client.send(request()).answer()
        assert upstream.connections == 2


def test_a_connection_that_its_upstream_keeps_for_no_time_is_not_kept(tmp_path: Path, upstream: Upstream) -> None:
    """Neither for later nor for who waits already."""
    upstream.answer = lambda seen: answer(b"ok", b"Keep-Alive: timeout=0")
    upstream.gate = threading.Event()
    service = ServiceSettings(connections=1)
    with (
        door_before(tmp_path / "state", upstream.url, service=service) as door,
        Client(door.port) as one,
        Client(door.port) as other,
    ):
        one.send(request())
        upstream.wait_for(1)
        other.send(request())
        until(lambda: busy(door) == 2)
        upstream.gate.set()
        assert one.answer().body == other.answer().body == b"ok"
        assert upstream.connections == 2


@pytest.mark.parametrize("scheme", [b"NTLM", b"negotiate"])
def test_a_connection_that_somebody_signed_in_on_is_not_used_for_anybody_else(
    tmp_path: Path, upstream: Upstream, scheme: bytes
) -> None:
    with public_door(tmp_path / "state", upstream.url, ["echo.test"]) as door, Client(door.port) as client:
        client.send(request(sub=None)).answer()
        client.send(request(sub=None, lines=b"Authorization: " + scheme + b" TlRMTVNTUAAB\r\n")).answer()
        client.send(request(sub=None)).answer()
    assert [seen.connection for seen in upstream.seen] == [1, 1, 2]


def test_the_sweep_closes_what_idled_too_long_whatever_lies_above_it(tmp_path: Path, upstream: Upstream) -> None:
    upstream.answer = lambda seen: answer(b"ok", b"Keep-Alive: timeout=3") if seen.target == "/short" else OK
    upstream.gate = threading.Event()
    with (
        door_before(tmp_path / "state", upstream.url) as door,
        Client(door.port) as one,
        Client(door.port) as other,
    ):
        one.send(request("/long"))
        other.send(request("/short"))
        upstream.wait_for(2)
        upstream.gate.set()
        one.answer()
        other.answer()
        age(door, 2.5)
        until(lambda: [each.idle_limit_s for each in idle(door)] == [4.0])


def test_a_connection_of_great_age_is_ended_between_two_requests(tmp_path: Path, upstream: Upstream) -> None:
    with door_before(tmp_path / "state", upstream.url) as door, Client(door.port) as client:
        client.send(request()).answer()
        (connection,) = idle(door)
        now_s = door.door.tick_s
        assert 480 - 1 <= connection.retire_s - now_s <= 720
        door.thread.call(lambda: setattr(connection, "retire_s", now_s))
        assert client.send(request()).answer().status == 200
        assert upstream.connections == 1
        assert client.send(request()).answer().status == 200
        assert upstream.connections == 2


# === each service's own times ===


def test_a_services_own_times_count_for_it_alone(tmp_path: Path) -> None:
    def stops_within(line: Line) -> None:
        line.request()
        line.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc")
        line.until_gone()

    service = ServiceSettings(response_s=0.1, idle_s=0.1)
    timeouts = Timeouts(response_s=30, idle_s=30, drain_finish_s=1)
    silent = then(Line.request, Line.until_gone)
    with (
        faulty(silent, stops_within, slow_but_well) as upstream,
        door_before(tmp_path / "state", upstream.url, service=service, timeouts=timeouts) as door,
        Client(door.port) as client,
    ):
        assert client.send(request()).answer().code == "upstream_timeout"
        assert seen_by(client.send(request())).end == CUT
        with Client(door.port) as other:
            assert other.send(request("/a", host="app.test")).answer().body == b"/a"


def slow_but_well(line: Line) -> None:
    target = line.request()
    threading.Event().wait(0.6)  # longer than the other service may take
    line.send(answer(target))
    line.serve()


def test_a_services_own_time_to_connect(tmp_path: Path) -> None:
    with full_backlog("127.0.0.1") as port:
        service = ServiceSettings(connect_s=0.1)
        timeouts = Timeouts(connect_s=30, drain_finish_s=1)
        url = f"http://127.0.0.1:{port}"
        with (
            door_before(tmp_path / "state", url, service=service, timeouts=timeouts) as door,
            Client(door.port) as client,
        ):
            assert client.send(request()).answer().code == "upstream_timeout"


@contextlib.contextmanager
def full_backlog(address: str, port: int = 0) -> Iterator[int]:
    """A port that takes no connection and refuses none."""
    with socket.socket() as full, contextlib.ExitStack() as fillers:
        full.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        full.bind((address, port))
        full.listen(0)
        port = full.getsockname()[1]
        for _ in range(4):
            filler = fillers.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex((address, port))
        yield port


# === which address ===


def rename(door: RunningDoor, addresses: Callable[[str], list[str]]) -> None:
    """Names lead where the test says, from now on and without a memory."""
    clock = iter(range(0, 10**9, 1000))

    def renamed() -> None:
        door.door.pool.resolver = Resolver(door.door.settings, lambda: float(next(clock)), addresses)

    door.thread.call(renamed)


# No test connects from these, so a port that is free at 127.0.0.1 is free there.
OTHERS = HANGS, REFUSES = "127.0.0.22", "127.0.0.23"


@pytest.mark.parametrize(("first", "least_s"), [(HANGS, STAGGER_S), (REFUSES, 0.0)])
def test_of_several_addresses_one_that_hangs_or_refuses_is_followed_by_the_next(
    tmp_path: Path, first: str, least_s: float
) -> None:
    """At the first nobody accepts, at the second nobody listens. One of two connects begins with it."""
    with (
        faulty(closing, closing) as upstream,
        full_backlog(HANGS, upstream.port),
        door_before(tmp_path / "state", f"http://db.internal:{upstream.port}") as door,
        Client(door.port) as client,
    ):
        rename(door, lambda host: [first, "127.0.0.1"])
        began_s = time.monotonic()
        for _ in range(2):
            assert client.send(request()).answer().body == b"x"
        assert least_s <= time.monotonic() - began_s < 2


def test_an_ipv6_address_is_an_address_like_any_other(tmp_path: Path) -> None:
    upstream = Faulty(address="::1")
    with contextlib.closing(upstream):
        for allowed, status in ((("::1/128",), 200), (("127.0.0.0/8", "fd00::/8"), 502)):
            state = tmp_path / str(status)
            with door_before(state, upstream.url, upstreams=allowed) as door, Client(door.port) as client:
                assert client.send(request()).answer().status == status
        assert upstream.lines == 1


def test_connections_to_a_name_are_spread_over_its_addresses(tmp_path: Path) -> None:
    """As with a name that has an address for each instance."""
    one = Faulty(*[closing] * 20)
    port = one.port
    with contextlib.ExitStack() as stack:
        stack.callback(one.close)
        seen: list[str] = []
        for address in OTHERS:
            listening = stack.enter_context(socket.create_server((address, port)))
            threading.Thread(target=count_and_close, args=(listening, seen), daemon=True).start()
        with door_before(tmp_path / "state", f"http://db.internal:{port}") as door, Client(door.port) as client:
            rename(door, lambda host: ["127.0.0.1", *OTHERS])
            for _ in range(9):
                assert client.send(request()).answer().status == 200
        assert [one.lines, *map(seen.count, OTHERS)] == [3, 3, 3]


def closing(line: Line) -> None:
    line.request()
    line.send(answer(b"x", b"Connection: close"))


def count_and_close(listening: socket.socket, seen: list[str]) -> None:
    with contextlib.suppress(OSError):
        while True:
            sock, _ = listening.accept()
            seen.append(sock.getsockname()[0])
            with sock:
                closing(Line(sock))


def test_a_name_that_is_rebound_while_the_door_runs_is_refused_at_the_next_connect(tmp_path: Path) -> None:
    allowed = ("127.0.0.1/32", ".internal")
    with (
        faulty(closing, closing) as upstream,
        door_before(tmp_path / "state", f"http://db.internal:{upstream.port}", upstreams=allowed) as door,
        Client(door.port) as client,
    ):
        rename(door, lambda host: ["127.0.0.1"])
        assert client.send(request()).answer().body == b"x"
        for hostile in ("127.0.0.2", "169.254.169.254", "::1", "::ffff:169.254.169.254", "fe80::1%lo"):
            rename(door, lambda host, hostile=hostile: [hostile])  # type: ignore[misc]  # this turn's
            got = client.send(request()).answer()
            assert (got.status, got.code) == (502, "upstream_refused")
            assert hostile not in str(got.problem)
        rename(door, lambda host: ["127.0.0.1"])
        assert client.send(request()).answer().body == b"x"
        assert upstream.lines == 2


@pytest.mark.parametrize("host", ["[fe80::1%25lo]", "[::ffff:10.0.0.1]", "[::ffff:169.254.169.254]", "2130706433", "0"])
def test_an_odd_spelling_of_an_address_leads_nowhere(tmp_path: Path, upstream: Upstream, host: str) -> None:
    url = f"http://{host}:{upstream.port}"
    allowed = ("127.0.0.1/32", ".internal")
    with door_before(tmp_path / "state", url, upstreams=allowed) as door, Client(door.port) as client:
        assert client.send(request()).answer().status in (200, 502)
        assert upstream.seen == [] or host == "2130706433"  # the system's way to write 127.0.0.1, which is allowed


def test_the_doors_own_listeners_and_its_admin_listener_are_no_upstreams(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, socket.create_server(("127.0.0.1", 0)) as admin:
        ports = taken.getsockname()[1], admin.getsockname()[1]
        changes: dict[str, Any] = {
            "listeners": (Listener("main", f"0.0.0.0:{ports[0]}"),),
            "admin_address": f"127.0.0.1:{ports[1]}",
        }
        for port in ports:
            state = tmp_path / str(port)
            with door_before(state, f"http://127.0.0.1:{port}", **changes) as door, Client(door.port) as client:
                assert client.send(request()).answer().code == "upstream_refused"


# === a connection that ends while it is made ===


def test_a_connection_that_is_closed_while_it_is_made_is_counted_once(tmp_path: Path) -> None:
    def at_once(line: Line) -> None:
        line.reset()

    with (
        faulty(*[at_once] * 50) as upstream,
        door_before(tmp_path / "state", upstream.url) as door,
        Client(door.port) as client,
    ):
        for _ in range(50):
            assert client.send(request()).answer().code in ("upstream_connect", "upstream_closed")
        until(lambda: door.thread.call(lambda: (endpoint_of(door).open, endpoint_of(door).busy)) == (0, 0))
        assert client.send(request("/a")).answer().body == b"/a"


def test_a_connection_that_is_lost_before_it_was_ours_is_not_counted_as_ours(
    tmp_path: Path, upstream: Upstream
) -> None:
    with door_before(tmp_path / "state", upstream.url) as door, Client(door.port) as client:
        assert client.send(request()).answer().status == 200

        def lose() -> None:
            cast(UpstreamConnection, endpoint_of(door).protocol()).connection_lost(None)

        door.thread.call(lose)
        assert door.thread.call(lambda: endpoint_of(door).open) == 1


def test_no_descriptor_left_is_our_shortage_and_not_the_endpoints_failure(tmp_path: Path, upstream: Upstream) -> None:
    with door_before(tmp_path / "state", upstream.url) as door, Client(door.port) as client:
        assert client.send(request()).answer().status == 200

        def fail() -> None:
            of = endpoint_of(door)
            of.open += 1  # as if one were being made
            of.making += 1
            of._not_connected(why_unconnected(OSError(errno.EMFILE, "Too many open files")))

        door.thread.call(fail)
        assert door.thread.call(lambda: (endpoint_of(door).health.failures, endpoint_of(door).open)) == (0, 1)


def test_services_behind_one_ingress_share_its_idle_connections(door: RunningDoor, upstream: Upstream) -> None:
    """`echo`, `team` and `app` lead to one URL with equal settings: three requests in turn need one connection."""
    with Client(door.port) as client:
        for host in ("echo.test", "team.test", "app.test", "echo.test"):
            assert client.send(request(host=host)).answer().status == 200
    assert upstream.connections == 1
    assert {seen.connection for seen in upstream.seen} == {1}


def test_a_route_is_kept_until_table_or_settings_change_or_nobody_uses_it(door: RunningDoor) -> None:
    """The exposure has it at hand, and lets go of it: a stale one would lead to endpoints that nobody looks after."""
    pool, exposure = door.door.pool, door.door.snapshot.table.exposures[ECHO]

    def route() -> Route:
        return pool.route(exposure)

    first = door.thread.call(route)
    assert door.thread.call(route) is first
    door.thread.call(pool.table_changed)
    second = door.thread.call(route)
    assert second is not first
    assert second.endpoints == first.endpoints
    door.thread.call(lambda: pool.configure(door.door.settings))
    assert exposure.at_hand is None
    third = door.thread.call(route)
    assert third.endpoints != second.endpoints
    door.thread.call(lambda: setattr(third.endpoints[0], "used_s", -2 * UNUSED_S))
    until(lambda: exposure.at_hand is None)
    assert ECHO not in pool.routes
