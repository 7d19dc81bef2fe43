"""One environment on one device group: looks at the device, says what differs, and applies what may be applied.

Level-triggered: every look compares the whole wish with the whole device, so nothing has to be remembered of what
changed in between, and a missed event costs nothing. What may not be applied waits, with every reason, and is judged
anew at the next look. What the device understood and refused is not sent again until the wish is another or a person
asks; what another hand changes back again and again is left to a person too.

Nothing here paces itself or holds a lock: `group.py` lets one thing at a time happen to a device. What others are told
of a look is made of it once: how the environment stands (`standing.py`), what pages show (`shown.py`).
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, Literal, NamedTuple

import orjson

from gateway import telemetry
from gateway.audit.record import timestamp
from gateway.engine.network.desired import Desired, Place
from gateway.engine.network.faults import DeviceFault, Outdated, Rejected
from gateway.engine.network.fronts import Front, nowhere
from gateway.engine.network.history.experience import Budget, Experience, Refused
from gateway.engine.network.history.ledger import Applied, Ledger
from gateway.engine.network.history.trail import BEGUN, ENDED, DeviceTrail, Untold
from gateway.engine.network.plans import plan_file
from gateway.engine.network.plans.guards import (
    ENGINE,
    Basis,
    Consent,
    Hindrance,
    Lately,
    Terms,
    hindrances,
    present,
    removed,
)
from gateway.engine.network.plans.plan import Drift, Observed, Outcome, Plan, Target
from gateway.engine.network.reconcile.shown import Shown, shown_of
from gateway.engine.network.reconcile.standing import Last, Seen, Standing
from gateway.engine.network.transport.silence import heard_all

VERSION_S: Final = 60.0  # between two applies for nothing but the version of a policy that changes elsewhere
FOUND: Final = "found"
PERSON: Final = "a person"  # any, asked in advance

Blocking = Callable[..., Awaitable[Any]]
Level = Literal["info", "error"]


class Means(NamedTuple):
    """What every lane works with. ``blocking`` runs a function in a thread; ``now``: epoch seconds; ``fence``: the
    number under which this node leads, None where nodes share nothing."""

    ledger: Ledger
    trail: DeviceTrail
    blocking: Blocking
    now: Callable[[], float]
    basis: Callable[[], Basis]
    fence: Callable[[], int | None] = lambda: None


class Sight(NamedTuple):
    """What one look found. ``is_mending``: the wish is what was applied last, so another hand made the difference."""

    observed: Observed
    plan: Plan
    drifts: tuple[Drift, ...]
    held: int
    is_mending: bool
    places: tuple[Place, ...] = ()  # of the wish
    shown: Shown | None = None


class NotNow(DeviceFault):
    """Something stands against it; ``found`` says what, all of it."""

    def __init__(self, found: tuple[Hindrance, ...]) -> None:
        super().__init__("\n".join(map(str, found)))
        self.found = found


class Lane:
    """``desired`` is None until something is published in this process. ``fronts_of``: where clients meet what is
    desired; may block."""

    def __init__(
        self, target: Target, terms: Terms, means: Means, fronts_of: Callable[[Desired], Sequence[Front]] = nowhere,
        budget: Budget | None = None,
    ) -> None:  # fmt: skip
        self.target = target
        self.terms = terms
        self.desired: Desired | None = None
        self.waits: tuple[Hindrance, ...] = ()
        self.asks: tuple[Hindrance, ...] = ()  # what stands against an apply by a person
        self.shown: Shown | None = None  # of the last look
        self.content: Any = None  # that it wished for
        self.fronts_of = fronts_of
        self.fault = ""
        self.seen = Seen()
        self.last = Last()
        self.applying = ""  # by whom, while it is
        self.leads = True  # whether this node does anything by itself
        self.applies: Counter[str] = Counter()  # by how they ended
        self._means = means
        self._experience = Experience(budget)
        self._lately = Lately()
        self._sent: tuple[tuple[Place, ...], float] = ((), float("-inf"))  # by ourselves, and when

    # === looking ===

    async def look(self, *, adopts: bool = False) -> Sight:
        """Raises `DeviceFault`. ``adopts``: the plan is to take over what is not ours."""
        desired = self.desired
        if desired is None:
            raise DeviceFault(f"{self._name}: nothing is published yet, `stagedoor status` says why")
        observed = await self.target.observe()
        heard_all()
        sight: Sight = await self._means.blocking(self._judge, desired, observed, adopts)
        self._take(sight)
        return sight

    def _judge(self, desired: Desired, observed: Observed, adopts: bool) -> Sight:
        """In a worker thread."""
        applied = self._means.ledger.read(self.target.device, self.target.environment)
        plan = self.target.plan(desired, observed, timestamp(int(self._means.now() * 1000)))
        if adopts:
            plan = replace(plan, adopts=True)
        drifts = self.target.drift(desired, applied.content if applied else None, observed)
        is_same = applied is not None and _mark(applied.content) == _mark(plan.content)
        is_wanted = not plan.steps and observed.content is not None and observed.ours
        if is_wanted and (applied is None or self._is_otherwise(applied.content, observed)):  # by another hand
            self._write_down(plan, observed.fingerprint, Consent(FOUND), "")
        if applied is not None:
            self.last = Last(applied.at_s, applied.version, applied.by, applied.ticket)
            if applied.by != FOUND:
                self._experience.budget.note(applied.at_s)
        shown = shown_of(plan, drifts, observed, self.fronts_of(desired))
        return Sight(observed, plan, drifts, present(plan, observed, desired), is_same, desired.places, shown)

    def _is_otherwise(self, applied: Any, observed: Observed) -> bool:
        """Whether the device is not as it was applied. What another vendor's device of this name had says nothing."""
        try:
            return bool(self.target.steps(applied, observed))
        except (AttributeError, KeyError, IndexError, TypeError, ValueError):
            return True

    def _take(self, sight: Sight) -> None:
        now_s = self._means.now()
        self.fault, self.shown, self.content = "", sight.shown, sight.plan.content
        has_steps = bool(sight.plan.steps)
        self.waits = self.hindrances(sight, Consent(ENGINE)) if has_steps else ()
        self.asks = self.hindrances(sight, Consent(PERSON)) if has_steps else ()
        self.seen = self.seen.looked(sight.plan, removed(sight.plan.steps), sight.drifts, sight.observed, now_s)
        if not sight.plan.steps:
            self._experience.refused = None

    def hindrances(self, sight: Sight, consent: Consent) -> tuple[Hindrance, ...]:
        basis, now_s = self._means.basis(), self._means.now()
        found = hindrances(
            sight.plan, sight.observed, sight.drifts, sight.held, self.terms, basis, consent, now_s,
            self._lately.taken(now_s),
        )  # fmt: skip
        if consent.is_person:
            return found
        mark = _mark(sight.plan.content)
        learnt = self._experience.hindrances(mark, sight.places, is_mending=sight.is_mending, now_s=now_s)
        return (*found, *learnt)

    def _is_version_alone(self, sight: Sight) -> bool:
        """Whether the wish is what was sent a moment ago but for the policy's version: that can wait a little."""
        places, sent_s = self._sent
        return places == sight.places and self._means.now() - sent_s < VERSION_S and not sight.is_mending

    # === applying ===

    async def turn(self) -> None:
        """One look by ourselves, and an apply where nothing stands against it. Raises `DeviceFault`."""
        sight = await self.look()
        if not sight.plan.steps:
            return
        if not self.waits and not self._is_version_alone(sight):
            self._lately.note(removed(sight.plan.steps), sight.held, self._means.now())
            outcome = await self._apply(sight.plan, Consent(ENGINE), sight.places, is_mending=sight.is_mending)
            if outcome.done:
                self._sent = (sight.places, self._means.now())

    async def apply(self, plan: Plan, consent: Consent) -> tuple[Outcome, str]:
        """A plan that a person brings; returns how it ended and the plan's digest. Raises `NotNow`, `Outdated` and any
        other `DeviceFault`, `Untold` when it cannot be recorded."""
        observed = await self.target.observe()
        if observed.fingerprint != plan.fingerprint:
            raise Outdated(f"{self._name} is not as it was at {plan.made}, when the plan was made: plan again")
        try:
            steps = await self._means.blocking(self.target.steps, plan.content, observed)
        except (AttributeError, KeyError, IndexError, TypeError, ValueError) as misfit:  # a file may hold anything
            raise Rejected(f"{self._name}: the plan's content is none of this device's ({misfit})") from None
        if _mark(steps) != _mark(plan.steps):
            raise Rejected(f"{self._name}: the plan's steps are not what its content does: plan again")
        desired = self.desired or Desired(plan.environment, plan.version, ())
        sight = Sight(observed, plan, (), present(plan, observed, desired), False)
        if found := self.hindrances(sight, consent):
            raise NotNow(found)
        outcome = await self._apply(plan, consent)
        return outcome, plan_file.digest_of(plan)

    async def _apply(
        self, plan: Plan, consent: Consent, places: tuple[Place, ...] | None = None, *, is_mending: bool = False
    ) -> Outcome:
        """``places``: of the wish, where the engine applies by itself."""
        self.applying = consent.by
        if consent.is_person:
            self._lately.forget()
        try:
            with self._experience.changing(self._means.now(), is_mending=is_mending):
                outcome = await self._carry_out(plan, consent)
        except Rejected as fault:
            self._experience.refused = Refused(_mark(plan.content), places, str(fault))
            raise
        finally:
            self.applying = ""
        if not outcome.done:
            self._experience.refused = Refused(_mark(plan.content), places, outcome.sentence)
            self.fault = outcome.sentence
        return outcome

    async def _carry_out(self, plan: Plan, consent: Consent) -> Outcome:
        said: dict[str, object] = {
            "device": plan.device, "environment": plan.environment, "by": consent.by, "ticket": consent.ticket,
            "plan": await self._means.blocking(plan_file.digest_of, plan), "version": plan.version,
            "steps": len(plan.steps), "removed": list(removed(plan.steps)), "removals_approved": consent.removals,
            "adopts": plan.adopts, "fence": self._means.fence(),
        }  # fmt: skip
        await self._means.blocking(self._means.trail.note, BEGUN, said)
        try:
            outcome = await self.target.apply(plan, consent.signature)
        except Exception as fault:  # any: what was begun has an end
            await self._ended(said, type(fault).__name__.lower(), str(fault))
            raise
        except asyncio.CancelledError:
            why = "this node was told to stop: whoever looks next finds what became of it"
            await asyncio.shield(self._ended(said, "interrupted", why))
            raise
        if outcome.done:
            await self._took(plan, consent, outcome)
        result = "done" if outcome.done else "partly" if outcome.changed else "failed"
        await self._ended(said, result, outcome.sentence, outcome.task)
        return outcome

    async def _took(self, plan: Plan, consent: Consent, outcome: Outcome) -> None:
        await self._means.blocking(self._write_down, plan, outcome.fingerprint, consent, outcome.task)
        now_s = self._means.now()
        self._experience.refused, self.waits, self.asks, self.fault = None, (), (), ""
        self.shown = self.shown.done() if self.shown is not None else None
        self.last = Last(now_s, plan.version, consent.by, consent.ticket)
        self.seen = self.seen.applied(now_s)

    async def _ended(self, said: Mapping[str, object], result: str, sentence: str, task: str = "") -> None:
        self.applies[result] += 1
        level: Level = "info" if result == "done" else "error"
        about = {"device": self.target.device, "environment": self.target.environment, "by": said["by"]}
        telemetry.log("device_applied", level=level, **about, result=result, why=sentence, task=task)
        fields = {**said, "result": result, "why": sentence, "task": task}
        try:
            await self._means.blocking(self._means.trail.note, ENDED, fields)
        except Untold as fault:  # the device is changed already: its beginning is in the trail
            telemetry.log("device_apply_untold", level="error", **about, why=str(fault))

    def _write_down(self, plan: Plan, fingerprint: str, consent: Consent, task: str) -> None:
        """In a worker thread. A ledger that cannot be written stops nothing."""
        digest, now_s = plan_file.digest_of(plan), self._means.now()
        applied = Applied(plan.content, digest, plan.version, fingerprint, now_s, consent.by, consent.ticket, task)
        try:
            self._means.ledger.write(self.target.device, self.target.environment, applied)
        except OSError as fault:
            telemetry.log("device_ledger_unwritten", level="error", device=self.target.device, why=str(fault))

    # === telling ===

    @property
    def _name(self) -> str:
        return f"{self.target.environment} on {self.target.device}"

    def standing(self) -> Standing:
        return Standing(
            self.target.device, self.target.environment, self.terms.mode, self.desired.version if self.desired else "",
            self.leads, self.applying, self.fault, tuple(map(str, self.waits)), self.seen, self.last,
            dict(self.applies),
        )  # fmt: skip


def _mark(value: Any) -> bytes:
    """The same for what is the same as JSON."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
