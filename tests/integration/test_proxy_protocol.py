"""The PROXY protocol on real sockets: whom a connection is for, taken from trusted peers alone, exactly consumed, in
front of TLS or without it."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from itertools import count, product
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway import config
from gateway.http1.proxy_header import Introduction, introduction
from tests.integration.conftest import request
from tests.support.client_authority import SERVER_AUTH, ClientAuthority, client_context, dns
from tests.support.door import UNHURRIED, RunningDoor, running_door, settings_for, until
from tests.support.examples import examples
from tests.support.small_catalog import publish_small_catalog
from tests.support.upstream import Upstream
from tests.support.wire import Client
from tests.unit.http1.test_proxy_header import REFUSED, TLVS, WHOLE, tcp4, v2

PROXIED = config.Listener(
    "main", "127.0.0.1:0", proxy_protocol=True, bigip=True, trusted_peers=("127.0.0.1/32", "198.51.100.0/24")
)
V1 = b"PROXY TCP4 203.0.113.9 192.0.2.1 51234 443\r\n"
PATHS = count()
# However busy the machine is.
PATIENT = config.Timeouts(handshake_s=60, head_s=60, connect_s=60, drain_finish_s=1.0)


@contextmanager
def serving(folder: Path, upstream: Upstream, listener: config.Listener, **changes: Any) -> Iterator[RunningDoor]:
    state = folder / "state"
    with running_door(
        state,
        publish=lambda into: publish_small_catalog(into, upstream.url),
        settings=settings_for(state, listeners=(listener,), **{"timeouts": PATIENT, **changes}),
    ) as door:
        yield door


@pytest.fixture(scope="module")
def proxied(tmp_path_factory: pytest.TempPathFactory, golden_upstream: Upstream) -> Iterator[RunningDoor]:
    with serving(tmp_path_factory.mktemp("proxied"), golden_upstream, PROXIED) as door:
        yield door
        until(lambda: door.door._clients == 0)  # whatever a test did, nothing is counted for ever


def send_in(sock: socket.socket, data: bytes, cuts: list[int]) -> None:
    """As packets of their own."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    start = 0
    for cut in [*sorted(each % (len(data) + 1) for each in cuts), len(data)]:
        if start:
            time.sleep(0.001)  # two packets; nothing depends on it
        sock.sendall(data[start:cut])
        start = cut


def client_of(
    door: RunningDoor, upstream: Upstream, header: bytes, lines: bytes = b"", cuts: tuple[int, ...] = ()
) -> str:
    """Of whom the service and the trail hear, for a connection that begins with ``header``."""
    path = f"/{next(PATHS)}"
    with Client(door.port, 20) as client:
        send_in(client.sock, header + request(path, lines=lines), list(cuts))
        assert client.answer().status == 200
        assert client.send(request(f"{path}/again", lines=lines)).answer().status == 200, "it is the connection's"
    clients = {seen.header("x-forwarded-for") for seen in upstream.seen if seen.target.startswith(path)}
    assert len(clients) == 1
    return str(clients.pop())


def is_closed_unanswered(sock: socket.socket) -> bool:
    with suppress(ConnectionResetError):
        return sock.recv(1) == b""
    return True


# === who the client is ===


FORGED = b"X-Forwarded-For: 203.0.113.66\r\n"


@pytest.mark.parametrize(
    ("header", "client"),
    [
        (b"PROXY UNKNOWN\r\n", "127.0.0.1"),
        (v2(0x21, 0x00, b""), "127.0.0.1"),
        (b"PROXY TCP4 198.51.100.7%2 192.0.2.1%2 5 443\r\n", "198.51.100.7"),
        (b"PROXY TCP4 198.51.100.7 192.0.2.1 5 443\r\n", "203.0.113.66"),  # another proxy, and trusted
        (v2(0x20, 0x00, b""), "203.0.113.66"),  # the load balancer's own words
    ],
)
def test_whoever_is_not_known_is_not_trusted(
    proxied: RunningDoor, golden_upstream: Upstream, header: bytes, client: str
) -> None:
    """A route domain has addresses of its own: whoever took a trusted one there is somebody else."""
    assert client_of(proxied, golden_upstream, header, FORGED) == client


