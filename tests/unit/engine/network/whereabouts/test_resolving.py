"""Of whom a name is asked and when: as doors do and by DNS, when answers run out, and no oftener than is decent."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Coroutine

import pytest

from gateway.egress.look_ups import ADDRESSES
from gateway.engine.network.whereabouts.name_servers import NO_SUCH_NAME, SILENCE, Heard
from gateway.engine.network.whereabouts.resolving import ASK_S, MOST_PER_S, PATIENCE_S, Asker, Name, Word
from gateway.engine.network.whereabouts.sightings import KEEP_S, Sightings
from tests.support import virtual_time

ONE, TWO, SIX = "10.0.0.1", "10.0.0.2", "2001:db8::1"
START = 1_000_000


class World:
    """``system`` answers so, None is a failure; ``servers`` answer so. What was asked when, by the loop's clock."""

    def __init__(self, system: list[str] | None, servers: Heard) -> None:
        self.system = system
        self.servers = servers
        self.hangs = False
        self.errno = socket.EAI_NONAME
        self.asked: list[tuple[str, float]] = []
        self.asker = Asker(self, Servers(self), self.now)
        self.name = Name("pay.internal", Sightings(START))

    def now(self) -> float:
        return START + asyncio.get_running_loop().time()

    async def addresses(self, host: str) -> list[str]:
        self.asked.append(("system", asyncio.get_running_loop().time()))
        if self.hangs:
            await asyncio.Event().wait()
        if self.system is None:
            raise socket.gaierror(self.errno, "no answer")
        return self.system

    def close(self) -> None:
        return None

    async def turn(self) -> bool:
        """The next question, when it is due."""
        loop = asyncio.get_running_loop()
        await asyncio.sleep(max(0.0, self.name.due_s - loop.time()))
        return await self.asker.ask(self.name)

    async def turns(self, count: int) -> None:
        for _ in range(count):
            await self.turn()

    def gaps(self, who: str) -> list[float]:
        times = [at for asked, at in self.asked if asked == who]
        return [after - before for before, after in zip(times, times[1:], strict=False)]

    @property
    def known(self) -> list[str]:
        return sorted(self.name.sightings.seen)


class Servers:
    def __init__(self, world: World) -> None:
        self._world = world

    async def ask(self, host: str) -> Heard:
        self._world.asked.append(("servers", asyncio.get_running_loop().time()))
        return self._world.servers


def heard(*addresses: str, ttl_s: int = 60, silent: tuple[int, ...] = ()) -> Heard:
    return Heard(frozenset(addresses), ttl_s, frozenset(silent))


def played(world: Callable[[], World], act: Callable[[World], Coroutine[None, None, None]]) -> World:
    async def scene() -> World:
        made = world()
        await act(made)
        return made

    return virtual_time.run(scene())


@pytest.mark.parametrize("ttl_s", [7, 30, 45])
def test_servers_are_asked_again_when_their_answer_has_run_out(ttl_s: int) -> None:
    world = played(lambda: World([ONE], heard(ONE, ttl_s=ttl_s)), lambda world: world.turns(100))
    gaps = world.gaps("servers")
    assert len(gaps) > 90
    assert min(gaps) >= ttl_s
    assert max(gaps) <= ttl_s * 1.1


@pytest.mark.parametrize(("ttl_s", "bounded_s"), [(0, 5), (1, 5), (604_800, 3600)])
def test_times_to_live_are_bounded(ttl_s: int, bounded_s: int) -> None:
    world = played(lambda: World([ONE], heard(ONE, ttl_s=ttl_s)), lambda world: world.turns(400))
    gaps = world.gaps("servers")
    assert len(gaps) > 2
    assert min(gaps) >= bounded_s
    assert max(gaps) <= bounded_s + min(bounded_s / 10, 5)


def test_the_system_is_asked_each_minute_however_long_an_answer_holds() -> None:
    """But for the first time."""
    world = played(lambda: World([ONE], heard(ONE, ttl_s=3000)), lambda world: world.turns(40))
    del world.asked[0]
    assert ASK_S * 0.8 <= min(world.gaps("system")) <= max(world.gaps("system")) <= ASK_S


