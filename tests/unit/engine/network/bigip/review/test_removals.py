"""What the guards count of real plans: nothing else that a plan does to shared objects makes up for what it takes away,
and addresses that move wait for a person."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gateway.engine.network.bigip.as3.declaration import declaration_of
from gateway.engine.network.bigip.as3.records import entities_of
from gateway.engine.network.bigip.review.cautions import OTHER_ANSWERS as OTHER
from gateway.engine.network.bigip.review.differences import steps_between
from gateway.engine.network.desired import Place
from gateway.engine.network.plans.guards import ENGINE, Basis, Consent, Terms, hindrances, moved, removed
from gateway.engine.network.plans.plan import Kind, Observed, Plan
from tests.support.declarations import desired, device, environment, place

NAME = "stagedoor_prod"
ON, AT = device(health_port=8081), environment()
MORE_MEMBERS = replace(ON, members=(*ON.members, "192.0.2.99:8443"))
MANY = [place(f"s{number:02d}") for number in range(40)]
HALF = MANY[20:]
BY_PATH = [replace(each, host="api.example.com", path=f"/{each.title}") for each in MANY]
NEW = replace(place("new"), host="api.example.com", path="/new")
OWN = {each.entity: f"10.200.0.{number + 10}" for number, each in enumerate(MANY)}
WHOLE, AWAY = Basis(100), Basis(20, "catalog main is away")
BY_ITSELF = Consent(ENGINE)


def tenant(places: list[Place], on: Any = ON, at: Any = AT, assigned: dict[str, str] | None = None) -> dict[str, Any]:
    made: dict[str, Any] = declaration_of(desired(*places), on, at, assigned or {})[NAME]
    return made


def planned(before: dict[str, Any], after: dict[str, Any]) -> tuple[Plan, Observed]:
    observed = Observed("f", {NAME: before}, entities=entities_of(before))
    return Plan("dc1", "prod", "now", "v", "f", steps_between(NAME, "prod", before, after), {NAME: after}), observed


def codes(
    before: dict[str, Any], after: dict[str, Any], basis: Basis = WHOLE, consent: Consent = BY_ITSELF
) -> set[str]:
    plan, observed = planned(before, after)
    held = len(observed.entities)
    return {each.code for each in hindrances(plan, observed, (), held, Terms("enforce"), basis, consent, 0.0)}


ROWS = {
    "nothing else": (tenant(MANY), tenant(HALF)),
    "a member more": (tenant(MANY), tenant(HALF, MORE_MEMBERS)),
    "redirects": (tenant(MANY), tenant(HALF, at=environment(redirect=True))),
    "another certificate name": (tenant(MANY), tenant(HALF, at=environment(server_name="x.example.com"))),
    "PROXY lines": (tenant(MANY), tenant(HALF, at=environment(proxy_protocol=True))),
    "addresses of their own": (tenant(MANY), tenant(HALF, assigned=OWN)),
    "rules of others": (tenant(MANY), tenant([replace(each, version="000000000002") for each in HALF])),
    "of one host": (tenant(BY_PATH), tenant(BY_PATH[20:])),
    "of one host, and a place more": (tenant(BY_PATH), tenant([*BY_PATH[20:], NEW])),
    "of one host, and rules of others": (
        tenant(BY_PATH), tenant([*BY_PATH[20:39], replace(BY_PATH[39], version="000000000002")])
    ),
}  # fmt: skip


@pytest.mark.parametrize("row", ROWS)
def test_half_of_all_services_never_goes_unnoticed_beside_something_else(row: str) -> None:
    before, after = ROWS[row]
    lost = removed(planned(before, after)[0].steps)
    assert {each.entity for each in MANY[:20]} <= set(lost)
    assert codes(before, after) == {"removals"}
    assert codes(before, after, AWAY) == {"removals", "catalog_away"}
    assert codes(before, after, AWAY, Consent("jane", removals=True)) == {"catalog_away"}


def test_an_empty_catalog_removes_nothing_beside_something_else() -> None:
    assert codes(tenant(MANY), tenant([], MORE_MEMBERS), Basis(0)) == {"catalog_empty"}


def test_an_address_of_its_own_makes_up_for_no_host_that_goes() -> None:
    second = [replace(each, host=f"old-{each.host}") for each in MANY]
    before, after = tenant([*MANY, *second]), tenant(MANY, assigned=OWN)
    assert len(removed(planned(before, after)[0].steps)) == 40
    assert codes(before, after) == {"removals"}


def test_members_that_are_exchanged_take_nothing_away() -> None:
    exchanged = replace(ON, members=("192.0.2.31:8443", "192.0.2.32:8443"))
    assert removed(planned(tenant(MANY[:3]), tenant(MANY[:3], exchanged))[0].steps) == ()


def test_a_service_with_an_address_of_its_own_is_one_service_with_its_redirect_too() -> None:
    at = environment(addresses="pool", redirect=True)
    before, after = tenant(MANY[:8], at=at, assigned=OWN), tenant(MANY[1:8], at=at, assigned=OWN)
    assert removed(planned(before, after)[0].steps) == (MANY[0].entity,)
    assert codes(before, after) == set()


def test_the_engine_moves_one_address_by_itself_and_no_more() -> None:
    """A node that lost its memory of addresses would give most services another one."""
    at = environment(addresses="pool", redirect=True)
    before = tenant(MANY, at=at, assigned=OWN)
    one = tenant(MANY, at=at, assigned={**OWN, MANY[0].entity: "10.200.0.200"})
    all_of_them = tenant(MANY, at=at, assigned=dict(zip(OWN, reversed(OWN.values()), strict=True)))
    assert moved(planned(before, one)[0].steps) == (MANY[0].entity,)
    assert codes(before, one) == set()
    assert len(moved(planned(before, all_of_them)[0].steps)) == 40
    assert codes(before, all_of_them) == {"moves", "removals"}  # each address is another service's from then on
    assert codes(before, all_of_them, consent=Consent("jane")) == {"removals"}
    assert codes(before, all_of_them, consent=Consent("jane", removals=True)) == set()


def test_a_host_that_goes_to_another_service_counts_for_the_one_that_loses_it() -> None:
    """A catalog author who claims forty hosts of others takes no more at once than one who deletes them."""
    before = tenant(MANY)
    taken = [replace(each, entity="component:default/evil") for each in MANY[:20]]
    after = tenant([*taken, *HALF])
    steps = planned(before, after)[0].steps
    assert set(removed(steps)) == {each.entity for each in MANY[:20]}
    assert [step.kind for step in steps] == [Kind.REMOVE] * 20
    assert codes(before, after) == {"removals"}
    assert codes(before, after, AWAY, Consent("jane", removals=True)) == {"catalog_away"}
    assert codes(before, tenant([*taken[:1], *MANY[1:]])) == set()  # one may always go


def test_nothing_makes_up_for_a_host_that_another_service_has() -> None:
    """Neither a path below it for the one that loses it."""
    lost, kept = MANY[0], replace(MANY[0], path="/old")
    after = tenant([replace(lost, entity="component:default/evil"), kept, *MANY[1:]])
    assert removed(planned(tenant(MANY), after)[0].steps) == (lost.entity,)


@pytest.mark.parametrize(
    ("had", "takes"),
    [
        ({}, {"path": "/login"}),
        ({"path": "/shop"}, {"path": "/shop/login"}),
        ({"host": "*.{}.example.com"}, {"host": "pay.{}.example.com"}),
    ],
    ids=["a path below a host", "a path below a path", "a host below a wildcard"],
)
def test_what_another_service_takes_below_a_place_counts_for_the_one_that_answered_there(
    had: dict[str, str], takes: dict[str, str]
) -> None:
    """Nobody's record goes, and yet callers of forty services are answered by another one from then on."""

    def at(each: Place, said: dict[str, str]) -> Place:
        named: dict[str, Any] = {key: value.format(each.title) for key, value in said.items()}
        return replace(each, **named)

    held = [at(each, had) for each in MANY]
    taken = [replace(at(each, {**had, **takes}), entity="component:default/evil") for each in MANY]
    steps = planned(tenant(held), tenant([*held, *taken]))[0].steps
    assert {step.kind for step in steps} == {Kind.ADD}
    assert set(removed(steps)) == {each.entity for each in MANY}
    assert codes(tenant(held), tenant([*held, *taken])) == {"removals"}
    assert codes(tenant(held), tenant([*held, *taken[:5]])) == set()
    own = [replace(each, entity=held[number].entity) for number, each in enumerate(taken)]
    assert removed(planned(tenant(held), tenant([*held, *own]))[0].steps) == ()


