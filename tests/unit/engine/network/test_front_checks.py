"""Checks of hosts say what is wrong, never wait longer than they may, and never take what is unknown for well."""

from __future__ import annotations

import asyncio
import ssl
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.egress import look_ups
from gateway.egress.look_ups import Names
from gateway.engine.network.front_checks import Checks, FrontChecks
from gateway.engine.network.fronts import Entrance, is_right
from tests.support.certificates import make
from tests.support.ports import free_port

PATIENCE_S = 40.0
Zone = dict[str, Any]


@pytest.fixture
def zone(monkeypatch: pytest.MonkeyPatch) -> Zone:
    """A name server that answers what a test says, or calls it."""
    known: Zone = {}

    def look_up(host: str) -> list[str]:
        answer = known.get(host)
        if answer is None:
            raise OSError(-2, "Name or service not known")
        found: list[str] = answer() if callable(answer) else answer
        return found

    monkeypatch.setattr(look_ups, "system_look_up", look_up)
    return known


def entrance(*hosts: str, port: int, address: str = "127.0.0.1", device: str = "dc1") -> Entrance:
    """Of hosts below `localhost`, where no whole name is said."""
    names = (host if "." in host else f"{host}.localhost" for host in hosts)
    return Entrance(device, "prod", port, dict.fromkeys(names, address))


def run(scene: Callable[[FrontChecks], Coroutine[Any, Any, None]]) -> None:
    async def timed() -> None:
        checks = FrontChecks(time.time, Names())
        try:
            async with asyncio.timeout(PATIENCE_S):
                await scene(checks)
        finally:
            checks.close()

    asyncio.run(timed())


@asynccontextmanager
async def showing(folder: Path, *names: str, days_left: int = 90) -> AsyncIterator[int]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*make(folder / "tls", "front", *names, days_left=days_left))
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def checked(checks: FrontChecks, here: Entrance, *others: Entrance, within_s: float = PATIENCE_S / 2) -> Checks:
    return await checks.of(here, [here, *others], within_s)


def test_a_host_that_is_led_and_covered_is_well(tmp_path: Path, zone: Zone) -> None:
    zone["a.localhost"] = ["127.0.0.1"]

    async def scene(checks: FrontChecks) -> None:
        async with showing(tmp_path, "*.localhost") as port:
            found = await checked(checks, entrance("a", port=port))
            (host,) = found.hosts
            assert (host.dns, host.certificate, host.sentence, found.remarks) == ("right", "covers", "", ())
            assert len(host.ends) == 10
            assert found.as_json()["well"] == 1

    run(scene)


def test_what_is_wrong_is_said_of_each_host_and_summed_up(tmp_path: Path, zone: Zone) -> None:
    zone["a.localhost"] = ["127.0.0.1", "192.0.2.9"]

    async def scene(checks: FrontChecks) -> None:
        async with showing(tmp_path, "a.localhost", days_left=9) as port:
            found = await checked(checks, entrance("a", "b.test", port=port))
            a, b = found.hosts
            assert (a.dns, a.certificate, b.dns, b.certificate) == ("astray", "ends-soon", "astray", "lacks")
            assert "DNS leads it to 127.0.0.1, 192.0.2.9, instead of to 127.0.0.1" in a.sentence
            assert b.sentence == "DNS leads it nowhere, instead of to 127.0.0.1; no certificate covers it"
            said = " ".join(found.remarks)
            assert "does not lead 2 of 2 hosts" in said
            assert "covers 1 of 2 hosts: b.test" in said
            assert "in 8 days" in said or "in 9 days" in said

    run(scene)


def test_a_certificate_that_is_over_is_no_cover(tmp_path: Path, zone: Zone) -> None:
    async def scene(checks: FrontChecks) -> None:
        async with showing(tmp_path, "*.localhost", days_left=-1) as port:
            (host,) = (await checked(checks, entrance("a", port=port))).hosts
            assert host.certificate == "over"
            assert "ended on" in host.sentence

    run(scene)


