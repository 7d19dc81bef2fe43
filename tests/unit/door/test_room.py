"""Descriptors and memory of a worker: who still fits, and when shedding begins and ends."""

from __future__ import annotations

import os

import pytest

from gateway.config import Limits
from gateway.door.room import RESERVED, Room, resident_bytes, room_of_process


def test_idle_clients_never_take_what_the_way_upstream_needs() -> None:
    room = Room(Limits(), own=36, limit=1100)
    assert room.descriptors == 1000
    assert room.has_for_client(749, 0)
    assert not room.has_for_client(750, 0)
    assert room.has_for_upstream(750, 250)
    assert not room.has_for_upstream(750, 251)


def test_busy_upstreams_leave_clients_what_is_left() -> None:
    room = Room(Limits(), own=36, limit=1100)
    assert room.has_for_client(99, 900)
    assert not room.has_for_client(100, 900)


def test_together_they_leave_the_worker_its_reserve() -> None:
    room = Room(Limits(), own=36, limit=1100)
    most = max(
        clients + upstreams
        for clients in range(0, 1101, 10)
        for upstreams in range(0, 1101, 10)
        if room.has_for_client(clients - 1, upstreams) and room.has_for_upstream(clients, upstreams)
    )
    assert room.own + most + RESERVED <= room.limit


def test_the_setting_counts_where_descriptors_would_allow_more() -> None:
    assert Room(Limits(connections=7), own=10, limit=100_000).clients_most == 7


@pytest.mark.parametrize("limit", [0, 10, 64, 80])
def test_a_tiny_limit_serves_somebody(limit: int) -> None:
    assert Room(Limits(), own=30, limit=limit).has_for_client(0, 0)


def test_shedding_ends_well_below_where_it_began() -> None:
    room = Room(Limits(memory_bytes=1000), own=10, limit=1000)
    said = [(room.measure(resident), room.shedding) for resident in (999, 1000, 950, 900, 899, 950)]
    assert said == [(False, False), (True, True), (False, True), (False, True), (True, False), (False, False)]


def test_without_a_limit_nothing_is_shed_and_taking_the_limit_away_ends_it() -> None:
    room = Room(Limits(memory_bytes=1), own=10, limit=1000)
    assert room.measure(1 << 40)
    room.configure(Limits())
    assert not room.shedding
    assert not room.measure(1 << 50)


def test_it_knows_this_process() -> None:
    room = room_of_process(Limits())
    assert abs(room.own - len(os.listdir("/proc/self/fd"))) <= 2
    assert 1 << 20 < resident_bytes() < 1 << 36
