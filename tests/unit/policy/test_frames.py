"""An exposure's frame: plain data through marshal, its rules packed until asked for, the layout before still read."""

from __future__ import annotations

import marshal

import pytest

from policy.compile import exposure_frame
from policy.derive import derive
from policy.exposure import Exposure
from policy.facts import Operation
from policy.frames import LAYOUT, NO_RULES, ExposureFrame, of_this_layout, packed, unpacked
from policy.statements import AccessPolicy, EnvironmentPolicy
from tests.support.policy_worlds import catalog, service


def frame() -> ExposureFrame:
    operations = (Operation("GET", "/a/{x}", (frozenset({"r"}),)), Operation("GET", "/b{y}c"), Operation("GET", "/**"))
    policy = AccessPolicy({"prod": EnvironmentPolicy("prod", ("all",))})
    (published,) = derive(catalog(service("one", *operations)), policy, ("prod",)).published
    return exposure_frame(published)


def test_a_frame_is_the_same_after_marshal() -> None:
    assert marshal.loads(marshal.dumps(frame(), 2)) == frame()


def test_rules_are_the_same_after_packing() -> None:
    rules = Exposure(frame()).rules()
    assert rules.tree[1] is not None
    assert unpacked(packed(rules)) == rules
    assert unpacked(packed(NO_RULES)) == NO_RULES


def test_an_exposure_opened_for_one_caller_stays_closed() -> None:
    exposure = Exposure(frame())
    assert exposure.rules() == exposure.rules()
    assert exposure.opened is None


def test_the_layout_before_is_read() -> None:
    """The last good base on disk may be older than the program that serves it at start."""
    now = frame()
    *what, cors, denied, asks_how, reach, rules = now[1:]
    before = (LAYOUT - 1, *what, *unpacked(rules), reach)
    assert (cors, denied, asks_how) == ((), (), False)
    assert of_this_layout(before) == now


@pytest.mark.parametrize("layout", [0, LAYOUT - 2, LAYOUT + 1])
def test_another_layout_is_refused(layout: int) -> None:
    with pytest.raises(ValueError, match="layout"):
        of_this_layout((layout, *frame()[1:]))
