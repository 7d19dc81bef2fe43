"""The canary: a tag of this Stagedoor's own on an address of nobody's, which ends unless it is renewed.

While it is there the firewall still has the table that we wrote; once it is missing the table was lost, or another unit
has taken over, and everything is read anew. It carries the name of the instance: another one's canary means that two
Stagedoors would undo each other's work on one firewall, and whoever sees it stops.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from gateway.engine.network.faults import Rejected
from gateway.engine.network.panos import names
from gateway.engine.network.panos.device.client import Client
from gateway.engine.network.panos.device.userid import NEVER, Entry, Message, Told, What, told
from gateway.engine.network.panos.tags.reading import read_one

WHO: Final = (What.ADDRESS, names.CANARY_ADDRESS)
_FAMILY: Final = names.canary_tag("").rpartition("-")[0]  # what all their names begin with


class Canary:
    """Of one instance. ``is_set``: whether the unit that was written to last should have it."""

    def __init__(self, instance: str, lasts_s: float, now: Callable[[], float]) -> None:
        self.tag = names.canary_tag(instance)
        self.is_set = False
        self._instance = instance
        self._lasts_s = lasts_s
        self._now = now

    async def is_alive(self, client: Client) -> bool:
        """Whether it is there. Raises `Rejected` where another instance's is; ours is kept alive then, so that both
        go on standing still until one is ended. Raises `DeviceFault`."""
        found = await read_one(client, WHO)
        rivals = sorted(tag for tag in found if tag.startswith(_FAMILY) and tag != self.tag)
        if rivals:
            if self.tag in found:
                await self._tell(client)
            raise Rejected(
                f"another Stagedoor writes tags to {client.where} (`{rivals[0]}`), so this one (`{self._instance}`) "
                f"does not: end one of them; after a change of `instance` wait {self._lasts_s:.0f} s"
            )
        return self.tag in found

    async def renew(self, client: Client) -> bool:
        """Whether it was there until now, which some firewalls do not say: then it was. Raises `DeviceFault`, also
        where another instance was quicker. A firewall that does not keep it has lost nothing when it is missing."""
        is_new = not self.is_set
        failed, lacked = await self._tell(client)
        self.is_set = not failed and (not is_new or await self.is_alive(client))
        return WHO not in lacked

    async def _tell(self, client: Client) -> Told:
        """A table that is full has no room for it either, and refuses it."""
        end = int(self._now() + self._lasts_s)
        gone = Entry(*WHO, ((self.tag, NEVER),))
        message = Message([gone], [gone._replace(tags=((self.tag, end),))])
        return await told(client, message, self._now)
