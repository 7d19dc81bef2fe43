"""The golden requests: each attack gets its answer, however its bytes are cut, and nothing evil goes upstream."""

from __future__ import annotations

from collections import Counter

import h11
import pytest

from gateway.errors import FAULTS, GATEWAY_CODES
from gateway.http1.forward import request_head
from gateway.http1.forwarded import forwarded_block
from tests.support.http_golden import Golden, Reader, goldens, read_bytewise, read_whole, without_door_lines

REFUSED = goldens("refused")
STRIPPED = goldens("stripped")

IDENTITY = b"X-Stagedoor-User: user:default/jane\r\n"


@pytest.mark.parametrize("golden", REFUSED, ids=lambda golden: golden.name)
def test_an_attack_is_refused_as_its_file_says(golden: Golden) -> None:
    reader = read_whole(golden.raw, golden.trusted)
    assert reader.refused is not None, "nothing refused it"
    fault = FAULTS[reader.refused.code]
    assert (fault.status, fault.code, fault.close) == (golden.status, golden.code, golden.closes)


@pytest.mark.parametrize("golden", REFUSED, ids=lambda golden: golden.name)
def test_an_attack_is_refused_alike_one_byte_at_a_time(golden: Golden) -> None:
    assert read_bytewise(golden.raw, golden.trusted).refused == read_whole(golden.raw, golden.trusted).refused


def upstream_head(reader: Reader) -> bytes:
    return request_head(reader.heads[0], IDENTITY, forwarded_block("192.0.2.9", "https"), b"req-1")


@pytest.mark.parametrize("golden", STRIPPED, ids=lambda golden: golden.name)
def test_what_goes_upstream_is_what_the_file_says(golden: Golden) -> None:
    for reader in (read_whole(golden.raw, golden.trusted), read_bytewise(golden.raw, golden.trusted)):
        assert reader.refused is None
        assert without_door_lines(upstream_head(reader)) == golden.upstream.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"


@pytest.mark.parametrize("golden", STRIPPED, ids=lambda golden: golden.name)
def test_nothing_evil_goes_upstream_and_the_doors_lines_stay(golden: Golden) -> None:
    head = upstream_head(read_whole(golden.raw, golden.trusted))
    assert b"evil" not in head.lower()
    names = Counter(line.partition(b":")[0].lower() for line in head.split(b"\r\n"))
    for own in (b"host", b"x-stagedoor-user", b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host"):
        assert names[own] == 1
    assert b"\r\nX-Request-Id: req-1\r\n" in head
    assert b"\r\nVia: 1.1 stagedoor\r\n" in head


@pytest.mark.parametrize("golden", STRIPPED, ids=lambda golden: golden.name)
def test_a_strict_parser_reads_one_request_in_what_goes_upstream(golden: Golden) -> None:
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(upstream_head(read_whole(golden.raw, golden.trusted)))
    assert isinstance(connection.next_event(), h11.Request)


def test_every_refusal_of_a_head_has_a_golden_file() -> None:
    of_heads = {code for code in GATEWAY_CODES if code.startswith(("request_", "path_", "method_", "expectation_"))}
    of_heads -= {"request_timeout", "request_too_large", "path_unknown"}  # not said by the head alone
    assert of_heads <= {golden.code for golden in REFUSED}


def test_trailers_are_no_part_of_the_head() -> None:
    """llhttp delivers trailers through the same callback as fields: they must reach no head, this one's or the next."""
    raw = (
        b"POST / HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-Stagedoor-User: evil\r\n\r\n"
        b"GET /second HTTP/1.1\r\nHost: app.test\r\n\r\n"
    )
    reader = read_whole(raw)
    assert [head.target.raw for head in reader.heads] == [b"/", b"/second"]
    assert all(b"evil" not in b"".join(head.passed) for head in reader.heads)
