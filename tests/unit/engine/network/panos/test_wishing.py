"""What a firewall is told: addresses by what runs there, people by what they may, nothing while too little is known."""

from __future__ import annotations

import time
from dataclasses import replace
from random import Random
from typing import Any

import pytest

from gateway.config.devices import Direct, Leg, Panos, PanosEnvironment
from gateway.engine.network.fronts import Front
from gateway.engine.network.panos import names
from gateway.engine.network.panos.membership import Membership
from gateway.engine.network.panos.people import MOST_TAGS
from gateway.engine.network.panos.wishing import Facts, Wishing, turn_after
from gateway.engine.network.whereabouts import Known
from gateway.engine.overheard import Overlay
from tests.support.memberships import (
    FIREWALL,
    NOW,
    PROD,
    catalog,
    component,
    facts,
    grant,
    group,
    person,
    scope,
    team,
    user,
)

PEOPLE = catalog([person("jane", "pay")], [team("pay")])
PAY, SHOP = scope("pay", "pay"), scope("shop", "pay", services=("shop", "cart"))
E, DOOR, VIP = names.environment_tag("prod"), "198.51.100.21", "198.51.100.10"
S_PAY, S_SHOP = names.services_tag("system:default/pay", "prod"), names.services_tag("system:default/shop", "prod")


def told(said: Facts, device: Panos = FIREWALL, now: int = NOW) -> Membership:
    found = Wishing(device).membership(said, now)
    assert found is not None
    return found


def services(said: Facts, device: Panos = FIREWALL) -> dict[str, frozenset[str]]:
    """The addresses of services alone."""
    return {key: tags for key, tags in told(said, device).addresses.items() if not key.startswith("198.51.100.")}


def with_environment(**changes: object) -> Panos:
    return replace(FIREWALL, environments=(replace(PROD, **changes),))  # type: ignore[arg-type]  # any field of it


def front(service: str, address: str) -> Front:
    return Front(component(service), "", "", f"{service}.test", "/", address, 443, "")


def test_addresses_carry_what_runs_there() -> None:
    said = facts(PEOPLE, [PAY, SHOP], {"pay": ("192.0.2.1",), "shop": ("192.0.2.16/28",), "cart": ("192.0.2.1",)})
    assert services(said) == {"192.0.2.1": {E, S_PAY, S_SHOP}, "192.0.2.16/28": {E, S_SHOP}}


def test_a_domain_has_its_tag_for_rules_of_others() -> None:
    said = facts(PEOPLE, [PAY], {"pay": ("192.0.2.1",)}, domain="domain:default/money")
    assert names.domain_tag("domain:default/money", "prod") in services(said)["192.0.2.1"]


def test_a_service_that_is_reached_alone_has_a_tag_alone() -> None:
    device = with_environment(directs=(Direct((component("cart"), "system:default/pay"), ("tcp/5432",)),))
    said = facts(PEOPLE, [PAY, SHOP], {"pay": ("192.0.2.1",), "shop": ("192.0.2.2",), "cart": ("192.0.2.3",)})
    alone = names.service_tag(component("cart"), "prod")
    assert [key for key, tags in services(said, device).items() if alone in tags] == ["192.0.2.3"]


def test_a_door_on_another_firewall_is_no_service_here() -> None:
    """Its owner would have the closing rule keep everybody from that door."""
    said = facts(PEOPLE, [PAY], {"pay": ("192.0.2.1", "192.0.2.2")})
    wishing = Wishing(FIREWALL)
    before, after = wishing.membership(said, NOW), wishing.membership(replace(said, met=("192.0.2.2/32",)), NOW)
    assert before is not None and after is not None
    closed = [{key for key, tags in found.addresses.items() if E in tags} for found in (before, after)]
    assert closed == [{"192.0.2.1", "192.0.2.2"}, {"192.0.2.1"}]
    assert f"192.0.2.2 of {component('pay')} (a door or a virtual address)" in after.remarks[0]


