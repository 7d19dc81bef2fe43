"""The PROXY header reader: both versions to the octet, and whatever else comes is refused or awaited, never guessed."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.http1.proxy_header import HEADER_BYTES, SIGNATURE, V1_BYTES, V2_BYTES, Introduction, introduction
from tests.support.examples import examples


def v2(command: int, family: int, addresses: bytes, tlvs: bytes = b"") -> bytes:
    return SIGNATURE + bytes((command, family)) + len(addresses + tlvs).to_bytes(2, "big") + addresses + tlvs


def tcp4(client: str = "203.0.113.9") -> bytes:
    return IPv4Address(client).packed + IPv4Address("192.0.2.1").packed + b"\xc8\x22\x01\xbb"


def tcp6(client: str = "2001:db8::9") -> bytes:
    return IPv6Address(client).packed + IPv6Address("2001:db8::1").packed + b"\xc8\x22\x01\xbb"


TLVS = b"\x04\x00\x03noo" + b"\x01\x00\x02h1" + b"\x05\x00\x00"

WHOLE = {
    b"PROXY TCP4 203.0.113.9 192.0.2.1 51234 443\r\n": "203.0.113.9",
    b"PROXY TCP4 203.0.113.9%2 192.0.2.1%2 51234 443\r\n": "203.0.113.9",
    b"PROXY TCP6 2001:db8::9 2001:db8::1 51234 443\r\n": "2001:db8::9",
    b"PROXY TCP6 2001:DB8:0:0:0:0:0:9%65534 2001:db8::1%65534 0 65535\r\n": "2001:db8::9",
    b"PROXY TCP6 ::ffff:203.0.113.9 ::1 51234 443\r\n": "203.0.113.9",
    b"PROXY UNKNOWN\r\n": "",
    b"PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n": "",
    v2(0x21, 0x11, tcp4()): "203.0.113.9",
    v2(0x21, 0x11, tcp4(), TLVS): "203.0.113.9",
    v2(0x21, 0x21, tcp6()): "2001:db8::9",
    v2(0x21, 0x21, tcp6("::ffff:203.0.113.9"), TLVS): "203.0.113.9",
    v2(0x21, 0x00, b""): "",
    v2(0x21, 0x00, b"", TLVS): "",
    v2(0x20, 0x00, b""): "",
    v2(0x20, 0x11, tcp4()): "",
    v2(0x20, 0x31, bytes(216)): "",
    v2(0x20, 0x11, b"\xff" * 5): "",
    v2(0x21, 0x11, tcp4(), b"\x04" + (V2_BYTES - 15).to_bytes(2, "big") + bytes(V2_BYTES - 15)): "203.0.113.9",
}


@pytest.mark.parametrize("behind", [b"", b"GET / HTTP/1.1\r\n", b"\x16\x03\x01", SIGNATURE, b"PROXY "])
@pytest.mark.parametrize(("header", "client"), WHOLE.items())
def test_a_whole_header_is_taken_to_its_last_octet_and_no_further(header: bytes, client: str, behind: bytes) -> None:
    is_local = header[12:13] == b"\x20"
    unknown = not (client or is_local) or b"%" in header  # who it is, or in which route domain
    assert introduction(header + behind) == Introduction(len(header), client, unknown)


@pytest.mark.parametrize("header", WHOLE)
def test_a_header_that_is_not_whole_is_awaited_and_never_longer_than_it_is(header: bytes) -> None:
    """What is awaited must come with the header alone: a hop that waits for an answer would never send more."""
    for have in range(len(header)):
        wanted = introduction(header[:have])
        assert isinstance(wanted, int), header[:have]
        assert have < wanted <= len(header)


REFUSED = {
    b"GET / HTTP/1.1\r\n": "begin",
    b"\x16\x03\x01\x02\x00\x01": "begin",
    b"proxy TCP4 203.0.113.9 192.0.2.1 51234 443\r\n": "begin",
    b" PROXY UNKNOWN\r\n": "begin",
    b"\r\n\r\nGET / HTTP/1.1\r\n": "begin",
    b"PROXYTCP4": "begin",
    b"PROXY TCP4 203.0.113.9 192.0.2.1 51234 443\n": "CRLF",
    b"PROXY TCP4 " + b"1" * V1_BYTES: "too long",
    b"PROXY UNKNOWN " + b"x" * V1_BYTES + b"\r\n": "too long",
    b"PROXY TCP4 203.0.113.9 192.0.2.1 51234\r\n": "is not",
    b"PROXY TCP4 203.0.113.9 192.0.2.1 51234 443 1\r\n": "is not",
    b"PROXY TCP4  203.0.113.9 192.0.2.1 51234 443\r\n": "is not",
    b"PROXY TCP5 203.0.113.9 192.0.2.1 51234 443\r\n": "is not",
    b"PROXY UDP4 203.0.113.9 192.0.2.1 51234 443\r\n": "is not",
    b"PROXY \r\n\r\n\r\n\r\n": "is not",
    b"PROXY TCP4 203.0.113.9 192.0.2.1 051234 443\r\n": "is not",
    b"PROXY TCP4 203.0.113.9 192.0.2.1 65536 443\r\n": "is not",
    b"PROXY TCP4 203.0.113.9 192.0.2.1 +5 443\r\n": "is not",
    b"PROXY TCP4 203.0.113.9 192.0.2.1 \xb2 443\r\n": "is not",
    b"PROXY TCP4 203.0.113.09 192.0.2.1 5 443\r\n": "family",
    b"PROXY TCP4 203.0.113 192.0.2.1 5 443\r\n": "family",
    b"PROXY TCP4 2001:db8::9 2001:db8::1 5 443\r\n": "family",
    b"PROXY TCP6 203.0.113.9 192.0.2.1 5 443\r\n": "family",
    b"PROXY TCP4 203.0.113.9% 192.0.2.1 5 443\r\n": "family",
    b"PROXY TCP6 fe80::1%eth0 fe80::2 5 443\r\n": "family",
    b"PROXY TCP4 203.0.113.9%\xb2 192.0.2.1 5 443\r\n": "family",
    b"PROXY TCP4 203.0.113.9 - 5 443\r\n": "family",
    v2(0x11, 0x11, tcp4()): "version or command",
    v2(0x22, 0x11, tcp4()): "version or command",
    v2(0x31, 0x11, tcp4()): "version or command",
    v2(0x21, 0x12, tcp4()): "neither TCP4 nor TCP6",
    v2(0x21, 0x31, bytes(216)): "neither TCP4 nor TCP6",
    v2(0x21, 0x01, tcp4()): "neither TCP4 nor TCP6",
    v2(0x21, 0x11, tcp4()[:-1]): "too short",
    v2(0x21, 0x21, tcp4()): "too short",
    v2(0x21, 0x11, tcp4(), b"\x04\x00\x05noo"): "TLV",
    v2(0x21, 0x11, tcp4(), b"\x04"): "TLV",
    v2(0x21, 0x00, b"\x04\xff\xff"): "TLV",
    SIGNATURE + b"\x21\x11\xff\xff": "longer than",
    SIGNATURE + b"\x20\x00" + (V2_BYTES + 1).to_bytes(2, "big"): "longer than",
}


@pytest.mark.parametrize(("header", "why"), REFUSED.items())
def test_what_is_no_header_is_refused_and_says_why(header: bytes, why: str) -> None:
    said = introduction(header)
    assert isinstance(said, str)
    assert why in said


def judged(data: bytes) -> tuple[Introduction | str | None, int]:
    """As the door does it: no more is looked at than was asked for, until it is clear. None: more was never there.
    How often it was looked at."""
    have = looks = 0
    while True:
        looks += 1
        said = introduction(data[:have])
        if not isinstance(said, int):
            return said, looks
        assert said > have, "it waits for what is there"
        if said > len(data):
            return None, looks
        have = said


HEADERS = st.sampled_from(list(WHOLE)) | st.sampled_from(list(REFUSED))
MUTATED = st.builds(
    lambda header, at, noise, over: header[: (at := at % (len(header) + 1))] + noise + header[at + over :],
    HEADERS, st.integers(0, 300), st.binary(max_size=4), st.integers(0, 4),
)  # fmt: skip
STREAMS = st.binary(max_size=300) | MUTATED | st.builds(lambda a, b: a + b, MUTATED, st.binary(max_size=64))


@settings(max_examples=examples(1500), deadline=None)
@given(data=STREAMS, cut=st.integers(0, 400))
def test_any_octets_in_any_pieces_come_to_one_end(data: bytes, cut: int) -> None:
    """Octet by octet, in pieces or at once: the same header, or none. Once it is clear, more octets change nothing."""
    gradually, looks = judged(data)
    at_once = introduction(data)
    assert looks <= HEADER_BYTES + 1
    if isinstance(gradually, Introduction):
        assert at_once == gradually
        assert gradually.size <= len(data)
        assert introduction(data[: gradually.size]) == gradually
    elif isinstance(gradually, str):
        assert isinstance(at_once, str)
    else:
        assert not isinstance(at_once, Introduction), "it may be known to be none before it is asked for"
    early = introduction(data[:cut])
    if isinstance(early, Introduction):
        assert gradually == early
    elif isinstance(early, str):
        assert isinstance(at_once, str)


ADDRESSES = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6))


@settings(max_examples=examples(300), deadline=None)
@given(
    client=ADDRESSES,
    port=st.integers(0, 65535),
    domain=st.none() | st.integers(0, 65534),
    tlvs=st.sampled_from([b"", TLVS]),
)
def test_every_address_is_read_as_it_was_written(
    client: IPv4Address | IPv6Address, port: int, domain: int | None, tlvs: bytes
) -> None:
    mapped = client.ipv4_mapped if isinstance(client, IPv6Address) else None
    routed = "" if domain is None else f"%{domain}"
    line = f"PROXY TCP{client.version} {client}{routed} {client}{routed} {port} 443\r\n".encode()
    assert introduction(line) == Introduction(len(line), str(mapped or client), bool(domain))
    family = 0x11 if client.version == 4 else 0x21
    header = v2(0x21, family, client.packed * 2 + port.to_bytes(2, "big") * 2, tlvs)
    assert introduction(header) == Introduction(len(header), str(mapped or client))
