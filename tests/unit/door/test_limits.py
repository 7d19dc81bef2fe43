"""The limits of a worker: who counts as one, what a reload leaves alone, and what is limited by default. The clock is a
number here."""

from __future__ import annotations

import pytest

from gateway.config import Limits, Rate
from gateway.door.limits import Guard
from gateway.door.rates import SECOND_NS, Buckets

START_S = 7_000.0
START_NS = 7_000 * SECOND_NS


def taken(buckets: Buckets, key: str, now_ns: int, most: int = 20_000) -> int:
    """How many requests go through at one moment."""
    return next(count for count in range(most) if buckets.take(key, now_ns))


def test_other_settings_leave_running_buckets_alone_unless_they_are_about_them() -> None:
    rate = Rate(requests_per_second=1, burst=3)
    guard = Guard(Limits(principals=rate), 1)
    assert guard.callers.buckets is not None
    assert taken(guard.callers.buckets, "jane", START_NS) == 3
    guard.configure(Limits(principals=rate, hosts=Rate(concurrent=5)), 1)
    assert guard.callers.enter("jane", START_NS) > 0, "a reload is no new burst"
    assert (guard.callers_limited, guard.hosts_limited) == (True, True)
    guard.configure(Limits(), 1)
    assert (guard.callers_limited, guard.hosts_limited) == (False, False)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("10.0.0.1", "10.0.0.2", False),
        ("2001:db8::1", "2001:db8::ffff:1:2:3", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:10.0.0.1", "10.0.0.1", True),
        ("fe80::1%eth0", "fe80::2%eth0", True),
        ("", "", True),
        ("a:b", "a:b", True),
    ],
)
def test_who_counts_as_one(one: str, other: str, same: bool) -> None:
    """A host of IPv6 has a whole /64 to come from."""
    guard = Guard(Limits(), 1)
    assert (guard.network_of(one) == guard.network_of(other)) is same


def test_networks_are_not_remembered_without_end() -> None:
    guard = Guard(Limits(), 1)
    for number in range(10_000):
        guard.network_of(f"2001:db8:{number:x}::1")
    assert len(guard._networks) <= 4096


def test_a_peer_has_its_connections_and_a_trusted_one_only_what_it_was_given() -> None:
    guard = Guard(Limits(peer_connections=2), 1)
    assert [guard.connect("10.0.0.1", False, START_S) for _ in range(3)] == [True, True, False]
    assert all(guard.connect("10.0.0.9", True, START_S) for _ in range(5))
    guard.configure(Limits(peer_connections=2, trusted_peer_connections=6), 1)
    assert [guard.connect("10.0.0.9", True, START_S) for _ in range(2)] == [True, False]
    guard.disconnect("10.0.0.1")
    assert guard.connect("10.0.0.1", False, START_S)


def test_a_peer_connects_so_often_and_a_trusted_one_as_often_as_it_likes() -> None:
    guard = Guard(Limits(peer_connects=20), 2)
    connected = [guard.connect("10.0.0.1", False, START_S) for _ in range(60)]
    assert connected == [True] * 50 + [False] * 10, "five seconds' worth of this worker's half"
    assert guard.peers.taken["10.0.0.1"] == 50, "who was not let in holds no place"
    assert guard.connect("10.0.0.1", False, START_S + 0.1)
    assert guard.connect("10.0.0.2", False, START_S), "nobody else is concerned"
    assert all(guard.connect("10.0.0.9", True, START_S) for _ in range(500))
    guard.configure(Limits(peer_connects=20, peer_connections=7), 2)
    assert guard.connects is not None
    assert taken(guard.connects, "10.0.0.1", START_NS + SECOND_NS // 10) == 0, "a reload is no new burst"
    guard.configure(Limits(peer_connects=0), 2)
    assert all(guard.connect("10.0.0.3", False, START_S) for _ in range(500))


def test_being_refused_is_limited_without_being_asked_to() -> None:
    guard = Guard(Limits(), 1)
    assert guard.refusals.buckets is not None
    assert taken(guard.refusals.buckets, "10.0.0.1", START_NS) == 10_000
    assert guard.connects is None
    assert not (guard.callers_limited or guard.addresses.active or guard.hosts_limited), "what is allowed is not"
