"""Settings of PAN-OS firewalls that close whole networks, looked at together: what has to stay open lies in none.

A rule that closes a network stops everybody there but the doors, from every zone. Were a door or a virtual address in
it, nobody would come in any more; were the management address of a device, nobody could take the rule back.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Network, IPv6Network, ip_network
from itertools import chain
from typing import Final
from urllib.parse import urlsplit

from gateway import config
from gateway.config.devices import Bigip, Panos, PanosEnvironment
from gateway.config_load.devices.faults import Said

Network = IPv4Network | IPv6Network
Held = tuple[str, str]  # what it is, and its address or network
_TODO: Final = "list networks that hold services alone, or write `closes: addresses`"


def closing_faults(environment: PanosEnvironment, device: Panos, settings: config.Settings) -> Iterator[Said]:
    if environment.closes == "networks" and environment.back is None:
        message = "`closes` says what `back` closes, and there is no `back`"
        yield ("closes",), message, "write `back: {}`, or leave it out"
    closed = [ip_network(text) for text in environment.closed_networks]
    for text, what in _held(environment, device, settings).items() if closed else ():
        network = _network(text)
        if network is None:  # a name
            continue
        for position, each in enumerate(closed):
            if each.version == network.version and each.overlaps(network):
                message = f"`closes: networks` would keep everybody from `{text}`, {what}, in `{each}`"
                yield ("networks", position), message, _TODO


def _held(environment: PanosEnvironment, device: Panos, settings: config.Settings) -> dict[str, str]:
    """What has to stay open, by its address or network."""
    found: dict[str, str] = {}
    others = (_of_others(environment, device, settings), _of_bigips(settings), _managed(settings), _of_node(settings))
    for what, text in chain(_of_firewalls(device, settings), *others):
        found.setdefault(text, what)
    return found


def _of_firewalls(device: Panos, settings: config.Settings) -> Iterator[Held]:
    """Doors and virtual addresses of all environments, on whichever firewall they are said."""
    for each in sorted(settings.devices.panos, key=lambda each: each.name != device.name):
        where = f" on `{each.name}`" if each.name != device.name else ""
        for said in each.environments:
            yield from ((f"a door of `{said.environment}`{where}", text) for text in said.doors)
            yield from ((f"a virtual address of `{said.environment}`{where}", text) for text in said.virtual_addresses)


def _of_node(settings: config.Settings) -> Iterator[Held]:
    """Where this node listens, if it says at which address."""
    for address in (*(each.address for each in settings.listeners), settings.admin_address):
        host = urlsplit(f"//{address}").hostname or ""
        if (network := _network(host)) is not None and not (network.is_unspecified or network.is_loopback):
            yield "where this node listens", host


def _of_others(environment: PanosEnvironment, device: Panos, settings: config.Settings) -> Iterator[Held]:
    """Services of other environments, as other firewalls have them; those of one firewall overlap anyhow."""
    for other in settings.devices.panos:
        for each in other.environments if other.name != device.name else ():
            if each.environment != environment.environment:
                yield from ((f"services of `{each.environment}` on `{other.name}`", text) for text in each.networks)


def _of_bigips(settings: config.Settings) -> Iterator[Held]:
    """Where clients meet them, and the doors behind them."""
    for device in settings.devices.bigip:
        yield from ((f"a door behind `{device.name}`", urlsplit(f"//{text}").hostname or "") for text in device.members)
        for each in device.environments:
            what = f"virtual addresses of `{each.environment}` on `{device.name}`"
            yield from ((what, text) for text in (each.virtual_address, *each.networks) if text)


def _managed(settings: config.Settings) -> Iterator[Held]:
    devices: tuple[Bigip | Panos, ...] = (*settings.devices.bigip, *settings.devices.panos)
    for device in devices:
        yield from ((f"where `{device.name}` is managed", urlsplit(unit).hostname or "") for unit in device.units)


def _network(text: str) -> Network | None:
    try:
        return ip_network(text, strict=False)
    except ValueError:
        return None
