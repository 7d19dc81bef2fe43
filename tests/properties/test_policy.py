"""What the policy promises, as named properties over random worlds. The names are the guarantees of
docs/policy-language.md; each holds for the table that doors decide with, not for the definition alone."""

from __future__ import annotations

import marshal
import random
from collections.abc import Iterator
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from policy.compile import compile_frames
from policy.derive import Derived, derive
from policy.explain import LONGEST_WORDS, sentence_of
from policy.facts import ALL_PEOPLE, Catalog, Permit, Principal, Refusal
from policy.paths import METHODS
from policy.reasons import REFUSALS
from policy.statements import ANYONE, AccessPolicy, EnvironmentPolicy, PolicyRule
from policy.table import Match, Table
from tests.support.policy_worlds import ENVIRONMENTS, NOW, PATHS, POLICIES, callers, catalogs, paths_to, rules, world

few = settings(max_examples=40)
PATH_LISTS = st.lists(PATHS, min_size=2, max_size=2)


def requests(derived: Derived, paths: list[tuple[str, ...]]) -> Iterator[tuple[str, tuple[str, ...], str]]:
    for published in derived.published:
        for path in [*paths, *paths_to(published.operations)]:
            for method in METHODS:
                yield published.key, path, method


def ask(table: Table, key: str, path: tuple[str, ...], method: str, who: Principal) -> Permit | Refusal:
    exposure = table.exposures[key]
    return table.decide(Match(exposure, exposure.prefix_segments + path), method, who, NOW)


@few
@given(catalogs(), POLICIES, PATH_LISTS, st.data())
def test_forbid_trumps_permit(
    facts: Catalog, policy: AccessPolicy, paths: list[tuple[str, ...]], data: st.DataObject
) -> None:
    """Whoever a deny about everything names gets no permit anywhere, whatever else would allow it."""
    who = data.draw(st.sampled_from((ALL_PEOPLE, "group:default/team0", "user:default/person0")))
    deny = replace(data.draw(rules("deny")), subjects=(who,), environments=(), methods=None, operations=())
    deny = replace(deny, services=replace(deny.services, terms=()))
    derived, table = world(facts, replace(policy, rules=(*policy.rules, deny)))
    caller = data.draw(callers(table))
    denied = who in caller.subjects | caller.client_subjects
    for key, path, method in requests(derived, paths):
        verdict = ask(table, key, path, method, caller)
        assert not denied or isinstance(verdict, Refusal)


@few
@given(catalogs(), POLICIES, PATH_LISTS, st.data())
def test_allowed_only_if_explicitly_permitted(
    facts: Catalog, policy: AccessPolicy, paths: list[tuple[str, ...]], data: st.DataObject
) -> None:
    """Every permit names a rule that is about this caller (or anyone), this exposure and this operation."""
    derived, table = world(facts, policy)
    caller = data.draw(callers(table))
    published = {each.key: each for each in derived.published}
    for key, path, method in requests(derived, paths):
        verdict = ask(table, key, path, method, caller)
        if isinstance(verdict, Permit):
            (rule,) = (each for each in published[key].rules if each.id == verdict.rule)
            (operation, *_) = (each for each in published[key].operations if each.name == verdict.operation)
            named = {rule.subject, f"{rule.subject}@{published[key].exposure.environment}"}
            assert rule.reason == verdict.reason
            assert rule.covers(operation)
            assert rule.subject == ANYONE or named & caller.subjects
        else:
            assert verdict.reason in REFUSALS


@few
@given(catalogs(), PATH_LISTS, st.data())
def test_default_deny(facts: Catalog, paths: list[tuple[str, ...]], data: st.DataObject) -> None:
    """An access policy that allows nothing lets nobody in, whatever the catalog says."""
    nothing = AccessPolicy({name: EnvironmentPolicy(name, consent="any") for name in ENVIRONMENTS})
    derived, table = world(facts, nothing)
    caller = data.draw(callers(table))
    for key, path, method in requests(derived, paths):
        assert isinstance(ask(table, key, path, method, caller), Refusal)


