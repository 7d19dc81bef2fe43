"""Any sequence of operations leaves a store as it leaves a dictionary, on both databases; and so do operations at
once, which come out as some order of theirs would.

The model is what the interface promises and nothing else: a page of obvious code.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.control.store import Session, Store, Unstorable
from tests.support.stores import KINDS, NOW, Place, server_of, session

DAY = 86_400
EXAMPLES = settings().max_examples // 5  # each waits for a disk some dozens of times
SIDS = tuple(session(number).sid for number in range(3))

sids = st.sampled_from(SIDS)
times = st.integers(0, 40).map(lambda step: NOW + 10 * step)
rows = st.builds(
    lambda number, sub, at, length, idle, claim: session(
        number, sub=sub, signed_in=at, seen=at, until=at + length, idle_s=idle, claims={"c": claim},
        tokens=claim.encode(),
    ),
    st.integers(0, 2), st.sampled_from(("jane", "john")), times, st.integers(50, 300), st.integers(20, 200),
    st.sampled_from("abc"),
)  # fmt: skip
operations = st.one_of(
    st.tuples(st.just("add"), rows),
    st.tuples(st.just("get"), st.lists(sids)),
    st.tuples(st.just("replace"), rows, st.integers(1, 3)),
    st.tuples(st.just("claim_refresh"), sids, times, times),
    st.tuples(st.just("touch"), st.dictionaries(sids, times)),
    st.tuples(st.just("end"), st.lists(sids), times, st.sampled_from(("cut", "out"))),
    st.tuples(st.just("of_person"), st.just("corp"), st.sampled_from(("jane", "john"))),
    st.tuples(st.just("list"), st.just(""), st.integers(1, 3)),
    st.tuples(st.just("expire"), st.one_of(times, times.map(lambda at: at + DAY))),
)


@dataclass
class Model:
    held: dict[str, Session] = field(default_factory=dict)
    claimed: dict[str, int] = field(default_factory=dict)

    def living(self) -> list[Session]:
        return [self.held[sid] for sid in sorted(self.held) if self.held[sid].ended is None]

    def add(self, row: Session) -> Any:
        if row.sid in self.held:
            return "taken"
        self.held[row.sid], self.claimed[row.sid] = row, 0
        return None

    def get(self, asked: list[str]) -> Any:
        return {sid: self.held[sid] for sid in asked if sid in self.held}

    def replace(self, row: Session, if_version: int) -> Any:
        held = self.held.get(row.sid)
        if held is None or held.ended is not None or held.version != if_version:
            return None
        seen, rest = max(held.seen, row.signed_in), held.rest if held.signed_in == row.signed_in else row.rest
        self.held[row.sid] = replace(row, seen=seen, rest=rest, version=if_version + 1)
        self.claimed[row.sid] = 0
        return self.held[row.sid]

    def claim_refresh(self, sid: str, now: int, until: int) -> Any:
        held = self.held.get(sid)
        if held is None or held.ended is not None or self.claimed[sid] > now:
            return False
        self.claimed[sid] = until
        return True

    def touch(self, seen: dict[str, int]) -> Any:
        for sid, at in seen.items():
            held = self.held.get(sid)
            if held is not None and held.ended is None and held.seen < at and not held.over(at):
                self.held[sid] = replace(held, seen=at, rest=max(held.rest, at - held.seen))

    def end(self, asked: list[str], at: int, why: str) -> Any:
        ended = [each.sid for each in self.living() if each.sid in asked]
        for sid in ended:
            gone: dict[str, Any] = {"tokens": b"", "claims": {}, "address": "", "agent": ""}
            self.held[sid] = replace(self.held[sid], ended=at, why=why, **gone)
        return ended

    def of_person(self, issuer: str, sub: str) -> Any:
        return [each for each in self.living() if (each.issuer, each.sub) == (issuer, sub)]

    def list(self, after: str, limit: int) -> Any:
        return [each for each in self.living() if each.sid > after][:limit]

    def expire(self, now: int) -> Any:
        over = {each.sid: each.over(now) for each in self.living() if each.over(now)}
        for sid, why in over.items():
            self.end([sid], now, why)
        self.held = {sid: each for sid, each in self.held.items() if each.ended is None or each.ended >= now - DAY}
        return sorted(over)


async def ask(store: Store, name: str, arguments: tuple[Any, ...]) -> Any:
    """The store's answer, in the model's words."""
    if name == "expire":
        return sorted(await store.expire(*arguments))
    try:
        return await getattr(store.sessions, name)(*arguments)
    except Unstorable:
        return "taken"


@pytest.fixture(params=KINDS)
def places(request: pytest.FixtureRequest) -> Callable[[str], Place]:
    server = server_of(request)
    return lambda folder: Place(Path(folder), server)


def run_each(places: Callable[[str], Place], stories: Callable[[Store], Any]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        places(folder).run(stories)


@settings(max_examples=EXAMPLES)
@given(steps=st.lists(operations, min_size=1, max_size=25))
def _equals_the_model(place: Callable[[str], Place], steps: list[tuple[Any, ...]]) -> None:
    model = Model()

    async def story(store: Store) -> None:
        for name, *arguments in steps:
            expected = getattr(model, name)(*arguments)
            assert await ask(store, name, tuple(arguments)) == expected, (name, arguments)
        assert await store.sessions.get(SIDS) == model.held

    run_each(place, story)


@pytest.mark.timeout(600)
def test_any_sequence_of_operations_does_what_it_does_to_a_dictionary(places: Callable[[str], Place]) -> None:
    _equals_the_model(places)


@settings(max_examples=EXAMPLES)
@given(before=st.lists(operations, max_size=6), at_once=st.lists(operations, min_size=2, max_size=4))
def _some_order(place: Callable[[str], Place], before: list[tuple[Any, ...]], at_once: list[tuple[Any, ...]]) -> None:
    first = [("add", session(0, seen=NOW)), *before]
    outcomes = []
    for order in permutations(range(len(at_once))):
        model = Model()
        for name, *arguments in first:
            getattr(model, name)(*arguments)
        answers = {n: getattr(model, at_once[n][0])(*at_once[n][1:]) for n in order}
        outcomes.append(([answers[n] for n in range(len(at_once))], model.held))

    async def story(store: Store) -> None:
        for name, *arguments in first:
            await ask(store, name, tuple(arguments))
        got = await asyncio.gather(*(ask(store, name, tuple(arguments)) for name, *arguments in at_once))
        assert (got, await store.sessions.get(SIDS)) in outcomes

    run_each(place, story)


@pytest.mark.timeout(600)
def test_operations_at_once_come_out_as_in_some_order(places: Callable[[str], Place]) -> None:
    _some_order(places)
