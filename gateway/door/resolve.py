"""Where an upstream's name leads, and whether we may go there.

The catalog says where a service runs, so its addresses are hostile: a name under an allowed suffix can be
pointed at the loopback interface or at a cloud's metadata service by whoever owns its zone. Therefore not the
name but each resolved **address** is judged, every time, right before the connect:

- an address in a network the environment lists literally is allowed;
- an address behind a name the environment lists is allowed unless it is special (loopback, link-local,
  multicast, unspecified, reserved);
- metadata services and our own listeners never are.

Answers are kept for a short time, bounded in number; a failed look-up falls back to the last answer.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Mapping
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from cachetools import LRUCache

from gateway.config import Environment, Listener

Address = IPv4Address | IPv6Address

# Link-local metadata of AWS, Azure, GCP, OpenStack; AWS over IPv6; Alibaba; Azure's wire server.
METADATA = frozenset(
    ip_address(text)
    for text in ("169.254.169.254", "169.254.170.2", "fd00:ec2::254", "100.100.100.200", "168.63.129.16")
)
FRESH_S = 10.0
STALE_S = 300.0
NAMES = 4096


class NotAllowed(Exception):
    """The name leads to no address that the environment allows; the message says which and why."""


class AddressRule:
    """What one environment's ``upstreams`` allow."""

    def __init__(self, environment: Environment, own: frozenset[tuple[Address, int]]) -> None:
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
        """Why ``address`` is not allowed; "" when it is."""
        mapped = getattr(address, "ipv4_mapped", None)
        address = mapped if mapped is not None else address
        if address in METADATA:
            return f"`{address}` is a metadata service"
        if (address, port) in self._own:
            return f"`{address}:{port}` is this door itself"
        if any(address in network for network in self._networks if network.version == address.version):
            return ""
        if not self.names(host):
            return f"`{address}` is in no network listed for this environment"
        if (
            address.is_loopback
            or address.is_link_local
            or address.is_multicast
            or address.is_unspecified
            or address.is_reserved
        ):
            return f"`{host}` leads to the special address `{address}`"
        return ""


def own_addresses(listeners: tuple[Listener, ...]) -> frozenset[tuple[Address, int]]:
    """Address and port of each listener; a wildcard stands for the loopback addresses too."""
    own: set[tuple[Address, int]] = set()
    for listener in listeners:
        host, _, port = listener.address.rpartition(":")
        address = ip_address(host.strip("[]") or "0.0.0.0")
        own.add((address, int(port)))
        if address.is_unspecified:
            own.update({(ip_address("127.0.0.1"), int(port)), (ip_address("::1"), int(port))})
    return frozenset(own)


class Resolver:
    """Names to allowed addresses, with a short memory."""

    def __init__(
        self,
        environments: Mapping[str, Environment],
        listeners: tuple[Listener, ...],
        clock: Callable[[], float],
    ) -> None:
        own = own_addresses(listeners)
        self._rules = {name: AddressRule(environment, own) for name, environment in environments.items()}
        self._clock = clock
        self._known: LRUCache[str, tuple[float, tuple[Address, ...]]] = LRUCache(NAMES)

    async def addresses(self, environment: str, host: str, port: int) -> list[str]:
        """Allowed addresses of ``host``; raises `NotAllowed`, or `OSError` when the name has no answer."""
        rule = self._rules.get(environment)
        if rule is None:
            raise NotAllowed(f"environment `{environment}` is not configured")
        try:
            found: tuple[Address, ...] = (ip_address(host.strip("[]")),)
        except ValueError:
            found = await self._look_up(host)
        why = ""
        allowed = []
        for address in found:
            refusal = rule.refusal(host, address, port)
            if refusal:
                why = refusal
            else:
                allowed.append(str(address))
        if not allowed:
            raise NotAllowed(why or f"`{host}` has no address")
        return allowed

    async def _look_up(self, host: str) -> tuple[Address, ...]:
        now = self._clock()
        known = self._known.get(host)
        if known is not None and now - known[0] < FRESH_S:
            return known[1]
        loop = asyncio.get_running_loop()
        try:
            answers = await loop.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        except UnicodeError:
            raise NotAllowed(f"`{host}` is no name") from None
        except OSError:
            if known is not None and now - known[0] < STALE_S:
                return known[1]
            raise
        found = tuple(dict.fromkeys(ip_address(answer[4][0]) for answer in answers))
        self._known[host] = (now, found)
        return found
