"""Which unit is active, and whether the units hold the same: a device group of one or two, and what a unit says of it.

A unit takes writes whether it is active or not; the group then says that changes are pending, until config-sync or,
where it is automatic, at once. A dry run of AS3 marks the group, too.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Protocol

from gateway.lab.bigip.presenting import HOST, stats
from gateway.lab.bigip.refusals import Json, refused
from gateway.lab.bigip.tree import Held, Tree

GROUP: Final = "/Common/stage-group"
SYNC_FAILOVER: Final = "sync-failover"
OWN: Final = ("cm/device", "net/self")  # what each unit keeps for itself


class Member(Protocol):
    hostname: str
    address: str
    tree: Tree


@dataclass
class DeviceGroup:
    members: list[Member] = field(default_factory=list)
    active: int = 0
    automatic: bool = False
    pending: bool = False

    def is_active(self, member: Member) -> bool:
        return self.members[self.active] is member

    def fail_over(self) -> None:
        self.active = (self.active + 1) % len(self.members)

    def written(self, member: Member, *, dry_run: bool) -> None:
        """A unit was written to."""
        if len(self.members) < 2:
            return
        if self.automatic and not dry_run:
            self.synchronise(member)
        else:
            self.pending = True

    def synchronise(self, source: Member) -> None:
        """Every other unit becomes as this one is."""
        for member in self.members:
            if member is not source:
                own = {name: held for name, held in member.tree.snapshot().items() if name in OWN}
                taken: Held = {name: held for name, held in source.tree.snapshot().items() if name not in OWN}
                member.tree.restore(taken | own)
        self.pending = False

    def synchronise_to(self, source: Member, group: str) -> None:
        if len(self.members) < 2 or group != GROUP:
            raise refused(400, f"01070734:3: Configuration error: The device group ({group}) does not exist.", 3)
        self.synchronise(source)


# === what a unit says ===


def failover_status(group: DeviceGroup, member: Member) -> Json:
    active = group.is_active(member)
    entries = {
        "color": "green" if active else "gray",
        "status": "ACTIVE" if active else "STANDBY",
        "summary": f"{1 if active else 0}/1 active",
    }
    return _status("failover-status", entries, "active for /Common/traffic-group-1" if active else "")


def sync_status(group: DeviceGroup, member: Member) -> Json:
    if len(group.members) < 2:
        entries = {"color": "green", "mode": "standalone", "status": "Standalone", "summary": " "}
        return _status("sync-status", entries, "Optional action: Add a device to the trust domain")
    if group.pending:
        entries = {"color": "yellow", "mode": "high-availability", "status": "Changes Pending",
                   "summary": "There is a possible change conflict between the devices of the group"}  # fmt: skip
        return _status("sync-status", entries, f"Recommended action: Synchronize {member.hostname} to group {GROUP}")
    entries = {"color": "green", "mode": "high-availability", "status": "In Sync",
               "summary": "All devices in the device group are in sync"}  # fmt: skip
    return _status("sync-status", entries, "")


def _status(name: str, entries: Json, details: str) -> Json:
    link = f"{HOST}/mgmt/tm/cm/{name}"
    inner: Json = dict(entries)
    if details:
        inner[f"{link}/0/details"] = {"nestedStats": {"entries": stats(f"{link}/0/details/0", {"details": details})}}
    return {"kind": f"tm:cm:{name}:{name}stats", "selfLink": f"{link}?ver=17.1.1", "entries": stats(f"{link}/0", inner)}


def devices(group: DeviceGroup, asked: Member) -> list[Json]:
    """The values of `cm/device`, as the asked unit tells them."""
    return [
        {
            "name": member.hostname,
            "partition": "Common",
            "fullPath": f"/Common/{member.hostname}",
            "generation": 1,
            "hostname": member.hostname,
            "managementIp": member.address,
            "failoverState": "active" if group.is_active(member) else "standby",
            "selfDevice": "true" if member is asked else "false",
            "version": "17.1.1",
        }
        for member in group.members
    ]


def device_groups(group: DeviceGroup) -> list[Json]:
    if len(group.members) < 2:
        return []
    return [
        {
            "name": GROUP.rpartition("/")[2],
            "partition": "Common",
            "fullPath": GROUP,
            "generation": 1,
            "type": SYNC_FAILOVER,
            "autoSync": "enabled" if group.automatic else "disabled",
            "devices": [
                {"name": member.hostname, "partition": "Common", "fullPath": f"/Common/{member.hostname}"}
                for member in group.members
            ],
        }
    ]
