"""How long an address stays that is answered no more: an hour of answers without it, a day of silence before that."""

from __future__ import annotations

import pytest

from gateway.egress.look_ups import ADDRESSES
from gateway.engine.network.whereabouts.sightings import AWAY_S, KEEP_S, LONGEST_S, Sightings

START = 1_000_000
OLD, NEW, SIX = "10.0.0.1", "10.0.0.2", "2001:db8::1"
BOTH = (4, 6)


def met(*addresses: str) -> Sightings:
    sightings = Sightings(START)
    sightings.hear(addresses, (), START)
    return sightings


def addresses(sightings: Sightings) -> list[str]:
    return sorted(sightings.seen)


def heard(sightings: Sightings, answered: list[str], begin: int, end: int, *, silent: tuple[int, ...] = ()) -> bool:
    """The same again and again, as often as names are asked. What the last answer changed."""
    for now in range(begin + LONGEST_S, end, LONGEST_S):
        sightings.hear(answered, silent, now)
    return sightings.hear(answered, silent, end)


def test_who_is_missing_stays_for_its_time_and_no_longer() -> None:
    sightings = met(OLD, NEW)
    assert not heard(sightings, [NEW], START, START + KEEP_S - 1)
    assert addresses(sightings) == [OLD, NEW]
    assert sightings.hear([NEW], (), START + KEEP_S)
    assert addresses(sightings) == [NEW]


def test_who_is_answered_again_has_its_whole_time_again() -> None:
    sightings = met(OLD, NEW)
    heard(sightings, [NEW], START, START + KEEP_S - 2)
    sightings.hear([OLD, NEW], (), START + KEEP_S - 1)
    heard(sightings, [NEW], START + KEEP_S - 1, START + 2 * KEEP_S - 2)
    assert addresses(sightings) == [OLD, NEW]


def test_silence_takes_nothing_for_a_day() -> None:
    sightings = met(OLD, SIX)
    for turn in range(1, AWAY_S // LONGEST_S):
        assert not sightings.hear([], BOTH, START + turn * LONGEST_S)
    assert addresses(sightings) == [OLD, SIX]


def test_silence_of_a_day_is_taken_for_an_answer() -> None:
    sightings = met(OLD)
    for minute in range(1, (AWAY_S + KEEP_S) // 60 + 1):
        sightings.hear([], BOTH, START + minute * 60)
        assert bool(sightings.seen) == (minute * 60 < AWAY_S + KEEP_S - 60)


def test_absence_after_a_silence_has_its_whole_time_too() -> None:
    sightings = met(OLD)
    for minute in range(1, 121):
        sightings.hear([], BOTH, START + minute * 60)
    heard(sightings, [], START + 7200, START + 7200 + KEEP_S - 1)
    assert addresses(sightings) == [OLD]
    sightings.hear([], (), START + 7200 + KEEP_S)
    assert addresses(sightings) == []


def test_silence_about_one_kind_keeps_that_kind() -> None:
    sightings = met(OLD, NEW, SIX)
    for minute in range(1, 61):
        sightings.hear([NEW], (6,), START + minute * 60)
    assert addresses(sightings) == [NEW, SIX]


def test_of_ever_others_the_newest_are_kept_and_it_is_known_that_some_are_not() -> None:
    sightings = met(*(f"10.0.0.{number}" for number in range(ADDRESSES)))
    assert not sightings.is_crowded
    sightings.hear([f"10.1.0.{number}" for number in range(ADDRESSES - 1)], (), START + 1)
    assert len(sightings.seen) == ADDRESSES
    assert sum(each.startswith("10.1.") for each in sightings.seen) == ADDRESSES - 1
    assert sightings.is_crowded


def test_of_too_many_those_stay_that_come_first() -> None:
    high = [f"10.0.0.{number}" for number in range(100, 100 - ADDRESSES, -1)]
    sightings = met(*high, *(f"9.0.0.{number}" for number in range(9)))
    assert addresses(sightings) == sorted(high)


@pytest.mark.parametrize("leap_s", [-KEEP_S, -400 * AWAY_S, 2 * KEEP_S, 400 * AWAY_S])
def test_a_clock_that_leaps_takes_nothing_and_keeps_nothing_longer(leap_s: int) -> None:
    """So does a machine that sleeps."""
    sightings = met(OLD, NEW)
    now = START + leap_s
    assert not sightings.hear([NEW], (), now)
    assert addresses(sightings) == [OLD, NEW]
    heard(sightings, [NEW], now, now + KEEP_S)
    assert addresses(sightings) == [NEW]


@pytest.mark.parametrize("leap_s", [-AWAY_S, AWAY_S])
def test_that_some_were_left_out_is_known_for_its_time_whatever_the_clock_does(leap_s: int) -> None:
    crowd = [f"10.0.0.{number}" for number in range(ADDRESSES + 1)]
    sightings = met(*crowd)
    now = START + leap_s
    sightings.hear(crowd[:ADDRESSES], (), now)
    assert sightings.is_crowded
    heard(sightings, crowd[:ADDRESSES], now, now + KEEP_S)
    assert not sightings.is_crowded


def test_a_machine_that_wakes_to_silence_has_heard_nothing_meanwhile() -> None:
    sightings = met(OLD)
    assert not heard(sightings, [], START + 3 * AWAY_S, START + 3 * AWAY_S + KEEP_S, silent=BOTH)
    assert addresses(sightings) == [OLD]
