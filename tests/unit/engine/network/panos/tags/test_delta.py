"""The difference between a wish and a firewall's tables: told, it leaves exactly what is wanted, and nobody else's."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from hypothesis import given
from hypothesis import strategies as st

from gateway.engine.network.panos import names
from gateway.engine.network.panos.device.userid import LONGEST_S, NEVER, Entry, What
from gateway.engine.network.panos.membership import Membership
from gateway.engine.network.panos.tags.delta import Delta, Tables, delta_of, wish_of
from gateway.engine.network.panos.tags.reading import Table

K = TypeVar("K")
V = TypeVar("V")
NOW = 1_000_000
TEAMS = [names.team_tag(f"group:default/t{number}") for number in range(3)]
GRANTS = [names.grant_tag(f"system:default/s{number}", "prod") for number in range(2)]
MARK = names.WATERMARK
ENDS = st.integers(NOW - 5, NOW + 2 * LONGEST_S)
WHO = st.sampled_from(["ann", "bob", "cy"])
HOST = st.sampled_from(["192.0.2.1", "192.0.2.0/28"])
SETS = st.frozensets(st.sampled_from(TEAMS))
HELD = st.frozensets(st.sampled_from([*TEAMS, *GRANTS, MARK]), min_size=1)

memberships = st.builds(
    Membership, st.just("v"), st.dictionaries(HOST, SETS), st.dictionaries(WHO, SETS),
    st.dictionaries(st.tuples(WHO, st.sampled_from(GRANTS)), ENDS), st.frozensets(WHO),
)  # fmt: skip
tables = st.builds(
    lambda hosts, users: {What.ADDRESS: Table(hosts), What.USER: Table(users)},
    st.dictionaries(HOST, HELD), st.dictionaries(WHO, HELD),
)  # fmt: skip
known = st.dictionaries(st.tuples(WHO, st.sampled_from(GRANTS)), ENDS)


def told(delta: Delta, before: Tables, ends: dict[tuple[str, str], int]) -> None:
    """As a firewall does it."""
    for entries, gives in ((delta.losses, False), (delta.renewed, True), (delta.gains, True)):
        for what, key, tags in entries:
            held = before[what].tags
            for tag, end in tags:
                changed = held.get(key, frozenset()) - {tag}
                held[key] = changed | {tag} if gives else changed
                ends.pop((key, tag), None)
                if gives and end != NEVER:
                    ends[key, tag] = end
            if not held[key]:
                del held[key]


@given(memberships, tables, known)
def test_what_was_told_leaves_everything_ours_as_wanted(
    wanted: Membership, held: Tables, ends: dict[tuple[str, str], int]
) -> None:
    before = {what: dict(table.tags) for what, table in held.items()}
    wish = wish_of(wanted)
    for _ in range(2):  # what was not marked as ours is so after the first time
        told(delta_of(wish, held, ends, NOW), held, ends)
    assert delta_of(wish, held, ends, NOW).is_empty
    for user in ("ann", "bob", "cy"):
        running = {tag for (who, tag), end in wanted.timed.items() if who == user and end > NOW}
        expected = set() if user in wanted.cut else {*wanted.users.get(user, ()), *running}
        has = held[What.USER].tags.get(user, frozenset())
        if not expected and user not in wanted.cut and MARK not in before[What.USER].get(user, {MARK}):
            assert has == before[What.USER][user], "names of ours that we did not give"
        else:
            assert has == (frozenset({*expected, MARK}) if expected else frozenset())


@given(memberships, tables, known)
def test_no_tag_outlasts_its_grant_or_30_days(
    wanted: Membership, held: Tables, ends: dict[tuple[str, str], int]
) -> None:
    delta = delta_of(wish_of(wanted), held, ends, NOW)
    for what, key, tags in (*delta.renewed, *delta.gains):
        for tag, end in tags:
            if tag in GRANTS:
                assert what is What.USER
                assert NOW < end <= min(wanted.timed[key, tag], NOW + LONGEST_S)


@given(memberships, tables, known)
def test_who_is_cut_gets_nothing_and_loses_all_of_it_as_a_revocation(
    wanted: Membership, held: Tables, ends: dict[tuple[str, str], int]
) -> None:
    delta = delta_of(wish_of(wanted), held, ends, NOW)
    assert not {entry.key for entry in (*delta.renewed, *delta.gains)} & wanted.cut
    assert not {entry.key for entry in (*delta.gone, *delta.removed)} & wanted.cut
    lost = {entry.key: {tag for tag, _ in entry.tags} for entry in delta.revoked}
    for user in wanted.cut & held[What.USER].tags.keys():
        assert lost[user] == held[What.USER].tags[user]


@given(memberships, tables, known)
def test_the_order_of_what_comes_in_does_not_matter(
    wanted: Membership, held: Tables, ends: dict[tuple[str, str], int]
) -> None:
    def turned(delta: Delta) -> list[list[Entry]]:
        return [sorted(entries) for entries in delta]

    backwards = Membership(
        wanted.version, _reversed(wanted.addresses.items()), _reversed(wanted.users.items()),
        _reversed(wanted.timed.items()), wanted.cut,
    )  # fmt: skip
    other = {what: Table(_reversed(table.tags.items())) for what, table in held.items()}
    assert turned(delta_of(wish_of(wanted), held, ends, NOW)) == turned(delta_of(wish_of(backwards), other, ends, NOW))


def _reversed(items: Iterable[tuple[K, V]]) -> dict[K, V]:
    return dict(reversed(list(items)))
