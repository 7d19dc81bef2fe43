"""A small company before a firewall: two systems, their people, doors and services, and what the firewall is told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, NamedTuple

from gateway.config.devices import Direct, Leg, Panos, PanosEnvironment
from gateway.engine.network.desired import Desired, Place
from gateway.engine.network.fronts import Front
from gateway.engine.network.panos.device.client import Client
from gateway.engine.network.panos.device.units import Units
from gateway.engine.network.panos.device.writes import multi_config
from gateway.engine.network.panos.rules.block import Block
from gateway.lab.panos.admins import DEFAULT, Admin
from gateway.lab.panos.device import Device
from policy.coarse import Scope
from tests.support.panos import RULES, Api, RunningFirewall, in_thread, rule

OPERATOR: Final = Admin("operator", "operator")
PAYMENTS, LEDGER = "system:default/payments", "component:default/ledger"
TEAM, AUDIT = "group:default/payments", "group:default/audit"
FRONT, BACK, DIRECT = Leg(("trust",), ("dmz",)), Leg(("dmz",), ("untrust",)), Leg(("trust",), ("untrust",))
DATABASE = "component:default/payments-db"
PLACES = (
    Place("component:default/payments-api", "Payments", TEAM, PAYMENTS, "", "pay.example.com", "/",
          upstreams=("http://192.0.2.10:8080",)),
    Place(DATABASE, "Payments database", TEAM, PAYMENTS, "", "db.example.com", "/",
          upstreams=("https://192.0.2.11",)),
    Place(LEDGER, "Ledger", AUDIT, "", "", "ledger.example.com", "/", upstreams=("http://192.0.2.12:8090",)),
)  # fmt: skip
SCOPES = (
    Scope(LEDGER, "prod", AUDIT, (LEDGER,), (AUDIT,), ("user:default/olga",), False, False, ("r-1",)),
    Scope(PAYMENTS, "prod", TEAM, (PLACES[0].entity, DATABASE), (TEAM,), (), False, False, ("r-2",)),
)
DESIRED = Desired("prod", "v1", PLACES, SCOPES)
ENVIRONMENT = PanosEnvironment(
    "prod", "enforce", front=FRONT, back=BACK, direct=DIRECT, directs=(Direct((DATABASE,), ("tcp/5432",)),),
    virtual_addresses=("198.51.100.10",), doors=("198.51.100.21",), networks=("192.0.2.0/24",),
)  # fmt: skip
CLOSED = replace(ENVIRONMENT, closes="networks", networks=("192.0.2.0/24", "2001:db8:30::/48"))
EDGE = Panos("edge", ("https://192.0.2.1",), ("/none",), user_name="{metadata.name}", environments=(ENVIRONMENT,))


def front(entity: str, address: str, port: int = 443) -> Front:
    return Front(entity, "", "", "h.example.com", "/", address, port, "/vs")


def with_scopes(*scopes: Scope, desired: Desired = DESIRED) -> Desired:
    return replace(desired, scopes=tuple(sorted(scopes, key=lambda scope: scope.ref)))


class Standing(NamedTuple):
    """A firewall whose operator has made the anchors, and how Stagedoor reaches it."""

    firewall: RunningFirewall
    api: Api  # of the operator
    device: Panos

    def names(self) -> list[str]:
        """Of the running rules, in order."""
        found = self.api.config("show", RULES).xml.findall("result/rules/entry")
        return [entry.get("name", "") for entry in found]

    def commits(self, block: Block, before: Any, after: Any) -> None:
        """What the safe change procedure does at its heart."""

        async def scene(client: Client) -> None:
            await multi_config(client, block.change(before, after).edits)

        self.asked(scene)
        Api(self.firewall).committed()

    def asked(self, scene: Callable[[Client], Coroutine[Any, Any, Any]]) -> Any:
        async def run() -> Any:
            units = Units(self.device)
            try:
                return await scene(units.clients[0])
            finally:
                await units.close()

        return asyncio.run(run())


@contextmanager
def serving_firewall(folder: Path) -> Iterator[RunningFirewall]:
    """For a whole module; each test puts a device of its own behind it (`standing`)."""
    with in_thread(folder, Device()) as (firewall,):
        yield firewall


def standing(
    serving: RunningFirewall, folder: Path, anchors: Sequence[str] = ("sd-begin", "sd-end"), **changes: Any
) -> Standing:  # fmt: skip
    """A new device: an operator's rules around the anchors, which are disabled."""
    serving.front.device = device = Device(admins=(*DEFAULT, OPERATOR))
    firewall = RunningFirewall(device, serving.front, serving.url, serving.ca)
    operator = Api(firewall, OPERATOR.name, OPERATOR.password)
    operator.written(RULES, rule("allow-dns", destination="192.0.2.53"))
    for name in anchors:
        operator.written(RULES, rule(name, action="deny", disabled="yes"))
    operator.written(RULES, rule("deny-rest", action="deny"))
    operator.committed()
    key = folder / "firewall.key"
    key.write_text(Api(firewall).log_in())
    key.chmod(0o600)
    settings = replace(EDGE, units=(firewall.url,), key_files=(str(key),), ca=str(firewall.ca))
    return Standing(firewall, operator, replace(settings, **changes))