def test_the_more_names_there_are_the_less_often_each_is_asked() -> None:
    async def act(world: World) -> None:
        world.asker.names = 100 * MOST_PER_S
        await world.turns(50)

    world = played(lambda: World([ONE], heard(ONE, ttl_s=5)), act)
    assert min(world.gaps("servers")) >= 100
    assert min(world.gaps("system")) >= 100


def test_of_thousands_of_names_each_is_known_before_its_servers_are_asked() -> None:
    async def act(world: World) -> None:
        await world.turn()
        assert (world.known, world.name.word) == ([ONE], Word.ANSWERED)

    assert played(lambda: World([ONE], heard(TWO)), act).asked == [("system", 0.0)]


def test_what_either_answers_counts() -> None:
    world = played(lambda: World([ONE], heard(TWO, ttl_s=30)), lambda world: world.turns(3))
    assert (world.known, world.name.word) == ([ONE, TWO], Word.ANSWERED)


def test_what_the_system_says_first_is_asked_of_the_servers_at_once() -> None:
    async def act(world: World) -> None:
        await world.turns(3)
        world.system, world.servers = [TWO], heard(TWO, ttl_s=3600)
        before = len(world.asked)
        assert await world.turn()
        assert world.known == [ONE, TWO]
        assert [who for who, _ in world.asked[before:]] == ["system", "servers"]
        assert world.asked[-1][1] == world.asked[-2][1]

    played(lambda: World([ONE], heard(ONE, ttl_s=3600)), act)


def test_a_name_of_the_hosts_file_is_asked_for_each_minute_and_told_apart() -> None:
    world = played(lambda: World([ONE], NO_SUCH_NAME), lambda world: world.turns(20))
    assert (world.known, world.name.word) == ([ONE], Word.UNLISTED)
    assert max(world.gaps("system")) <= ASK_S


def test_a_system_that_does_not_know_what_dns_knows_takes_nothing() -> None:
    async def act(world: World) -> None:
        await world.turns(3)
        assert (world.known, world.name.word) == ([ONE], Word.ANSWERED)

    played(lambda: World(None, heard(ONE)), act)


def test_a_name_that_is_gone_is_asked_for_each_minute() -> None:
    world = played(lambda: World(None, NO_SUCH_NAME), lambda world: world.turns(20))
    assert (world.known, world.name.word) == ([], Word.GONE)
    assert max(world.gaps("system")) <= ASK_S


def test_a_name_that_nobody_answers_for_is_asked_ever_less_often() -> None:
    world = played(lambda: World(None, SILENCE), lambda world: world.turns(12))
    assert world.name.word is Word.UNANSWERED
    gaps = world.gaps("servers")
    assert gaps[0] <= ASK_S
    assert 16 * ASK_S * 0.8 <= gaps[-1] <= 16 * ASK_S


def test_servers_that_are_silent_are_spared_while_the_system_answers() -> None:
    world = played(lambda: World([ONE], SILENCE), lambda world: world.turns(100))
    assert (world.known, world.name.word) == ([ONE], Word.ANSWERED)
    assert max(world.gaps("system")) <= ASK_S
    assert len(world.gaps("servers")) < 12


def test_absence_takes_after_an_hour_what_silence_keeps_for_a_day() -> None:
    async def act(world: World) -> None:
        await world.turns(2)
        world.system, world.servers = None, SILENCE
        while asyncio.get_running_loop().time() < 10 * KEEP_S - 1:
            await world.turn()
        assert (world.known, world.name.word) == ([ONE], Word.UNANSWERED)
        world.servers = NO_SUCH_NAME
        await world.turn()
        said_s = asyncio.get_running_loop().time()
        assert (world.known, world.name.word) == ([ONE], Word.GONE)
        while world.known:
            await world.turn()
        assert KEEP_S - 16 * ASK_S <= asyncio.get_running_loop().time() - said_s <= KEEP_S + 2 * ASK_S

    played(lambda: World([ONE], heard(ONE)), act)


def test_of_silent_servers_an_answering_system_is_believed() -> None:
    async def act(world: World) -> None:
        await world.turn()
        world.system = [TWO]
        while asyncio.get_running_loop().time() < KEEP_S + 2 * ASK_S:
            await world.turn()
        assert world.known == [TWO]

    played(lambda: World([ONE], SILENCE), act)


