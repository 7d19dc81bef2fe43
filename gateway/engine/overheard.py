"""What the engine hears of control's overlay: who is cut off, what is shut, and who has temporary access until when.

Doors hold it against each request; a firewall has to be told. Control sends the whole overlay over the link that the
engine reports on, at once when it changes. Without control the last one goes on to count: a cut stays a cut, a grant
ends when it was to end, and none that had not begun does. Until control speaks to a new engine, the file that control
keeps for itself says the same. Where neither is there nothing is known, which is not the same as nobody being cut off.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, TypeGuard

import orjson

from gateway import telemetry
from policy.facts import Grant

FILE: Final = "overlay.json"  # of control, in the state folder
VERSION: Final = 1  # of the file
LARGEST: Final = 2**53  # of times, epoch seconds
_TEXTS: Final = ("id", "subject", "service", "environment", "because", "approver")


@dataclass(frozen=True, slots=True)
class Overlay:
    """``denied``: people, teams and workloads. ``shut``: services, and environments as `@prod`. ``not_before``: by
    subject, what began earlier is refused (epoch seconds)."""

    seq: int = 0
    denied: frozenset[str] = frozenset()
    shut: frozenset[str] = frozenset()
    not_before: Mapping[str, int] = field(default_factory=dict)
    grants: tuple[Grant, ...] = ()

    def closed(self, service: str, environment: str) -> str:
        """What keeps everybody from a service, in words; "" where nothing does."""
        names = {service: service, f"@{environment}": f"environment {environment}"}
        return next((told for ref, told in names.items() if ref in self.shut), "")


class Overheard:
    """``on_change`` is called with each overlay that says something else. ``now``: epoch seconds."""

    def __init__(
        self, state_folder: Path, on_change: Callable[[Overlay], None], now: Callable[[], float] = time.time
    ) -> None:
        self._on_change = on_change
        self._now = now
        remembered = _remembered(state_folder / FILE)
        self.overlay = self._begun(remembered) if remembered is not None else None

    def take(self, message: Mapping[str, Any]) -> None:
        """Of control's messages those about the overlay. One that is none changes nothing."""
        if message.get("t") != "overlay":
            return
        overlay = overlay_in(message)
        if overlay is None:
            telemetry.log("overlay_refused", level="error", why="control sent what is no overlay")
        else:
            self._put(overlay)

    def linked(self, connected: bool) -> None:
        """Whether control is there; when it comes back it says all of its overlay."""
        if not connected and self.overlay is not None:
            self._put(self._begun(self.overlay))

    def _put(self, overlay: Overlay) -> None:
        if overlay != self.overlay:
            self.overlay = overlay
            self._on_change(overlay)

    def _begun(self, overlay: Overlay) -> Overlay:
        now = self._now()
        return replace(overlay, grants=tuple(grant for grant in overlay.grants if grant.starts <= now))


def overlay_in(said: Mapping[str, Any]) -> Overlay | None:
    """None where a part is not what it should be: half of an overlay would let somebody in again. A grant that cannot
    be read is none."""
    seq, denied, shut = said.get("seq"), said.get("denied", []), said.get("shut", [])
    not_before, grants = said.get("not_before", {}), said.get("grants", [])
    if not (_is_time(seq) and _are_texts(denied) and _are_texts(shut) and isinstance(grants, list)):
        return None
    if not (isinstance(not_before, dict) and _are_texts(list(not_before)) and all(map(_is_time, not_before.values()))):
        return None
    return Overlay(seq, frozenset(denied), frozenset(shut), not_before, tuple(_grants_in(grants)))


def _grants_in(said: list[Any]) -> Iterator[Grant]:
    for each in said:
        if (grant := _grant_in(each)) is not None:
            yield grant
        else:
            telemetry.log("grant_refused", level="error", why="control sent what is no grant")


def _grant_in(said: Any) -> Grant | None:
    if not isinstance(said, dict) or not all(isinstance(said.get(name), str) for name in _TEXTS):
        return None
    operations, scopes = said.get("operations", []), said.get("scopes", [])
    starts, ends = said.get("starts"), said.get("ends")
    if not (_are_texts(operations) and _are_texts(scopes) and _is_time(starts) and _is_time(ends)):
        return None
    texts = {name: said[name] for name in _TEXTS}
    return Grant(**texts, operations=tuple(operations), scopes=frozenset(scopes), starts=starts, ends=ends)


def _remembered(path: Path) -> Overlay | None:
    try:
        said = orjson.loads(path.read_bytes())
        found = overlay_in(said) if isinstance(said, dict) and said.get("version") == VERSION else None
    except FileNotFoundError:
        return None
    except (OSError, orjson.JSONDecodeError) as fault:
        telemetry.log("overlay_not_read", level="warning", why=str(fault))
        return None
    if found is None:
        telemetry.log("overlay_not_read", level="warning", why="unknown form or version")
    return found


def _are_texts(value: object) -> TypeGuard[list[str]]:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


def _is_time(value: object) -> TypeGuard[int]:
    return type(value) is int and 0 <= value <= LARGEST