@pytest.mark.parametrize("change", [{"trusted_peers": ("192.0.2.0/24",)}, {"proxy_protocol": False}])
def test_settings_that_come_amid_an_introduction_count(
    tmp_path: Path, golden_upstream: Upstream, change: dict[str, Any]
) -> None:
    with serving(tmp_path, golden_upstream, PROXIED) as door, door.connect(60) as sock:
        until(lambda: len(door.door.arrivals.introductions.waiting) == 1)
        (listening,) = door.door._listening
        door.thread.call(lambda: listening.configure(replace(PROXIED, **change), listening.limits))
        sock.sendall(V1 + request("/"))
        assert is_closed_unanswered(sock)
        until(lambda: door.door._clients == 0)


@pytest.mark.parametrize(("header", "client"), WHOLE.items())
def test_the_client_is_whom_the_header_names(
    proxied: RunningDoor, golden_upstream: Upstream, header: bytes, client: str
) -> None:
    assert client_of(proxied, golden_upstream, header) == (client or "127.0.0.1")


def test_each_connection_has_its_own_client_in_the_trail_too(proxied: RunningDoor, golden_upstream: Upstream) -> None:
    path = f"/{next(PATHS)}"
    for number in range(3):
        with Client(proxied.port, 20) as client:
            client.send(v2(0x21, 0x11, tcp4(f"203.0.113.{number}")) + request(path))
            assert client.answer().status == 200
    until(lambda: len([each for each in proxied.records(1) if each["path"] == path]) == 3)
    clients = [(each["peer"], each["client"]) for each in proxied.records(1) if each["path"] == path]
    assert clients == [(f"203.0.113.{number}", f"203.0.113.{number}") for number in range(3)]


@pytest.mark.parametrize(
    ("header", "peer", "hop"),
    [
        (V1, "203.0.113.9", "127.0.0.1"),
        (v2(0x21, 0x11, tcp4("198.51.100.7")), "198.51.100.7", "127.0.0.1"),  # another proxy's
        (v2(0x20, 0x00, b""), "127.0.0.1", None),  # the load balancer speaks for itself
        (b"PROXY UNKNOWN\r\n", "127.0.0.1", None),
    ],
)
def test_the_record_says_which_load_balancer_named_the_client(
    proxied: RunningDoor, golden_upstream: Upstream, header: bytes, peer: str, hop: str | None
) -> None:
    """Of several in front of a node it is the one through which the request came."""
    path = f"/{next(PATHS)}"
    with Client(proxied.port, 20) as client:
        assert client.send(header + request(path)).answer().status == 200
    until(lambda: any(each["path"] == path for each in proxied.records(1)))
    (record,) = [each for each in proxied.records(1) if each["path"] == path]
    assert (record["peer"], record.get("hop")) == (peer, hop)


def test_fields_behind_a_header_are_the_clients_own_and_count_for_nothing(
    proxied: RunningDoor, golden_upstream: Upstream
) -> None:
    """The load balancer did not look into the connection. Only where the client is itself a trusted proxy, or the
    load balancer speaks for itself, is its list walked."""
    forged = b"X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Proto: https\r\nX-Request-Id: forged\r\n"
    assert client_of(proxied, golden_upstream, V1, forged) == "203.0.113.9"
    assert golden_upstream.seen[-1].header("x-forwarded-proto") == "http"
    assert golden_upstream.seen[-1].header("x-request-id") != "forged"
    assert client_of(proxied, golden_upstream, v2(0x21, 0x11, tcp4("198.51.100.7")), forged) == "6.6.6.6"
    assert client_of(proxied, golden_upstream, v2(0x20, 0x00, b""), forged) == "6.6.6.6"


