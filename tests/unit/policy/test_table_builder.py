"""How a table follows from the one before it: whatever comes, goes or moves, and in whichever order."""

from __future__ import annotations

import pytest

from policy.table import Table
from policy.table_builder import TableBuilder
from tests.support.policy_worlds import frames_of, key_at, placed, places, table_of


def test_a_builder_leaves_the_previous_table_alone() -> None:
    first = places("/", "/v1")
    builder = TableBuilder(first)
    builder.drop("exposure/component:default/s1@prod")
    builder.drop("exposure/component:default/unknown@prod")
    second = builder.finish()
    assert key_at(first, "a.example.com", "/v1") == "component:default/s1@prod"
    assert key_at(second, "a.example.com", "/v1") == "component:default/s0@prod"
    assert second.ready


def test_an_exposure_that_was_alone_on_its_host_gets_company_and_is_alone_again() -> None:
    """Whichever of the two leaves; and the tables before say what they said."""
    alone = places("/")
    frames = frames_of(placed("s0", "/"), placed("s1", "/v1"))
    both = table_of(frames, alone)
    for gone, left, path in (("s0", "s1", "/v1/x"), ("s1", "s0", "/v1/x")):
        builder = TableBuilder(both)
        builder.drop(f"exposure/component:default/{gone}@prod")
        assert key_at(builder.finish(), "a.example.com", path) == f"component:default/{left}@prod"
    assert [key_at(both, "a.example.com", path) for path in ("/", "/v1")] == [
        "component:default/s0@prod", "component:default/s1@prod"
    ]  # fmt: skip
    assert key_at(alone, "a.example.com", "/v1") == "component:default/s0@prod"


@pytest.mark.parametrize("order", [("s0", "s1"), ("s1", "s0")])
def test_a_place_that_two_claim_is_the_last_ones_until_it_goes(order: tuple[str, str]) -> None:
    frames = frames_of(placed("s0", "/")) | frames_of(placed("s1", "/"))
    first, last = (f"exposure/component:default/{name}@prod" for name in order)
    builder = TableBuilder(Table.allow_none())
    for name in (first, last):
        builder.put(name, frames[name])
    builder.drop(first)
    table = builder.finish()
    assert key_at(table, "a.example.com", "/") == last.removeprefix("exposure/")
    builder = TableBuilder(table)
    builder.drop(last)
    assert key_at(builder.finish(), "a.example.com", "/") == "host_unknown"


def test_a_prefix_outlives_another_one_of_its_length() -> None:
    builder = TableBuilder(places("/v1", "/v2", "/v3/pay"))
    builder.drop("exposure/component:default/s0@prod")
    table = builder.finish()
    assert key_at(table, "a.example.com", "/v2/x") == "component:default/s1@prod"
    assert key_at(table, "a.example.com", "/v1/x") == ""


def test_a_host_goes_with_its_last_exposure() -> None:
    builder = TableBuilder(places("/"))
    builder.drop("exposure/component:default/s0@prod")
    assert key_at(builder.finish(), "a.example.com", "/") == "host_unknown"


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_frames_may_come_in_any_order(order: tuple[int, int]) -> None:
    """Of two exposures that swap their places each ends where its frame says."""
    before = frames_of(*(placed(f"s{n}", f"/{n}") for n in (0, 1)))
    after = frames_of(*(placed(f"s{n}", f"/{1 - n}") for n in (0, 1)))
    builder = TableBuilder(table_of(before))
    names = [f"exposure/component:default/s{n}@prod" for n in order]
    for name in names:
        builder.put(name, after[name])
    table = builder.finish()
    assert [key_at(table, "a.example.com", path) for path in ("/0", "/1")] == [
        "component:default/s1@prod", "component:default/s0@prod"
    ]  # fmt: skip


def test_the_version_of_people_follows_people_alone() -> None:
    table = places("/")
    builder = TableBuilder(table)
    builder.drop("exposure/component:default/s0@prod")
    builder.put("roles", {"group:default/a": frozenset({"s"})})
    builder.put("why/whatever", {})
    builder.drop("why/whatever")
    same = builder.finish()
    assert same.people_version == table.people_version
    assert same.roles == {"group:default/a": frozenset({"s"})}
    builder = TableBuilder(same)
    builder.put("teams", {"group:default/a": ()})
    builder.drop("roles")
    changed = builder.finish()
    assert changed.people_version != same.people_version
    assert changed.team_subjects("group:default/a") == {"group:default/a"}
    assert changed.roles == {}
    builder = TableBuilder(changed)
    builder.drop("teams")
    assert builder.finish().team_subjects("group:default/a") == frozenset()
