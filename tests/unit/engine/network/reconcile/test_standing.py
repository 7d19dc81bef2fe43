"""How an environment stands is told each second: whatever a device says, in a few kilobytes."""

from __future__ import annotations

import orjson

from gateway.engine.network.plans.plan import Difference, Drift, Kind, Observed, Plan, Step
from gateway.engine.network.reconcile.standing import LONGEST, Last, Seen, Standing

MUCH = "x" * 1_000_000


def standing_of(seen: Seen, fault: str = "", waits: tuple[str, ...] = ()) -> Standing:
    return Standing("lb1", "prod", "plan", "base1", True, "", fault, waits, seen, Last(), {})


def test_a_device_that_talks_without_end_is_told_short() -> None:
    plan = Plan("lb1", "prod", "now", "base1", "f", (Step(Kind.ADD, "a", MUCH),))
    observed = Observed("f", unit=MUCH, sync=MUCH, remarks=(MUCH,) * 500)
    seen = Seen().looked(plan, (), (Drift(Difference.EDITED, "a", MUCH),), observed, 1.0)
    said = standing_of(seen, MUCH, (MUCH,)).as_json(2.0)
    assert len(orjson.dumps(said)) < 32_768
    assert said["remarks"][-1] == "and 480 more"
    assert said["fault"] == "x" * LONGEST + "…"


def test_what_is_short_is_told_as_it_is() -> None:
    remarks = ("2 members are drained", "the group is not in step")
    seen = Seen().looked(Plan("lb1", "prod", "now", "base1", "f", ()), (), (), Observed("f", remarks=remarks), 1.0)
    assert standing_of(seen, "no answer").as_json(2.0)["remarks"] == list(remarks)
    assert standing_of(seen, "no answer").as_json(2.0)["fault"] == "no answer"
