"""What a line of the trail looks like, whatever a client sent."""

from __future__ import annotations

import json

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.audit.record import Record, event_line, line_of, numbered, timestamp
from tests.support.records import RECORD


def render(record: Record, seq: int) -> bytes:
    return numbered(line_of(record), seq)


def test_a_record_is_one_line_with_every_field_by_name() -> None:
    line = render(RECORD, 7)
    assert line.endswith(b"}\n")
    assert line.count(b"\n") == 1
    expected = {"seq": 7, "time": "2026-11-21T22:26:40.123Z"} | RECORD._asdict()
    del expected["time_ms"], expected["hop"], expected["tunnel"]
    assert json.loads(line) == expected
    assert json.loads(render(RECORD._replace(tunnel="opened"), 7)) == expected | {"tunnel": "opened"}


def test_the_sequence_number_opens_the_line() -> None:
    assert render(RECORD, 41).startswith(b'{"seq":41,')


@pytest.mark.parametrize(
    "hostile",
    ['"}\n{"seq":8', "\r\n", "\x00\x1f\x7f", "\u2028", '\\","reason":"owner', "x" * 40_000],
)
def test_hostile_text_neither_ends_its_line_nor_adds_a_field(hostile: str) -> None:
    line = render(RECORD._replace(path=hostile, host=hostile, sub=hostile), 7)
    assert line.count(b"\n") == 1
    read = json.loads(line)
    assert (read["path"], read["host"], read["sub"]) == (hostile, hostile, hostile)
    assert list(read) == list(json.loads(render(RECORD, 7)))


def test_a_lone_surrogate_is_spelled_out() -> None:
    assert json.loads(render(RECORD._replace(path="/\udc80"), 7))["path"] == "/\\udc80"


def test_an_integer_beyond_64_bits_is_spelled_out() -> None:
    assert json.loads(render(RECORD._replace(bytes_in=2**70), 7))["bytes_in"] == str(2**70)


@given(st.text(st.characters(codec=None), max_size=50), st.integers(-(2**80), 2**80))
def test_rendering_never_raises(text: str, number: int) -> None:
    line = render(RECORD._replace(path=text, sub=text, bytes_out=number, time_ms=number), 7)
    assert line.count(b"\n") == 1
    assert orjson.loads(line)["seq"] == 7


def test_an_event_is_numbered_like_a_record_and_names_itself() -> None:
    line = numbered(event_line("stop", 1_795_300_000_000, {"note": "a\nb"}), 9)
    assert line.startswith(b'{"seq":9,')
    assert json.loads(line) == {"seq": 9, "time": "2026-11-21T22:26:40.000Z", "event": "stop", "note": "a\nb"}


def test_an_event_with_a_lone_surrogate_is_spelled_out() -> None:
    assert json.loads(numbered(event_line("stop", 0, {"note": "\ud800"}), 9))["note"] == "\\ud800"


@pytest.mark.parametrize(
    ("time_ms", "text"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (1_795_300_000_009, "2026-11-21T22:26:40.009Z"),
        (10**18, "epoch+1000000000000000.000Z"),
    ],
)
def test_times_are_rfc_3339_in_utc_with_milliseconds(time_ms: int, text: str) -> None:
    assert timestamp(time_ms) == text
