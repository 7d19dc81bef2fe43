"""An inventory joins what was made of one service on every device, and says who lags."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from gateway.config.devices import Direct, Leg
from gateway.control.api.way_models import InventoryEnvironmentAnswer
from gateway.engine.network.answers.inventory import NAMED, Inventory, named, people_of
from gateway.engine.network.controller import Controller
from gateway.engine.network.faults import DeviceFault
from gateway.engine.network.whereabouts import Known
from gateway.engine.overheard import Overlay
from policy.reasons import DENIED
from policy.rule import Rule
from policy.statements import ANYONE
from tests.unit.engine.network.answers.test_path import EDGE, RUNS, A, FrontedWorld
from tests.unit.engine.network.test_controller import run

if TYPE_CHECKING:
    from gateway.engine.network.news import News


@pytest.fixture
def world(tmp_path: Path) -> FrontedWorld:
    return FrontedWorld(tmp_path)


async def environment_of(controller: Controller) -> dict[str, Any]:
    """Held against the model that control answers with."""
    found = await Inventory(controller, lambda _: {}).answer({"t": "inventory", "service": A})
    (at,) = found["environments"]
    InventoryEnvironmentAnswer.model_validate(at, strict=True)
    said: dict[str, Any] = at
    return said


def test_an_inventory_joins_all_that_was_made_of_a_service(world: FrontedWorld) -> None:
    async def scene() -> None:
        async with world.looked() as controller:
            at = await environment_of(controller)
            assert [each["object"] for each in at["virtual_servers"]] == ["/t/vs"]
            assert [(each["device"], each["leg"], each["state"]) for each in at["firewalls"]] == [
                ("edge", "front", "open"), ("edge", "back", "open"),
            ]  # fmt: skip
            assert at["addresses"] == [{"device": "edge", "address": RUNS, "tags": ["sd-x"], "state": "open"}]
            assert [(each["device"], each["lags"]) for each in at["devices"]] == [("edge", False), ("lb1", False)]
            assert all(each["sentence"] for each in at["rules"])

    run(scene)


def test_an_inventory_says_who_lags(world: FrontedWorld) -> None:
    async def scene() -> None:
        world.tags.missing = {RUNS}
        async with world.looked("plan") as controller:
            at = await environment_of(controller)
            assert [(each["device"], each["lags"]) for each in at["devices"]] == [("edge", False), ("lb1", True)]
            assert at["addresses"][0]["state"] == "stops"

    run(scene)


@pytest.mark.parametrize(("named", "legs"), [(A, ["front", "back", "direct"]), ("component:x/y", ["front", "back"])])
def test_a_leg_is_told_where_it_is_about_the_service(world: FrontedWorld, named: str, legs: list[str]) -> None:
    async def scene() -> None:
        at = replace(EDGE.environments[0], direct=Leg(), directs=(Direct((named,), ("tcp/5432",)),))
        world.edge = replace(EDGE, environments=(at,))
        async with world.looked() as controller:
            assert [each["leg"] for each in (await environment_of(controller))["firewalls"]] == legs

    run(scene)


def test_rules_that_could_not_be_made_are_not_known(world: FrontedWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(_desired: object) -> dict[str, Any]:
        raise DeviceFault("its names are too long")

    async def scene() -> None:
        async with world.looked() as controller:
            monkeypatch.setitem(controller._firewalls, "edge", controller.firewalls["edge"]._replace(content=failing))
            found = [(each["state"], each["why"]) for each in (await environment_of(controller))["firewalls"]]
            assert found == [("unknown", "Its rules could not be made: its names are too long.")] * 2

    run(scene)


def test_what_is_closed_says_so(world: FrontedWorld) -> None:
    async def scene() -> None:
        async with world.looked() as controller:
            assert not (await environment_of(controller))["is_closed"]
            controller.hear(Overlay(shut=frozenset((A,))))
            assert (await environment_of(controller))["is_closed"]

    run(scene)


def test_what_is_doubtful_of_names_is_said_of_the_service_that_has_them(
    world: FrontedWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scene() -> None:
        async with world.looked() as controller:
            assert (await environment_of(controller))["doubts"] == []
            for gone, doubts in ((A, ["It has names that DNS says do not exist"]), ("component:x/y", [])):
                known = Known({A: (RUNS,)}, gone=frozenset((gone,)))
                edge = controller.firewalls["edge"]._replace(known=lambda _, known=known: known)  # type: ignore[misc]  # a default binds it
                monkeypatch.setitem(controller._firewalls, "edge", edge)
                found = [each.partition(";")[0] for each in (await environment_of(controller))["doubts"]]
                assert found == doubts

    run(scene)


def test_whom_a_rule_means_comes_in_pages_without_gaps() -> None:
    everybody = [f"user:default/person-{number:04}" for number in range(2 * NAMED + 1)]
    theirs = frozenset(("group:default/crowd",))
    directory = SimpleNamespace(subjects_of=lambda ref: theirs if ref in everybody else frozenset())
    catalog = SimpleNamespace(people=dict.fromkeys([*reversed(everybody), "user:default/other"]))
    news = cast("News", SimpleNamespace(catalog=catalog, directory=directory))
    rule = Rule("r-1", "owner", "catalog", "group:default/crowd", A, "prod")
    pages, after = [], ""
    for begin in (0, NAMED, 2 * NAMED):
        page = named(news, rule, after)
        assert (page["begin"], page["total"]) == (begin, len(everybody))
        pages.append(page["people"])
        after = page["next"]
    assert [each for page in pages for each in page] == everybody
    assert after == ""
    past = named(news, rule, "user:default/zoe")  # somebody who was the last, and is gone
    assert (past["begin"], past["people"]) == (0, everybody[:NAMED])
    assert named(news, replace(rule, subject="group:default/none"), "user:default/zoe")["people"] == []
    assert named(news, replace(rule, subject=ANYONE), "")["total"] == len(catalog.people)


def test_who_is_shut_out_altogether_is_not_counted_as_let_in() -> None:
    pay = "group:default/pay"
    teams = {"user:default/jane": {pay}, "user:default/omar": {pay, "group:default/out"}}
    directory = SimpleNamespace(subjects_of=lambda ref: frozenset(teams[ref]))
    news = cast("News", SimpleNamespace(catalog=SimpleNamespace(people=teams), directory=directory))
    may = Rule("r-1", "owner", "catalog", "group:default/pay", A, "prod")
    never = Rule("r-2", DENIED, "access-policy", "group:default/out", A, "prod")
    for denial, number in ((never, 1), (replace(never, methods=frozenset(("DELETE",))), 2)):
        published = cast("Any", SimpleNamespace(exposure=SimpleNamespace(environment="prod"), rules=(may, denial)))
        found = people_of(news, [published])
        assert (found.let_in["prod"], found.meant["group:default/pay"]) == (number, 2)


def test_whom_a_rule_means_is_told_of_rules_of_the_service_alone(world: FrontedWorld) -> None:
    async def scene() -> None:
        async with world.looked() as controller:
            rule = (await environment_of(controller))["rules"][0]["rule"]
            asked = {"t": "inventory_people", "service": A, "environment": "prod", "rule": rule}
            assert (await Inventory(controller, lambda _: {}).answer(asked))["rule"] == rule
            for wrong in ({"rule": "r-none"}, {"environment": "dev"}, {"rule": None}):
                found = await Inventory(controller, lambda _: {}).answer({**asked, **wrong})
                assert found == {"rule": None}

    run(scene)


def test_who_are_many_and_may_stand_first(world: FrontedWorld) -> None:
    async def scene() -> None:
        async with world.looked() as controller:
            rules = (await environment_of(controller))["rules"]
            assert rules == sorted(rules, key=lambda each: (each["effect"] == "deny", -each["people"]))

    run(scene)


def test_what_is_left_out_of_a_long_list_is_counted(world: FrontedWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.engine.network.answers.inventory.MOST", 0)

    async def scene() -> None:
        async with world.looked() as controller:
            at = await environment_of(controller)
            assert (at["addresses"], at["more_addresses"], at["rules"], at["more_rules"] > 0) == ([], 1, [], True)

    run(scene)


def test_what_is_not_published_has_no_inventory(world: FrontedWorld) -> None:
    async def scene() -> None:
        async with world.looked() as controller:
            asked = {"t": "inventory", "service": "component:x/y"}
            assert await Inventory(controller, lambda _: {}).answer(asked) == {"service": None}

    run(scene)
