"""Whether a reading of the catalog is believed: losses are confirmed, large losses are held, broken entities stay.

A wrong mount, a token that may read nothing, a half-written folder all look like an empty company. So what is gone
counts as gone only when two readings in a row say so; and when more than a fifth and more than ten entities of a
kind are gone at once, or all of them, the kind is held: the lost stay as they were, additions of that kind wait, and
single losses beside them still come through. A hold ends when the lost are back or an operator accepts the loss. Each
catalog is judged by itself, and all files together: one that fails is not hidden by another that is well.

Everything that is *there* takes effect at once, in particular each change that takes something away from somebody.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from gateway.engine.sources.entities import Entity, with_last_definition
from gateway.engine.sources.pulls import CATALOG, Pull
from gateway.engine.withdrawals import without_withdrawn
from policy.facts import Source
from policy.reading import Fault
from policy.tracking import Comparison, differing

SHARE = 0.2
COUNT = 10
CONFIRMATIONS = 2


class Group(NamedTuple):
    """What is judged together. ``catalog`` is "" for files."""

    catalog: str
    kind: str


@dataclass(slots=True)
class Judgement:
    """``entities`` is what holds now. ``confirm``: something is gone and another reading should say so too."""

    entities: dict[str, Entity]
    confirm: bool = False
    held: Mapping[str, int] = field(default_factory=dict)  # kind -> how many are kept
    kept: frozenset[str] = frozenset()  # refs of broken entities that keep their last good form
    faults: tuple[Fault, ...] = ()


class Acceptance:
    """Judges one reading after the other. ``held``: the refs whose loss was held by who judged before. ``comparison``
    is told what differs from what was accepted last."""

    def __init__(
        self, held: Mapping[Group, frozenset[str]] | None = None, comparison: Comparison[str, Entity] | None = None
    ) -> None:
        self._comparison = comparison or Comparison()
        self._missing: dict[str, int] = {}  # ref -> readings in a row that lacked it
        self._pulled: Mapping[str, Entity] = {}  # the last reading
        self._plain: Mapping[str, Entity] | None = None  # the last judgement, where that was all of the last reading
        self._broken: set[str] = set()  # the APIs in it whose definition cannot be read
        self._held: dict[Group, frozenset[str]] = dict(held or {})  # the refs whose loss is held
        self._waived: frozenset[str] = frozenset()  # refs whose loss an operator accepts

    @property
    def held(self) -> Mapping[str, frozenset[str]]:
        """Kind to the refs whose loss is held now."""
        kinds: dict[str, frozenset[str]] = {}
        for group, refs in self._held.items():
            kinds[group.kind] = kinds.get(group.kind, frozenset()) | refs
        return dict(sorted(kinds.items()))

    @property
    def losses(self) -> Mapping[Group, frozenset[str]]:
        """The same by catalog and kind."""
        return dict(self._held)

    @property
    def missing(self) -> frozenset[str]:
        """What the last reading lacked, for the first time."""
        return frozenset(self._missing)

    @property
    def all_held(self) -> frozenset[str]:
        """The refs whose loss is held."""
        return frozenset[str]().union(*self._held.values())

    def accept_losses(self) -> None:
        """An operator says that what is held is really gone."""
        self._waived = self.all_held

    def judge(self, pull: Pull, accepted: Mapping[str, Entity]) -> Judgement:
        """``accepted``: what the last judgement held."""
        plain, self._plain = self._plain, None
        changed = differing(self._pulled, pull.entities)
        incumbents, kept = _incumbents(pull, accepted), _kept(pull, accepted)
        entities = {**pull.entities, **incumbents, **{ref: accepted[ref] for ref in kept}}
        definitions = _with_last_definitions(self._unreadable(pull, changed, entities), entities, accepted)
        entities.update(definitions)
        is_plain = not (incumbents or kept or definitions)
        differ = changed if is_plain and accepted is plain else differing(accepted, entities)
        moved = [accepted[ref] for ref in differ if ref in accepted]
        lost = _grouped(entity for entity in moved if _is_lost(entity, entities, pull))
        known = _grouped(accepted.values()) if lost or self._held else {}
        missing: dict[str, int] = {}
        faults = []
        for group, every in lost.items():
            gone = every - self._waived
            held = self._hold(group, gone, kept, len(known[group]))
            for ref in gone - held:
                missing[ref] = self._missing.get(ref, 0) + 1
            entities.update((ref, accepted[ref]) for ref in gone if ref in held or missing[ref] < CONFIRMATIONS)
            if held:
                _make_wait(entities, accepted, group)
                faults.append(_held_fault(group, held, known[group]))
        unread = {group: self._hold(group, set(), kept, 0) for group in self._held.keys() - lost.keys()}
        for group, held in unread.items():
            if held:
                _make_wait(entities, accepted, group)
                faults.append(_held_fault(group, held, known[group]))
        self._waived = frozenset()
        self._missing = {ref: count for ref, count in missing.items() if count < CONFIRMATIONS}
        withdrawn = without_withdrawn(entities, accepted, self.all_held, kept, _is_mass_loss)
        entities.update(withdrawn)
        if not lost and not self._held and not withdrawn:
            self._comparison.note(accepted, entities, differ)
            self._plain = entities if is_plain else None
        held_counts = {kind: len(refs) for kind, refs in self.held.items()}
        return Judgement(entities, bool(self._missing), held_counts, kept, tuple(faults))

    def _unreadable(self, pull: Pull, changed: Iterable[str], entities: Mapping[str, Entity]) -> list[str]:
        """The APIs whose definition cannot be read. Only what ``changed`` since the reading before is looked at."""
        for ref in changed:
            entity = pull.entities.get(ref)
            is_broken = entity is not None and entity.definition is not None and entity.definition.broken
            (self._broken.add if is_broken else self._broken.discard)(ref)
        self._pulled = pull.entities
        suspects = {*self._broken, *pull.rivals}
        return [
            ref for ref in suspects
            if ref in entities and (known := entities[ref].definition) is not None and known.broken
        ]  # fmt: skip

    def _hold(self, group: Group, gone: set[str], unread: frozenset[str], known: int) -> frozenset[str]:
        """Those of the ``gone`` whose loss is not believed; of what is ``unread`` nobody can say that it is back. What
        was seen to be gone before so much went with it is confirmed by now."""
        held = self._held.get(group, frozenset()) & (gone | unread)
        if _is_mass_loss(len(gone - held), known):
            held |= gone - self._missing.keys()
        if held:
            self._held[group] = held
        else:
            self._held.pop(group, None)
        return held


def _incumbents(pull: Pull, accepted: Mapping[str, Entity]) -> dict[str, Entity]:
    """What is described more than once stays with the file that described it before, or as it was: a file whose name
    comes first must not take over somebody's service, team or person."""
    found = {}
    for ref, others in pull.rivals.items():
        if ref in accepted:
            file = accepted[ref].source.file
            here = (each for each in (pull.entities[ref], *others) if each.source.file == file)
            found[ref] = next(here, accepted[ref])
    return found


