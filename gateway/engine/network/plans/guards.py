"""What a plan has to pass before it is applied, by whoever wants that. Pure: values in, sentences out.

A hindrance names its code, says why, and what to do. All of them are found at once. Three no consent lifts: a catalog
that holds nothing or cannot be read takes nothing off a device, a tenant that is not ours is not touched without being
adopted, and a frozen device is not written to. The others ask for a person, a word or a time.

What a plan takes away is counted in services: those of its removals that the plan does not add again, those whose host,
path below it or address goes to another, and each removed object that belongs to none. One may always go; more than
`removed_most`, or than `removed_share` of what the device holds for us, is a catastrophe until a person says that it is
meant. What the engine took away by itself within the last hour counts again: a catalog that runs empty does so bit by
bit. Addresses that move are counted alike, and wait for a person.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple, Protocol

from gateway.config.devices import ChangeWindow, Mode
from gateway.engine.network.desired import Desired
from gateway.engine.network.plans.plan import Difference, Drift, Kind, Observed, Plan, Step
from gateway.engine.network.plans.windows import is_open, next_begin

ENGINE: Final = "engine"
NAMED: Final = 5
LATELY_S: Final = 3600.0
# What another hand did to a device that a plan would undo for good: a person looks first.
_FOREIGN: Final = frozenset((Difference.FOREIGN, Difference.REPLACED))


class Terms(NamedTuple):
    """What an operator allows on one environment of one device."""

    mode: Mode
    windows: tuple[ChangeWindow, ...] = ()
    frozen: str = ""
    ticket: bool = False
    removed_share: float = 0.2
    removed_most: int = 5


class Basis(NamedTuple):
    """What the catalog is worth now. ``trouble``: why something may be missing from it that is there; "" if nothing."""

    services: int  # published, in all environments together
    trouble: str = ""


class Consent(NamedTuple):
    """Who wants a plan applied, and what they said to it."""

    by: str
    ticket: str = ""
    removals: bool = False

    @property
    def is_person(self) -> bool:
        return self.by != ENGINE

    @property
    def signature(self) -> str:
        """For the history that a device keeps."""
        return f"{self.by}, ticket {self.ticket}" if self.ticket else self.by


class Hindrance(NamedTuple):
    code: str
    why: str
    todo: str

    def __str__(self) -> str:
        return f"{self.why}: {self.todo}" if self.todo else self.why


class Taken(NamedTuple):
    """``held``: the most services that the device held for us before one of these went."""

    names: tuple[str, ...] = ()
    held: int = 0


class Lately:
    """What was taken away by ourselves within `LATELY_S`. In memory: an engine that starts anew took nothing."""

    def __init__(self) -> None:
        self._taken: list[tuple[float, tuple[str, ...], int]] = []  # epoch seconds, what, held before

    def note(self, names: tuple[str, ...], held: int, now_s: float) -> None:
        self._taken = [*self._within(now_s), *([(now_s, names, held)] if names else [])]

    def taken(self, now_s: float) -> Taken:
        within = self._within(now_s)
        names = dict.fromkeys(name for _, each, _ in within for name in each)
        return Taken(tuple(names), max((held for _, _, held in within), default=0))

    def forget(self) -> None:
        """A person has looked."""
        self._taken = []

    def _within(self, now_s: float) -> list[tuple[float, tuple[str, ...], int]]:
        return [each for each in self._taken if now_s - each[0] < LATELY_S]


_NOTHING: Final = Taken()


def removed(steps: Sequence[Step]) -> tuple[str, ...]:
    """What a plan takes away: services that lose a place and get none back for it, or that answer no more below one
    that they keep, and objects of no service. Back is only what is added, of the same sort and for the same service
    and place: no other step makes up for a removal, and none for what goes to another service."""
    return tuple(dict.fromkeys((*_gone(steps), *filter(None, (step.taken_from for step in steps)))))


def _gone(steps: Sequence[Step]) -> tuple[str, ...]:
    back = {each for step in steps if step.kind is Kind.ADD for each in _served(step.after, step)}
    lost: dict[str, None] = {}
    for step in steps:
        if step.kind is Kind.REMOVE:
            gone = _served(step.before, step)
            if step.hands_on or not (gone and back.issuperset(gone)):
                lost.update(dict.fromkeys(step.losers or (step.object,)))
    return tuple(lost)


def _served(value: Any, step: Step) -> set[tuple[str, str, str]]:
    """The sort of the object, a service ("" for none) and a host, for all that the step is about. The record of a
    service is a place of its own."""
    said = value if isinstance(value, Mapping) else {}
    sort = step.object if "entity" in said else str(said.get("class", ""))
    return {(sort, ref, host) for ref in step.entities or ("",) for host in step.hosts}


def moved(steps: Sequence[Step]) -> tuple[str, ...]:
    """What its callers find at another address: services, and each object that belongs to none."""
    return tuple(dict.fromkeys(each for step in steps if step.moves for each in step.entities or (step.object,)))


def present(plan: Plan, observed: Observed, desired: Desired) -> int:
    """How many services the device holds for us: as it says, else as far as wishes and steps tell."""
    if observed.entities:
        return len(observed.entities)
    added = {ref for step in plan.steps if step.kind is Kind.ADD for ref in step.entities}
    kept = {place.entity for place in desired.places} - added
    return len(kept.union(removed(plan.steps)))


def hindrances(
    plan: Plan, observed: Observed, drifts: Sequence[Drift], held: int, terms: Terms, basis: Basis, consent: Consent,
    now_s: float, lately: Taken = _NOTHING,
) -> tuple[Hindrance, ...]:  # fmt: skip
    """Everything that stands against applying the plan now. ``held``: see `present`. ``now_s``: epoch seconds.
    ``lately``: what the engine took away already, see `Lately`."""
    return (
        *(Hindrance("device", why, todo) for why, todo in observed.stops),
        *_of_ownership(plan, observed, consent),
        *_of_terms(terms, consent, now_s),
        *_of_removals(plan, held, terms, basis, consent, _NOTHING if consent.is_person else lately),
        *(() if consent.is_person else (*_of_moves(plan, held, terms), *_of_drift(drifts))),
    )


def _of_ownership(plan: Plan, observed: Observed, consent: Consent) -> Iterator[Hindrance]:
    if observed.content is not None and not observed.ours and not (plan.adopts and consent.is_person):
        todo = f"`stagedoor adopt --device {plan.device} --env {plan.environment}` takes it over"
        yield Hindrance("not_ours", "what is on the device does not carry our mark and is not touched", todo)


def _of_terms(terms: Terms, consent: Consent, now_s: float) -> Iterator[Hindrance]:
    if terms.frozen:
        yield Hindrance("frozen", f"the environment is frozen on this device: {terms.frozen}", "take `frozen` back")
    if terms.mode == "observe":
        yield Hindrance("mode", "the mode is `observe`, nothing is ever written", "set `mode: plan` or `enforce`")
    elif terms.mode == "plan" and not consent.is_person:
        yield Hindrance("mode", "the mode is `plan`, a person applies", "`stagedoor plan --out FILE`, `apply FILE`")
    if not is_open(terms.windows, now_s):
        _, begins = next_begin(terms.windows, now_s)
        yield Hindrance("window", "no change window is open", f"the next begins {begins}")
    if terms.ticket and not consent.ticket:
        yield Hindrance("ticket", "a ticket is required", "`stagedoor apply FILE --ticket ID`")


def _of_removals(
    plan: Plan, held: int, terms: Terms, basis: Basis, consent: Consent, lately: Taken
) -> Iterator[Hindrance]:
    lost, gone = removed(plan.steps), _gone(plan.steps)
    if gone and not basis.services:
        todo = "look at the catalog (`stagedoor status`)"
        yield Hindrance("catalog_empty", "the catalog publishes nothing, and an empty catalog removes nothing", todo)
        return
    if gone and basis.trouble:
        why = f"removals wait while the catalog cannot be believed: {basis.trouble}"
        yield Hindrance("catalog_away", why, "mend that, nothing else lifts it")
    if not lost or consent.removals:
        return
    before = [name for name in lately.names if name not in lost]
    fewer = max(lately.held - held, 0) + len(lost)  # than within the last hour, whatever came instead
    if (
        are_many(len(lost), held, terms) or are_many(fewer, max(lately.held, held), terms)
        or len(lost) + len(before) > terms.removed_most or len(gone) >= held
    ):  # fmt: skip
        why = f"the plan takes away {len(lost)} of {held} ({_some(lost)})"
        why += f", and {len(before)} went within the last hour ({_some(before)})" if before else ""
        yield Hindrance("removals", why, "if it is meant, `stagedoor apply FILE --approve-removals`")


def _of_moves(plan: Plan, held: int, terms: Terms) -> Iterator[Hindrance]:
    """Whoever lost the memory of who has which address would give most of them to others."""
    found = moved(plan.steps)
    if are_many(len(found), held, terms):
        why = f"the plan moves {len(found)} of {held} to other addresses ({_some(found)})"
        yield Hindrance("moves", why, "read `stagedoor plan`: callers are cut off until DNS follows; then apply it")


class Allowance(Protocol):
    """What may be taken away without a person: neither more of them nor a larger share of what is held, whichever is
    reached first; of one alone no share is asked."""

    @property
    def removed_most(self) -> int: ...

    @property
    def removed_share(self) -> float: ...


def are_many(number: int, held: int, allowance: Allowance) -> bool:
    return number > allowance.removed_most or (number > 1 and number > allowance.removed_share * held)


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:NAMED]) + (", …" if len(names) > NAMED else "")


def _of_drift(drifts: Sequence[Drift]) -> Iterator[Hindrance]:
    found = [drift for drift in drifts if drift.difference in _FOREIGN]
    if found:
        named = "; ".join(drift.sentence for drift in found[:NAMED])
        todo = "read `stagedoor plan`, then apply it or take the other hand's work away"
        yield Hindrance("foreign", f"somebody else wrote here: {named}", todo)
