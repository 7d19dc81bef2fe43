"""Programs that come with a certificate: whose it is on a direct listener, whose behind a trusted peer, and when it is
nobody's. What programs must show beside being allowed is asked here too, with real addresses and real handshakes."""

from __future__ import annotations

import socket
import ssl
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from gateway import config
from policy.facts import Catalog
from tests.integration.conftest import token
from tests.support.client_authority import SERVER_AUTH, Certified, ClientAuthority, client_context, dns, uri
from tests.support.door import ISSUER, RunningDoor, running_door, settings_for, until
from tests.support.small_catalog import POLICY, publish, service, small_catalog
from tests.support.upstream import Upstream
from tests.support.wire import Client, Got

PAYMENTS = "spiffe://marlow.example/ns/money/sa/payments"
ORDERS = "dns:orders.example"
# However busy the machine is.
PATIENT = config.Timeouts(handshake_s=60, head_s=60, connect_s=60, drain_finish_s=1.0)


class Certificates:
    """The authorities of one test, and files for the door's listener."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clients = ClientAuthority("clients", now=time.time())
        self.servers = ClientAuthority("servers", now=time.time())
        self.ca = folder / "clients.pem"
        self.trust(self.clients)
        (folder / "servers.pem").write_bytes(self.servers.own.pem)
        self.served = self.servers.leaf(dns("echo.test"), uses=(SERVER_AUTH,)).write(folder, "door")
        self._written = 0

    def trust(self, *authorities: ClientAuthority) -> None:
        self.ca.write_bytes(b"".join(each.own.pem for each in authorities))

    def tls(self) -> config.ListenerTls:
        return config.ListenerTls(*self.served, str(self.ca))

    def client(self, door: RunningDoor, shown: Certified | None) -> Client:
        """A connection on which ``shown`` was shown."""
        files = None
        if shown is not None:
            self._written += 1
            files = shown.write(self.folder, f"client-{self._written}")
        client = Client(door.port, 30)
        context = client_context(str(self.folder / "servers.pem"), files)
        client.sock = context.wrap_socket(client.sock, server_hostname="echo.test")
        return client


def catalog(url: str) -> Catalog:
    small = small_catalog(url)
    programs = [
        service("payments", (url,), "everyone", client_ids={"": PAYMENTS}),
        service("orders", (url,), "everyone", client_ids={"": ORDERS}),
        service("cli", (url,), "everyone", client_ids={"": "cli"}),
    ]
    return Catalog(small.people, small.teams, {**small.services, **{each.ref: each for each in programs}})


@contextmanager
def listening(
    certificates: Certificates, upstream: Upstream, listener: config.Listener, policy: object = None
) -> Iterator[RunningDoor]:
    state = certificates.folder / "state"
    with running_door(
        state,
        publish=lambda folder: publish(folder, catalog(upstream.url), policy),
        settings=settings_for(
            state, listeners=(listener,), issuers=(replace(ISSUER, clients="ours"),), timeouts=PATIENT
        ),
    ) as door:
        yield door


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    return Certificates(tmp_path)


@pytest.fixture
def direct(certificates: Certificates, upstream: Upstream) -> Iterator[RunningDoor]:
    listener = config.Listener("main", "127.0.0.1:0", certificates.tls(), direct=True)
    with listening(certificates, upstream, listener) as door:
        yield door


def behind(certificates: Certificates) -> config.Listener:
    return config.Listener(
        "main",
        "127.0.0.1:0",
        certificates.tls(),
        trusted_peers=("127.0.0.1/32",),
        client_certificate_header="x-client-cert",
    )


def asked(lines: bytes = b"", bearer: bytes = b"", host: str = "echo.test") -> bytes:
    identity = b"Authorization: Bearer " + bearer + b"\r\n" if bearer else b""
    return f"GET / HTTP/1.1\r\nHost: {host}\r\n".encode() + identity + lines + b"\r\n"


def passed(shown: Certified) -> bytes:
    return b"X-Client-Cert: " + shown.field + b"\r\n"


def refused_in_handshake(connect: Callable[[], Client]) -> bool:
    """TLS 1.3 tells a client only when it reads."""
    try:
        with connect() as client:
            client.send(asked()).answer()
    except (ssl.SSLError, ConnectionError):
        return True
    return False


def program_token(client: str = "cli") -> bytes:
    return token(sub=client, client_id=client, gty="client-credentials")


# === direct ===


def test_a_certificate_is_the_program_that_names_it(
    direct: RunningDoor, upstream: Upstream, certificates: Certificates
) -> None:
    with certificates.client(direct, certificates.clients.leaf(uri(PAYMENTS), common_name="root")) as client:
        for _ in range(2):
            assert client.send(asked(b"X-Stagedoor-User: user:default/jane\r\n")).answer().status == 200
    with certificates.client(direct, certificates.clients.leaf(dns("orders.example"))) as client:
        assert client.send(asked()).answer().status == 200
    users = [seen.header("x-stagedoor-user") for seen in upstream.seen]
    assert users == ["component:default/payments"] * 2 + ["component:default/orders"]
    assert upstream.seen[0].header("x-stagedoor-issuer") is None
    record = direct.records(3)[0]
    assert (record["subject"], record["sub"], record["client_id"]) == (users[0], PAYMENTS, PAYMENTS)
    assert record["key_id"].startswith("x5t:")
    assert len(record["key_id"]) == 4 + 43


def test_without_a_certificate_of_our_authorities_there_is_no_connection(
    direct: RunningDoor, certificates: Certificates
) -> None:
    stranger = ClientAuthority("clients", now=time.time())  # of the same name
    expired = certificates.clients.leaf(uri(PAYMENTS), ends_s=-10)
    for_servers = certificates.clients.leaf(uri(PAYMENTS), uses=(SERVER_AUTH,))
    for shown in (None, stranger.leaf(uri(PAYMENTS)), expired, for_servers, certificates.servers.leaf(uri(PAYMENTS))):
        assert refused_in_handshake(lambda shown=shown: certificates.client(direct, shown))  # type: ignore[misc]  # bound in this turn


@pytest.mark.parametrize(
    "names", [(), ("spiffe://marlow.example/other",), ("dns:cli",), ("https://payments.example/",)]
)
def test_a_certificate_that_names_no_component_is_known_to_nobody(
    direct: RunningDoor, upstream: Upstream, certificates: Certificates, names: tuple[str, ...]
) -> None:
    """An OAuth client id of the same text is not meant by a machine's name."""
    made = [dns(each.removeprefix("dns:")) if each.startswith("dns:") else uri(each) for each in names]
    with certificates.client(direct, certificates.clients.leaf(*made)) as client:
        got = client.send(asked()).answer()
    assert (got.status, got.code) == (403, "identity_unknown")
    assert upstream.seen == []
    assert direct.records(1)[0]["sub"] == (names[0] if names else "")


