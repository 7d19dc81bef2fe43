"""Property: an address is kept exactly while too little time with answers has gone by without it, however questions,
answers, absence and silence follow each other; the definition counts seconds one answer at a time."""

from __future__ import annotations

from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from gateway.engine.network.whereabouts.sightings import AWAY_S, KEEP_S, LONGEST_S, VERSIONS, Sightings

START = 1_000_000
ADDRESSES = ("10.0.0.1", "10.0.0.2", "2001:db8::1", "2001:db8::2")


class Turn(NamedTuple):
    after_s: int
    answered: frozenset[str]
    silent: frozenset[int]


TURNS = st.lists(
    st.builds(
        Turn,
        st.sampled_from((-AWAY_S, -60, 0, 1, 59, 60, 600, LONGEST_S, LONGEST_S + 1, KEEP_S, 5 * KEEP_S, AWAY_S)),
        st.frozensets(st.sampled_from(ADDRESSES)),
        st.sampled_from((frozenset[int](), frozenset({6}), frozenset(VERSIONS))),
    ),
    max_size=40,
)


def _version(address: str) -> int:
    return 6 if ":" in address else 4


def _missing_s(address: str, turns: list[Turn]) -> int | None:
    """For how long answers were without it since it was last answered; None: it never was, or was given up since."""
    missing_s, quiet_s = None, 0
    for turn in turns:
        passed_s = min(max(0, turn.after_s), LONGEST_S)
        is_silent = _version(address) in turn.silent
        quiet_s = quiet_s + passed_s if is_silent else 0
        if missing_s is not None and not (is_silent and quiet_s < AWAY_S):
            missing_s += passed_s
        if address in turn.answered:
            missing_s = 0
        if missing_s is not None and missing_s >= KEEP_S:
            missing_s = None
    return missing_s


@given(TURNS)
def test_who_is_kept_is_who_the_definition_keeps(turns: list[Turn]) -> None:
    sightings, now = Sightings(START), START
    for number, turn in enumerate(turns, 1):
        now += turn.after_s
        before = set(sightings.seen)
        is_other = sightings.hear(sorted(turn.answered), turn.silent, now)
        kept = {address for address in ADDRESSES if _missing_s(address, turns[:number]) is not None}
        assert set(sightings.seen) == kept
        assert is_other == (kept != before)
        assert turn.answered <= kept
