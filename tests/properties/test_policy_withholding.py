"""What is held is only ever a widening: the form that is published permits nothing that either version refuses, and no
invariant is broken by it, whoever asks for whatever."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policy.compile import exposure_frame
from policy.facts import Catalog, Permit, Principal
from policy.promises.narrowing import narrowed, rules_of
from policy.promises.proofs import is_about, place_of
from policy.promises.universe import Universe
from policy.promises.withholding import Ground, Withheld, withheld
from policy.rule import Derived, Published
from policy.statements import ANYONE, AccessPolicy, Invariant
from policy.table import Exposure, Table
from tests.properties.test_policy_invariants import (
    ASKED,
    INVARIANTS,
    LONGER,
    NAMED,
    SHORT,
    equipped,
    everybody,
    is_asked,
    is_meant,
    named_operation,
)
from tests.support.policy_worlds import CALLS, NOW, POLICIES, callers, catalogs, paths_to, world

NUMBERS = st.integers(0, 6)


def is_permitted(exposure: Exposure, path: tuple[str, ...], method: str, caller: Principal, call: object) -> bool:
    verdict = exposure.verdict(path, method, caller, NOW, {}, call)  # type: ignore[arg-type]  # drawn by a strategy
    return isinstance(verdict, Permit)


def versions(before: Derived, after: Derived) -> list[tuple[Published, Published]]:
    old = {each.key: each for each in before.published}
    return [(old[each.key], each) for each in after.published if each.key in old]


@settings(max_examples=25, deadline=None)
@given(catalogs(), catalogs(), POLICIES, POLICIES, LONGER, st.data())
def test_what_two_versions_meet_in_permits_what_both_permit_and_nothing_else(
    first: Catalog,
    second: Catalog,
    old: AccessPolicy,
    new: AccessPolicy,
    longer: list[tuple[str, ...]],
    data: st.DataObject,
) -> None:
    """Nothing that either refuses; of a version that meets itself, everything."""
    (before, _), (after, table) = world(first, old), world(second, new)
    callings = [(data.draw(callers(table)), data.draw(CALLS)) for _ in range(4)]
    for was, now in versions(before, after):
        old_form, new_form = exposure_frame(was), exposure_frame(now)
        met = Exposure(narrowed(new_form, rules_of(old_form)))
        alone = Exposure(narrowed(new_form, rules_of(new_form)))
        either = [Exposure(old_form), Exposure(new_form)]
        paths = {*SHORT[::6], *longer, *paths_to(was.operations), *paths_to(now.operations)}
        for path, method, (caller, call) in product(sorted(paths), ASKED, callings):
            verdicts = [is_permitted(each, path, method, caller, call) for each in either]
            if is_permitted(met, path, method, caller, call):
                assert all(verdicts), f"{method} {path} is permitted by one version alone"
            assert is_permitted(alone, path, method, caller, call) == verdicts[1], f"{method} {path}"


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(catalogs(), catalogs(), POLICIES, POLICIES, st.lists(INVARIANTS, min_size=1, max_size=2), LONGER, NUMBERS)
def test_what_is_published_instead_breaks_no_invariant_and_permits_no_more(
    first: Catalog,
    second: Catalog,
    old: AccessPolicy,
    new: AccessPolicy,
    invariants: list[Invariant],
    longer: list[tuple[str, ...]],
    at: int,
) -> None:
    """Whether the exposure changed or only what is said about it; whatever is permitted then was permitted anyway."""
    (before, _), (after, table) = world(first, old), world(second, new)
    universe = Universe(table.directory)
    for was, now in versions(before, after):
        frame, name = exposure_frame(now), named_operation(now, at)
        ground = Ground(place_of(now.service, [(NAMED, *name)] if name[0] else []), universe, tuple(invariants))
        if ground.breaches(Exposure(frame)):
            for form in (withheld(frame, rules_of(exposure_frame(was)), ground), withheld(frame, None, ground)):
                check(form, frame, now, ground, table, name, [*SHORT[::8], *longer[:3], *paths_to(now.operations)])


def check(
    form: Withheld,
    frame: object,
    now: Published,
    ground: Ground,
    table: Table,
    name: tuple[str, str],
    paths: list[tuple[str, ...]],
) -> None:
    published, compiled = Exposure(form.frame), Exposure(frame)  # type: ignore[arg-type]  # a frame as compiled
    about = [each for each in ground.invariants if is_about(each, published, ground.place)]
    reach = published.reach
    known = {*reach, *published.denied, *(subject for each in about for subject in each.subjects)}
    alike = {(each.kind, each.subjects & known): each for each in everybody(table)}
    asking = [each for each in alike.values() if ANYONE in reach or not each.subjects.isdisjoint(reach)]
    for asker, path, method in product(asking, paths, ("GET", "POST", "HEAD")):
        for caller, call in list(equipped(asker))[::3]:
            if not is_permitted(published, path, method, caller, call):
                continue
            assert is_permitted(compiled, path, method, caller, call), f"{method} {path} was not permitted before"
            for each in about:
                asked = any(is_asked(doing, now, path, method, name) for doing in each.doings)
                assert not (asked and is_meant(asker, each)), f"{asker.ref} may {method} {path} against {each}"
