"""Whole configurations: what runs, the candidate and how they differ; those kept under a name, and loaded from there.

Loading takes the whole candidate away, everybody's unfinished work with it, and what was loaded can only be committed
as a whole. A snapshot that nobody named is written with every save, for `load config last-saved`.
"""

from __future__ import annotations

import re
from copy import deepcopy
from difflib import unified_diff
from typing import Final
from xml.etree.ElementTree import Element, indent, tostring

from gateway.lab.panos import tree
from gateway.lab.panos.answers import Answer, Declined, at, element, nth, read, result
from gateway.lab.panos.device import Device, LogLine
from gateway.lab.panos.shows import Asked

RUNNING: Final = "running-config.xml"
SNAPSHOT: Final = ".snapshot.xml"
NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,62}")


def save(asked: Asked) -> Answer:
    """`save config to NAME`: the candidate. Raises `Declined`."""
    device, name = asked.device, _named((asked.node.text or "").strip())
    kept = deepcopy(device.configuration.candidate)
    tree.unstamp(kept, None)
    device.saved[name] = device.saved[SNAPSHOT] = kept
    return result(text=f"Config saved to {name}")


def load(asked: Asked) -> Answer:
    """`load config {from NAME|last-saved|version N}`. Raises `Declined`."""
    device, node = asked.device, asked.node
    name = {"last-saved": SNAPSHOT, "version": f"version {(node.text or '').strip()}"}.get(node.tag)
    name = name or (node.text or "").strip()
    device.refuse_write(asked.admin, "shared")
    if device.jobs.under_way():
        raise Declined(14, "Local commit jobs are queued. Load operation is not allowed.")
    if name == RUNNING:
        device.configuration.revert()
    else:
        device.configuration.load(asked.admin.name, _kept(device, name))
    device.log.append(LogLine(asked.admin.name, "load", name, device.now()))
    return result(element("msg", None, element("line", f"Config loaded from {name.removeprefix('.')}")))


def _kept(device: Device, name: str) -> Element:
    if name.startswith("version "):
        return past(device, name.removeprefix("version "))
    if name not in device.saved:
        raise Declined(7, f"{name.removeprefix('.')} not found")
    return device.saved[name]


def past(device: Device, number: str) -> Element:
    """A running configuration of the past, the first is 1. Raises `Declined`."""
    history = [*device.configuration.history, device.configuration.running]
    if not (place := nth(number, len(history))):
        raise Declined(7, f"version {number} not found")
    return history[place - 1]


def audited(asked: Asked) -> Answer:
    """`show config audit version N`."""
    return result(past(asked.device, at(asked.node, "version") or (asked.node.text or "").strip()))


def show(asked: Asked) -> Answer:
    """`show config saved NAME`."""
    return result(_kept(asked.device, _named((asked.node.text or "").strip())))


def delete(asked: Asked) -> Answer:
    """`delete config saved NAME`."""
    name = _named((asked.node.text or "").strip())
    _kept(asked.device, name)
    del asked.device.saved[name]
    return result(text=f"{name} deleted")


def keep(device: Device, name: str, content: bytes) -> None:
    """An imported file. Raises `Declined`."""
    root = read(content)
    if root.tag != "config":
        raise Declined(12, f"{name} is not a configuration: it begins with {root.tag}")
    device.saved[_named(name)] = root


def _named(name: str) -> str:
    if not NAME.fullmatch(name) or name == RUNNING:
        raise Declined(12, f" {name} is an invalid name")
    return name


# === as they are now ===


def show_one(asked: Asked) -> Answer:
    """`show config {running|candidate|merged}`: of a firewall nothing that its Panorama pushed."""
    device = asked.device
    root = device.configuration.running if asked.node.tag == "running" else device.configuration.candidate
    own = element("config", None, *(part for part in root if device.panorama or part.tag != "panorama"))
    own.attrib.update(root.attrib)
    return result(own)


def differences(asked: Asked) -> Answer:
    """`show config diff`: from what runs to the candidate, as text."""
    held = asked.device.configuration
    before, after = (_lines(root) for root in (held.running, held.candidate))
    return result(text="\n".join(list(unified_diff(before, after, "running", "candidate", lineterm=""))))


def _lines(root: Element) -> list[str]:
    copy = deepcopy(root)
    tree.unstamp(copy, None)
    indent(copy)
    return tostring(copy, "unicode").splitlines()
