"""A Panorama with two firewalls in one device group, as the change procedure and as the reconciler see it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from gateway.engine.network.panos.device.answers import Answer
from gateway.engine.network.panos.device.client import Client
from gateway.engine.network.panos.target import PanosTarget
from gateway.engine.network.plans.plan import Outcome, Plan
from gateway.lab.panos.device import Device
from gateway.lab.panos.tree import Change
from tests.support.panos import LOCALHOST, Clock, RunningFirewall, running_panorama
from tests.support.panos_change import ANCHORS, Scene, scene_of
from tests.support.panos_rules import DESIRED, ENVIRONMENT

GROUP = f"{LOCALHOST}/device-group/entry[@name='branches']"


@asynccontextmanager
async def panorama(folder: Path, **how: Any) -> AsyncIterator[tuple[Scene, tuple[RunningFirewall, ...]]]:
    """Two firewalls in the group `branches`, nothing of ours yet."""
    clock = Clock()
    async with running_panorama(folder, 2, clock=clock, **how) as (first, *firewalls):
        inside = "".join(f"<entry name='{each.device.serial}'/>" for each in firewalls)
        written(first.device, GROUP, f"<devices>{inside}</devices>")
        for name in ANCHORS:
            written(first.device, f"{GROUP}/pre-rulebase/security/rules", anchor(name))
        async with scene_of(folder, clock, first, device_group="branches") as scene:
            yield scene, tuple(firewalls)


def written(device: Device, path: str, element: str) -> None:
    device.configuration.write("admin", [Change("set", path, element)])
    staged = device.configuration.staged()
    device.configuration.land(staged, device.configuration.built(staged))


def anchor(name: str) -> str:
    lists = "".join(
        f"<{tag}><member>any</member></{tag}>"
        for tag in ("from", "to", "source", "destination", "application", "service")
    )
    return f"<entry name='{name}'>{lists}<action>deny</action><disabled>yes</disabled></entry>"


def pushed(firewall: RunningFirewall) -> list[str]:
    holder = firewall.device.configuration.running.find("./panorama")
    rules = [] if holder is None else holder.findall(".//pre-rulebase/security/rules/entry")
    return [rule.get("name", "") for rule in rules]


@asynccontextmanager
async def targeted(folder: Path) -> AsyncIterator[tuple[Scene, PanosTarget, tuple[RunningFirewall, ...]]]:
    """The same Panorama as the reconciler sees it."""
    async with panorama(folder) as (scene, firewalls):
        yield scene, PanosTarget(scene.units, ENVIRONMENT, lambda desired: (), folder), firewalls


def silent(client: Client, serial: str, word: str) -> Callable[..., Coroutine[Any, Any, Answer]]:
    """``client.read``, for which the firewall of this serial says nothing to what has this word in it."""
    read = client.read

    async def read_or_wait(parameters: Mapping[str, str], *rest: Any) -> Answer:
        if parameters.get("target") == serial and any(word in each for each in parameters.values()):
            await asyncio.Event().wait()
        return await read(parameters, *rest)

    return read_or_wait


async def applied(target: PanosTarget) -> tuple[Plan, Outcome]:
    plan = target.plan(DESIRED, await target.observe(), "2027-01-15T08:00:00Z")
    return plan, await target.apply(plan)
