"""Which names may stand behind a body, and what the last chunk carries."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gateway.config import Catalog, Listener, Settings
from gateway.http1.forward import LAST_CHUNK
from gateway.http1.trailers import allowed_trailers, are_too_large, last_chunk, may_be_trailer
from gateway.http1.values import NOTHING

SETTINGS = Settings(
    listeners=(Listener("main", "127.0.0.1:0"),), issuers=(), environments={}, catalog=Catalog(), access_policy="",
    state_folder="/nowhere",
)  # fmt: skip
LISTED = frozenset((b"grpc-status", b"x-checksum"))


@pytest.mark.parametrize(
    "name", ["grpc-status", "Grpc-Message", "server-timing", "content-digest", "x-amz-checksum-crc32", "etag"]
)
def test_what_services_send_behind_a_body_may_be_listed(name: str) -> None:
    assert may_be_trailer(name, SETTINGS)


@pytest.mark.parametrize(
    "name",
    [
        "content-length", "Transfer-Encoding", "trailer", "te", "connection", "upgrade", "keep-alive",  # framing
        "host", "forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-original-url", "max-forwards",  # routing
        "authorization", "proxy-authorization", "cookie", "set-cookie", "www-authenticate", "dpop",  # authentication
        "x-stagedoor-user", "X_Stagedoor.User", "remote-user", "x-auth-request-email", "client-cert",  # identity
        "expect", "if-match", "range", "cache-control", "x-http-method-override", "origin", "sec-fetch-site",
        "access-control-allow-origin", "location", "vary", "content-type", "content-encoding", "content-range",
        "content-security-policy-report-only", "strict-transport-security", "alt-svc", "x-accel-redirect",
        "x_accel_redirect", "x-sendfile", "proxy", "x-request-id", "traceparent",
        "", "x y", "x:y", "x\r\ny", "ä",
    ],
)  # fmt: skip
def test_what_counts_in_a_head_is_never_listed(name: str) -> None:
    """RFC 9110, 6.5.1: framing, routing, authentication, request modifiers, response controls, content format."""
    assert not may_be_trailer(name, SETTINGS)
    assert allowed_trailers([name, "x-checksum"], SETTINGS) == {b"x-checksum"}


def test_a_field_that_the_settings_make_the_door_read_is_never_listed() -> None:
    listener = replace(SETTINGS.listeners[0], client_certificate_header="X-Hop-Cert")
    assert may_be_trailer("x-hop-cert", SETTINGS)
    assert not may_be_trailer("x-hop-cert", replace(SETTINGS, listeners=(listener,)))
    assert not may_be_trailer("x_hop_cert", replace(SETTINGS, listeners=(listener,)))


def test_trailers_pass_by_name_and_only_whole() -> None:
    sent = [(b"Grpc-Status", b"0"), (b"X-Stagedoor-User", b"evil"), (b"grpc-status", b"1\r\nX: 2"), (b"x y", b"1")]
    assert last_chunk(sent, LISTED | {b"x y"}, NOTHING) == b"0\r\nGrpc-Status: 0\r\n\r\n"
    assert last_chunk(sent, NOTHING, NOTHING) == LAST_CHUNK == last_chunk([], LISTED, NOTHING)


def test_an_alias_of_a_listed_name_is_another_name() -> None:
    assert last_chunk([(b"Grpc_Status", b"0"), (b"X-Checksum ", b"1")], LISTED, NOTHING) == LAST_CHUNK


def test_a_trailer_that_connection_names_ends_with_the_hop() -> None:
    sent = [(b"X-Checksum", b"1"), (b"Grpc-Status", b"0")]
    assert last_chunk(sent, LISTED, frozenset((b"x-checksum",))) == b"0\r\nGrpc-Status: 0\r\n\r\n"


def test_trailers_have_the_limits_of_a_head() -> None:
    fields = [(b"a", b"b")] * 3
    assert not are_too_large(fields, 3, 18)
    assert are_too_large(fields, 2, 18)
    assert are_too_large(fields, 3, 17)
