"""The BIG-IP on the start page: what the engine says of it, and what the emulated device has at that moment.

The device is looked at once a second while somebody looks at the page, and whenever the page is asked for. What cannot
be asked just now is said to be away; nothing is shown from memory.
"""

from __future__ import annotations

import asyncio
import os
import shlex
import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import aiohttp

from gateway.engine.network.answers.requests import ANSWER
from gateway.lab.entries import command_of
from gateway.lab.folder import LabFacts
from gateway.lab.front import DEVICE, VIRTUAL_ADDRESSES
from gateway.link import LinkClient, Message
from policy.explain import short_name

QUESTION: Final[Message] = {"t": "devices"}
LOOK_S: Final = 1.0
PATIENCE_S: Final = 2.0
STEADY_S: Final = 3.0  # instants that differ by less are one: they are told as ages
MEANS: Final = {
    "enforce": "the engine applies changes by itself",
    "plan": "changes wait for a person",
    "observe": "nothing is ever written",
}
STATES: Final = {
    "in-step": ("in step", "permit"),
    "waiting": ("a plan waits", "held"),
    "applying": ("being changed", "held"),
    "fault": ("in trouble", "refusal"),
}
MEMBER_STATES: Final = {"up": "permit", "unchecked": "permit", "checking": "held"}
KNOBS: Final = (
    ("The member is down", "PATCH", "faults", '{{"members": {{"{member}": "down"}}}}'),
    ("The device restarts: it answers 503 to whoever manages it", "PATCH", "faults", '{{"restarting": true}}'),
    ("The other unit becomes active", "POST", "failover", ""),
    ("Take all knobs back", "DELETE", "faults", ""),
)

Card = dict[str, Any]