def _is_lost(entity: Entity, entities: Mapping[str, Entity], pull: Pull) -> bool:
    """Whether who described it does so no more. Another catalog that describes it, too, is no substitute before the
    loss is believed: it would only have to wait for this one to fail."""
    if (entity.ref, entity.source.file) in pull.refused:
        return False  # it is there, and the operator does not trust who says so
    now = entities.get(entity.ref)
    if now is None:
        return True
    before = group_of(entity).catalog
    return group_of(now).catalog != before and before in pull.catalogs


def _kept(pull: Pull, accepted: Mapping[str, Entity]) -> frozenset[str]:
    """Entities that are there but cannot be read keep the form they had; what another file says of them is no
    substitute."""
    if not pull.broken and not pull.broken_files:
        return frozenset()
    return frozenset(
        ref
        for ref, entity in accepted.items()
        if (ref in pull.broken or entity.source.file in pull.broken_files)
        and (ref not in pull.entities or pull.entities[ref].source.file != entity.source.file)
        and not any(each.source.file == entity.source.file for each in pull.rivals.get(ref, ()))
    )


def _with_last_definitions(
    refs: Iterable[str], entities: Mapping[str, Entity], accepted: Mapping[str, Entity]
) -> dict[str, Entity]:
    """APIs whose definition cannot be read keep the operations they had."""
    found = {}
    for ref in refs:
        if ref in accepted:
            last = accepted[ref].definition
            if last is not None and not last.broken:
                found[ref] = with_last_definition(entities[ref], last)
    return found


def group_of(entity: Entity) -> Group:
    file = entity.source.file
    return Group(file if file.startswith(CATALOG) else "", entity.kind)


def _grouped(entities: Iterable[Entity]) -> dict[Group, set[str]]:
    groups: dict[Group, set[str]] = {}
    for entity in entities:
        groups.setdefault(group_of(entity), set()).add(entity.ref)
    return groups


def _is_mass_loss(gone: int, known: int) -> bool:
    return gone > 0 and (gone == known or (gone > COUNT and gone > SHARE * known))


def _make_wait(entities: dict[str, Entity], accepted: Mapping[str, Entity], group: Group) -> None:
    for ref in [ref for ref, entity in entities.items() if group_of(entity) == group and ref not in accepted]:
        del entities[ref]


def _held_fault(group: Group, held: frozenset[str], known: set[str]) -> Fault:
    first = ", ".join(f"`{ref}`" for ref in sorted(held)[:3]) + (", …" if len(held) > 3 else "")
    counts = f"{len(held)} of {len(known)} entities of kind `{group.kind}`"
    message = f"{counts} are gone at once ({first}): held as they were"
    todo = "bring them back, or run `stagedoor catalog accept-losses`"
    return Fault(Source(group.catalog or "catalog"), message, todo)
