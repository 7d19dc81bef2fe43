"""A person asks what tags would be told, and has them told: seen first, recorded, and only if it still is the same."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from gateway.engine.network.answers.requests import Requests
from gateway.engine.network.controller import Controller
from gateway.engine.network.history.trail import DeviceTrail
from gateway.engine.network.panos.membership import Membership
from gateway.engine.network.plans import plan_file
from gateway.engine.network.plans.offers import Offers
from gateway.link import Message, PeerCredentials
from tests.support.panos import Clock, running_firewall
from tests.support.tag_worker import Worked, working

ME = PeerCredentials(os.getpid(), os.getuid(), os.getgid())
TAG = "sd-g-payments-ac3dbe76"
WISH = Membership("v1", users={"corp\\jane": frozenset((TAG,))})


class Node:
    """As much of a controller as questions about tags need."""

    def __init__(self, folder: Path, worked: Worked) -> None:
        self.tags = {"edge": worked.worker}
        self.leads, self.fence, self.offers = True, None, Offers()
        self.trail = DeviceTrail(folder, lambda: 1_800_000_000_000)

    def now(self) -> float:
        return 1_800_000_000.0

    async def blocking(self, act: Callable[..., Any], *arguments: Any) -> Any:
        return await asyncio.to_thread(act, *arguments)


class Asking:
    def __init__(self, folder: Path, worked: Worked) -> None:
        self.worked, self.node = worked, Node(folder, worked)
        self._requests = Requests(cast(Controller, self.node))

    async def plan(self, device: str = "edge") -> Message:
        return await self._requests.answer({"t": "device_plan", "tags": True, "device": device}, ME)

    async def apply(self, plan: Any, **said: Any) -> Message:
        return await self._requests.answer({"t": "device_apply", "plan": plan, **said}, ME)

    def results(self) -> list[str]:
        return [each["result"] for each in self.node.trail.recent("edge", "")]


def asked(folder: Path, scene: Callable[[Asking], Coroutine[Any, Any, None]]) -> None:
    async def run() -> None:
        clock = Clock()
        async with (
            running_firewall(folder, clock=clock) as firewall,
            working(folder, firewall, clock=clock, tags="plan") as worked,
        ):
            asking = Asking(folder / "audit", worked)
            await scene(asking)
            await asyncio.to_thread(asking.node.trail.close)

    asyncio.run(run())


def test_what_was_seen_is_told_and_recorded(tmp_path: Path) -> None:
    async def scene(asking: Asking) -> None:
        asking.worked.worker.want(WISH)
        answer = await asking.plan()
        (step,) = answer["plan"]["steps"]
        assert (step["kind"], answer["hindrances"], answer["plan"]["environment"]) == ("add", [], "")
        assert asking.worked.tags("corp\\jane") == set()
        answer = await asking.apply(answer["plan"], ticket="CHG-1")
        assert (answer["done"], answer["changed"], answer["is_latest"]) == (True, True, True), answer
        assert TAG in asking.worked.tags("corp\\jane")
        assert asking.results() == ["done"]

    asked(tmp_path, scene)


def test_another_difference_than_was_seen_is_not_told(tmp_path: Path) -> None:
    async def scene(asking: Asking) -> None:
        asking.worked.worker.want(WISH)
        seen = (await asking.plan())["plan"]
        asking.worked.worker.want(Membership("v2", users={"corp\\olga": frozenset((TAG,))}))
        answer = await asking.apply(seen)
        assert (answer["fault"], asking.results()) == ("refused", ["outdated"])
        assert asking.worked.tags("corp\\jane") == asking.worked.tags("corp\\olga") == set()

    asked(tmp_path, scene)


def test_many_losses_wait_for_a_word(tmp_path: Path) -> None:
    async def scene(asking: Asking) -> None:
        many = {f"corp\\user{number}": frozenset((TAG,)) for number in range(40)}
        asking.worked.worker.want(Membership("v1", users=many))
        await asking.apply((await asking.plan())["plan"])
        asking.worked.worker.want(Membership("v2", users={"corp\\user0": frozenset((TAG,))}))
        seen = await asking.plan()
        assert [each["code"] for each in seen["hindrances"]] == ["removals"]
        assert (await asking.apply(seen["plan"]))["fault"] == "refused"
        assert (await asking.apply(seen["plan"], approve_removals=True))["done"]
        assert asking.worked.tags("corp\\user1") == set()

    asked(tmp_path, scene)


def test_before_anything_is_known_nothing_is_planned(tmp_path: Path) -> None:
    async def scene(asking: Asking) -> None:
        answer = await asking.plan()
        assert answer["fault"] == "unreachable" and "not known yet" in answer["why"]

    asked(tmp_path, scene)


def test_what_is_no_firewall_is_said(tmp_path: Path) -> None:
    async def scene(asking: Asking) -> None:
        answer = await asking.plan("dc1")
        assert (answer["fault"], "there are: edge" in answer["why"]) == ("unknown_device", True)

    asked(tmp_path, scene)


def test_a_plan_of_tags_holds_no_rules(tmp_path: Path) -> None:
    async def scene(asking: Asking) -> None:
        asking.worked.worker.want(WISH)
        plan = plan_file.from_json((await asking.plan())["plan"])
        forged = plan_file.as_json(replace(plan, content={}))
        assert (await asking.apply(forged))["fault"] == "refused"

    asked(tmp_path, scene)
