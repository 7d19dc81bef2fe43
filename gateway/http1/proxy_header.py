"""The PROXY protocol: what a load balancer says about a connection before its first byte, versions 1 and 2.

The header is read from the first octets of a connection, which the caller has only looked at: what is told is how many
of them are the header, so that exactly those are taken away and TLS or HTTP begins behind them. Nothing is skipped over
and nothing guessed: what is no header to the octet is none.

    version 1   PROXY TCP4 203.0.113.9 192.0.2.1 51234 443 CRLF, at most 107 octets
    version 2   a signature of twelve octets, version and command, family, length; then addresses and TLVs

Both as the specification of HAProxy has them (proxy-protocol.txt, 2.1 and 2.2). More than it: a BIG-IP writes an
address of a route domain as `203.0.113.9%2`, in version 1, and the domain is dropped. Less: UDP and Unix sockets are
refused, because nobody can call a door from there. TLVs are counted, and not read.

Pure: octets in, a value out.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from typing import Final, NamedTuple

SIGNATURE: Final = b"\r\n\r\n\x00\r\nQUIT\n"
V1_START: Final = b"PROXY "
V1_LEAST: Final = len(b"PROXY UNKNOWN\r\n")
V1_BYTES: Final = 107 + 2 * len("%65534")
V2_HEAD: Final = 16
V2_BYTES: Final = 4096  # of addresses and TLVs
HEADER_BYTES: Final = V2_HEAD + V2_BYTES  # no header that is taken is longer

_FAMILIES: Final[dict[bytes, type[IPv4Address | IPv6Address]]] = {b"TCP4": IPv4Address, b"TCP6": IPv6Address}
_LOCAL: Final = 0x20
_PROXIED: Final = 0x21
_UNSPECIFIED: Final = 0x00
_TCP4: Final = 0x11
_TCP6: Final = 0x21
_TLV_HEAD: Final = 3
_ADDRESSES: Final = {_UNSPECIFIED: 0, _TCP4: 12, _TCP6: 36}  # octets: two addresses, two ports


class Introduction(NamedTuple):
    """A whole header."""

    size: int  # octets; what follows is not the header's
    client: str  # address of who connected; "" = the load balancer speaks for itself, or does not know for whom
    unknown: bool = False  # it is not known who that is, or the address is one of another route domain: never trusted


def introduction(data: bytes) -> Introduction | int | str:
    """What ``data``, the first octets of a connection, says; how many there must be at least before more can be said
    than by these; or why it is no header."""
    if not data:
        return V1_LEAST
    if SIGNATURE.startswith(data[: len(SIGNATURE)]):
        return _version_2(data)
    if V1_START.startswith(data[: len(V1_START)]):
        return _version_1(data)
    return "it does not begin like one"


def _version_1(data: bytes) -> Introduction | int | str:
    end = data.find(b"\n", 0, V1_BYTES)
    if end < 0:
        return "its line is too long" if len(data) >= V1_BYTES else max(len(data) + 1, V1_LEAST)
    if data[end - 1 : end] != b"\r":
        return "its line does not end in CRLF"
    size = end + 1
    words = data[: end - 1].split(b" ")
    if words[1] == b"UNKNOWN":  # "the receiver must ignore anything presented before the CRLF"
        return Introduction(size, "", unknown=True)
    family = _FAMILIES.get(words[1])
    if family is None or len(words) != 6 or not (_is_port(words[4]) and _is_port(words[5])):
        return "its line is not `PROXY TCP4 address address port port`"
    client, server = _address(words[2], family), _address(words[3], family)
    if not client or not server:
        return "an address in it is none of its family"
    return Introduction(size, client, unknown=words[2].partition(b"%")[2].strip(b"0") != b"")


def _is_port(word: bytes) -> bool:
    return word.isdigit() and str(int(word)).encode() == word and int(word) < 65536


def _address(word: bytes, family: type[IPv4Address | IPv6Address]) -> str:
    """Empty where it is none."""
    text, routed, domain = word.decode("latin-1").partition("%")
    if routed and not (domain.isascii() and domain.isdigit()):
        return ""
    try:
        return _plain(family(text))
    except ValueError:
        return ""


def _plain(address: IPv4Address | IPv6Address) -> str:
    """One text for one address, whichever family's clothes it comes in."""
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return str(mapped if mapped is not None else address)


def _version_2(data: bytes) -> Introduction | int | str:
    if len(data) < V2_HEAD:
        return V2_HEAD
    command, family = data[12], data[13]
    length = int.from_bytes(data[14:16], "big")
    size = V2_HEAD + length
    if command not in (_LOCAL, _PROXIED):
        return "its version or command is unknown"
    if length > V2_BYTES:
        return f"it is longer than {HEADER_BYTES} octets"
    if command == _PROXIED and length < _ADDRESSES.get(family, length + 1):
        return "it is too short for its addresses" if family in _ADDRESSES else "its family is neither TCP4 nor TCP6"
    if len(data) < size:
        return size
    if command == _LOCAL:  # "must discard the protocol block including the family which is ignored"
        return Introduction(size, "")
    addresses = _ADDRESSES[family]
    if not _are_tlvs(data[V2_HEAD + addresses : size]):
        return "a TLV in it is longer than the header"
    if family == _TCP4:
        return Introduction(size, _plain(IPv4Address(data[16:20])))
    if family == _TCP6:
        return Introduction(size, _plain(IPv6Address(data[16:32])))
    return Introduction(size, "", unknown=True)


def _are_tlvs(octets: bytes) -> bool:
    """Type, length in two octets, value; one behind the other up to the end."""
    at = 0
    while at < len(octets):
        if at + _TLV_HEAD > len(octets):
            return False
        at += _TLV_HEAD + int.from_bytes(octets[at + 1 : at + _TLV_HEAD], "big")
    return at == len(octets)
