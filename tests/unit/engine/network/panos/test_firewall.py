"""A leg is open only where its rule, its addresses and the person are there; else the first cause is told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from gateway.config.devices import Leg as Zones
from gateway.config.devices import Panos, PanosEnvironment
from gateway.engine.network.desired import Desired
from gateway.engine.network.panos import names
from gateway.engine.network.panos.firewall import Firewall, Leg, Person, back_hop, front_hop
from gateway.engine.network.panos.membership import Membership
from gateway.engine.network.plans.plan import Kind, Observed, Plan, Step
from gateway.engine.network.reconcile.shown import Shown, shown_of
from gateway.engine.network.whereabouts import Known
from policy.coarse import Scope

PAY, SYSTEM, TEAM = "component:default/pay", "system:default/payments", "group:default/payments"
SCOPE = Scope(SYSTEM, "prod", TEAM, (PAY,), (TEAM,), (), False, False, ())
AT = PanosEnvironment("prod", front=Zones(), back=Zones(), doors=("198.51.100.21",), networks=("10.0.0.0/8",))
FRONT, BACK = names.rule_name("front", SYSTEM, "prod"), names.rule_name("back", SYSTEM, "prod")
VIRTUAL, RUNS = "203.0.113.10", "10.0.0.1"
JANE = Person("user:default/jane", "corp\\jane")
TAG = names.team_tag(TEAM)
CONTENT = {
    "rules": [
        {"name": FRONT, "source_user": ["team", "granted"], "destination": ["fronts"], "description": "Payments may."},
        {"name": BACK, "source_user": ["any"], "destination": ["runs"], "description": "Doors may."},
    ],
    "user_groups": {"team": {"filter": f"'{TAG}'"}, "granted": {"filter": "'sd-t-x' or 'sd-t-y'"}},
}  # fmt: skip
EVERYTHING = {
    (VIRTUAL, names.front_tag("", "prod")), ("198.51.100.21", names.doors_tag("prod")),
    (RUNS, names.services_tag(SYSTEM, "prod")), (JANE.name, TAG),
}  # fmt: skip


class Written:
    """A tag worker. ``there`` None: nothing was read."""

    def __init__(self, there: set[tuple[str, str]] | None, wanted: Membership | None = None) -> None:
        self.there = there
        self.wanted = wanted
        self.fault = "it does not answer"

    def has(self, what: str, tag: str) -> bool | None:
        return None if self.there is None else (what, tag) in self.there


def looked(*steps: Step) -> Shown:
    plan = Plan("edge", "prod", "2026-11-22T14:34:34.725Z", "v1", "", steps)
    return shown_of(plan, (), Observed(""), ())


def leg(
    name: str = "front", *, tags: Written | None = None, content: Mapping[str, Any] = CONTENT,
    shown: Shown | None = None, fault: str = "", before: Mapping[str, Any] | None = None, known: Known | None = None,
    scope: Scope | None = SCOPE,
) -> Leg:  # fmt: skip
    places = known or Known({PAY: (RUNS,)})

    def content_of(_desired: Desired) -> Mapping[str, Any]:
        return content

    device = Panos("edge", ("https://192.0.2.30",), ("key",), tags="enforce", environments=(AT,))
    firewall = Firewall(device, tags or Written(set(EVERYTHING)), content_of, lambda _: places)
    return Leg(firewall, AT, name, PAY, scope, content, shown or looked(), fault, content if before is None else before)


def front(at: Leg, person: Person = JANE) -> tuple[str, str]:
    hop = front_hop(at, person, [VIRTUAL])
    assert hop.todo or hop.state == "open"
    return hop.state, hop.sentence


def test_who_carries_a_tag_of_the_rule_comes_in() -> None:
    state, sentence = front(leg())
    assert (state, TAG in sentence, FRONT in sentence) == ("open", True, True)


def test_a_tag_of_a_grant_lets_in_too() -> None:
    there = (EVERYTHING - {(JANE.name, TAG)}) | {(JANE.name, "sd-t-y")}
    assert front(leg(tags=Written(there))) == ("open", f"Rule {FRONT} lets corp\\jane come, who carries sd-t-y.")


def test_the_rule_of_the_environment_counts_where_the_scope_has_none() -> None:
    shared = names.rule_name("front", "", "prod")
    content = {**CONTENT, "rules": [{"name": shared, "source_user": ["team"]}]}
    state, sentence = front(leg(content=content))
    assert (state, shared in sentence) == ("open", True)


def test_a_rule_that_asks_for_nobody_lets_anybody_come_to_the_door() -> None:
    content = {**CONTENT, "rules": [{"name": FRONT, "source_user": ["any"]}]}
    assert front(leg(content=content, tags=Written(EVERYTHING - {(JANE.name, TAG)})))[0] == "open"


@pytest.mark.parametrize(
    ("at", "state", "says"),
    [
        (leg(content={**CONTENT, "rules": []}), "stops", "No rule for edge names system:default/payments"),
        (leg(content={}, scope=None), "stops", "No rule for edge names this service"),
        (leg(fault="it does not answer"), "unknown", "edge could not be read"),
        (leg(shown=looked(Step(Kind.ADD, f"rules {FRONT}", "Adds it."))), "stops", "is not on edge yet"),
        (leg(shown=looked(Step(Kind.CHANGE, f"prod rules {FRONT}", "Changes it."))), "unknown", "not as it is wanted"),
        (leg(before={"rules": [{"name": FRONT, "source_user": ["any"]}]}), "unknown", "is about to become another"),
        (leg(before={"rules": []}), "stops", "is not on edge yet"),
        (leg(tags=Written(None)), "unknown", "Nobody has read the tags of edge yet: it does not answer."),
        (leg(tags=Written(EVERYTHING - {(VIRTUAL, names.front_tag("", "prod"))})), "stops", f"address {VIRTUAL}"),
        (leg(tags=Written(EVERYTHING - {(JANE.name, TAG)})), "stops", "is none of the teams that may come: " + TEAM),
        (
            leg(tags=Written(EVERYTHING - {(JANE.name, TAG)}, Membership(users={JANE.name: frozenset((TAG,))}))),
            "stops", "edge does not know yet that corp\\jane carries",
        ),
        (
            leg(tags=Written(EVERYTHING - {(JANE.name, TAG)}, Membership(timed={(JANE.name, "sd-t-x"): 99}))),
            "stops", "edge does not know yet that corp\\jane carries sd-t-x",
        ),
        (
            leg(tags=Written(EVERYTHING - {(JANE.name, TAG)}, Membership(cut=frozenset((JANE.name,))))),
            "stops", "user:default/jane is cut off.",
        ),
    ],
)  # fmt: skip
def test_the_first_cause_is_told(at: Leg, state: str, says: str) -> None:
    found, sentence = front(at)
    assert (found, says in sentence) == (state, True), sentence


@pytest.mark.parametrize("ref", [PAY, SYSTEM])
def test_what_is_reached_directly_has_the_rule_of_whatever_is_named(ref: str) -> None:
    name = names.rule_name("direct", ref, "prod")
    found = leg("direct", content={"rules": [{"name": name}, {"name": names.rule_name("direct", "", "prod")}]}).rule
    assert found == {"name": name}


@pytest.mark.parametrize("group", ["address_groups fronts", "user_groups team"])
def test_a_group_that_another_hand_has_changed_makes_its_rule_uncertain(group: str) -> None:
    state, sentence = front(leg(shown=looked(Step(Kind.CHANGE, f"prod {group}", "Changes it."))))
    assert (state, "is made of" in sentence) == ("unknown", True), sentence
    assert front(leg(shown=looked(Step(Kind.CHANGE, "prod address_groups runs", "Changes it."))))[0] == "open"


def test_a_rule_that_lacks_a_team_is_there() -> None:
    state, sentence = front(leg(shown=looked(Step(Kind.ADD, f"prod rules {FRONT} source-user", "Lets a team pass."))))
    assert (state, "not as it is wanted" in sentence) == ("unknown", True), sentence


def test_rules_that_no_firewall_of_a_group_was_given_make_nothing_open() -> None:
    step = Step(Kind.ADD, "prod rules push", "Pushes the rules of prod to 1 firewall, which has others: 0001.")
    state, sentence = front(leg(shown=looked(step)))
    assert (state, "behind edge" in sentence) == ("unknown", True), sentence


def test_a_way_without_a_virtual_address_is_not_open() -> None:
    hop = front_hop(leg(), JANE, [])
    assert (hop.state, "virtual address" in hop.sentence) == ("unknown", True)


def test_an_address_that_no_firewall_is_told_stops_the_doors_that_go_there() -> None:
    wanted = Membership(addresses={RUNS: frozenset((names.services_tag(SYSTEM, "prod"),))})
    at = leg("back", tags=Written(set(EVERYTHING), wanted), known=Known({PAY: (RUNS, "192.0.2.7")}))
    hop = back_hop(at, PAY)
    assert (hop.state, "192.0.2.7" in hop.sentence) == ("stops", True), hop.sentence


def test_another_rule_that_waits_stops_nobody() -> None:
    other = names.rule_name("front", "system:default/other", "prod")
    assert front(leg(shown=looked(Step(Kind.ADD, f"rules {other}", "Adds it."))))[0] == "open"


def test_a_person_without_a_name_there_is_told_what_is_missing() -> None:
    state, sentence = front(leg(), Person("user:default/joe", ""))
    assert (state, "has no name on edge" in sentence) == ("stops", True)


def test_doors_come_to_a_service_whose_addresses_are_tagged() -> None:
    hop = back_hop(leg("back"), PAY)
    assert (hop.state, hop.sentence) == ("open", f"Rule {BACK} lets the doors come to {RUNS}.")


@pytest.mark.parametrize(
    ("at", "says"),
    [
        (leg("back", tags=Written(EVERYTHING - {(RUNS, names.services_tag(SYSTEM, "prod"))})), f"address {RUNS}"),
        (leg("back", tags=Written(EVERYTHING - {("198.51.100.21", names.doors_tag("prod"))})), "Door 198.51.100.21"),
        (leg("back", known=Known()), "Nobody has told edge where"),
        (leg("back", content={}), "No rule for edge"),
    ],
)
def test_doors_are_stopped_by_what_is_missing(at: Leg, says: str) -> None:
    hop = back_hop(at, PAY)
    assert (hop.state, says in hop.sentence) == ("stops", True), hop.sentence
