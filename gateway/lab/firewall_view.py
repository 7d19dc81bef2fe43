"""The firewall's page in the lab: its rules with who and what is meant by them now, tags with the time they have left,
and a form that asks whether a packet would pass.

All of it is asked of the emulated device at that moment, and nothing is shown from memory. A packet that is asked for
here counts as no hit. Which zones it crosses follows from the lab's plan of addresses.
"""

from __future__ import annotations

import asyncio
import os
import shlex
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import aiohttp

from gateway.lab.entries import command_of
from gateway.lab.firewall import DATABASE, DEVICE, DOOR, ENVIRONMENT, VIRTUAL_ADDRESS, user_name, zone_of
from gateway.lab.folder import LabFacts

PATIENCE_S: Final = 2.0
MINUTE_S: Final = 60
HTTPS: Final = 443
LAST_PORT: Final = 65535
LONGEST: Final = 64  # of a field of the form
HIDDEN: Final = "any"
STRANGER: Final = "203.0.113.250"
PAYMENTS: Final = "192.0.2.11"

Card = dict[str, Any]


class FirewallView:
    def __init__(self, state: Path, facts: LabFacts) -> None:
        self._root = state.parent
        self._facts = facts

    async def cards(self, asked: Mapping[str, str]) -> Card:
        """``asked``: the fields of the form, where it was sent."""
        tls = ssl.create_default_context(cafile=str(self._root / "certs" / "ca.pem"))
        patience = aiohttp.ClientTimeout(total=PATIENCE_S)
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=tls), timeout=patience) as session:
            return await _Look(session, self._facts).cards(asked) | {"commands": self._commands()}

    def _commands(self) -> list[Card]:
        start, _, config = command_of(self._facts, self._root / "stagedoor.yaml").partition(" entity")
        plan = shlex.quote(os.path.relpath(self._root / "firewall.plan"))
        words = f"{start} plan --device {DEVICE} --env {ENVIRONMENT}"
        return [
            {"title": "What would be changed", "command": f"{words} --out {plan}{config}"},
            {"title": "Apply what was read", "command": f"{start} apply {plan}{config}"},
            {"title": "Does the device still have what was applied?", "command": f"{start} drift{config}"},
        ]


class _Look:
    """One look at the device. Whatever fails leaves the page without it."""

    def __init__(self, session: aiohttp.ClientSession, facts: LabFacts) -> None:
        self._session = session
        self._url = facts.firewall
        self._upstreams = facts.upstreams

    async def cards(self, asked: Mapping[str, str]) -> Card:
        form = {name: asked.get(name, "").strip()[:LONGEST] for name in ("source", "destination", "port")}
        device = await self._asked("GET", "view") if self._url else None
        if device is None:
            return {"answers": False, "address": self._url, "form": form, "who": "", "verdict": None}
        people: dict[str, str] = device["people"]
        return {
            "answers": True,
            "address": self._url,
            "device": device,
            "rules": [_rule(rule, device) for rule in device["rules"]],
            "users": [_row(row) for row in device["users"]],
            "addresses": [_row(row) for row in device["addresses"]],
            "people": sorted(people.items(), key=lambda pair: pair[1]),
            "tries": await asyncio.gather(*(self._tried(device, *one) for one in _tries(device, self._upstreams))),
            "form": form,
            "who": people.get(form["source"], ""),
            "verdict": await self._verdict(form, device) if form["source"] and form["destination"] else None,
        }

    async def _tried(self, device: Card, title: str, source: str, destination: str, port: int) -> Card:
        form = {"source": source, "destination": destination, "port": str(port)}
        query = "&".join(f"{name}={value}" for name, value in form.items())
        return {"title": title, "query": query, **await self._verdict(form, device)}

    async def _verdict(self, form: Mapping[str, str], device: Card) -> Card:
        try:
            come, go = zone_of(form["source"]), zone_of(form["destination"])
            port = int(form["port"] or HTTPS)
            if not 0 < port <= LAST_PORT:
                raise ValueError
        except ValueError:
            return _said("refusal", "no packet", "A packet has two addresses and a port, as numbers.")
        packet = {"source": form["source"], "destination": form["destination"], "port": port}
        said = await self._asked("POST", "packet", {**packet, "from_zone": come, "to_zone": go, "count": False})
        if said is None:
            return _said("refusal", "no answer", "The device does not answer.")
        way = f"From {come} to {go}, rule `{said['rule']}`."
        label = ("permit", "passes") if said["allowed"] else ("refusal", "is stopped")
        return _said(*label, f"{way} {_sentence(device, said['rule'])}")

    async def _asked(self, method: str, name: str, body: Card | None = None) -> Card | None:
        try:
            async with self._session.request(method, f"{self._url}/_lab/{name}", json=body) as answer:
                said: Card = await answer.json()
                return said if answer.status == 200 else None
        except (aiohttp.ClientError, TimeoutError, ValueError):
            return None


def _said(decision: str, label: str, why: str) -> Card:
    return {"decision": decision, "label": label, "why": why.strip()}


def _tries(device: Card, upstreams: int) -> list[tuple[str, str, str, int]]:
    """Packets that show what the rules are for: the right way, and the way round."""
    seats = {user: address for address, user in device["people"].items()}
    jane, tomas = (seats.get(user_name(person), STRANGER) for person in ("jane", "tomas"))
    _, ledger, database = DATABASE
    return [
        ("Jane comes to the virtual address", jane, VIRTUAL_ADDRESS, HTTPS),
        ("The door reaches payments", DOOR, PAYMENTS, upstreams),
        ("Jane goes round the door", jane, PAYMENTS, upstreams),
        ("Tomas opens the ledger's database, which is no HTTP", tomas, ledger, database),
        ("Jane opens it, who is not on the ledger's team", jane, ledger, database),
    ]


def _sentence(device: Card, name: str) -> str:
    return next((str(rule["description"]) for rule in device["rules"] if rule["name"] == name), "")


def _rule(rule: Card, device: Card) -> Card:
    groups = {each["name"]: each for each in (*device["address_groups"], *device["user_groups"])}
    services: dict[str, list[str]] = device["services"]
    told = [
        (title, [_member(name, groups, services) for name in rule[field] if name != HIDDEN])
        for title, field in (("people", "source-user"), ("from", "source"), ("to", "destination"), ("ports", "service"))
    ]
    zones = f"{', '.join(rule['from'])} → {', '.join(rule['to'])}"
    colour = "permit" if rule["action"] == "allow" else "refusal"
    parts = [{"title": title, "members": members} for title, members in told if members]
    return {**rule, "zones": zones, "parts": parts, "colour": colour if rule["enabled"] else "held"}


def _member(name: str, groups: Mapping[str, Card], services: Mapping[str, list[str]]) -> Card:
    """A dynamic group with whoever is in it now, a service with its ports."""
    group = groups.get(name)
    ports = ", ".join(services.get(name, ()))
    return {"name": name, "ports": ports, "members": None if group is None else group["members"]}


def _row(row: Card) -> Card:
    tags = [{"name": one["tag"], "left": left_words(one["left_s"])} for one in row["tags"]]
    return {"key": row["key"], "tags": sorted(tags, key=lambda tag: str(tag["name"]))}


def left_words(left_s: int | None) -> str:
    """The time that a tag has left; "" where it has no end."""
    if left_s is None:
        return ""
    if left_s < 2 * MINUTE_S:
        return f"{left_s} s"
    if left_s < 120 * MINUTE_S:
        return f"{left_s // MINUTE_S} min"
    hours = left_s // (60 * MINUTE_S)
    return f"{hours} h" if hours < 48 else f"{hours // 24} d"
