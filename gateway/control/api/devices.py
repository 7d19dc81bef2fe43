"""`GET /.stagedoor/api/v1/devices` and `/devices/DEVICE/ENVIRONMENT`: how network devices stand, for administrators.

The engine tells how they stand each second, unasked; a plan and a drift are asked for when somebody reads them. Both
are kept, so that while the engine is away its last words are shown, with when they were said. Nothing here changes
anything: plans are applied at the node.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final

from pydantic import Field, ValidationError

from gateway import telemetry
from gateway.control.api.device_models import DeviceAnswer, DevicesAnswer
from gateway.control.api.engine import Engine
from gateway.control.api.problems import Problem
from gateway.control.api.rights import require
from gateway.control.api.routes import Asked, Query, Route
from gateway.control.heard import Heard

LISTED: Final = 500
KEPT: Final = 64  # views
AWAY_S: Final = 5.0  # the engine tells each second
VIEW_S: Final = 8.0  # a look and checks, on a node that stands by
SILENT_S: Final = 1.0  # that one who is silent is waited for
TEXTS: Final = 50  # of one list
LONGEST: Final = 1000  # characters of one text
_STATES: Final = {
    "in-step": "As the catalog wants it.",
    "applying": "It is being changed now.",
    "unread": "It was not looked at yet.",
    "no-wish": "Nothing is published yet, so nothing is wanted of it.",
    "standby": "Another node looks after it; this one looks when its page is read.",
}


class DeviceQuery(Query):
    device: Annotated[str, Field(max_length=256)] = Field(description="Its name in the settings.")
    environment: Annotated[str, Field(max_length=256)] = Field(description="One of its environments.")


class Devices:
    """``heard``: the engine's last words; ``now``: epoch seconds."""

    def __init__(self, engine: Engine, heard: Callable[[], Heard], now: Callable[[], float] = time.time) -> None:
        self._engine = engine
        self._heard = heard
        self._now = now
        self._views: OrderedDict[tuple[str, str], tuple[float, dict[str, Any]]] = OrderedDict()
        self._asking: dict[tuple[str, str], asyncio.Task[dict[str, Any]]] = {}

    def routes(self) -> tuple[Route, ...]:
        many = "How all network devices stand: mode, state, waiting plan, drift. For administrators."
        one = "One environment on one device: its waiting plan, drift, virtual servers, applies. For administrators."
        return (
            Route("devices", many, self._list, DevicesAnswer, problems=("not_yours",)),
            Route("device", one, self._one, DeviceAnswer, DeviceQuery,
                  ("not_yours", "device_unknown", "engine_away")),
        )  # fmt: skip

    @property
    def are_any(self) -> bool:
        return bool(self._heard().devices)

    def all(self) -> dict[str, Any]:
        heard = self._heard()
        standings = [standing_of(each, heard.at_s) for each in heard.devices[:LISTED]]
        return {
            "told": instant(heard.at_s),
            "engine_away": self._is_silent(),
            "total": len(heard.devices),
            "devices": standings,
        }

    def _is_silent(self) -> bool:
        at_s = self._heard().at_s
        return at_s is None or self._now() - at_s > AWAY_S

    async def one(self, device: str, environment: str) -> dict[str, Any]:
        """Who asks while the same is being asked waits for its answer: many readers leave the engine to others. Raises
        `Problem` where there is none of these names, or nothing of it was ever told."""
        key = (device, environment)
        asking = self._asking.get(key)
        if asking is None:
            asking = self._asking[key] = asyncio.get_running_loop().create_task(self._asked(device, environment))
            asking.add_done_callback(lambda done: self._answered(key, done))
        return await asyncio.shield(asking)

    def _answered(self, key: tuple[str, str], done: asyncio.Task[dict[str, Any]]) -> None:
        del self._asking[key]
        if not done.cancelled():
            done.exception()  # seen by whoever waited, if anybody still did

    async def _asked(self, device: str, environment: str) -> dict[str, Any]:
        key = (device, environment)
        try:
            question = {"t": "device_view", "device": device, "environment": environment}
            patience_s = SILENT_S if self._is_silent() else VIEW_S
            view = (await self._engine.ask(question, within_s=patience_s))["view"]
            found = _told(view, self._now())
        except Problem as problem:
            if problem.code == "device_unknown":
                self._views.pop(key, None)
            if problem.code != "engine_away" or key not in self._views:
                raise
            return {**self._views[key][1], "engine_away": True}
        self._views[key] = (self._now(), found)
        self._views.move_to_end(key)
        while len(self._views) > KEPT:
            self._views.popitem(last=False)
        return found

    async def fronts_of(self, entity: str) -> dict[str, list[str]]:
        """Where clients meet a service, by environment, each a sentence; none while the engine is away."""
        if not self.are_any:
            return {}
        try:
            answer = await self._engine.ask({"t": "device_fronts", "entity": entity})
        except Problem:
            return {}
        found: dict[str, list[str]] = {}
        for each in answer.get("fronts", ()):
            found.setdefault(str(each.get("environment")), []).append(str(each.get("sentence")))
        return found

    async def _list(self, asked: Asked) -> dict[str, Any]:
        require(asked.caller.is_administrator)
        return self.all()

    async def _one(self, asked: Asked) -> dict[str, Any]:
        require(asked.caller.is_administrator)
        query: DeviceQuery = asked.query
        return await self.one(query.device, query.environment)