def test_two_spiffe_ids_are_no_identity(direct: RunningDoor, certificates: Certificates) -> None:
    both = certificates.clients.leaf(uri(PAYMENTS), uri("spiffe://marlow.example/other"))
    with certificates.client(direct, both) as client:
        assert client.send(asked()).answer().code == "identity_unknown"
    two = certificates.clients.leaf(uri(PAYMENTS), dns("orders.example"))
    with certificates.client(direct, two) as client:
        assert client.send(asked()).answer().code == "identity_ambiguous"


def test_beside_a_token_the_token_says_who(direct: RunningDoor, upstream: Upstream, certificates: Certificates) -> None:
    with certificates.client(direct, certificates.clients.leaf(uri(PAYMENTS))) as client:
        assert client.send(asked(bearer=token())).answer().status == 200
        assert client.send(asked(bearer=token(exp=1))).answer().code == "token_expired", "a broken token is none"
        assert client.send(asked()).answer().status == 200
    assert [seen.header("x-stagedoor-user") for seen in upstream.seen] == [
        "user:default/jane", "component:default/payments",
    ]  # fmt: skip


def test_every_connection_shows_its_certificate_anew(direct: RunningDoor, certificates: Certificates) -> None:
    """No session is resumed, no certificate travels in the clear."""
    files = certificates.clients.leaf(uri(PAYMENTS)).write(certificates.folder, "again")
    context = client_context(str(certificates.folder / "servers.pem"), files)
    session: ssl.SSLSession | None = None
    for _ in range(2):
        plain = socket.create_connection(("127.0.0.1", direct.port), 5)
        with context.wrap_socket(plain, server_hostname="echo.test", session=session) as sock:
            sock.sendall(asked())
            assert sock.recv(64).startswith(b"HTTP/1.1 200")
            assert not sock.session_reused
            session = sock.session
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(ssl.SSLError):
        context.wrap_socket(socket.create_connection(("127.0.0.1", direct.port), 5), server_hostname="echo.test")


