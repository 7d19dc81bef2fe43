"""The desired state: what is published in one environment, each place with a version that says when it changes."""

from __future__ import annotations

import random
from typing import Any

import pytest

from gateway.engine.network.desired import Desired, Places, desired_of
from policy.access import read_policy
from policy.coarse import scopes_of
from policy.derive import derive
from policy.facts import Catalog, Exposure, Operation, Source
from policy.rule import Published
from tests.support.small_catalog import service

NOWHERE = Source("catalog.yaml", 1)
TWO = {"version": 1, "environments": {name: {"owners": ["all"], "everyone": ["read"]} for name in ("dev", "prod")}}


def published(*names: str, access: str = "everyone", **changes: object) -> tuple[Published, ...]:
    services = []
    for name in names:
        exposures = tuple(
            Exposure(at, f"{name}.{at}.test", "/", ("http://10.0.0.1",), NOWHERE) for at in ("dev", "prod")
        )
        services.append(service(name, (), access, **{"exposures": exposures, **changes}))
    policy, faults = read_policy(TWO, lambda path: NOWHERE)
    assert not faults
    catalog = Catalog({}, {}, {each.ref: each for each in services})
    return derive(catalog, policy, ("dev", "prod")).published


def test_only_what_is_published_in_the_environment_is_desired() -> None:
    found = desired_of("prod", "base", published("a", "b"))
    assert [(place.host, place.entity) for place in found.places] == [
        ("a.prod.test", "component:default/a"), ("b.prod.test", "component:default/b"),
    ]  # fmt: skip
    assert (found.environment, found.version) == ("prod", "base")
    assert desired_of("staging", "base", published("a")) == Desired("staging", "base", ())


def test_the_order_of_what_is_published_changes_nothing() -> None:
    some = list(published(*"abcdefgh"))
    expected = desired_of("dev", "base", some)
    for seed in range(5):
        random.Random(seed).shuffle(some)
        assert desired_of("dev", "base", some) == expected


def version_of(some: tuple[Published, ...]) -> str:
    return desired_of("prod", "base", some).places[0].version


@pytest.mark.parametrize(
    "changes",
    [
        {"access": "owners"},
        {"operations": (Operation("GET", "/x"),), "has_definition": True},
        {"operations": (Operation("GET", "/x", (frozenset({"read"}),)),), "has_definition": True},
        {"exposures": (Exposure("prod", "other.test", "/", ("http://10.0.0.1",)),)},
        {"exposures": (Exposure("prod", "a.prod.test", "/v1", ("http://10.0.0.1",)),)},
        {"exposures": (Exposure("prod", "a.prod.test", "/", ("http://10.0.0.2",)),)},
        {"options": frozenset({"strip-prefix"})},
        {"cors": ("https://shop.test",)},
    ],
)
def test_a_place_has_another_version_when_its_rules_or_routes_change(changes: dict[str, Any]) -> None:
    assert version_of(published("a", **changes)) != version_of(published("a"))


@pytest.mark.parametrize(
    "changes", [{"title": "Another"}, {"tags": ("x",)}, {"virtual_addresses": {"prod": "10.0.0.9"}}]
)
def test_what_decides_nothing_leaves_the_version_alone(changes: dict[str, Any]) -> None:
    assert version_of(published("a", **changes)) == version_of(published("a"))


def test_what_the_service_says_of_its_address_counts_in_its_environment_alone() -> None:
    some = published("a", virtual_addresses={"prod": "10.0.0.9"})
    assert desired_of("prod", "b", some).places[0].address == "10.0.0.9"
    assert desired_of("dev", "b", some).places[0].address == ""


def test_where_a_service_runs_is_told_for_its_environment_alone() -> None:
    addresses = {"prod": ("10.4.0.0/28", "10.4.1.7")}
    some = published("a", addresses=addresses)
    (place,) = desired_of("prod", "b", some).places
    assert (place.upstreams, place.addresses) == (("http://10.0.0.1",), addresses["prod"])
    assert desired_of("dev", "b", some).places[0].addresses == ()


def test_scopes_are_made_for_firewalls_alone() -> None:
    some = published("a", "b")
    assert desired_of("prod", "base", some).scopes == ()
    assert desired_of("prod", "base", some, with_scopes=True).scopes == scopes_of("prod", some)
    places = Places("prod", with_scopes=True)
    before = places.desired("one", some).scopes
    assert [scope.ref for scope in before] == ["component:default/a", "component:default/b"]
    again = places.desired("two", some).scopes
    assert all(one is other for one, other in zip(before, again, strict=True))


def test_a_memory_gives_the_same_and_makes_only_what_changed() -> None:
    """Twenty thousand components change one at a time."""
    places, some = Places("prod"), published("a", "b", "c")
    before = places.desired("one", some)
    assert before == desired_of("prod", "one", some)
    others = [each for each in published("b", "c", "d", owner="group:default/new") if each.service.ref[-1] in "bd"]
    after = [each for each in some if each.service.ref[-1] != "b"] + others
    again = places.desired("two", after)
    assert again == desired_of("prod", "two", after)
    assert again.places[0] is before.places[0]
    assert again.places[1].owner == "group:default/new"
    assert places.desired("three", after[:1]) == desired_of("prod", "three", after[:1])
