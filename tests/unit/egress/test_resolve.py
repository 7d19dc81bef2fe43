"""Names to addresses: asked once, kept shortly, stale when need be, judged every time."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Coroutine
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from gateway.config import Environment
from gateway.egress import resolve
from gateway.egress.addresses import NotAllowed
from gateway.egress.resolve import (
    ADDRESSES,
    FAILED_S,
    FRESH_S,
    LOOK_UPS,
    NAMES,
    STALE_S,
    Resolver,
    is_local,
    system_look_up,
)
from tests.support.catalogs import settings


class Zone:
    """A name server: what it answers, how often it was asked, and a clock beside it."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self.answers: dict[str, list[str] | Exception] = {}
        self.asked: list[str] = []
        self.gate: threading.Event | None = None

    def look_up(self, host: str) -> list[str]:
        self.asked.append(host)
        if self.gate is not None:
            self.gate.wait(10)
        answer = self.answers.get(host, socket.gaierror(-2, "Name or service not known"))
        if isinstance(answer, Exception):
            raise answer
        return answer


Scene = Callable[[Resolver, Zone], Coroutine[Any, Any, None]]


@pytest.fixture
def play(tmp_path: Path) -> Callable[[Scene], None]:
    environments = {
        "prod": Environment("prod", (".test",), ("10.0.0.0/8", ".internal")),
        "dev": Environment("dev", (".test",), ("10.31.0.0/16",)),
    }

    def run(scene: Scene) -> None:
        async def staged() -> None:
            zone = Zone()
            said = settings(tmp_path, environments=environments)
            await scene(Resolver(said, lambda: zone.now_s, zone.look_up), zone)

        asyncio.run(staged())

    return run


def test_an_answer_is_kept_for_a_short_time(play: Callable[[Scene], None]) -> None:
    async def scene(resolver: Resolver, zone: Zone) -> None:
        zone.answers["db.internal"] = ["10.0.0.1"]
        assert await resolver.addresses("prod", "db.internal", 80) == ["10.0.0.1"]
        zone.answers["db.internal"] = ["10.0.0.2"]
        zone.now_s += FRESH_S - 0.1
        assert await resolver.addresses("prod", "db.internal", 80) == ["10.0.0.1"]
        zone.now_s += 0.1
        assert await resolver.addresses("prod", "db.internal", 80) == ["10.0.0.2"]
        assert len(zone.asked) == 2

    play(scene)


def test_a_name_that_is_rebound_is_refused_at_the_next_connect(play: Callable[[Scene], None]) -> None:
    async def scene(resolver: Resolver, zone: Zone) -> None:
        for hostile in ("127.0.0.1", "169.254.169.254", "::1", "::ffff:127.0.0.1", "fe80::1%eth0", "0.0.0.0"):
            zone.answers["db.internal"] = ["10.0.0.1"]
            assert await resolver.addresses("prod", "db.internal", 80) == ["10.0.0.1"]
            zone.now_s += FRESH_S
            zone.answers["db.internal"] = [hostile]
            with pytest.raises(NotAllowed):
                await resolver.addresses("prod", "db.internal", 80)
            zone.now_s += FRESH_S

    play(scene)


def test_of_several_addresses_only_the_allowed_ones_are_given_and_not_endlessly_many(
    play: Callable[[Scene], None],
) -> None:
    async def scene(resolver: Resolver, zone: Zone) -> None:
        zone.answers["db.internal"] = ["127.0.0.1", "10.0.0.1", "169.254.169.254", "::ffff:10.0.0.2", "10.0.0.1"]
        assert await resolver.addresses("prod", "db.internal", 80) == ["10.0.0.1", "10.0.0.2"]
        zone.answers["many.internal"] = [f"10.0.0.{n}" for n in range(100)]
        assert len(await resolver.addresses("prod", "many.internal", 80)) == ADDRESSES

    play(scene)


def test_an_answer_that_one_environment_allows_is_nothing_to_another(play: Callable[[Scene], None]) -> None:
    async def scene(resolver: Resolver, zone: Zone) -> None:
        zone.answers["db.internal"] = ["10.0.0.1"]
        assert await resolver.addresses("prod", "db.internal", 80) == ["10.0.0.1"]
        with pytest.raises(NotAllowed, match="no network listed"):
            await resolver.addresses("dev", "db.internal", 80)
        with pytest.raises(NotAllowed, match="`test` is not configured"):
            await resolver.addresses("test", "db.internal", 80)

    play(scene)


def test_many_who_wait_for_one_name_ask_once(play: Callable[[Scene], None]) -> None:
    async def scene(resolver: Resolver, zone: Zone) -> None:
        zone.answers["db.internal"] = ["10.0.0.1"]
        zone.gate = threading.Event()
        waiting = [asyncio.create_task(resolver.addresses("prod", "db.internal", 80)) for _ in range(50)]
        while not zone.asked:
            await asyncio.sleep(0.001)
        zone.gate.set()
        assert await asyncio.gather(*waiting) == [["10.0.0.1"]] * 50
        assert zone.asked == ["db.internal"]

    play(scene)


