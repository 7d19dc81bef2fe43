"""Single field values, each with one reading."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.http1 import values as module
from gateway.http1.values import (
    CHUNKED,
    UNCLEAR,
    UNTIL_CLOSE,
    bearer_of,
    binds_connection,
    body_length,
    breaks_a_line,
    connection_of,
    host_of,
    idle_seconds,
    is_traceparent,
    nearest_scheme,
    of_others,
    via_names,
    without,
)

TRACEPARENT = re.compile(rb"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


@pytest.mark.parametrize(
    ("authority", "host"),
    [
        (b"app.test", "app.test"),
        (b"APP.Test:8443", "app.test"),
        (b"a", "a"),
        (b"my_app.test:1", "my_app.test"),
        (b"_dmarc.app.test", "_dmarc.app.test"),
        (b"xn--pp-xia.test", "xn--pp-xia.test"),
        (b"192.0.2.1:65535", "192.0.2.1"),
        (b"[2001:DB8::1]:443", "[2001:db8::1]"),
        (b"[::ffff:192.0.2.1]", "[::ffff:192.0.2.1]"),
        (b"a" * 63 + b".test", "a" * 63 + ".test"),
    ],
)
def test_a_host_is_matched_in_lower_case_without_its_port(authority: bytes, host: str) -> None:
    assert host_of(authority) == host
    assert host_of(authority) == host, "remembered"


@pytest.mark.parametrize(
    "authority", [b"", b"a.", b"a:", b"a:0", b"a:65536", b"a:99999", b"a\n", b"a-", b"[]", b"[::1"]
)
def test_what_is_no_host_is_empty_and_not_remembered(authority: bytes) -> None:
    assert host_of(authority) == ""
    assert authority not in module._hosts


def test_the_memo_of_hosts_is_bounded() -> None:
    for number in range(module._MEMO_ENTRIES + 10):
        host_of(b"h%d.test" % number)
    assert len(module._hosts) <= module._MEMO_ENTRIES


@pytest.mark.parametrize(
    ("length", "coding", "version", "expected"),
    [
        (None, None, 11, UNTIL_CLOSE),
        (b"0", None, 11, 0),
        (b"0042 \t", None, 10, 42),
        (b"", None, 11, UNCLEAR),
        (b"+5", None, 11, UNCLEAR),
        (b"5,5", None, 11, UNCLEAR),
        (b"1_0", None, 11, UNCLEAR),
        (b"\xb2", None, 11, UNCLEAR),
        (b"9" * 18, None, 11, int("9" * 18)),
        (b"9" * 19, None, 11, UNCLEAR),
        (None, b"chunked", 11, CHUNKED),
        (None, b"Chunked ", 11, CHUNKED),
        (None, b"chunked", 10, UNCLEAR),
        (b"5", b"chunked", 11, UNCLEAR),
        (None, b"gzip, chunked", 11, UNCLEAR),
        (None, b",chunked", 11, UNCLEAR),
        (None, b"chunked;a=b", 11, UNCLEAR),
        (None, b"", 11, UNCLEAR),
    ],
)
def test_framing_has_one_reading_or_none(
    length: bytes | None, coding: bytes | None, version: int, expected: int
) -> None:
    assert body_length(length, coding, version) == expected


@pytest.mark.parametrize(
    ("authorization", "token"),
    [
        (b"Bearer a.b.c", b"a.b.c"),
        (b"bEaReR \t a.b.c ", b"a.b.c"),
        (b"Bearer\ta.b.c", b"a.b.c"),
        (b"Bearer a, Bearer b", b"a, Bearer b"),
        (b"Bearer", b""),
        (b"Bearer  ", b""),
        (b"Bearertoken", None),
        (b"Basic eDp5", None),
        (b"", None),
    ],
)
def test_a_bearer_scheme_is_told_from_all_others(authorization: bytes, token: bytes | None) -> None:
    assert bearer_of(authorization) == token


@pytest.mark.parametrize(
    ("authorization", "binds"),
    [
        (b"NTLM TlRMTVNTUAAB", True),
        (b"ntlm\tTlRMTVNTUAAB", True),
        (b"Negotiate YIIJ", True),
        (b"NEGOTIATE", True),
        (b"Basic bnRsbTpudGxt", False),
        (b"NTLMv9 x", False),
        (b"Digest ntlm", False),
        (b"", False),
    ],
)
def test_a_scheme_that_counts_for_a_connection_is_told_from_all_others(authorization: bytes, binds: bool) -> None:
    assert binds_connection(authorization) is binds


@pytest.mark.parametrize(
    ("via", "named"),
    [
        (b"1.1 stagedoor", True),
        (b"1.0 fred, HTTP/1.1 StageDoor (comment)", True),
        (b"1.1 stagedoor.test", False),
        (b"1.1 fred (stagedoor)", False),
        (b"stagedoor", False),
        (b"", False),
    ],
)
def test_our_pseudonym_is_found_as_a_hop(via: bytes, named: bool) -> None:
    assert via_names(via, b"stagedoor") is named


@pytest.mark.parametrize(
    ("said", "left"),
    [
        (b"", b""), (b"cdn", b"cdn"), (b"stagedoor", b""), (b"  stagedoor;error=x , cdn;x=1 ", b"cdn;x=1"),
        (b',"stagedoor",', b""), (b'"\\stagedoor"', b""), (b'" stagedoor"', b""), (b"*stagedoor", b""),
        (b'cdn; x="a, stagedoor"', b'cdn; x="a, stagedoor"'), (b'cdn; x="', b""), (b'cdn; x="a\\', b""),
        (b'", stagedoor; error=x', b""), (b"not-stagedoor", b"not-stagedoor"),
    ],
)  # fmt: skip
def test_a_proxy_status_keeps_what_others_say(said: bytes, left: bytes) -> None:
    assert of_others(said) == (b"Proxy-Status: " + left + b"\r\n" if left else b"")


def test_a_long_proxy_status_takes_no_time_to_speak_of() -> None:
    """A pattern that tried every way to split this would not come back."""
    began_s = time.process_time()
    assert of_others(b'a"' * 30_001) == b""
    assert of_others(b'"\\' * 30_001) == b""
    assert time.process_time() - began_s < 1.0


def test_the_scheme_is_what_the_nearest_hop_said() -> None:
    assert nearest_scheme(b"http, HTTPS ") == b"https"
    assert nearest_scheme(b"https") == b"https"
    assert nearest_scheme(b"https, wss") == b""
    assert nearest_scheme(b"") == b""


def test_connection_options_are_told_from_field_names() -> None:
    read = connection_of(b"Close, ,X-A ,upgrade,\tKeep-Alive")
    assert read == (True, True, True, frozenset((b"x-a",)))
    assert connection_of(b"Keep-Alive") == (False, True, False, frozenset())


def test_named_lines_go_in_any_case() -> None:
    assert without([b"X-A: 1\r\n", b"x-b: 2\r\n", b"X-Ab: 3\r\n"], frozenset((b"x-a", b"x-b"))) == [b"X-Ab: 3\r\n"]


@pytest.mark.parametrize("octet", [b"\r", b"\n", b"\0"])
def test_what_ends_a_line_is_found(octet: bytes) -> None:
    assert breaks_a_line(b"a" + octet)
    assert not breaks_a_line(b"a\t\x80\xff")


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (b"timeout=5", 4.0),
        (b"timeout=5, max=100", 4.0),
        (b"max=100, Timeout=5", 4.0),
        (b"max=100;timeout=5", 4.0),
        (b"timeout=0", -1.0),
        (b"max=100", 0.0),
        (b"", 0.0),
        (b"timeout=", 0.0),
        (b"timeout=-5", 0.0),
        (b"timeout=5s", 4.0),
        (b"timeout=99999999999", 0.0),
        (b"xtimeout=5", 0.0),
    ],
)
def test_how_long_a_connection_may_idle(value: bytes, seconds: float) -> None:
    assert idle_seconds(value) == seconds


SHAPED = rb"[0f-][0-9a-f]-[0-]{0,31}[0-9a-fA-Fg]{1,32}-0{0,15}[0-9a-f-]{1,16}-[0-9a-f]{2}\n?"


@given(st.from_regex(SHAPED, fullmatch=True))
@example(b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
@example(b"cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00")
@example(b"ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
@example(b"00-" + b"0" * 32 + b"-00f067aa0ba902b7-01")
@example(b"00-4bf92f3577b34da6a3ce929d0e0e4736-" + b"0" * 16 + b"-01")
@example(b"00-4bf92f3577b34da6a3ce929d0e0e473-600f067aa0ba902b7-01")
@example(b"00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01")
@example(b"0-04bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
@example(b"")
def test_a_traceparent_is_what_its_grammar_says(value: bytes) -> None:
    """W3C Trace Context, 3.2.2, written once more as one expression."""
    assert is_traceparent(value) == (TRACEPARENT.fullmatch(value) is not None)
