"""The self-test of names: which tagged users the firewall has never met.

A user's tag counts for nobody where User-ID writes that user's name in another way, and no firewall says so. Whom it
has mapped to an address at least once while we looked is written as it writes them; the others may merely not have come
yet.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from xml.etree.ElementTree import Element

from gateway.engine.network.faults import DeviceFault
from gateway.engine.network.panos.device.client import Client
from gateway.engine.network.panos.device.state import command


class Met:
    """Whom a firewall has mapped, of those that we tag. ``fault``: why it could not be asked last, or ""."""

    def __init__(self) -> None:
        self.users: set[str] = set()
        self.is_asked = False
        self.fault = ""
        self._asking: asyncio.Task[None] | None = None

    def ask_beside(self, client: Client, tagged: Collection[str]) -> None:
        """Its answer may be long, and nothing depends on it."""
        if tagged and (self._asking is None or self._asking.done()):
            self._asking = asyncio.get_running_loop().create_task(self.ask(client, tagged))

    async def close(self) -> None:
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.gather(self._asking, return_exceptions=True)

    async def ask(self, client: Client, tagged: Collection[str]) -> None:
        """Raises nothing that a firewall can cause."""
        wanted = frozenset(tagged)
        seen = _Seen(wanted)
        try:
            await client.op(command("show", "user", "ip-user-mapping", "all"), seen)
        except DeviceFault as fault:
            self.fault = str(fault)
            return
        self.fault = ""
        self.users = (self.users & wanted) | seen.users
        self.is_asked = True

    def never(self, tagged: Collection[str]) -> list[str]:
        """Tagged and never mapped, in order; nobody before the firewall was asked."""
        return sorted(set(tagged) - self.users) if self.is_asked else []


class _Seen:
    """Of half a million mappings those of whom we tag."""

    def __init__(self, wanted: frozenset[str]) -> None:
        self._wanted = wanted
        self.users: set[str] = set()

    def begin(self) -> None:
        self.users.clear()

    def wants(self, name: str) -> bool:
        return True

    def take(self, entry: Element) -> None:
        user = (entry.findtext("user") or "").strip().lower()
        if user in self._wanted:
            self.users.add(user)
