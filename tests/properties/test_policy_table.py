"""The table gives the answer, the reason and the rule id that the definition gives, in every world we can think of."""

from __future__ import annotations

from itertools import product

from hypothesis import given, settings
from hypothesis import strategies as st

from policy import reference
from policy.facts import Catalog, Refusal
from policy.paths import METHODS
from policy.statements import AccessPolicy
from policy.table import Match
from tests.support.examples import examples
from tests.support.policy_worlds import BUILTIN, CALLS, NOW, PATHS, POLICIES, callers, catalogs, paths_to, world


@settings(max_examples=examples(60), deadline=None)
@given(
    catalogs(),
    POLICIES,
    st.lists(PATHS, min_size=4, max_size=4, unique=True),
    st.data(),
)
def test_table_equals_reference(
    facts: Catalog, policy: AccessPolicy, paths: list[tuple[str, ...]], data: st.DataObject
) -> None:
    """Same answer, same reason, same rule, same operation, same need: every method, path and exposure of a world.

    An exposure that does not ask how a request came gives that answer whether it is told or not.
    """
    derived, table = world(facts, policy, builtin=BUILTIN)
    asking = [(data.draw(callers(table)), data.draw(CALLS)) for _ in range(3)]
    for published, method, (caller, call) in product(derived.published, METHODS, asking):
        exposure = table.exposures[published.key]
        for path in [*paths, *paths_to(published.operations)]:
            expected = reference.decide(derived, published.key, path, method, caller, NOW, call)
            match = Match(exposure, exposure.prefix_segments + path)
            answer = table.decide(match, method, caller, NOW, call)
            assert answer == expected, f"{method} {path} on {published.key}"
            if not exposure.asks_how:
                assert table.decide(match, method, caller, NOW) == expected, "what it was not told mattered"


@settings(max_examples=examples(100), deadline=None)
@given(st.data(), catalogs(), POLICIES)
def test_match_finds_the_longest_prefix(data: st.DataObject, facts: Catalog, policy: AccessPolicy) -> None:
    """Host and longest segment-anchored prefix choose the exposure; a known host never says which paths exist."""
    derived, table = world(facts, policy)
    host = data.draw(st.sampled_from(("dev.example.com", "prod.example.com", "other.example.com")))
    path = data.draw(st.lists(st.sampled_from(("0", "1", "2", "01", "")), max_size=3).map(tuple))
    on_host = [each for each in derived.published if each.exposure.host == host]
    match = table.match(host, path)
    if not on_host:
        assert match == Refusal("host_unknown")
        return
    assert isinstance(match, Match)
    holders = [each.key for each in on_host if path[:1] == (each.exposure.prefix[1:],)]
    assert match.exposure.key == (holders[0] if holders else "")
    assert match.segments == path
