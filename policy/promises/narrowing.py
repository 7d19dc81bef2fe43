"""Makes of an exposure's compiled form one that permits less: what was not permitted before, what an invariant forbids.

Nothing here ever permits more. Two definitions of one operation are both required wherever the table decides, and that
is how two versions meet: an operation that both have stands in the result with the terms of both, one that only one has
is there and open to nobody, and the denies of both hold. So a request is permitted when either version permits it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from policy.compile import permit_set, tree_of
from policy.facts import Operation
from policy.frames import (
    DenyFrame,
    ExposureFrame,
    PermitFrame,
    PermitSetFrame,
    Rules,
    ScopeSetFrame,
    of_this_layout,
    packed,
    unpacked,
)
from policy.offers import leaves_of
from policy.paths import Template, template_of
from policy.requirements import OF_THE_CALL


class Offer(NamedTuple):
    """One operation, to whom it is open, and the scopes it needs."""

    method: str
    template: str
    permits: tuple[PermitFrame, ...]
    scopes: ScopeSetFrame

    @property
    def call(self) -> tuple[str, Template]:
        return (self.method, template_of(self.template))


def rules_of(frame: ExposureFrame) -> Rules:
    return unpacked(of_this_layout(frame)[-1])


def offers_of(rules: Rules) -> Iterator[Offer]:
    """Every operation of a path tree."""
    for template, methods, terms in leaves_of(rules.tree):
        for method, (permits, scopes, _) in zip(methods, terms, strict=True):
            yield Offer(method, template, rules.permits[permits][0], rules.scopes[scopes])


def narrowed(frame: ExposureFrame, before: Rules) -> ExposureFrame:
    """The exposure as it is now, permitting only what it permitted before."""
    rules = rules_of(frame)
    now, then = list(offers_of(rules)), list(offers_of(before))
    known, had = {each.call for each in now}, {each.call for each in then}
    found = [each if each.call in had else each._replace(permits=()) for each in now]
    for each in then:
        met = each if each.call in known else each._replace(permits=())
        if met not in found:
            found.append(met)
    denies = {deny[1]: deny for deny in (*before.denies, *rules.denies)}
    return with_rules(frame, found, [deny for _, deny in sorted(denies.items())])


def denying(frame: ExposureFrame, denies: Iterable[DenyFrame]) -> ExposureFrame:
    """The exposure with more denies."""
    rules = rules_of(frame)
    every = {deny[1]: deny for deny in (*rules.denies, *denies)}
    return with_rules(frame, offers_of(rules), [deny for _, deny in sorted(every.items())])


def with_rules(frame: ExposureFrame, offers: Iterable[Offer], denies: Iterable[DenyFrame]) -> ExposureFrame:
    """The exposure in the same place, with other operations and denies."""
    permits: dict[tuple[PermitFrame, ...], int] = {}
    scopes: dict[ScopeSetFrame, int] = {}
    entries = []
    for each in sorted(offers, key=_order):
        sets = (permits.setdefault(each.permits, len(permits)), scopes.setdefault(each.scopes, len(scopes)))
        entries.append((Operation(each.method, each.template), sets))
    every: tuple[PermitSetFrame, ...] = tuple(permit_set(list(each)) for each in permits)
    granted = [permit for each in permits for permit in each]
    forbidden = tuple(denies)
    return (
        *of_this_layout(frame)[:10],
        tuple(sorted({name for deny in forbidden for name in deny[0]})),
        any(need[1] in OF_THE_CALL for permit in granted for need in permit[4]),
        tuple(sorted({permit[0] for permit in granted})),
        packed(Rules(tree_of(entries), every, tuple(scopes), forbidden)),
    )


def _order(offer: Offer) -> tuple[str, str, tuple[PermitFrame, ...], bool, ScopeSetFrame | tuple[()]]:
    return (offer.template, offer.method, offer.permits, offer.scopes is None, offer.scopes or ())
