"""Token buckets and seats: what a caller may do is exact, remembered in bounded memory, and nobody gains by being
forgotten. The clock is a number here."""

from __future__ import annotations

import random

import pytest

from gateway.config import Rate
from gateway.door.rates import REMEMBERED, SEAT_WAIT_NS, SECOND_NS, Buckets, Limiter, Seats

START_NS = 7_000 * SECOND_NS


def taken(buckets: Buckets, key: str, now_ns: int, most: int = 10_000) -> int:
    """How many requests go through at one moment."""
    return next(count for count in range(most) if buckets.take(key, now_ns))


def test_after_a_pause_a_burst_goes_through_and_then_the_rate() -> None:
    buckets = Buckets(10, 5)
    assert taken(buckets, "jane", START_NS) == 5
    assert buckets.take("jane", START_NS) == SECOND_NS // 10, "it says when the next one may"
    assert taken(buckets, "jane", START_NS + SECOND_NS // 10) == 1
    assert taken(buckets, "jane", START_NS + SECOND_NS) == 5, "a bucket holds a burst and no more"


def test_the_wait_it_tells_is_the_wait_there_is() -> None:
    buckets = Buckets(3, 4)
    taken(buckets, "jane", START_NS)
    wait_ns = buckets.take("jane", START_NS)
    assert buckets.take("jane", START_NS + wait_ns - 1) == 1
    assert buckets.take("jane", START_NS + wait_ns) == 0


def test_one_caller_takes_nothing_of_another() -> None:
    buckets = Buckets(1, 2)
    assert [taken(buckets, key, START_NS) for key in ("jane", "joe", "jane")] == [2, 2, 0]


@pytest.mark.parametrize(("per_second", "burst"), [(1, 1), (7, 3), (100, 20), (0.5, 4), (2_000, 1)])
def test_in_the_long_run_nobody_gets_more_than_rate_and_burst(per_second: float, burst: int) -> None:
    """Whatever the moments of asking are, and across the generations in which keys are kept."""
    chance = random.Random(1)
    buckets = Buckets(per_second, burst)
    now_ns, passed = START_NS, 0
    for _ in range(20_000):
        now_ns += chance.choice((0, 0, 1, int(SECOND_NS / per_second / 3)))
        passed += buckets.take("jane", now_ns) == 0
    assert passed <= burst + per_second * (now_ns - START_NS) / SECOND_NS + 1
    assert passed >= per_second * (now_ns - START_NS) / SECOND_NS * 0.5, "and it is no wall either"


def test_what_is_remembered_is_bounded() -> None:
    buckets = Buckets(1, 10)
    for number in range(5 * REMEMBERED):
        assert buckets.take(f"client-{number}", START_NS + number) == 0, "somebody new is never locked out"
        assert len(buckets.younger) + len(buckets.older) <= 2 * REMEMBERED


def test_cycling_through_identities_gives_no_burst_again() -> None:
    """An attacker whose bucket is empty makes the door forget it, by as many others as it remembers."""
    buckets = Buckets(0.001, 50)
    assert taken(buckets, "attacker", START_NS) == 50
    now_ns = START_NS
    for number in range(3 * REMEMBERED):
        now_ns += 1000
        buckets.take(f"other-{number}", now_ns)
    assert taken(buckets, "attacker", now_ns) <= 1, "one request for thousands, no burst"


def test_the_whole_of_an_army_of_identities_gets_its_rate_and_one_burst_each_at_the_most() -> None:
    buckets = Buckets(0.001, 3)
    army = [f"id-{number}" for number in range(2 * REMEMBERED + 100)]
    passed = [0] * len(army)
    now_ns = START_NS
    for _ in range(3):
        for number, key in enumerate(army):
            now_ns += 100
            passed[number] += taken(buckets, key, now_ns)
    assert max(passed) <= 3 + 2, "a burst once; each time it was forgotten, one"


def test_a_key_that_is_forgotten_in_peace_had_its_whole_burst() -> None:
    buckets = Buckets(10, 20)
    taken(buckets, "jane", START_NS)
    now_ns = START_NS
    for _ in range(3):  # generations
        now_ns += buckets.full_ns
        buckets.take("joe", now_ns)
    assert "jane" not in buckets.younger | buckets.older
    assert taken(buckets, "jane", now_ns) == 20


def test_a_crowd_is_over_once_what_it_displaced_would_be_full() -> None:
    buckets = Buckets(10, 20)
    for number in range(3 * REMEMBERED):
        buckets.take(f"client-{number}", START_NS)
    assert taken(buckets, "new", START_NS) == 1
    assert taken(buckets, "newer", START_NS + buckets.full_ns) == 20


def test_seats_are_taken_and_given_back() -> None:
    seats = Seats(2)
    assert [seats.take("a"), seats.take("a"), seats.take("a"), seats.take("b")] == [True, True, False, True]
    seats.leave("a")
    assert seats.take("a")
    for key in ("a", "a", "b"):
        seats.leave(key)
    assert seats.taken == {}, "nobody is remembered who has none"


def test_a_worker_has_its_share() -> None:
    limiter = Limiter(Rate(requests_per_second=100, burst=40, concurrent=8), 4)
    assert limiter.buckets is not None
    assert taken(limiter.buckets, "jane", START_NS) == 10
    assert [limiter.enter("joe", START_NS) for _ in range(3)] == [0, 0, SEAT_WAIT_NS]
    assert Limiter(Rate(concurrent=1), 4).enter("jane", START_NS) == 0, "a share is one at least"


def test_seats_survive_another_limit_and_an_unlimited_caller_owes_nothing() -> None:
    limiter = Limiter(Rate(), 1)
    assert not limiter.active
    assert [limiter.enter("jane", START_NS) for _ in range(3)] == [0, 0, 0]
    limiter.configure(Rate(concurrent=2), 1)
    assert limiter.enter("jane", START_NS) == SEAT_WAIT_NS
    limiter.leave("jane")
    limiter.leave("jane")
    assert limiter.enter("jane", START_NS) == 0
