"""`nobody_is_taken_for_another`: over connections that a BIG-IP shares between people, as OneConnect does, a request
is decided, forwarded and recorded as whoever sent it, and its answer goes to whom it is for.

The connections are the load balancer's, TLS with its own certificate; what belongs to a request alone comes with it:
a token, a session, a client's certificate in a field, an address. Requests of many are sent over few of them in every
order, pipelined or one by one, HTTP/1.0 among 1.1, with bodies that are broken off or that read like somebody else's
request, refused ones and monitors' among them. Each has a path of its own; the service says whom it was told.
"""

from __future__ import annotations

import socket
import time
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import quote
from zlib import crc32

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway import config
from gateway.config.sign_in import Client as SignInClient
from gateway.door.held_facts import SESSION_WAIT_S
from policy.facts import Catalog
from tests.integration.conftest import token
from tests.support.client_authority import SERVER_AUTH, ClientAuthority, client_context, dns, uri
from tests.support.door import ISSUER, LoopThread, until
from tests.support.door_sessions import SessionWorld, facts, session_door, session_settings
from tests.support.examples import examples
from tests.support.small_catalog import person, service, small_catalog
from tests.support.upstream import Seen, Upstream
from tests.support.wire import Client, Got

PEOPLE = ("jane", "joe", "ann", "bob")
PROGRAMS = {
    "payments": "spiffe://marlow.example/ns/money/sa/payments",
    "orders": "spiffe://marlow.example/ns/shop/sa/orders",
}
SESSIONS = 40
CONNECTIONS = 3
NUMBERS = count()
BODY = 40 * 1024


# === the world ===


class World:
    """The door, what people hold, and what is to be found in the trail at the end."""

    def __init__(self, sessions: SessionWorld, upstream: Upstream, ca: Path, authority: ClientAuthority) -> None:
        self.sessions = sessions
        self.upstream = upstream
        self.ca = ca
        self.hop = authority.leaf(uri("spiffe://marlow.example/bigip")).write(ca.parent, "hop")
        self.programs = {name: authority.leaf(uri(names)) for name, names in PROGRAMS.items()}
        self.tokens = {name: token(name, exp=int(time.time()) + 3600) for name in PEOPLE}
        self.expected: dict[str, str] = {}  # path → who it was
        for number in range(SESSIONS):
            sessions.control.put(facts(number, sub=PEOPLE[number % len(PEOPLE)]))

    def connect(self) -> Client:
        client = Client(self.sessions.door.port, 30)
        client.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client.sock = client_context(str(self.ca), self.hop).wrap_socket(client.sock, server_hostname="echo.test")
        return client


def echo(seen: Seen) -> bytes:
    """Whom the service was told, in the head and through a body whose length depends on the path alone."""
    said = {"X-Was": seen.header("x-stagedoor-user"), "X-Path": seen.target, "X-For": seen.header("x-forwarded-for")}
    lines = "".join(f"{name}: {value or '-'}\r\n" for name, value in said.items()).encode()
    body = f"{said['X-Was']} {seen.target} ".encode() * (crc32(seen.target.encode()) % 700)
    if crc32(seen.target.encode()) % 3 == 0 and seen.method != "HEAD":
        return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n%b\r\n" % lines + b"".join(
            b"%x\r\n%b\r\n" % (len(piece), piece) for piece in (body[:100], body[100:]) if piece
        ) + b"0\r\n\r\n"  # fmt: skip
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n%b\r\n" % (len(body), lines)
    return head if seen.method == "HEAD" else head + body


def catalog(url: str) -> Catalog:
    small = small_catalog(url)
    people = {**small.people, **{each.ref: each for each in map(person, PEOPLE)}}
    programs = [service(name, (url,), "everyone", client_ids={"": names}) for name, names in PROGRAMS.items()]
    return Catalog(people, small.teams, {**small.services, **{each.ref: each for each in programs}})


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("shared")
    authority = ClientAuthority("clients", now=time.time())
    (folder / "ca.pem").write_bytes(authority.own.pem)
    served = authority.leaf(dns("echo.test"), uses=(SERVER_AUTH,)).write(folder, "door")
    listener = config.Listener(
        "main", "127.0.0.1:0", config.ListenerTls(*served, str(folder / "ca.pem")), ("127.0.0.1/32",), bigip=True,
        client_certificate_header="sslclientcert",
    )  # fmt: skip
    thread = LoopThread("upstreams")
    upstream = Upstream(thread, echo).start()
    timeouts = config.Timeouts(handshake_s=60, head_s=60, connect_s=60, drain_finish_s=1.0)
    issuers = (replace(ISSUER, client=SignInClient("door", ""), clients="ours"),)
    chosen = session_settings(folder / "state", listeners=(listener,), issuers=issuers, timeouts=timeouts)
    with session_door(folder / "state", catalog(upstream.url), upstream.url, settings=chosen) as sessions:
        made = World(sessions, upstream, folder / "ca.pem", authority)
        yield made
        trail_says_the_same(made)
    upstream.stop()
    thread.close()