def test_a_host_may_lead_to_the_virtual_server_of_another_device(zone: Zone) -> None:
    zone["a.localhost"] = ["127.0.0.2"]

    async def scene(checks: FrontChecks) -> None:
        port = free_port()
        other = entrance("a", port=port, address="127.0.0.2", device="dc2")
        (host,) = (await checked(checks, entrance("a", port=port), other)).hosts
        assert (host.dns, host.certificate) == ("right", "unseen")

    run(scene)


def test_a_name_below_localhost_leads_to_loopback_without_any_name_server(zone: Zone) -> None:
    """RFC 6761, 6.3: what a browser does by itself is no fault of the zone, and no address elsewhere is meant by it."""
    assert not zone

    async def scene(checks: FrontChecks) -> None:
        (host,) = (await checked(checks, entrance("a", port=free_port()))).hosts
        assert host.dns == "right"

    run(scene)
    assert not is_right("a.localhost", frozenset(), frozenset(("203.0.113.10",)))
    assert not is_right("a.localhost", frozenset(("203.0.113.10",)), frozenset(("127.0.0.1",)))


def test_a_thousand_names_that_hang_are_told_as_unchecked(zone: Zone) -> None:
    """And nobody waits for them: neither who asks nor the end of the process."""
    over = threading.Event()
    hosts = [f"h{number}" for number in range(1000)]
    zone.update({f"{host}.localhost": lambda: over.wait(PATIENCE_S) and [] for host in hosts[1:]})
    zone["h0.localhost"] = ["127.0.0.1"]

    async def scene(checks: FrontChecks) -> None:
        found = await checked(checks, entrance(*hosts, port=free_port()), within_s=0.3)
        assert sum(each.dns == "unchecked" for each in found.hosts) >= 999
        assert all(each.sentence for each in found.hosts if each.dns == "unchecked")
        assert any("not checked in time" in remark for remark in found.remarks)

    try:
        run(scene)
    finally:
        over.set()


@pytest.mark.parametrize("answer", [["no address"], ["127.0.0.1", "<script>"], [], ["fe80::1%eth0"]])
def test_an_answer_that_is_no_address_is_not_shown(zone: Zone, answer: list[str]) -> None:
    zone["a.test"] = answer

    async def scene(checks: FrontChecks) -> None:
        (host,) = (await checked(checks, entrance("a.test", port=free_port()))).hosts
        assert host.dns == "astray"
        assert "<" not in host.sentence
        assert set(host.leads_to) <= {"fe80::1"}

    run(scene)


def test_who_reads_a_plan_again_asks_nobody_again(tmp_path: Path, zone: Zone) -> None:
    asked: list[str] = []

    def answered() -> list[str]:
        asked.append("a")
        return ["127.0.0.1"]

    zone["a.localhost"] = answered

    async def scene(checks: FrontChecks) -> None:
        async with showing(tmp_path, "*.localhost") as port:
            await checked(checks, entrance("a", port=port))
        (host,) = (await checked(checks, entrance("a", port=port))).hosts  # nobody listens there any more
        assert host.certificate == "covers"
        assert asked == ["a"]

    run(scene)


def test_a_server_that_talks_no_tls_shows_nothing(zone: Zone) -> None:
    async def scene(checks: FrontChecks) -> None:
        async def babble(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"<script>alert(1)</script>" * 100)
            writer.close()

        server = await asyncio.start_server(babble, "127.0.0.1", 0)
        async with server:
            found = await checked(checks, entrance("a", port=server.sockets[0].getsockname()[1]))
            assert found.hosts[0].certificate == "unseen"
            assert "<script>" not in " ".join(found.remarks)

    run(scene)


def test_many_readers_at_once_are_one_look(zone: Zone) -> None:
    asked: list[str] = []
    free = threading.Event()

    def answered() -> list[str]:
        asked.append("a")
        return ["127.0.0.1"] if free.wait(PATIENCE_S) else []

    zone["a.localhost"] = answered

    async def scene(checks: FrontChecks) -> None:
        here = entrance("a", port=free_port())
        readers = [asyncio.create_task(checked(checks, here)) for _ in range(50)]
        await asyncio.sleep(0)
        readers[0].cancel()  # the one who began it goes away
        free.set()
        found = await asyncio.gather(*readers[1:])
        assert all(each is found[0] for each in found)
        assert found[0].hosts[0].dns == "right"
        assert asked == ["a"]

    run(scene)