def test_a_certificate_that_ends_while_its_connection_is_open_is_nobodys(
    direct: RunningDoor, certificates: Certificates
) -> None:
    ends = int(time.time()) + 600
    short = certificates.clients.leaf(uri(PAYMENTS), ends_s=ends - certificates.clients.now)
    with certificates.client(direct, short) as client:
        assert client.send(asked()).answer().status == 200
        direct.skip_to(ends + 1)
        assert client.send(asked()).answer().code == "identity_required"


def test_a_reload_takes_an_authority_away_from_open_connections_too(
    direct: RunningDoor, certificates: Certificates
) -> None:
    other = ClientAuthority("others", now=time.time())
    old, new = certificates.clients.leaf(uri(PAYMENTS)), other.leaf(uri(PAYMENTS))
    frame = "settings-test.frame"
    (direct.state / frame).write_bytes(config.encode(direct.door.settings))
    with certificates.client(direct, old) as client:
        assert client.send(asked()).answer().status == 200
        assert refused_in_handshake(lambda: certificates.client(direct, new))
        certificates.ca.write_text("no certificate")
        settings = direct.door.settings
        direct.tell(f"settings {frame}")
        assert client.send(asked()).answer().status == 200, "a broken file changes nothing"
        certificates.trust(other)
        direct.tell(f"settings {frame}")
        until(lambda: direct.door.settings is not settings)
        assert client.send(asked()).answer().code == "identity_required"
        assert refused_in_handshake(lambda: certificates.client(direct, old))
        with certificates.client(direct, new) as after:
            assert after.send(asked()).answer().status == 200


def test_a_denied_program_is_denied_by_certificate_too(direct: RunningDoor, certificates: Certificates) -> None:
    direct.control.denied = ["component:default/payments"]
    direct.control.publish()
    with certificates.client(direct, certificates.clients.leaf(uri(PAYMENTS))) as client:
        assert client.send(asked()).answer().code == "denied"


# === behind a trusted peer ===


def test_a_trusted_peer_passes_on_whose_certificate_it_saw_request_by_request(
    certificates: Certificates, upstream: Upstream
) -> None:
    """One connection of a load balancer carries several clients; its own certificate is none of theirs."""
    hop = certificates.clients.leaf(uri(PAYMENTS))
    orders = certificates.clients.leaf(dns("orders.example"))
    with listening(certificates, upstream, behind(certificates)) as door, certificates.client(door, hop) as client:
        assert client.send(asked(passed(hop))).answer().status == 200
        assert client.send(asked(passed(orders))).answer().status == 200
        assert client.send(asked()).answer().code == "identity_required"
        assert client.send(asked(passed(orders), bearer=token())).answer().status == 200
    assert [seen.header("x-stagedoor-user") for seen in upstream.seen] == [
        "component:default/payments", "component:default/orders", "user:default/jane",
    ]  # fmt: skip
    assert [seen.header("x-client-cert") for seen in upstream.seen] == [None] * 3


def test_what_a_peer_passes_on_is_verified_here(
    certificates: Certificates, upstream: Upstream, capfd: pytest.CaptureFixture[str]
) -> None:
    good = certificates.clients.leaf(uri(PAYMENTS))
    stranger = ClientAuthority("clients", now=time.time()).leaf(uri(PAYMENTS))
    expired = certificates.clients.leaf(uri(PAYMENTS), ends_s=-10)
    fields = [
        passed(stranger), passed(expired), b"X-Client-Cert: " + good.der.hex().encode() + b"\r\n",
        b"X-Client-Cert: \r\n", b"X-Client_Cert: " + good.field + b"\r\n",
    ]  # fmt: skip
    with listening(certificates, upstream, behind(certificates)) as door, certificates.client(door, good) as client:
        for lines in fields:
            assert client.send(asked(lines)).answer().code == "identity_required", lines[:40]
    assert upstream.seen == []
    said = [line for line in capfd.readouterr().err.splitlines() if "client_certificate_refused" in line]
    assert len(said) == 1, "said once in a while, not for every request"