# === exactly consumed ===

HEADERS = st.sampled_from([header for header in WHOLE if len(header) < 1000])
CUTS = st.lists(st.integers(0, 2000), max_size=4)


@settings(max_examples=examples(80), deadline=None, suppress_health_check=list(HealthCheck))
@given(header=HEADERS, cuts=CUTS, tlv=st.binary(max_size=40))
def test_whatever_the_packets_the_request_begins_behind_the_header(
    proxied: RunningDoor, golden_upstream: Upstream, header: bytes, cuts: list[int], tlv: bytes
) -> None:
    assert client_of(proxied, golden_upstream, header, cuts=tuple(cuts)) == (WHOLE[header] or "127.0.0.1")
    more = v2(0x21, 0x11, tcp4(), TLVS + b"\xe0" + len(tlv).to_bytes(2, "big") + tlv)
    assert client_of(proxied, golden_upstream, more, cuts=tuple(cuts)) == "203.0.113.9"


NOISE = st.sampled_from(
    [b"", b"\0", b"\r\n", b"PROXY ", b" ", b"\xff\xff", b"\r\n\r\n\0\r\nQUIT\n", b"GET / HTTP/1.1\r\n"]
)


@settings(max_examples=examples(120), deadline=None, suppress_health_check=list(HealthCheck))
@given(
    header=st.sampled_from([each for each in (*WHOLE, *REFUSED) if len(each) < 1000]), noise=NOISE,
    at=st.integers(0, 400), over=st.integers(0, 3), cuts=CUTS,
)  # fmt: skip
def test_no_octets_get_past_as_somebody_else(
    proxied: RunningDoor, golden_upstream: Upstream, header: bytes, noise: bytes, at: int, over: int, cuts: list[int]
) -> None:
    """A damaged header leaves a whole one, or no service is asked: nothing of it is ever read as a request, and no
    client comes out of it but one that it names to the last octet (the reader itself is the judge of what it says)."""
    at %= len(header) + 1
    damaged = header[:at] + noise + header[at + over :]
    path = f"/{next(PATHS)}"
    raw = damaged + request(path)
    with proxied.connect(20) as sock:
        with suppress(OSError):
            send_in(sock, raw, cuts)
            sock.shutdown(socket.SHUT_WR)
        with suppress(ConnectionResetError):
            while sock.recv(65536):
                pass
    said = introduction(raw)
    seen = [each for each in golden_upstream.seen if each.target == path]
    if not isinstance(said, Introduction):
        assert seen == []
        return
    for each in seen:
        assert each.header("x-forwarded-for") == (said.client or "127.0.0.1")
        assert raw[said.size :].lstrip(b"\r\n").startswith(b"GET ")


def test_what_follows_a_header_in_pieces_may_be_short(proxied: RunningDoor) -> None:
    """The socket waits for a whole header at once, and must not go on waiting for as much."""
    header = v2(0x21, 0x11, tcp4(), b"\xe0\x00\xc8" + bytes(200))
    with Client(proxied.port, 20) as client:
        send_in(client.sock, header, [20])
        until(lambda: not proxied.door.arrivals.introductions.waiting)
        assert client.send(b"GET / HTTP/1.1\r\n\r\n").answer().status == 400


def test_a_header_is_read_once(proxied: RunningDoor, golden_upstream: Upstream) -> None:
    before = len(golden_upstream.seen)
    for second in (V1, v2(0x21, 0x11, tcp4("198.51.100.7"))):
        with Client(proxied.port, 20) as client:
            assert client.send(V1 + second + request("/second")).answer().status >= 400
    with Client(proxied.port, 20) as client:
        assert client.send(V1 + request("/first")).answer().status == 200
        assert client.send(V1 + request("/second")).answer().status >= 400
    assert [seen.target for seen in golden_upstream.seen[before:]] == ["/first"]


