"""The door's quick way to a line gives the bytes that the plain way defines."""

from __future__ import annotations

import timeit
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.audit.line import (
    Repeated,
    asked_piece,
    behind,
    caller_piece,
    decided_piece,
    line,
    of_tunnel,
    snapshot_piece,
    way_piece,
)
from gateway.audit.record import Record, line_of
from tests.support.records import RECORD


def quick(record: Record) -> bytes:
    whole = line(
        record.time_ms,
        record.request_id.encode(),
        caller_piece(record.subject, record.issuer, record.sub, record.client_id, record.key_id),
        asked_piece(record.method, record.host),
        record.path,
        decided_piece(record.decision, record.reason, record.rule, record.operation, record.exposure),
        snapshot_piece(record.snapshot),
        way_piece(record.peer, record.client, record.upstream),
        record.status,
        record.bytes_in,
        record.bytes_out,
        record.duration_us,
        record.trace.encode(),
    )
    if record.hop:
        whole = behind(whole, record.hop)
    return of_tunnel(whole, record.tunnel) if record.tunnel else whole


def test_the_quick_line_is_the_plain_line() -> None:
    assert quick(RECORD) == line_of(RECORD)
    for tunnel in ("", "opened"):
        for hop in ("", "10.0.0.1", '","subject":"user:default/root'):
            record = RECORD._replace(hop=hop, tunnel=tunnel)
            assert quick(record) == line_of(record)


def test_what_repeats_is_told_apart_by_all_that_it_says() -> None:
    repeated = Repeated("component:default/a@prod", "a.test")
    for _ in range(2):  # the second time from memory
        for host in ("a.test", "b.test"):
            for method in ("GET", "HEAD"):
                assert repeated.asked(method, host) == asked_piece(method, host)
        for reason, rule, operation in (
            ("owner", "r-1", "GET /a"), ("owner", "r-2", "GET /a"), ("rule", "r-2", "GET /a"),
            ("rule", "r-2", "GET /b"),
        ):  # fmt: skip
            piece = decided_piece("permit", reason, rule, operation, "component:default/a@prod")
            assert repeated.permitted(reason, rule, operation) == piece


def test_only_where_a_proxy_header_came_the_line_says_who_sent_it() -> None:
    assert b"hop" not in line_of(RECORD)
    assert line_of(RECORD._replace(hop="10.0.0.1")).endswith(b',"hop":"10.0.0.1"}\n')


def test_only_a_tunnels_line_speaks_of_a_tunnel() -> None:
    assert b"tunnel" not in line_of(RECORD)
    assert line_of(RECORD._replace(tunnel="client")).endswith(b',"tunnel":"client"}\n')


TEXT = st.text(st.characters(codec=None), max_size=20)


@given(
    st.fixed_dictionaries(dict.fromkeys(("subject", "sub", "client_id", "host", "path", "operation", "rule"), TEXT)),
    st.integers(0, 2**63 - 1),
    st.integers(0, 4_102_444_800_000),
)
def test_the_two_ways_agree_on_any_text(texts: dict[str, Any], number: int, time_ms: int) -> None:
    record = RECORD._replace(**texts, bytes_out=number, time_ms=time_ms)
    assert quick(record) == line_of(record)


@pytest.mark.bench
def test_a_line_costs_at_most_two_microseconds() -> None:
    caller = caller_piece("user:default/jane", "lab", "0b1c", "cli", "key-1")

    def make() -> bytes:
        return line(
            RECORD.time_ms, b"d0-1", caller, asked_piece("GET", "h"), "/refunds/1",
            decided_piece("permit", "owner", "r-a", "GET /", "e"), snapshot_piece("b.1"),
            way_piece("127.0.0.1", "127.0.0.1", "u"), 200, 0, 1024, 800, b"",
        )  # fmt: skip

    assert min(timeit.repeat(make, number=20_000, repeat=5)) / 20_000 <= 2e-6
