"""What clients meet at a BIG-IP: names that lead elsewhere, certificates that cover too little or end, nobody there."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from gateway import config
from gateway.config.devices import Devices
from gateway.doctor.examination import examine
from gateway.doctor.fronts import certificate_lines, host_lines
from gateway.doctor.lines import Line
from gateway.egress import look_ups
from gateway.egress.look_ups import Names
from gateway.engine.offline import compile_offline
from tests.support.catalogs import people, service, settings, write
from tests.support.certificates import make
from tests.support.declarations import device, environment
from tests.support.ports import free_port

ZONE: dict[str, list[str]] = {}


@pytest.fixture(autouse=True)
def zone(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """A name server that knows what a test says."""

    def look_up(host: str) -> list[str]:
        if host not in ZONE:
            raise OSError(-2, "Name or service not known")
        return ZONE[host]

    ZONE.clear()
    monkeypatch.setattr(look_ups, "system_look_up", look_up)
    return ZONE


def published(name: str, **said: Any) -> Any:
    return service(name, host=f"{name}.localhost", **said)


def prepared(folder: Path, *services: Any, **at: Any) -> config.Settings:
    write(folder, "catalog/all.yaml", *people("team"), *(services or (published("a"), published("b"))))
    usual = {"networks": ("127.0.0.0/24",), "virtual_address": "127.0.0.1"}
    devices = Devices((device(environment(**usual | at)),))
    bounds = {"prod": config.Environment("prod", (".localhost",), ("10.0.0.0/8",), virtual_networks=("127.0.0.0/24",))}
    return settings(folder, devices=devices, environments=bounds)


def hosts(said: config.Settings) -> Line:
    (line,) = asyncio.run(_hosts(said))
    assert line.check == "dns"
    return line


async def _hosts(said: config.Settings) -> Sequence[Line]:
    return await host_lines(said, compile_offline(said), Names())


def certificate(said: config.Settings) -> Line:
    (line,) = asyncio.run(_certificates(said))
    assert line.check == "tls"
    return line


async def _certificates(said: config.Settings) -> Sequence[Line]:
    return await certificate_lines(said, compile_offline(said))


def served(folder: Path, names_of: dict[str, tuple[str, ...]], days_left: int = 90, **at: Any) -> Line:
    """The line where a virtual server shows, by the host that is asked for, a certificate for these names."""

    async def look() -> Line:
        contexts = {}
        for host, named in names_of.items():
            contexts[host] = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            contexts[host].load_cert_chain(*make(folder / "tls", host or "first", *named, days_left=days_left))

        def choose(connection: ssl.SSLObject, host: str, _: ssl.SSLContext) -> None:
            connection.context = contexts.get(host, contexts[""])

        contexts[""].sni_callback = choose
        server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0, ssl=contexts[""])
        async with server:
            port = server.sockets[0].getsockname()[1]
            (line,) = await _certificates(prepared(folder, port=port, **at))
            return line

    return asyncio.run(look())


def test_hosts_that_lead_to_their_virtual_server_are_well(tmp_path: Path, zone: dict[str, list[str]]) -> None:
    zone |= {"a.localhost": ["127.0.0.1"], "b.localhost": ["127.0.0.1"]}
    line = hosts(prepared(tmp_path))
    assert (line.subject, line.verdict, line.found) == ("hosts of prod", "OK", "2: all lead to their virtual server")


def test_a_host_that_leads_elsewhere_is_named(tmp_path: Path, zone: dict[str, list[str]]) -> None:
    """Also one of which every second call goes elsewhere."""
    zone |= {"a.localhost": ["127.0.0.1", "192.0.2.9"], "b.localhost": ["192.0.2.9"]}
    line = hosts(prepared(tmp_path))
    assert line.verdict == "WARN"
    assert "a.localhost (127.0.0.1, 192.0.2.9 instead of 127.0.0.1)" in line.found
    assert "b.localhost (192.0.2.9 instead of 127.0.0.1)" in line.found


def test_a_host_with_an_address_of_its_own_leads_there(tmp_path: Path, zone: dict[str, list[str]]) -> None:
    zone |= {"a.localhost": ["127.0.0.9"], "b.localhost": ["127.0.0.9"]}
    own = published("a", **{"virtual-address": "127.0.0.9"})
    line = hosts(prepared(tmp_path, own, published("b")))
    assert line.found == ("1 of 2 do not lead to their virtual server: b.localhost (127.0.0.9 instead of 127.0.0.1)")


def test_of_two_devices_either_is_right(tmp_path: Path, zone: dict[str, list[str]]) -> None:
    zone |= {"a.localhost": ["127.0.0.1"], "b.localhost": ["127.0.0.1", "127.0.0.2"]}
    said = prepared(tmp_path)
    both = Devices((*said.devices.bigip, device(environment(virtual_address="127.0.0.2"), name="dc2")))
    assert hosts(settings(tmp_path, devices=both, environments=said.environments)).verdict == "OK"


def test_a_certificate_that_covers_all_hosts_is_well(tmp_path: Path) -> None:
    line = served(tmp_path, {"": ("*.localhost",)})
    assert (line.subject, line.verdict) == ("dc1 prod", "OK")
    assert line.found.startswith("2 covered; ends on ")


def test_a_certificate_for_each_host_is_found_by_its_name(tmp_path: Path) -> None:
    assert served(tmp_path, {"": ("a.localhost",), "b.localhost": ("b.localhost",)}).verdict == "OK"


def test_a_host_that_no_certificate_covers_is_named(tmp_path: Path) -> None:
    line = served(tmp_path, {"": ("a.localhost",)})
    assert (line.verdict, line.found) == ("FAIL", "no certificate for 1 of 2 hosts: b.localhost")


@pytest.mark.parametrize(("days", "verdict"), [(10, "WARN"), (-1, "FAIL")])
def test_a_certificate_that_ends_is_told_before_and_after(tmp_path: Path, days: int, verdict: str) -> None:
    line = served(tmp_path, {"": ("*.localhost",)}, days_left=days)
    assert (line.verdict, "client_tls" in line.fix) == (verdict, True)


def test_a_virtual_server_that_is_not_there_yet_is_no_failure(tmp_path: Path) -> None:
    port = free_port()
    line = certificate(prepared(tmp_path, port=port))
    assert (line.verdict, f"127.0.0.1:{port} (" in line.found) == ("WARN", True)


def test_nothing_published_is_nothing_to_look_at(tmp_path: Path) -> None:
    said = prepared(tmp_path, published("a", environments=""))
    assert (hosts(said).verdict, certificate(said).verdict) == ("OK", "OK")


def test_addresses_that_nobody_remembers_are_a_failure(tmp_path: Path) -> None:
    said = prepared(tmp_path)
    folder = Path(said.state_folder) / "devices"
    folder.mkdir(parents=True)
    (folder / "dc1@prod.addresses").write_text("nonsense")
    assert hosts(said).verdict == "FAIL"


def test_the_examination_has_these_lines_where_there_is_a_big_ip(tmp_path: Path) -> None:
    async def run(said: config.Settings) -> set[str]:
        return {line.subject for lines in [each async for each in examine(said)] for line in lines}

    with_device = asyncio.run(run(prepared(tmp_path, port=free_port())))
    assert {"hosts of prod", "dc1 prod"} <= with_device
    assert not {"hosts of prod", "dc1 prod"} & asyncio.run(run(settings(tmp_path)))
