"""All firewalls of one engine: what one of them must not be told is known from the settings of the others."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gateway.config.devices import Leg, Panos, PanosEnvironment
from gateway.engine.network.news import News
from gateway.engine.network.panos import names
from gateway.engine.network.panos.firewalls import Firewalls
from gateway.engine.network.panos.membership import Membership
from gateway.engine.network.plans.guards import Basis
from gateway.engine.overheard import Overlay
from tests.support.memberships import FIREWALL, NOW, desired, scope

CLOSED = names.environment_tag("prod")
DOOR, SERVICE = "192.0.2.77", "192.0.2.1"
DEV = PanosEnvironment("dev", back=Leg(), doors=(DOOR,), networks=("203.0.113.0/24",))
BRANCH = replace(FIREWALL, name="branch", environments=(DEV,))


class Told:
    """Stands in for a worker: what it was asked for last."""

    def __init__(self) -> None:
        self.notes = SimpleNamespace(write=None)
        self.wanted: Membership | None = None

    def want(self, membership: Membership) -> None:
        self.wanted = membership

    def hint(self) -> None:
        return None

    async def close(self) -> None:
        return None


async def at_once(work: Callable[..., Any], *args: Any) -> Any:
    return work(*args)


def closed_on(folder: Path, *devices: Panos, then_without: str = "") -> set[str]:
    """What the closing rule of the first keeps people from, when an owner says that the door is a service."""

    async def scene() -> set[str]:
        trail: Any = None
        firewalls = Firewalls(folder, lambda: None, at_once, lambda: NOW, lambda: Basis(1), trail, follows=False)
        first: Any = Told()
        for device in devices:
            worker: Any = first if device is devices[0] else Told()
            firewalls.begin(device, worker, leads=False)
        if then_without:
            firewalls.end(then_without)
        wish = desired([scope("pay", "pay")])
        places = tuple(replace(each, addresses=(DOOR, SERVICE)) for each in wish.places)
        wishes = {"prod": replace(wish, places=places), "dev": desired((), "dev")}
        await firewalls.tell(News("base", (), 1), Overlay(), wishes, {})
        await firewalls.close()
        return {key for key, tags in first.wanted.addresses.items() if CLOSED in tags}

    return asyncio.run(scene())


@pytest.mark.parametrize(("there", "closed"), [("", {SERVICE}), ("branch", {SERVICE, DOOR})], ids=["there", "gone"])
def test_a_door_that_another_firewall_has_is_no_service(tmp_path: Path, there: str, closed: set[str]) -> None:
    assert closed_on(tmp_path, FIREWALL, BRANCH, then_without=there) == closed
