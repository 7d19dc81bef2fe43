"""The knobs: every way in which a device may misbehave, set while it runs.

Lasting knobs are fields of `Knobs`; what should happen to the next few matching requests is an `Upset`.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, fields
from typing import Any, Final, Literal

from gateway.lab.bigip.refusals import Json, Refusal, refused

RESTARTING: Final = (
    "<html><head><title>Configuration Utility restarting...</title></head>"
    "<body>Configuration Utility restarting...</body></html>"
)
RESETS: Final = ("", "before", "after", "body")


@dataclass
class Upset:
    """Of the next ``times`` requests whose method and beginning of the path fit.

    ``reset``: the connection ends before the request has an effect, after it, or in the middle of the answer.
    ``status`` with ``body`` (JSON) or ``html`` is answered instead, and the request has no effect.
    """

    method: str = ""
    path: str = "/"
    times: int = 1
    reset: Literal["", "before", "after", "body"] = ""
    status: int = 0
    body: Json | None = None
    html: str = ""

    def matches(self, method: str, path: str) -> bool:
        return self.times > 0 and self.method in ("", method) and path.startswith(self.path)

    def refusal(self) -> Refusal:
        return Refusal(self.status, self.html or self.body or {"code": self.status, "message": "asked for by a knob"})


@dataclass
class Knobs:
    as3_locked: bool = False  # 503: another configuration operation is in progress
    as3_missing: bool = False  # 404: not registered, as where AS3 is not installed
    restarting: bool = False  # 503 with HTML, for everything
    mcpd_lost: bool = False  # 500 with apiError 32768001, for everything below /mgmt/tm
    save_fails: bool = False  # 500 although applied
    truncated_errors: bool = False  # bodies of errors end half-way
    hold: bool = False  # AS3 begins nothing new until this is taken back
    slow_s: float = 0.0  # that every AS3 write takes
    sync_limit_s: float = 45.0  # after which a write that waits for its result turns into a task
    clock_skew_s: float = 0.0  # of the device's clock
    task_lost: bool = False  # 404 for every save and config-sync task
    refused_tenants: dict[str, str] = field(default_factory=dict)  # tenant → the device's text
    members: dict[str, str] = field(default_factory=dict)  # "192.0.2.1:80" → up, down, checking: what monitors found
    next: list[Upset] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._changed = asyncio.Event()

    def set(self, values: Json) -> None:
        """Raises `Refusal` naming the knob that does not exist or does not take the value."""
        known = {one.name: getattr(self, one.name) for one in fields(self)}
        for name, value in values.items():
            if name not in known:
                raise refused(400, f"no knob is called {name}; there are {', '.join(known)}")
            if name == "next":
                self.next = [_upset(one) for one in value]
                continue
            held = known[name]
            fits = isinstance(value, int | float) if isinstance(held, float) else isinstance(value, type(held))
            if isinstance(held, dict):
                fits = isinstance(value, dict) and all(isinstance(one, str) for one in value.values())
            if not fits or (isinstance(value, bool) and not isinstance(held, bool)):
                raise refused(400, f"{name} takes a {type(held).__name__}, not {value!r}")
            setattr(self, name, value)
        self._changed.set()

    def reset(self) -> None:
        fresh = Knobs()
        for one in fields(self):
            setattr(self, one.name, getattr(fresh, one.name))
        self._changed.set()

    def shown(self) -> Json:
        shown = {one.name: getattr(self, one.name) for one in fields(self) if one.name != "next"}
        return {**shown, "next": [vars(upset) for upset in self.next]}

    def upset_for(self, method: str, path: str) -> Upset | None:
        """The first that fits, counted."""
        for upset in self.next:
            if upset.matches(method, path):
                upset.times -= 1
                return upset
        return None

    async def work(self) -> None:
        """As long as AS3 takes."""
        while self.hold:
            self._changed.clear()
            await self._changed.wait()
        if self.slow_s:
            await asyncio.sleep(self.slow_s)


def _upset(values: Any) -> Upset:
    known = {one.name: one.default for one in fields(Upset)}
    if not isinstance(values, dict) or not set(values) <= set(known):
        raise refused(400, f"next takes a list of objects with {', '.join(known)}")
    for name, value in values.items():
        held = known[name]
        if not isinstance(value, dict | None if held is None else type(held)):
            raise refused(400, f"next: {name} does not take {value!r}")
    if values.get("reset", "") not in RESETS or not (values.get("reset") or 100 <= values.get("status", 0) <= 599):
        raise refused(400, f"next needs a reset ({', '.join(RESETS[1:])}) or a status from 100 to 599")
    return Upset(**values)