def trail_says_the_same(world: World) -> None:
    """The records of all that was answered: each names whose request it was."""

    def recorded() -> dict[str, str]:
        return {each["path"]: each["subject"] for each in world.sessions.door.records(0)}

    until(lambda: world.expected.keys() <= recorded().keys(), 60)
    found = recorded()
    assert {path: found[path] for path in world.expected} == world.expected


# === one request ===

FORMS = (
    lambda each: quote(each.pem, safe="").encode(),
    lambda each: each.pem.replace(b"\n", b" ").strip(),
    lambda each: b64encode(each.der),
)
Who = tuple[str, Any]  # how it is shown, and whose it is
WHO = st.one_of(
    st.tuples(st.just("token"), st.sampled_from(PEOPLE)),
    st.tuples(st.just("session"), st.integers(0, SESSIONS - 1)),
    st.tuples(st.just("certificate"), st.sampled_from(list(PROGRAMS))),
    st.tuples(st.just("token beside certificate"), st.sampled_from(PEOPLE)),
    st.tuples(st.just("nobody"), st.none()),
    st.tuples(st.just("broken token"), st.sampled_from(PEOPLE)),
    st.tuples(st.just("foreign session"), st.integers(0, SESSIONS - 1)),
    st.tuples(st.just("two certificates"), st.none()),
    st.tuples(st.just("monitor"), st.none()),
)


@dataclass(frozen=True)
class Ask:
    """One request of a plan."""

    connection: int
    who: Who
    method: str
    old: bool  # HTTP/1.0 with keep-alive
    body: str  # "" none, "plain", "chunked", or "smuggled": one that reads like somebody else's request
    waits: bool  # for the answers of what was sent before on the same connection
    breaks_off: bool  # within the body; the connection ends
    form: int


ASKS = st.builds(
    Ask,
    connection=st.integers(0, CONNECTIONS - 1),
    who=WHO,
    method=st.sampled_from(["GET", "GET", "POST", "HEAD"]),
    old=st.sampled_from([False, False, True]),
    body=st.sampled_from(["", "plain", "chunked", "smuggled"]),
    waits=st.booleans(),
    breaks_off=st.sampled_from([False, False, False, True]),
    form=st.integers(0, len(FORMS) - 1),
)


@dataclass
class Sent:
    """What is to be answered on a connection, in this order."""

    path: str
    method: str
    status: int
    was: str  # whom the service has to be told; "" where it is not to be asked
    client: str
    at_s: float


def identity_lines(world: World, who: Who, form: int) -> tuple[bytes, int, str]:
    """What shows it; how it has to be answered, and as whom."""
    kind, whose = who
    written = FORMS[form]
    if kind == "token":
        return b"Authorization: Bearer %b\r\n" % world.tokens[whose], 200, f"user:default/{whose}"
    if kind == "session":
        cookie = world.sessions.control.cookie("echo.test", whose, subject=PEOPLE[whose % len(PEOPLE)])
        said = f"Cookie: a=1; __Host-stagedoor={cookie}; BIGipServerpool=1.2.0000\r\nSec-Fetch-Site: same-origin\r\n"
        return said.encode(), 200, f"user:default/{PEOPLE[whose % len(PEOPLE)]}"
    if kind == "certificate":
        return b"SSLClientCert: %b\r\n" % written(world.programs[whose]), 200, f"component:default/{whose}"
    if kind == "token beside certificate":
        lines = b"SSLClientCert: %b\r\n" % written(world.programs["orders"])
        return lines + b"Authorization: Bearer %b\r\n" % world.tokens[whose], 200, f"user:default/{whose}"
    if kind == "broken token":
        return b"Authorization: Bearer %bx\r\n" % world.tokens[whose], 401, ""
    if kind == "foreign session":  # sealed for another host
        cookie = world.sessions.control.cookie("app.test", whose, subject=PEOPLE[whose % len(PEOPLE)])
        return f"Cookie: __Host-stagedoor={cookie}\r\n".encode(), 401, ""
    if kind == "two certificates":
        both = [written(each) for each in world.programs.values()]
        return b"".join(b"SSLClientCert: %b\r\n" % each for each in both), 400, ""
    return b"", 401, ""


