"""One spelling, one reading: what the strict readers take and refuse."""

import base64
import json
import os

import pytest

from gateway.identity.strict import DEPTH_LIMIT, base64url, is_clean, json_object


@pytest.mark.parametrize("length", range(70))
def test_what_base64url_spells_is_read_back(length: int) -> None:
    raw = os.urandom(length)
    assert base64url(base64.urlsafe_b64encode(raw).rstrip(b"=")) == raw


@pytest.mark.parametrize(
    "segment",
    [
        pytest.param(b"QQ==", id="padded"),
        pytest.param(b"QQ=", id="half_padded"),
        pytest.param(b"QUI=", id="padded_one"),
        pytest.param(b"Q", id="one_character_left_over"),
        pytest.param(b"QUJDR", id="five_characters"),
        pytest.param(b"QR", id="spare_bits_of_two"),
        pytest.param(b"QUJ", id="spare_bits_of_three"),
        pytest.param(b"-+__", id="plus_of_the_other_alphabet"),
        pytest.param(b"-/__", id="slash_of_the_other_alphabet"),
        pytest.param(b"QUJD\n", id="newline_at_the_end"),
        pytest.param(b"QU\r\nJD", id="newline_inside"),
        pytest.param(b"QU JD", id="space_inside"),
        pytest.param(b"QU!D", id="junk"),
        pytest.param(b"QU\x00D", id="nul"),
        pytest.param(b"QU\xc3\xa9D", id="not_ascii"),
        pytest.param(b"QU.D", id="dot"),
        pytest.param(b"====", id="padding_alone"),
    ],
)
def test_a_second_spelling_is_no_base64url(segment: bytes) -> None:
    assert base64url(segment) is None


def test_every_last_character_has_one_meaning() -> None:
    """Of all spellings that differ in their last character, those that decode all decode differently."""
    alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    for stem in (b"Q", b"QU", b"QUI"):
        decoded = [raw for last in alphabet if (raw := base64url(stem + bytes([last]))) is not None]
        assert len(decoded) == len(set(decoded)) == {1: 4, 2: 16, 3: 64}[len(stem)]


@pytest.mark.parametrize("value", [{}, {"a": 1, "b": [True, None, 1.5, {"c": "é"}]}, {"a": "[[[[[[[[[[[[[[[[[[[[[[["}])
def test_an_object_is_read(value: dict[str, object]) -> None:
    assert json_object(json.dumps(value).encode()) == value


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"null", id="null"),
        pytest.param(b"[]", id="list"),
        pytest.param(b'"a"', id="text"),
        pytest.param(b"1", id="number"),
        pytest.param(b'{"a":1,"a":1}', id="duplicate"),
        pytest.param(b'{"a":1,"\\u0061":2}', id="duplicate_escaped"),
        pytest.param(b'{"b":{"a":1,"a":2}}', id="duplicate_inside"),
        pytest.param(b'{"a":NaN}', id="nan"),
        pytest.param(b'{"a":Infinity}', id="infinity"),
        pytest.param(b'{"a":-Infinity}', id="minus_infinity"),
        pytest.param(b'{"a":' + b"9" * 5000 + b"}", id="integer_of_5000_digits"),
        pytest.param(b'{"a":1e999}', id="number_beyond_floats"),
        pytest.param(b'{"a":"\\ud800"}', id="half_a_surrogate_pair"),
        pytest.param(b'{"a":01}', id="leading_zero"),
        pytest.param(b"{'a':1}", id="single_quotes"),
        pytest.param(b'{"a":1,}', id="trailing_comma"),
        pytest.param(b'{"a":1}{}', id="two_objects"),
        pytest.param(b'{"a":1}x', id="junk_after"),
        pytest.param(b'\xef\xbb\xbf{"a":1}', id="byte_order_mark"),
        pytest.param('{"a":1}'.encode("utf-16"), id="utf16"),
        pytest.param('{"a":1}'.encode("utf-16-le"), id="utf16_without_mark"),
        pytest.param(b'{"a":"\xff"}', id="not_utf8"),
        pytest.param(b'{"a":"\xed\xa0\x80"}', id="surrogate_in_utf8"),
        pytest.param(b'{"a":"\n"}', id="control_in_text"),
        pytest.param(b'{"a":' * 17 + b"1" + b"}" * 17, id="deep_objects"),
        pytest.param(b'{"a":' + b"[" * 5000 + b"]" * 5000 + b"}", id="very_deep_lists"),
        pytest.param(b'{"a":' + b"[" * 5000, id="never_closed"),
        pytest.param(b"]" * 40 + b"[" * 5000, id="closed_before_opened"),
    ],
)
def test_anything_else_is_no_object(text: bytes) -> None:
    assert json_object(text) is None


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(b'{"a": 1}', id="space"),
        pytest.param(b' {"a":1}\r\n', id="space_around"),
        pytest.param(b'{"a":"\\u00e9\\/"}', id="escapes"),
        pytest.param(b'{"a":1e2}', id="exponent"),
        pytest.param(b'{"a":123456789012345678901234567890}', id="long_integer"),
    ],
)
def test_json_may_be_written_in_other_ways(text: bytes) -> None:
    """Only a text written compactly takes the short way; the others mean what the standard library says."""
    assert json_object(text) == json.loads(text)


def test_depth_is_counted_outside_of_texts() -> None:
    """Brackets inside texts nest nothing; the deepest object accepted is exactly at the limit."""
    inside = json.dumps({"a": '[{"' * 40, "b": [[]] * 40}).encode()
    assert json_object(inside) is not None
    at_limit = b'{"a":' * (DEPTH_LIMIT - 1) + b"{}" + b"}" * (DEPTH_LIMIT - 1)
    assert json_object(at_limit) is not None
    assert json_object(b'{"a":' + at_limit + b"}") is None


def test_closing_early_does_not_hide_depth() -> None:
    assert json_object(b'{"a":' + b"]" * 30 + b"[" * 40 + b"]" * 10 + b"}") is None


@pytest.mark.parametrize("value", ["a", "é", "x" * 255, "a b", "a,b%", "auth0|123", "group:default/é"])
def test_short_plain_text_is_clean(value: str) -> None:
    assert is_clean(value)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "x" * 256,
        "a\r\nb",
        "a\tb",
        "\x00",
        "\x7f",
        "\x85",
        "\u2028",
        "\u2029",
        "\ud800",
        "a\udfff",
        None,
        1,
        ["a"],
        b"a",
    ],
)
def test_nothing_that_ends_a_line_is_clean(value: object) -> None:
    assert not is_clean(value)
