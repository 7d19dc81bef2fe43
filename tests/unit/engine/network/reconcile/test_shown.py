"""What pages show of a device is small whatever it says, keeps what a reader must not miss, and says what to do."""

from __future__ import annotations

import shlex
from dataclasses import replace

import orjson
import pytest

from gateway.engine.network.fronts import Front
from gateway.engine.network.plans.plan import Difference, Drift, Kind, Observed, Plan, Step
from gateway.engine.network.reconcile.shown import DRIFTS, FRONTS, STEPS, Shown, commands_of, shown_of, text_of

MUCH = "<script>" * 10_000
SEEN = Observed("f", {"a": 1})


def plan_of(*steps: Step) -> Plan:
    return Plan("dc1", "prod", "2026-11-22T10:00:00.000Z", "base1", "f", steps)


def shown(*steps: Step, drifts: tuple[Drift, ...] = (), observed: Observed = SEEN) -> Shown:
    return shown_of(plan_of(*steps), drifts, observed, ())


def front(number: int, **said: str) -> Front:
    name = f"s{number}"
    texts = {"entity": f"component:default/{name}", "title": name, "owner": "group:default/t", "host": f"{name}.test"}
    return Front(**{**texts, **said}, path="/", address="203.0.113.10", port=443, object="/t/vs")


def test_a_device_and_a_catalog_that_talk_without_end_are_shown_in_little() -> None:
    deep: dict[str, object] = {}
    for _ in range(5000):
        deep = {"a": deep, MUCH[:50]: [MUCH] * 50}
    step = Step(Kind.ADD, MUCH, MUCH, (MUCH,) * 1000, (MUCH,) * 1000, before=deep, after=[deep] * 1000, caution=MUCH)
    drift = Drift(Difference.EDITED, MUCH, MUCH, MUCH, deep, [MUCH] * 10_000)
    fronts = [front(number, title=MUCH) for number in range(5000)]
    plan = replace(plan_of(*(step,) * 5000), remarks=(MUCH,) * 5000)
    found = shown_of(plan, (drift,) * 5000, SEEN, fronts)
    assert len(orjson.dumps([found.plan, found.drift, found.fronts])) < 4_000_000
    assert found.plan["total"] == found.drift["total"] == found.fronts["total"] == 5000
    assert len(found.plan["steps"]) == STEPS
    assert len(found.drift["differences"]) == DRIFTS
    assert sum(len(each["places"]) for each in found.fronts["virtual_servers"]) == FRONTS


def test_a_step_to_look_at_twice_is_kept_however_far_behind_it_is() -> None:
    steps = [Step(Kind.ADD, str(number), "Adds.") for number in range(2 * STEPS)]
    steps[-2] = replace(steps[-2], caution="Look.")
    found = shown(*steps).plan
    assert [each["number"] for each in found["steps"] if each["caution"]] == [2 * STEPS - 1]
    assert [each["number"] for each in found["steps"]] == sorted(each["number"] for each in found["steps"])


def test_steps_are_numbered_as_the_command_line_numbers_them() -> None:
    found = shown(Step(Kind.ADD, "a", "Adds."), Step(Kind.REMOVE, "b", "Removes."), Step(Kind.CHANGE, "c", "Sets."))
    assert [(each["number"], each["object"]) for each in found.plan["steps"]] == [(1, "b"), (2, "c"), (3, "a")]
    assert found.plan["kinds"] == {"remove": 1, "change": 1, "add": 1}


@pytest.mark.parametrize("difference", Difference)
def test_every_class_of_drift_says_what_to_do(difference: Difference) -> None:
    (found,) = shown(drifts=(Drift(difference, "o", "It differs.", 1, 2, 3),)).drift["differences"]
    assert found["todo"].endswith(".")
    assert (found["intent"], found["applied"], found["device"]) == ("1", "2", "3")


def test_a_value_is_text_and_what_is_not_there_is_none() -> None:
    assert text_of(None) is None
    assert text_of("10.0.0.1") == "10.0.0.1"
    assert text_of({"b": [1, None]}) == '{\n  "b": [\n    1,\n    null\n  ]\n}'
    assert text_of(2**80)
    assert text_of("\ud800") == "?"


def test_commands_are_safe_to_paste() -> None:
    commands = commands_of("a b;rm", "$(x)")
    assert shlex.split(commands["plan"])[2:6] == ["--device", "a b;rm", "--env", "$(x)"]
    assert shlex.split(commands["apply"]) == ["stagedoor", "apply", "$(x).plan"]
    assert "'$(x)" in commands["apply"]


def test_adopting_is_offered_where_something_is_not_ours_alone() -> None:
    assert "adopt" not in shown().commands
    assert "adopt" in shown(observed=Observed("f", {"a": 1}, ours=False)).commands


def test_after_an_apply_nothing_waits_and_who_is_met_where_stays() -> None:
    found = shown_of(plan_of(Step(Kind.ADD, "a", "Adds.", ("e",))), (), SEEN, [front(1)])
    assert found.waiting == {"e": 1}
    done = found.done()
    assert (done.plan["total"], done.plan["steps"], done.waiting) == (0, [], {})
    assert done.fronts["total"] == 1
