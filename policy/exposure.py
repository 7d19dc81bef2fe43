"""One exposure at run time, and the careful way to a verdict.

The table's quick way (``Table.decide``) answers the plain permit; everything else comes here: refusals,
siblings of variables, several definitions of one operation, OPTIONS and HEAD, unsigned callers, actors. Both
work on the frame's own tuples, whose layout ``policy.frames`` states.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final, NamedTuple

from policy.facts import UNSEEN, Circumstances, Permit, Principal, Refusal
from policy.frames import (
    LAYOUT,
    NO_RULES,
    DenyFrame,
    ExposureFrame,
    Operation,
    PermitFrame,
    PermitSetFrame,
    Rules,
    Scopes,
    of_this_layout,
    packed,
    unpacked,
)
from policy.paths import Segments, is_near
from policy.reasons import (
    DENIED,
    IDENTITY_REQUIRED,
    NO_RULE,
    OPERATION_UNKNOWN,
    PUBLIC,
    REFUSAL_ORDER,
    REQUIREMENT_UNMET,
    SCOPE_MISSING,
)
from policy.requirements import unmet
from policy.rule import RANK
from policy.statements import ANYONE
from policy.walk import exact_routes, required

RoleScopes = dict[str, frozenset[str]]
Verdict = Permit | Refusal

NOBODY: Final[frozenset[str]] = frozenset()


class _Asking(NamedTuple):
    """Who asks, when and how: what every step of a verdict is about."""

    who: Principal
    now: int
    roles: RoleScopes
    call: Circumstances


@lru_cache(1024)  # thousands of exposures have the same few options and deny the same few
def _set_of(names: tuple[str, ...]) -> frozenset[str]:
    return frozenset(names)


class Exposure:
    """What a request is decided on and forwarded to. Nothing it says ever changes; its rules are opened when first
    asked for, because of ten thousand services few are in use at a time."""

    __slots__ = (
        "_packed", "asks_how", "at_hand", "cors", "denied", "depth", "environment", "host", "key", "opened", "options",
        "prefix", "prefix_segments", "reach", "service", "upstreams",
    )  # fmt: skip

    def __init__(self, frame: ExposureFrame) -> None:
        (
            _, key, service, environment, host, prefix_segments, prefix, upstreams, options, cors, denied, asks_how,
            reach, rules,
        ) = of_this_layout(frame)  # fmt: skip
        # what every request reads, together in memory
        self.opened: Rules | None = None  # kept by the table while the exposure is in use
        self.at_hand: object = None  # what whoever forwards keeps with it, and policy never looks at
        self.depth = len(prefix_segments)
        self.denied = _set_of(denied)  # everybody whom some deny rule names
        self.cors = _set_of(cors)
        self.asks_how = asks_how
        # what some ask for
        self.options = _set_of(options)
        self.prefix_segments = prefix_segments
        self.prefix = prefix
        self.key = key
        self.service = service
        self.environment = environment
        self.host = host
        self.upstreams = upstreams
        self.reach = reach
        self._packed = rules

    @classmethod
    def nowhere(cls) -> Exposure:
        """What a path outside every prefix of a known host belongs to: nobody has a right on it."""
        return cls((LAYOUT, "", "", "", "", (), "/", (), (), (), (), False, (), packed(NO_RULES)))

    def rules(self) -> Rules:
        """Opened for the caller alone, unless they are open anyway."""
        return self.opened or unpacked(self._packed)

    def preflight(self, path: Segments, method: str) -> Permit | None:
        """Leave to ask the service what scripts may do (Fetch standard, 3.3.8), where its owner wants to answer that
        and the operation asked about exists. Such a question comes without credentials, so nobody is judged."""
        if "upstream" not in self.cors:
            return None
        operations = required(list(exact_routes(self.rules().tree, path)), path, method)
        return Permit(PUBLIC, "", f"OPTIONS {operations[0][0]}") if operations else None

    def verdict(
        self, path: Segments, method: str, who: Principal, now: int, roles: RoleScopes, call: Circumstances = UNSEEN
    ) -> Verdict:
        """The whole meaning for one caller, without its actors. ``path`` is below the prefix."""
        verdict = self._answer(self.rules(), path, method, _Asking(who, now, roles, call))
        if isinstance(verdict, Permit):
            return verdict
        if who.kind == "anonymous":
            return Refusal(who.refusal or IDENTITY_REQUIRED)
        if ANYONE in self.reach or not who.subjects.isdisjoint(self.reach):
            return verdict
        return Refusal(NO_RULE)

    def _answer(self, rules: Rules, path: Segments, method: str, asking: _Asking) -> Verdict:
        routes = list(exact_routes(rules.tree, path))
        if method != "OPTIONS":
            return self._judge(rules, path, method, required(routes, path, method), asking)
        methods = sorted({each for route in routes for each in route.leaf[1]})
        asked = [required(routes, path, each) for each in methods] or [[]]
        verdicts = [self._judge(rules, path, method, each, asking) for each in asked]
        permits = [each for each in verdicts if isinstance(each, Permit)]
        if permits:
            return min(permits, key=lambda each: (RANK[each.reason], each.rule, each.operation))
        refusals = [each for each in verdicts if isinstance(each, Refusal)]
        return min(refusals, key=lambda each: (-REFUSAL_ORDER.index(each.reason), each))

    def _judge(
        self, rules: Rules, path: Segments, method: str, operations: list[Operation], asking: _Asking
    ) -> Verdict:
        denier = self._denier(rules.denies, path, {method, *[each[1] for each in operations]}, asking.who)
        if denier:
            return Refusal(DENIED, denier, name_of(operations[0]) if operations else "")
        if not operations:
            return Refusal(OPERATION_UNKNOWN)
        verdicts = [self._judge_one(rules, each, asking) for each in operations]
        refusals = [each for each in verdicts if isinstance(each, Refusal)]
        return min(refusals, key=lambda each: REFUSAL_ORDER.index(each.reason)) if refusals else verdicts[0]

    def _denier(self, denies: tuple[DenyFrame, ...], path: Segments, methods: set[str], who: Principal) -> str:
        """The smallest id of the deny rules that match, or ``""``."""
        if self.denied.isdisjoint(who.subjects) and self.denied.isdisjoint(who.client_subjects):
            return ""
        return min(
            [
                rule
                for names, rule, limited, operations in denies
                if not (who.subjects.isdisjoint(names) and who.client_subjects.isdisjoint(names))
                and (limited is None or not methods.isdisjoint(limited))
                and (
                    not operations or any(each in methods and is_near(template, path) for each, template in operations)
                )
            ],
            default="",
        )

    def _judge_one(self, rules: Rules, operation: Operation, asking: _Asking) -> Verdict:
        """Reach, scope, requirement: the first permit in order that passes, or that came furthest."""
        who, now, roles, call = asking
        name, needed = name_of(operation), rules.scopes[operation[3]]
        reaching = self._reaching(rules.permits[operation[2]], who)
        if not reaching:
            return Refusal(NO_RULE, "", name)
        if needed is None:
            return Refusal(SCOPE_MISSING, reaching[0][2], name)
        scoped = [each for each in reaching if missing_scopes(needed, each, who, roles) is None]
        if not scoped:
            return Refusal(SCOPE_MISSING, reaching[0][2], name, missing_scopes(needed, reaching[0], who, roles) or ())
        for subject, reason, rule, _, requirements in scoped:
            if subject == ANYONE or not unmet(requirements, who, now, call):
                return Permit(reason, rule, name)
        return Refusal(REQUIREMENT_UNMET, scoped[0][2], name, unmet(scoped[0][4], who, now, call))

    def _reaching(self, permits: PermitSetFrame, who: Principal) -> list[PermitFrame]:
        entries, index = permits
        subjects = NOBODY if who.kind == "anonymous" else who.subjects
        if index is not None:
            entries = crowd_of(entries, index, subjects)
        return [entry for entry in entries if entry[0] == ANYONE or entry[0] in subjects]


def crowd_of(
    entries: tuple[PermitFrame, ...], index: dict[str, tuple[int, ...]], subjects: frozenset[str]
) -> tuple[PermitFrame, ...]:
    """The entries about these subjects and about anyone, in their order."""
    found = {position for subject in index.keys() & subjects for position in index[subject]}
    found.update(index.get(ANYONE, ()))
    return tuple(entries[position] for position in sorted(found))


def name_of(operation: Operation) -> str:
    return f"{operation[1]} {operation[0]}"


def holds_one(needed: tuple[Scopes, ...], scopes: frozenset[str]) -> bool:
    """Whether one of the alternatives is held whole."""
    for alternative in needed:  # noqa: SIM110 - on the hot path: `any` over a generator costs three times as much
        if scopes.issuperset(alternative):
            return True
    return False


def missing_scopes(needed: tuple[Scopes, ...], permit: PermitFrame, who: Principal, roles: RoleScopes) -> Scopes | None:
    """None when the scopes suffice; else what the nearest alternative lacks."""
    confers = permit[3]
    if not needed or permit[0] == ANYONE or (confers is None and not who.bounded):
        return None
    held = who.scopes
    if not who.bounded:
        held = held.union(confers or (), *[roles[subject] for subject in roles.keys() & who.subjects])
    lacks = [tuple([scope for scope in alternative if scope not in held]) for alternative in needed]
    return None if () in lacks else min(lacks, key=lambda each: (len(each), each))