class DeviceView:
    """``on_news``: the cards are others than before. ``wanted``: whether somebody looks."""

    def __init__(self, state: Path, facts: LabFacts, on_news: Callable[[], None], wanted: Callable[[], bool]) -> None:
        self._state = state
        self._facts = facts
        self._on_news = on_news
        self._wanted = wanted
        self._client = LinkClient(state / "engine.sock", lambda: QUESTION, self._hear, self._met)
        self._looking: asyncio.Task[None] | None = None
        self._session: aiohttp.ClientSession | None = None
        self._looked_at = -LOOK_S
        self._standings: dict[str, Card] = {}  # by environment
        self._device: Card | None = None  # None: it does not answer
        self._applied: dict[str, float] = {}  # environment → epoch seconds
        self._shown: Card | None = None

    def start(self) -> None:
        if self._facts.device:
            self._client.start()
            self._looking = asyncio.get_running_loop().create_task(self._keep_looking())

    def close(self) -> None:
        self._client.close()
        if self._looking is not None:
            self._looking.cancel()

    def cards(self) -> Card:
        """Empty `environments` where the lab has no device."""
        if not self._facts.device:
            return {"bigip": None}
        device = self._device or {}
        return {
            "bigip": {
                "answers": self._device is not None,
                "address": self._facts.device,
                "units": device.get("units", []),
                "environments": [self._environment(name, device) for name in VIRTUAL_ADDRESSES],
                "knobs": [self._knob(*knob) for knob in KNOBS],
                "direct": f"https://localhost:{self._facts.direct}/",
            }
        }

    # === what is heard and seen ===

    def _hear(self, message: Message) -> None:
        if message["t"] == ANSWER and isinstance(message.get("devices"), list):
            ours = [each for each in message["devices"] if each["device"] == DEVICE]
            self._standings = {str(each["environment"]): each for each in ours}
            self._tell()

    def _met(self, connected: bool) -> None:
        if not connected:
            self._standings = {}
            self._tell()

    def _tell(self) -> None:
        cards = self.cards()
        if cards != self._shown:
            self._shown = cards
            self._on_news()

    async def look(self) -> None:
        """Unless it was looked at just now."""
        now = asyncio.get_running_loop().time()
        if self._session is None or now - self._looked_at < LOOK_S:
            return
        self._looked_at = now
        self._client.send(QUESTION)
        self._device = await _asked(self._session, self._facts.device + "/_lab/traffic")
        self._tell()

    async def _keep_looking(self) -> None:
        tls = ssl.create_default_context(cafile=str(self._state.parent / "certs" / "ca.pem"))
        async with aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=tls), timeout=aiohttp.ClientTimeout(total=PATIENCE_S)
        ) as self._session:
            while True:
                if self._wanted():
                    await self.look()
                await asyncio.sleep(LOOK_S)

    # === how it is shown ===

    def _environment(self, name: str, device: Card) -> Card:
        standing = self._standings.get(name, {})
        folder = f"/stagedoor_{name}/Shared/"
        virtuals = [each for each in device.get("virtuals", []) if each["path"].startswith(f"/stagedoor_{name}/")]
        groups = {each["path"]: each["records"] for each in device.get("data_groups", [])}
        label, colour = STATES.get(str(standing.get("state")), ("not looked at yet", "held"))
        return {
            "id": f"bigip/{name}",
            "name": name,
            "mode": standing.get("mode", ""),
            "means": MEANS.get(str(standing.get("mode")), ""),
            "label": label,
            "colour": colour,
            "fault": standing.get("fault", ""),
            "waiting": standing.get("first", []),
            "more": max(0, int(standing.get("steps", 0)) - len(standing.get("first", []))),
            "applied": self._applied_words(name, standing),
            "virtuals": [_virtual(each) for each in virtuals],
            "records": [_record(*record) for record in groups.get(folder + "hosts", [])],
            "commands": self._plan_commands(name) if standing.get("steps") and standing.get("mode") == "plan" else [],
        }

    def _applied_words(self, name: str, standing: Card) -> str:
        age = standing.get("applied_age_s")
        if age is None:
            return ""
        instant, held = time.time() - float(age), self._applied.get(name, 0.0)
        if abs(instant - held) > STEADY_S:
            self._applied[name] = instant
        at = time.strftime("%H:%M:%S", time.localtime(self._applied[name]))
        return f"Last applied at {at} by {standing.get('applied_by')}: policy {standing.get('applied_version')}"

    def _plan_commands(self, name: str) -> list[Card]:
        start, _, config = command_of(self._facts, self._state.parent / "stagedoor.yaml").partition(" entity")
        plan = shlex.quote(os.path.relpath(self._state.parent / f"{name}.plan"))
        return [
            {"title": "Read the plan", "command": f"{start} plan --device lab --env {name} --out {plan}{config}"},
            {"title": "Apply what was read", "command": f"{start} apply {plan}{config}"},
        ]

    def _knob(self, title: str, method: str, name: str, body: str) -> Card:
        members = [member["name"] for each in (self._device or {}).get("virtuals", []) for member in each["members"]]
        words = ["curl", "--cacert", shlex.quote(self._facts.ca), "-X", method, f"{self._facts.device}/_lab/{name}"]
        if body:
            words += ["-d", shlex.quote(body.format(member=members[0] if members else "127.0.0.1:18110"))]
        return {"title": title, "command": " ".join(words)}


async def _asked(session: aiohttp.ClientSession, url: str) -> Card | None:
    try:
        async with session.get(url) as answer:
            said: Card = await answer.json()
            return said
    except (aiohttp.ClientError, TimeoutError, ValueError):
        return None


def _virtual(each: Card) -> Card:
    return {
        "path": each["path"],
        "destination": each["destination"],
        "requests": each["requests"],
        "enabled": each["enabled"],
        "missed": each["not_executed"],
        "members": [_member(member) for member in each["members"]],
    }


def _member(member: Card) -> Card:
    """An operator's word before what the monitor found."""
    disabled = member["session"] == "user-disabled" or member["state"] == "user-down"
    state = "disabled" if disabled else member["state"]
    return {**member, "label": state, "colour": MEMBER_STATES.get(state, "refusal")}


def _record(host: str, value: str) -> Card:
    entity, owner, version = (*value.split(" "), "", "", "")[:3]
    said = f"{short_name(entity)} of {short_name(owner)}" if owner not in ("", "-") else short_name(entity)
    return {"host": host, "says": said, "version": version, "whole": f"{host} {value}"}