def test_doors_and_virtual_addresses_carry_their_tags() -> None:
    found = told(facts(PEOPLE, [PAY, SHOP], fronts=[front("pay", "198.51.100.11"), front("shop", "198.51.100.12")]))
    assert found.addresses == {
        DOOR: {names.doors_tag("prod")},
        VIP: {names.front_tag("", "prod")},
        "198.51.100.11": {names.front_tag("system:default/pay", "prod")},
        "198.51.100.12": {names.front_tag("system:default/shop", "prod")},
    }


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("127.0.0.1", "special"), ("169.254.169.254", "special"), ("::1", "special"), ("fe80::1", "special"),
        ("0.0.0.0", "special"), ("224.0.0.5", "special"), ("100.100.100.200", "special"), ("10.0.0.1", "outside"),
        ("192.0.0.0/16", "special"), ("192.0.2.0/23", "outside"), (VIP, "outside"), ("192.0.2.77", "door or a virtual"),
        ("192.0.2.64/28", "door or a virtual"), ("192.0.2.90", "door or a virtual"),
    ],
)  # fmt: skip
def test_what_is_no_services_address_is_left_out_and_said(address: str, why: str) -> None:
    device = with_environment(virtual_addresses=(VIP, "192.0.2.77"), doors=(DOOR, "192.0.2.88/29"))
    found = told(facts(PEOPLE, [PAY], {"pay": (address, "192.0.2.5")}), device)
    assert {key for key, tags in found.addresses.items() if E in tags} == {"192.0.2.5"}
    assert address in found.remarks[0] and why in found.remarks[0]


def test_a_virtual_address_of_a_big_ip_is_no_services() -> None:
    said = facts(PEOPLE, [PAY], {"pay": ("192.0.2.9",)}, fronts=[front("pay", "192.0.2.9")])
    found = told(said)
    assert found.addresses["192.0.2.9"] == {names.front_tag("system:default/pay", "prod")}
    assert "a door or a virtual address" in found.remarks[0]


@pytest.mark.parametrize(
    ("field", "what"),
    [
        ("gone", "DNS says do not exist; what was answered before stays for an hour"),
        ("unanswered", "nobody answers for; what was answered before stays for a day"),
        ("unlisted", "this machine knows and DNS does not"),
        ("crowded", "lead to more than 64 addresses within an hour; nobody is told of the rest"),
    ],
)
def test_what_is_to_be_said_of_names_is_said(field: str, what: str) -> None:
    said = facts(PEOPLE, [PAY], {"pay": ("192.0.2.1",)})
    named: dict[str, Any] = {field: frozenset({component("pay")})}
    known = replace(said.known["prod"], **named)
    remark = told(replace(said, known={"prod": known})).remarks[0]
    assert f"1 services have names that {what}" in remark
    assert component("pay") in remark


def test_a_service_without_an_address_is_said() -> None:
    assert "1 services have no address here" in told(facts(PEOPLE, [PAY])).remarks[0]


@pytest.mark.parametrize(
    ("shut", "pay", "cart"),
    [({component("pay")}, {E}, {E, S_SHOP}), ({"@prod"}, {E}, {E}), ({"@dev"}, {E, S_PAY}, {E, S_SHOP})],
    ids=["service", "environment", "another environment"],
)
def test_what_is_shut_keeps_what_closes_and_nothing_that_opens(shut: set[str], pay: set[str], cart: set[str]) -> None:
    addresses = {"pay": ("192.0.2.1",), "cart": ("192.0.2.2",)}
    said = facts(PEOPLE, [PAY, SHOP], addresses, overlay=Overlay(shut=frozenset(shut)), domain="")
    assert services(said) == {"192.0.2.1": pay, "192.0.2.2": cart}


