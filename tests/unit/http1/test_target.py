"""One canonical reading: what is decoded, what stays opaque, what has no reading. Attacks are golden files."""

from __future__ import annotations

import pytest

from gateway.errors import Refused
from gateway.http1 import target as module
from gateway.http1.target import (
    DOUBLE_SLASH,
    ENCODED_SLASH,
    ODDITIES,
    PATH_PARAMETERS,
    Target,
    below_prefix,
    is_accepted,
    read_target,
)


def read(raw: bytes, method: str = "GET") -> Target:
    target = read_target(raw, method)
    assert isinstance(target, Target), target
    return target


@pytest.mark.parametrize(
    ("raw", "segments"),
    [
        (b"/", ("",)),
        (b"/a", ("a",)),
        (b"/a/b/", ("a", "b", "")),
        (b"/a?b/c", ("a",)),
        (b"/caf%C3%A9", ("café",)),
        (b"/%41%62", ("Ab",)),
        (b"/a%20b", ("a b",)),
        (b"/a%3Fb%23c", ("a?b#c",)),
        (b"/100%25", ("100%",)),
        (b"/.hidden/a.b/...", (".hidden", "a.b", "...")),
        (b"/a:b@c!$&'()*+,=~[x]^|", ("a:b@c!$&'()*+,=~[x]^|",)),
    ],
)
def test_segments_are_decoded_once_and_the_raw_bytes_stay(raw: bytes, segments: tuple[str, ...]) -> None:
    target = read(raw)
    assert target.segments == segments
    assert target.raw == raw
    assert target.odd == 0


@pytest.mark.parametrize(
    ("raw", "segments", "odd"),
    [
        (b"/a%2Fb", ("a%2Fb",), ENCODED_SLASH),
        (b"/a%2fb/c", ("a%2Fb", "c"), ENCODED_SLASH),
        (b"/a//b", ("a", "", "b"), DOUBLE_SLASH),
        (b"/a%2f/b", ("a%2F", "b"), ENCODED_SLASH | DOUBLE_SLASH),
        (b"/a;v=1/b", ("a;v=1", "b"), PATH_PARAMETERS),
        (b"/a%3Bv", ("a;v",), PATH_PARAMETERS),
        (b"/a;b%2fc//", ("a;b%2Fc", "", ""), ENCODED_SLASH | DOUBLE_SLASH | PATH_PARAMETERS),
    ],
)
def test_an_oddity_is_marked_and_stays_opaque_in_its_segment(raw: bytes, segments: tuple[str, ...], odd: int) -> None:
    target = read(raw)
    assert (target.segments, target.odd, target.raw) == (segments, odd, raw)


def test_an_exposure_must_admit_every_oddity_by_name() -> None:
    target = read(b"/a%2fb;c")
    assert not is_accepted(target, frozenset())
    assert not is_accepted(target, frozenset(("encoded-slashes",)))
    assert is_accepted(target, frozenset(("encoded-slashes", "path-parameters")))
    assert is_accepted(read(b"/a"), frozenset())
    assert is_accepted(read(b"/a//b;c%2fd"), frozenset(ODDITIES))


def test_the_asterisk_is_the_root_of_its_host_for_options_alone() -> None:
    target = read(b"*", "OPTIONS")
    assert (target.raw, target.segments) == (b"*", ("",))
    assert isinstance(read_target(b"*", "GET"), Refused)


def test_an_absolute_form_becomes_an_origin_form_with_its_authority() -> None:
    target = read(b"HTTPS://App.Test:8443/a?b")
    assert (target.raw, target.segments, target.authority) == (b"/a?b", ("a",), b"app.test:8443")
    assert read(b"http://app.test").raw == b"/"
    assert read(b"http://app.test?x").raw == b"/?x"
    assert read(b"http://app.test", "OPTIONS").raw == b"*"
    assert read_target(b"http://", "GET") == Refused("request_host", "the target's authority is empty")


def test_an_absolute_form_is_not_remembered_as_a_path() -> None:
    read(b"http://app.test/memo")
    assert read(b"/memo").authority == b""


def test_the_query_is_forwarded_but_never_read() -> None:
    target = read(b"/a?../%2e%2e;//%00%zz")
    assert (target.raw, target.segments, target.odd) == (b"/a?../%2e%2e;//%00%zz", ("a",), 0)
    assert isinstance(read_target(b"/a?\xff", "GET"), Refused)
    assert isinstance(read_target(b"/a?b c", "GET"), Refused)


def test_the_memo_is_bounded() -> None:
    """A caller who never asks twice for the same path must not fill the memory."""
    for number in range(module._MEMO_ENTRIES + 10):
        read_target(b"/memo/%d" % number, "GET")
    assert len(module._memo) <= module._MEMO_ENTRIES
    long = b"/" + b"a" * module._MEMO_BYTES
    read_target(long, "GET")
    assert long not in module._memo


def test_refusals_are_not_remembered() -> None:
    read_target(b"/a/../b", "GET")
    assert b"/a/../b" not in module._memo


@pytest.mark.parametrize(
    ("raw", "depth", "rest"),
    [
        (b"/v1/payments/refunds?x=/", 2, b"/refunds?x=/"),
        (b"/v1/payments", 2, b"/"),
        (b"/v1/payments/", 2, b"/"),
        (b"/%76%31/payments/a%2fb", 2, b"/a%2fb"),
        (b"/a", 0, b"/a"),
        (b"/v1?x", 1, b"/?x"),
    ],
)
def test_a_prefix_is_cut_on_the_raw_bytes(raw: bytes, depth: int, rest: bytes) -> None:
    assert below_prefix(read(raw), depth) == rest


def test_a_rest_that_reads_as_an_authority_is_refused() -> None:
    assert isinstance(below_prefix(read(b"/v1//evil.test"), 1), Refused)
