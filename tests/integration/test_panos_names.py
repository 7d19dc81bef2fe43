"""From a zone to packets: a firewall follows what name servers answer, keeps what they are silent about, and meanwhile
lets nobody round the door. The engine's own parts, a name server on loopback, the packet oracle as judge; hours are
those of a clock that is moved by hand."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from dns import rcode

from gateway.engine.network import whereabouts
from gateway.engine.network.desired import Desired, Place
from gateway.engine.network.whereabouts import Known, Whereabouts, resolving
from gateway.engine.network.whereabouts.name_servers import NameServers
from gateway.engine.network.whereabouts.sightings import LONGEST_S
from tests.support.name_server import NameServer
from tests.support.panos_company import DOOR, ENVIRONMENT, PORT
from tests.support.panos_engine import Engine, kept
from tests.support.panos_oracle import BACK, HOUR, ROUND, Scene, passes

HARNESS_S = 30.0
NAME = "books.internal"
OLD, NEW = "192.0.2.41", "192.0.2.42"


class NobodyElse:
    """A system that knows no names but those of its name servers."""

    async def addresses(self, host: str) -> list[str]:
        raise socket.gaierror(socket.EAI_NONAME, f"`{host}` is not known")

    def close(self) -> None:
        return None


class Office:
    """The company, its firewall and its zone."""

    def __init__(self, scene: Scene, engine: Engine, zone: NameServer, there: Whereabouts) -> None:
        self.scene = scene
        self.zone = zone
        self._engine = engine
        self._there = there

    async def follows(self, *, ready: Callable[[], bool] = lambda: True) -> None:
        """The firewall is told what is known when every name was asked once more, and ``ready``."""
        picture = self.scene.happened()
        self._there.follow(picture.desired)
        asked = len(self.zone.asked)
        async with asyncio.timeout(HARNESS_S):
            while len(self.zone.asked) < asked + 4 or not ready():
                await asyncio.sleep(0.005)
        known = self._there.known(ENVIRONMENT)
        vars(picture)["facts"] = replace(picture.facts, known={ENVIRONMENT: known})
        await self._engine.follow(picture)

    def addresses(self) -> tuple[str, ...]:
        return self._there.known(ENVIRONMENT).addresses.get("component:default/books", ())

    def reached(self) -> set[str]:
        """Where the door comes to; whoever else would is a hole."""
        device = self.scene.device
        for address in (OLD, NEW):
            is_closed = not passes(device, "203.0.113.9", address, who="jane", zones=ROUND, port=PORT)
            assert is_closed is (address in self.addresses())
        return {address for address in (OLD, NEW) if passes(device, DOOR, address, zones=BACK, port=PORT)}


@pytest.fixture(autouse=True)
def _hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, seconds in {"SHORTEST_TTL_S": 0.02, "ASK_S": 0.02}.items():
        monkeypatch.setattr(resolving, name, seconds)
    for name, seconds in {"TURN_S": 0.005, "GATHER_S": 0.002}.items():
        monkeypatch.setattr(whereabouts, name, seconds)


def test_a_firewall_follows_a_zone_and_outlasts_its_bad_hours(tmp_path: Path) -> None:
    resolv_conf = tmp_path / "resolv.conf"
    resolv_conf.write_text("nameserver 127.0.0.1\n")

    async def story(office: Office) -> None:
        clock, zone = office.scene.clock, office.zone
        office.scene.company.joins("jane", "money")
        office.scene.company.opens("books", "money", system="shelf")
        zone.records = {NAME: [(0, "CNAME", "blue.internal.")], "blue.internal": [(300, "A", OLD)]}
        await office.follows(ready=lambda: office.addresses() == (OLD,))
        assert office.reached() == {OLD}

        zone.records["blue.internal"] = [(300, "A", NEW)]
        await office.follows(ready=lambda: office.addresses() == (OLD, NEW))
        assert office.reached() == {OLD, NEW}

        zone.failing[NAME] = rcode.SERVFAIL
        await office.follows()
        clock.passes(5 * HOUR)
        await office.follows()
        assert office.reached() == {OLD, NEW}

        zone.failing.clear()
        await office.follows()
        clock.passes(LONGEST_S)
        await office.follows()
        assert office.reached() == {OLD, NEW}
        clock.passes(HOUR - LONGEST_S)
        await office.follows(ready=lambda: office.addresses() == (NEW,))
        assert office.reached() == {NEW}

    async def scene() -> None:
        async with kept(tmp_path) as (company, engine, _), NameServer() as zone:
            there = Whereabouts(
                tmp_path, lambda: None, now=company.clock, look_ups=NobodyElse(),
                servers=NameServers(resolv_conf, zone.port),
            )  # fmt: skip
            try:
                await story(Office(company, engine, zone, there))
            finally:
                await there.close()

    asyncio.run(scene())


def test_what_this_machines_hosts_file_alone_knows_counts_and_is_said(tmp_path: Path) -> None:
    resolv_conf = tmp_path / "resolv.conf"
    resolv_conf.write_text("nameserver 127.0.0.1\n")
    here = Place("component:default/here", "here", "", "", "", "here.test", "/", upstreams=("http://localhost:1",))

    async def scene() -> Known:
        async with NameServer() as zone, asyncio.timeout(HARNESS_S):
            there = Whereabouts(tmp_path, lambda: None, servers=NameServers(resolv_conf, zone.port))
            try:
                there.follow(Desired("prod", "base", (here,)))
                while not there.known("prod").unlisted:
                    await asyncio.sleep(0.005)
                return there.known("prod")
            finally:
                await there.close()

    known = asyncio.run(scene())
    assert "127.0.0.1" in known.addresses[here.entity]
    assert [(what.partition(",")[0], refs) for what, refs in known.doubts()] == [
        ("this machine knows and DNS does not", frozenset({here.entity}))
    ]
