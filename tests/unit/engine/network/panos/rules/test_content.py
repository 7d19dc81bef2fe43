"""The rules that a catalog asks for: who, where, on which ports, in which order; nobody wider than the policy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from random import Random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gateway.config.devices import Closes, Direct, Leg, PanosEnvironment
from gateway.engine.network.desired import Desired, Place
from gateway.engine.network.fronts import Front
from gateway.engine.network.panos import names
from gateway.engine.network.panos.rules.content import content_of, empty, remarks_on
from gateway.engine.network.panos.rules.lint import faults_of
from gateway.engine.network.panos.rules.wording import about
from policy.coarse import Scope
from tests.support.panos_rules import (
    AUDIT,
    BACK,
    CLOSED,
    DATABASE,
    DESIRED,
    EDGE,
    ENVIRONMENT,
    FRONT,
    LEDGER,
    PAYMENTS,
    PLACES,
    SCOPES,
    TEAM,
    front,
    with_scopes,
)

ALONE = (front(PLACES[0].entity, "10.0.0.1"), front(LEDGER, "10.0.0.2", 8443))


def rules(
    desired: Desired = DESIRED, environment: PanosEnvironment = ENVIRONMENT, fronts: Sequence[Front] = ()
) -> dict[str, Any]:  # fmt: skip
    return {rule["name"]: rule for rule in content_of(desired, EDGE, environment, fronts)["rules"]}


def who(rule: dict[str, Any]) -> list[str]:
    return list(rule["source_user"])


def groups(*tags: str) -> list[str]:
    return sorted(names.group_name(tag, "prod") for tag in tags)


def test_the_rules_come_in_the_order_in_which_they_decide() -> None:
    assert [about(rule, "prod")[:2] for rule in rules().values()] == [
        ("front", ""), ("direct", DATABASE), ("back", LEDGER), ("back", PAYMENTS), ("closing", "")
    ]  # fmt: skip


def test_only_legs_that_the_firewall_sees_have_rules() -> None:
    environment = replace(ENVIRONMENT, back=None, direct=None)
    assert [about(rule, "prod").leg for rule in rules(environment=environment).values()] == ["front"]
    content = content_of(DESIRED, EDGE, replace(ENVIRONMENT, front=None, direct=None), ())
    assert content["user_groups"] == {}


def test_an_environment_without_legs_has_nothing_at_all() -> None:
    environment = replace(ENVIRONMENT, front=None, back=None, direct=None)
    assert content_of(DESIRED, EDGE, environment, ()) == empty(EDGE, "prod")


def test_systems_with_addresses_of_their_own_have_front_rules_of_their_own() -> None:
    environment = replace(ENVIRONMENT, virtual_addresses=())
    found = rules(environment=environment, fronts=ALONE)
    rule = found[names.rule_name("front", PAYMENTS, "prod")]
    assert who(rule) == groups(names.team_tag(TEAM), names.grant_tag(PAYMENTS, "prod"))
    assert rule["destination"] == [names.front_tag(PAYMENTS, "prod")]
    assert rule["service"] == [names.service_name("tcp/443", "prod")]
    assert names.rule_name("front", "", "prod") not in found
    assert list(remarks_on(DESIRED, environment, ALONE)) == []


def test_systems_that_share_addresses_have_one_rule_with_the_people_of_all_and_the_plan_says_so() -> None:
    rule = rules()[names.rule_name("front", "", "prod")]
    assert who(rule) == groups(
        names.team_tag(TEAM), names.team_tag(AUDIT), names.person_tag("user:default/olga"),
        names.grant_tag(PAYMENTS, "prod"), names.grant_tag(LEDGER, "prod"),
    )  # fmt: skip
    assert "2 systems share virtual addresses in prod" in next(remarks_on(DESIRED, ENVIRONMENT, ()))


def test_whoever_the_catalog_knows_has_a_group() -> None:
    scopes = (SCOPES[0], replace(SCOPES[1], teams=(), everyone=True))
    environment = replace(ENVIRONMENT, virtual_addresses=())
    rule = rules(with_scopes(*scopes), environment, ALONE)[names.rule_name("front", PAYMENTS, "prod")]
    assert who(rule) == groups(names.everyone_tag(), names.grant_tag(PAYMENTS, "prod"))


def test_anyone_is_any_at_virtual_addresses_alone() -> None:
    scopes = (SCOPES[0], replace(SCOPES[1], anyone=True))
    found = rules(with_scopes(*scopes))
    assert who(found[names.rule_name("front", "", "prod")]) == ["any"]
    direct = found[names.rule_name("direct", DATABASE, "prod")]
    assert who(direct) == groups(names.team_tag(TEAM), names.everyone_tag(), names.grant_tag(PAYMENTS, "prod"))
    assert any("because anyone may reach system:default/payments" in each for each in remarks_on(
        with_scopes(*scopes), ENVIRONMENT, ()
    ))  # fmt: skip


def test_a_system_that_nobody_may_reach_is_open_to_grants_alone() -> None:
    scopes = (SCOPES[0], replace(SCOPES[1], teams=()))
    rule = rules(with_scopes(*scopes))[names.rule_name("direct", DATABASE, "prod")]
    assert who(rule) == groups(names.grant_tag(PAYMENTS, "prod"))


def test_doors_reach_services_on_the_ports_where_they_speak_to_them() -> None:
    rule = rules()[names.rule_name("back", PAYMENTS, "prod")]
    assert rule["source"] == [names.doors_tag("prod")]
    assert rule["destination"] == [names.services_tag(PAYMENTS, "prod")]
    assert rule["service"] == sorted(names.service_name(f"tcp/{port}", "prod") for port in (443, 8080))


def test_what_is_left_on_the_way_to_services_is_closed_from_every_zone() -> None:
    rule = rules()[names.rule_name("closing", "", "prod")]
    assert (rule["action"], rule["from"], rule["to"]) == ("deny", ["any"], ["untrust"])
    assert (rule["source"], rule["destination"]) == (["any"], [names.environment_tag("prod")])


def test_networks_are_closed_whole_by_objects_that_need_no_tag_and_all_else_stays() -> None:
    content, usual = (content_of(DESIRED, EDGE, each, ()) for each in (CLOSED, ENVIRONMENT))
    assert {name: each["network"] for name, each in content["addresses"].items()} == {
        names.network_name(text, "prod"): text for text in CLOSED.networks
    }
    assert usual["addresses"] == {}
    assert content["rules"][-1]["destination"] == list(content["addresses"])
    assert names.environment_tag("prod") not in content["address_groups"]
    assert content["rules"][:-1] == usual["rules"][:-1]
    assert all(content[kind] == usual[kind] for kind in ("tags", "services", "user_groups"))


def test_what_a_firewall_without_back_closes_is_nothing() -> None:
    content = content_of(DESIRED, EDGE, replace(CLOSED, back=None), ())
    assert content["addresses"] == {} and content["rules"][-1]["action"] == "allow"


def test_nobody_goes_round_the_door_by_a_direct_rule() -> None:
    ports = ("tcp/5432", "tcp/443", "tcp/400-500", "udp/443")
    environment = replace(ENVIRONMENT, directs=(Direct((DATABASE,), ports),))
    rule = rules(environment=environment)[names.rule_name("direct", DATABASE, "prod")]
    assert rule["service"] == sorted(names.service_name(port, "prod") for port in ("tcp/5432", "udp/443"))
    assert "no rule lets people reach tcp/400-500, tcp/443 of component:default/payments-db directly" in " ".join(
        remarks_on(DESIRED, environment, ())
    )


def test_a_direct_rule_to_one_component_says_whose_people_come_there() -> None:
    """Those of its whole system, which is all that a firewall is told apart by."""
    said = rules()[names.rule_name("direct", DATABASE, "prod")]["description"]
    assert f"without a door, because they may reach something of {PAYMENTS}, on tcp/5432; owner" in said
    environment = replace(ENVIRONMENT, directs=(Direct((PAYMENTS, LEDGER), ("tcp/5432",)),))
    found = rules(environment=environment)
    for ref in (PAYMENTS, LEDGER):
        assert "without a door, on tcp/5432" in found[names.rule_name("direct", ref, "prod")]["description"]


def test_a_direct_rule_of_what_is_not_published_is_none_and_the_plan_says_so() -> None:
    environment = replace(ENVIRONMENT, directs=(Direct(("component:default/nobody",), ("tcp/22",)),))
    assert not any(about(rule, "prod").leg == "direct" for rule in rules(environment=environment).values())
    assert "`directs` names what is not published in prod: component:default/nobody" in remarks_on(
        DESIRED, environment, ()
    )


def test_two_environments_have_nothing_in_common_but_the_mark() -> None:
    other = replace(DESIRED, environment="test", scopes=tuple(replace(each, environment="test") for each in SCOPES))
    one = content_of(DESIRED, EDGE, CLOSED, ())
    two = content_of(other, EDGE, replace(CLOSED, environment="test"), ())
    for kind in ("services", "addresses", "address_groups", "user_groups"):
        assert not one[kind].keys() & two[kind].keys()
    assert one["tags"].keys() & two["tags"].keys() == {names.MARK}


def test_no_filter_of_ours_asks_for_a_tag_that_objects_carry() -> None:
    """Else a group could hold another group, or a whole network."""
    content = content_of(DESIRED, EDGE, CLOSED, ())
    kinds = ("addresses", "address_groups", "services")
    carried = {tag for kind in kinds for each in content[kind].values() for tag in each["tag"]}
    assert not {each["filter"].strip("'") for each in content["address_groups"].values()} & carried


refs = st.sampled_from([f"component:default/{one}" for one in "abcdefgh"])
teams = st.sets(st.sampled_from([f"group:default/{one}" for one in "xyz"])).map(sorted)
ports = st.sampled_from(["http://10.0.0.1:8080", "https://a.example.com", "unix:control", "http://[::1]:9", "x://:y"])
addresses = st.sampled_from(["192.0.2.1", "192.0.2.2", ""])
service = st.tuples(teams, st.booleans(), st.booleans(), st.lists(ports, max_size=2), addresses)
services = st.fixed_dictionaries({}, optional={f"component:default/{one}": service for one in "abcdefgh"})


@given(services, st.booleans(), st.booleans(), st.sampled_from(["addresses", "networks"]), st.randoms())
def test_whatever_the_catalog_says_the_content_may_be_written(
    found: dict[str, Any], sees_front: bool, is_shared: bool, closes: Closes, random: Random
) -> None:
    scopes = [
        Scope(ref, "prod", "", (ref,), tuple(held), (), everyone, anyone, ())
        for ref, (held, everyone, anyone, _, _) in found.items()
    ]
    places = [Place(ref, "t", "", "", "", "h", "/", upstreams=tuple(each[3])) for ref, each in found.items()]
    fronts = [front(ref, each[4]) for ref, each in found.items() if each[4]]
    environment = PanosEnvironment(
        "prod", front=FRONT if sees_front else None, back=BACK, direct=Leg(), doors=("192.0.2.9",),
        directs=(Direct(("component:default/a", "component:default/b"), ("tcp/22", "tcp/8000-9000")),),
        virtual_addresses=("192.0.2.3",) if is_shared else (), networks=("192.0.2.0/24",),
        closes=closes,
    )  # fmt: skip
    content = content_of(Desired("prod", "v", tuple(places), tuple(sorted(scopes, key=lambda x: x.ref))), EDGE,
                         environment, fronts)  # fmt: skip
    assert faults_of(content, replace(EDGE, environments=(environment,)), "prod") == ()
    assert content["rules"][-1]["action"] == "deny"
    random.shuffle(places)
    random.shuffle(fronts)
    again = content_of(Desired("prod", "v", tuple(places), tuple(sorted(scopes, key=lambda x: x.ref))), EDGE,
                       environment, fronts)  # fmt: skip
    assert again == content
