"""A BIG-IP as the controller holds it: its targets, where clients meet it, and what may be read of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from gateway.config.devices import Bigip, BigipEnvironment
from gateway.engine.network.bigip.as3.assignment import Assignment
from gateway.engine.network.bigip.as3.declaration import declaration_of
from gateway.engine.network.bigip.device.units import DeviceGroup
from gateway.engine.network.bigip.feeding import recipe_of
from gateway.engine.network.bigip.fronts import fronts_of
from gateway.engine.network.bigip.target import BigipTarget
from gateway.engine.network.connection import Connection
from gateway.engine.network.desired import Desired
from gateway.engine.network.fronts import Front


def connection_to_bigip(device: Bigip, state_folder: Path, now: Callable[[], float] = time.time) -> Connection:
    """Opens nothing before it is asked."""
    group, assignment = DeviceGroup(device), Assignment(state_folder)

    def rendering(environment: BigipEnvironment) -> Callable[[Desired], dict[str, Any]]:
        def render(desired: Desired) -> dict[str, Any]:
            assigned = assignment.assign(device, environment, desired, int(now()))
            return declaration_of(desired, device, environment, assigned)

        return render

    def meeting(environment: BigipEnvironment) -> Callable[[Desired], Sequence[Front]]:
        def fronts(desired: Desired) -> Sequence[Front]:
            assigned = assignment.assign(device, environment, desired, int(now()), keep=False)
            return fronts_of(device, environment, desired, assigned)

        return fronts

    targets = {each.environment: BigipTarget(group, each, rendering(each)) for each in device.environments}
    fronts = {each.environment: meeting(each) for each in device.environments}
    read = device.environments if device.readers.networks else ()
    feeds = {each.environment: recipe_of(device, rendering(each)) for each in read}
    return Connection(targets, group.close, lambda: group.logins, fronts, feeds)