@few
@given(catalogs(), POLICIES, st.integers())
def test_order_and_dup_independent(facts: Catalog, policy: AccessPolicy, seed: int) -> None:
    """Facts and statements in another order, and said twice, compile to the same bytes."""
    shuffled = random.Random(seed)

    def mixed(values: tuple[PolicyRule, ...]) -> tuple[PolicyRule, ...]:
        doubled = [*values, *values]
        shuffled.shuffle(doubled)
        return tuple(doubled)

    def turned(entities: dict[str, object]) -> dict[str, object]:
        return dict(shuffled.sample(sorted(entities.items()), len(entities)))

    services = {
        ref: replace(
            service,
            operations=tuple(shuffled.sample([*service.operations, *service.operations], 2 * len(service.operations))),
            allow_groups=service.allow_groups[::-1] * 2,
            exposures=service.exposures[::-1],
        )
        for ref, service in facts.services.items()
    }
    other = Catalog(turned(dict(facts.people)), turned(dict(facts.teams)), turned(dict(services)))  # type: ignore[arg-type]  # facts of any kind
    same = replace(policy, rules=mixed(policy.rules), roles=policy.roles[::-1] * 2, defaults=policy.defaults * 2)
    assert _bytes(facts, policy) == _bytes(other, same)


def _bytes(facts: Catalog, policy: AccessPolicy) -> bytes:
    derived = derive(facts, policy, ENVIRONMENTS)
    return b"".join(marshal.dumps(frame, 2) for frame in compile_frames(facts, derived, ()).values())


@few
@given(catalogs(), POLICIES, PATH_LISTS, rules("allow"), st.data())
def test_unchanged_allow_when_add_permit(
    facts: Catalog, policy: AccessPolicy, paths: list[tuple[str, ...]], rule: PolicyRule, data: st.DataObject
) -> None:
    """One more allow rule takes nothing away. (Naming operations of a service without a definition makes them.)"""
    if rule.operations:
        defined = {ref: replace(service, has_definition=True) for ref, service in facts.services.items()}
        facts = Catalog(facts.people, facts.teams, defined)
    _compare(facts, policy, rule, paths, data, Permit)


@few
@given(catalogs(), POLICIES, PATH_LISTS, rules("deny"), st.data())
def test_unchanged_deny_when_add_forbid(
    facts: Catalog, policy: AccessPolicy, paths: list[tuple[str, ...]], rule: PolicyRule, data: st.DataObject
) -> None:
    """One more deny rule gives nothing to anybody."""
    _compare(facts, policy, rule, paths, data, Refusal)


def _compare(
    facts: Catalog,
    policy: AccessPolicy,
    rule: PolicyRule,
    paths: list[tuple[str, ...]],
    data: st.DataObject,
    kept: type[Permit] | type[Refusal],
) -> None:
    """Whoever got a verdict of the kept type still gets one with the rule added."""
    derived, before = world(facts, policy)
    _, after = world(facts, replace(policy, rules=(*policy.rules, rule)))
    caller = data.draw(callers(before))
    for key, path, method in requests(derived, paths):
        if isinstance(ask(before, key, path, method, caller), kept):
            assert isinstance(ask(after, key, path, method, caller), kept), f"{method} {path} on {key}"


@few
@given(catalogs(), POLICIES)
def test_every_rule_is_one_short_sentence(facts: Catalog, policy: AccessPolicy) -> None:
    """At most 25 words, one full stop, nothing chained."""
    for published in derive(facts, policy, ENVIRONMENTS).published:
        for rule in published.rules:
            sentence = sentence_of(rule)
            assert len(sentence.split()) <= LONGEST_WORDS, sentence
            assert sentence.endswith(".")
            assert "and also" not in sentence