def _told(view: Mapping[str, Any], at_s: float) -> dict[str, Any]:
    """The answer. Raises `Problem` for what is none: an engine of another version, for the moment of an upgrade."""
    said = {name: value for name, value in view.items() if name != "standing"}
    try:
        told = {"told": instant(at_s), "engine_away": False, "device": standing_of(view["standing"], at_s), **said}
        return DeviceAnswer.model_validate(told).model_dump()
    except (ValidationError, KeyError) as fault:
        telemetry.log("device_view_unread", level="error", why=str(fault)[:LONGEST])
        raise Problem("engine_away") from None


# === how one stands ===


def standing_of(said: Mapping[str, Any], at_s: float | None) -> dict[str, Any]:
    """As `StandingAnswer` has it, of what the engine said at an instant (epoch seconds), read with care."""

    def text(name: str) -> str:
        value = said.get(name)
        return value[:LONGEST] if isinstance(value, str) else ""

    def texts(name: str) -> list[str]:
        value = said.get(name)
        return [each[:LONGEST] for each in value[:TEXTS] if isinstance(each, str)] if isinstance(value, list) else []

    def number(name: str) -> int:
        value = said.get(name)
        return value if type(value) is int else 0

    def ago(name: str) -> str | None:
        value = said.get(name)
        return instant(at_s - value) if isinstance(value, int | float) and at_s is not None else None

    waiting = {
        "steps": number("steps"), "removals": number("removes"), "cautions": number("cautions"),
        "first": texts("first"), "since": ago("waiting_age_s"), "holds": texts("waits"),
    }  # fmt: skip
    found = {
        **{name: text(name) for name in ("device", "environment", "mode", "state", "fault")},
        "looked": ago("looked_age_s"), "synced": ago("synced_age_s"), "waiting": waiting,
        "drift": number("drift"), "drifts": texts("drifts"),
        "version": text("version"), "version_off": said.get("version_off") is True,
        "applied": ago("applied_age_s"), "applied_by": text("applied_by"), "applied_ticket": text("applied_ticket"),
        "applied_version": text("applied_version"), "applying": text("applying"),
        "unit": text("unit"), "sync": text("sync"), "remarks": texts("remarks"),
    }  # fmt: skip
    return {**found, "sentence": _sentence(found)}


def _sentence(standing: Mapping[str, Any]) -> str:
    state, waiting = standing["state"], standing["waiting"]
    if state == "fault":
        return str(standing["fault"])
    if state == "waiting":
        steps, twice = waiting["steps"], waiting["cautions"]
        look = f", {twice} of them to be looked at twice" if twice else ""
        return f"{steps} step{' waits' if steps == 1 else 's wait'} to be applied{look}."
    if state == "in-step" and standing["drift"]:
        return "Nothing is to be applied, but it is not quite what was applied last."
    return _STATES.get(str(state), str(state))


def instant(at_s: float | None) -> str | None:
    """RFC 3339 with milliseconds."""
    if at_s is None:
        return None
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at_s)) + f".{int(at_s % 1 * 1000):03d}Z"
