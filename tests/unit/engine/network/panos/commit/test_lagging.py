"""Firewalls behind a Panorama that do not say what they have: named, and nobody else waits for them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from gateway.engine.network.faults import Busy, Unreachable
from gateway.engine.network.panos.device import groups
from gateway.engine.network.panos.target import PanosTarget
from gateway.engine.network.plans.plan import Observed
from gateway.engine.network.transport.silence import answering, heard
from tests.support.panos import RunningFirewall
from tests.support.panos_change import Scene
from tests.support.panos_panorama import applied, silent, targeted
from tests.support.panos_rules import DESIRED

SHORT_S, LONG_S = 0.5, 20.0
PUSHED = "/config/panorama/"
Told = Callable[[Scene, PanosTarget, tuple[RunningFirewall, ...]], Coroutine[None, None, None]]


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(groups, "SILENT_S", SHORT_S)


def with_rules(folder: Path, told: Told) -> None:
    """Both firewalls of the group have ours."""

    async def main() -> None:
        async with targeted(folder) as (scene, target, firewalls):
            assert (await applied(target))[1].done
            await told(scene, target, firewalls)

    asyncio.run(main())


def behind(observed: Observed) -> tuple[str, ...]:
    return tuple(observed.parts["behind"])


def test_one_that_hangs_is_named_and_the_others_are_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def told(scene: Scene, target: PanosTarget, firewalls: tuple[RunningFirewall, ...]) -> None:
        hung, other = firewalls
        holder = other.device.configuration.running.find(".//pre-rulebase/security/rules")
        assert holder is not None
        holder.clear()
        client = scene.units.clients[0]
        monkeypatch.setattr(client, "read", silent(client, hung.device.serial, PUSHED))
        begun = time.monotonic()
        async with answering(3 * SHORT_S):
            observed = await target.observe()
        assert time.monotonic() - begun < LONG_S
        assert behind(observed) == (other.device.serial,)
        (remark,) = [each for each in observed.remarks if hung.device.serial in each]
        assert remark == (
            f"1 firewall of the group does not say what it has, `{hung.device.serial}`: no answer within {SHORT_S} s"
        )

    with_rules(tmp_path, told)


def test_one_that_refuses_is_named_with_its_words(tmp_path: Path) -> None:
    async def told(scene: Scene, target: PanosTarget, firewalls: tuple[RunningFirewall, ...]) -> None:
        def refuses(_: int, said: dict[str, str]) -> None:
            if said.get("target") == firewalls[1].device.serial and PUSHED in said.get("xpath", ""):
                raise Unreachable("it hung up")

        scene.before_call = refuses
        observed = await target.observe()
        assert behind(observed) == ()
        assert any(firewalls[1].device.serial in each and "it hung up" in each for each in observed.remarks)

    with_rules(tmp_path, told)


def test_one_that_says_much_slowly_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def told(scene: Scene, target: PanosTarget, firewalls: tuple[RunningFirewall, ...]) -> None:
        client = scene.units.clients[0]
        read = client.read

        async def slowly(parameters: dict[str, str], *rest: Any) -> Any:
            if PUSHED in parameters.get("xpath", ""):
                for _ in range(4):
                    await asyncio.sleep(SHORT_S / 2)
                    heard()
            return await read(parameters, *rest)

        monkeypatch.setattr(client, "read", slowly)
        async with answering(2 * SHORT_S):
            observed = await target.observe()
        assert observed.remarks == () and behind(observed) == ()

    with_rules(tmp_path, told)


def test_nothing_is_written_while_one_does_not_say_whether_it_would_take_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        async with targeted(tmp_path) as (scene, target, firewalls):
            hung, client = firewalls[1].device.serial, scene.units.clients[0]
            plan = target.plan(DESIRED, await target.observe(), "2027-01-15T08:00:00Z")
            monkeypatch.setattr(client, "read", silent(client, hung, "locks"))
            with pytest.raises(Busy, match=f"firewall {hung} of .* does not say whether it would take a push"):
                await target.apply(plan)
            assert not any(call.get("action") == "multi-config" for call in scene.calls)

    asyncio.run(main())
