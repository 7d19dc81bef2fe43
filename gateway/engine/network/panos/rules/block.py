"""What is ours on a device, read from its candidate or from what runs, and how it is made into something else.

Ours is what carries our mark and the environment's tag and has a name of our form; nothing else is ever written. What
has a name of ours without the tags is somebody's doubt about whose it is: it stops us until a person settles it. Our
rules lie between two anchors that the operator made, or before one rule that the operator named. Where these are
missing or in disorder nothing is written, because a rule in a wrong place is another rule.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, Literal

from gateway.config.devices import Panos
from gateway.engine.network.panos import names
from gateway.engine.network.panos.commit.change import Change
from gateway.engine.network.panos.device.client import Client
from gateway.engine.network.panos.device.places import Place, place_of_rules
from gateway.engine.network.panos.rules.changing import change_between
from gateway.engine.network.panos.rules.codec import ASTRAY, HOLDERS, RULES
from gateway.engine.network.panos.rules.content import MARK_TAG, Content, empty
from gateway.engine.network.panos.rules.entries import Entries, Lists, Tree

Fault = tuple[str, str]  # why, and what to do about it
_BLOCK: Final = "sd-block-"  # how the tags of all environments begin


@dataclass(frozen=True, slots=True)
class Sighted:
    """One tree. ``order``: all rules of the rulebase. ``extra``: not ours, amid ours. ``astray``: ours, not between the
    anchors, which their fields say, too. ``alike``: with a name of ours, and not our tags. ``foreign``: the others, if
    they were asked for."""

    content: Content
    order: tuple[str, ...]
    uuids: Mapping[str, str] = field(default_factory=dict)
    extra: tuple[str, ...] = ()
    astray: tuple[str, ...] = ()
    alike: tuple[str, ...] = ()
    faults: tuple[Fault, ...] = ()  # of the anchors
    awake: tuple[str, ...] = ()  # anchors of ours that are not disabled, and so decide themselves
    foreign: tuple[Mapping[str, Any], ...] = ()

    @property
    def is_empty(self) -> bool:
        kinds = ("services", "addresses", "address_groups", "user_groups", "rules")
        return not any(self.content[kind] for kind in kinds)


class Block:
    """One environment on one device; `Owned` for who commits it."""

    def __init__(self, device: Panos, environment: str) -> None:
        self.device = device
        self.place: Place = place_of_rules(device)
        self.nothing = empty(device, environment)
        self._anchors = self.nothing["place"]["anchors"]
        self.tag = names.block_tag(environment)
        self._lists = Lists()

    async def read(self, client: Client, of: Tree) -> Content:
        """Raises `DeviceFault`."""
        return (await self.sighted(client, of)).content

    def change(self, before: Any, after: Any) -> Change:
        return change_between(self.place, before or self.nothing, after or self.nothing)

    async def sighted(self, client: Client, of: Tree, *, foreign: bool = False) -> Sighted:
        """``foreign``: with what the rules of others say. Raises `DeviceFault`."""
        held = {}
        for kind, holder in HOLDERS.items():
            xpath = f"{self.place.base}/{holder}"
            held[kind] = await self._lists.read(client, of, xpath, kind, partial(self._may_be_ours, kind))
        wants = _everything if foreign else partial(self._may_be_ours, RULES)
        rules = await self._lists.read(client, of, self.place.rules, RULES, wants, whole=foreign)
        return await asyncio.to_thread(self._sorted, held, rules)

    def _may_be_ours(self, kind: str, name: str) -> bool:
        """By its name alone."""
        if kind == "tags":
            return name.casefold() == names.MARK or name == self.tag
        return names.is_ours(name) or (kind == RULES and name in self._anchors)

    # === whose is what ===

    def _sorted(self, held: Mapping[str, Entries], rules: Entries) -> Sighted:
        content, alike = deepcopy(self.nothing), []
        for kind, entries in held.items():
            for name, fields in entries.fields.items():
                whose = "ours" if kind == "tags" else self._whose(name, fields["tag"])
                if name.casefold() == names.MARK and kind == "tags":  # a colour of it is nobody's harm
                    content[kind][names.MARK] = MARK_TAG
                elif whose == "ours":
                    content[kind][name] = fields
                elif whose == "alike":
                    alike.append(name)
        if self.tag not in content["tags"]:
            content["tags"].clear()  # the mark of others of ours
        content.update({kind: dict(sorted(content[kind].items())) for kind in held})
        return self._placed(content, alike, rules)

    def _placed(self, content: Content, alike: list[str], rules: Entries) -> Sighted:
        whose = {name: self._whose(name, rule["tag"]) for name, rule in rules.fields.items()}
        content["rules"] = [rule for name, rule in rules.fields.items() if whose[name] == "ours"]
        within, faults = self._within(rules.order, {rule["name"] for rule in content["rules"]})
        inside = set(within)
        for rule in content["rules"]:
            if not faults and rule["name"] not in inside:
                rule[ASTRAY] = True
        return Sighted(
            content=content,
            order=tuple(rules.order),
            uuids={rule["name"]: rules.uuids[rule["name"]] for rule in content["rules"]},
            extra=tuple(name for name in within if whose.get(name, "foreign") in ("foreign", "alike")),
            astray=tuple(rule["name"] for rule in content["rules"] if ASTRAY in rule),
            alike=(*alike, *(name for name in rules.fields if whose[name] == "alike")),
            faults=faults,
            awake=tuple(rule["name"] for rule in rules.fields.values() if self._is_awake(rule)),
            foreign=tuple(rule for name, rule in rules.fields.items() if whose[name] == "foreign"),
        )

    def _whose(self, name: str, tags: Iterable[str]) -> Literal["ours", "kin", "alike", "foreign"]:
        """``kin``: of another environment of ours."""
        held = {tag.casefold() for tag in tags}
        marked = names.MARK in held and any(tag.startswith(_BLOCK) for tag in held)
        if not names.is_ours(name):
            return "foreign"
        if not marked:
            return "alike"
        return "ours" if self.tag in held else "kin"

    def _is_awake(self, rule: Mapping[str, Any]) -> bool:
        """One rule that the operator named is a rule of theirs; the two that only mark a place are to be disabled."""
        return len(self._anchors) == 2 and rule["name"] in self._anchors and not rule["disabled"]

    def _within(self, order: list[str], ours: Collection[str]) -> tuple[list[str], tuple[Fault, ...]]:
        """The rules of the block, and what is wrong with its anchors."""
        missing = [name for name in self._anchors if name not in order]
        if missing:
            return [], tuple((f"the rule `{name}`, which ours lie by, is not there", "make it") for name in missing)
        last = order.index(self._anchors[-1])
        if len(self._anchors) == 1:
            first = next((position for position, name in enumerate(order[:last]) if name in ours), last)
            return order[first:last], ()
        first = order.index(self._anchors[0]) + 1
        if first > last:
            return [], ((f"the rule `{self._anchors[0]}` stands below `{self._anchors[-1]}`", "put it above"),)
        return order[first:last], ()


def _everything(name: str) -> bool:
    return True
