"""How one environment on one device stands, as `stagedoor status`, metrics and pages tell it. Values only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from gateway.engine.network.plans.plan import Difference, Drift, Observed, Plan

NAMED: Final = 3  # steps and drifts that a standing spells out
REMARKS: Final = 20  # that it repeats
LONGEST: Final = 600  # characters of each of them, and of every other text


class Seen(NamedTuple):
    """What the last look found. Instants are epoch seconds; ``since_s``: of the oldest look that found steps without a
    break."""

    looked_s: float | None = None
    synced_s: float | None = None  # when it was last as wanted
    since_s: float | None = None
    steps: int = 0
    removes: int = 0
    cautions: int = 0
    first: tuple[str, ...] = ()
    drift: int = 0
    drifts: tuple[str, ...] = ()
    is_version_off: bool = False
    unit: str = ""
    sync: str = ""
    remarks: tuple[str, ...] = ()

    def looked(
        self, plan: Plan, removed: Sequence[str], drifts: Sequence[Drift], observed: Observed, now_s: float
    ) -> Seen:
        """After another look."""
        return Seen(
            looked_s=now_s,
            synced_s=self.synced_s if plan.steps else now_s,
            since_s=(self.since_s or now_s) if plan.steps else None,
            steps=len(plan.steps),
            removes=len(removed),
            cautions=sum(bool(step.caution) for step in plan.steps),
            first=tuple(short(step.sentence) for step in plan.steps[:NAMED]),
            drift=len(drifts),
            drifts=tuple(short(f"{drift.difference.value}: {drift.sentence}") for drift in drifts[:NAMED]),
            is_version_off=any(drift.difference is Difference.VERSION for drift in drifts),
            unit=short(observed.unit),
            sync=short(observed.sync),
            remarks=some_of(observed.remarks, REMARKS),
        )

    def applied(self, now_s: float) -> Seen:
        """After an apply that was done and read back."""
        return self._replace(
            synced_s=now_s, since_s=None, steps=0, removes=0, cautions=0, first=(), drift=0, drifts=(),
            is_version_off=False,
        )  # fmt: skip


class Last(NamedTuple):
    """The last apply; None and "" where there was none."""

    at_s: float | None = None
    version: str = ""
    by: str = ""
    ticket: str = ""


class Standing(NamedTuple):
    """``version``: what the doors serve, "" before anything is published. ``leads``: whether this node does anything
    by itself. ``applying``: by whom, while one runs."""

    device: str
    environment: str
    mode: str
    version: str
    leads: bool
    applying: str
    fault: str
    waits: tuple[str, ...]
    seen: Seen
    last: Last
    applies: Mapping[str, int]  # of this process, by how they ended

    @property
    def state(self) -> str:
        """One word."""
        if self.applying:
            return "applying"
        if not self.leads:
            return "standby"
        if self.fault:
            return "fault"
        if not self.version:
            return "no-wish"
        if self.seen.looked_s is None:
            return "unread"
        return "waiting" if self.seen.steps else "in-step"

    def as_json(self, now_s: float) -> dict[str, Any]:
        """Every key is always there; ages in seconds, None: never."""
        seen = self.seen

        def age(at_s: float | None) -> float | None:
            return None if at_s is None else round(max(0.0, now_s - at_s), 1)

        return {
            "device": self.device, "environment": self.environment, "mode": self.mode, "state": self.state,
            "looked_age_s": age(seen.looked_s), "synced_age_s": age(seen.synced_s),
            "steps": seen.steps, "removes": seen.removes, "cautions": seen.cautions, "first": list(seen.first),
            "waiting_age_s": age(seen.since_s), "waits": list(map(short, self.waits)), "fault": short(self.fault),
            "drift": seen.drift, "drifts": list(seen.drifts), "version": self.version,
            "version_off": seen.is_version_off, "applied_age_s": age(self.last.at_s),
            "applied_version": self.last.version, "applied_by": short(self.last.by),
            "applied_ticket": short(self.last.ticket), "applying": self.applying,
            "applies": dict(self.applies), "unit": seen.unit, "sync": seen.sync, "remarks": list(seen.remarks),
        }  # fmt: skip


def some_of(texts: Sequence[str], most: int) -> tuple[str, ...]:
    """The first of them, each short: devices say as much as they like, and this is told every second."""
    more = (f"and {len(texts) - most} more",) if len(texts) > most else ()
    return (*map(short, texts[:most]), *more)


def short(text: str, longest: int = LONGEST) -> str:
    cut = text if len(text) <= longest else text[:longest] + "…"
    return cut.encode("utf-8", "replace").decode()  # half of a surrogate pair is no text
