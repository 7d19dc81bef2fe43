"""Loaded exposures share what is equal."""

from __future__ import annotations

import marshal

from policy.compile import exposure_frame
from policy.derive import derive
from policy.exposure import Exposure
from policy.facts import Operation
from policy.frames import Sharing
from policy.statements import AccessPolicy, EnvironmentPolicy
from tests.support.policy_worlds import catalog, service


def exposures() -> list[Exposure]:
    """Two services with the same definition, loaded one after the other."""
    operations = (Operation("GET", "/a/{x}", (frozenset({"r"}),)), Operation("GET", "/b{y}c"), Operation("GET", "/**"))
    facts = catalog(service("one", *operations), service("two", *operations))
    policy = AccessPolicy({"prod": EnvironmentPolicy("prod", ("all",))})
    sharing = Sharing()
    frames = [exposure_frame(published) for published in derive(facts, policy, ("prod",)).published]
    return [Exposure(marshal.loads(marshal.dumps(frame, 2)), sharing) for frame in frames]


def test_equal_parts_of_two_exposures_are_one_object() -> None:
    one, two = exposures()
    assert one.key != two.key
    assert one.tree == two.tree
    assert one.scopes is two.scopes
    assert one.upstreams is two.upstreams
    assert one.tree[5] is not None
    assert two.tree[5] is not None
    assert all(mine is theirs for mine, theirs in zip(one.tree[5], two.tree[5], strict=True))


def test_sharing_gives_the_first_equal_object() -> None:
    sharing = Sharing()
    first, second = ("a", "b"), tuple("ab")
    assert sharing.one(first) is first
    assert sharing.one(second) is first
