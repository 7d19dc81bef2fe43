"""Frames of what is the same are the very same objects; those of what changed are new, and nothing else is touched."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import pytest

from policy.compile import compile_frames
from policy.derive import Derived, Memory, derive
from policy.facts import Catalog, KeyField
from policy.remaking import Frames
from policy.statements import AccessPolicy, EnvironmentPolicy
from policy.tracking import differing
from tests.support.policy_worlds import catalog, person, service, team

KEYS = (KeyField("a", "person", "sub", "metadata.name"),)
POLICY = AccessPolicy({"prod": EnvironmentPolicy("prod", ("all",))})
FACTS = catalog(team("owners"), person("jane", "owners", **{"metadata.name": "jane"}), *map(service, "abc"))
MEMORY = Memory()


def derived(facts: Catalog) -> Derived:
    return derive(facts, POLICY, ("prod",), memory=MEMORY)


def compiled(frames: Frames, facts: Catalog) -> Mapping[str, Any]:
    found = frames.compiled(facts, derived(facts))
    whole = compile_frames(facts, derived(facts), KEYS)
    assert (dict(found), list(found)) == (whole, list(whole))
    return found


def test_a_change_of_one_service_makes_its_two_frames() -> None:
    frames = Frames(KEYS, ("prod",))
    before = compiled(frames, FACTS)
    assert compiled(frames, FACTS) is before
    other = replace(FACTS.services["component:default/b"], access="everyone", allow_groups=("group:default/x",))
    after = compiled(frames, replace(FACTS, services={**FACTS.services, other.ref: other}))
    assert set(differing(before, after)) <= {"exposure/component:default/b@prod", "why/component:default/b@prod"}


def test_what_comes_and_goes_keeps_the_order_of_names() -> None:
    frames = Frames(KEYS, ("prod",))
    compiled(frames, FACTS)
    compiled(frames, replace(FACTS, services={}))
    compiled(frames, catalog(*map(service, "cabz")))


def test_a_version_that_failed_half_way_is_not_built_upon() -> None:
    frames = Frames(KEYS, ("prod",))
    compiled(frames, FACTS)
    fewer = replace(FACTS, people={}, services={})
    with patch("policy.remaking.roles_frame", side_effect=MemoryError), pytest.raises(MemoryError):
        frames.compiled(fewer, derived(fewer))
    compiled(frames, FACTS)
