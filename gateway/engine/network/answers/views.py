"""What administrators' pages and the API ask of devices, answered from the last look: nothing here waits for a device
for long, and nothing is changed.

A node that stands by does not look by itself; it looks when somebody reads. Checks of hosts are made while somebody
waits for a moment, and told as not checked beyond that.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final

from gateway.engine.network.controller import Controller
from gateway.engine.network.faults import DeviceFault
from gateway.engine.network.front_checks import CHECKS_S, Checks
from gateway.engine.network.fronts import Entrance, Front
from gateway.engine.network.reconcile import Lane
from gateway.engine.network.reconcile.group import Group
from gateway.engine.network.reconcile.shown import commands_of
from gateway.engine.network.reconcile.standing import short
from gateway.link import Message

ASKED: Final = frozenset(("device_view", "device_fronts"))
UNKNOWN: Final = "device_unknown"  # a code of the API's problems
OLD_S: Final = 60.0  # a look that is older is made again where nobody else does it
LOOK_S: Final = 2.0  # that a reader waits for a look
CHECKED_S: Final = 1.5  # and for checks
HOSTS: Final = 200  # whose checks are shown
PLACES: Final = 50  # of one entity


class Views:
    def __init__(self, controller: Controller) -> None:
        self._controller = controller

    async def answer(self, message: Message) -> Message:
        """The answer to one of `ASKED`."""
        if message["t"] == "device_fronts":
            return {"fronts": self.fronts(str(message.get("entity", "")))}
        group = self._controller.groups.get(str(message.get("device", "")))
        lane = group.lanes.get(str(message.get("environment", ""))) if group is not None else None
        if group is None or lane is None:
            return {"fault": UNKNOWN}
        return {"view": await self._view(group, lane)}

    async def checks(self, lane: Lane, within_s: float = CHECKS_S) -> Checks | None:
        """None where clients meet nothing there, or where that is not known in time."""
        controller = self._controller
        try:
            async with asyncio.timeout(2 * within_s):
                entrances = await self.entrances(lane.target.environment)
        except (TimeoutError, DeviceFault):
            return None
        own = next((each for each in entrances if each.device == lane.target.device), None)
        return await controller.checks.of(own, entrances, within_s) if own is not None and own.addresses else None

    async def entrances(self, environment: str) -> list[Entrance]:
        """Of all devices that have the environment."""
        lanes = [group.lanes.get(environment) for group in self._controller.groups.values()]
        found = [await self._controller.entrance(lane) for lane in lanes if lane is not None]
        return [each for each in found if each is not None]

    async def _view(self, group: Group, lane: Lane) -> dict[str, Any]:
        now_s = self._controller.now()
        looked_s = lane.seen.looked_s
        if not self._controller.leads and lane.desired is not None and (looked_s or 0.0) < now_s - OLD_S:
            await asyncio.wait([group.look_beside(lane.target.environment)], timeout=LOOK_S)
        checks = await self.checks(lane, CHECKED_S)
        shown, device, environment = lane.shown, lane.target.device, lane.target.environment
        return {
            "standing": lane.standing().as_json(self._controller.now()),
            "plan": shown.plan if shown is not None else None,
            "drift": shown.drift if shown is not None else None,
            "fronts": shown.fronts if shown is not None else None,
            "asks": [{name: short(text) for name, text in each._asdict().items()} for each in lane.asks],
            "commands": _commands(lane, shown.commands if shown is not None else commands_of(device, environment)),
            "checks": checks.as_json(HOSTS) if checks is not None else None,
            "applies": self._controller.trail.recent(device, environment),
        }

    # === one service ===

    def fronts(self, entity: str) -> list[dict[str, Any]]:
        """Where clients of a service meet it, and whether that is as the catalog says."""
        found = []
        for _, group in sorted(self._controller.groups.items()):
            for _, lane in sorted(group.lanes.items()):
                if lane.shown is not None and (front := lane.shown.by_entity.get(entity)) is not None:
                    found.append(_front_as_json(lane, front, lane.shown.waiting.get(entity, 0)))
        return found[:PLACES]


def _commands(lane: Lane, commands: Mapping[str, str]) -> dict[str, str]:
    ticket = " --ticket ID" if lane.terms.ticket else ""
    return {**commands, "apply": commands["apply"] + ticket}


def _front_as_json(lane: Lane, front: Front, waiting: int) -> dict[str, Any]:
    state = "unknown" if lane.fault else "waiting" if waiting else "in-step"
    return {
        "environment": lane.target.environment,
        "device": lane.target.device,
        "object": front.object,
        "address": front.address,
        "port": front.port,
        "state": state,
        "sentence": _sentence(lane, front, state, waiting),
    }


def _sentence(lane: Lane, front: Front, state: str, waiting: int) -> str:
    at = f"[{front.address}]" if ":" in front.address else front.address
    where = f"On {lane.target.device} clients meet it at {at}:{front.port} ({front.object})"
    if state == "unknown":
        return f"{where}; whether it is in step is not known, the device could not be read."
    if state == "waiting":
        return f"{where}; {waiting} step{' about it waits' if waiting == 1 else 's about it wait'} to be applied."
    return f"{where}, which is in step with the catalog."
