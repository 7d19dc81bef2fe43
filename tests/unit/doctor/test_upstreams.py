"""Upstreams: asked as a door would ask, over real sockets and TLS, and told in groups."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gateway import config
from gateway.doctor import upstreams as examined
from gateway.doctor.lines import Line
from gateway.doctor.upstreams import endpoints_of, upstreams
from gateway.egress.resolve import Resolver
from gateway.engine.offline import compile_offline
from tests.support.catalogs import people, service, settings, write
from tests.support.certificates import make
from tests.support.ports import free_port


def prepared(
    folder: Path,
    services: Mapping[str, str],
    *,
    networks: tuple[str, ...] = ("127.0.0.0/8",),
    tls: config.UpstreamTls | None = None,
    connect_s: float = 5.0,
) -> config.Settings:
    """Services by name and `upstream` annotation; ``tls`` is every service's."""
    write(folder, "catalog/org.yaml", *people("team"))
    write(folder, "catalog/services.yaml", *(service(name, upstream=urls) for name, urls in services.items()))
    own = {f"component:default/{name}": config.ServiceSettings(tls=tls, connect_s=connect_s) for name in services}
    environment = config.Environment("prod", (".example.com",), networks, own)
    return settings(folder, environments={"prod": environment})


async def lines_of(said: config.Settings) -> list[Line]:
    compiled = compile_offline(said)
    assert not [fault for fault in compiled.faults if fault.severity == "error"]
    lines = list(await upstreams(said, compiled.table))
    assert {line.check for line in lines} == {"upstream"}
    return lines


