"""A change of rules on an emulated firewall: our own content in a small form, a second administrator beside us, and
calls that can be counted, broken and cut off at any of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from xml.etree.ElementTree import Element, tostring

from gateway.config.devices import Panos
from gateway.engine.network.faults import Unreachable
from gateway.engine.network.panos.commit.change import Change, Comment, Edit
from gateway.engine.network.panos.device.answers import Answer
from gateway.engine.network.panos.device.client import Client
from gateway.engine.network.panos.device.places import entry, place_of_rules
from gateway.engine.network.panos.device.sifting import Sieve
from gateway.engine.network.panos.device.units import Units
from gateway.engine.network.panos.device.writes import get, show
from gateway.engine.network.plans.plan import Plan
from gateway.engine.network.transport.patience import Limits, Time
from gateway.lab.panos import tree
from gateway.lab.panos.device import Device
from tests.support.panos import Clock, RunningFirewall

Content = dict[str, Any]
NOTHING: Content = {"tags": [], "rules": []}
WANTED: Content = {"tags": ["sd-e-prod-00000001"], "rules": ["sd-front-pay-00000001", "sd-front-pay-00000002"]}
LIMITS = Limits(call=20.0, connect=10.0, read=20.0, write=20.0, task=1200.0)
ME = "stagedoor"


@dataclass(frozen=True)
class Rules:
    """Content: names of tags, and of rules that carry all of them, in order. ``zone``: where the rules are for."""

    device: Panos
    zone: str = "trust"
    comments: bool = True

    async def read(self, client: Client, of: Literal["candidate", "running"]) -> Content:
        place, reading = place_of_rules(self.device), get if of == "candidate" else show
        return {
            "tags": sorted(_ours(await reading(client, f"{place.base}/tag/entry"))),
            "rules": _ours(await reading(client, f"{place.rules}/entry")),
        }

    def change(self, before: Content, after: Content) -> Change:
        place = place_of_rules(self.device)
        tags = {name: f"{place.base}/tag/{entry(name)}" for name in [*before["tags"], *after["tags"]]}
        rules = {name: f"{place.rules}/{entry(name)}" for name in [*before["rules"], *after["rules"]]}
        edits = [Edit("delete", rules[name]) for name in before["rules"] if name not in after["rules"]]
        edits += [Edit("edit", tags[name], f"<entry name='{name}'/>") for name in after["tags"]
                  if name not in before["tags"]]  # fmt: skip
        fresh = [name for name in after["rules"] if name not in before["rules"]]
        for name in fresh:
            edits.append(Edit("edit", rules[name], self._rule(name, after["tags"])))
            if "sd-end" in ANCHORS:
                edits.append(Edit("move", rules[name], where="before", dst="sd-end"))
        edits += [Edit("delete", tags[name]) for name in before["tags"] if name not in after["tags"]]
        comments = tuple(Comment(rules[name], f"why {name} is there") for name in fresh if self.comments)
        ours = (*tags.values(), *rules.values(), *(f"{place.rules}/{entry(name)}" for name in ANCHORS))
        return Change(tuple(edits), comments, ours, frozenset([self.zone] if fresh else []))

    def _rule(self, name: str, tags: list[str]) -> str:
        rule = Element("entry", name=name)
        for what, value in [("from", self.zone), ("to", self.zone), ("source", "any"), ("destination", "any"),
                            ("application", "any"), ("service", "any"), ("source-user", "any")]:  # fmt: skip
            _members(rule, what, [value])
        _members(rule, "tag", tags)
        action = Element("action")
        action.text = "allow"
        rule.append(action)
        return tostring(rule, encoding="unicode")


ANCHORS = ("sd-begin", "sd-end")


def _members(rule: Element, what: str, values: list[str]) -> None:
    holder = Element(what)
    for value in values:
        member = Element("member")
        member.text = value
        holder.append(member)
    rule.append(holder)


def _ours(answer: Answer) -> list[str]:
    names = [each.get("name", "") for each in answer.result or ()]
    return [name for name in names if name.startswith("sd-") and name not in ANCHORS]


# === the scene ===


@dataclass
class Scene:
    """``before_call`` sees the number of each call (from 1) and its parameters before it is sent."""

    firewall: RunningFirewall
    units: Units
    clock: Clock
    calls: list[dict[str, str]] = field(default_factory=list)
    before_call: Callable[[int, dict[str, str]], None] = lambda number, said: None
    after_call: Callable[[int, dict[str, str]], None] = lambda number, said: None
    is_dead: bool = False

    @property
    def device(self) -> Device:
        return self.firewall.device

    @property
    def rules(self) -> Rules:
        return Rules(self.units.device)

    def named(self, root: Element) -> list[str]:
        return [each.get("name", "") for each in root.iter("entry") if each.get("name", "").startswith("sd-")]

    def edits_as(self, admin: str, path: str, element: str, action: str = "set") -> None:
        """By another administrator, at the firewall itself."""
        self.device.configuration.write(admin, [tree.Change(action, path, element)])

    def pending_of(self, admin: str) -> list[str]:
        return [each.written for each in self.device.configuration.journal if each.admin == admin]

    def locks_of(self, admin: str) -> list[str]:
        locks = self.device.config_locks.listed(), self.device.commit_locks.listed()
        return [f"{each.tag} {one.get('name')}" for each in locks for one in each if one.get("name") == admin]


def key_of(device: Device, folder: Path, admin: str = ME, password: str = "lab") -> str:
    file = folder / f"{admin}.key"
    file.write_text(device.admins.keygen(admin, password))
    return str(file)


def settings_of(folder: Path, *firewalls: RunningFirewall, **changes: Any) -> Panos:
    said: dict[str, Any] = {
        "name": "edge", "units": tuple(each.url for each in firewalls), "ca": str(firewalls[0].ca),
        "key_files": (key_of(firewalls[0].device, folder),), "concurrent": 1,
    }  # fmt: skip
    for other in firewalls[1:]:
        key_of(other.device, folder)
    return Panos(**{**said, **changes})


@asynccontextmanager
async def scene_of(folder: Path, clock: Clock, *firewalls: RunningFirewall, **changes: Any) -> AsyncIterator[Scene]:
    """``clock``: of the firewalls; whoever waits moves it."""
    device = settings_of(folder, *firewalls, **changes)
    start = clock.at

    async def sleep(seconds: float) -> None:
        clock.passes(seconds)
        await asyncio.sleep(0)

    units = Units(device, Time(lambda: clock.at - start, sleep, lambda low, high: low + 0.05 * (high - low)), LIMITS)
    scene = Scene(firewalls[0], units, clock)
    for client in units.clients:
        _counted(scene, client)
    place = place_of_rules(device)
    if not device.device_group:
        _anchored(firewalls[0].device, place.rules)
    try:
        yield scene
    finally:
        await units.close()


def _counted(scene: Scene, client: Client) -> None:
    once = client.once

    async def counted(parameters: Any, sieve: Sieve | None = None) -> Answer:
        scene.calls.append(dict(parameters))
        number = len(scene.calls)
        scene.before_call(number, scene.calls[-1])
        if scene.is_dead:
            raise Unreachable("this process is dead")
        answer = await once(parameters, sieve)
        scene.after_call(number, scene.calls[-1])
        return answer

    client.once = counted  # type: ignore[method-assign]  # each call is to be seen and cut off


def _anchored(device: Device, rules: str) -> None:
    for name in ANCHORS:
        anchor = (
            f"<entry name='{name}'><from><member>any</member></from><to><member>any</member></to>"
            "<source><member>any</member></source><destination><member>any</member></destination>"
            "<application><member>any</member></application><service><member>any</member></service>"
            "<action>deny</action><disabled>yes</disabled></entry>"
        )
        device.configuration.write("admin", [tree.Change("set", rules, anchor)])
    staged = device.configuration.staged()
    device.configuration.land(staged, device.configuration.built(staged))


def plan_of(device: Panos, content: Content) -> Plan:
    return Plan(device.name, "prod", "2027-01-15T08:00:00.000Z", "v1", "f1", (), content)
