"""What control tells about workers and issuers: numbers of their last message, null for what nobody knows."""

from __future__ import annotations

from gateway.control.admin import CatalogState, IssuerState
from gateway.control.doors import STALLS_KEPT, Follower
from gateway.control.status import catalog_states, follower_status, issuer_status
from gateway.counters import (
    AUDIT_FAILED,
    AUDIT_QUEUED,
    CLOCK_AHEAD_S,
    DOWNSTREAM_OPEN,
    LENGTH,
    OVERLAY_AGE_S,
    SNAPSHOT_AGE_S,
)


def test_a_worker_that_has_not_counted_yet_has_no_numbers() -> None:
    said = follower_status(Follower("door", 1, 4711, "", 0), 10.0)
    assert (said["slot"], said["pid"], said["base"]) == (1, 4711, "")
    assert {said[name] for name in ("connections", "audit_queued", "longest_stall_ms", "heard_age_s")} == {None}


def test_numbers_are_the_newest_and_the_longest_stall_is_that_of_the_last_minute() -> None:
    follower = Follower("door", 0, 4711, "base", 3)
    follower.values = [0] * LENGTH
    for cell, value in (
        (DOWNSTREAM_OPEN, 12), (SNAPSHOT_AGE_S, 2), (OVERLAY_AGE_S, 3), (AUDIT_QUEUED, 4), (AUDIT_FAILED, 1),
        (CLOCK_AHEAD_S, 5),
    ):  # fmt: skip
        follower.values[cell] = value
    follower.heard_s = 98.75
    follower.stalls_us.extend([90_000, *([1_500] * (STALLS_KEPT - 1))])
    said = follower_status(follower, 100.0)
    assert said["longest_stall_ms"] == 90.0
    follower.stalls_us.append(2_500)  # the long one is a minute ago
    assert follower_status(follower, 100.0)["longest_stall_ms"] == 2.5
    assert said["connections"] == 12
    assert (said["snapshot_age_s"], said["overlay_age_s"]) == (2, 3)
    assert (said["audit_queued"], said["audit_failing"]) == (4, True)
    assert said["clock_ahead_s"] == 5
    assert said["heard_age_s"] == 1.2


def test_roles_that_are_no_door_have_no_numbers_at_all() -> None:
    assert set(follower_status(Follower("engine", 0, 1, "b", 2), 0.0)) == {"role", "slot", "pid", "base", "seq"}


def test_an_issuer_without_keys_has_no_age() -> None:
    known, unknown = issuer_status([IssuerState("a", 2, 12.7, ""), IssuerState("b", 0, float("inf"), "away")])
    assert known == {"name": "a", "keys": 2, "age_s": 12, "fault": ""}
    assert unknown == {"name": "b", "keys": 0, "age_s": None, "fault": "away"}


def test_catalogs_are_read_with_care() -> None:
    """The engine may be of another version."""
    said = {"name": "main", "entities": 5, "age_s": 1.5, "delay_s": None, "fault": "away", "more": 1}
    assert catalog_states([said]) == [CatalogState("main", 5, 1.5, None, "away")]
    assert catalog_states([{}, {"age_s": "x", "entities": None}]) == [CatalogState("", 0, None, None, "")] * 2
