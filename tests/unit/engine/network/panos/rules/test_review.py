"""What a reviewer is told: rules that nobody needs, on every unit and for long; rules of others that undo ours."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway.engine.network.panos import names
from gateway.engine.network.panos.rules.block import Block
from gateway.engine.network.panos.rules.content import content_of
from gateway.engine.network.panos.rules.hits import Count, Hits, hits_command, hits_in
from gateway.engine.network.panos.rules.review import Finding, Matter, findings
from tests.support.panos import RULES, RunningFirewall, rule
from tests.support.panos_rules import DESIRED, EDGE, ENVIRONMENT, PAYMENTS, Standing, serving_firewall, standing

WANTED = content_of(DESIRED, EDGE, ENVIRONMENT, ())
BACK = names.rule_name("back", PAYMENTS, "prod")
CLOSING = names.rule_name("closing", "", "prod")
DAY = 86_400.0
NOW = 1_800_000_000.0
OLD, LATE = NOW - 200 * DAY, NOW - DAY
NEVER = Hits(0, 0.0, OLD, True)


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningFirewall]:
    with serving_firewall(tmp_path_factory.mktemp("panos")) as firewall:
        yield firewall


@pytest.fixture
def at(serving: RunningFirewall, tmp_path: Path) -> Standing:
    at = standing(serving, tmp_path)
    at.commits(Block(at.device, "prod"), None, WANTED)
    return at


def reviewed(at: Standing, *hits: Mapping[str, Hits]) -> list[Finding]:
    block = Block(at.device, "prod")
    sighted: Any = at.asked(lambda client: block.sighted(client, "running", foreign=True))
    counts = [Count(f"unit {number}", each) for number, each in enumerate(hits, 1)]
    return list(findings(sighted, counts, NOW))


def above(at: Standing, name: str, **fields: str) -> None:
    at.api.written(RULES, rule(name, **fields))
    at.api.config("move", f"{RULES}/entry[@name='{name}']", where="top")
    at.api.committed()


def about(found: list[Finding], name: str) -> dict[Matter, list[str]]:
    said: dict[Matter, list[str]] = {}
    for each in found:
        if each.rule == name:
            said.setdefault(each.matter, []).append(each.sentence)
    return said


@pytest.mark.parametrize(
    ("hits", "is_stale"),
    [
        ([NEVER], True),
        ([Hits(7, OLD, OLD, True)], True),
        ([NEVER, NEVER], True),
        ([NEVER, Hits(1, LATE, OLD, True)], False),  # one unit of a pair has the traffic
        ([Hits(0, 0.0, LATE, True)], False),  # too young
        ([Hits(0, 0.0, OLD, False)], False),  # not counted to the end
        ([Hits(0, 0.0, 0.0, True)], False),  # nobody knows since when
        ([Hits(0, 0.0, OLD, True, LATE)], False),  # counted anew since yesterday
        ([NEVER, Hits(0, 0.0, OLD, True, LATE)], False),
        ([Hits(0, 0.0, OLD, True, OLD + DAY)], True),
        ([Hits(7, 0.0, OLD, True)], False),  # met, and nobody knows when
        ([Hits(0, 0.0, NOW + 900 * DAY, True)], False),  # its clock is ahead
        ([], False),
    ],
)
def test_a_rule_is_stale_that_no_unit_has_met_for_long(at: Standing, hits: list[Hits], is_stale: bool) -> None:
    found = [each for each in reviewed(at, *({BACK: each} for each in hits)) if each.matter is Matter.STALE]
    assert [(each.rule, each.owner, each.entity) for each in found] == (
        [(BACK, "group:default/payments", PAYMENTS)] if is_stale else []
    )


def test_a_counter_that_was_set_back_is_told(at: Standing) -> None:
    said = about(reviewed(at, {BACK: Hits(0, 0.0, OLD, True, NOW - 120 * DAY)}), BACK)
    assert f"Nothing has met the rule `{BACK}` since it was counted anew 120 days ago" in said[Matter.STALE][0]


def test_a_rule_that_closes_is_never_stale(at: Standing) -> None:
    assert about(reviewed(at, {CLOSING: NEVER}), CLOSING) == {}


def test_hits_are_read_as_a_firewall_counts_them(at: Standing) -> None:
    async def scene(client: Any) -> dict[str, Hits]:
        return hits_in(await client.op(hits_command("vsys1", [BACK])))

    found = at.asked(scene)
    assert list(found) == [BACK] and (found[BACK].times, found[BACK].is_latest) == (0, True)
    assert found[BACK].reset_s == 0
    assert found[BACK].created_s > 0


def test_a_rule_of_others_that_lets_everything_through_above_ours_is_told(at: Standing) -> None:
    above(at, "temp-any")
    found = about(reviewed(at), "temp-any")
    assert len(found[Matter.OPEN]) == 1
    assert any("people go round the doors" in each for each in found[Matter.BEFORE])


def test_a_rule_of_others_below_or_disabled_is_none_of_ours(at: Standing) -> None:
    above(at, "off", disabled="yes")
    at.api.written(RULES, rule("last", action="deny"))
    at.api.committed()
    found = reviewed(at)
    assert (about(found, "off"), about(found, "last")) == ({}, {})


def test_a_narrower_rule_decides_before_none_of_ours(at: Standing) -> None:
    above(at, "dns", destination="192.0.2.53")
    above(at, "odd", negate_source="yes")
    found = reviewed(at)
    assert Matter.BEFORE not in {*about(found, "dns"), *about(found, "odd")}


@pytest.mark.parametrize(
    ("fields", "is_before"),
    [
        ({"destination": "10.0.0.0/8,2001:db8::/32"}, True),
        ({"destination": "10.30.0.0/16"}, True),
        ({"destination": "10.30.0.0/24,2001:db8::/32"}, True),
        ({"destination": "10.30.0.0/24"}, False),
        ({"destination": "10.30.0.0/16", "source": "10.9.0.0/24"}, False),
    ],
)
def test_a_rule_of_others_lets_people_into_a_network_that_is_closed(
    serving: RunningFirewall, tmp_path: Path, fields: dict[str, str], is_before: bool
) -> None:  # fmt: skip
    """As far as it writes networks out, and anybody comes by it."""
    closing = replace(ENVIRONMENT, closes="networks", networks=("10.30.0.0/16", "2001:db8:30::/48"))
    at = standing(serving, tmp_path)
    at.commits(Block(at.device, "prod"), None, content_of(DESIRED, EDGE, closing, ()))
    above(at, "all-sites", **fields)
    told = about(reviewed(at), "all-sites").get(Matter.BEFORE, [])
    assert len(told) == is_before
    assert all(f"decides before ours, `{CLOSING}`, and people go round the doors" in each for each in told)


def test_a_rule_that_denies_a_part_of_what_is_closed_takes_nothing_from_ours(
    serving: RunningFirewall, tmp_path: Path
) -> None:  # fmt: skip
    closing = replace(ENVIRONMENT, closes="networks", networks=("10.30.0.0/16", "2001:db8:30::/48"))
    at = standing(serving, tmp_path)
    at.commits(Block(at.device, "prod"), None, content_of(DESIRED, EDGE, closing, ()))
    above(at, "part", destination="10.30.0.0/16", action="deny")
    assert Matter.BEFORE not in about(reviewed(at), "part")


def test_networks_of_ours_are_not_told_as_wide(serving: RunningFirewall, tmp_path: Path) -> None:
    closing = replace(ENVIRONMENT, closes="networks", networks=("10.0.0.0/8",))
    at = standing(serving, tmp_path)
    at.commits(Block(at.device, "prod"), None, content_of(DESIRED, EDGE, closing, ()))
    assert about(reviewed(at), CLOSING) == {}


@pytest.mark.parametrize(("network", "is_wide"), [("10.0.0.0/8", True), ("10.1.0.0/16", False), ("2001::/16", True)])
def test_a_wide_network_is_told(at: Standing, network: str, is_wide: bool) -> None:
    above(at, "sites", source=network, destination="192.0.2.53")
    assert (Matter.WIDE in about(reviewed(at), "sites")) == is_wide
