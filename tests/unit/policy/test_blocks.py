"""Directory frames that follow a catalog are those of the catalog alone; only touched blocks are made again."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from policy.blocks import DirectoryFrames
from policy.directory import directory_frames
from policy.facts import Catalog, KeyField
from tests.support.examples import examples
from tests.support.policy_worlds import catalog, person, service, team

KEYS = (
    KeyField("a", "person", "sub", "metadata.name"),
    KeyField("a", "person", "email", "spec.profile.email"),
    KeyField("b", "team", "groups", "metadata.name"),
)
ENVIRONMENTS = ("dev", "prod")
VALUES = st.sampled_from(("x", "y", "Jane@example.com", "jane@example.com", ""))
FIELDS = st.fixed_dictionaries({}, optional={"metadata.name": VALUES, "spec.profile.email": VALUES})


@st.composite
def companies(draw: st.DrawFn) -> Catalog:
    teams = [team(each, **draw(FIELDS)) for each in draw(st.lists(st.sampled_from("tuv"), unique=True))]
    people = [
        person(each, *draw(st.lists(st.sampled_from("tuv"), max_size=2)), **draw(FIELDS))
        for each in draw(st.lists(st.sampled_from("abcd"), unique=True))
    ]
    clients = st.sampled_from(({}, {"": "one"}, {"prod": "one"}, {"": "two", "dev": ""}))
    services = [service(each, client_ids=draw(clients)) for each in draw(st.lists(st.sampled_from("pq"), unique=True))]
    return catalog(*teams, *people, *services)


def after(known: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    return {name: frame for name, frame in {**known, **changes}.items() if frame is not None}


@settings(max_examples=examples(200), deadline=None)
@given(st.lists(companies(), min_size=1, max_size=5))
def test_following_a_catalog_gives_the_frames_of_the_catalog(history: list[Catalog]) -> None:
    frames = DirectoryFrames(KEYS, ENVIRONMENTS)
    known: dict[str, Any] = {}
    for facts in history:
        known = after(known, frames.take(facts))
        assert known == directory_frames(facts, KEYS, ENVIRONMENTS)
        assert repr(sorted(known.items())) == repr(sorted(directory_frames(facts, KEYS, ENVIRONMENTS).items()))


def test_one_person_touches_their_own_blocks_alone() -> None:
    people = [person(f"p{n}", "t", **{"metadata.name": f"p{n}"}) for n in range(200)]
    frames = DirectoryFrames(KEYS, ENVIRONMENTS)
    before = catalog(team("t"), *people)
    frames.take(before)
    leaver = person("p7", **{"metadata.name": "p7"})
    changes = frames.take(Catalog({**before.people, leaver.ref: leaver}, before.teams, before.services))
    assert len([name for name in changes if name.startswith("people/")]) == 1
    assert not changes.keys() & {"teams", "workloads"}
    assert len(changes) <= 2
