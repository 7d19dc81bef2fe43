"""Which addresses an upstream may have.

The catalog says where a service runs, so its addresses are hostile: a name under an allowed suffix can be pointed
at the loopback interface or at a cloud's metadata service by whoever owns its zone. Therefore not the name but each
resolved **address** is judged, every time, right before the connect:

- an address in a network the environment lists literally is allowed;
- an address behind a name the environment lists is allowed unless it is special (loopback, link-local,
  multicast, unspecified, reserved), also where a special IPv4 address is wrapped into an IPv6 one;
- metadata services and our own listeners never are, nor an address with a zone id, which would choose one of this
  machine's interfaces.

No I/O: whether an address is one of this machine's is asked of a function.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

from gateway.config import Environment

Address = IPv4Address | IPv6Address

# Link-local metadata of AWS (instances, tasks, pods), Azure, GCP, OpenStack; of Tencent; AWS and GCP over IPv6;
# Alibaba; Oracle; Azure's wire server.
METADATA: Final = frozenset(
    ip_address(text)
    for text in (
        "169.254.169.254", "169.254.170.2", "169.254.170.23", "169.254.0.23", "fd00:ec2::254", "fd00:ec2::23",
        "fd20:ce::254", "100.100.100.200", "192.0.0.192", "168.63.129.16",
    )
)  # fmt: skip
_THIS_NETWORK: Final = IPv4Network("0.0.0.0/8")
_NAT64: Final = IPv6Network("64:ff9b::/96")
_NOBODYS: Final = tuple(
    ip_network(text)
    for text in (
        "0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3", "::/127", "fe80::/10", "fec0::/10", "ff00::/8"
    )
)  # fmt: skip
_LAST_32_BITS: Final = 0xFFFFFFFF


class NotAllowed(Exception):
    """The name leads to no address that the environment allows; the message says which and why."""


class OwnAddresses:
    """Where this node itself listens. ``is_local`` says whether an address belongs to this machine: what a wildcard
    listens on."""

    def __init__(self, listening: Iterable[str], is_local: Callable[[Address], bool]) -> None:
        self._exact: set[tuple[Address, int]] = set()
        self._wildcards: set[int] = set()
        self._is_local = is_local
        for text in listening:
            host, _, port = text.rpartition(":")
            address = ip_address(host.strip("[]") or "0.0.0.0")
            if address.is_unspecified:
                self._wildcards.add(int(port))
            else:
                self._exact.add((address, int(port)))

    def hold(self, address: Address, port: int) -> bool:
        return (address, port) in self._exact or (port in self._wildcards and self._is_local(address))


class AddressRule:
    """What one environment's ``upstreams`` allow."""

    def __init__(self, environment: Environment, own: OwnAddresses) -> None:
        self._networks: list[IPv4Network | IPv6Network] = []
        self._names: list[str] = []
        self._own = own
        for entry in environment.upstreams:
            try:
                self._networks.append(ip_network(entry, strict=False))
            except ValueError:
                self._names.append(entry.lower().rstrip("."))

    def names(self, host: str) -> bool:
        host = host.lower().rstrip(".")
        return any(host == name or (name.startswith(".") and host.endswith(name)) for name in self._names)

    def refusal(self, host: str, address: Address, port: int) -> str:
        """Why ``address``, in its `plain` form, is not allowed; "" when it is."""
        if getattr(address, "scope_id", None) is not None:
            return f"`{address}` names an interface of this machine"
        inside = tuple(_wrapped_in(address))
        if address in METADATA or any(each in METADATA for each in inside):
            return f"`{address}` is a metadata service"
        if self._own.hold(address, port):
            return f"`{address}` port {port} is this door itself"
        if any(address in network for network in self._networks if network.version == address.version):
            return ""
        if not self.names(host):
            return f"`{address}` is in no network listed for this environment"
        if _is_special(address) or any(_is_special(each) for each in inside):
            return f"`{host}` leads to the special address `{address}`"
        return ""


def plain(address: Address) -> Address:
    """``::ffff:10.0.0.1`` is 10.0.0.1 to the kernel, so it is judged and connected as that."""
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None and address.scope_id is None:
        return address.ipv4_mapped
    return address


def is_nobodys(network: IPv4Network | IPv6Network) -> bool:
    """Whether some address of it means this machine, everybody, nobody or a metadata service, wherever it is used."""
    for end in (network[0], network[-1]):
        if any(_is_special(each) or each in METADATA for each in (end, *_wrapped_in(end))):
            return True
    inside = any(each in network for each in METADATA if each.version == network.version)
    return inside or any(each.version == network.version and network.overlaps(each) for each in _NOBODYS)


def _wrapped_in(address: Address) -> Iterator[IPv4Address]:
    """IPv4 addresses that a relay may unwrap: 6to4, Teredo, NAT64, and the old IPv4-compatible form."""
    if isinstance(address, IPv4Address):
        return
    if address.sixtofour is not None:
        yield address.sixtofour
    if address.teredo is not None:
        yield from address.teredo
    if address in _NAT64 or int(address) >> 32 == 0:
        yield IPv4Address(int(address) & _LAST_32_BITS)


def _is_special(address: Address) -> bool:
    if isinstance(address, IPv4Address) and address in _THIS_NETWORK:
        return True
    return (
        address.is_loopback
        or address.is_link_local
        or address.is_multicast
        or address.is_unspecified
        or address.is_reserved
        or (isinstance(address, IPv6Address) and address.is_site_local)
    )
