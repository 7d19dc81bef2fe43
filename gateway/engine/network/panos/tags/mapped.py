"""The self-test of names: which tagged users the firewall has never met.

A user's tag counts for nobody where User-ID writes that user's name in another way, and no firewall says so. Whom it
has mapped to an address at least once while we looked is written as it writes them; the others may merely not have come
yet.
"""

from __future__ import annotations

from collections.abc import Collection

from gateway.engine.network.faults import DeviceFault
from gateway.engine.network.panos.device.client import Client
from gateway.engine.network.panos.device.state import command


class Met:
    """Whom a firewall has mapped, of those that we tag. ``fault``: why it could not be asked last, or ""."""

    def __init__(self) -> None:
        self.users: set[str] = set()
        self.is_asked = False
        self.fault = ""

    async def ask(self, client: Client, tagged: Collection[str]) -> None:
        """Raises nothing that a firewall can cause."""
        try:
            answer = await client.op(command("show", "user", "ip-user-mapping", "all"))
        except DeviceFault as fault:
            self.fault = str(fault)
            return
        self.fault = ""
        entries = [] if answer.result is None else answer.result.findall("entry")
        seen = {(entry.findtext("user") or "").strip().lower() for entry in entries}
        self.users = (self.users | seen) & set(tagged)
        self.is_asked = True

    def never(self, tagged: Collection[str]) -> list[str]:
        """Tagged and never mapped, in order; nobody before the firewall was asked."""
        return sorted(set(tagged) - self.users) if self.is_asked else []
