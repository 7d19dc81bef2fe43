"""The door as a member of a BIG-IP pool: what its monitor is answered, what profiles change and take, how it leaves.

A monitor is imitated as bigd works: it sends a text with an empty line more behind it, over one connection, reads what
comes, and searches it for two regular expressions. Nothing of it is an HTTP client.
"""

from __future__ import annotations

import re
import signal
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count, product
from pathlib import Path

import pytest

from gateway import config, counters
from gateway.child import DRAINING, FAILING, STARTING, UP
from tests.integration.conftest import request
from tests.support.client_authority import SERVER_AUTH, ClientAuthority, client_context, dns, uri
from tests.support.door import LoopThread, RunningDoor, read_to_end, running_door, settings_for, until
from tests.support.ports import free_port
from tests.support.small_catalog import publish_small_catalog
from tests.support.upstream import Upstream
from tests.support.whole_node import whole_node
from tests.support.wire import Client

PATH = b"/.stagedoor/bigip/health"
APPENDED = b"\r\n\r\n"  # what bigd sends behind every send string
RECV, RECV_DISABLE = rb"stagedoor-state: up", rb"stagedoor-state: draining"  # of the generated monitor
UP_BUT_DISABLED = "up but disabled"
NUMBERS = count()
# However busy the machine is.
PATIENT = config.Timeouts(handshake_s=60, head_s=60, connect_s=60, drain_finish_s=1.0)
STATES = {UP: "up", DRAINING: UP_BUT_DISABLED, FAILING: "down", STARTING: "down"}


@contextmanager
def serving(folder: Path, upstream: Upstream, listener: config.Listener) -> Iterator[RunningDoor]:
    state = folder / "state"
    with running_door(
        state,
        publish=lambda into: publish_small_catalog(into, upstream.url),
        settings=settings_for(state, listeners=(listener,), timeouts=PATIENT),
    ) as door:
        yield door


BIGIP = config.Listener("main", "127.0.0.1:0", bigip=True, trusted_peers=("127.0.0.1/32",))


@pytest.fixture(scope="module")
def member(tmp_path_factory: pytest.TempPathFactory, golden_upstream: Upstream) -> Iterator[RunningDoor]:
    """A door that a BIG-IP in front is trusted by."""
    with serving(tmp_path_factory.mktemp("member"), golden_upstream, BIGIP) as door:
        yield door


@pytest.fixture
def answering(golden_upstream: Upstream) -> Iterator[Upstream]:
    """The upstream, with an answer of the test's own."""
    before = golden_upstream.answer
    yield golden_upstream
    golden_upstream.answer = before


@contextmanager
def in_state(door: RunningDoor, state: int) -> Iterator[None]:
    """As the supervisor says it, but for the leaving that comes with `DRAINING`."""

    def back_up() -> None:
        door.node.value = UP
        door.door.draining = False

    door.thread.call(lambda: setattr(door.node, "value", state))
    try:
        yield
    finally:
        door.thread.call(back_up)


def bigd_says(raw: bytes) -> str:
    """The truth table of `recv` and `recv-disable`: expressions over the octets that came, the head included."""
    if re.search(RECV, raw):
        return "up"
    return UP_BUT_DISABLED if re.search(RECV_DISABLE, raw) else "down"


def answers_in(raw: bytes) -> int:
    return len(re.findall(rb"HTTP/1\.1 \d{3} ", raw))


def probe(door: RunningDoor, *pieces: bytes, tls: ssl.SSLContext | None = None) -> bytes:
    """Everything that comes, up to the end of the connection. A piece is a packet of its own."""
    sock: socket.socket = door.connect(20)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if tls is not None:
        sock = tls.wrap_socket(sock)
    with sock:
        for number, piece in enumerate(pieces):
            if number:
                time.sleep(0.002)  # two packets; nothing depends on it
            sock.sendall(piece)
        received = b""
        while data := sock.recv(65536):
            received += data
        # over TLS the goodbye was said before
        reset = tls is None and sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        assert not reset, "what came late was answered by a reset"
    return received


