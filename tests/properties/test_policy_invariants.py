"""An invariant is decided for every caller and every request: against asking the definition about each of them.

The proof asks few callers on few paths. Here the definition is asked about everybody of a small world, with everything
that could be shown, on every short path of an alphabet that has a letter for each case a template can tell apart.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

from hypothesis import given, settings
from hypothesis import strategies as st

from policy import reference, routes
from policy.facts import ALL_PEOPLE, ALL_WORKLOADS, Catalog, Circumstances, Operation, Permit, Principal
from policy.paths import TAIL, matches, template_of
from policy.probe import Asker, Way, principal_of
from policy.promises.phrases import VERBS
from policy.promises.proofs import Breach, Place, breach_of, is_about, place_of
from policy.promises.universe import ANONYMOUS, PERSON, WORKLOAD, Universe
from policy.questions import workloads_of
from policy.rule import Derived, Published, names_of
from policy.statements import ANYONE, AccessPolicy, Doing, Invariant, Selector
from policy.table import Table
from tests.support.examples import examples
from tests.support.policy_worlds import (
    COMPONENTS,
    ENVIRONMENTS,
    HERE,
    METHODS,
    NOW,
    PEOPLE,
    POLICIES,
    SELECTORS,
    TEAMS,
    TEMPLATES,
    catalogs,
    paths_to,
    some,
    world,
)

ALPHABET = ("a", "A", "b", "a.json", "q", "aq", "q.json", "q;q.json", "B;v=1", "")
SHORT = [path for length in range(3) for path in product(ALPHABET, repeat=length)]
LONGER = st.lists(st.lists(st.sampled_from(ALPHABET), min_size=3, max_size=5).map(tuple), max_size=12)
ASKED = ("GET", "HEAD", "POST", "DELETE", "OPTIONS")
SHOWN = tuple(
    Way(
        Permit("", "", ""), ("r", "w", "x", "wide"),
        ("mfa", "max_age=1", "certificate", f"issuer={issuer}", f"network={network}"),
    )
    for issuer, network in product(("main", "other"), ("10.0.0.0/8", "::1/128"))
)  # fmt: skip
NAMED = "theOperation"

DOINGS = st.one_of(
    st.sampled_from([Doing(name, methods) for name, methods in VERBS.items()]),
    st.just(Doing(NAMED, VERBS["any"], operation=NAMED)),
    st.sampled_from([Doing(each, frozenset({each})) for each in ("GET", "POST", "DELETE")]),
    st.sampled_from([Doing(each, frozenset({each}), (TAIL,)) for each in ("HEAD", "OPTIONS")]),
    st.builds(
        lambda method, template: Doing(f"{method} {template}", frozenset({method}), template_of(template)),
        METHODS,
        TEMPLATES,
    ),
)
SUBJECTS = st.sampled_from((*TEAMS, *TEAMS, *PEOPLE, *COMPONENTS, ALL_PEOPLE, ALL_WORKLOADS, ANYONE))
INVARIANTS = st.builds(
    Invariant,
    st.sampled_from(("never", "only")),
    st.just("the invariant"),
    st.lists(SUBJECTS, min_size=1, max_size=2, unique=True).map(lambda each: tuple(sorted(each))),
    st.lists(DOINGS, min_size=1, max_size=2).map(tuple),
    st.one_of(st.just(Selector()), SELECTORS),
    some(ENVIRONMENTS),
    st.just(""),
    st.just(HERE),
)


def everybody(table: Table) -> list[Asker]:
    """The people and programs of the world, and one more in each team and behind each component alone."""
    people = [Asker("person", ref, table.subjects_of(ref)) for ref in PEOPLE]
    programs = [Asker("workload", name, table.subjects_of(name)) for name in workloads_of(table)]
    joining = [Asker("person", team, table.team_subjects(team) | PERSON.subjects) for team in TEAMS]
    calling = [Asker("workload", ref, WORKLOAD.subjects | {ref}) for ref in COMPONENTS]
    return [*people, *programs, *joining, *calling, PERSON, WORKLOAD, ANONYMOUS]


def is_meant(asker: Asker, invariant: Invariant) -> bool:
    """Whom the invariant keeps out."""
    names = {each.partition("@")[0] for each in asker.subjects} if asker.kind != "anonymous" else {ANYONE}
    return names.isdisjoint(invariant.subjects) == (invariant.kind == "only")


def called(published: Published, path: tuple[str, ...], method: str) -> list[Operation]:
    """The operations that a request needs and that are of its method, or of the one that answers for it."""
    needed = routes.required(published.operations, path, method)
    answering = needed[0].method if needed else method
    return [each for each in needed if each.method == answering]


def is_asked(doing: Doing, published: Published, path: tuple[str, ...], method: str, name: tuple[str, str]) -> bool:
    """What a doing means, in plain words and over plain lists."""
    if doing.text == "any":
        return True
    exact = {(each.method, template_of(each.template)) for each in published.operations}
    if doing.operation and name[0] == "OPTIONS":
        return method == "OPTIONS" and matches(template_of(name[1]), path)
    if doing.operation:
        return any((each.method, each.template) == name for each in called(published, path, method))
    if doing.template is None:
        return method != "OPTIONS" and any(each.method in doing.methods for each in called(published, path, method))
    (asked,) = doing.methods
    if doing.template[-1] == TAIL or (asked, doing.template) not in exact or asked == "OPTIONS":
        return method == asked and matches(doing.template, path)
    needed = called(published, path, method)
    return any((each.method, template_of(each.template)) == (asked, doing.template) for each in needed)


def equipped(asker: Asker) -> Iterator[tuple[Principal, Circumstances]]:
    return (principal_of(asker, way, NOW) for way in SHOWN)


def permitted(derived: Derived, key: str, path: tuple[str, ...], method: str, asker: Asker) -> bool:
    verdicts = (reference.decide(derived, key, path, method, who, NOW, call) for who, call in equipped(asker))
    return any(isinstance(each, Permit) for each in verdicts)


def named_operation(published: Published, at: int) -> tuple[str, str]:
    if not published.operations:
        return ("", "")
    found = published.operations[at % len(published.operations)]
    return (found.method, found.template)


@settings(max_examples=examples(60), deadline=None)
@given(catalogs(), POLICIES, st.lists(INVARIANTS, min_size=1, max_size=3), LONGER, st.integers(0, 6))
def test_an_invariant_holds_when_nobody_may_do_what_it_forbids(
    facts: Catalog, policy: AccessPolicy, invariants: list[Invariant], longer: list[tuple[str, ...]], at: int
) -> None:
    """A breach is a real one; where there is none, no caller of the world is permitted any short path."""
    derived, table = world(facts, policy)
    universe, asking = Universe(table.directory), everybody(table)
    for published, invariant in product(derived.published, invariants):
        exposure, name = table.exposures[published.key], named_operation(published, at)
        place = place_of(published.service, [(NAMED, *name)] if name[0] else [])
        if not is_about(invariant, exposure, place):
            continue
        breach = breach_of(invariant, exposure, place, universe)
        meant = [asker for asker in distinct(asking, published) if is_meant(asker, invariant)]
        if breach is not None:
            assert is_real(breach, derived, published, name, [each for each in asking if is_meant(each, invariant)])
            continue
        for path, method in product([*SHORT[::2], *longer, *paths_to(published.operations)], ASKED):
            if any(is_asked(doing, published, path, method, name) for doing in invariant.doings):
                for asker in meant:
                    assert not permitted(derived, published.key, path, method, asker), f"{asker.ref} {method} {path}"


def distinct(asking: list[Asker], published: Published) -> list[Asker]:
    """Callers who differ in names that count here; where nothing is public, of those whom some rule is about."""
    subjects = {rule.subject for rule in published.rules}
    names = {each for subject in subjects for each in names_of(subject, published.exposure.environment)}
    alike = {(each.kind, each.subjects & {*names, *TEAMS, *PEOPLE, *COMPONENTS}): each for each in asking}
    return [each for each in alike.values() if ANYONE in subjects or each.subjects & names]


def is_real(breach: Breach, derived: Derived, published: Published, name: tuple[str, str], meant: list[Asker]) -> bool:
    """The definition permits that very request to somebody whom the invariant keeps out, and it is about that."""
    method, _, text = breach.request.partition(" ")
    depth = len([part for part in published.exposure.prefix.split("/") if part])
    path = tuple(text[1:].split("/"))[depth:]
    if path == ("",) and depth and not text.endswith("/"):
        path = ()
    asked = any(is_asked(doing, published, path, method, name) for doing in breach.invariant.doings)
    return asked and any(permitted(derived, published.key, path, method, asker) for asker in meant)


def test_a_place_keeps_every_operation_of_a_name() -> None:
    """A name that two definitions use is about both of their operations."""
    from tests.support.policy_worlds import service

    place = place_of(service("a"), [("x", "GET", "/a/{b}"), ("x", "POST", "/"), ("", "PUT", "/c")])
    assert place == Place(place.facts, {"x": (("GET", ("a", "{}")), ("POST", ("",)))})