def test_the_only_service_keeps_its_place_when_another_comes_below_it() -> None:
    """Neither the last service goes, nor has a person to say yes to the second one."""
    below = replace(MANY[0], entity="component:default/api", path="/api")
    assert codes(tenant(MANY[:1]), tenant([MANY[0], below])) == set()
    assert codes(tenant(MANY[:1]), tenant([MANY[0], below]), AWAY) == set()


@pytest.mark.parametrize(("before", "after"), [("/", "/new"), ("/a", "/b")])
def test_another_path_on_the_same_host_makes_up_for_none_that_goes(before: str, after: str) -> None:
    """Callers of the old ones find nothing there."""
    old, new = ([replace(each, path=path) for each in MANY] for path in (before, after))
    assert len(removed(planned(tenant(old), tenant(new))[0].steps)) == len(MANY)
    assert codes(tenant(old), tenant(new)) == {"removals"}
    assert codes(tenant(old), tenant([*new[:1], *old[1:]])) == set()


@pytest.mark.parametrize("redirect", [False, True])
@pytest.mark.parametrize("stays", [False, True])
def test_an_address_that_goes_to_another_service_counts_for_the_one_that_loses_it(redirect: bool, stays: bool) -> None:
    """``stays``: who loses it has another one from then on."""
    at = environment(redirect=redirect)
    before = tenant(MANY, at=at, assigned={MANY[0].entity: "10.200.0.9"})
    others = {MANY[0].entity: "10.200.0.10"} if stays else {}
    after = tenant(MANY, at=at, assigned={MANY[1].entity: "10.200.0.9", **others})
    steps = planned(before, after)[0].steps
    loses = [step for step in steps if step.kind is Kind.REMOVE and step.object.split()[0].rpartition("/")[2] == "vs"]
    assert [(step.entities, step.caution) for step in loses] == [
        ((MANY[0].entity, MANY[1].entity), "callers are cut off until DNS names the new address; " * stays + OTHER)
    ]
    assert "`component:default/s01` of `group:default/team`, and `component:default/s01` answers" in loses[0].sentence
    assert removed(steps) == (MANY[0].entity,)
    gains = next(step for step in steps if step.kind is Kind.ADD and step.object.endswith("/vs"))
    assert "until now `component:default/s00` of `group:default/team` answered there" in gains.sentence
    assert OTHER in gains.caution
