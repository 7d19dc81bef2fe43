"""Where clients meet the emulator's virtual servers: at their destination, by name, on the active unit, with the
certificate that their client SSL profile shows."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import pytest

from gateway.lab.bigip import furnishing
from gateway.lab.bigip.availability import DeviceGroup
from gateway.lab.bigip.listening import Names, Traffic, at_address, by_name
from gateway.lab.bigip.objects import create, remove
from gateway.lab.bigip.unit import Unit
from tests.integration.test_bigip_traffic import OK, run
from tests.support.certificates import make

LEADS = {"": ("127.0.0.10", 8443), ".dev.test": ("127.0.0.11", 8443), ".a.dev.test": ("127.0.0.12", 8443)}


@pytest.mark.parametrize(("name", "last"), [
    ("pay.test", 10), ("", 10), ("dev.test", 10), ("pay.dev.test", 11), ("PAY.DEV.TEST", 11), ("x.a.dev.test", 12),
])  # fmt: skip
def test_the_longest_ending_of_a_name_counts(name: str, last: int) -> None:
    assert Names(LEADS).address(name) == (f"127.0.0.{last}", 8443)


def test_without_a_rest_other_names_lead_nowhere() -> None:
    assert Names({".dev.test": ("127.0.0.11", 8443)}).address("pay.test") is None


async def member(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while await reader.readuntil(b"\r\n\r\n"):
            writer.write(OK)
    except (asyncio.IncompleteReadError, OSError):
        pass
    finally:
        writer.close()


def furnished(folder: Path, name: str, unit: Unit, port: int, address: str) -> None:
    """A virtual server at the address, with a certificate of its own."""
    certificate, key = make(folder, name, f"{name}.localhost")
    furnishing.add_certificate(unit, name, certificate, key)
    create(unit.tree, "ltm/pool", {"name": f"pool-{name}", "members": [f"127.0.0.1:{port}"]})
    create(unit.tree, "ltm/virtual",
           {"name": name, "destination": f"{address}:8443", "pool": f"pool-{name}",
            "profiles": ["/Common/http", f"/Common/{name}"]})  # fmt: skip


async def asked(folder: Path, address: tuple[str, int], name: str) -> bytes:
    """The answer over TLS that holds for the name. Raises `OSError`."""
    context = ssl.create_default_context(cafile=str(folder / "ca.pem"))
    reader, writer = await asyncio.open_connection(*address, ssl=context, server_hostname=name)
    try:
        writer.write(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
        return await reader.readexactly(len(OK))
    except asyncio.IncompleteReadError as error:
        return error.partial
    finally:
        writer.close()


def test_each_is_met_by_name_and_at_its_address_with_its_own_certificate(tmp_path: Path) -> None:
    async def test() -> None:
        server = await asyncio.start_server(member, "127.0.0.1", 0)
        port, unit = server.sockets[0].getsockname()[1], Unit()
        furnished(tmp_path, "one", unit, port, "127.0.0.10")
        furnished(tmp_path, "two", unit, port, "127.0.0.11")
        traffic = Traffic(unit, None)
        names = Names({"": ("127.0.0.10", 8443), "two.localhost": ("127.0.0.11", 8443)})
        async with by_name(traffic, ("127.0.0.1", 0), names) as front:
            for name in ("one", "two"):
                assert await asked(tmp_path, ("127.0.0.1", front), f"{name}.localhost") == OK
                virtual = traffic.named(f"/Common/{name}")
                assert virtual.requests == 1
            remove(unit.tree, "ltm/virtual", "/Common/two")
            with pytest.raises(OSError):
                await asked(tmp_path, ("127.0.0.1", front), "two.localhost")
            assert await asked(tmp_path, ("127.0.0.1", front), "one.localhost") == OK
        async with at_address(traffic, ("127.0.0.10", 0)) as other:
            with pytest.raises(OSError):  # nothing has that port as its destination
                await asked(tmp_path, ("127.0.0.10", other), "one.localhost")
        traffic.close()
        server.close()
        await server.wait_closed()

    run(test)


def test_the_active_unit_passes_traffic(tmp_path: Path) -> None:
    """After a failover its objects count, and what a client asks next goes by them."""

    async def test() -> None:
        server = await asyncio.start_server(member, "127.0.0.1", 0)
        port, group = server.sockets[0].getsockname()[1], DeviceGroup()
        first, second = Unit("bigip-a.lab.test", group=group), Unit("bigip-b.lab.test", group=group)
        furnished(tmp_path, "one", first, port, "127.0.0.10")
        traffic = Traffic(first, None)
        async with by_name(traffic, ("127.0.0.1", 0), Names({"": ("127.0.0.10", 8443)})) as front:
            assert await asked(tmp_path, ("127.0.0.1", front), "one.localhost") == OK
            group.fail_over()
            with pytest.raises(OSError):
                await asked(tmp_path, ("127.0.0.1", front), "one.localhost")
            furnished(tmp_path, "one", second, port, "127.0.0.10")
            assert await asked(tmp_path, ("127.0.0.1", front), "one.localhost") == OK
        traffic.close()
        server.close()
        await server.wait_closed()

    run(test)


def test_a_certificate_is_described_and_its_file_is_renewed(tmp_path: Path) -> None:
    unit = Unit()
    for number in (1, 2):
        certificate, key = make(tmp_path / str(number), "apps", "pay.localhost", "127.0.0.1")
        furnishing.add_certificate(unit, "apps", certificate, key)
        held = unit.tree.find("sys/file/ssl-cert", "/Common/apps.crt") or {}
        assert held["subjectAlternativeName"] == "DNS:pay.localhost, IP Address:127.0.0.1"
        assert unit.uploads["apps.crt"] == certificate.read_bytes()
    assert unit.tree.find("ltm/profile/client-ssl", "/Common/apps") is not None
