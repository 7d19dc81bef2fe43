"""Whether the first message of a TLS connection is there whole: no byte too early, and never a byte too late."""

from __future__ import annotations

import contextlib
import ssl

import pytest

from gateway.door.hello import FIRST_LOOK, HELLO_BYTES, RECORDS, hello_wanted


def client_hello(version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> bytes:
    """As OpenSSL writes it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = context.maximum_version = version
    out = ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), out, server_hostname="echo.localhost").do_handshake()
    return out.read()


def record(body: bytes, kind: int = 22) -> bytes:
    return bytes([kind, 3, 1]) + len(body).to_bytes(2, "big") + body


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_what_is_wanted_is_never_there_already_and_never_more_than_comes(version: ssl.TLSVersion) -> None:
    """Else a door would look again and again, or wait for what never comes."""
    hello = client_hello(version)
    for size in range(len(hello)):
        assert size < hello_wanted(hello[:size]) <= len(hello)
    assert hello_wanted(hello) == 0
    assert hello_wanted(hello + b"more") == 0


def test_it_may_come_in_a_few_records() -> None:
    message = client_hello()[FIRST_LOOK:]
    for cut in (1, 2, 3, 4, 5, len(message) - 1):
        hello = record(message[:cut]) + record(message[cut:])
        for size in range(len(hello)):
            assert size < hello_wanted(hello[:size]) <= len(hello)
        assert hello_wanted(hello) == 0


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n",
        record(b"\x02\x28", 21),  # an alert
        record(b"\x02\x00\x00\x01\x00"),  # a ServerHello
        b"\x80\x2e\x01\x03\x01\x00\x15",  # SSL 2
    ],
)
def test_of_what_is_none_no_more_is_wanted(data: bytes) -> None:
    """OpenSSL says what is wrong with it."""
    assert hello_wanted(data) == 0


@pytest.mark.parametrize(
    "data",
    [
        record(b"\x01\xff\xff\xff" + b"x" * 16380),
        b"".join(record(b"\x01\x00\x10\x00"[n : n + 1]) for n in range(RECORDS)),
        record(b"") * RECORDS,
    ],
)
def test_one_that_no_client_sends_is_told_apart(data: bytes) -> None:
    assert hello_wanted(data) > HELLO_BYTES