@pytest.mark.parametrize(
    ("changes", "told_of"),
    [
        ({"front": None}, {DOOR, "192.0.2.1"}), ({"back": None}, {VIP, "192.0.2.1"}),
        ({"back": None, "direct": None}, {VIP}), ({"networks": ()}, {VIP, DOOR}),
        ({"front": None, "back": None, "direct": None}, {VIP, DOOR, "192.0.2.1"}),
    ],
    ids=["no front", "no back", "front alone", "no networks", "no leg: rules of others"],
)  # fmt: skip
def test_a_firewall_is_told_only_of_the_legs_that_it_sees(changes: dict[str, object], told_of: set[str]) -> None:
    assert told(facts(PEOPLE, [PAY], {"pay": ("192.0.2.1",)}), with_environment(**changes)).addresses.keys() == told_of


def test_where_no_rule_asks_who_comes_nobody_is_tagged() -> None:
    assert told(facts(PEOPLE, [PAY])).users == {"corp\\jane": {names.team_tag(group("pay"))}}
    assert told(facts(PEOPLE, [PAY]), with_environment(front=None, direct=None)).users == {}
    assert told(facts(PEOPLE, [PAY]), with_environment(front=None, direct=None, back=None)).users


def test_what_is_open_to_anyone_is_past_the_door_open_to_whoever_is_known() -> None:
    said = facts(PEOPLE, [scope("open", anyone=True)])
    assert told(said).users == {"corp\\jane": {names.everyone_tag()}}
    assert told(said, with_environment(direct=None)).users == {}


def test_all_environments_of_a_firewall_are_one_wish() -> None:
    dev = PanosEnvironment("dev", back=Leg(), networks=("192.0.2.0/24",), doors=(DOOR,))
    said = facts(PEOPLE, [PAY], {"pay": ("192.0.2.1",)})
    there = replace(said.desired["prod"], environment="dev", scopes=(replace(PAY, environment="dev"),))
    both = replace(said, desired={**said.desired, "dev": there}, known={**said.known, "dev": said.known["prod"]})
    device = replace(FIREWALL, environments=(PROD, dev))
    assert told(both, device).addresses["192.0.2.1"] == {
        E, S_PAY, names.environment_tag("dev"), names.services_tag("system:default/pay", "dev"),
    }  # fmt: skip
    assert Wishing(device).membership(said, NOW) is None


def test_doors_and_virtual_addresses_are_told_before_any_service() -> None:
    """A table that is full refuses what comes last."""
    dev = PanosEnvironment("dev", back=Leg(), networks=("192.0.2.0/24",), doors=("198.51.100.7",))
    said = facts(PEOPLE, [PAY], {"pay": tuple(f"192.0.2.{number}" for number in range(1, 9))})
    there = replace(said.desired["prod"], environment="dev", scopes=(replace(PAY, environment="dev"),))
    both = replace(said, desired={**said.desired, "dev": there}, known={**said.known, "dev": said.known["prod"]})
    addresses = list(told(both, replace(FIREWALL, environments=(PROD, dev))).addresses)
    assert set(addresses[:3]) == {DOOR, VIP, "198.51.100.7"}


def test_what_lost_tags_because_it_was_shut_is_told_apart() -> None:
    found = {"pay": ("192.0.2.1",), "shop": ("192.0.2.2",), "cart": ("192.0.2.2",)}
    for shut, lost in (
        (set(), {}),
        ({component("pay")}, {"192.0.2.1": {S_PAY}}),
        ({component("shop")}, {}),  # what else runs there keeps the tag
        ({"@prod"}, {"192.0.2.1": {S_PAY}, "192.0.2.2": {S_SHOP}}),
    ):
        said = facts(PEOPLE, [PAY, SHOP], found, overlay=Overlay(shut=frozenset(shut)))
        assert told(said).shut == lost


def test_an_address_carries_no_more_than_it_may_and_the_environment_first() -> None:
    scopes = [scope(f"s{number}") for number in range(40)]
    said = facts(PEOPLE, scopes, {f"s{number}": ("192.0.2.1",) for number in range(40)}, domain="domain:default/money")
    tags = services(said)["192.0.2.1"]
    assert len(tags) == MOST_TAGS
    assert E in tags and names.domain_tag("domain:default/money", "prod") not in tags
    assert "1 addresses have services of more systems" in told(said).remarks[-1]


