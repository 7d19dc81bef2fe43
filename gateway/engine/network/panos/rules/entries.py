"""All that a device has of one kind, however much: the names of everything, the fields of what may be ours.

A list is asked for whole and sifted by name while it comes, which any device can do. One with many entries of others
costs its management plane seconds each time; from then on its names alone are asked for, and then by name what may be
ours. Those are several answers, and something may have changed between them, or a device may not understand the
question: where they do not fit, the whole list is asked for after all.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal
from xml.etree.ElementTree import Element

from gateway.engine.network.faults import Rejected
from gateway.engine.network.panos.device.client import Client
from gateway.engine.network.panos.device.places import HARMLESS
from gateway.engine.network.panos.device.writes import get, show
from gateway.engine.network.panos.rules.codec import Fields, fields_of

Tree = Literal["candidate", "running"]
Wants = Callable[[str], bool]  # by the name of an entry
MANY: Final = 2_000  # entries of others in one list
NAMED: Final = 100  # entries asked for by name at once


class Entries:
    """``order``: the names of all; ``fields``, ``uuids``: of those that are wanted, by name, in the same order.
    ``twice``: one of these that came again."""

    def __init__(self, kind: str, wants: Wants) -> None:
        self.begin()
        self._kind = kind
        self._wants = wants

    def begin(self) -> None:
        self.order: list[str] = []
        self.fields: dict[str, Fields] = {}
        self.uuids: dict[str, str] = {}
        self.twice = ""

    def wants(self, name: str) -> bool:
        self.order.append(name)
        return self._wants(name)

    def take(self, entry: Element) -> None:
        name = entry.get("name", "")
        if name in self.fields:
            self.twice = name
        self.fields[name] = fields_of(self._kind, entry)
        self.uuids[name] = entry.get("uuid", "")

    @property
    def others(self) -> int:
        return len(self.order) - len(self.fields)


class Lists:
    """The lists of one device, as they are read again and again."""

    def __init__(self) -> None:
        self._long: set[str] = set()  # xpaths

    async def read(
        self, client: Client, of: Tree, xpath: str, kind: str, wants: Wants, *, whole: bool = False
    ) -> Entries:
        """``whole``: also where it is long. Raises `DeviceFault`."""
        if xpath in self._long and not whole and (found := await _by_name(client, of, xpath, kind, wants)) is not None:
            return found
        found = Entries(kind, wants)
        await _asked(client, of, xpath, found)
        if found.others > MANY:
            self._long.add(xpath)
        return found


async def _asked(client: Client, of: Tree, xpath: str, into: Entries) -> None:
    """Raises `DeviceFault`."""
    await (show if of == "running" else get)(client, xpath, sieve=into)
    if into.twice:
        raise Rejected(f"{client.where} lists `{client.shown(into.twice)}` twice: nobody can tell which of them counts")


async def _by_name(client: Client, of: Tree, xpath: str, kind: str, wants: Wants) -> Entries | None:
    """None where the answers do not fit, or tell nothing: a path that a device cannot read leads nowhere."""
    listed, found = Entries(kind, wants), Entries(kind, wants)
    await _asked(client, of, f"{xpath}/entry/@name", listed)
    wanted = list(listed.fields)  # of which nothing but the names came
    if not listed.order or not all(map(HARMLESS.match, wanted)):
        return None
    for start in range(0, len(wanted), NAMED):
        some = wanted[start : start + NAMED]
        part = Entries(kind, wants)
        await _asked(client, of, f"{xpath}/entry[{' or '.join(map(_called, some))}]", part)
        if part.order != some:
            return None
        found.fields |= part.fields
        found.uuids |= part.uuids
    found.order = listed.order
    return found


def _called(name: str) -> str:
    return f"@name='{name}'"
