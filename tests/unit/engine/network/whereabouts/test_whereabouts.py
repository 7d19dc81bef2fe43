"""Where services run: what is said, what is answered for names, and what stays when that is less, nothing or silence.
Hours of the engine's clock go by in milliseconds."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Coroutine
from pathlib import Path

import pytest

from gateway.egress.look_ups import ADDRESSES
from gateway.engine.network import whereabouts
from gateway.engine.network.desired import Desired, Place
from gateway.engine.network.whereabouts import GATHER_S, TURN_S, Known, Whereabouts
from gateway.engine.network.whereabouts.name_servers import NO_SUCH_NAME, SILENCE, Heard
from gateway.engine.network.whereabouts.resolving import ASK_S, PATIENCE_S
from gateway.engine.network.whereabouts.sightings import AWAY_S, KEEP_S
from tests.support import virtual_time

PAY = "component:default/pay"
START = 1_000_000
TTL_S = 20
HANGS = ["hangs"]
BREAKS = ["breaks"]


class Names:
    """The system and its name servers, which answer alike. A name without an answer is gone; one of ``silent`` nobody
    answers for."""

    def __init__(self, **answers: list[str]) -> None:
        self.answers = {name.replace("_", "."): found for name, found in answers.items()}
        self.silent: set[str] = set()
        self.takes_s = 0.0
        self.asked: list[tuple[str, float]] = []
        self.asked_servers: list[float] = []

    async def addresses(self, host: str) -> list[str]:
        self.asked.append((host, asyncio.get_running_loop().time()))
        await asyncio.sleep(self.takes_s)
        if self.answers.get(host) is HANGS:
            await asyncio.Event().wait()
        if self.answers.get(host) is BREAKS:
            raise RuntimeError("can't start new thread")
        if host in self.silent or not self.answers.get(host):
            raise socket.gaierror(socket.EAI_AGAIN if host in self.silent else socket.EAI_NONAME, "no answer")
        return self.answers[host]

    async def ask(self, host: str) -> Heard:
        self.asked_servers.append(asyncio.get_running_loop().time())
        found = self.answers.get(host, [])
        if found is BREAKS or found is HANGS or host in self.silent:
            return SILENCE
        return Heard(frozenset(each for each in found if "%" not in each), TTL_S) if found else NO_SUCH_NAME

    def close(self) -> None:
        return None


class Scene:
    """What one process knows. Its clock starts at ``start`` (epoch seconds)."""

    def __init__(self, state: Path, names: Names, start: int = START) -> None:
        self.names = names
        self.changes = 0
        self.whereabouts = Whereabouts(
            state, self._changed, now=lambda: start + self.time_s, look_ups=names, servers=names
        )  # fmt: skip

    def _changed(self) -> None:
        self.changes += 1

    @property
    def time_s(self) -> float:
        return asyncio.get_running_loop().time()

    @property
    def known(self) -> Known:
        return self.whereabouts.known("prod")


async def until(holds: Callable[[], bool], within_s: float = 2 * ASK_S) -> None:
    async with asyncio.timeout(within_s):
        while not holds():
            await asyncio.sleep(0.5)


def wish(*upstreams: str, said: tuple[str, ...] = (), entity: str = PAY) -> Desired:
    return Desired("prod", "base", (_place(entity, upstreams, said),))


def _place(entity: str, upstreams: tuple[str, ...], said: tuple[str, ...] = ()) -> Place:
    return Place(entity, entity, "", "", "", f"{entity[-3:]}.test", "/", upstreams=upstreams, addresses=said)


def played(
    tmp_path: Path, names: Names, act: Callable[[Scene], Coroutine[None, None, None]], start: int = START
) -> Scene:
    async def scene() -> Scene:
        there = Scene(tmp_path, names, start)
        try:
            await act(there)
        finally:
            await there.whereabouts.close()
        return there

    return virtual_time.run(scene())


def test_what_the_owner_says_is_asked_of_nobody(tmp_path: Path) -> None:
    async def act(scene: Scene) -> None:
        scene.whereabouts.follow(wish("https://pay.internal", said=("192.0.2.0/28", "192.0.2.99")))
        assert scene.known.addresses == {PAY: ("192.0.2.0/28", "192.0.2.99")}
        assert scene.known.is_settled
        await asyncio.sleep(2 * ASK_S)
        assert scene.names.asked == []

    played(tmp_path, Names(), act)


def test_addresses_in_upstreams_are_known_at_once(tmp_path: Path) -> None:
    async def act(scene: Scene) -> None:
        scene.whereabouts.follow(wish("http://10.0.0.1:8080", "https://[2001:DB8::0:7]", "unix:control"))
        assert scene.known == Known({PAY: ("10.0.0.1", "2001:db8::7")}, is_settled=True)

    played(tmp_path, Names(), act)


def test_all_answers_of_all_names_count(tmp_path: Path) -> None:
    async def act(scene: Scene) -> None:
        scene.whereabouts.follow(wish("http://a.internal:1", "https://b.internal", "http://10.0.0.9"))
        assert scene.known.unasked == {PAY}
        await until(lambda: not scene.known.unasked)
        assert scene.known.addresses == {PAY: ("10.0.0.1", "10.0.0.2", "10.0.0.9", "2001:db8::1")}

    played(tmp_path, Names(a_internal=["10.0.0.1", "::ffff:10.0.0.2"], b_internal=["2001:db8::1"]), act)


@pytest.mark.parametrize("answer", [[], ["10.0.0.2"]], ids=["nothing", "less"])
def test_what_is_answered_no_more_stays_for_its_time_and_no_longer(tmp_path: Path, answer: list[str]) -> None:
    async def act(scene: Scene) -> None:
        scene.whereabouts.follow(wish("https://pay.internal"))
        await until(lambda: scene.known.addresses.get(PAY) == ("10.0.0.1", "10.0.0.2"))
        await asyncio.sleep(10 * ASK_S)
        scene.names.answers["pay.internal"] = answer
        await asyncio.sleep(KEEP_S - ASK_S)
        assert scene.known.addresses == {PAY: ("10.0.0.1", "10.0.0.2")}
        assert scene.known.gone == (frozenset() if answer else {PAY})
        await until(lambda: scene.known.addresses == ({PAY: ("10.0.0.2",)} if answer else {}))

    played(tmp_path, Names(pay_internal=["10.0.0.1", "10.0.0.2"]), act)


def test_silence_keeps_what_absence_takes_and_is_told_from_it(tmp_path: Path) -> None:
    async def act(scene: Scene) -> None:
        scene.whereabouts.follow(wish("https://pay.internal"))
        await until(lambda: scene.known.addresses == {PAY: ("10.0.0.1",)})
        scene.names.silent.add("pay.internal")
        await asyncio.sleep(3 * KEEP_S)
        assert scene.known == Known({PAY: ("10.0.0.1",)}, is_settled=True, unanswered=frozenset({PAY}))
        scene.names.silent.clear()
        await until(lambda: scene.known == Known({PAY: ("10.0.0.1",)}, is_settled=True), 17 * ASK_S)

    played(tmp_path, Names(pay_internal=["10.0.0.1"]), act)


def test_a_service_that_moved_is_told_when_the_answer_has_run_out(tmp_path: Path) -> None:
    async def act(scene: Scene) -> None:
        scene.whereabouts.follow(wish("https://pay.internal"))
        await until(lambda: len(scene.names.asked_servers) > 2)
        asked_s = scene.names.asked_servers[-1]
        scene.names.answers["pay.internal"] = ["10.0.0.7"]
        await until(lambda: scene.known.addresses == {PAY: ("10.0.0.1", "10.0.0.7")})
        assert TTL_S <= scene.time_s - asked_s <= TTL_S * 1.1 + TURN_S + GATHER_S + 0.5

    played(tmp_path, Names(pay_internal=["10.0.0.1"]), act)


def test_nothing_new_is_the_same_object_and_no_news(tmp_path: Path) -> None:
    async def act(scene: Scene) -> None:
        scene.whereabouts.follow(wish("https://pay.internal"))
        await until(lambda: not scene.known.unasked)
        known, changes = scene.known, scene.changes
        scene.names.answers["pay.internal"] = ["10.0.0.2", "10.0.0.1"]
        await asyncio.sleep(5 * ASK_S)
        scene.whereabouts.follow(wish("https://pay.internal"))
        assert (scene.known is known, scene.changes) == (True, changes)

    played(tmp_path, Names(pay_internal=["10.0.0.1", "10.0.0.2"]), act)


def test_a_restart_keeps_members_however_long_it_took(tmp_path: Path) -> None:
    async def first(scene: Scene) -> None:
        scene.whereabouts.follow(wish("https://pay.internal"))
        await until(lambda: not scene.known.unasked)

    async def second(scene: Scene) -> None:
        scene.whereabouts.follow(wish("https://pay.internal"))
        assert scene.known == Known({PAY: ("10.0.0.1",)}, is_settled=True)
        await until(lambda: bool(scene.known.gone))
        assert scene.known == Known({PAY: ("10.0.0.1",)}, is_settled=True, gone=frozenset({PAY}))
        await asyncio.sleep(KEEP_S - 2 * ASK_S)
        assert scene.known.addresses
        await until(lambda: not scene.known.addresses, 4 * ASK_S)

    played(tmp_path, Names(pay_internal=["10.0.0.1"]), first)
    played(tmp_path, Names(), second, start=START + 3 * KEEP_S)


def test_who_ends_before_any_wish_forgets_nothing(tmp_path: Path) -> None:
    async def learn(scene: Scene) -> None:
        scene.whereabouts.follow(wish("https://pay.internal"))
        await until(lambda: not scene.known.unasked)

    async def nothing(scene: Scene) -> None:
        await asyncio.sleep(0)

    async def recall(scene: Scene) -> None:
        scene.whereabouts.follow(wish("https://pay.internal"))
        assert scene.known.addresses == {PAY: ("10.0.0.1",)}

    played(tmp_path, Names(pay_internal=["10.0.0.1"]), learn)
    played(tmp_path, Names(), nothing)
    played(tmp_path, Names(pay_internal=HANGS), recall)


def test_a_damaged_memory_is_none_and_is_said(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "devices").mkdir()
    (tmp_path / "devices" / "whereabouts").write_text('x\n{"written": 1, "names": {"pay.internal": {"10.0.0.1": 1}}}')

    async def act(scene: Scene) -> None:
        scene.whereabouts.follow(wish("https://pay.internal"))
        assert scene.known.addresses == {}

    played(tmp_path, Names(pay_internal=HANGS), act)
    assert "whereabouts_unreadable" in capfd.readouterr().err


def test_a_name_that_hangs_delays_no_other_and_is_waited_for_a_moment(tmp_path: Path) -> None:
    slow = "component:default/slow"

    async def act(scene: Scene) -> None:
        places = (_place(PAY, ("https://pay.internal",)), _place(slow, ("https://slow.internal",)))
        scene.whereabouts.follow(Desired("prod", "base", places))
        await until(lambda: PAY in scene.known.addresses, PATIENCE_S - 1)
        assert scene.known.unasked == {slow}
        assert not scene.known.is_settled
        await until(lambda: scene.known.is_settled, 2 * PATIENCE_S)
        assert scene.known.addresses == {PAY: ("10.0.0.1",)}

    played(tmp_path, Names(pay_internal=["10.0.0.1"], slow_internal=HANGS), act)


def test_a_service_keeps_what_it_had_until_its_new_name_was_asked(tmp_path: Path) -> None:
    async def act(scene: Scene) -> None:
        scene.whereabouts.follow(wish("https://pay.internal"))
        await until(lambda: not scene.known.unasked)
        scene.whereabouts.follow(wish("https://new.internal"))
        assert scene.known.addresses == {PAY: ("10.0.0.1",)}
        await until(lambda: scene.known.addresses == {PAY: ("10.0.0.2",)})

    played(tmp_path, Names(pay_internal=["10.0.0.1"], new_internal=["10.0.0.2"]), act)


def test_a_service_keeps_what_it_had_while_nobody_answers_for_its_new_name(tmp_path: Path) -> None:
    """A mistake in an upstream opens no way round the door."""

    async def act(scene: Scene) -> None:
        scene.whereabouts.follow(wish("https://pay.internal"))
        await until(lambda: not scene.known.unasked)
        scene.names.silent.add("new.internal")
        scene.whereabouts.follow(wish("https://new.internal"))
        await asyncio.sleep(6 * KEEP_S)
        assert scene.known == Known({PAY: ("10.0.0.1",)}, is_settled=True, unanswered=frozenset({PAY}))
        scene.names.silent.clear()
        await until(lambda: scene.known == Known({}, is_settled=True, gone=frozenset({PAY})), 17 * ASK_S)

    played(tmp_path, Names(pay_internal=["10.0.0.1"]), act)


def test_beside_a_name_that_nobody_answers_for_others_gather_nothing(tmp_path: Path) -> None:
    async def act(scene: Scene) -> None:
        scene.names.silent.add("mute.internal")
        scene.whereabouts.follow(wish("https://mute.internal", "https://pay.internal"))
        for turn in range(40):
            scene.names.answers["pay.internal"] = [f"10.{turn}.0.{number}" for number in range(8)]
            await asyncio.sleep(2 * ASK_S)
        assert len(scene.known.addresses[PAY]) == ADDRESSES

    played(tmp_path, Names(), act)


def test_a_new_name_that_nobody_answers_for_is_given_up_after_a_day(tmp_path: Path) -> None:
    async def act(scene: Scene) -> None:
        scene.whereabouts.follow(wish("https://pay.internal"))
        await until(lambda: not scene.known.unasked)
        scene.names.silent.add("new.internal")
        scene.whereabouts.follow(wish("https://new.internal"))
        await asyncio.sleep(AWAY_S - KEEP_S)
        assert scene.known.addresses
        await asyncio.sleep(2 * KEEP_S)
        assert not scene.known.addresses

    played(tmp_path, Names(pay_internal=["10.0.0.1"]), act)


def test_who_was_settled_stays_so_when_another_name_hangs(tmp_path: Path) -> None:
    async def act(scene: Scene) -> None:
        scene.whereabouts.follow(wish("https://pay.internal"))
        await until(lambda: scene.known.is_settled)
        scene.whereabouts.follow(wish("https://slow.internal"))
        assert scene.known.unasked == {PAY}
        assert scene.known.is_settled

    played(tmp_path, Names(pay_internal=["10.0.0.1"], slow_internal=HANGS), act)


def test_an_address_on_an_interface_of_this_machine_is_nobodys(tmp_path: Path) -> None:
    async def act(scene: Scene) -> None:
        scene.whereabouts.follow(wish("https://pay.internal", "http://[fe80::2%25eth0]:80"))
        await until(lambda: not scene.known.unasked)
        assert scene.known.addresses == {PAY: ("10.0.0.1",)}

    played(tmp_path, Names(pay_internal=["fe80::1%eth0", "10.0.0.1"]), act)


def test_a_question_that_breaks_is_asked_again(tmp_path: Path) -> None:
    async def act(scene: Scene) -> None:
        scene.whereabouts.follow(wish("https://pay.internal"))
        await until(lambda: scene.known.is_settled)
        assert scene.known.unanswered == {PAY}
        scene.names.answers["pay.internal"] = ["10.0.0.1"]
        await until(lambda: scene.known == Known({PAY: ("10.0.0.1",)}, is_settled=True))

    played(tmp_path, Names(pay_internal=BREAKS), act)


def test_of_more_names_than_can_be_asked_none_is_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whereabouts, "AT_ONCE", 2)
    names = Names()
    names.takes_s = 4.0
    names.answers = {f"n{number}.internal": [f"10.0.1.{number}"] for number in range(50)}

    async def act(scene: Scene) -> None:
        scene.whereabouts.follow(wish(*(f"https://{name}" for name in names.answers)))
        await asyncio.sleep(30 * ASK_S)

    played(tmp_path, names, act)
    counts = [sum(asked == host for asked, _ in names.asked) for host in names.answers]
    assert min(counts) > 5
    assert max(counts) - min(counts) <= 2


def test_new_names_push_out_no_old_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whereabouts, "MOST_NAMES", 2)
    names = Names(pay_internal=["10.0.0.1"], a0_internal=["10.0.1.0"], a1_internal=["10.0.1.1"])

    async def act(scene: Scene) -> None:
        scene.whereabouts.follow(wish("https://pay.internal"))
        await until(lambda: not scene.known.unasked)
        crowd = tuple(_place(f"component:default/a{number}", (f"http://a{number}.internal",)) for number in range(2))
        scene.whereabouts.follow(Desired("prod", "base", (*crowd, _place(PAY, ("https://pay.internal",)))))
        scene.names.answers["pay.internal"] = ["10.0.0.2"]
        await until(lambda: scene.known.addresses[PAY] == ("10.0.0.1", "10.0.0.2"))

    played(tmp_path, names, act)


def test_a_name_of_this_machine_alone_is_told_apart(tmp_path: Path) -> None:
    class HostsFile(Names):
        async def ask(self, host: str) -> Heard:
            return NO_SUCH_NAME

    async def act(scene: Scene) -> None:
        scene.whereabouts.follow(wish("https://pay.internal"))
        await until(lambda: scene.known == Known({PAY: ("10.0.0.1",)}, is_settled=True, unlisted=frozenset({PAY})))

    played(tmp_path, HostsFile(pay_internal=["10.0.0.1"]), act)


def test_a_zone_that_answers_with_ever_others_is_bounded(tmp_path: Path) -> None:
    async def act(scene: Scene) -> None:
        scene.whereabouts.follow(wish("https://pay.internal"))
        for turn in range(3):
            scene.names.answers["pay.internal"] = [f"10.{turn}.0.{number}" for number in range(ADDRESSES - 1)]
            await asyncio.sleep(2 * ASK_S)
        assert scene.known.addresses[PAY][-1].startswith("10.2.")
        assert len(scene.known.addresses[PAY]) == ADDRESSES
        assert scene.known.crowded == {PAY}
        assert [what for what, _ in scene.known.doubts()] == [
            f"lead to more than {ADDRESSES} addresses within an hour; nobody is told of the rest"
        ]

    played(tmp_path, Names(pay_internal=["10.0.0.1"]), act)


def test_who_does_not_follow_asks_nobody(tmp_path: Path) -> None:
    names = Names(pay_internal=["10.0.0.1"])

    async def scene() -> Known:
        there = Whereabouts(tmp_path, lambda: None, follows=False, look_ups=names, servers=names)
        there.follow(wish("https://pay.internal", "http://10.0.0.9"))
        await asyncio.sleep(2 * ASK_S)
        await there.close()
        return there.known("prod")

    known = virtual_time.run(scene())
    assert known.addresses == {PAY: ("10.0.0.9",)}
    assert known.unasked == {PAY}
    assert not names.asked
    assert not names.asked_servers
    assert not (tmp_path / "devices").exists()
