"""How often traffic met our rules: asked of every unit, and behind a Panorama of every firewall of the group.

A Panorama has rules and no traffic, so each of its firewalls is asked through it, in the same words as one that is
asked directly. What one of them does not say is not known, which is never the same as nothing: whoever reads the counts
learns of each firewall that gave none, and why. One that says nothing holds up the others only for a moment.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import NamedTuple
from xml.etree.ElementTree import Element, SubElement

from gateway.engine.network.faults import DeviceFault, Unreachable
from gateway.engine.network.panos.device.answers import Answer
from gateway.engine.network.panos.device.client import Client
from gateway.engine.network.panos.device.groups import SILENT_S, firewalls_of, said_by_each
from gateway.engine.network.panos.device.locks import asked
from gateway.engine.network.panos.device.units import Units


class Hits(NamedTuple):
    """Of one rule on one unit; epoch seconds of its clock, 0 = never. ``is_latest``: the unit counts as it stands now;
    ``reset_s``: when somebody had it begin anew."""

    times: int
    last_s: float
    created_s: float
    is_latest: bool
    reset_s: float = 0.0


class Count(NamedTuple):
    """Of one unit, by rule. ``fault``: why there is none."""

    where: str
    hits: Mapping[str, Hits]
    fault: str = ""


class _Counter(NamedTuple):
    """Who counts. ``serial`` is "" for the unit that ``client`` speaks to."""

    client: Client
    where: str
    vsys: str
    serial: str = ""
    is_connected: bool = True


async def counts_of(units: Units, names: Sequence[str]) -> tuple[Count, ...]:
    """For the rules of these names. Raises `DeviceFault` where nobody knows who counts."""
    if not names:
        return ()
    counters = await _counters(units)
    said = await said_by_each(units.device, [partial(_count, each, names) for each in counters])
    return tuple(
        Count(counter.where, {}, str(each)) if isinstance(each, DeviceFault) else Count(counter.where, each)
        for counter, each in zip(counters, said, strict=True)
    )


async def _counters(units: Units) -> list[_Counter]:
    device = units.device
    if not device.device_group:
        return [_Counter(client, client.where, device.vsys) for client in units.clients]
    client = await units.active(SILENT_S)
    return [
        _Counter(client, f"firewall {each.serial} ({vsys}) of {client.where}", vsys, each.serial, each.is_connected)
        for each in await firewalls_of(client, device)
        for vsys in each.vsys
    ]


async def _count(counter: _Counter, names: Sequence[str]) -> Mapping[str, Hits]:
    if not counter.is_connected:
        raise Unreachable("it is not connected")
    command = asked(hits_command(counter.vsys, names), counter.vsys, counter.serial)
    return await asyncio.to_thread(hits_in, await counter.client.read(command))


def hits_command(vsys: str, names: Iterable[str]) -> Element:
    """For the command that asks for them."""
    root = Element("show")
    holder = SubElement(SubElement(SubElement(root, "rule-hit-count"), "vsys"), "vsys-name")
    base = SubElement(SubElement(holder, "entry", name=vsys), "rule-base")
    listed = SubElement(SubElement(SubElement(base, "entry", name="security"), "rules"), "list")
    for name in names:
        SubElement(listed, "member").text = name
    return root


def hits_in(answer: Answer) -> dict[str, Hits]:
    path = "rule-hit-count/vsys/entry/rule-base/entry/rules/entry"
    found = [] if answer.result is None else answer.result.findall(path)
    return {entry.get("name", ""): _hits(entry) for entry in found}


def _hits(entry: Element) -> Hits:
    when = (f"{name}-timestamp" for name in ("last-hit", "rule-creation", "last-reset"))
    last_s, created_s, reset_s = (float(_number(entry, name)) for name in when)
    is_latest = (entry.findtext("latest") or "").strip() == "yes"
    return Hits(_number(entry, "hit-count"), last_s, created_s, is_latest, reset_s)


def _number(entry: Element, name: str) -> int:
    text = (entry.findtext(name) or "").strip()
    return int(text) if text.isdecimal() and len(text) < 19 else 0