# === who may say so ===


def test_from_others_not_one_byte_is_read(tmp_path: Path, golden_upstream: Upstream) -> None:
    """They are refused before they have said anything, whatever they would say."""
    before = len(golden_upstream.seen)
    listener = replace(PROXIED, trusted_peers=("192.0.2.0/24",))
    with serving(tmp_path, golden_upstream, listener) as door:
        with door.connect(20) as silent:
            assert is_closed_unanswered(silent)
        for said in (V1 + request(), v2(0x20, 0, b"") + request(), request(), b"GET /.stagedoor/bigip/health\r\n\r\n"):
            with door.connect(20) as sock:
                with suppress(OSError):
                    sock.sendall(said)
                assert is_closed_unanswered(sock)
    assert len(golden_upstream.seen) == before


@pytest.mark.parametrize(
    "said", [request(), b"GET /.stagedoor/bigip/health HTTP/1.0\r\n\r\n", *list(REFUSED)[:12]], ids=range(14)
)
def test_without_a_header_a_connection_ends_unanswered(
    proxied: RunningDoor, golden_upstream: Upstream, said: bytes
) -> None:
    before = len(golden_upstream.seen)
    with proxied.connect(20) as sock:
        sock.sendall(said + request("/behind"))
        assert is_closed_unanswered(sock)
    assert len(golden_upstream.seen) == before


def test_a_header_has_its_time_and_a_client_that_leaves_within_it_is_gone(
    tmp_path: Path, golden_upstream: Upstream
) -> None:
    timeouts = config.Timeouts(handshake_s=0.4, drain_finish_s=1.0)
    with serving(tmp_path, golden_upstream, PROXIED, timeouts=timeouts) as door:
        with door.connect(20) as silent, door.connect(20) as half:
            with suppress(OSError):
                half.sendall(V1[:-1])
            assert is_closed_unanswered(half)
            assert is_closed_unanswered(silent)
        with door.connect(20) as leaving:
            with suppress(OSError):  # its time may be over already
                leaving.sendall(V1[:20])
                leaving.shutdown(socket.SHUT_WR)
            assert is_closed_unanswered(leaving)
        until(lambda: door.door._clients == 0)


def test_a_refusal_is_said_once_in_a_while(
    tmp_path: Path, golden_upstream: Upstream, capfd: pytest.CaptureFixture[str]
) -> None:
    with serving(tmp_path, golden_upstream, PROXIED) as door:
        for _ in range(3):
            with door.connect(20) as sock:
                sock.sendall(request())
                assert is_closed_unanswered(sock)
    (said,) = [line for line in capfd.readouterr().err.splitlines() if "proxy_refused" in line]
    assert "what it sends is no PROXY header: it does not begin like one" in said
    assert '"peer":"127.0.0.1"' in said


def test_connections_count_for_the_client_not_for_the_load_balancer(tmp_path: Path, golden_upstream: Upstream) -> None:
    limits = config.Limits(**UNHURRIED, peer_connections=1)
    with serving(tmp_path, golden_upstream, PROXIED, limits=limits) as door, Client(door.port, 20) as first:
        assert first.send(V1 + request()).answer().status == 200
        with door.connect(20) as second:
            second.sendall(V1 + request())
            assert is_closed_unanswered(second)
        with Client(door.port, 20) as other:
            assert other.send(v2(0x21, 0x11, tcp4("203.0.113.10")) + request()).answer().status == 200


def test_those_that_wait_are_bounded_and_end_with_the_door(tmp_path: Path, golden_upstream: Upstream) -> None:
    limits = config.Limits(**UNHURRIED, handshakes=2)
    with serving(tmp_path, golden_upstream, PROXIED, limits=limits) as door:
        waiting = [door.connect(20) for _ in range(3)]
        assert is_closed_unanswered(waiting[0]), "the oldest gives way"
        with Client(door.port, 20) as client:
            assert client.send(V1 + request()).answer().status == 200
    assert all(is_closed_unanswered(each) for each in waiting)
    for each in waiting:
        each.close()