SEND = {
    "0.9": b"GET %b\r\n" % PATH,
    "0.9, HEAD": b"HEAD %b\r\n" % PATH,
    "0.9, no line end": b"GET %b" % PATH,
    "1.0": b"GET %b HTTP/1.0\r\n\r\n" % PATH,
    "1.0, no empty line": b"GET %b HTTP/1.0\r\n" % PATH,
    "1.0, no line end": b"GET %b HTTP/1.0" % PATH,
    "1.0, Host": b"GET %b HTTP/1.0\r\nHost: pool.test\r\n\r\n" % PATH,
    "1.0, keep-alive": b"GET %b HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n" % PATH,
    "1.0, HEAD": b"HEAD %b HTTP/1.0\r\n\r\n" % PATH,
    "1.1": b"GET %b HTTP/1.1\r\nHost: pool.test\r\nConnection: Close\r\n\r\n" % PATH,
    "1.1, no Host": b"GET %b HTTP/1.1\r\n\r\n" % PATH,
    "1.1, no Host, no empty line": b"GET %b HTTP/1.1\r\n" % PATH,
    "1.1, empty Host": b"GET %b HTTP/1.1\r\nHost: \r\nConnection: Close\r\n\r\n" % PATH,
    "1.1, empty Host, no empty line": b"GET %b HTTP/1.1\r\nHost:\r\nConnection: Close\r\n" % PATH,
    "1.1, two Hosts": b"GET %b HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n" % PATH,
    "1.1, no Connection": b"GET %b HTTP/1.1\r\nHost: x\r\n\r\n" % PATH,
    "1.1, user": b"GET %b HTTP/1.1\r\nHost: x\r\nAuthorization: Basic bW9uOm1vbg==\r\n\r\n" % PATH,
    "1.1, HEAD": b"HEAD %b HTTP/1.1\r\nHost: x\r\n\r\n" % PATH,
    "1.1, HEAD, no Host": b"HEAD %b HTTP/1.1\r\n" % PATH,
}  # fmt: skip


# === what a monitor is answered ===


@pytest.mark.parametrize("form", SEND)
def test_every_send_string_finds_out_every_state(member: RunningDoor, form: str) -> None:
    """Whatever the version, the Host, or what is missing at the end; small, without a cookie, and the last answer of
    its connection, which ends without a reset although an empty line more came."""
    for state, verdict in STATES.items():
        with in_state(member, state):
            raw = probe(member, SEND[form] + APPENDED)
        assert bigd_says(raw) == verdict
        assert len(raw) < 300
        assert b"\r\nConnection: close\r\n" in raw
        assert b"cookie" not in raw.lower()
        assert raw.startswith(b"HTTP/1.1 200 OK\r\n" if verdict != "down" else b"HTTP/1.1 503 ")
        body = raw.partition(b"\r\n\r\n")[2]
        assert (body == b"") == ("HEAD" in form)


@pytest.mark.parametrize("form", SEND)
def test_a_probe_may_come_in_pieces(member: RunningDoor, form: str) -> None:
    whole = SEND[form] + APPENDED
    for cut in (1, 4, len(SEND[form]) - 2, len(SEND[form]) - 1, len(SEND[form]), len(whole) - 2, len(whole) - 1):
        raw = probe(member, whole[:cut], whole[cut:])
        assert bigd_says(raw) == "up", cut
        assert answers_in(raw) == 1, cut


def test_a_monitor_that_appends_nothing_is_answered_as_well(member: RunningDoor) -> None:
    """Those in TMM: HTTP/0.9 is over at the end of its one line, the others where they say so."""
    for form in ("0.9", "1.0", "1.0, HEAD", "1.1", "1.1, no Host", "1.1, empty Host", "1.1, HEAD"):
        assert bigd_says(probe(member, SEND[form])) == "up", form


