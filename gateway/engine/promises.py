"""Tests and invariants of the access policy, decided over what was compiled before any of it is published.

What breaks one is held exposure by exposure, and everything else is published. What is held is only ever a widening:
the exposure permits what it permitted before and still does, so whatever was taken away is in force. An invariant that
does not hold even so is put in force itself (`policy.promises.withholding`); a test that expects a permit is told and
holds nothing, because holding a loss would be the worse fault.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

from gateway.engine.candidate import EXPOSURE, Candidate
from gateway.engine.compilation import Compiled
from gateway.snapshot import WHY
from policy.access import AccessPolicy
from policy.directory import Directory, block_of
from policy.explain import WhyFrame, why, why_frame
from policy.facts import Permit, Refusal, Source
from policy.frames import NO_RULES, Rules
from policy.paths import template_of
from policy.probe import Asker, way_of
from policy.promises.narrowing import denying, narrowed, rules_of
from policy.promises.promised import Proof, Report, has_promises, void_faults, void_of
from policy.promises.proofs import NOW, Breach
from policy.promises.trials import Trial, trial_of
from policy.promises.withholding import Ground, How, deny_frame, deny_rule, withheld
from policy.reading import Fault
from policy.rule import Rule
from policy.statements import Invariant
from policy.table import Exposure, Match

_TODO: Final = "mend what the rule comes from, or change the promise"
_HELD: Final[Mapping[How, str]] = {
    "narrowed": "what the exposure opens more than before is held",
    "enforced": "the exposure did not change itself, so just what breaks it is withheld",
    "closed": "until that is mended, nobody may do anything there",
}


@dataclass(frozen=True, slots=True)
class _Held:
    """What is published of an exposure instead of what was compiled."""

    how: How
    frame: Any
    why: WhyFrame
    faults: tuple[Fault, ...]


class Promises:
    """Follows what is compiled. ``before`` gives a frame of what is published now, by name; None when there is none."""

    def __init__(self, before: Callable[[str], Any]) -> None:
        self._before = before
        self._forget()

    def _forget(self) -> None:
        self._policy: AccessPolicy | None = None
        self._candidate = Candidate()
        self._held: dict[str, _Held] = {}
        self._stopped: dict[Invariant, set[str]] = {}

    def kept(self, compiled: Compiled, policy: AccessPolicy) -> Compiled:
        """What is published of this: the same, with what breaks a promise held and told."""
        if not has_promises(policy):
            self._forget()
            return compiled
        candidate = self._candidate
        due = candidate.follow(compiled)
        self._held = {key: held for key, held in self._held.items() if key in candidate.published}
        if self._policy is None or self._policy.invariants != policy.invariants:
            due, self._stopped = set(candidate.published), {}
        self._policy = policy
        forms = {key: self._decided(key, policy) for key in sorted(due | self._held.keys())}
        candidate.put({key: frame for key, frame in forms.items() if frame is not None})
        trials, faults = self._tested(policy)
        frames = {**compiled.frames}
        for key, held in self._held.items():
            frames[EXPOSURE + key], frames[WHY + key] = held.frame, held.why
            faults += held.faults
        faults += void_faults(Report(trials, self._voids(policy)))
        return replace(compiled, frames=frames, faults=tuple(dict.fromkeys((*compiled.faults, *faults))))

    # ---- invariants ----

    def _decided(self, key: str, policy: AccessPolicy) -> Any:
        """Decides an exposure as it was compiled, holds it or lets it go; its frame, None where that stays."""
        candidate = self._candidate
        frame, held = candidate.frames[EXPOSURE + key], self._held.pop(key, None)
        ground = Ground(candidate.places[key], candidate.universe, policy.invariants)
        breaches = ground.breaches(Exposure(frame))
        if not breaches:
            return frame if held is not None else None
        found = withheld(frame, self._changed_from(key, held, ground), ground)
        faults = tuple(self._told(each, found.how) for each in breaches)
        self._held[key] = _Held(found.how, found.frame, self._words(key, found.denies), faults)
        return found.frame

    def _changed_from(self, key: str, held: _Held | None, ground: Ground) -> Rules | None:
        """What the exposure was, if its change is what broke an invariant: as it was it keeps them all."""
        before = self._rules_before(key)
        if before is None:
            return NO_RULES
        if held is not None and held.how != "narrowed":
            return None
        return None if ground.breaches(Exposure(self._before(EXPOSURE + key))) else before

    def _rules_before(self, key: str) -> Rules | None:
        frame = self._before(EXPOSURE + key)
        return rules_of(frame) if frame is not None else None

    def _words(self, key: str, denies: Iterable[Rule]) -> WhyFrame:
        """The sentences of the rules that are published: those of before, where they still are, and of now."""
        before = self._before(WHY + key) or {}
        return dict(sorted({**before, **self._candidate.frames[WHY + key], **why_frame(denies)}.items()))

    def _told(self, breach: Breach, how: How) -> Fault:
        promise = breach.invariant
        place = f"{promise.source.file}:{promise.source.line}"
        rule = _rule_in_words(breach.permit, self._candidate.frames.get(WHY + breach.exposure, {}))
        message = (
            f"`{breach.exposure}` would let {breach.caller} call {breach.permit.operation} by {rule}, "
            f"against `{promise.name}` ({place}): {_HELD[how]}"
        )
        return self._fault(breach.exposure, message)

    def _fault(self, key: str, message: str) -> Fault:
        published = self._candidate.published[key]
        source, ref = published.exposure.source, published.service.ref
        place = Source(source.file, source.line, ref)
        return Fault(place, message, _TODO, environment=published.exposure.environment, keeps=True)

    # ---- tests ----

    def _tested(self, policy: AccessPolicy) -> tuple[tuple[Trial, ...], list[Fault]]:
        """Every test over what is going to be published. One that expects a refusal holds what made it a permit."""
        trials, faults = [], []
        for expectation in policy.expectations:
            trial = trial_of(expectation, self._candidate.table, self._candidate.places, NOW)
            if not trial.passed and isinstance(trial.verdict, Permit) and not expectation.allowed:
                trial = self._held_back(trial)
            if not trial.passed and not trial.void:
                faults.append(_failed(trial, self._why_of(trial.exposure)))
            trials.append(trial)
        return tuple(trials), faults

    def _held_back(self, trial: Trial) -> Trial:
        """The same test once what broke it is held: the change of its exposure, or that somebody joined a team. Where
        neither did, what was permitted before stays so."""
        key, table = trial.exposure, self._candidate.table
        if key not in self._candidate.published:
            return trial
        held = self._held.get(key)
        frame = held.frame if held is not None else self._candidate.frames[EXPOSURE + key]
        forms: list[tuple[How, Any, tuple[Rule, ...]]] = [
            ("narrowed", narrowed(frame, self._rules_before(key) or NO_RULES), ())
        ]
        if (deny := self._join_denied(trial)) is not None:
            forms.append(("enforced", denying(frame, (deny_frame(deny, table.exposures[key].environment),)), (deny,)))
        for how, form, denies in forms:
            self._candidate.put({key: form})
            again = trial_of(trial.expectation, self._candidate.table, self._candidate.places, NOW)
            if again.passed:
                faults = (*(held.faults if held else ()), self._told_of_test(trial, how))
                words = {**self._words(key, denies), **(held.why if held is not None else {})}
                self._held[key] = _Held(held.how if held is not None else how, form, words, faults)
                return again
        self._candidate.table = table
        return trial

    def _join_denied(self, trial: Trial) -> Rule | None:
        """A deny for a person who was refused that call, whatever they had shown, with the teams they had before."""
        subject, exposure = trial.expectation.subject, self._candidate.table.exposures[trial.exposure]
        if not subject.startswith("user:") or not isinstance(trial.verdict, Permit):
            return None
        names = (f"people/{block_of(subject)}", "teams")
        before = Directory({name: frame for name in names if (frame := self._before(name)) is not None})
        asker = Asker("person", subject, before.subjects_of(subject) or frozenset({subject}))
        method, _, path = trial.request.partition(" ")
        match = Match(exposure, tuple(path[1:].split("/")))
        way = way_of(self._candidate.table, match, method, asker, NOW)
        if not isinstance(way, Refusal):
            return None
        method, _, template = trial.verdict.operation.partition(" ")
        said = trial.expectation
        operations = ((method, template_of(template)),)
        return deny_rule(subject, exposure, None, operations, f"test `{said.name}`", said.source)

    def _told_of_test(self, trial: Trial, how: How) -> Fault:
        assert isinstance(trial.verdict, Permit)  # what is held back is a permit
        rule, source = _rule_in_words(trial.verdict, self._why_of(trial.exposure)), trial.expectation.source
        message = (
            f"`{trial.exposure}` would come to `permit` by {rule}, against the test `{trial.expectation.name}` "
            f"({source.file}:{source.line}): {_HELD[how]}"
        )
        return self._fault(trial.exposure, message)

    def _why_of(self, key: str) -> WhyFrame:
        held = self._held.get(key)
        found: WhyFrame = held.why if held is not None else self._candidate.frames.get(WHY + key, {})
        return found

    def _voids(self, policy: AccessPolicy) -> tuple[Proof, ...]:
        """The invariants that say nothing. Where one was seen to say something is looked at first the next time."""
        places, directory = self._candidate.places, self._candidate.table.directory
        found = []
        for invariant in policy.invariants:
            about = partial(self._candidate.about, invariant, self._stopped.setdefault(invariant, set()))
            void, hint = void_of(invariant, about, places.values(), directory)
            if void:
                found.append(Proof(invariant, (), 0, void, hint))
        return tuple(found)


def _rule_in_words(permit: Permit, frame: WhyFrame) -> str:
    told = why(frame, permit.rule)
    if told is None:
        return f"rule {permit.rule}"
    place = f"{told.source.file}:{told.source.line}" if told.source.line else told.source.file
    return f"rule {permit.rule} (“{told.sentence}”, {place})"


def _failed(trial: Trial, frame: WhyFrame) -> Fault:
    """What a test came to; nothing is held for it."""
    expectation, verdict = trial.expectation, trial.verdict
    assert verdict is not None  # a void test is told apart
    came = "permit" if isinstance(verdict, Permit) else "refused"
    rule = f" by {_rule_in_words(Permit(verdict.reason, verdict.rule, ''), frame)}" if verdict.rule else ""
    message = f"test `{expectation.name}` comes to {came} {verdict.reason}{rule}"
    return Fault(expectation.source, message, "correct the policy, the catalog or the test")