def written(world: World, ask: Ask) -> tuple[bytes, Sent]:
    """The octets of a request."""
    number = next(NUMBERS)
    if ask.who[0] == "monitor":
        return b"GET /.stagedoor/bigip/health HTTP/1.0\r\n\r\n", Sent("", "GET", 200, "", "", time.monotonic())
    path = f"/{number}"
    lines, status, was = identity_lines(world, ask.who, ask.form)
    client = f"203.0.113.{number % 250}"
    lines += f"X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-For: {client}\r\n".encode()
    lines += b"X-Stagedoor-User: user:default/root\r\n"
    version, kept = (b"1.0", b"Connection: Keep-Alive\r\n") if ask.old else (b"1.1", b"Xonnection: close\r\n")
    body = b""
    if ask.method == "POST" and ask.body:
        other = f"GET {path}/smuggled HTTP/1.1\r\nHost: echo.test\r\nAuthorization: Bearer ".encode()
        body = other + world.tokens["bob"] + b"\r\n\r\n" if ask.body == "smuggled" else b"b" * (number % 900 + 1)
        if ask.body == "chunked" and not ask.old:
            lines += b"Transfer-Encoding: chunked\r\n"
            body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
        else:
            lines += b"Content-Length: %d\r\n" % len(body)
    start = b"%b %b HTTP/%b\r\nHost: echo.test\r\n" % (ask.method.encode(), path.encode(), version)
    raw = start + kept + lines + b"\r\n" + body
    if ask.breaks_off and body:
        raw = raw[: -(len(body) // 2 + 1)]
    return raw, Sent(path, ask.method, status, was, client, time.monotonic())


# === the plan, carried out ===


class Shared:
    """One connection of the load balancer, made anew whenever it has ended."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.client: Client | None = None
        self.due: list[Sent] = []

    def send(self, raw: bytes, sent: Sent) -> None:
        if self.client is None:
            self.client = self.world.connect()
        try:
            self.client.send(raw)
        except OSError:  # an answer that is due has ended it
            self.settle()
            self.client = self.world.connect()
            self.client.send(raw)
        self.due.append(sent)

    def settle(self) -> None:
        """Read every answer that is due."""
        due, self.due = self.due, []
        while due and self.client is not None:
            sent = due.pop(0)
            got = self.client.answer(sent.method)
            judge(self.world, sent, got)
            if got.headers.get("connection") == "close":
                self.end()
        for lost in due:  # behind the last answer of a connection nothing is asked in anybody's name
            assert not any(seen.target == lost.path for seen in self.world.upstream.seen)

    def end(self) -> None:
        if self.client is not None:
            self.client.sock.close()
            self.client = None


def judge(world: World, sent: Sent, got: Got) -> None:
    """An answer is that of its request, as whoever sent it."""
    if not sent.path:
        assert got.headers["stagedoor-state"] == "up"
        return
    late = got.status == 503 and time.monotonic() - sent.at_s >= SESSION_WAIT_S  # the machine stood still meanwhile
    assert late or got.status == sent.status, (sent, got.status, got.body[:200])
    if late or not sent.was:
        assert "x-was" not in got.headers, "no service was asked"
        assert sent.method == "HEAD" or got.problem["status"] == got.status
        world.expected[sent.path] = ""
        return
    told = (got.headers["x-was"], got.headers["x-path"], got.headers["x-for"])
    assert told == (sent.was, sent.path, sent.client)
    unit = f"{sent.was} {sent.path} ".encode()
    assert got.body == b"" if sent.method == "HEAD" else got.body == unit * (len(got.body) // len(unit))
    world.expected[sent.path] = sent.was


def carry_out(world: World, plan: list[Ask], shared: list[Shared]) -> None:
    for ask in plan:
        connection = shared[ask.connection]
        if ask.waits:
            connection.settle()
        raw, sent = written(world, ask)
        broken = ask.breaks_off and ask.method == "POST" and ask.body != "" and bool(sent.path)
        if broken:
            connection.settle()  # it ends with the connection, and nobody waits for its answer
        connection.send(raw, sent)
        if broken:
            connection.due.clear()
            connection.end()
    for connection in shared:
        connection.settle()


@pytest.mark.slow
@settings(max_examples=examples(150), deadline=None, suppress_health_check=list(HealthCheck))
@given(plan=st.lists(ASKS, min_size=2, max_size=24))
def test_nobody_is_taken_for_another(world: World, plan: list[Ask]) -> None:
    shared = [Shared(world) for _ in range(CONNECTIONS)]
    try:
        carry_out(world, plan, shared)
    finally:
        for connection in shared:
            connection.end()
    for seen in world.upstream.seen:
        assert not seen.target.endswith("/smuggled")
        names = {name for name, _ in seen.headers}
        assert not {name for name in names if "sslclient" in name or "nection" in name}
        assert "stagedoor" not in (seen.header("cookie") or "").lower()
        assert "bigip" not in (seen.header("cookie") or "").lower()
    faults = [each for each in world.upstream.faults if "peer closed connection" not in each]  # of bodies broken off
    assert faults == []
    world.upstream.seen.clear()