def test_no_text_is_found_in_the_answer_of_another_state(member: RunningDoor) -> None:
    """Nor any word of one, in whatever case: a monitor that somebody wrote by hand asks for `up`, or for `Draining`."""
    raws = {}
    for state in STATES:
        for method in (b"GET", b"HEAD"):
            with in_state(member, state):
                raws[state, method] = probe(member, b"%b %b HTTP/1.0\r\n\r\n" % (method, PATH) + APPENDED)
    texts = {state: re.search(rb"stagedoor-state: (\w+)", raws[state, b"GET"]) for state in STATES}
    for (state, text), ((other, method), raw) in product(texts.items(), raws.items()):
        assert text is not None
        for expression in (text[0], text[1]):
            assert bool(re.search(expression, raw, re.IGNORECASE)) == (state == other), (expression, other, method)


def test_health_is_the_nodes_not_the_workers(member: RunningDoor, golden_upstream: Upstream) -> None:
    """A worker that is replaced does not show there. Counted, not recorded."""
    asked = member.door.values[counters.HEALTH_REQUESTS]
    member.door.draining = True
    try:
        assert bigd_says(probe(member, SEND["1.1"] + APPENDED)) == "up"
    finally:
        member.door.draining = False
    assert member.door.values[counters.HEALTH_REQUESTS] == asked + 1
    with Client(member.port, 30) as client:
        assert client.send(request("/recorded")).answer().status == 200
    until(lambda: "/recorded" in [each["path"] for each in member.records(1)])
    answered = [each["path"] for each in member.records(1) if each["status"] == 200]
    assert not any(path.startswith("/.stagedoor") for path in answered)


def test_an_unfinished_probe_is_timed_out_like_any_head(member: RunningDoor) -> None:
    def ends() -> bool:
        latest_s = member.door.tick_s + member.door.timeouts.head_s
        return any(each.in_head and each.deadline_s <= latest_s for each in member.door.connections())

    for begun in (b"GET %b" % PATH, b"GET %b HTTP/1.1\r\nHost: x\r\n" % PATH):
        with Client(member.port, 20) as client:
            client.send(begun)
            until(lambda: member.thread.call(ends))
        until(lambda: not member.thread.call(ends))


@pytest.mark.parametrize(
    "line",
    [
        b"GET /\r\n", b"GET / \r\n", b"GET /.stagedoor/bigip/health/\r\n", b"GET /.stagedoor/bigip/health?x\r\n",
        b"GET /.stagedoor/bigip/health HTTP/0.9\r\n", b"GET  /.stagedoor/bigip/health\r\n",
        b"GET /.stagedoor/bigip/health\n", b"POST /.stagedoor/bigip/health\r\n", b"GET /.stagedoor/whoami\r\n",
        b"GET /.stagedoor/bigip/health HTTP/2.0\r\n", b"GET /.stagedoor/bigip/health \r\n",
        b"\rGET /.stagedoor/bigip/health\r\n",
    ],
)  # fmt: skip
def test_http_0_9_is_refused_everywhere_else(member: RunningDoor, answering: Upstream, line: bytes) -> None:
    """A request without a version has no Host, and what follows it may be another one."""
    before = len(answering.seen)
    raw = probe(member, line + APPENDED + request("/behind"))
    assert re.match(rb"HTTP/1\.1 (400|404|505) ", raw), raw[:80]
    assert answers_in(raw) == 1
    assert b"stagedoor-state" not in raw
    assert len(answering.seen) == before


def test_what_follows_a_probe_is_no_request(member: RunningDoor, answering: Upstream) -> None:
    before = len(answering.seen)
    for form in SEND:
        raw = probe(member, SEND[form] + APPENDED + request("/behind"))
        assert answers_in(raw) == 1, form
    assert len(answering.seen) == before


def test_a_probe_behind_a_request_is_answered_in_its_turn(member: RunningDoor) -> None:
    for form in ("0.9", "1.0", "1.1"):
        raw = probe(member, request("/first") + SEND[form] + APPENDED)
        first, second = re.findall(rb"HTTP/1\.1 200 OK\r\n.*?\r\n\r\n", raw, re.DOTALL)
        assert b"stagedoor-state" not in first
        assert b"stagedoor-state: up" in second


# === TLS between the two ===


