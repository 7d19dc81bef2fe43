"""The packet oracle as judge: the company's picture told to an emulated firewall, then every way asked of it.

`Hands` writes what the engine wishes without its worker and its change procedure, as a person would who makes no
mistake: so rules and tags are judged by themselves, and fast.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from random import Random
from typing import Final

from gateway.config.devices import Closes, PanosEnvironment
from gateway.engine.network.panos.membership import Membership
from gateway.engine.network.panos.rules.block import Block
from gateway.engine.network.panos.rules.content import Content, content_of, empty
from gateway.engine.network.panos.wishing import Wishing
from gateway.lab.panos.device import Device
from gateway.lab.panos.oracle import Packet
from gateway.lab.panos.pairs import Pair
from gateway.lab.panos.tree import Change
from tests.support.panos import RULES, Clock, rule
from tests.support.panos_company import (
    DATABASE,
    DOOR,
    ENVIRONMENT,
    LEGS,
    OWN,
    PORT,
    REALM,
    SHARED,
    STRANGER,
    TEAMS,
    Company,
    Picture,
    firewall,
    group,
)

HOUR, DAY = 3600, 86_400
ROUND_THE_DOOR = "old-round"  # somebody else's rule, which lets people come to every service


def anchored(device: Device, vsys: str = "vsys1") -> Device:
    """The anchors, and a wide rule of somebody else's behind them."""
    rules = rule("sd-begin", disabled="yes", action="deny") + rule("sd-end", disabled="yes", action="deny")
    rules += rule(ROUND_THE_DOOR, from_="trust", to="untrust")
    written(device, [Change("set", RULES.replace("vsys1", vsys), rules)], "admin")
    return device


def written(device: Device, changes: list[Change], admin: str) -> None:
    configuration, before = device.configuration, device.configuration.running
    configuration.write(admin, changes)
    staged = configuration.staged(lambda entry: entry.admin == admin)
    configuration.land(staged, configuration.built(staged))
    device.committed(admin, staged.entries, before)


FRONT: Final = ("trust", "dmz")
BACK: Final = ("dmz", "untrust")
ROUND: Final = ("trust", "untrust")


class Hands:
    """What the engine wishes, written at once."""

    def __init__(self, device: Device, legs: PanosEnvironment) -> None:
        self._device = device
        self._legs = legs
        self._settings = firewall("https://192.0.2.1", "", "", legs)
        self._block = Block(self._settings, ENVIRONMENT)
        self._wishing = Wishing(self._settings)
        self._content: Content = empty(self._settings, ENVIRONMENT)

    def follow(self, picture: Picture, now: float) -> None:
        content = content_of(picture.desired, self._settings, self._legs, picture.fronts)
        edits = self._block.change(self._content, content).edits
        if edits:
            written(self._device, [Change(*edit) for edit in edits], "stagedoor")
        self._content = content
        self.tag(self._wishing.membership(picture.facts, int(now)))

    def tag(self, wish: Membership | None) -> None:
        assert wish is not None, "everything is known"
        held = self._device.identities["vsys1"]
        held.addresses.clear()
        held.users.clear()
        for address, tags in wish.addresses.items():
            for tag in tags:
                held.addresses.register(address, tag, 0, persistent=True, refresh=True)
        for user, tags in wish.users.items():
            for tag in tags:
                held.users.register(user, tag, 0, persistent=True, refresh=True)
        for (user, tag), end in wish.timed.items():
            held.users.register(user, tag, end - self._device.now(), persistent=True, refresh=True)


def user(name: str) -> str:
    return f"{REALM}\\{name}"


def passes(
    device: Device, source: str, to: str, *, who: str = "", zones: tuple[str, str], port: int, vsys: str = "vsys1"
) -> bool:
    packet = Packet(source, to, port, from_zone=zones[0], to_zone=zones[1], user=user(who) if who else "")
    return device.evaluate(packet, vsys).allowed


