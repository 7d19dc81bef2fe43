"""Which addresses an upstream may have: what the environment lists, and never what is special, ours or metadata."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest

from gateway.config import Environment
from gateway.egress.addresses import METADATA, AddressRule, OwnAddresses, is_nobodys, plain

OWN = OwnAddresses(
    ["10.1.0.1:8443", "0.0.0.0:443", "[::]:9443"], lambda address: str(address) in ("10.7.0.1", "fd00::7")
)


def refusal(address: str, *upstreams: str, host: str = "", port: int = 80) -> str:
    rule = AddressRule(Environment("prod", (".test",), upstreams or ("10.0.0.0/8", "fd00::/8", ".internal")), OWN)
    return rule.refusal(host or address, plain(ip_address(address)), port)


@pytest.mark.parametrize("address", ["10.2.3.4", "fd00::1:2", "::ffff:10.2.3.4"])
def test_an_address_in_a_listed_network_is_allowed(address: str) -> None:
    assert refusal(address) == ""


@pytest.mark.parametrize("address", ["192.168.1.1", "203.0.113.9", "2001:db8::1", "::ffff:192.168.1.1", "127.0.0.1"])
def test_an_address_in_no_listed_network_is_refused(address: str) -> None:
    assert "in no network listed" in refusal(address)


@pytest.mark.parametrize("host", ["a.internal", "A.B.INTERNAL", "a.internal."])
def test_a_listed_name_may_lead_anywhere_ordinary(host: str) -> None:
    assert refusal("203.0.113.9", host=host) == ""


@pytest.mark.parametrize("host", ["internal", "ainternal", "a.internal.evil.test"])
def test_a_name_that_only_looks_like_a_listed_one_is_not(host: str) -> None:
    assert refusal("203.0.113.9", host=host)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.8.8.8", "0.0.0.0", "0.1.2.3", "169.254.7.7", "224.0.0.1", "240.0.0.1", "255.255.255.255",
        "::1", "::", "fe80::1", "ff02::1", "fec0::1",
        "::ffff:127.0.0.1",  # mapped
        "::127.0.0.1",  # compatible
        "64:ff9b::127.0.0.1",  # NAT64
        "2002:7f00:1::",  # 6to4 of 127.0.0.1
        "2001:0:7f00:1::",  # Teredo, by a server at 127.0.0.1
    ],
)  # fmt: skip
def test_a_listed_name_never_leads_to_a_special_address(address: str) -> None:
    assert "special" in refusal(address, ".internal", host="a.internal")


@pytest.mark.parametrize("address", ["127.0.0.1", "169.254.7.7", "::1"])
def test_a_special_address_counts_where_its_network_is_listed(address: str) -> None:
    assert refusal(address, "127.0.0.0/8", "169.254.0.0/16", "::1/128", host="a.internal") == ""


@pytest.mark.parametrize(
    "address",
    [
        *sorted(map(str, METADATA)),
        "::ffff:169.254.169.254", "64:ff9b::169.254.169.254", "2002:a9fe:a9fe::", "::169.254.169.254",
    ],
)  # fmt: skip
def test_metadata_services_are_never_allowed_however_they_are_written(address: str) -> None:
    assert "metadata" in refusal(address, "0.0.0.0/0", "::/0", host="a.internal")


@pytest.mark.parametrize("address", ["fe80::1%eth0", "fe80::1%25eth0", "fd00::1%2", "::ffff:10.0.0.1%lo"])
def test_an_address_with_a_zone_is_refused_where_its_network_is_listed_too(address: str) -> None:
    assert "interface of this machine" in refusal(address, "::/0", "0.0.0.0/0")


def test_our_own_listeners_are_never_allowed() -> None:
    assert "this door itself" in refusal("10.1.0.1", port=8443)
    assert "this door itself" in refusal("::ffff:10.1.0.1", port=8443)
    assert refusal("10.1.0.1", port=8444) == ""
    assert refusal("10.1.0.2", port=8443) == ""


@pytest.mark.parametrize("port", [443, 9443])
def test_a_wildcard_listens_on_every_address_of_this_machine_and_on_no_other(port: int) -> None:
    assert "this door itself" in refusal("10.7.0.1", port=port)
    assert "this door itself" in refusal("fd00::7", port=port)
    assert refusal("10.7.0.2", port=port) == ""
    assert refusal("10.7.0.1", port=80) == ""


@pytest.mark.parametrize(
    "network",
    [
        "127.0.0.1", "127.0.0.0/8", "126.0.0.0/7", "0.0.0.0/0", "0.1.2.3", "169.254.169.254", "169.254.0.0/16",
        "168.0.0.0/7", "100.100.100.200", "100.100.0.0/16", "168.63.129.0/24", "224.0.0.1", "192.0.0.0/2",
        "255.255.255.255", "::", "::1", "::/0", "fe80::1", "fe00::/7", "ff02::1", "fec0::7", "fd00:ec2::254",
        "fd00::/8", "::ffff:10.0.0.1", "2002:7f00:1::1", "64:ff9b::a9fe:a9fe",
    ],
)  # fmt: skip
def test_an_address_that_means_no_machine_of_anybodys_is_nobodys(network: str) -> None:
    assert is_nobodys(ip_network(network))


@pytest.mark.parametrize(
    "network", ["10.0.0.0/8", "192.0.2.7", "198.51.100.0/24", "128.0.0.0/8", "2001:db8::/32", "fd12::/16", "2600::/12"]
)
def test_an_ordinary_network_is_somebodys(network: str) -> None:
    assert not is_nobodys(ip_network(network))