class Listening:
    """A service that sends nothing, and remembers what it was sent and how many were there at once."""

    def __init__(self) -> None:
        self.heard = b""
        self.most = 0
        self.ports: list[int] = []
        self._open: set[asyncio.StreamWriter] = set()
        self._servers: list[asyncio.Server] = []

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        self.most = max(self.most, len(self._open))
        try:
            while piece := await reader.read(4096):
                self.heard += piece
        except OSError:
            pass
        self._open.discard(writer)
        writer.close()

    @property
    def port(self) -> int:
        return self.ports[0]

    async def start(self, context: ssl.SSLContext | None) -> None:
        server = await asyncio.start_server(self.take, "127.0.0.1", 0, ssl=context)
        self._servers.append(server)
        self.ports.append(server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        for server in self._servers:
            server.close()
        for _ in range(20):  # turns, in which connections arrive and end
            for writer in self._open:
                writer.transport.abort()
            await asyncio.sleep(0)


@asynccontextmanager
async def listening(context: ssl.SSLContext | None = None, *, ports: int = 1) -> AsyncIterator[Listening]:
    service = Listening()
    for _ in range(ports):
        await service.start(context)
    try:
        yield service
    finally:
        await service.close()


def test_endpoints_that_can_be_connected_to_are_one_line(tmp_path: Path) -> None:
    async def scene() -> None:
        async with listening() as one, listening() as two:
            first, second = f"http://127.0.0.1:{one.port}", f"http://127.0.0.1:{two.port}"
            services = {"a": first, "b": f"{first},{second}"}
            (line,) = await lines_of(prepared(tmp_path, services))
            assert (line.subject, line.verdict, line.found) == ("prod", "OK", "2 endpoints of 2 well")
        assert one.heard + two.heard == b"", "no request is sent"

    asyncio.run(scene())


def test_a_dead_network_takes_one_line_however_many_services_are_behind_it(tmp_path: Path) -> None:
    services = {f"s{number}": f"http://127.0.0.1:{free_port()}" for number in range(7)}
    (line,) = asyncio.run(lines_of(prepared(tmp_path, services)))
    assert (line.verdict, line.found.count("connection refused")) == ("FAIL", 3)
    assert line.found.startswith("7 endpoints unreachable: http://127.0.0.1:")
    assert line.found.endswith("and 4 more")


def test_a_service_with_another_endpoint_is_worth_a_look_and_no_failure(tmp_path: Path) -> None:
    async def scene() -> None:
        async with listening() as there:
            services = {"a": f"http://127.0.0.1:{there.port},http://127.0.0.1:{free_port()}"}
            well, dead = await lines_of(prepared(tmp_path, services))
            assert (well.verdict, dead.verdict) == ("OK", "WARN")
            assert dead.found.endswith("; the services have others")

    asyncio.run(scene())


def test_an_address_that_the_environment_does_not_allow_is_not_asked(tmp_path: Path) -> None:
    """`localhost` is allowed by name, and what it leads to is not."""

    async def scene() -> None:
        async with listening() as there:
            said = prepared(tmp_path, {"a": f"http://localhost:{there.port}"}, networks=("localhost",))
            (line,) = await lines_of(said)
            assert (line.verdict, "1 endpoint refused" in line.found) == ("FAIL", True)
            assert "special address" in line.found
            assert "environments.prod.upstreams" in line.fix

    asyncio.run(scene())


def test_a_name_without_an_answer_is_told_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def look_up(host: str) -> list[str]:
        raise OSError(-2, "Name or service not known")

    monkeypatch.setattr(examined, "Resolver", lambda said, clock: Resolver(said, clock, look_up))
    said = prepared(tmp_path, {"a": "http://gone.internal:80"}, networks=(".internal",))
    (line,) = asyncio.run(lines_of(said))
    assert (line.verdict, "1 endpoint unknown" in line.found) == ("FAIL", True)


# === TLS ===


@pytest.fixture
def server_tls(tmp_path: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*make(tmp_path / "certs", "service", "pay.localhost", "127.0.0.1"))
    return context


@pytest.mark.parametrize(
    ("ca", "server_name", "verdict", "said"),
    [
        ("certs/ca.pem", "", "OK", "1 endpoint of 1 well"),
        ("certs/ca.pem", "pay.localhost", "OK", "1 endpoint of 1 well"),
        ("certs/ca.pem", "other.localhost", "FAIL", "certificate is for another name"),
        ("", "", "FAIL", "not trusted here"),
        ("certs/absent.pem", "", "FAIL", "absent.pem"),
    ],
)
def test_tls_is_verified_as_a_door_verifies_it(
    tmp_path: Path, server_tls: ssl.SSLContext, ca: str, server_name: str, verdict: str, said: str
) -> None:
    async def scene() -> None:
        async with listening(server_tls) as there:
            tls = config.UpstreamTls(str(tmp_path / ca) if ca else "", server_name=server_name)
            (line,) = await lines_of(prepared(tmp_path, {"a": f"https://127.0.0.1:{there.port}"}, tls=tls))
            assert line.verdict == verdict
            assert said in line.found
            assert ("`tls`" in line.fix) is (verdict == "FAIL")

    asyncio.run(scene())


def test_a_service_that_never_shakes_hands_costs_its_own_time_alone(tmp_path: Path) -> None:
    async def scene() -> None:
        async with listening() as silent, listening() as quick:
            services = {"a": f"https://127.0.0.1:{silent.port}", "b": f"http://127.0.0.1:{quick.port}"}
            well, dead = await lines_of(prepared(tmp_path, services, connect_s=0.2))
            assert (well.verdict, dead.verdict) == ("OK", "FAIL")
            assert "within 0.2 s" in dead.found

    asyncio.run(scene())


def test_what_the_budget_leaves_out_is_told_as_untried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examined, "BUDGET_S", 0.2)

    async def scene() -> None:
        async with listening() as silent:
            (line,) = await lines_of(prepared(tmp_path, {"a": f"https://127.0.0.1:{silent.port}"}))
            assert (line.verdict, "1 endpoint untried" in line.found) == ("WARN", True)

    asyncio.run(scene())


def test_no_more_are_asked_at_once_than_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Services that answer no handshake hold whoever asks until their time is over."""
    monkeypatch.setattr(examined, "AT_ONCE", 4)

    async def scene() -> None:
        async with listening(ports=9) as silent:
            services = {f"s{port}": f"https://127.0.0.1:{port}" for port in silent.ports}
            (line,) = await lines_of(prepared(tmp_path, services, connect_s=0.2))
            assert line.found.startswith("9 endpoints unreachable")
            assert silent.most == 4

    asyncio.run(scene())


def test_doors_own_pages_are_no_upstream(tmp_path: Path) -> None:
    said = prepared(tmp_path, {})
    assert endpoints_of(said, compile_offline(said).table) == {}
    (line,) = asyncio.run(lines_of(said))
    assert (line.verdict, line.found) == ("OK", "none is published")
