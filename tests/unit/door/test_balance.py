"""What failures add up to: ejection after enough of them in a row, longer each time, never too many; one trial back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import cast

import pytest

from gateway.door.balance import (
    ANSWER_FAILURES,
    CONNECT_FAILURES,
    FIRST_S,
    FORGIVEN_S,
    LONGEST_S,
    RETRY_FLOOR,
    RETRY_SHARE,
    TRIAL_S,
    WINDOW_S,
    Health,
    RetryBudget,
    candidates,
    may_eject,
    reinstate_surplus,
)
from gateway.door.endpoint import Endpoint


@dataclass(eq=False)
class Judged:
    """As much of an endpoint as a choice looks at."""

    health: Health = field(default_factory=Health)
    down_until_s: float = 0.0

    def is_down(self, now_s: float) -> bool:
        return now_s < self.down_until_s


def an_endpoint(down_until_s: float = 0.0) -> Endpoint:
    return cast("Endpoint", Judged(down_until_s=down_until_s))


def ejected(until_s: float) -> Endpoint:
    endpoint = an_endpoint()
    endpoint.health.eject(until_s - FIRST_S)
    assert endpoint.health.until_s == until_s
    return endpoint


# === one endpoint ===


def test_answers_must_fail_in_a_row() -> None:
    health = Health()
    for _ in range(ANSWER_FAILURES - 1):
        assert not health.failed(ANSWER_FAILURES)
    assert not health.succeeded()
    for _ in range(ANSWER_FAILURES - 1):
        assert not health.failed(ANSWER_FAILURES)
    assert health.failed(ANSWER_FAILURES)


def test_one_connection_that_cannot_be_made_is_enough() -> None:
    assert Health().failed(CONNECT_FAILURES)


def test_an_ejection_ends_with_its_time_and_a_trial_keeps_others_away() -> None:
    health = Health()
    seconds = health.eject(100.0)
    assert health.is_passed_over(100.0 + seconds - 0.01)
    assert not health.is_passed_over(100.0 + seconds)
    health.chosen(102.0)
    assert health.is_passed_over(102.0 + TRIAL_S - 0.01)
    assert not health.is_passed_over(102.0 + TRIAL_S)  # the trial's client has left without an outcome: another one


def test_each_failed_trial_doubles_the_time_up_to_a_bound() -> None:
    health, now_s, times = Health(), 0.0, []
    for _ in range(8):
        times.append(health.eject(now_s))
        now_s = health.until_s
        health.chosen(now_s)
        assert health.failed(ANSWER_FAILURES), "the trial's outcome counts alone"
    assert times == [FIRST_S, 4.0, 8.0, 16.0, 32.0, LONGEST_S, LONGEST_S, LONGEST_S]


def test_a_good_trial_ends_the_ejection_and_is_said_once() -> None:
    health = Health()
    health.eject(0.0)
    health.chosen(FIRST_S)
    assert health.succeeded()
    assert not health.is_passed_over(FIRST_S)
    assert not health.succeeded()


def test_requests_from_before_the_ejection_neither_end_nor_lengthen_it() -> None:
    health = Health()
    health.failed(CONNECT_FAILURES)
    health.eject(0.0)
    assert not health.succeeded()
    assert health.ejected
    assert not health.failed(CONNECT_FAILURES)
    assert health.until_s == FIRST_S


def test_what_is_tried_for_want_of_anything_better_lengthens_nothing_but_may_end_it() -> None:
    health = Health()
    health.eject(0.0)
    for now_s in (0.1, 0.2, 0.3):
        health.chosen(now_s)
        assert not health.failed(CONNECT_FAILURES)
    assert health.until_s == FIRST_S
    health.chosen(0.4)
    assert health.succeeded()
    assert not health.ejected


def test_who_fails_again_soon_begins_longer_and_who_was_well_for_long_begins_anew() -> None:
    health = Health()
    health.eject(0.0)
    health.chosen(FIRST_S)
    health.succeeded()
    assert health.eject(FIRST_S + TRIAL_S + FORGIVEN_S) == 2 * FIRST_S
    health.chosen(health.until_s)
    health.succeeded()
    assert health.eject(health.until_s + FORGIVEN_S + 0.1) == FIRST_S


def test_what_must_stay_in_use_is_said_now_and_then() -> None:
    health = Health()
    said = [now_s for now_s in range(40) if health.failed(CONNECT_FAILURES) and health.keep(float(now_s))]
    assert said == [0, 2, 6, 14, 30]
    assert health.succeeded()


# === the endpoints of an exposure ===


def test_the_ejected_and_the_down_are_passed_over_while_others_are_left() -> None:
    well, out, down = an_endpoint(), ejected(5.0), an_endpoint(down_until_s=5.0)
    everyone = [out, well, down]
    assert candidates(everyone, (), 1.0) == [well]
    assert candidates(everyone, (), 5.0) == everyone
    assert candidates(everyone, (well,), 1.0) == [out], "ejected for its failures is better than down"
    assert candidates(everyone, (well, out), 1.0) == [down]
    assert candidates(everyone, everyone, 1.0) == []


def test_all_ejected_or_all_down_is_as_good_as_none() -> None:
    assert len(candidates([ejected(5.0), ejected(5.0)], (), 1.0)) == 2
    assert len(candidates([an_endpoint(down_until_s=9.0), an_endpoint(down_until_s=9.0)], (), 1.0)) == 2


@pytest.mark.parametrize(("count", "most"), [(1, 0), (2, 1), (3, 1), (4, 2), (5, 2)])
def test_at_most_half_are_ejected(count: int, most: int) -> None:
    endpoints = [an_endpoint() for _ in range(count)]
    for endpoint in endpoints:
        if may_eject(endpoints):
            endpoint.health.eject(0.0)
    assert sum(endpoint.health.ejected for endpoint in endpoints) == most


def test_endpoints_that_leave_the_catalog_do_not_leave_the_ejected_behind() -> None:
    soon, late, well = ejected(5.0), ejected(9.0), an_endpoint()
    reinstate_surplus([late, soon, well])
    assert [each.health.ejected for each in (soon, late, well)] == [False, True, False]
    reinstate_surplus([late])
    assert not late.health.ejected


# === sending again ===


def test_the_floor_is_granted_whatever_was_sent_and_no_more() -> None:
    budget = RetryBudget()
    assert [budget.grant(5) for _ in range(RETRY_FLOOR + 3)] == [True] * RETRY_FLOOR + [False] * 3


def test_beyond_the_floor_a_share_of_what_was_sent_lately_is_granted() -> None:
    budget, now_s, taken, granted = RetryBudget(), 0.0, 0, 0
    for _ in range(100):
        now_s += 1.0
        taken += 1000
        budget.turn(now_s, taken)
        granted += sum(budget.grant(taken) for _ in range(1000))
    assert granted <= RETRY_SHARE * taken * 1.2
    assert granted >= RETRY_SHARE * taken * 0.5


def test_what_was_sent_long_ago_grants_nothing() -> None:
    budget = RetryBudget()
    budget.turn(0.0, 1_000_000)
    for seconds in range(1, 4):
        budget.turn(seconds * WINDOW_S, 1_000_000)
    assert sum(budget.grant(1_000_000) for _ in range(1000)) == RETRY_FLOOR