def test_a_failure_falls_back_to_the_last_answer_while_that_is_not_too_old(play: Callable[[Scene], None]) -> None:
    async def scene(resolver: Resolver, zone: Zone) -> None:
        zone.answers["db.internal"] = ["10.0.0.1"]
        await resolver.addresses("prod", "db.internal", 80)
        zone.answers["db.internal"] = socket.gaierror(-3, "Temporary failure in name resolution")
        zone.now_s += STALE_S - 0.1
        assert await resolver.addresses("prod", "db.internal", 80) == ["10.0.0.1"]
        zone.now_s += 0.1
        with pytest.raises(OSError, match="Temporary failure"):
            await resolver.addresses("prod", "db.internal", 80)

    play(scene)


def test_a_name_without_an_answer_is_not_asked_again_at_once(play: Callable[[Scene], None]) -> None:
    async def scene(resolver: Resolver, zone: Zone) -> None:
        for _ in range(3):
            with pytest.raises(OSError, match="not known"):
                await resolver.addresses("prod", "gone.internal", 80)
        assert len(zone.asked) == 1
        zone.now_s += FAILED_S
        zone.answers["gone.internal"] = ["10.0.0.1"]
        assert await resolver.addresses("prod", "gone.internal", 80) == ["10.0.0.1"]

    play(scene)


def test_a_look_up_that_hangs_holds_up_nobody_for_long_and_no_other_name(
    play: Callable[[Scene], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resolve, "LOOK_UP_S", 0.05)

    async def scene(resolver: Resolver, zone: Zone) -> None:
        zone.answers |= {"slow.internal": ["10.0.0.1"], "db.internal": ["10.0.0.2"]}
        assert await resolver.addresses("prod", "slow.internal", 80) == ["10.0.0.1"]
        zone.now_s += FRESH_S
        gate = zone.gate = threading.Event()
        assert await resolver.addresses("prod", "slow.internal", 80) == ["10.0.0.1"], "the last answer stands in"
        zone.gate = None
        assert await resolver.addresses("prod", "db.internal", 80) == ["10.0.0.2"]
        gate.set()

    play(scene)


def test_a_zone_full_of_names_that_hang_holds_up_no_other(
    play: Callable[[Scene], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither while they are asked for the first time, nor when they are asked again and again."""
    monkeypatch.setattr(resolve, "LOOK_UP_S", 0.2)
    monkeypatch.setattr(resolve, "PLACE_S", 0.01)
    hanging = [f"{number}.hangs.internal" for number in range(LOOK_UPS * 2)]
    over = threading.Event()

    async def scene(resolver: Resolver, zone: Zone) -> None:
        def look_up(host: str) -> list[str]:
            if host in hanging:
                zone.asked.append(host)
                over.wait(10)
            return ["10.1.2.3"]

        resolver._look_up = look_up
        for turn in range(3):
            waiting = [asyncio.create_task(resolver.addresses("prod", host, 443)) for host in hanging]
            found = await asyncio.wait_for(resolver.addresses("prod", f"{turn}.well.internal", 443), 5)
            assert found == ["10.1.2.3"]
            await asyncio.gather(*waiting, return_exceptions=True)
            zone.now_s += FAILED_S
        assert zone.asked == [*dict.fromkeys(zone.asked)], "one thread a name, however often it is asked for"
        over.set()
        zone.now_s += FAILED_S
        assert await resolver.addresses("prod", hanging[0], 443) == ["10.1.2.3"], "it answers again"

    play(scene)


@pytest.mark.parametrize("host", ["10.0.0.1", "[fd00::1]", "10.0.0.1%eth0", "[fe80::1%25eth0]"])
def test_an_address_needs_no_name_server(play: Callable[[Scene], None], host: str) -> None:
    async def scene(resolver: Resolver, zone: Zone) -> None:
        try:
            assert await resolver.addresses("prod", host, 80) == ["10.0.0.1"]
        except NotAllowed:
            assert host != "10.0.0.1"
        except OSError:
            assert host == "10.0.0.1%eth0"  # no address, and no name either

    play(scene)


def test_what_is_no_name_is_told_apart_from_a_name_without_an_answer(play: Callable[[Scene], None]) -> None:
    async def scene(resolver: Resolver, zone: Zone) -> None:
        zone.answers["a..internal"] = UnicodeError("label empty or too long")
        with pytest.raises(NotAllowed, match="is no name"):
            await resolver.addresses("prod", "a..internal", 80)

    play(scene)


def test_the_memory_is_bounded(play: Callable[[Scene], None], monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene(resolver: Resolver, zone: Zone) -> None:
        monkeypatch.setattr(resolve, "in_thread", at_once)
        for number in range(NAMES + 50):
            zone.answers[f"n{number}.internal"] = ["10.0.0.1"]
            await resolver.addresses("prod", f"n{number}.internal", 80)
        assert len(resolver._known) == NAMES
        assert not resolver._flights

    async def at_once(work: Callable[[], list[str]]) -> list[str]:
        return work()

    play(scene)


def test_the_systems_own_answers() -> None:
    assert "127.0.0.1" in system_look_up("localhost")
    with pytest.raises(UnicodeError):
        system_look_up("a" * 64 + ".test")


def test_which_addresses_are_this_machines() -> None:
    assert is_local(ip_address("127.0.0.1"))
    assert not is_local(ip_address("192.0.2.1"))
    assert not is_local(ip_address("2001:db8::1"))