# === with TLS behind it ===


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, config.ListenerTls]:
    folder = tmp_path_factory.mktemp("tls")
    authority = ClientAuthority("servers", now=time.time())
    (folder / "ca.pem").write_bytes(authority.own.pem)
    certificate, key = authority.leaf(dns("echo.test"), uses=(SERVER_AUTH,)).write(folder, "door")
    return folder / "ca.pem", config.ListenerTls(certificate, key)


def hello_behind(header: bytes, ca: Path) -> tuple[ssl.SSLObject, ssl.MemoryBIO, ssl.MemoryBIO, bytes]:
    """A TLS client without a socket, and its first octets with a header in front."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_context(str(ca), None).wrap_bio(incoming, outgoing, server_hostname="echo.test")
    with suppress(ssl.SSLWantReadError):
        client.do_handshake()
    return client, incoming, outgoing, header + outgoing.read()


def over_tls(sock: socket.socket, client: ssl.SSLObject, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO) -> bytes:
    """The rest of the handshake, one request, and its answer."""

    def done(step: Any) -> Any:
        while True:
            try:
                return step()
            except ssl.SSLWantReadError:
                if data := outgoing.read():
                    sock.sendall(data)
                incoming.write(sock.recv(65536))

    done(client.do_handshake)
    client.write(request("/tls"))
    sock.sendall(outgoing.read())
    answer: bytes = done(lambda: client.read(65536))
    return answer


def test_tls_begins_right_behind_the_header(
    tmp_path: Path, golden_upstream: Upstream, tls: tuple[Path, config.ListenerTls]
) -> None:
    """Though it came in the same packet as the ClientHello, or cut anywhere."""
    with serving(tmp_path, golden_upstream, replace(PROXIED, tls=tls[1])) as door:
        for header, cuts in product((V1, v2(0x21, 0x11, tcp4(), TLVS)), ([], [1], [44], [46], [60], [10, 45, 50])):
            with door.connect(20) as sock:
                client, incoming, outgoing, first = hello_behind(header, tls[0])
                send_in(sock, first, cuts)
                assert over_tls(sock, client, incoming, outgoing).startswith(b"HTTP/1.1 200 ")
            assert golden_upstream.seen[-1].header("x-forwarded-for") == "203.0.113.9"
            assert golden_upstream.seen[-1].header("x-forwarded-proto") == "https"


def test_a_hello_without_a_header_and_a_header_within_tls_are_both_refused(
    tmp_path: Path, golden_upstream: Upstream, tls: tuple[Path, config.ListenerTls]
) -> None:
    with serving(tmp_path, golden_upstream, replace(PROXIED, tls=tls[1])) as door:
        with door.connect(20) as sock:
            sock.sendall(hello_behind(b"", tls[0])[3])
            assert is_closed_unanswered(sock)
        with door.connect(20) as sock:
            sock.sendall(V1 + request())
            assert b"HTTP/" not in sock.recv(65536), "plain HTTP is no TLS"


# === settings ===


def test_a_reload_turns_it_on_and_off(tmp_path: Path, golden_upstream: Upstream) -> None:
    plain = replace(PROXIED, proxy_protocol=False)
    with serving(tmp_path, golden_upstream, plain) as door:
        for number, listener in enumerate((PROXIED, plain)):
            before = door.door.settings
            frame = f"settings-{number}.frame"
            (door.state / frame).write_bytes(config.encode(replace(before, listeners=(listener,))))
            door.tell(f"settings {frame}")
            until(lambda before=before: door.door.settings is not before)  # type: ignore[misc]  # of this turn
            with Client(door.port, 20) as client:
                assert client.send((V1 if listener is PROXIED else b"") + request()).answer().status == 200
