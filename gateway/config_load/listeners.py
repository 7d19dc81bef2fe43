"""Listeners, looked at as wholes and beside the devices in front of them: what would be believed though nobody vouches
for it, and what would never be asked.

Each check is about something that works and is wrong: a certificate that is believed though somebody else sent it, an
address said once for the requests of many, a port that a monitor cannot speak with.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address
from typing import Final

from gateway import config
from gateway.config.devices import Bigip
from gateway.documents import Locate
from policy.reading import Fault

# Fields with a meaning of their own: a certificate in one of them would take its place.
MEANT: Final = frozenset({
    "host", "authorization", "content-length", "transfer-encoding", "origin", "cookie", "accept", "traceparent",
    "tracestate", "x-request-id", "connection", "x-forwarded-for", "x-forwarded-proto", "upgrade", "expect", "via",
})  # fmt: skip
Said = tuple[str, str, str]  # key, message, what to do


def listener_faults(settings: config.Settings, locate: Locate) -> list[Fault]:
    faults = []
    for position, listener in enumerate(settings.listeners):
        for key, message, hint in _of_one(listener):
            faults.append(Fault(locate(("listeners", position, key)), f"listener `{listener.name}`: {message}", hint))
    if settings.listeners and all(each.health_only for each in settings.listeners):
        message = "every listener is `health_only`: no service can be reached"
        faults.append(Fault(locate(("listeners",)), message, "add one for requests"))
    for position, device in enumerate(settings.devices.bigip):
        for environment, message, hint in _between(device, settings.listeners):
            place = locate(("devices", "bigip", position, "environments", environment))
            faults.append(Fault(place, f"BIG-IP `{device.name}`: `{environment}`: {message}", hint))
    return faults


def _of_one(listener: config.Listener) -> Iterator[Said]:
    has_authorities = listener.tls is not None and listener.tls.client_ca != ""
    if listener.health_only:
        yield from _health_faults(listener)
        return
    if listener.direct:
        yield from _direct_faults(listener, has_authorities=has_authorities)
    if listener.client_certificate_header:
        yield from _header_faults(listener, has_authorities=has_authorities)
    if listener.proxy_protocol and not listener.trusted_peers:
        message = "`proxy_protocol` is read from `trusted_peers` alone"
        yield "proxy_protocol", message, "name the addresses that the load balancer connects from"


def _health_faults(listener: config.Listener) -> Iterator[Said]:
    for key in ("bigip", "proxy_protocol", "direct", "client_certificate_header"):
        if getattr(listener, key):
            yield key, f"`{key}` is of no use where `health_only` answers monitors alone", "leave one of them out"


def _direct_faults(listener: config.Listener, *, has_authorities: bool) -> Iterator[Said]:
    if not has_authorities:
        yield "direct", "`direct` needs `tls.client_ca`", "say who signs the clients' certificates"
    if listener.trusted_peers or listener.bigip:
        message = "`direct` has no peer in between that could be trusted"
        yield "direct", message, "leave out `trusted_peers` and `bigip`, or `direct`"


def _header_faults(listener: config.Listener, *, has_authorities: bool) -> Iterator[Said]:
    key = "client_certificate_header"
    if not has_authorities:
        yield key, f"`{key}` needs `tls.client_ca`", "say who signs the clients' certificates"
    if not listener.trusted_peers:
        yield key, f"`{key}` is read from `trusted_peers` alone", "name the peers that write it"
    if listener.client_certificate_header in MEANT:
        name = listener.client_certificate_header
        yield key, f"`{name}` has another meaning", "use a name of your own, `x-client-cert`"
    if listener.proxy_protocol:
        message = f"behind `proxy_protocol` every field is the client's own, and `{key}` is never read"
        yield key, message, "leave one of them out"


def _between(device: Bigip, listeners: tuple[config.Listener, ...]) -> Iterator[Said]:
    """A PROXY header is said once per connection, which OneConnect uses for the requests of many. Said of the
    environments whose virtual servers have this node's listeners as members."""
    for listener in _members_of(device, listeners):
        for environment in device.environments:
            name = environment.environment
            if listener.proxy_protocol and not environment.proxy_protocol:
                message = (
                    f"it shares connections (OneConnect), and listener `{listener.name}` takes the client's address "
                    "from what is said once per connection: every client would have the first one's"
                )
                yield name, message, "say `proxy_protocol: true` here, or take it from the listener"
            if environment.proxy_protocol and not listener.proxy_protocol:
                message = f"it sends PROXY headers, and listener `{listener.name}` would refuse every connection"
                yield name, message, "say `proxy_protocol: true` at the listener, or take it from here"


def _members_of(device: Bigip, listeners: tuple[config.Listener, ...]) -> list[config.Listener]:
    """The listeners that the device's members mean: one at that very address, else those on its port, because a member
    may be another node, or this one under another address."""
    found: dict[str, config.Listener] = {}
    for member in device.members:
        on_port = [each for each in listeners if _port_of(each.address) == _port_of(member) and not each.health_only]
        exact = [each for each in on_port if _host_of(each.address) == _host_of(member)]
        found.update((each.name, each) for each in exact or on_port)
    return list(found.values())


def _host_of(address: str) -> str:
    return str(ip_address(address.rpartition(":")[0].strip("[]")))


def _port_of(address: str) -> str:
    return address.rpartition(":")[2]
