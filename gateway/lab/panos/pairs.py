"""Two firewalls as an active/passive pair: who is active, and how far the passive one is behind.

Only what was committed goes over, after the lag; the passive one refuses to be written to. Whether registered tags go
over, no public text says: a knob.
"""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING
from xml.etree.ElementTree import Element

from gateway.lab.panos.answers import Declined, element

if TYPE_CHECKING:
    from gateway.lab.panos.device import Device


class Pair:
    """``lag_s``: from a commit to the passive peer having it; ``tags_cross``: registrations reach the peer.
    ``divided``: both say that they are active, and neither hears the other."""

    def __init__(self, *, lag_s: float = 0.0, tags_cross: bool = True) -> None:
        self.devices: list[Device] = []
        self.active = 0
        self.lag_s = lag_s
        self.tags_cross = tags_cross
        self.divided = False
        self._due: float | None = None

    def is_active(self, device: Device) -> bool:
        return self.divided or self.devices[self.active] is device

    def peer_of(self, device: Device) -> Device | None:
        return None if self.divided else next((one for one in self.devices if one is not device), None)

    def fail_over(self) -> None:
        """What the peer did not have yet, it will not get."""
        if len(self.devices) > 1:
            self.active = 1 - self.active
            self._due = None

    def committed(self, device: Device) -> None:
        if self.is_active(device) and self.peer_of(device) is not None:
            self._due = device.now() + self.lag_s
            self.settle(device)

    def settle(self, device: Device) -> None:
        """Bring the passive peer up to the present."""
        active = self.devices[self.active]
        peer = self.peer_of(active)
        if self._due is not None and device.now() >= self._due and peer is not None:
            self._due = None
            peer.configuration.replace(deepcopy(active.configuration.running))
            peer.lists.adopt(peer.configuration.running)

    def synchronise(self, device: Device) -> None:
        self._due = device.now()
        self.settle(device)

    def refuse_passive(self, device: Device) -> None:
        """Raises `Declined` (15)."""
        if not self.is_active(device):
            raise Declined(15, "Operation is not allowed on a passive device")

    def state(self, device: Device) -> Element:
        peer = self.peer_of(device)
        local = element("local-info", None, *self._side(device), element("state-sync", "Complete"))
        other = element("peer-info", None, element("conn-status", "up" if peer else "down"))
        if peer is not None:
            other.extend([*self._side(peer), element("mgmt-ip", peer.address)])
        synchronised = "synchronized" if self._due is None else "synchronization in progress"
        return element(
            "group",
            None,
            element("mode", "Active-Passive"),
            local,
            other,
            element("running-sync", synchronised),
            element("running-sync-enabled", "yes"),
        )

    def _side(self, device: Device) -> list[Element]:
        state = "active" if self.is_active(device) else "passive"
        return [element("state", state), element("serial-num", device.serial), element("ha1-ipaddr", device.address)]
