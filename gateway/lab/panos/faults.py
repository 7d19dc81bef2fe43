"""The knobs: every way in which a firewall may misbehave or differ, set while it runs.

Lasting knobs are fields of `Knobs`; what should happen to the next few matching requests is an `Upset`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any, Final, Literal
from xml.sax.saxutils import escape, quoteattr

from gateway.lab.panos.answers import Answer

RESETS: Final = ("", "before", "after", "body")


class BadKnob(ValueError):
    """Says which knob, and what it takes."""


@dataclass
class Upset:
    """Of the next ``times`` requests of a type (op, config, commit, user-id, …; "" any) whose parameters hold ``text``.

    ``reset``: the connection ends before the request has an effect, after it, or in the middle of the answer.
    ``truncated``: the XML ends half-way though the connection does not. ``status`` is answered instead of doing
    anything, and so is ``message`` with ``code``, as the management server refuses.
    """

    type: str = ""
    text: str = ""
    times: int = 1
    reset: Literal["", "before", "after", "body"] = ""
    truncated: bool = False
    status: int = 0
    code: int = 0
    message: str = ""

    def matches(self, kind: str, said: str) -> bool:
        return self.times > 0 and self.type in ("", kind) and self.text in said

    def answer(self) -> Answer | None:
        """None where the request is to be answered as ever."""
        if self.status:
            return Answer(f"<html><body>{self.status}</body></html>".encode(), self.status, "text/html")
        if not self.message:
            return None
        code = f" code={quoteattr(str(self.code))}" if self.code else ""
        body = f'<response status="error"{code}><msg><line>{escape(self.message)}</line></msg></response>'
        return Answer(body.encode())


@dataclass
class Knobs:
    slow_s: float = 0.0  # before every answer
    job_s: float = 0.0  # that a job takes
    hold_jobs: bool = False  # no job begins or ends
    device_lag_s: float = 0.0  # that a pushed-to device's result comes after the job's end
    fail_jobs: str = ""  # jobs end in FAIL with this line
    key_lifetime_s: float = 0.0  # 0: keys do not end
    duplicate_is_error: bool = True  # "tag … already exists, ignore", against a plain success
    duplicate_refreshes: bool = False  # registering again gives a tag its new end
    renames_follow: bool = False  # a renamed object keeps its users, against a refusal
    host_masks: bool = False  # registered hosts are listed as 192.0.2.1/32
    capacity: int = 0  # registered addresses, and users; 0: what the model holds
    list_capacity: int = 50_000  # entries of one external list
    disconnected: bool = False  # from Panorama
    required_comment: str = ""  # regular expression that every changed rule's audit comment must match at commit
    hostnames: dict[str, str] = field(default_factory=dict)  # FQDN → addresses with a comma between
    clock_skew_s: float = 0.0  # of the device's clock, forward
    next: list[Upset] = field(default_factory=list)

    def set(self, values: dict[str, Any]) -> None:
        """Raises `BadKnob`; then nothing was set."""
        known = {one.name: getattr(self, one.name) for one in fields(self)}
        fit: dict[str, Any] = {}
        for name, value in values.items():
            if name not in known:
                raise BadKnob(f"no knob is called {name}; there are {', '.join(known)}")
            fit[name] = _upsets(value) if name == "next" else _fitting(name, known[name], value)
        for name, value in fit.items():
            setattr(self, name, value)

    def reset(self) -> None:
        fresh = Knobs()
        for one in fields(self):
            setattr(self, one.name, getattr(fresh, one.name))

    def shown(self) -> dict[str, Any]:
        shown = {one.name: getattr(self, one.name) for one in fields(self) if one.name != "next"}
        return {**shown, "next": [vars(upset) for upset in self.next]}

    def upset_for(self, kind: str, said: str) -> Upset | None:
        """The first that fits, counted."""
        for upset in self.next:
            if upset.matches(kind, said):
                upset.times -= 1
                return upset
        return None


def _fitting(name: str, held: Any, value: Any) -> Any:
    fits = isinstance(value, int | float) if isinstance(held, float) else isinstance(value, type(held))
    if isinstance(held, dict):
        fits = isinstance(value, dict) and all(isinstance(one, str) for one in value.values())
    if not fits or (isinstance(value, bool) and not isinstance(held, bool)):
        raise BadKnob(f"{name} takes a {type(held).__name__}, not {value!r}")
    return float(value) if isinstance(held, float) else value


def _upsets(values: Any) -> list[Upset]:
    known = {one.name: one.default for one in fields(Upset)}
    if not isinstance(values, list) or not all(isinstance(one, dict) and set(one) <= set(known) for one in values):
        raise BadKnob(f"next takes a list of objects with {', '.join(known)}")
    for one in values:
        for name, value in one.items():
            _fitting(f"next: {name}", known[name], value)
        if one.get("reset", "") not in RESETS:
            raise BadKnob(f"next: reset is one of {', '.join(RESETS[1:])}")
        if one.get("status", 0) and not 100 <= one["status"] <= 599:
            raise BadKnob("next: status is from 100 to 599")
        if not any(one.get(name) for name in ("reset", "truncated", "status", "message")):
            raise BadKnob("next needs a reset, truncated, a status or a message")
    return [Upset(**one) for one in values]
