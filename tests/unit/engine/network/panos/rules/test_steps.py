"""What a plan says before anything is done: one sentence for each step, removals first, nothing unsaid."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gateway.engine.network.panos import names
from gateway.engine.network.panos.rules.content import content_of, empty
from gateway.engine.network.panos.rules.set_format import script_of
from gateway.engine.network.panos.rules.steps import steps_between
from gateway.engine.network.plans.guards import removed
from gateway.engine.network.plans.plan import Kind, Plan, Step
from gateway.engine.network.plans.plan_file import as_json
from tests.support.panos_rules import (
    AUDIT,
    CLOSED,
    DATABASE,
    DESIRED,
    EDGE,
    ENVIRONMENT,
    LEDGER,
    PAYMENTS,
    SCOPES,
    with_scopes,
)

NOTHING = empty(EDGE, "prod")
DIRECT = names.rule_name("direct", DATABASE, "prod")


def content(*scopes: Any) -> dict[str, Any]:
    return content_of(with_scopes(*(scopes or SCOPES)), EDGE, ENVIRONMENT, ())


WANTED = content()


def script(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    steps = steps_between(before, after)
    plan = Plan("edge", "prod", "2026-01-01T00:00:00Z", "v1", "", steps, after)
    return script_of(as_json(plan)).splitlines()[2:-1]


def about(steps: tuple[Step, ...], kind: Kind) -> list[Step]:
    return [step for step in steps if step.kind is kind]


def test_nothing_to_do_is_no_step() -> None:
    assert steps_between(WANTED, deepcopy(WANTED)) == ()
    assert script(WANTED, WANTED) == []


def test_the_first_plan_adds_each_rule_and_warns_of_what_closes() -> None:
    steps = steps_between(NOTHING, WANTED)
    assert {step.kind for step in steps} == {Kind.ADD} and len(steps) == len(WANTED["rules"]) + 1
    assert [step.caution for step in steps if step.caution] == [
        "whoever came to these services by another way is stopped, unless a rule further up lets them"
    ]


def test_a_team_that_loses_a_way_is_named_and_counts_as_taken_away() -> None:
    after = content(SCOPES[0], replace(SCOPES[1], teams=(AUDIT,)))
    steps = [step for step in steps_between(WANTED, after) if step.object.startswith(f"prod rules {DIRECT} ")]
    assert [(step.kind, step.entities) for step in steps] == [(Kind.REMOVE, (DATABASE,)), (Kind.ADD, (DATABASE,))]
    assert "Takes `People of group:default/payments` out of the rule" in steps[0].sentence
    assert "Lets `People of group:default/audit` pass" in steps[1].sentence
    assert DATABASE in removed(steps_between(WANTED, after))


def test_opening_a_rule_for_anybody_takes_nobody_away_and_is_a_caution() -> None:
    steps = steps_between(WANTED, content(SCOPES[0], replace(SCOPES[1], anyone=True)))
    opened = [step for step in steps if step.caution]
    assert [step.caution for step in opened] == ["anybody comes near, known or not"]
    assert names.rule_name("front", "", "prod") not in " ".join(step.object for step in about(steps, Kind.REMOVE))


def test_what_rules_are_no_more_made_of_goes_without_counting_as_a_loss() -> None:
    steps = steps_between(WANTED, content(SCOPES[0], replace(SCOPES[1], teams=(AUDIT,))))
    useless = [step for step in steps if step.object == "prod objects" and step.kind is Kind.CHANGE]
    assert useless[0].before["user_groups"] == [names.group_name(names.team_tag("group:default/payments"), "prod")]


def test_a_scope_that_is_gone_counts_once() -> None:
    lost = removed(steps_between(WANTED, content(SCOPES[0])))
    assert set(lost) >= {PAYMENTS, DATABASE} and LEDGER not in lost


def test_what_a_device_says_cannot_break_a_sentence() -> None:
    before = deepcopy(WANTED)
    before["rules"][0]["description"] = "\x1b[31m\n`; rm -rf" * 999
    for step in steps_between(before, WANTED):
        assert step.sentence.isprintable() and len(step.sentence) < 3000


changes = st.lists(st.tuples(st.integers(0, 4), st.sampled_from(["drop", "open", "swap", "disable"])), max_size=4)


@given(changes)
def test_steps_are_none_only_where_nothing_differs(found: list[tuple[int, str]]) -> None:
    before = deepcopy(WANTED)
    for number, how in found:
        rules = before["rules"]
        if not rules:
            continue
        match how:
            case "drop":
                del rules[number % len(rules)]
            case "open":
                rules[number % len(rules)]["source_user"] = ["any"]
            case "swap":
                rules.insert(0, rules.pop(number % len(rules)))
            case "disable":
                rules[number % len(rules)]["disabled"] = True
    assert bool(steps_between(before, WANTED)) == (before != WANTED)


# === what is closed ===

STATIC = content_of(DESIRED, EDGE, CLOSED, ())
CLOSING = names.rule_name("closing", "", "prod")


def closing(before: dict[str, Any], after: dict[str, Any]) -> tuple[str, str]:
    """Sentence and caution."""
    (step,) = (each for each in steps_between(before, after) if each.object == f"prod rules {CLOSING}")
    assert (step.kind, step.before["destination"], step.after["destination"]) == (
        Kind.CHANGE, before["rules"][-1]["destination"], after["rules"][-1]["destination"],
    )  # fmt: skip
    return step.sentence, step.caution


def test_closing_networks_in_place_of_services_says_who_is_stopped() -> None:
    said, caution = closing(WANTED, STATIC)
    assert said == f"Changes the rule `{CLOSING}`, which closes `192.0.2.0/24`, `2001:db8:30::/48`."
    assert caution.startswith("whoever came to anything in these networks, the doors too at other ports")


def test_what_is_closed_no_more_is_named_and_a_caution() -> None:
    said, caution = closing(STATIC, WANTED)
    assert said.endswith("which closes `All services of prod`, and `192.0.2.0/24`, `2001:db8:30::/48` no more.")
    assert caution == "what is closed no more is open to whomever the rules below it let there"
    fewer = content_of(DESIRED, EDGE, replace(CLOSED, networks=CLOSED.networks[:1]), ())
    said, caution = closing(STATIC, fewer)
    assert said.endswith("which closes nothing new, and `2001:db8:30::/48` no more.")
    assert caution == "what is closed no more is open to whomever the rules below it let there"
    assert closing(fewer, STATIC)[0].endswith("which closes `2001:db8:30::/48`.")


def closed_by(*networks: str) -> dict[str, Any]:
    return content_of(DESIRED, EDGE, replace(CLOSED, networks=networks), ())


def test_a_network_that_grows_opens_nothing() -> None:
    said, caution = closing(closed_by("10.30.4.0/24"), closed_by("10.30.0.0/16"))
    assert said.endswith("which closes `10.30.0.0/16`.")
    assert caution.startswith("whoever came to anything in these networks") and "open" not in caution


def test_a_network_that_shrinks_or_goes_elsewhere_opens_what_it_left() -> None:
    for after in ("10.30.4.0/24", "10.31.0.0/16"):
        said, caution = closing(closed_by("10.30.0.0/16"), closed_by(after))
        assert said.endswith(f"which closes `{after}`, and `10.30.0.0/16` no more.")
        assert caution.startswith("whoever came to anything in these networks")
        assert caution.endswith("; what is closed no more is open to whomever the rules below it let there")


def test_who_reads_of_many_networks_reads_all_of_them() -> None:
    networks = [f"2001:db8:{number:x}::/48" for number in range(0x1000, 0x1010)]
    said, _ = closing(WANTED, closed_by(*networks))
    (first,) = (each for each in steps_between(NOTHING, closed_by(*networks)) if each.caution)
    for network in networks:
        assert f"`{network}`" in said
        assert network in first.sentence


def test_what_else_of_a_closing_rule_changes_is_said_too() -> None:
    elsewhere = content_of(DESIRED, EDGE, replace(CLOSED, log_setting="siem"), ())
    assert closing(WANTED, elsewhere)[0].endswith("`2001:db8:30::/48`: log_setting from nothing to `siem`.")


def test_the_first_plan_that_closes_networks_warns_of_all_that_is_in_them() -> None:
    steps = steps_between(NOTHING, STATIC)
    (caution,) = (step.caution for step in steps if step.caution)
    assert caution.startswith("whoever came to anything in these networks")
    assert "Keeps everybody else from all of 192.0.2.0/24, 2001:db8:30::/48, networks of prod" in steps[-2].sentence


# === as the command line takes it ===


def test_networks_are_made_before_the_rule_that_names_them_and_go_after_it() -> None:
    network = names.network_name("2001:db8:30::/48", "prod")
    lines = script(WANTED, STATIC)
    made = lines.index(f"set address {network} ip-netmask 2001:db8:30::/48")
    deleted = lines.index(f"delete rulebase security rules {CLOSING} destination")
    named = next(at for at, line in enumerate(lines) if line.startswith(f"set rulebase security rules {CLOSING} dest"))
    assert made < deleted < named and network in lines[named]
    assert lines[-1] == f"delete address-group {names.environment_tag('prod')}"
    back = script(STATIC, WANTED)
    assert back[-1].startswith("delete address ") and back[-1] in script(STATIC, NOTHING)


def test_a_new_rule_is_set_and_moved_into_the_block() -> None:
    lines = script(content(SCOPES[0]), WANTED)
    name = names.rule_name("back", PAYMENTS, "prod")
    assert f"set rulebase security rules {name} action allow" in lines
    before = names.rule_name("back", LEDGER, "prod")
    assert f"move rulebase security rules {name} after {before}" in lines
    assert not [line for line in lines if line.startswith(f"delete rulebase security rules {name}")]


def test_the_first_rule_goes_before_the_anchor_and_objects_before_rules() -> None:
    lines = script(NOTHING, WANTED)
    first = WANTED["rules"][0]["name"]
    assert f"move rulebase security rules {first} before sd-end" in lines
    kinds = [line.split()[1] for line in lines]
    assert kinds.index("rulebase") > max(position for position, kind in enumerate(kinds) if kind != "rulebase")


def test_who_loses_a_way_is_deleted_because_set_would_keep_them() -> None:
    lines = script(WANTED, content(SCOPES[0], replace(SCOPES[1], teams=(AUDIT,))))
    deleted = lines.index(f"delete rulebase security rules {DIRECT} source-user")
    assert any(line.startswith(f"set rulebase security rules {DIRECT} source-user") for line in lines[deleted:])
    gone = names.group_name(names.team_tag("group:default/payments"), "prod")
    assert lines[-1] == f"delete dynamic-user-group {gone}"


def test_a_rule_that_is_gone_is_deleted_before_its_objects() -> None:
    lines = script(WANTED, content(SCOPES[0]))
    assert lines.index(f"delete rulebase security rules {DIRECT}") < min(
        position for position, line in enumerate(lines) if line.startswith("delete dynamic-user-group")
    )


def test_device_groups_and_other_vsys_are_named() -> None:
    for changed, begin in (
        ({"vsys": "vsys2"}, "set vsys vsys2 tag "),
        ({"device_group": "DG 1"}, 'set device-group "DG 1" tag '),
    ):
        device = replace(EDGE, **dict[str, Any](changed))
        lines = script(empty(device, "prod"), content_of(DESIRED, device, ENVIRONMENT, ()))
        assert lines[0].startswith(begin)
