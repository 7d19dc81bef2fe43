"""TLS on both sides: callers are served the listener's certificate, upstreams are verified, renewals are careful."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import ssl
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from gateway import config
from tests.integration.conftest import request
from tests.support.certificates import make
from tests.support.door import LoopThread, RunningDoor, running_door, settings_for, until
from tests.support.faulty import answer
from tests.support.small_catalog import publish_small_catalog
from tests.support.upstream import Upstream
from tests.support.wire import Client


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`ca.pem` and two leaves of it, `door` and `upstream`."""
    folder = tmp_path_factory.mktemp("certificates")
    for leaf, name in (("door", "echo.localhost"), ("upstream", "upstream.localhost")):
        make(folder, leaf, name)
    return folder


@pytest.fixture
def tls_door(tmp_path: Path, upstream: Upstream, certificates: Path) -> Iterator[RunningDoor]:
    for name in ("door.pem", "door.key"):
        shutil.copy(certificates / name, tmp_path / name)
    tls = config.ListenerTls(str(tmp_path / "door.pem"), str(tmp_path / "door.key"))
    state = tmp_path / "state"
    settings = settings_for(state, listeners=(config.Listener("main", "127.0.0.1:0", tls),))
    with running_door(
        state, publish=lambda folder: publish_small_catalog(folder, upstream.url), settings=settings
    ) as running:
        yield running


def tls_client(door: RunningDoor, ca: Path, **changes: ssl.TLSVersion) -> Client:
    context = ssl.create_default_context(cafile=str(ca))
    for name, value in changes.items():
        setattr(context, name, value)
    client = Client(door.port)
    client.sock = context.wrap_socket(client.sock, server_hostname="echo.localhost")
    return client


def served_certificate(door: RunningDoor) -> str:
    return ssl.get_server_certificate(("127.0.0.1", door.port))


def test_callers_are_served_over_tls_and_upstreams_are_told_so(
    tls_door: RunningDoor, upstream: Upstream, certificates: Path
) -> None:
    with tls_client(tls_door, certificates / "ca.pem") as client:
        for size in (0, 200_000):
            got = client.send(request(method="POST", body=b"x" * size)).answer("POST")
            assert got.status == 200
    assert upstream.seen[0].header("x-forwarded-proto") == "https"
    assert len(upstream.seen[1].body) == 200_000


def test_long_answers_at_once_are_each_their_own(tls_door: RunningDoor, upstream: Upstream, certificates: Path) -> None:
    upstream.answer = lambda seen: answer(Random(seen.target).randbytes(3_000_000))
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(tls_client(tls_door, certificates / "ca.pem")) for _ in range(4)]
        for n, client in enumerate(clients):
            client.send(request(f"/{n}"))
        for n, client in enumerate(clients):
            assert client.answer().body == Random(f"/{n}").randbytes(3_000_000)


def test_a_handshake_that_never_ends_and_plain_http_on_a_tls_port_harm_nobody(
    tls_door: RunningDoor, certificates: Path
) -> None:
    with tls_door.connect() as silent, tls_door.connect() as plain:
        plain.sendall(request())
        with tls_client(tls_door, certificates / "ca.pem") as client:
            assert client.send(request()).answer().status == 200
        assert b"HTTP/1.1 200" not in plain.recv(4096)
        silent.close()


def test_versions_before_tls_1_2_are_refused(tls_door: RunningDoor, certificates: Path) -> None:
    with pytest.warns(DeprecationWarning, match="TLSv1"), pytest.raises((ssl.SSLError, ConnectionResetError)):
        tls_client(
            tls_door,
            certificates / "ca.pem",
            minimum_version=ssl.TLSVersion.TLSv1,
            maximum_version=ssl.TLSVersion.TLSv1_1,
        )


def test_a_reload_serves_the_renewed_certificate_and_a_broken_renewal_changes_nothing(
    tls_door: RunningDoor, certificates: Path
) -> None:
    tls = tls_door.door.settings.listeners[0].tls
    assert tls is not None
    frame = "settings-test.frame"
    (tls_door.state / frame).write_bytes(config.encode(tls_door.door.settings))
    before = served_certificate(tls_door)

    Path(tls.certificate).write_text("-----BEGIN CERTIFICATE-----\nnot one\n-----END CERTIFICATE-----\n")
    settings = tls_door.door.settings
    tls_door.tell(f"settings {frame}")
    tls_door.tell(f"settings {frame}")  # the second is read after the first was refused
    assert served_certificate(tls_door) == before
    assert tls_door.door.settings is settings

    for ending in ("pem", "key"):
        shutil.copy(certificates / f"upstream.{ending}", Path(tls.certificate).with_suffix(f".{ending}"))
    tls_door.tell(f"settings {frame}")
    until(lambda: served_certificate(tls_door) != before)


class TlsUpstream(Upstream):
    """An upstream behind TLS, with the certificate of `upstream.localhost`."""

    folder = Path()

    async def _listen(self, port: int) -> asyncio.Server:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.folder / "upstream.pem", self.folder / "upstream.key")
        return await asyncio.start_server(self._serve, "127.0.0.1", port, ssl=context)


@pytest.mark.parametrize(
    ("tls", "answer"),
    [
        (config.UpstreamTls(ca="ca.pem", server_name="upstream.localhost"), (200, "")),
        (config.UpstreamTls(ca="ca.pem", server_name="other.localhost"), (502, "upstream_connect")),
        (config.UpstreamTls(server_name="upstream.localhost"), (502, "upstream_connect")),
    ],
    ids=["our authority and the right name", "another name", "an authority nobody trusts"],
)
def test_upstreams_behind_tls_are_verified(
    tmp_path: Path, rest: LoopThread, certificates: Path, tls: config.UpstreamTls, answer: tuple[int, str]
) -> None:
    secure = TlsUpstream(rest)
    secure.folder = certificates
    secure.start()
    if tls.ca:
        tls = replace(tls, ca=str(certificates / tls.ca))
    services = {"component:default/echo": config.ServiceSettings(tls=tls)}
    state = tmp_path / "state"
    settings = settings_for(
        state, environments={"prod": config.Environment("prod", (".test",), ("127.0.0.0/8",), services)}
    )
    url = f"https://127.0.0.1:{secure.port}"
    with (
        running_door(state, publish=lambda folder: publish_small_catalog(folder, url), settings=settings) as door,
        Client(door.port) as client,
    ):
        got = client.send(request()).answer()
        assert (got.status, "" if got.status == 200 else got.code) == answer
    secure.stop()