@pytest.fixture(scope="module")
def certified(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ClientAuthority, config.ListenerTls]:
    folder = tmp_path_factory.mktemp("certified")
    authority = ClientAuthority("devices", now=time.time())
    (folder / "ca.pem").write_bytes(authority.own.pem)
    served = authority.leaf(dns("door.test"), uses=(SERVER_AUTH,)).write(folder, "door")
    return folder, authority, config.ListenerTls(*served, str(folder / "ca.pem"))


def unverified() -> ssl.SSLContext:
    """As an HTTPS monitor without an SSL profile: it names no server, and looks at no certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def test_a_monitor_over_tls_is_answered_without_a_servers_name_and_up_to_the_goodbye(
    tmp_path: Path, golden_upstream: Upstream, certified: tuple[Path, ClientAuthority, config.ListenerTls]
) -> None:
    tls = config.ListenerTls(certified[2].certificate, certified[2].key)
    with serving(tmp_path, golden_upstream, config.Listener("main", "127.0.0.1:0", tls, bigip=True)) as door:
        for form in ("0.9", "1.0", "1.1", "1.1, HEAD"):
            assert bigd_says(probe(door, SEND[form], APPENDED, tls=unverified())) == "up", form


def test_with_mtls_only_the_big_ip_is_let_in_and_whose_certificate_it_has_says_nothing_about_people(
    tmp_path: Path, golden_upstream: Upstream, certified: tuple[Path, ClientAuthority, config.ListenerTls]
) -> None:
    folder, authority, tls = certified
    device = authority.leaf(uri("spiffe://marlow.example/bigip")).write(folder, "bigip")
    listener = config.Listener("main", "127.0.0.1:0", tls, bigip=True, trusted_peers=("127.0.0.1/32",))
    with serving(tmp_path, golden_upstream, listener) as door:
        with suppress(ssl.SSLError, ConnectionError):  # TLS 1.3 tells a client only when it reads
            assert probe(door, SEND["1.1"] + APPENDED, tls=unverified()) == b""
        with Client(door.port, 20) as client:
            context = client_context(str(folder / "ca.pem"), device)
            client.sock = context.wrap_socket(client.sock, server_hostname="door.test")
            assert client.send(request("/as-jane")).answer().status == 200
            assert client.send(request("/as-nobody", sub=None)).answer().code == "identity_required"
            assert client.send(SEND["1.0"]).answer().headers["stagedoor-state"] == "up"


# === a port for monitors alone ===


def test_a_health_only_listener_answers_monitors_and_nobody_else(tmp_path: Path, answering: Upstream) -> None:
    before = len(answering.seen)
    with serving(tmp_path, answering, config.Listener("main", "127.0.0.1:0", health_only=True)) as door:
        for form in SEND:
            assert bigd_says(probe(door, SEND[form] + APPENDED)) == "up", form
        for asked in (
            request("/"), request("/", sub=None), request("/.stagedoor/whoami"), request("/", method="POST", body=b"x"),
            b"GET %b HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n" % PATH,
        ):  # fmt: skip
            raw = door.exchange(asked + request("/behind"), 30)
            assert raw.startswith(b"HTTP/1.1 404 "), raw[:60]
            assert b"\r\nConnection: close\r\n" in raw
            assert b"this port answers health" in raw
            assert answers_in(raw) == 1
        assert door.exchange(b"BREW / HTTP/1.1\r\nHost: x\r\n\r\n", 30).startswith(b"HTTP/1.1 501 ")
    assert len(answering.seen) == before


# === what OneConnect and other profiles change ===


def test_what_a_profile_did_to_connection_stops_here(member: RunningDoor, golden_upstream: Upstream) -> None:
    """OneConnect takes a client's `Connection: close` out of force by renaming it; the connection is BIG-IP's."""
    renamed = (b"Xonnection", b"X-Cnection", b"X-Connection", b"x_cnection")
    lines = b"".join(name + b": close\r\n" for name in renamed) + b"Connection: Keep-Alive\r\n"
    with Client(member.port, 30) as client:
        for number in range(2):
            got = client.send(request(f"/renamed/{number}", lines=lines)).answer()
            assert got.status == 200
            assert "connection" not in got.headers
        seen = golden_upstream.seen[-1]
        assert seen.target == "/renamed/1"
        assert not [name for name, _ in seen.headers if "nection" in name]
        old = request("/old", lines=b"Connection: Keep-Alive\r\n").replace(b"HTTP/1.1", b"HTTP/1.0")
        for _ in range(2):
            assert client.send(old).answer().headers["connection"] == "keep-alive"


def test_persistence_cookies_of_a_big_ip_reach_neither_services_nor_records(
    member: RunningDoor, golden_upstream: Upstream
) -> None:
    lines = b"Cookie: a=1; BIGipServerpool_prod=167772170.36895.0000; b=2\r\nCookie: BIGipServer~x=!y; c=3\r\n"
    with Client(member.port, 30) as client:
        assert client.send(request("/persistent", lines=lines)).answer().status == 200
    assert golden_upstream.seen[-1].header("cookie") == "a=1; b=2; c=3"
    until(lambda: "/persistent" in [each["path"] for each in member.records(1)])
    texts = [path.read_bytes() for path in (member.state / "audit").rglob("*") if path.is_file()]
    assert not any(b"BIGip" in text or b"167772170" in text for text in texts)


@pytest.mark.parametrize(
    ("lines", "client"),
    [
        (b"X-Forwarded-For: 203.0.113.9\r\n", "203.0.113.9"),
        (b"X-Forwarded-For: 203.0.113.9%2\r\n", "203.0.113.9"),
        (b"X-Forwarded-For: 203.0.113.9%65534:51234\r\n", "203.0.113.9"),
        (b"X-Forwarded-For: 2001:db8::9%3\r\n", "2001:db8::9"),
        (b"X-Forwarded-For: [2001:db8::9%3]:443\r\n", "2001:db8::9"),
        (b"X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-For: 203.0.113.9\r\n", "203.0.113.9"),
        (b"X-Forwarded-For: 6.6.6.6, 203.0.113.9\r\n", "203.0.113.9"),
        (b"X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-For: 203.0.113.9, 127.0.0.1%1\r\n", "203.0.113.9"),
        (b"X-Forwarded-For: 203.0.113.9%eth0\r\n", "127.0.0.1"),
        (b"X-Forwarded-For: 203.0.113.9%\r\n", "127.0.0.1"),
        (b"X-Forwarded-For: 203.0.113.9, unknown\r\n", "127.0.0.1"),
    ],
)
def test_the_client_is_the_right_most_address_that_is_not_trusted_itself(
    member: RunningDoor, golden_upstream: Upstream, lines: bytes, client: str
) -> None:
    """BIG-IP adds an address, and does not take away what the client sent; a second line is joined."""
    path = f"/forwarded/{next(NUMBERS)}"
    with Client(member.port, 30) as connection:
        assert connection.send(request(path, lines=lines)).answer().status == 200
    assert golden_upstream.seen[-1].header("x-forwarded-for") == client
    until(lambda: [each["client"] for each in member.records(1) if each["path"] == path] == [client])


FORGED = b"".join(
    name + b": x\r\n"
    for name in (
        b"X-SSL-Client-Cert", b"X_SSL_Client_CN", b"SSLClientCertStatus", b"SSLClientCertb64", b"ssl-client-cert",
        b"X-Client-Cert", b"Client-Cert", b"X-F5-Auth-Token", b"X-Forwarded-Host", b"Forwarded", b"X-Real-IP", b"Proxy",
        b"X-Stagedoor-User",
    )
)  # fmt: skip


def test_what_speaks_of_certificates_or_identity_stops_here_whoever_sent_it(
    member: RunningDoor, golden_upstream: Upstream
) -> None:
    with Client(member.port, 30) as client:
        assert client.send(request("/forged", lines=FORGED)).answer().status == 200
    seen = golden_upstream.seen[-1]
    assert seen.target == "/forged"
    names = {name for name, _ in seen.headers}
    assert not {name for name in names if "ssl" in name or "cert" in name or "f5" in name}
    assert not names & {"forwarded", "x-real-ip", "proxy"}
    assert seen.header("x-stagedoor-user") == "user:default/jane"
    assert seen.header("x-forwarded-host") == "echo.test"


# === what a BIG-IP takes of an answer ===


def answer_with(fields: int, size: int = 1) -> bytes:
    """An answer of so many fields, its date and length among them, each value ``size`` bytes long."""
    lines = b"".join(b"X-%d: %b\r\n" % (number, b"v" * size) for number in range(fields - 2))
    date = b"Date: Mon, 02 Mar 2026 12:00:00 GMT\r\n"  # the door would add one
    return b"HTTP/1.1 200 OK\r\n" + date + lines + b"Content-Length: 2\r\n\r\nok"


def heads_of(raw: bytes) -> tuple[int, int]:
    """How many fields an answer has, and how many bytes its head."""
    head = raw[: raw.index(b"\r\n\r\n") + 4]
    return head.count(b"\r\n") - 2, len(head)


@pytest.mark.parametrize("close", [b"", b"Connection: close\r\n"])
def test_an_answer_has_at_most_64_fields_and_32_kib_before_a_big_ip(
    member: RunningDoor, golden_door: RunningDoor, answering: Upstream, close: bytes
) -> None:
    """Its http profile resets what is larger, and nobody would know why: one that is comes as a 502 that says so."""
    last = b"" if close else SEND["1.0"]  # so that the connection ends
    for fields, size, fits in ((60, 1, True), (62, 1, True), (63, 1, False), (99, 1, False),
                               (41, 780, True), (41, 850, False), (21, 1750, False)):  # fmt: skip
        answering.answer = lambda seen, fields=fields, size=size: answer_with(fields, size)  # type: ignore[misc]  # this turn's
        raw = member.exchange(request("/large", lines=close) + last, 30)
        count, length = heads_of(raw)
        assert count <= 64
        assert length < 32 * 1024
        assert raw.startswith(b"HTTP/1.1 200 " if fits else b"HTTP/1.1 502 "), (fields, size)
        if not fits:
            assert b"upstream_malformed" in raw
            assert b"the BIG-IP in front takes" in raw
        other = golden_door.exchange(request("/large", lines=close) + last, 30)
        assert other.startswith(b"HTTP/1.1 200 "), "no other listener has such a limit"


def test_a_service_whose_answers_are_too_large_is_not_taken_for_broken(
    member: RunningDoor, answering: Upstream
) -> None:
    """Its other answers are well: one path must not take the service from everybody."""
    answering.answer = lambda seen: answer_with(70) if seen.target == "/large" else answer_with(2)
    with Client(member.port, 30) as client:
        for _ in range(12):
            assert client.send(request("/large")).answer().status == 502
            assert client.send(request("/small")).answer().status == 200


def test_early_hints_that_are_too_large_are_no_way_around(member: RunningDoor, answering: Upstream) -> None:
    hints = b"HTTP/1.1 103 Early Hints\r\n" + b"Link: <x>\r\n" * 70 + b"\r\n"
    answering.answer = lambda seen: hints + answer_with(2)
    raw = member.exchange(request("/hints", lines=b"Connection: close\r\n"), 30)
    assert raw.startswith(b"HTTP/1.1 502 ")


# === leaving ===


def test_a_node_that_leaves_is_still_there_and_every_answer_is_its_connections_last(
    tmp_path: Path, answering: Upstream
) -> None:
    """From the moment that health says draining: connections that idle end, the next answer on any other says close,
    and new connections are served the same way, until the supervisor has announced for long enough."""
    with serving(tmp_path, answering, BIGIP) as door, Client(door.port, 20) as idle, Client(door.port, 20) as fresh:
        assert "connection" not in idle.send(request("/before")).answer().headers
        door.node.value = DRAINING
        assert idle.ended(), "OneConnect would go on using it"
        assert bigd_says(probe(door, SEND["1.1"] + APPENDED)) == UP_BUT_DISABLED
        assert fresh.send(request("/no-request-before")).answer().headers["connection"] == "close"
        assert fresh.ended()
        for number in range(3):
            with Client(door.port, 20) as late:
                got = late.send(request(f"/late/{number}")).answer()
                assert (got.status, got.headers["connection"]) == (200, "close")
                assert late.ended()
        assert not door.door._stopped.is_set(), "a worker ends when it is told to, not when nobody is there"


def test_a_request_under_way_when_a_node_leaves_is_finished(tmp_path: Path, rest: LoopThread) -> None:
    slow = Upstream(rest).start()
    slow.gate = slow_gate = threading.Event()
    try:
        with serving(tmp_path, slow, BIGIP) as door, Client(door.port, 20) as busy:
            busy.send(request("/slow"))
            slow.wait_for(1)
            door.node.value = DRAINING
            until(lambda: door.door.draining)
            assert bigd_says(probe(door, SEND["1.1"] + APPENDED)) == UP_BUT_DISABLED
            slow_gate.set()
            got = busy.answer()
            assert (got.status, got.headers["connection"]) == (200, "close")
            assert busy.ended()
    finally:
        slow.stop()


@pytest.mark.slow
@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_a_reader_who_takes_his_time_gets_the_whole_answer_of_a_node_that_leaves(
    tmp_path: Path, answering: Upstream, version: str
) -> None:
    """With HTTP/1.0 the end of the connection is the end of the answer: nobody could tell a part from the whole."""
    size = 3_000_000
    framed = b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (size, b"z" * size)
    answering.answer = lambda seen: b"HTTP/1.1 200 OK\r\n" + framed
    with serving(tmp_path, answering, BIGIP) as door, socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.settimeout(60)
        sock.connect(("127.0.0.1", door.port))
        asked = request("/large", lines=b"Connection: close\r\n").replace(b"HTTP/1.1", f"HTTP/{version}".encode())
        sock.sendall(asked)
        door.node.value = DRAINING
        until(lambda: door.door.draining)
        before = door.door.tick_s
        until(lambda: door.door.tick_s > before + 2.0)  # longer than an idle connection is given
        assert read_to_end(sock).count(b"z") == size


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_a_node_that_is_told_to_end_leaves_its_pool_first(tmp_path: Path) -> None:
    """SIGTERM to a whole node, with nothing set but `bigip`: for 21 s monitors hear that it is draining, on every port
    of theirs, and whoever still comes is served; longer than a monitor of 5 s and 16 s takes to notice."""
    health = free_port()

    def pooled(settings: str) -> str:
        listeners = f'bigip: true}}, {{name: health, address: "127.0.0.1:{health}", health_only: true}}]'
        return settings.replace("trusted_peers: []}]", f"trusted_peers: [], {listeners}").replace("announce: 0s, ", "")

    def heard(port: int) -> bytes:
        with socket.create_connection(("127.0.0.1", port), 20) as sock:
            sock.sendall(SEND["1.0"] + APPENDED)
            return read_to_end(sock)

    with whole_node(tmp_path, workers=1, configure=pooled) as node, Client(node.port, 20) as idle:
        assert "connection" not in idle.send(node.request()).answer().headers
        assert bigd_says(heard(node.port)) == bigd_says(heard(health)) == "up"
        told_s = time.monotonic()
        node.process.send_signal(signal.SIGTERM)
        until(lambda: bigd_says(heard(health)) == UP_BUT_DISABLED)
        assert idle.ended()
        times = 0
        while time.monotonic() < told_s + 21.0:
            try:
                said = heard(node.port), heard(health)
                with Client(node.port, 20) as late:
                    got = late.send(node.request()).answer()
            except OSError:
                assert time.monotonic() >= told_s + 21.0, "it went too early"
                break
            if time.monotonic() < told_s + 21.0:
                assert [bigd_says(each) for each in said] == [UP_BUT_DISABLED] * 2
                assert (got.status, got.headers["connection"]) == (200, "close")
                times += 1
            time.sleep(0.25)
        assert times
        assert node.process.wait(60) == 0


def test_reading_to_the_end_is_what_the_imitation_rests_on(member: RunningDoor) -> None:
    """A connection on which nothing was asked stays open: `probe` really ends because the door ends it."""
    with member.connect(0.2) as sock:
        assert read_to_end(sock) == b""
        sock.settimeout(20)
        sock.sendall(SEND["1.1"])
        assert bigd_says(read_to_end(sock)) == "up"
