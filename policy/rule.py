"""A rule: one permission or prohibition, about one subject, in one environment, with a stable id.

The id is a hash of what the rule means. The reason given for it (``because``) and its place in a file are
left out: rewording or moving a rule keeps its id, and two statements that mean the same are one rule.
"""

from __future__ import annotations

import json
from base64 import b32encode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final, Literal

from policy.facts import ALL_WORKLOADS, EVERYONE, Exposure, Operation, Service, Source
from policy.paths import Template, covers, template_of
from policy.reading import Fault
from policy.reasons import DENIED, OWN_ENDPOINT, PERMIT_ORDER, PUBLIC
from policy.statements import ANYONE, Requirement

Origin = Literal["catalog", "access-policy", "built-in"]

RANK: Final[Mapping[str, int]] = {reason: rank for rank, reason in enumerate((*PERMIT_ORDER, DENIED))}


@dataclass(frozen=True, slots=True)
class Rule:
    """Who may (or must not) do what to which services. ``None`` and ``()`` leave a part unlimited."""

    id: str
    reason: str  # a permit code of policy.reasons, or DENIED
    origin: Origin
    subject: str  # a ref, ALL_PEOPLE, ALL_WORKLOADS, EVERYONE or ANYONE
    target: str  # "component:default/payments" or a selector as text: "system payments"
    environment: str  # "" = every environment
    methods: frozenset[str] | None = None
    apis: frozenset[str] | None = None
    operations: tuple[tuple[str, Template], ...] = ()
    confers: frozenset[str] | None = frozenset()  # scopes; None = whatever the covered operation needs
    requirements: tuple[Requirement, ...] = ()
    except_grants: bool = False
    because: str = ""
    source: Source = Source("")

    @property
    def is_permit(self) -> bool:
        return self.reason != DENIED

    @property
    def is_free(self) -> bool:
        """Whether it holds for anyone, signed in or not: then no scope and no requirement is asked for."""
        return self.subject == ANYONE and self.reason in (PUBLIC, OWN_ENDPOINT)

    def covers(self, operation: Operation) -> bool:
        """Whether a permit is about this operation."""
        if self.methods is not None and operation.method not in self.methods:
            return False
        if self.apis is not None and operation.api not in self.apis:
            return False
        if not self.operations:
            return True
        template = template_of(operation.stands_for or operation.template)
        return any(method == operation.method and covers(pattern, template) for method, pattern in self.operations)


def with_id(rule: Rule) -> Rule:
    """The same rule under the id that its meaning gives it."""
    meaning = (
        "permit" if rule.is_permit else "deny",
        rule.reason,
        rule.origin,
        rule.subject,
        rule.target,
        rule.environment,
        None if rule.methods is None else sorted(rule.methods),
        None if rule.apis is None else sorted(rule.apis),
        sorted(rule.operations),
        None if rule.confers is None else sorted(rule.confers),
        rule.requirements,
        rule.except_grants,
    )
    digest = blake2b(json.dumps(meaning, ensure_ascii=True).encode(), digest_size=10).digest()
    parts = {name: getattr(rule, name) for name in Rule.__slots__}
    return Rule(**(parts | {"id": "r-" + b32encode(digest)[:10].decode().lower()}))


def one_each(rules: Iterable[Rule]) -> tuple[Rule, ...]:
    """In the order of preference, each id once; of equal rules the one written first in its file stays."""
    found: dict[str, Rule] = {}
    for rule in rules:
        kept = found.get(rule.id)
        if kept is None or _place(rule) < _place(kept):
            found[rule.id] = rule
    return tuple(sorted(found.values(), key=order_of))


def order_of(rule: Rule) -> tuple[int, str]:
    """The first of several permits decides: by reach, then by id."""
    return (RANK[rule.reason], rule.id)


def _place(rule: Rule) -> tuple[str, int, str]:
    return (rule.source.file, rule.source.line, rule.because)


def names_of(subject: str, environment: str) -> tuple[str, ...]:
    """The subjects a principal may carry to be meant by ``subject`` in ``environment``.

    A workload whose client id is valid in some environments only carries its subjects with ``@ENVIRONMENT``.
    """
    if subject.startswith("component:") or subject in (ALL_WORKLOADS, EVERYONE):
        return (subject, f"{subject}@{environment}")
    return (subject,)


OperationOrder = tuple[str, str, str, tuple[tuple[str, ...], ...], bool, bool, str]


def operation_order(operation: Operation) -> OperationOrder:
    """The canonical order of operations, equal for those that mean the same."""
    scopes = tuple(sorted(tuple(sorted(alternative)) for alternative in operation.scopes))
    named = (operation.template, operation.method, operation.api)
    return (*named, scopes, operation.unresolved, operation.public, operation.stands_for)


@dataclass(frozen=True, slots=True)
class Published:
    """An exposure with everything that applies to it. ``operations`` and ``rules`` are in canonical order."""

    key: str  # "component:default/payments@prod"
    service: Service
    exposure: Exposure
    operations: tuple[Operation, ...]
    rules: tuple[Rule, ...]


@dataclass(frozen=True, slots=True)
class Derived:
    """Everything the frames are compiled from. A fault unpublishes at most the entity it names."""

    published: tuple[Published, ...]
    role_scopes: Mapping[str, frozenset[str]]  # team ref -> the scopes its roles confer
    environments: tuple[str, ...]
    faults: tuple[Fault, ...] = ()
