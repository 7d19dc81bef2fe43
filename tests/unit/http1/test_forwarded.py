"""Of a list of addresses that everybody may add to, one is the client's."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest

from gateway.http1.forwarded import client_address

NETWORK = ip_network("192.0.2.0/24")
PEER = "192.0.2.1"


def is_trusted(address: str) -> bool:
    return ip_address(address) in NETWORK


@pytest.mark.parametrize(
    ("forwarded_for", "client"),
    [
        (b"", PEER),
        (b"203.0.113.9", "203.0.113.9"),
        (b"198.51.100.66, 203.0.113.9", "203.0.113.9"),
        (b"198.51.100.66, 203.0.113.9,192.0.2.7 , 192.0.2.8", "203.0.113.9"),
        (b"192.0.2.7, 192.0.2.8", "192.0.2.7"),
        (b"203.0.113.9, evil", PEER),
        (b"203.0.113.9, unknown, 192.0.2.8", "192.0.2.8"),
        (b"203.0.113.9:4711", "203.0.113.9"),
        (b"[2001:DB8::9]:4711", "2001:db8::9"),
        (b"2001:db8::9", "2001:db8::9"),
        (b"203.0.113.9, ", PEER),
        (b"203.0.113.009", PEER),
        (b"203.0.113.9%2", "203.0.113.9"),
        (b"fe80::9%eth0", PEER),
        (b"\xff", PEER),
        (b"203.0.113.9" + b" " * 64, PEER),
    ],
)
def test_the_client_is_the_first_address_from_the_right_that_is_not_trusted(forwarded_for: bytes, client: str) -> None:
    assert client_address(forwarded_for, PEER, is_trusted) == client
