"""How long a BIG-IP's plan, poll and change take for a catalog of some size, against the lab's emulator.

    python -m bench.devices [COMPONENTS …]

For each number of components, with one shared address and with an address each: seconds of a plan (read, render,
compare), of a poll for drift with its requests, and from the moment the engine has published a change until the device
has accepted its declaration, as the engine's own controller does it. The emulator runs in this process and on the same
core, so the figures hold its work, too; a real device's answers take longer than its. Ends with 1 where a promise for
1,000 components is not kept: a plan in 5 s, a poll in 3 s with fewer than 20 requests, a change accepted in 10 s.
"""

from __future__ import annotations

import asyncio
import resource
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Final, NamedTuple

from gateway import config
from gateway.config.devices import Bigip, BigipEnvironment, Devices
from gateway.engine.network.bigip.as3.assignment import Assignment
from gateway.engine.network.bigip.as3.declaration import declaration_of
from gateway.engine.network.bigip.device.units import DeviceGroup
from gateway.engine.network.bigip.target import BigipTarget
from gateway.engine.network.connecting import connection_to
from gateway.engine.network.controller import Controller
from gateway.engine.network.desired import Desired, desired_of
from gateway.engine.network.news import News
from tests.support.bigip import RunningDevice, running_device
from tests.support.network import published

PROMISED: Final = 1000  # components
PLAN_S, POLL_S, ACCEPTED_S, REQUESTS = 5.0, 3.0, 10.0, 20
ROUNDS: Final = 3
LONGEST_S: Final = 120.0
SHARED: Final = BigipEnvironment(
    "prod", "enforce", virtual_address="203.0.113.10", client_tls="/Common/clientssl",
    trust_ca="/Common/ca-bundle.crt", server_name="door.example.com",
)  # fmt: skip
POOL: Final = replace(SHARED, addresses="pool", virtual_address="", networks=("10.128.0.0/12",))


class Figures(NamedTuple):
    plan_s: float
    poll_s: float
    requests: int
    accepted_s: float

    @property
    def are_kept(self) -> bool:
        polled = self.poll_s < POLL_S and self.requests < REQUESTS
        return self.plan_s < PLAN_S and polled and self.accepted_s < ACCEPTED_S


def main() -> int:
    sizes = [int(word) for word in sys.argv[1:]] or [100, PROMISED, 4990]
    kept = True
    print(f"{'components':>10} {'addresses':<9} {'plan s':>8} {'poll s':>8} {'requests':>8} {'accepted s':>10}")
    for size in sizes:
        for at in (SHARED, POOL):
            found = asyncio.run(measured(size, at))
            said = f"{found.plan_s:>8.2f} {found.poll_s:>8.2f} {found.requests:>8} {found.accepted_s:>10.2f}"
            print(f"{size:>10} {at.addresses:<9} {said}", flush=True)
            kept = kept and (size > PROMISED or found.are_kept)
    print(f"peak of this process, emulator included: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MB")
    return 0 if kept else 1


async def measured(size: int, at: BigipEnvironment) -> Figures:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        async with running_device(folder) as device:
            (folder / "password").write_text(device.password)
            settings = Bigip(
                "dc1", (device.url,), device.username, str(folder / "password"), ca=str(device.ca),
                members=("192.0.2.21:8443", "192.0.2.22:8443"), environments=(at,),
            )  # fmt: skip
            names = [f"c{number:05d}" for number in range(size)]
            accepted_s = await _accepted(folder, device, settings, names)
            return Figures(*await _looked(folder, settings, desired_of("prod", "base", published(*names))), accepted_s)


async def _looked(folder: Path, device: Bigip, wanted: Desired) -> tuple[float, float, int]:
    """Of a plan, and of a poll with its requests: medians. Another version makes every place a step."""
    group, assignment = DeviceGroup(device), Assignment(folder)
    (at,) = device.environments

    def render(desired: Desired) -> dict[str, object]:
        return declaration_of(desired, device, at, assignment.assign(device, at, desired, 0, keep=False))

    target = BigipTarget(group, at, render)
    changed = replace(wanted, places=tuple(replace(place, owner="group:default/other") for place in wanted.places))
    planned, polled, requests = [], [], 0
    try:
        for _ in range(ROUNDS):
            began = perf_counter()
            plan = target.plan(changed, await target.observe(), "")
            planned.append(perf_counter() - began)
            assert len(plan.steps) >= len(wanted.places)
            before, began = group.requests, perf_counter()
            target.drift(wanted, plan.content, await target.observe())
            polled.append(perf_counter() - began)
            requests = group.requests - before
    finally:
        await group.close()
    return median(planned), median(polled), requests


async def _accepted(folder: Path, device: RunningDevice, settings: Bigip, names: list[str]) -> float:
    """From the publish of one service more until AS3 has taken the declaration: the median of some."""
    taken = []
    async with _following(folder, settings) as controller:
        for count in range(ROUNDS + 1):
            known = _posts(device)
            news = published(*names, *(f"n{number}" for number in range(count)))
            began = perf_counter()
            controller.follow(News(f"base{count}", news, len(names)))
            await _until_more(lambda: _posts(device), known)
            taken.append(perf_counter() - began)
            await _until_more(lambda: controller.standings()[0]["applies"].get("done", 0), count)
    return median(taken[1:])  # the first is all of them


@asynccontextmanager
async def _following(folder: Path, device: Bigip) -> AsyncIterator[Controller]:
    controller = Controller(folder, folder / "audit", connection_to)
    try:
        controller.adopt(config.Settings((), (), {}, config.Catalog(), "", "", devices=Devices((device,))))
        yield controller
    finally:
        await controller.close()


def _posts(device: RunningDevice) -> int:
    return sum(call.startswith("POST /mgmt/shared/appsvcs/declare") for call in device.unit.calls)


async def _until_more(count: Callable[[], int], known: int) -> None:
    async with asyncio.timeout(LONGEST_S):
        while count() <= known:
            await asyncio.sleep(0.01)


if __name__ == "__main__":
    sys.exit(main())
