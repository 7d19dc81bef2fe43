"""What a request's head says. Attacks are golden files; here stand the meanings and the limits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gateway.config import Limits
from gateway.errors import Refused
from gateway.http1.head import HeadRules, read_head
from gateway.http1.request import Head
from tests.support.http_golden import RULES

HOST = (b"Host", b"app.test")


def read(
    *fields: tuple[bytes, bytes], method: bytes = b"GET", version: str = "1.1", rules: HeadRules = RULES,
    trusted: bool = False,
) -> Head:  # fmt: skip
    head = read_head(method, b"/", version, [HOST, *fields], rules, trusted)
    assert isinstance(head, Head), head
    return head


def refused(*fields: tuple[bytes, bytes], target: bytes = b"/", rules: HeadRules = RULES, trusted: bool = False) -> str:
    head = read_head(b"GET", target, "1.1", [HOST, *fields], rules, trusted)
    assert isinstance(head, Refused)
    return head.code


def test_a_bare_head_has_every_field_at_its_absent_value() -> None:
    head = read()
    assert (head.method, head.target.raw, head.version) == ("GET", b"/", 11)
    assert (head.host, head.authority) == ("app.test", b"app.test")
    assert (head.length, head.keep_alive, head.expects_continue) == (0, True, False)
    assert head.passed == []
    absent = ("accept", "bearer", "client_certificate", "forwarded_for", "forwarded_proto", "origin", "request_id")
    assert all(getattr(head, name) == b"" for name in (*absent, "traceparent", "tunnel", "upgrade"))


def test_every_slot_is_filled() -> None:
    """A slot that no reader fills would raise on the hot path."""
    head = read((b"Connection", b"x"), (b"Upgrade", b"websocket"), trusted=True)
    slots = [name for name in dir(Head) if not name.startswith("_")]
    assert "traceparent" in slots
    assert all(hasattr(head, slot) for slot in slots)


def test_fields_the_door_reads_pass_too_where_they_are_end_to_end() -> None:
    head = read(
        (b"Accept", b"text/html"), (b"Accept", b"*/*"), (b"Origin", b"https://app.test"), (b"User-Agent", b"x"),
        (b"Authorization", b"Bearer a.b.c"),
    )  # fmt: skip
    assert (head.accept, head.origin, head.bearer) == (b"text/html, */*", b"https://app.test", b"a.b.c")
    assert set(head.passed) == {
        b"User-Agent: x\r\n",
        b"Authorization: Bearer a.b.c\r\n",
        b"Origin: https://app.test\r\n",
        b"Accept: text/html, */*\r\n",
    }


def test_another_scheme_is_no_bearer_and_passes() -> None:
    head = read((b"Authorization", b"Basic eDp5"))
    assert head.bearer == b""
    assert head.passed == [b"Authorization: Basic eDp5\r\n"]


@pytest.mark.parametrize(
    ("version", "connection", "stays"),
    [
        ("1.1", None, True),
        ("1.1", b"close", False),
        ("1.1", b"keep-alive, close", False),
        ("1.1", b"x-a", True),
        ("1.0", None, False),
        ("1.0", b"x-a", False),
        ("1.0", b"Keep-Alive", True),
        ("1.0", b"keep-alive, close", False),
    ],
)
def test_keep_alive_is_what_version_and_connection_say(version: str, connection: bytes | None, stays: bool) -> None:
    fields = [] if connection is None else [(b"Connection", connection)]
    assert read(*fields, version=version).keep_alive is stays


def test_an_expectation_counts_in_http11_with_a_body_to_come() -> None:
    expect = (b"Expect", b"100-Continue")
    assert read((b"Content-Length", b"5"), expect, method=b"POST").expects_continue
    assert read((b"Transfer-Encoding", b"chunked"), expect, method=b"POST").expects_continue
    assert not read(expect, method=b"POST").expects_continue
    assert not read((b"Content-Length", b"5"), expect, method=b"POST", version="1.0").expects_continue


UPGRADE = (b"Connection", b"keep-alive, Upgrade")


def test_a_tunnel_may_be_offered_for_a_plain_get_alone() -> None:
    assert read(UPGRADE, (b"Upgrade", b"WebSocket")).tunnel == b"websocket"
    for fields, method, version in [
        ([(b"Upgrade", b"websocket")], b"GET", "1.1"),
        ([UPGRADE, (b"Upgrade", b"h2c")], b"GET", "1.1"),
        ([UPGRADE, (b"Upgrade", b"websocket, h2c")], b"GET", "1.1"),
        ([UPGRADE, (b"Upgrade", b"")], b"GET", "1.1"),
        ([UPGRADE, (b"Upgrade", b"websocket")], b"POST", "1.1"),
        ([UPGRADE, (b"Upgrade", b"websocket")], b"GET", "1.0"),
        ([UPGRADE, (b"Upgrade", b"websocket"), (b"Content-Length", b"5")], b"GET", "1.1"),
    ]:
        head = read(*fields, method=method, version=version)
        assert head.tunnel == b""
        assert head.upgrade == fields[-1][1] or head.length, "the caller must know that llhttp stops here"
        assert not any(line.lower().startswith(b"upgrade") for line in head.passed)


def test_only_a_trusted_peer_is_read() -> None:
    fields = [
        (b"X-Forwarded-For", b"203.0.113.9"),
        (b"X-Forwarded-For", b"192.0.2.1"),
        (b"X-Forwarded-Proto", b"http,https"),
        (b"X-Request-Id", b"abc-123"),
        (b"X-Hop-Cert", b"MIIB"),
    ]
    trusted, untrusted = read(*fields, trusted=True), read(*fields)
    assert trusted.forwarded_for == b"203.0.113.9, 192.0.2.1"
    assert (trusted.forwarded_proto, trusted.request_id, trusted.client_certificate) == (b"https", b"abc-123", b"MIIB")
    assert untrusted.forwarded_for == untrusted.forwarded_proto == b""
    assert untrusted.request_id == untrusted.client_certificate == b""
    assert trusted.passed == untrusted.passed == []


def test_of_two_client_certificates_one_may_be_the_clients_own() -> None:
    """Whichever hop wrote the other one: nothing tells them apart, so none is taken."""
    twice = (b"X-Hop-Cert", b"MIIB"), (b"X-Hop-Cert", b"MIIC")
    assert refused(*twice, trusted=True) == "request_malformed"
    assert refused((b"X-Hop-Cert", b"MIIB,MIIC"), trusted=True) == "request_malformed"
    assert read(*twice).client_certificate == b""


@pytest.mark.parametrize("request_id", [b"", b"a b", b"a\xe9", b"a" * 129, b'"x"', b"a,b"])
def test_an_odd_request_id_is_not_taken(request_id: bytes) -> None:
    assert read((b"X-Request-Id", request_id), trusted=True).request_id == b""


TRACE = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.mark.parametrize(
    ("te", "connection", "version", "takes"),
    [
        (b"trailers", b"TE", "1.1", True),
        (b"deflate;q=0.5, Trailers ", b"keep-alive, te", "1.1", True),
        (b"trailers", b"keep-alive", "1.1", False),  # RFC 9110, 10.1.4: perhaps the word of somebody further away
        (b"trailers", None, "1.1", False),
        (b"trailers", b"TE", "1.0", False),
        (b"trailers;q=1", b"TE", "1.1", False),
        (b"deflate", b"TE", "1.1", False),
        (b"", b"TE", "1.1", False),
    ],
)
def test_trailers_are_welcome_by_te_alone(te: bytes, connection: bytes | None, version: str, takes: bool) -> None:
    fields = [(b"TE", te)] + ([(b"Connection", connection)] if connection else [])
    head = read(*fields, version=version)
    assert (head.takes_trailers, head.passed) == (takes, [])


def test_a_trace_passes_if_it_is_well_formed() -> None:
    head = read((b"traceparent", TRACE), (b"tracestate", b"a=1"), (b"tracestate", b"b=2"))
    assert head.traceparent == TRACE
    assert head.passed == [b"tracestate: a=1, b=2\r\n"]


@pytest.mark.parametrize("trace", [TRACE.upper(), b"ff" + TRACE[2:], TRACE + b"-x", b"00-" + b"0" * 32 + TRACE[35:]])
def test_a_malformed_trace_is_absent_and_its_state_with_it(trace: bytes) -> None:
    head = read((b"traceparent", trace), (b"tracestate", b"a=1"))
    assert head.traceparent == b""
    assert head.passed == []


def limits(**changes: Any) -> HeadRules:
    return HeadRules(Limits(**changes))


def test_the_limits_are_exact() -> None:
    """The last octet and the last field that are allowed pass; one more is refused."""
    assert read(rules=limits(fields=1)).host == "app.test"
    assert refused((b"A", b"1"), rules=limits(fields=1)) == "request_head_too_large"
    size = len(b"/") + len(b"Host: app.test\r\n") + len(b"X-A: abc\r\n")
    assert read((b"X-A", b"abc"), rules=limits(head_bytes=size)).passed
    assert refused((b"X-A", b"abc"), rules=limits(head_bytes=size - 1)) == "request_head_too_large"
    assert refused(target=b"/abc", rules=limits(target_bytes=3)) == "path_too_long"
    assert read(rules=limits(target_bytes=1)).target.raw == b"/"


def test_a_body_beyond_the_limit_is_refused_by_its_announced_length() -> None:
    assert refused((b"Content-Length", b"11"), rules=limits(body_bytes=10)) == "request_too_large"
    assert read((b"Content-Length", b"10"), rules=limits(body_bytes=10)).length == 10
    assert read((b"Content-Length", b"11"), rules=limits(body_bytes=0)).length == 11
    assert read((b"Transfer-Encoding", b"chunked"), rules=limits(body_bytes=10)).length == -1


@pytest.mark.parametrize("value", [b"a\nb", b"a\rb", b"a\0b", b"a\r\nX-Stagedoor-User: evil"])
@pytest.mark.parametrize("name", [b"X-A", b"X-Stagedoor-User", b"Cookie", b"Via"])
def test_a_value_that_could_end_its_line_is_refused_even_if_the_parser_let_it_through(
    name: bytes, value: bytes
) -> None:
    assert refused((name, value)) == "request_malformed"


def test_a_name_that_is_none_is_refused_even_if_the_parser_let_it_through() -> None:
    assert refused((b"X A", b"1")) == "request_malformed"


def test_field_lines_named_by_connection_stop_after_they_were_read() -> None:
    head = read(
        (b"Connection", b"authorization, cookie, x-a"), (b"Authorization", b"Bearer a.b.c"), (b"Cookie", b"a=1"),
        (b"X-A", b"1"), (b"X-B", b"2"),
    )  # fmt: skip
    assert head.bearer == b"a.b.c"
    assert head.passed == [b"X-B: 2\r\n"]


def test_no_leniency_of_the_parser_is_ever_asked_for() -> None:
    """What is read here leans on llhttp's strict mode; httptools offers one call to leave it."""
    sources = Path(__file__).parents[3].joinpath("gateway").rglob("*.py")
    assert not [source for source in sources if "set_dangerous_leniencies" in source.read_text(encoding="utf-8")]