def differences(device: Device, picture: Picture, now: float, known: set[str]) -> Iterator[str]:
    """Every way that the firewall takes otherwise than the policy. ``known``: names of people who ever were."""
    for who in sorted(known):
        for address in (SHARED, *OWN.values()):
            should = picture.meets(who, address, now)
            if passes(device, "203.0.113.9", address, who=who, zones=FRONT, port=443) is not should:
                yield f"{who} {'cannot' if should else 'can'} come to {address}"
            if passes(device, "203.0.113.9", address, who=who, zones=FRONT, port=22):
                yield f"{who} can come to port 22 of {address}"
    for name, address in picture.running.items():
        if passes(device, DOOR, address, zones=BACK, port=PORT) is not picture.reaches(name):
            yield f"the door {'cannot' if picture.reaches(name) else 'can'} reach {name} at {address}"
        for who in ("", *sorted(known)):
            if passes(device, "203.0.113.9", address, who=who, zones=ROUND, port=PORT):
                yield f"{who or 'somebody'} goes round the door to {name}"
            should = picture.reaches_directly(who, name, now)
            if passes(device, "203.0.113.9", address, who=who, zones=ROUND, port=DATABASE) is not should:
                yield f"{who or 'somebody'} {'cannot' if should else 'can'} come to the database of {name}"
        if passes(device, STRANGER, address, zones=BACK, port=PORT):
            yield f"a neighbour of the door reaches {name}"


class Scene:
    """A company and its firewall."""

    def __init__(self, pair: Pair | None = None, closes: Closes = "addresses") -> None:
        self.legs = replace(LEGS, closes=closes)
        self.clock = Clock()
        self.device = anchored(Device(clock=self.clock, pair=pair))
        self.company = Company(self.clock)
        self.hands = Hands(self.device, self.legs)
        self.known: set[str] = set()
        self.picture: Picture | None = None

    def happened(self) -> Picture:
        """What the engine hears."""
        self.known |= set(self.company.people)
        self.picture = self.company.picture()
        return self.picture

    def follow(self) -> None:
        """The engine has heard of it, and all is written."""
        self.hands.follow(self.happened(), self.clock())

    def founded(self, chance: Random) -> None:
        """People at random, and services of systems and of none."""
        for number in range(8):
            self.company.joins(f"person{number}", *chance.sample(sorted(TEAMS), chance.randrange(3)))
        for number, system in enumerate(("books", "books", "shop", "shop", "", "")):
            self.company.opens(f"service{number}", chance.choice(sorted(TEAMS)), system=system)

    def goes_on(self, chance: Random) -> None:
        """Whatever comes next."""
        for _ in range(chance.randrange(1, 4)):
            chance.choice(list(happenings(self, chance)))()

    def differences(self) -> list[str]:
        """From the last picture that the engine had, at the time that it is now."""
        assert self.picture is not None
        return list(differences(self.device, self.picture, self.clock(), self.known))

    def meets(self, who: str, address: str = SHARED) -> bool:
        return passes(self.device, "203.0.113.9", address, who=who, zones=FRONT, port=443)

    def goes_round(self, who: str, service: str) -> bool:
        return passes(self.device, "203.0.113.9", self.company.running[service], who=who, zones=ROUND, port=PORT)

    def is_reached(self, service: str) -> bool:
        return passes(self.device, DOOR, self.company.running[service], zones=BACK, port=PORT)


# === what may happen ===


def happenings(scene: Scene, chance: Random) -> Iterator[Callable[[], None]]:
    """What may happen next, by how often it does."""
    company = scene.company
    people, services = sorted(company.people), sorted(company.services)
    who, what = chance.choice(people), chance.choice(services)
    team = chance.choice(sorted(TEAMS))
    others = tuple(chance.sample(sorted(TEAMS), chance.randrange(3)))
    systems = {name: each.system.rpartition("/")[2] for name, each in company.services.items()}
    access = chance.choice(("owners", "consumers", "everyone"))
    yield from [lambda: company.grants(who, what, chance.randrange(60, 3 * DAY))] * 4
    yield from [lambda: company.joins(who, *others)] * 4
    yield from [lambda: company.joins(f"person{len(scene.known)}", team)] * 2
    yield from [lambda: company.opens(what, team, system=systems[what], access=access)] * 2
    yield from [lambda: company.moves(what)] * 2
    yield lambda: company.opens(f"late{company.places}", team, system=chance.choice(("", "books", "shop")))
    yield lambda: company.cuts(chance.choice([f"user:default/{who}", group(team)]))
    yield lambda: company.shuts(what)
    yield company.relents
    yield scene.device.reboot
    if len(people) > 5:
        yield lambda: company.leaves(who)
    if len(services) > 5:
        yield lambda: company.closes(what)
    if company.overlay.grants:
        yield company.revokes
