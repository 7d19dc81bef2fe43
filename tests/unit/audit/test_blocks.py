"""The form of a block, and finding the last one in whatever a crash left behind."""

from __future__ import annotations

import hashlib
import json
from itertools import pairwise

import pytest

from gateway.audit.blocks import (
    GENESIS,
    NO_HASH,
    Batch,
    Head,
    event_of,
    last_block,
    read_block_line,
    segment_name,
    seq_of,
)
from gateway.audit.record import line_of
from tests.support.records import LINE, RECORD


def block_of(head: Head, records: int, *, event: str = "") -> tuple[bytes, Head]:
    batch = Batch(head)
    for _ in range(records):
        batch.add([LINE])
    if event:
        batch.add_event(event, 0, {})
    return batch.sealed()


def chain_of(*records: int) -> bytes:
    data, head = b"", GENESIS
    for count in records:
        block, head = block_of(head, count)
        data += block
    return data


def test_a_block_line_follows_its_lines_and_vouches_for_them_and_for_the_block_before() -> None:
    block, head = block_of(Head(6, 40, "a" * 64), 2)
    *lines, last = block.splitlines(keepends=True)
    assert [seq_of(line) for line in lines] == [41, 42]
    sha256 = hashlib.sha256(b"a" * 64 + b"\n" + b"".join(lines)).hexdigest()
    assert json.loads(last) == {"block": 7, "first_seq": 41, "count": 2, "sha256": sha256, "prev": "a" * 64}
    assert head == Head(7, 42, sha256)


def test_the_first_block_follows_nothing() -> None:
    block, head = block_of(GENESIS, 1)
    line = read_block_line(block.splitlines(keepends=True)[-1])
    assert line is not None
    assert (line.block, line.first_seq, line.prev) == (1, 1, NO_HASH)
    assert line.head == head


def test_a_batch_knows_its_size_in_bytes() -> None:
    batch = Batch(GENESIS)
    batch.add([LINE])
    batch.add_event("stop", 0, {})
    assert batch.count == 2
    assert batch.sealed()[0].startswith(b'{"seq":1,')
    assert batch.size == sum(len(line) for line in batch.sealed()[0].splitlines(keepends=True)[:-1])


BLOCK_LINE = block_of(GENESIS, 1)[0].splitlines(keepends=True)[-1]


@pytest.mark.parametrize(
    "line",
    [
        b"",
        BLOCK_LINE[:-1],
        BLOCK_LINE[:-2] + b"\n",
        BLOCK_LINE.replace(b'"block":1', b'"block":0'),
        BLOCK_LINE.replace(b'"block":1', b'"block":true'),
        BLOCK_LINE.replace(b'"block":1', b'"block":"1"'),
        BLOCK_LINE.replace(b'"count":1', b'"count":-1'),
        BLOCK_LINE.replace(b'"count"', b'"kount"'),
        BLOCK_LINE.replace(b'"prev":"0', b'"prev":"z'),
        BLOCK_LINE.replace(b'"prev":"0', b'"prev":"'),
        BLOCK_LINE.replace(b"}\n", b',"more":1}\n'),
        b'{"block":}\n',
        b'{"seq":1,"time":""}\n',
    ],
)
def test_a_damaged_block_line_is_none(line: bytes) -> None:
    assert read_block_line(line) is None


@pytest.mark.parametrize(
    ("line", "seq"),
    [
        (b'{"seq":41,"time":""}\n', 41),
        (b'{"seq":,"time":""}\n', None),
        (b'{"seq":-1,"time":""}\n', None),
        (b'{"seq":4', None),
        (b'{"time":"","seq":1}', None),
        (b'{"seq":' + b"9" * 400 + b",", None),
    ],
)
def test_the_sequence_number_is_read_from_the_start_of_the_line_alone(line: bytes, seq: int | None) -> None:
    assert seq_of(line) == seq


def test_the_last_block_is_found_whatever_was_cut_off_after_it() -> None:
    data = chain_of(2, 3, 1)
    ends = [at + 1 for at, byte in enumerate(data) if byte == 10]
    block_ends = [end for start, end in pairwise([0, *ends]) if read_block_line(data[start:end])]
    for cut in range(len(data) + 1):
        tail = last_block(data[:cut])
        complete = [end for end in block_ends if end <= cut]
        assert (tail.end if tail else 0) == (complete[-1] if complete else 0)
        assert tail is None or tail.head.block == len(complete)


def test_the_offset_of_a_window_is_added_and_a_window_may_begin_inside_a_line() -> None:
    data = chain_of(2, 3)
    tail = last_block(data[100:], 100)
    assert tail is not None
    assert tail.end == len(data)
    assert tail.head.block == 2


def test_a_block_line_that_begins_the_window_may_be_the_end_of_a_longer_line() -> None:
    assert last_block(BLOCK_LINE, offset=5) is None
    assert last_block(BLOCK_LINE, offset=0) is not None


def test_a_block_line_inside_another_line_is_none() -> None:
    assert last_block(b"x" + BLOCK_LINE) is None


def test_a_damaged_block_line_is_passed_over() -> None:
    whole = chain_of(1, 1)
    damaged = whole[:-3] + b"z" + whole[-2:]
    tail = last_block(damaged)
    assert tail is not None
    assert tail.head.block == 1


@pytest.mark.parametrize(("event", "stopped"), [("stop", True), ("start", False), ("", False)])
def test_only_a_stop_event_marks_an_orderly_end(event: str, stopped: bool) -> None:
    block, _ = block_of(GENESIS, 1, event=event)
    tail = last_block(block)
    assert tail is not None
    assert tail.stopped is stopped


def test_a_record_cannot_pretend_to_be_an_event() -> None:
    batch = Batch(GENESIS)
    batch.add([line_of(RECORD._replace(path='","event":"stop'))])
    block, _ = batch.sealed()
    tail = last_block(block)
    assert tail is not None
    assert not tail.stopped


def test_event_of_reads_events_only() -> None:
    assert event_of(b'{"seq":1,"event":"stop"}\n')["event"] == "stop"
    assert event_of(b'{"seq":1,"event":\n') == {}
    assert event_of(b'["event":1]') == {}
    assert event_of(b'[{"event":1}]') == {}
    assert event_of(b'{"seq":1}\n') == {}


def test_segments_sort_by_name() -> None:
    assert segment_name("door-0a", 7) == "door-0a.000007.jsonl"
