"""Where services run: what is said, what DNS answers, and what stays when it answers less, nothing or not at all."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from gateway.engine.network import whereabouts
from gateway.engine.network.desired import Desired, Place
from gateway.engine.network.whereabouts import KEEP_S, Known, Whereabouts
from gateway.look_ups import ADDRESSES

HARNESS_S = 60.0
PAY = "component:default/pay"
HANGS = ["hangs"]
BREAKS = ["breaks"]


class Names:
    """A name server of the test's. A name without an answer is none."""

    def __init__(self, **answers: list[str]) -> None:
        self.answers = {name.replace("_", "."): found for name, found in answers.items()}
        self.asked: list[str] = []

    async def addresses(self, host: str) -> list[str]:
        self.asked.append(host)
        await asyncio.sleep(0)
        if self.answers.get(host) is HANGS:
            await asyncio.Event().wait()
        if self.answers.get(host) is BREAKS:
            raise RuntimeError("can't start new thread")
        if not self.answers.get(host):
            raise OSError("no such name")
        return self.answers[host]

    def close(self) -> None:
        return None


class Scene:
    """What one process knows. ``now``: epoch seconds."""

    def __init__(self, state: Path, names: Names, now: int = 1_000_000) -> None:
        self.now = now
        self.names = names
        self.changes = 0
        self.whereabouts = Whereabouts(state, self._changed, now=lambda: self.now, look_ups=names)

    def _changed(self) -> None:
        self.changes += 1

    @property
    def known(self) -> Known:
        return self.whereabouts.known("prod")

    async def asked_again(self) -> None:
        before = len(self.names.asked)
        await until(lambda: len(self.names.asked) >= before + 2)


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(HARNESS_S):
        while not holds():
            await asyncio.sleep(0.002)


def wish(*upstreams: str, said: tuple[str, ...] = (), entity: str = PAY) -> Desired:
    return Desired("prod", "base", (_place(entity, upstreams, said),))


def _place(entity: str, upstreams: tuple[str, ...], said: tuple[str, ...] = ()) -> Place:
    return Place(entity, entity, "", "", "", f"{entity[-3:]}.test", "/", upstreams=upstreams, addresses=said)


@pytest.fixture(autouse=True)
def _hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, seconds in {"ASK_S": 0.02, "LONGEST_ASK_S": 0.02, "GATHER_S": 0.002, "TURN_S": 0.005}.items():
        monkeypatch.setattr(whereabouts, name, seconds)


def played(tmp_path: Path, names: Names, act: Callable[[Scene], Awaitable[None]], now: int = 1_000_000) -> Scene:
    async def scene() -> Scene:
        there = Scene(tmp_path, names, now)
        try:
            await act(there)
        finally:
            await there.whereabouts.close()
        return there

    return asyncio.run(scene())


def test_what_the_owner_says_is_asked_of_nobody(tmp_path: Path) -> None:
    async def act(scene: Scene) -> None:
        scene.whereabouts.follow(wish("https://pay.internal", said=("192.0.2.0/28", "192.0.2.99")))
        assert scene.known.addresses == {PAY: ("192.0.2.0/28", "192.0.2.99")}
        assert scene.known.is_settled
        await asyncio.sleep(0.02)
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
        scene.names.answers["pay.internal"] = answer
        scene.now += KEEP_S - 1
        await scene.asked_again()
        assert scene.known.addresses == {PAY: ("10.0.0.1", "10.0.0.2")}
        assert bool(scene.known.unanswered) is not bool(answer)
        scene.now += 1
        await until(lambda: scene.known.addresses == ({PAY: ("10.0.0.2",)} if answer else {}))

    played(tmp_path, Names(pay_internal=["10.0.0.1", "10.0.0.2"]), act)


def test_a_service_that_moved_is_told_within_one_question(tmp_path: Path) -> None:
    async def act(scene: Scene) -> None:
        scene.whereabouts.follow(wish("https://pay.internal"))
        await until(lambda: scene.known.addresses == {PAY: ("10.0.0.1",)})
        before = scene.changes
        scene.names.answers["pay.internal"] = ["10.0.0.7"]
        await until(lambda: scene.changes > before)
        assert scene.known.addresses == {PAY: ("10.0.0.1", "10.0.0.7")}

    played(tmp_path, Names(pay_internal=["10.0.0.1"]), act)


def test_nothing_new_is_the_same_object_and_no_news(tmp_path: Path) -> None:
    async def act(scene: Scene) -> None:
        scene.whereabouts.follow(wish("https://pay.internal"))
        await until(lambda: not scene.known.unasked)
        known, changes = scene.known, scene.changes
        scene.names.answers["pay.internal"] = ["10.0.0.2", "10.0.0.1"]
        await scene.asked_again()
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
        await until(lambda: bool(scene.known.unanswered))
        assert scene.known == Known({PAY: ("10.0.0.1",)}, is_settled=True, unanswered=frozenset({PAY}))

    played(tmp_path, Names(pay_internal=["10.0.0.1"]), first)
    played(tmp_path, Names(), second, now=1_000_000 + 3 * KEEP_S)


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


def test_a_name_that_hangs_delays_no_other_and_is_waited_for_a_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(whereabouts, "PATIENCE_S", 0.05)
    slow = "component:default/slow"

    async def act(scene: Scene) -> None:
        places = (_place(PAY, ("https://pay.internal",)), _place(slow, ("https://slow.internal",)))
        scene.whereabouts.follow(Desired("prod", "base", places))
        await until(lambda: PAY in scene.known.addresses)
        assert scene.known.unasked == {slow}
        assert not scene.known.is_settled
        await until(lambda: scene.known.is_settled)
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


def test_more_names_than_are_asked_at_once_are_all_asked(tmp_path: Path) -> None:
    names = Names()
    names.answers = {f"n{number}.internal": [f"10.0.1.{number}"] for number in range(20)}

    async def act(scene: Scene) -> None:
        scene.whereabouts.follow(wish(*(f"https://{name}" for name in names.answers)))
        await until(lambda: len(scene.known.addresses.get(PAY, ())) == 20)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(whereabouts, "AT_ONCE", 4)
        played(tmp_path, names, act)


def test_a_zone_that_answers_with_ever_others_is_bounded(tmp_path: Path) -> None:
    async def act(scene: Scene) -> None:
        scene.whereabouts.follow(wish("https://pay.internal"))
        for turn in range(3):
            scene.now += 1
            scene.names.answers["pay.internal"] = [f"10.{turn}.0.{number}" for number in range(ADDRESSES - 1)]
            await scene.asked_again()
        await until(lambda: scene.known.addresses[PAY][-1].startswith("10.2."))
        assert len(scene.known.addresses[PAY]) == ADDRESSES

    played(tmp_path, Names(pay_internal=["10.0.0.1"]), act)


def test_who_does_not_follow_asks_nobody(tmp_path: Path) -> None:
    names = Names(pay_internal=["10.0.0.1"])

    async def scene() -> Known:
        there = Whereabouts(tmp_path, lambda: None, follows=False, look_ups=names)
        there.follow(wish("https://pay.internal", "http://10.0.0.9"))
        await asyncio.sleep(0.02)
        await there.close()
        return there.known("prod")

    known = asyncio.run(scene())
    assert known.addresses == {PAY: ("10.0.0.9",)}
    assert known.unasked == {PAY}
    assert not names.asked
    assert not (tmp_path / "devices").exists()