@pytest.mark.parametrize(
    "lacking",
    [{"overlay": None}, {"known": {}}, {"known": {"prod": Known()}}, {"desired": {}}],
    ids=["overlay", "whereabouts", "an answer", "wish"],
)
def test_nothing_is_wished_for_on_doubt(lacking: dict[str, object]) -> None:
    said = replace(facts(PEOPLE, [PAY], {"pay": ("192.0.2.1",)}), **lacking)  # type: ignore[arg-type]  # any field
    assert Wishing(FIREWALL).membership(said, NOW) is None


BEFORE = facts(PEOPLE, [PAY], {"pay": ("192.0.2.1",)}, fronts=[front("pay", "198.51.100.11")])


@pytest.mark.parametrize(
    "after",
    [
        facts(PEOPLE, [PAY], {"pay": ("192.0.2.2",)}, fronts=[front("pay", "198.51.100.11")]),
        facts(PEOPLE, [PAY], {"pay": ("192.0.2.1",)}, fronts=[front("pay", "198.51.100.12")]),
        facts(PEOPLE, [SHOP], {"pay": ("192.0.2.1",)}, fronts=[front("pay", "198.51.100.11")]),
        replace(BEFORE, overlay=Overlay(shut=frozenset({"@prod"}))),
        replace(BEFORE, overlay=Overlay(denied=frozenset({user("jane")}))),
        facts(catalog([person("jane")], [team("pay")]), [PAY], {"pay": ("192.0.2.1",)}),
    ],
    ids=["a service moved", "a front moved", "another scope", "shut", "cut", "left the team"],
)
def test_whatever_changes_alone_is_told(after: Facts) -> None:
    wishing = Wishing(FIREWALL)
    before = wishing.membership(BEFORE, NOW)
    assert wishing.membership(after, NOW) == told(after) != before


def test_what_does_not_change_is_the_same_object() -> None:
    wishing = Wishing(FIREWALL)
    before, after = (
        wishing.membership(replace(BEFORE, overlay=overlay), NOW)
        for overlay in (Overlay(), Overlay(denied=frozenset({user("jane")})))
    )
    assert before is not None and after is not None
    assert after.addresses is before.addresses


def test_grants_turn_at_their_beginnings_and_ends() -> None:
    grants = (grant(user("jane"), "pay", NOW - 5, NOW + 50), grant(user("jane"), "pay", NOW + 20, NOW + 90))
    overlay = Overlay(grants=grants)
    assert [turn_after(overlay, NOW + at) for at in (0, 20, 50, 90)] == [NOW + 20, NOW + 50, NOW + 90, None]
    assert turn_after(None, NOW) is None


@pytest.mark.slow
def test_a_company_is_told_within_two_seconds() -> None:
    random, teams = Random(1), [f"t{number}" for number in range(2000)]
    people = catalog(
        [person(f"p{number}", *random.sample(teams, 5)) for number in range(20_000)],
        [team(name, *([teams[number // 10]] if number > 9 else [])) for number, name in enumerate(teams)],
    )
    scopes = [
        scope(f"s{number}", *random.sample(teams, 3), services=[f"s{number}-{each}" for each in range(5)])
        for number in range(1000)
    ]
    services_ = [name for each in scopes for name in each.services]
    addresses = {
        name.partition("/")[2]: (f"10.0.{number // 250}.{number % 250}",) for number, name in enumerate(services_)
    }
    said = facts(people, scopes, addresses)
    device, wishing_s = with_environment(networks=("10.0.0.0/8",)), []
    wishing = Wishing(device)
    for overlay in (Overlay(), Overlay(denied=frozenset({user("p7")}))):
        began = time.process_time()
        found = wishing.membership(replace(said, overlay=overlay), NOW)
        wishing_s.append(time.process_time() - began)
    assert found is not None and found.cut == {"corp\\p7"}
    assert (len(found.users), len(found.addresses)) == (19_999, 5_002)
    assert wishing_s[0] < 2.0
    assert wishing_s[1] < 1.0
