"""Configuration read and written: the candidate, what runs, one strict transaction, commits and their undoing.

Several edits go out as one transaction, which the device takes whole or not at all; strict means that it first drops
whatever our own administrator has left uncommitted, and refuses while a commit is under way. Edits that are more than a
device takes at once go out as several: the first is strict, the others add to it, and nothing of them runs before the
commit of all. Commits, validations and undoing are of our own administrator's edits, never of anybody else's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Final, Literal, NamedTuple
from urllib.parse import quote_plus
from xml.etree.ElementTree import Element, SubElement, tostring

from defusedxml.ElementTree import fromstring

from gateway.config.devices import Panos
from gateway.engine.network.faults import Rejected
from gateway.engine.network.panos.device.answers import Answer, Meaning
from gateway.engine.network.panos.device.client import Client
from gateway.engine.network.panos.device.locks import asked
from gateway.engine.network.panos.device.sifting import Sieve

PART_BYTES: Final = 4 * 1024 * 1024  # of a request: a device takes 5 MB
PARTS_MOST: Final = 16  # of one change
_SMALLER: Final = "give it fewer environments, or fewer systems, at a time"
DESCRIPTION_MOST: Final = 512
COMMENT_MOST: Final = 256


class Edit(NamedTuple):
    """``element``: XML; for `edit` its root is the last node of ``xpath``, for `set` it lies below. ``where``: of a
    move, before, after, top or bottom (``dst``)."""

    action: Literal["edit", "set", "delete", "move"]
    xpath: str
    element: str = ""
    where: str = ""
    dst: str = ""


async def get(client: Client, xpath: str, target: str = "", sieve: Sieve | None = None) -> Answer:
    """The candidate; `NOTHING` is an answer. Raises `DeviceFault`."""
    return await _read(client, "get", xpath, target, sieve)


async def show(client: Client, xpath: str, target: str = "", sieve: Sieve | None = None) -> Answer:
    """What runs; `NOTHING` is an answer. Raises `DeviceFault`."""
    return await _read(client, "show", xpath, target, sieve)


async def _read(client: Client, action: str, xpath: str, target: str, sieve: Sieve | None) -> Answer:
    said = {"type": "config", "action": action, "xpath": xpath, "target": target}
    return await client.read({name: value for name, value in said.items() if value}, sieve)


async def multi_config(client: Client, edits: Iterable[Edit]) -> None:
    """All of them in the candidate. Raises `DeviceFault`; where there is more than one request can hold, some of them
    may be there then."""
    for number, text in enumerate(await asyncio.to_thread(transactions, client.where, tuple(edits))):
        # Strict drops what our administrator has not committed: a dead process' leavings, and any part before.
        strict = {} if number else {"strict-transactional": "yes"}
        try:
            answer = await client.write({"type": "config", "action": "multi-config", **strict, "element": text})
            if answer.status != "success":  # what an edit names is not there
                raise client.refusal(answer, Meaning.NO)
        except Rejected as refusal:
            if "multi-config" not in str(refusal):
                raise
            how = "switch transactions on (`request multi-config enabled`); edits are not sent one by one"
            raise Rejected(f"{refusal}: {how}") from None


def transactions(where: str, edits: tuple[Edit, ...]) -> list[str]:
    """The requests that hold them, in order. Takes a while for many. Raises `Rejected` for more than are ever sent."""
    parts: list[list[str]] = []
    room = 0
    for number, edit in enumerate(edits, 1):
        text = _step(number, edit)
        size = len(quote_plus(text))
        if size > room:
            parts.append([])
            room = PART_BYTES
        if size > room or len(parts) > PARTS_MOST:
            raise Rejected(
                f"{where} takes at most {_mib(PART_BYTES)} at once and gets at most "
                f"{_mib(PARTS_MOST * PART_BYTES)} in one change, and this one has more: {_SMALLER}"
            )
        parts[-1].append(text)
        room -= size
    return [f"<multi-config>{''.join(part)}</multi-config>" for part in parts]


def _mib(size: int) -> str:
    return f"{size // 1024 // 1024} MiB"


def _step(number: int, edit: Edit) -> str:
    named = {"id": str(number), "xpath": edit.xpath, "where": edit.where, "dst": edit.dst}
    step = Element(edit.action, {name: value for name, value in named.items() if value})
    if edit.element:
        step.append(fromstring(edit.element, forbid_dtd=True))
    return tostring(step, encoding="unicode")


async def comment(client: Client, xpath: str, text: str) -> None:
    """The audit comment that the next commit of a rule takes along. Raises `DeviceFault`."""
    root = Element("set")
    holder = SubElement(root, "audit-comment")
    SubElement(holder, "xpath").text = xpath
    SubElement(holder, "comment").text = text[:COMMENT_MOST]
    await client.write(asked(root))


async def commit(client: Client, me: str, device: Panos, description: str) -> Answer:
    """Our administrator's edits alone, and of these only where rules of ours lie. Raises `DeviceFault`."""
    root = Element("commit")
    root.append(_ours(me, device))
    SubElement(root, "description").text = description[:DESCRIPTION_MOST]
    return await client.write({"type": "commit", "cmd": tostring(root, encoding="unicode")})


async def validate(client: Client, me: str, device: Panos) -> Answer:
    root = Element("validate")
    root.append(_ours(me, device))
    return await client.write(asked(root))


async def revert(client: Client, me: str) -> None:
    """Whatever our administrator has not committed. Raises `DeviceFault`."""
    root = Element("revert")
    partial = SubElement(SubElement(root, "config"), "partial")
    SubElement(SubElement(partial, "admin"), "member").text = me
    await client.write(asked(root))


async def push(client: Client, device: Panos, description: str) -> Answer:
    """A device group's rules to its firewalls: nothing of the firewalls' own half-done edits, no template."""
    root = Element("commit-all")
    shared = SubElement(root, "shared-policy")
    SubElement(SubElement(shared, "device-group"), "entry", {"name": device.device_group})
    for name in ("merge-with-candidate-cfg", "include-template", "force-template-values"):
        SubElement(shared, name).text = "no"
    SubElement(shared, "description").text = description[:DESCRIPTION_MOST]
    return await client.write({"type": "commit", "action": "all", "cmd": tostring(root, encoding="unicode")})


def _ours(me: str, device: Panos) -> Element:
    partial = Element("partial")
    SubElement(SubElement(partial, "admin"), "member").text = me
    if device.device_group:
        SubElement(SubElement(partial, "device-group"), "member").text = device.device_group
        SubElement(partial, "no-template")
    for name in ("shared-object", "device-and-network"):
        SubElement(partial, name).text = "excluded"
    return partial
