"""What is published of an exposure that breaks an invariant: all that does not break it, decided again at each step.

First what the exposure permitted before and still does: its change is held. Where that breaks the invariant too (a
person changed teams, the invariant is new), the invariant is put in force itself: `never` becomes a deny, `only` leaves
the operation to those it names. Should even that not do, nobody may do anything. Each step permits less than the one
before, so what is taken away is in force whatever is held.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple

from policy.facts import Source
from policy.frames import DenyFrame, ExposureFrame, PermitFrame, Rules
from policy.paths import TAIL, Template
from policy.promises.narrowing import Offer, denying, narrowed, offers_of, rules_of, with_rules
from policy.promises.proofs import Breach, Place, breach_of, is_about, is_of_paths, operations_of
from policy.promises.samples import Samples, is_within, shared
from policy.promises.universe import Universe
from policy.reasons import DENIED
from policy.rule import Rule, names_of, with_id
from policy.statements import ANYONE, Doing, Invariant
from policy.table import Exposure

How = Literal["narrowed", "enforced", "closed"]


class Withheld(NamedTuple):
    """What is published instead. ``denies``: the rules that put invariants in force."""

    frame: ExposureFrame
    how: How
    denies: tuple[Rule, ...] = ()


class Ground(NamedTuple):
    """What every decision about one exposure needs."""

    place: Place
    universe: Universe
    invariants: tuple[Invariant, ...]

    def breaches(self, exposure: Exposure) -> list[Breach]:
        """The first breach of each invariant that is about the exposure."""
        about = (each for each in self.invariants if is_about(each, exposure, self.place))
        found = (breach_of(each, exposure, self.place, self.universe) for each in about)
        return [each for each in found if each is not None]


def withheld(frame: ExposureFrame, before: Rules | None, ground: Ground) -> Withheld:
    """The first form that keeps every invariant. ``before``: what is in force, None when the change of the exposure is
    not what broke them."""
    if before is not None:
        frame = narrowed(frame, before)
        if not ground.breaches(Exposure(frame)):
            return Withheld(frame, "narrowed")
    rules: list[Rule] = []
    for breach in ground.breaches(Exposure(frame)):
        frame, denies = enforced(frame, breach.invariant, ground)
        rules += denies
    if not ground.breaches(Exposure(frame)):
        return Withheld(frame, "enforced", tuple(rules))
    return Withheld(closed(frame), "closed", tuple(rules))


def closed(frame: ExposureFrame) -> ExposureFrame:
    """The same operations, open to nobody."""
    rules = rules_of(frame)
    return with_rules(frame, (each._replace(permits=()) for each in offers_of(rules)), rules.denies)


def enforced(frame: ExposureFrame, invariant: Invariant, ground: Ground) -> tuple[ExposureFrame, list[Rule]]:
    """The exposure with the invariant put in force, and the deny rules that do so."""
    exposure = Exposure(frame)
    samples = Samples(exposure.rules())
    if invariant.kind == "never":
        denies = list(_denies(invariant, exposure, samples, ground.place))
        environment = exposure.environment
        everywhere = [name for asker in ground.universe.limited for name in asker.subjects]
        frame = denying(frame, (deny_frame(rule, environment, everywhere) for rule in denies))
        if ANYONE not in invariant.subjects:
            return frame, denies
        return _with_less(frame, invariant, samples, ground), denies
    return _with_less(frame, invariant, samples, ground), []


def _denies(invariant: Invariant, exposure: Exposure, samples: Samples, place: Place) -> Iterator[Rule]:
    for subject in invariant.subjects:
        for doing in invariant.doings if subject != ANYONE else ():
            methods: frozenset[str] | None = None
            operations: tuple[tuple[str, Template], ...] = ()
            if is_of_paths(doing, samples, place) and doing.template is not None:
                operations = tuple((method, doing.template) for method in sorted(doing.methods))
            elif doing.operation or doing.template is not None:
                operations = tuple(sorted(operations_of(doing, samples, place)))
                if not operations:
                    continue
            elif doing.text != "any":
                methods = doing.methods
            because = invariant.because or f"`{invariant.name}`"
            yield deny_rule(subject, exposure, methods, operations, because, invariant.source)


def deny_rule(
    subject: str,
    exposure: Exposure,
    methods: frozenset[str] | None,
    operations: tuple[tuple[str, Template], ...],
    because: str,
    source: Source,
) -> Rule:
    """A deny on one exposure, which says what put it there."""
    return with_id(
        Rule(
            "", DENIED, "access-policy", subject, f"service {exposure.service}", exposure.environment, methods,
            operations=operations, because=because, source=source,
        )
    )  # fmt: skip


def deny_frame(rule: Rule, environment: str, others: Iterable[str] = ()) -> DenyFrame:
    """``others``: names that programs have in other environments; those that mean the subject are denied, too."""
    methods = None if rule.methods is None else tuple(sorted(rule.methods))
    named = {name for name in others if name.partition("@")[0] == rule.subject}
    return (tuple(sorted({*names_of(rule.subject, environment), *named})), rule.id, methods, rule.operations)


def _with_less(frame: ExposureFrame, invariant: Invariant, samples: Samples, ground: Ground) -> ExposureFrame:
    """Every operation that the invariant is about, with its permits cut down; a path that is only a part of one
    becomes an operation of its own, which is nobody's."""
    rules = rules_of(frame)
    environment = Exposure(frame).environment
    about = {call for doing in invariant.doings for call in _whole(doing, samples, ground.place)}
    offers = []
    for each in offers_of(rules):
        if each.call in about and invariant.kind == "never":
            permits = tuple(permit for permit in each.permits if permit[0] != ANYONE)
            offers.append(each._replace(permits=permits))
        elif each.call in about:
            permits = _reserved(each.permits, frozenset(invariant.subjects), ground.universe, environment)
            offers.append(each._replace(permits=permits))
        else:
            offers.append(each)
    for doing in invariant.doings:
        offers += _parts(doing, samples, ground.place)
    return with_rules(frame, offers, rules.denies)


def _reserved(
    permits: Iterable[PermitFrame], meant: frozenset[str], universe: Universe, environment: str
) -> tuple[PermitFrame, ...]:
    """Those of whom the operation is. A permit for more people is theirs too, where they are among them."""
    found: dict[PermitFrame, None] = {}
    for permit in permits:
        asker = universe.named(permit[0])
        if permit[0] in meant or (asker is not None and not asker.subjects.isdisjoint(meant)):
            found[permit] = None
            continue
        for subject in sorted(meant - {ANYONE}):
            own = universe.named(subject)
            if own is not None and (permit[0] in own.subjects or permit[0] == ANYONE):
                found |= {(name, *permit[1:]): None for name in names_of(subject, environment)}
    return tuple(found)


def _whole(doing: Doing, samples: Samples, place: Place) -> Iterator[tuple[str, Template]]:
    """The operations that a doing is about as a whole."""
    yield from operations_of(doing, samples, place)
    if is_of_paths(doing, samples, place) and doing.template is not None:
        for method, template in samples.operations:
            if method in doing.methods and is_within(template, doing.template):
                yield (method, template)


def _parts(doing: Doing, samples: Samples, place: Place) -> Iterator[Offer]:
    """An operation that is open to nobody on the paths of a doing that others serve beside further paths."""
    if not is_of_paths(doing, samples, place) or doing.template is None:
        return
    template = doing.template
    others = [each for _, each in samples.operations if shared(template, each) and not is_within(each, template)]
    if others and template != (TAIL,):
        text = "/" + "/".join(template)
        yield from (Offer(method, text, (), ()) for method in sorted(doing.methods))
