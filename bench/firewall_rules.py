"""How long a firewall with a large rulebase takes to be looked at, planned and changed, against the lab's emulator.

    python -m bench.firewall_rules [RULES SYSTEMS]

``RULES`` of others, of 1.4 KB each, stand on the firewall; ``SYSTEMS`` of ours come, each with a virtual address of its
own, which is two rules and up to four objects. The emulator is a process of its own. Seconds are processor time of this
process, TLS included; beside them what the whole takes here, the emulator's share included; a real firewall's commit
takes minutes. The hold-up is the longest that the event loop was kept from anything else.
"""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
import resource
import sys
import tempfile
from collections.abc import Awaitable
from multiprocessing.connection import Connection
from pathlib import Path
from time import monotonic, process_time
from typing import Any, Final
from xml.etree.ElementTree import fromstring

from gateway.config.devices import Leg, Panos, PanosEnvironment
from gateway.engine.network.desired import Desired, Place
from gateway.engine.network.fronts import Front
from gateway.engine.network.panos.device.units import Units
from gateway.engine.network.panos.target import PanosTarget
from gateway.engine.network.transport.patience import Limits, Time
from gateway.lab.panos.device import Device
from policy.coarse import Scope
from tests.support.panos import Api, RunningFirewall, in_thread, rule

RULES: Final = 10_000
SYSTEMS: Final = 2_000
ABOVE: Final = 100  # rules of others above ours
LIMITS: Final = Limits(call=300.0, connect=30.0, read=60.0, write=60.0, task=1200.0)
ENVIRONMENT: Final = PanosEnvironment(
    "prod", "enforce", front=Leg(("trust",), ("dmz",)), back=Leg(("dmz",), ("untrust",)),
    doors=("198.51.100.21",), networks=("10.0.0.0/8",),
)  # fmt: skip
_ABOUT: Final = "Ticket CHG0012345: asked for by the owner, approved by network security, reviewed every year. " * 5
MADE: Final = "2027-01-15T08:00:00.000Z"


def main() -> int:
    gc.set_threshold(100_000, 50, 1000)  # as the engine has it
    rules, systems = map(int, sys.argv[1:3] or (RULES, SYSTEMS))
    here, there = multiprocessing.Pipe()
    emulator = multiprocessing.get_context("spawn").Process(target=serve, args=(there, rules), daemon=True)
    emulator.start()
    url, ca, key = here.recv()
    print(f"{rules} rules of others, {systems} systems of ours")
    print(f"{'':>24} {'CPU s':>7} {'all s':>7} {'requests':>8} {'hold-up ms':>10} {'peak MB':>8}")
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(measured(Path(folder), Panos("edge", (url,), (key,), ca, environments=(ENVIRONMENT,)), systems))
    here.send(None)
    emulator.join(10)
    return 0


async def measured(folder: Path, device: Panos, systems: int) -> None:
    units = Units(device, Time(monotonic, lambda _: asyncio.sleep(0.05)), LIMITS)
    target = PanosTarget(units, ENVIRONMENT, fronts_of, folder)
    try:
        wish = company(systems)
        observed = await _measured("first look", units, target.observe())
        plan = await _measured("plan", units, asyncio.to_thread(target.plan, wish, observed, MADE))
        outcome = await _measured("apply", units, target.apply(plan))
        assert outcome.done, outcome
        observed = await _measured("look again", units, target.observe())
        again = await _measured("plan again", units, asyncio.to_thread(target.plan, wish, observed, MADE))
        assert not again.steps
        await _measured("review", units, target.review(1_900_000_000.0))
        print(outcome.sentence)
    finally:
        await units.close()


async def _measured(what: str, units: Units, doing: Awaitable[Any]) -> Any:
    asked = sum(client.https.requests for client in units.clients)
    watch = _Watch()
    watching = asyncio.get_running_loop().create_task(watch.keep())
    began, used = monotonic(), process_time()
    try:
        return await doing
    finally:
        watching.cancel()
        asked = sum(client.https.requests for client in units.clients) - asked
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        spent = f"{process_time() - used:7.2f} {monotonic() - began:7.2f}"
        print(f"{what:>24} {spent} {asked:8} {watch.longest_s * 1000:10.0f} {peak:8}", flush=True)


class _Watch:
    def __init__(self) -> None:
        self.longest_s = 0.0

    async def keep(self) -> None:
        while True:
            used = process_time()
            await asyncio.sleep(0.001)
            self.longest_s = max(self.longest_s, process_time() - used)


# === what there is ===


def company(systems: int) -> Desired:
    numbers = [f"{number:05}" for number in range(systems)]
    places = tuple(
        Place(f"component:default/s{each}", f"Service {each}", f"group:default/t{each}", f"system:default/s{each}", "",
              f"s{each}.example.com", "/", upstreams=("http://10.1.2.3:8080",))
        for each in numbers
    )  # fmt: skip
    scopes = tuple(
        Scope(place.system, "prod", place.owner, (place.entity,), (place.owner,), (), False, False, ("r",))
        for place in places
    )
    return Desired("prod", "v1", places, scopes)


def fronts_of(desired: Desired) -> list[Front]:
    return [
        Front(place.entity, "", "", place.host, "/", f"198.18.{number // 250}.{number % 250 + 1}", 443, f"/vs{number}")
        for number, place in enumerate(desired.places)
    ]


def serve(pipe: Connection, rules: int) -> None:
    """The emulator, in a process of its own, until it is told to end."""
    device = Device(model="PA-5220")
    held = device.configuration.running.find("./devices/entry/vsys/entry/rulebase/security/rules")
    assert held is not None
    others = [fromstring(_foreign(number)) for number in range(rules)]
    anchors = [fromstring(rule(name, action="deny", disabled="yes")) for name in ("sd-begin", "sd-end")]
    held.extend([*others[:ABOVE], *anchors, *others[ABOVE:]])
    device.configuration.replace(device.configuration.running)
    with tempfile.TemporaryDirectory() as name, in_thread(Path(name), device) as (firewall,):
        key = Path(name) / "key"
        key.write_text(_key(firewall))
        key.chmod(0o600)
        pipe.send((firewall.url, str(firewall.ca), str(key)))
        pipe.recv()


def _foreign(number: int) -> str:
    return rule(
        f"allow-{number}-to-application-server", from_="trust", to="dmz", source=f"10.{number % 250}.0.0/24",
        destination=",".join(f"10.9.{number % 250}.{last}" for last in range(1, 6)), application="ssl,web-browsing",
        service="application-default", description=_ABOUT,
    )  # fmt: skip


def _key(firewall: RunningFirewall) -> str:
    return Api(firewall, "stagedoor", "lab").log_in()


if __name__ == "__main__":
    sys.exit(main())
