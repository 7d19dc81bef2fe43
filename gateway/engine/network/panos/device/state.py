"""What a firewall is, and which of a pair is active, as it says itself."""

from __future__ import annotations

from typing import Literal, NamedTuple
from xml.etree.ElementTree import Element, SubElement

from gateway.engine.network.faults import Rejected
from gateway.engine.network.panos.device.answers import Answer
from gateway.engine.network.panos.device.client import Client


class System(NamedTuple):
    """Of `show system info`."""

    hostname: str
    model: str
    serial: str
    version: str
    many_vsys: bool


class Availability(NamedTuple):
    """Of `show high-availability state`. ``state`` is "" where there is no pair."""

    state: str = ""
    sync: str = ""
    peer: str = ""

    @property
    def serves(self) -> bool:
        """Whether changes go here: it stands alone, or is the active one."""
        return self.state in ("", "active", "active-primary", "primary-active", "secondary-active")

    @property
    def in_step(self) -> bool:
        return self.sync in ("", "synchronized")


def command(*words: str) -> Element:
    """`command("show", "system", "info")` is `<show><system><info/></system></show>`."""
    root = Element(words[0])
    inner = root
    for word in words[1:]:
        inner = SubElement(inner, word)
    return root


async def system_of(client: Client) -> System:
    """Raises `DeviceFault`."""
    answer = await client.op(command("show", "system", "info"))

    def said(name: str) -> str:
        return client.shown(_text(answer, f"system/{name}"))

    system = System(said("hostname"), said("model"), said("serial"), said("sw-version"), said("multi-vsys") == "on")
    if not system.version:
        raise Rejected(f"{client.where} does not say which PAN-OS it runs: it is no firewall")
    return system


async def availability_of(client: Client) -> Availability:
    """Raises `DeviceFault`."""
    answer = await client.op(command("show", "high-availability", "state"))
    if _text(answer, "enabled") != "yes":
        return Availability()

    def said(name: str) -> str:
        return client.shown(_text(answer, f"group/{name}") or _text(answer, name))

    if not (state := said("local-info/state")):
        raise Rejected(f"{client.where} is one of a pair and does not say whether it is active")
    enabled = said("running-sync-enabled") != "no"
    return Availability(state, said("running-sync") if enabled else "", said("peer-info/state"))


async def tags_readable(client: Client) -> None:
    """Raises `DeviceFault` where the key's administrator may not read registered addresses and users."""
    for kind in ("registered-ip", "registered-user"):
        await client.op(page_of(kind, 1, 1))


def page_of(kind: Literal["registered-ip", "registered-user"], first: int, size: int) -> Element:
    """The command for one page of tagged addresses or users, from the ``first``, counted from 1. Firewalls take both
    numbers beside `all` for addresses, and within it for users."""
    asked = Element("show")
    holder = SubElement(SubElement(asked, "object"), kind)
    every = SubElement(holder, "all")
    for name, value in (("limit", size), ("start-point", first)):
        SubElement(every if kind == "registered-user" else holder, name).text = str(value)
    return asked


def _text(answer: Answer, path: str) -> str:
    found = None if answer.result is None else answer.result.findtext(path)
    return (found or "").strip()
