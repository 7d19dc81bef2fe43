"""How devices stand is read with care, and while the engine is away its last words are told as such."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from gateway.control.api.device_models import DeviceAnswer, DevicesAnswer
from gateway.control.api.devices import AWAY_S, KEPT, LISTED, Devices, instant, standing_of
from gateway.control.api.engine import Engine
from gateway.control.api.problems import PROBLEMS, Problem
from gateway.control.heard import NOTHING_HEARD, Heard
from gateway.engine.network.plans.plan import Kind, Observed, Plan, Step
from gateway.engine.network.reconcile.shown import commands_of, shown_of
from gateway.engine.network.reconcile.standing import Last, Seen, Standing

NOW_S = 1_800_000_000.0
STANDING = Standing(
    "dc1", "prod", "plan", "base1", True, "", "", ("frozen: until Monday",),
    Seen(NOW_S - 5, NOW_S - 60, NOW_S - 30, 2, 1, 1), Last(NOW_S - 90, "base0", "jane", "CHG-1"), {},
)  # fmt: skip
PLAN = Plan("dc1", "prod", "2027-01-15T08:00:00.000Z", "base1", "f", (Step(Kind.REMOVE, "a", "Removes a."),))


def view() -> dict[str, Any]:
    shown = shown_of(PLAN, (), Observed("f", {}), ())
    return {
        "standing": STANDING.as_json(NOW_S), "plan": shown.plan, "drift": shown.drift, "fronts": shown.fronts,
        "asks": [], "commands": commands_of("dc1", "prod"), "checks": None, "applies": [],
    }  # fmt: skip


class ScriptedEngine:
    """Answers what a test says, or raises it."""

    def __init__(self) -> None:
        self.answers: list[dict[str, Any] | Problem] = []
        self.asked: list[dict[str, Any]] = []

    async def ask(self, question: dict[str, Any], *, within_s: float = 0.0) -> dict[str, Any]:
        self.asked.append(question)
        answer = self.answers.pop(0)
        if isinstance(answer, Problem):
            raise answer
        return answer


class Scene:
    def __init__(self) -> None:
        self.engine = ScriptedEngine()
        self.heard = Heard([STANDING.as_json(NOW_S)], NOW_S)
        self.now_s = NOW_S
        self.devices = Devices(cast("Engine", self.engine), lambda: self.heard, lambda: self.now_s)

    def one(self, *answers: dict[str, Any] | Problem, environment: str = "prod") -> dict[str, Any]:
        self.engine.answers += answers
        return asyncio.run(self.devices.one("dc1", environment))


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_ages_become_instants_that_stay_true(scene: Scene) -> None:
    told = scene.devices.all()
    DevicesAnswer.model_validate(told)
    (device,) = told["devices"]
    assert device["looked"] == "2027-01-15T07:59:55.000Z"
    assert device["waiting"]["since"] == "2027-01-15T07:59:30.000Z"
    assert (device["applied_by"], device["applied_ticket"]) == ("jane", "CHG-1")
    assert device["sentence"] == "2 steps wait to be applied, 1 of them to be looked at twice."
    assert device["waiting"]["holds"] == ["frozen: until Monday"]


def test_an_engine_that_is_silent_is_away_and_its_words_stay(scene: Scene) -> None:
    assert not scene.devices.all()["engine_away"]
    scene.now_s += AWAY_S + 1
    told = scene.devices.all()
    assert told["engine_away"]
    assert told["told"] == "2027-01-15T08:00:00.000Z"
    assert told["devices"][0]["looked"] == "2027-01-15T07:59:55.000Z"
    scene.heard = NOTHING_HEARD
    told = scene.devices.all()
    assert (told["told"], told["engine_away"], told["devices"]) == (None, True, [])


def test_while_the_engine_is_away_the_last_view_is_told_as_such(scene: Scene) -> None:
    first = scene.one({"view": view()})
    scene.now_s += 100
    again = scene.one(Problem("engine_away"))
    assert again == {**first, "engine_away": True}
    with pytest.raises(Problem, match="engine_away"):
        scene.one(Problem("engine_away"), environment="dev")


def test_a_device_that_is_gone_is_not_told_from_memory(scene: Scene) -> None:
    scene.one({"view": view()})
    with pytest.raises(Problem, match="device_unknown"):
        scene.one(Problem("device_unknown"))
    with pytest.raises(Problem, match="engine_away"):
        scene.one(Problem("engine_away"))
    assert PROBLEMS["device_unknown"].status == 404


@pytest.mark.parametrize("said", [{}, {"standing": {}}, {**view(), "plan": {"steps": 7}}, {**view(), "more": 1}])
def test_an_engine_that_says_something_else_gives_no_answer(scene: Scene, said: dict[str, Any]) -> None:
    """For the moments of an upgrade: no half of an answer is shown."""
    with pytest.raises(Problem, match="engine_away"):
        scene.one({"view": said})


def test_many_who_read_the_same_at_once_are_one_question(scene: Scene) -> None:
    """The engine takes so many questions at a time: readers of one page must not use them up for all others."""

    async def reading() -> list[dict[str, Any]]:
        readers = [asyncio.create_task(scene.devices.one("dc1", "prod")) for _ in range(100)]
        await asyncio.sleep(0)
        readers[0].cancel()  # the one who began it goes away
        return await asyncio.gather(*readers[1:])

    scene.engine.answers = [{"view": view()}]
    assert all(each["device"]["device"] == "dc1" for each in asyncio.run(reading()))
    assert len(scene.engine.asked) == 1
    assert scene.one({"view": view()})["plan"]["total"] == 1
    assert len(scene.engine.asked) == 2


def test_few_views_are_kept_however_many_are_read(scene: Scene) -> None:
    for number in range(KEPT + 1):
        scene.one({"view": view()}, environment=str(number))
    with pytest.raises(Problem, match="engine_away"):
        scene.one(Problem("engine_away"), environment="0")
    assert scene.one(Problem("engine_away"), environment="1")["engine_away"]


GARBAGE: tuple[dict[str, Any], ...] = (
    {}, {"device": 7, "steps": "x", "looked_age_s": "never", "waits": "none", "version_off": "yes"},
    {"state": "something new", "remarks": [1, "x" * 100_000] * 1000, "looked_age_s": True},
)  # fmt: skip


@pytest.mark.parametrize("said", GARBAGE)
def test_a_standing_of_another_version_is_read_as_far_as_it_goes(said: dict[str, Any]) -> None:
    found = standing_of(said, NOW_S)
    DevicesAnswer.model_validate({"told": None, "engine_away": False, "total": 1, "devices": [found]})
    assert len(repr(found)) < 100_000


def test_a_long_list_is_cut_and_counted(scene: Scene) -> None:
    scene.heard = Heard([STANDING.as_json(NOW_S)] * (LISTED + 7), NOW_S)
    told = scene.devices.all()
    assert (len(told["devices"]), told["total"]) == (LISTED, LISTED + 7)


def test_a_service_page_goes_without_its_front_where_that_is_not_known(scene: Scene) -> None:
    scene.engine.answers = [Problem("engine_away")]
    assert asyncio.run(scene.devices.fronts_of("component:default/a")) == {}
    scene.engine.answers = [{"fronts": [{"environment": "prod", "sentence": "On dc1 …"}]}]
    assert asyncio.run(scene.devices.fronts_of("component:default/a")) == {"prod": ["On dc1 …"]}
    scene.heard = NOTHING_HEARD
    asked = len(scene.engine.asked)
    assert asyncio.run(scene.devices.fronts_of("component:default/a")) == {}
    assert len(scene.engine.asked) == asked  # a node without devices asks nobody


def test_an_instant_is_one() -> None:
    assert instant(None) is None
    assert instant(NOW_S + 0.5) == "2027-01-15T08:00:00.500Z"


def test_a_view_is_the_answer_of_the_api(scene: Scene) -> None:
    DeviceAnswer.model_validate(scene.one({"view": view()}))
