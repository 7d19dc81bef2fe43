"""What the guards count of real plans: nothing else that a plan does to shared objects makes up for what it takes away,
and addresses that move wait for a person."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gateway.engine.network.bigip.declaration import declaration_of
from gateway.engine.network.bigip.differences import steps_between
from gateway.engine.network.bigip.records import entities_of
from gateway.engine.network.desired import Place
from gateway.engine.network.guards import ENGINE, Basis, Consent, Terms, hindrances, moved, removed
from gateway.engine.network.plan import Observed, Plan
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
    assert codes(before, all_of_them) == {"moves"}
    assert codes(before, all_of_them, consent=Consent("jane")) == set()
