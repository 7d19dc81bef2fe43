"""What an operator should look at, of a worker and of the catalog: one sentence for each thing that is not well."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from gateway.node.status import Catalog, Worker

SILENT_S: Final = 5.0  # a worker speaks each second
OLD_S: Final = 900.0  # a catalog nobody could read for so long says little about today
STALE_S: Final = 15.0  # roles that are away longer than a restart takes
AHEAD_S: Final = 5  # of a clock that was set back, where corrections are smaller


def findings_of_worker(worker: Worker) -> Iterator[str]:
    if worker.heard_age_s is not None and worker.heard_age_s > SILENT_S:
        yield f"has been silent for {worker.heard_age_s:.0f} s"
    if not worker.base:
        yield "has no policy, every request is `policy_unavailable`"
    if worker.audit_failing:
        yield "cannot write its audit trail"
    if (worker.clock_ahead_s or 0) > AHEAD_S:
        yield (
            f"lives {worker.clock_ahead_s} s in the future, because the clock was set back: tokens that end before then"
            " are refused; replace the workers (SIGUSR2 to the supervisor)"
        )
    if (worker.snapshot_age_s or 0) > STALE_S:
        yield f"has not heard the engine for {worker.snapshot_age_s} s"
    if (worker.overlay_age_s or 0) > STALE_S:
        yield f"has not heard control for {worker.overlay_age_s} s"


def findings_of_catalog(catalog: Catalog) -> Iterator[str]:
    if catalog.failure:
        yield f"the catalog could not be compiled: {catalog.failure}"
    if not catalog.base:
        yield "nothing is published yet"
    for each in catalog.followed:
        if each.fault:
            since = "it was never read" if each.age_s is None else f"what was read {each.age_s:.0f} s ago counts"
            yield f"catalog {each.name} is away, {since}: {each.fault}" + (f"; {each.fix}" if each.fix else "")
        elif each.age_s is not None and each.age_s > OLD_S:
            yield f"catalog {each.name} was last read {each.age_s:.0f} s ago"
    if catalog.errors:
        first = next(iter(catalog.faults), "")
        more = " … (`stagedoor check` lists all that is in the files)" if catalog.errors > 1 else ""
        yield f"the catalog has {catalog.errors} error{'s' if catalog.errors > 1 else ''}: {first}{more}"
    if catalog.held:
        counts = ", ".join(f"{lost.gone} of kind {lost.kind}" for lost in catalog.held)
        yield f"losses are held ({counts}): bring them back, or run `stagedoor catalog accept-losses`"
