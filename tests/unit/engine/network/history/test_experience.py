"""What a device taught us is not done again by ourselves: how often it may be changed, and what it refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.engine.network.faults import Busy, Outdated, Rejected, Unknown, Unreachable
from gateway.engine.network.history.experience import MENDED_MOST, Budget, Experience, Refused
from gateway.engine.network.history.trail import Untold
from tests.support.network import place

GAP_S = 900.0
NOW = 1_800_000_000.0


def codes(experience: Experience, now_s: float, *, is_mending: bool = False, mark: bytes = b"other") -> list[str]:
    found = experience.hindrances(mark, (place("a"),), is_mending=is_mending, now_s=now_s)
    return [each.code for each in found]


def test_a_device_is_changed_once_within_its_gap() -> None:
    budget = Budget(GAP_S)
    assert budget.left_s(NOW) == 0.0
    budget.note(NOW)
    assert budget.left_s(NOW + 1.0) == GAP_S - 1.0
    assert budget.left_s(NOW + GAP_S) == 0.0


def test_a_device_without_a_gap_is_changed_at_any_time() -> None:
    budget = Budget()
    budget.note(NOW)
    assert budget.left_s(NOW) == 0.0


def test_a_clock_that_was_set_back_holds_nothing_up() -> None:
    budget = Budget(GAP_S)
    budget.note(NOW)
    assert budget.left_s(NOW - 3600.0) == 0.0


@given(st.lists(st.floats(0.0, 1e6), min_size=1), st.floats(0.0, 1e6))
def test_the_order_in_which_changes_are_noted_does_not_matter(begun: list[float], later_s: float) -> None:
    one, other = Budget(GAP_S), Budget(GAP_S)
    for at_s in begun:
        one.note(at_s)
    for at_s in sorted(begun):
        other.note(at_s)
    assert one.left_s(max(begun) + later_s) == other.left_s(max(begun) + later_s)


def test_environments_of_one_device_share_its_budget() -> None:
    budget = Budget(GAP_S)
    one, other = Experience(budget), Experience(budget)
    one.budget.note(NOW)
    assert codes(other, NOW + 10.0) == ["budget"]


def met(experience: Experience, at_s: float, fault: Exception, *, is_mending: bool = False) -> None:
    with pytest.raises(type(fault)), experience.changing(at_s, is_mending=is_mending):
        raise fault


def test_who_holds_a_device_for_a_day_is_met_a_few_times_an_hour_and_leaves_the_budget_alone() -> None:
    experience, tries, now_s = Experience(Budget(GAP_S)), 0, NOW
    while now_s < NOW + 86_400.0:
        if not codes(experience, now_s, is_mending=True):
            met(experience, now_s, Busy("config lock of `jane`"), is_mending=True)
            tries += 1
        now_s += 5.0
    assert tries < 110
    (waits,) = experience.hindrances(b"", (), is_mending=True, now_s=now_s)
    assert (waits.code, "`jane`" in waits.why) == ("busy", True), "another hand changed nothing back"


def test_a_commit_that_is_met_once_holds_nothing_up_and_what_went_through_ends_the_waiting() -> None:
    experience = Experience(Budget(GAP_S))
    met(experience, NOW, Busy("at work"))
    assert codes(experience, NOW) == []
    met(experience, NOW, Busy("at work"))
    assert codes(experience, NOW) == ["busy"]
    with experience.changing(NOW, is_mending=False):
        pass
    assert codes(experience, NOW) == ["budget"]


def test_a_device_whose_changes_cost_little_is_asked_at_its_usual_pace() -> None:
    """A BIG-IP says "in progress" for seconds, and its group's pauses grow by themselves."""
    experience = Experience()
    for _ in range(8):
        met(experience, NOW, Busy("503 in progress"))
    assert codes(experience, NOW) == []


@pytest.mark.parametrize("fault", [Outdated("changed"), Untold("the disk is full")], ids=repr)
def test_what_could_not_begin_costs_no_turn(fault: Exception) -> None:
    experience = Experience(Budget(GAP_S))
    met(experience, NOW, fault)
    assert codes(experience, NOW) == []


@pytest.mark.parametrize("fault", [Rejected("no"), Unknown("perhaps"), Unreachable("away"), OSError()], ids=repr)
def test_what_may_have_changed_something_costs_its_turn(fault: Exception) -> None:
    experience = Experience(Budget(GAP_S))
    met(experience, NOW, fault)
    assert codes(experience, NOW) == ["budget"]


def test_what_was_refused_waits_for_another_wish_whatever_the_budget_says() -> None:
    experience = Experience()
    experience.refused = Refused(b"mark", (place("b"),), "no room")
    assert codes(experience, NOW, mark=b"mark") == ["refused"]
    assert codes(experience, NOW) == []


def test_what_another_hand_changes_again_and_again_is_left_to_a_person() -> None:
    experience = Experience()
    for count in range(MENDED_MOST):
        experience.note_mended(NOW + count)
    assert codes(experience, NOW + 60.0, is_mending=True) == ["contested"]
    assert codes(experience, NOW + 60.0) == []
    assert codes(experience, NOW + 3700.0, is_mending=True) == []
