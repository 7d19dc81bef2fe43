"""How often our rules are met behind a Panorama: every firewall of the group counts, and one that is silent proves
nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from gateway.engine.network.faults import Unreachable
from gateway.engine.network.panos import names
from gateway.engine.network.panos.device import groups
from gateway.engine.network.panos.rules.review import Finding, Matter
from gateway.engine.network.panos.target import PanosTarget
from tests.support.panos import Api, RunningFirewall
from tests.support.panos_change import Scene
from tests.support.panos_panorama import applied, silent, targeted
from tests.support.panos_rules import PAYMENTS

BACK = names.rule_name("back", PAYMENTS, "prod")
DAY_S = 86_400.0
Told = Callable[[Scene, PanosTarget, tuple[RunningFirewall, ...]], Coroutine[Any, Any, None]]


def after_91_days(folder: Path, told: Told) -> None:
    """Of rules that both firewalls of a device group have, and that nothing has met."""

    async def main() -> None:
        async with targeted(folder) as (scene, target, firewalls):
            assert (await applied(target))[1].done
            scene.clock.passes(91 * DAY_S)
            await told(scene, target, firewalls)

    asyncio.run(main())


async def reviewed(scene: Scene, target: PanosTarget, matter: Matter) -> list[Finding]:
    return [each for each in await target.review(scene.clock()) if each.matter is matter]


def met(firewall: RunningFirewall, at: float) -> None:
    rules = firewall.device.configuration.running.findall(".//pre-rulebase/security/rules/entry")
    uuid = next(rule.get("uuid", "") for rule in rules if rule.get("name") == BACK)
    firewall.device.hits[uuid].count, firewall.device.hits[uuid].last = 1, int(at)


def test_a_rule_of_a_panorama_is_stale_that_no_firewall_of_the_group_has_met(tmp_path: Path) -> None:
    async def told(scene: Scene, target: PanosTarget, firewalls: tuple[RunningFirewall, ...]) -> None:
        found = {each.rule: each for each in await reviewed(scene, target, Matter.STALE)}
        assert "ever on any of 2 that have it" in found[BACK].sentence
        assert (found[BACK].owner, found[BACK].entity) == ("group:default/payments", PAYMENTS)
        assert await reviewed(scene, target, Matter.UNCOUNTED) == []

    after_91_days(tmp_path, told)


def test_one_firewall_that_met_a_rule_is_enough_to_keep_it(tmp_path: Path) -> None:
    async def told(scene: Scene, target: PanosTarget, firewalls: tuple[RunningFirewall, ...]) -> None:
        met(firewalls[1], scene.clock() - DAY_S)
        found = [each.rule for each in await reviewed(scene, target, Matter.STALE)]
        assert BACK not in found and found

    after_91_days(tmp_path, told)


def _disconnected(scene: Scene, firewall: RunningFirewall) -> str:
    firewall.knobs.disconnected = True
    return "it is not connected"


def _refusing(scene: Scene, firewall: RunningFirewall) -> str:
    def refuses(_: int, said: dict[str, str]) -> None:
        if said.get("target") == firewall.device.serial and "rule-hit-count" in said.get("cmd", ""):
            raise Unreachable("it hung up")

    scene.before_call = refuses
    return "it hung up"


@pytest.mark.parametrize("how", [_disconnected, _refusing])
def test_nothing_is_stale_while_a_firewall_does_not_say_what_it_counted(
    tmp_path: Path, how: Callable[[Scene, RunningFirewall], str]
) -> None:
    async def told(scene: Scene, target: PanosTarget, firewalls: tuple[RunningFirewall, ...]) -> None:
        why = how(scene, firewalls[0])
        assert await reviewed(scene, target, Matter.STALE) == []
        (found,) = await reviewed(scene, target, Matter.UNCOUNTED)
        assert firewalls[0].device.serial in found.sentence and why in found.sentence

    after_91_days(tmp_path, told)


def test_a_firewall_that_is_silent_is_given_up_soon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(groups, "SILENT_S", 0.3)

    async def told(scene: Scene, target: PanosTarget, firewalls: tuple[RunningFirewall, ...]) -> None:
        client = scene.units.clients[0]
        monkeypatch.setattr(client, "read", silent(client, firewalls[0].device.serial, "rule-hit-count"))
        (found,) = await reviewed(scene, target, Matter.UNCOUNTED)
        assert "no answer within 0.3 s" in found.sentence

    after_91_days(tmp_path, told)


def test_a_counter_that_somebody_set_back_proves_nothing_yet(tmp_path: Path) -> None:
    async def told(scene: Scene, target: PanosTarget, firewalls: tuple[RunningFirewall, ...]) -> None:
        for hits in firewalls[1].device.hits.values():
            hits.count, hits.last, hits.reset = 0, 0, int(scene.clock() - DAY_S)
        assert await reviewed(scene, target, Matter.STALE) == []
        scene.clock.passes(91 * DAY_S)
        assert BACK in [each.rule for each in await reviewed(scene, target, Matter.STALE)]

    after_91_days(tmp_path, told)


def test_a_firewall_that_lacks_a_rule_judges_it_not(tmp_path: Path) -> None:
    async def told(scene: Scene, target: PanosTarget, firewalls: tuple[RunningFirewall, ...]) -> None:
        rules = firewalls[0].device.configuration.running.find(".//pre-rulebase/security/rules")
        assert rules is not None
        rules.remove(next(rule for rule in rules if rule.get("name") == BACK))
        assert BACK not in [each.rule for each in await reviewed(scene, target, Matter.STALE)]
        (found,) = await reviewed(scene, target, Matter.UNCOUNTED)
        assert f"does not count what meets 1 of our rules (`{BACK}`)" in found.sentence

    after_91_days(tmp_path, told)


def test_the_emulated_panorama_sums_up_what_its_firewalls_counted(tmp_path: Path) -> None:
    async def told(scene: Scene, target: PanosTarget, firewalls: tuple[RunningFirewall, ...]) -> None:
        met(firewalls[1], scene.clock() - DAY_S)
        named = f"<rules><rule-name><entry name='{BACK}'/></rule-name></rules>"
        inside = f"<pre-rulebase><entry name='security'>{named}</entry></pre-rulebase>"
        group = f"<device-group><entry name='branches'>{inside}</entry></device-group>"
        api = Api(scene.firewall)
        came = await asyncio.to_thread(api.op, f"<show><rule-hit-count>{group}</rule-hit-count></show>")
        (rule,) = came.xml.findall("result/rule-hit-count/device-group/entry/rule-base/entry/rules/entry")
        counts = {each.get("name"): each.findtext("hit-count") for each in rule.findall("device-vsys/entry")}
        serials = [each.device.serial for each in firewalls]
        assert counts == {f"branches/{serials[0]}/vsys1": "0", f"branches/{serials[1]}/vsys1": "1"}
        assert (rule.findtext("rule-state"), rule.findtext("all-connected")) == ("Partial", "yes")

    after_91_days(tmp_path, told)