def flattened(shown: Certified) -> bytes:
    """As an iRule writes it that puts `X509::whole` into a field: a header has no lines."""
    return shown.pem.replace(b"\n", b" ").strip()


def test_a_certificate_comes_in_the_form_that_a_load_balancer_writes(
    certificates: Certificates, upstream: Upstream
) -> None:
    """PEM in one line, base64 alone, percent-encoded; under mod_ssl's names, of which the others stop here."""
    listener = replace(behind(certificates), client_certificate_header="sslclientcert")
    orders = certificates.clients.leaf(dns("orders.example"))
    status = b"SSLClientCertStatus: ok\r\nSSLClientCertSubject: CN=root\r\n"
    with listening(certificates, upstream, listener) as door, certificates.client(door, orders) as client:
        for written in (flattened(orders), b64encode(orders.der), orders.field):
            assert client.send(asked(b"SSLClientCert: " + written + b"\r\n" + status)).answer().status == 200
        assert client.send(asked(passed(orders) + status)).answer().code == "identity_required"
    assert {seen.header("x-stagedoor-user") for seen in upstream.seen} == {"component:default/orders"}
    assert not [name for seen in upstream.seen for name, _ in seen.headers if "ssl" in name or "cert" in name]


def test_two_certificates_are_a_request_that_nobody_answers_for(certificates: Certificates, upstream: Upstream) -> None:
    """An iRule that inserts, where it should replace, leaves the client's copy beside its own: which is which?"""
    good, other = certificates.clients.leaf(uri(PAYMENTS)), certificates.clients.leaf(dns("orders.example"))
    joined = b"X-Client-Cert: " + flattened(good) + b", " + flattened(other) + b"\r\n"
    with listening(certificates, upstream, behind(certificates)) as door:
        for lines in (passed(good) * 2, passed(good) + passed(other), passed(good) + b"X-Client-Cert: \r\n", joined):
            for bearer in (b"", token()):
                with certificates.client(door, good) as client:
                    got = client.send(asked(lines, bearer=bearer)).answer()
                    assert (got.status, got.code, got.headers["connection"]) == (400, "request_malformed", "close")
                    assert got.problem["detail"] == "the field with the client's certificate came twice"
    assert upstream.seen == []


def test_a_peer_that_is_not_trusted_passes_on_nothing(certificates: Certificates, upstream: Upstream) -> None:
    good = certificates.clients.leaf(uri(PAYMENTS))
    listener = replace(behind(certificates), trusted_peers=("192.0.2.0/24",))
    with listening(certificates, upstream, listener) as door, certificates.client(door, good) as client:
        for lines in (passed(good), passed(good) * 2):
            assert client.send(asked(lines)).answer().code == "identity_required"
            assert client.send(asked(lines, bearer=token())).answer().status == 200
    assert not any(seen.header("x-client-cert") for seen in upstream.seen)


def test_on_a_direct_listener_no_field_is_read(
    direct: RunningDoor, upstream: Upstream, certificates: Certificates
) -> None:
    orders = certificates.clients.leaf(dns("orders.example"))
    with certificates.client(direct, certificates.clients.leaf(uri(PAYMENTS))) as client:
        assert client.send(asked(passed(orders))).answer().status == 200
    assert upstream.seen[0].header("x-stagedoor-user") == "component:default/payments"


# === what programs must show ===


def asking_for(*demands: object) -> dict[str, object]:
    prod = {**POLICY["environments"]["prod"], "workloads": {"require": list(demands)}}  # type: ignore[index]  # a mapping
    return {"version": 1, "environments": {"prod": prod}}


def answer_of(client: Client, request: bytes) -> tuple[int, str]:
    got: Got = client.send(request).answer()
    return got.status, "" if got.status == 200 else got.code