def test_of_silent_servers_a_system_is_believed_about_the_kind_that_it_answers_with() -> None:
    async def act(world: World) -> None:
        await world.turn()
        world.system = [TWO]
        while asyncio.get_running_loop().time() < KEEP_S + 2 * ASK_S:
            await world.turn()
        assert world.known == [TWO, SIX]

    played(lambda: World([ONE, SIX], SILENCE), act)


@pytest.mark.parametrize("trouble", ["hangs", "fails"])
def test_a_system_that_is_in_trouble_is_no_witness_of_absence(trouble: str) -> None:
    """Its hosts file may have the name that DNS has not."""

    async def act(world: World) -> None:
        await world.turns(3)
        world.hangs, world.system, world.errno = trouble == "hangs", None, socket.EAI_AGAIN
        while asyncio.get_running_loop().time() < 3 * KEEP_S:
            await world.turn()
        assert (world.known, world.name.word) == ([ONE], Word.UNANSWERED)

    played(lambda: World([ONE], NO_SUCH_NAME), act)


def test_a_look_up_that_hangs_holds_up_dns_for_a_moment_alone() -> None:
    async def act(world: World) -> None:
        world.hangs = True
        await world.turn()
        assert world.known == [ONE]
        assert asyncio.get_running_loop().time() == pytest.approx(PATIENCE_S, abs=0.01)

    played(lambda: World([TWO], heard(ONE)), act)


def test_of_too_many_addresses_those_count_that_doors_connect_to() -> None:
    crowd = [f"10.0.1.{number}" for number in range(100, 100 + ADDRESSES)]
    world = played(lambda: World(["172.16.0.1"], heard(*crowd)), lambda world: world.turns(3))
    assert "172.16.0.1" in world.known
    assert (len(world.known), world.name.sightings.is_crowded) == (ADDRESSES, True)


def test_a_name_with_ever_other_addresses_is_asked_each_minute_alone() -> None:
    async def act(world: World) -> None:
        for turn in range(60):
            world.servers = heard(*(f"10.{turn}.0.{number}" for number in range(8)), ttl_s=5)
            await world.turn()
            if turn == 20:
                world.asked.clear()

    world = played(lambda: World(None, heard(ONE)), act)
    assert len(world.gaps("servers")) > 20
    assert min(world.gaps("servers")) >= 0.8 * ASK_S


def test_when_addresses_are_not_too_many_any_more_is_news() -> None:
    async def act(world: World) -> None:
        await world.turns(2)
        world.servers = heard(*(f"10.0.2.{number}" for number in range(ADDRESSES)))
        while not world.name.sightings.is_crowded:
            await world.turn()
        crowded_s = asyncio.get_running_loop().time()
        while not await world.turn():
            assert [world.name.sightings.is_crowded] == [True]
        assert [world.name.sightings.is_crowded] == [False]
        assert asyncio.get_running_loop().time() - crowded_s >= KEEP_S

    played(lambda: World(None, heard(ONE)), act)


def test_a_name_whose_look_ups_hang_leaves_their_threads_to_others() -> None:
    """Whoever owns a zone that answers half of a question would keep them all."""

    async def act(world: World) -> None:
        world.hangs = True
        await world.turns(200)
        assert (world.known, world.name.word) == ([ONE], Word.ANSWERED)
        hung = len(world.gaps("system"))
        assert world.gaps("system")[0] <= 2 * ASK_S
        assert 14 * 0.8 * ASK_S <= world.gaps("system")[-1] <= 17 * ASK_S
        world.hangs = False
        while len(world.gaps("system")) < hung + 3:
            await world.turn()
        assert world.gaps("system")[-1] <= ASK_S

    played(lambda: World([ONE], heard(ONE, ttl_s=30)), act)


def test_who_has_nothing_new_to_say_is_not_news() -> None:
    async def act(world: World) -> None:
        assert await world.turn()
        assert not await world.turn()
        world.system, world.servers = None, NO_SUCH_NAME
        assert await world.turn()
        assert not await world.turn()

    played(lambda: World([ONE], heard(ONE)), act)
