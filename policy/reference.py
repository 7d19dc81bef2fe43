"""What a permission means: the definition, slow and obvious. The table must give the same answer, reason and rule.

A permit is given if and only if no deny matches, some reach covers every required operation, its scopes are
satisfied and its requirements met. The default is refusal; order and duplicates of facts never matter.
"""

from __future__ import annotations

from dataclasses import dataclass

from policy import reasons
from policy.facts import UNSEEN, Circumstances, Operation, Permit, Principal, Refusal
from policy.paths import Segments, is_near
from policy.requirements import unmet
from policy.routes import required
from policy.rule import Derived, Published, Rule, names_of, order_of
from policy.statements import ANYONE

Verdict = Permit | Refusal


def decide(
    derived: Derived, key: str, path: Segments, method: str, who: Principal, now: int, call: Circumstances = UNSEEN
) -> Verdict:
    """The subject and every actor must be permitted. ``path`` is below the exposure's prefix."""
    published = next(each for each in derived.published if each.key == key)
    verdicts = [_Question(derived, published, path, method, each, now, call).verdict() for each in _parties(who)]
    return next((each for each in verdicts if isinstance(each, Refusal)), verdicts[0])


def _parties(who: Principal) -> list[Principal]:
    return [who, *(party for actor in who.actors for party in _parties(actor))]


@dataclass(frozen=True)
class _Question:
    derived: Derived
    published: Published
    path: Segments
    method: str
    who: Principal
    now: int
    call: Circumstances

    def verdict(self) -> Verdict:
        verdict = self.answer()
        if isinstance(verdict, Permit):
            return verdict
        if self.who.kind == "anonymous":
            return Refusal(self.who.refusal or reasons.IDENTITY_REQUIRED)
        return verdict if any(self.reaching(each) for each in self.published.operations) else Refusal(reasons.NO_RULE)

    def answer(self) -> Verdict:
        """OPTIONS asks for any operation on the path: the first permit in order, else the furthest refusal."""
        operations = self.published.operations
        if self.method != "OPTIONS":
            return self.judge(required(operations, self.path, self.method))
        found = [required(operations, self.path, method) for method in sorted({each.method for each in operations})]
        verdicts = [self.judge(each) for each in found if each] or [self.judge([])]
        ranks = {rule.id: order_of(rule) for rule in self.published.rules}
        permits = [(ranks[each.rule], each.operation, each) for each in verdicts if isinstance(each, Permit)]
        refusals = [(-reasons.REFUSAL_ORDER.index(each.reason), each) for each in verdicts if isinstance(each, Refusal)]
        return min(permits)[-1] if permits else min(refusals)[-1]

    def judge(self, operations: list[Operation]) -> Verdict:
        """Denied, then unknown; of several required operations the earliest reason in the order of reasons."""
        denies = [rule.id for rule in self.published.rules if not rule.is_permit and self.denies(rule, operations)]
        if denies:
            return Refusal(reasons.DENIED, min(denies), operations[0].name if operations else "")
        if not operations:
            return Refusal(reasons.OPERATION_UNKNOWN)
        verdicts = [self.judge_one(each) for each in operations]
        refusals = [each for each in verdicts if isinstance(each, Refusal)]
        return min(refusals, key=lambda each: reasons.REFUSAL_ORDER.index(each.reason)) if refusals else verdicts[0]

    def judge_one(self, operation: Operation) -> Verdict:
        """Reach, scope, requirement: the first rule in order that passes, or that came furthest."""
        name, reaching = operation.name, self.reaching(operation)
        if not reaching:
            return Refusal(reasons.NO_RULE, "", name)
        first, scoped = reaching[0], [each for each in reaching if self.missing(each, operation) is None]
        if not scoped:
            return Refusal(reasons.SCOPE_MISSING, first.id, name, self.missing(first, operation) or ())
        first, met = scoped[0], [each for each in scoped if not self.unmet(each)]
        if not met:
            return Refusal(reasons.REQUIREMENT_UNMET, first.id, name, self.unmet(first))
        return Permit(met[0].reason, met[0].id, name)

    def unmet(self, rule: Rule) -> tuple[str, ...]:
        return () if rule.is_free else unmet(rule.requirements, self.who, self.now, self.call)

    def is_meant(self, rule: Rule, subjects: frozenset[str]) -> bool:
        return not subjects.isdisjoint(names_of(rule.subject, self.published.exposure.environment))

    def reaching(self, operation: Operation) -> list[Rule]:
        """The permits about the operation that mean the caller, in order; nobody unknown is more than anyone."""
        subjects = frozenset() if self.who.kind == "anonymous" else self.who.subjects
        rules = sorted(
            (each for each in self.published.rules if each.is_permit and each.covers(operation)), key=order_of
        )
        return [each for each in rules if each.subject == ANYONE or self.is_meant(each, subjects)]

    def denies(self, rule: Rule, operations: list[Operation]) -> bool:
        """By the subject or its client; by method as asked and as required; by a path that comes near."""
        methods = {self.method, *(each.method for each in operations)}
        named = [template for method, template in rule.operations if method in methods]
        return (
            self.is_meant(rule, self.who.subjects | self.who.client_subjects)
            and (rule.methods is None or not rule.methods.isdisjoint(methods))
            and (not rule.operations or any(is_near(template, self.path) for template in named))
        )

    def missing(self, rule: Rule, operation: Operation) -> tuple[str, ...] | None:
        """None when the scopes suffice; else what the nearest alternative lacks. Nothing suffices when unresolved."""
        if operation.unresolved:
            return ()
        if rule.is_free or not operation.scopes or (rule.confers is None and not self.who.bounded):
            return None
        held = self.who.scopes
        if not self.who.bounded:
            held = held.union(
                rule.confers or (), *(self.derived.role_scopes.get(each, ()) for each in self.who.subjects)
            )
        lacks = [tuple(sorted(alternative - held)) for alternative in operation.scopes]
        return None if () in lacks else min(lacks, key=lambda each: (len(each), each))