def test_a_program_shows_a_certificate_that_is_not_another_ones(certificates: Certificates, upstream: Upstream) -> None:
    """A token beside another program's certificate is what a stolen token looks like."""
    listener = config.Listener("main", "127.0.0.1:0", certificates.tls(), direct=True)
    unmet = (403, "requirement_unmet")
    with listening(certificates, upstream, listener, asking_for("certificate")) as door:
        with certificates.client(door, certificates.clients.leaf(uri("spiffe://marlow.example/machine"))) as machine:
            assert answer_of(machine, asked(bearer=program_token())) == (200, "")
            assert answer_of(machine, asked()) == (403, "identity_unknown")
        with certificates.client(door, certificates.clients.leaf(uri(PAYMENTS))) as payments:
            assert answer_of(payments, asked()) == (200, "")
            assert answer_of(payments, asked(bearer=program_token())) == unmet
            assert answer_of(payments, asked(bearer=token())) == (200, ""), "people are not asked"
        both = certificates.clients.leaf(uri(PAYMENTS), dns("orders.example"))
        with certificates.client(door, both) as doubtful:
            assert answer_of(doubtful, asked(bearer=program_token())) == unmet


def test_without_a_certificate_a_program_that_must_show_one_is_told_so(
    certificates: Certificates, upstream: Upstream
) -> None:
    listener = config.Listener("main", "127.0.0.1:0")
    with listening(certificates, upstream, listener, asking_for("certificate")) as door, Client(door.port) as client:
        got = client.send(asked(bearer=program_token())).answer()
    assert (got.status, got.code) == (403, "requirement_unmet")
    assert got.problem["detail"] == "a verified client certificate"
    assert upstream.seen == []


@pytest.mark.parametrize(
    ("networks", "trusted", "forwarded", "status"),
    [
        (["127.0.0.0/8"], (), b"", 200),
        (["10.0.0.0/8"], (), b"", 403),
        (["10.0.0.0/8"], (), b"X-Forwarded-For: 10.1.2.3\r\n", 403),
        (["10.0.0.0/8", "192.0.2.0/24"], ("127.0.0.1/32",), b"X-Forwarded-For: 10.1.2.3\r\n", 200),
        (["10.0.0.0/8"], ("127.0.0.1/32",), b"X-Forwarded-For: 10.1.2.3, 203.0.113.9\r\n", 403),
        (["10.0.0.0/8"], ("127.0.0.1/32",), b"X-Forwarded-For: 203.0.113.9\r\n", 403),
        (["127.0.0.0/8"], ("127.0.0.1/32",), b"X-Forwarded-For: 203.0.113.9\r\n", 403),
    ],
)
def test_a_program_calls_from_an_allowed_network(
    certificates: Certificates,
    upstream: Upstream,
    networks: list[str],
    trusted: tuple[str, ...],
    forwarded: bytes,
    status: int,
) -> None:
    """The client's address counts, as far as those who say it are trusted; which networks are allowed is not told."""
    listener = config.Listener("main", "127.0.0.1:0", trusted_peers=trusted)
    policy = asking_for({"network": networks})
    with listening(certificates, upstream, listener, policy) as door, Client(door.port) as client:
        got = client.send(asked(forwarded, bearer=program_token())).answer()
        assert got.status == status
        if status == 403:
            assert got.problem["detail"] == "an address in an allowed network"
        assert client.send(asked(forwarded, bearer=token())).answer().status == 200, "people are not asked"


@pytest.mark.parametrize(("names", "status"), [(["other", "test"], 200), (["other"], 403)])
def test_a_program_brings_a_token_of_an_allowed_issuer(
    certificates: Certificates, upstream: Upstream, names: list[str], status: int
) -> None:
    listener = config.Listener("main", "127.0.0.1:0", certificates.tls(), direct=True)
    machine = certificates.clients.leaf(uri(PAYMENTS))
    policy = asking_for({"issuer": names})
    with listening(certificates, upstream, listener, policy) as door, certificates.client(door, machine) as client:
        assert client.send(asked(bearer=program_token())).answer().status == status
        assert client.send(asked()).answer().code == "requirement_unmet", "a certificate has no issuer of tokens"
