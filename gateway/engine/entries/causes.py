"""Why an entity as a whole does not count as the catalog says it now: it cannot be read, it is gone and held, it waits,
somebody else described it before. One sentence for each cause, where it is said, what to do, and whom to ask.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal, NamedTuple

from gateway.config.sources import FILES
from gateway.engine.acceptance import group_of
from gateway.engine.ground import Ground
from gateway.engine.sources.annotations import UNLISTED
from gateway.engine.sources.entities import Entity
from gateway.engine.sources.pulls import CATALOG
from policy.facts import Source
from policy.reading import Fault

ADMINISTRATORS: Final = "administrators"  # who may be asked beside teams and people
OWNER: Final = "owner"
_SHOWN: Final = 200
_GUESTS: Final = ("user:development/guest", "user:default/guest")
_ACCEPT: Final = "bring them back, or run `stagedoor catalog accept-losses`"


class Note(NamedTuple):
    """One sentence. ``holds``: what it is about does not count as it is said. ``ask``: refs, `owner` or
    `administrators`."""

    says: str
    todo: str = ""
    source: Source = Source("")
    severity: Literal["error", "warning", "note"] = "error"
    ask: tuple[str, ...] = (OWNER,)
    holds: bool = True


def noted(fault: Fault, *ask: str) -> Note:
    """A fault as its owner reads it."""
    says = fault.message.removeprefix(f"{fault.environment}: ")
    holds = fault.severity == "error" or fault.keeps
    whom = ask or ((ADMINISTRATORS,) if fault.suggestion == UNLISTED else (OWNER,))
    return Note(says, fault.suggestion, fault.source, fault.severity, whom, holds)


def causes(ref: str, ground: Ground) -> Iterator[Note]:
    """Those of one entity, besides the faults that name it."""
    counting = ground.entities.get(ref)
    if counting is not None:
        yield from _of_what_counts(ref, counting, ground)
    elif ref in ground.pull.entities:
        yield _waiting(ref, ground.pull.entities[ref], ground)
    elif any(ref == refused for refused, _ in ground.pull.refused):
        yield from _refused(ref, ground)
    elif ref in ground.pull.absent:
        yield _absent(ref)
    if ground.waits:
        yield Note(ground.waits, "", ask=(ADMINISTRATORS,), severity="note")


def _of_what_counts(ref: str, entity: Entity, ground: Ground) -> Iterator[Note]:
    if ref in ground.lost:
        group = ground.lost[ref]
        where = f"catalog `{group.catalog.removeprefix(CATALOG)}`" if group.catalog else "the catalog files"
        count = len(ground.losses[group])
        why = f"it is gone from {where}, as are {count - 1} others" if count > 1 else f"it is gone from {where}"
        says = f"{why}: such a loss is not believed, so it counts as it was"
        yield Note(says, _ACCEPT, entity.source, ask=(ADMINISTRATORS,))
    elif ref in ground.missing:
        how = "it is an orphan now" if ref in ground.pull.absent else "the last reading lacks it"
        yield Note(f"{how}: it counts as it was until a second reading says the same", "", entity.source, "warning")
    if ref in ground.kept:
        yield Note("its newest form cannot be read: the last good one counts")
        if ref not in ground.pull.broken:
            yield from (noted(fault) for fault in ground.faults_of.get("", ()) if _is_of_file(fault, entity))


def _is_of_file(fault: Fault, entity: Entity) -> bool:
    return fault.source.file == entity.source.file and fault.severity == "error"


def _waiting(ref: str, entity: Entity, ground: Ground) -> Note:
    lost = ground.losses.get(group_of(entity), ())
    if lost:
        says = f"it is new and waits: {len(lost)} of kind {entity.kind} are gone at once, and that is held"
        return Note(says, _ACCEPT, entity.source, ask=(ADMINISTRATORS,))
    return Note(f"`{ref}` is read and does not count yet", "", entity.source, ask=(ADMINISTRATORS,))


def _refused(ref: str, ground: Ground) -> Iterator[Note]:
    kind = ref.partition(":")[0]
    for (refused, file), origin in sorted(ground.pull.refused.items()):
        if refused == ref:
            catalog = file.removeprefix(CATALOG) if file.startswith(CATALOG) else FILES
            where = f"`{origin[:_SHOWN] or 'nowhere'}`"
            says = f"it comes from {where}, where nobody is trusted to define a {kind}: it is not read"
            todo = f"if it may, list `{catalog} {origin[:_SHOWN]}` in `catalog.origins.{kind}s`"
            yield Note(says, todo, Source(file, 0, ref), ask=(ADMINISTRATORS,))


def _absent(ref: str) -> Note:
    if ref in _GUESTS:
        return Note("it is Backstage's guest, who is nobody here")
    return Note("it is an orphan: its source does not describe it any more, so it counts as gone", "remove it, or "
                "describe it again")  # fmt: skip


def unseen(ground: Ground) -> Iterator[Note]:
    """What it may be that nobody shows us an entry."""
    names = [f"`{each.name}`" for each in ground.settings.catalog.backstage]
    if names:
        says = f"what Backstage cannot process at all never gets into its catalog ({', '.join(names)})"
        todo = "look it up there; if it is missing there too, the Location that it comes from says why"
        yield Note(says, todo, severity="note", holds=False)
