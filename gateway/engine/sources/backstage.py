"""Follows one Backstage catalog: a cheap look every few seconds, what changed by ref, everything now and then.

    probe     refs, uids and etags of all; what is new, changed or frozen is read by ref
    full      all that policy needs of all, except definitions; each entity is hashed here
    beside    definitions of APIs that exposed services provide

A reading is swapped in whole or not at all. What one reading lacks is asked for by ref before it counts as gone, so
`pull` never lacks what two calls did not agree on; whether so large a loss is believed is the acceptance's business.

The wait is the longer of the operator's and ten times (full: fifty times) what a reading takes. Errors double it up to
five minutes; one good answer restores it. Until the first reading all that is remembered counts as there, unreadable.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from typing import Any, Final

from gateway import telemetry
from gateway.config.sources import Backstage
from gateway.engine.sources.backstage_api import REFS, CatalogApi, CatalogFault, jittered
from gateway.engine.sources.backstage_definitions import Definitions, Wanted, pull_of, wanted_of
from gateway.engine.sources.backstage_items import PROBED, READ, ItemReader, Record, Seen, seen
from gateway.engine.sources.pulls import Pull, file_of
from gateway.engine.sources.sharing import Held
from policy.facts import Source
from policy.reading import Fault

PROBE_FACTOR: Final = 10
LOOKS: Final = 3  # a catalog is slow when so many probes in a row were
FULL_FACTOR: Final = 50
LONGEST_WAIT_S: Final = 300.0
HURRIED_S: Final = 1.0  # least time between readings that were asked for
WATCHED_S: Final = 600.0  # how long after a hint a change is taken for what the hint was about
FIRST_S: Final = 3.0  # for definitions before the first reading counts; those that come later come later
MANY: Final = 0.1  # of the catalog: when more differs, a full reading says more
FROZEN: Final = 2000  # read with every probe; more wait for the full reading


@dataclass(frozen=True, slots=True)
class Standing:
    """How a catalog is, for who asks. Times are of the monotonic clock; None: never."""

    name: str
    url: str
    entities: int = 0
    read_s: float | None = None  # when the last good reading began
    took_s: float = 0.0  # the last good probe
    full_took_s: float = 0.0
    wait_s: float = 0.0  # until the next
    delay_s: float | None = None  # from the last hint to the first change that the catalog showed
    fault: str = ""
    fix: str = ""


class BackstageSource:
    """Made and used inside the running loop; ``pull`` alone is read by the engine's worker thread. ``on_change`` says
    that it is another one. ``held``: what others hold of the catalog, asked until all is read for the first time."""

    def __init__(
        self, said: Backstage, prefix: str, worker: Executor, on_change: Callable[[], None],
        *, clock: Callable[[], float] = time.monotonic, api: CatalogApi | None = None, held: Held | None = None,
    ) -> None:  # fmt: skip
        # for its whole life
        self.said = said
        self._file = file_of(said.name)
        self._items = ItemReader(self._file, prefix, held)
        self._worker = worker
        self._on_change = on_change
        self._clock = clock
        self._api = api or CatalogApi(said, worker)
        self._definitions = Definitions(self._api, self._file, worker, held)
        # what was read
        self._records: Mapping[str, Record] = {}
        self._is_read = False
        self._full_due_s = 0.0
        self._definitions_due_s = 0.0
        self._definitions_fault = ""
        self.standing = Standing(said.name, said.url)
        self.pull = self._made()
        # what is under way
        self._errors = 0
        self._looks_s: deque[float] = deque(maxlen=LOOKS)  # what the last ones took
        self._hint = asyncio.Event()
        self._hinted_s: float | None = None
        self._defining: asyncio.Task[None] | None = None
        self._following: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._following = asyncio.get_running_loop().create_task(self._follow())

    async def close(self) -> None:
        tasks = [task for task in (self._following, self._defining) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._api.close()

    def hurry(self) -> None:
        """Somebody says that something changed: look now."""
        self._hinted_s = self._clock()
        self._hint.set()

    # === time ===

    async def _follow(self) -> None:
        while True:
            began_s = self._clock()
            asked_s = 0.0
            try:
                await self.read()
                self._errors = 0
            except CatalogFault as fault:
                asked_s = fault.retry_s
                self._failed(str(fault), fault.fix)
            except Exception as error:  # a defect must not end the following; what was read stays
                self._failed(f"reading it failed: {type(error).__name__}: {str(error)[:200]}", "report this line")
            wait_s = jittered(max(self._wait_s(), asked_s) - (self._clock() - began_s))
            await self._pause(wait_s)

    def _wait_s(self) -> float:
        """From the start of one reading to the start of the next."""
        wait_s = max(self.said.poll_s, PROBE_FACTOR * min(self._looks_s, default=0.0))
        if self._errors:
            wait_s = min(wait_s * 2 ** min(self._errors, 10), LONGEST_WAIT_S)
        self.standing = replace(self.standing, wait_s=wait_s)
        return wait_s

    async def _pause(self, wait_s: float) -> None:
        ended_s = self._clock()
        try:
            async with asyncio.timeout(max(wait_s, 0.0)):
                await self._hint.wait()
        except TimeoutError:
            return
        await asyncio.sleep(max(0.0, HURRIED_S - (self._clock() - ended_s)))

    def _failed(self, why: str, fix: str) -> None:
        self._errors += 1
        if why != self.standing.fault:
            telemetry.log("catalog_away", level="warning", catalog=self.said.name, why=why, todo=fix)
            self.standing = replace(self.standing, fault=why, fix=fix)
            self._announce()

    # === one reading ===

    async def read(self) -> None:
        """One reading, a full one when it is due. Raises `CatalogFault`; then nothing changes."""
        self._hint.clear()
        began_s = self._clock()
        is_full = not self._is_read or began_s >= self._full_due_s
        records = await self._full() if is_full else await self._probe()
        if records is None:
            is_full, records = True, await self._full()
        took_s = self._clock() - began_s
        changed = self._took(records, began_s, took_s, is_full=is_full)
        self._define_stale(is_full=is_full)
        if not self._is_read:
            self._is_read = True
            if self._defining is not None:
                await asyncio.wait([self._defining], timeout=FIRST_S)
            changed = True
        if changed:
            self._announce()
        self._items.held = self._definitions.held = Held()

    def _took(self, records: Mapping[str, Record], began_s: float, took_s: float, *, is_full: bool) -> bool:
        before, self._records = self._records, records
        changed = before.keys() != records.keys() or any(
            before[ref].digest != record.digest for ref, record in records.items()
        )
        self._definitions.forget(before.keys() - records.keys())
        standing = replace(self.standing, entities=len(records), read_s=began_s, fault="", fix="")
        if is_full:
            self._full_due_s = began_s + max(self.said.full_s, FULL_FACTOR * took_s)
            standing = replace(standing, full_took_s=took_s)
        else:
            standing = replace(standing, took_s=took_s)
            self._looks_s.append(took_s)
        if changed and self._hinted_s is not None:
            if self._is_read and began_s - self._hinted_s < WATCHED_S:
                standing = replace(standing, delay_s=began_s - self._hinted_s)
            self._hinted_s = None
        if self.standing.fault:
            telemetry.log("catalog_back", catalog=self.said.name, entities=len(records))
        changed = changed or bool(self.standing.fault)
        self.standing = standing
        return changed

    async def _full(self) -> dict[str, Record]:
        known = self._records
        found: dict[str, Record] = {}

        def take(items: list[Any]) -> list[Any]:
            self._items.read_all(items, known, found)
            return [None] * len(items)  # what was read is not held twice

        async for _ in self._api.pages(READ, take):
            pass
        return found | await self._read_refs([ref for ref in known if ref not in found])

    async def _probe(self) -> dict[str, Record] | None:
        """None when so much differs that a full reading is cheaper to reason about."""
        known = self._records
        there: dict[str, Seen] = {}
        async for page in self._api.pages(PROBED, seen, again=True):
            there.update((each.ref, each) for each in page.items)
        frozen = [ref for ref, record in known.items() if record.is_frozen and ref in there][:FROZEN]
        differing = [ref for ref, each in there.items() if not _is_known(known.get(ref), each)]
        gone = [ref for ref in known if ref not in there]
        if len(differing) + len(gone) > max(REFS, MANY * len(known)):
            return None
        wanted = {*differing, *gone, *frozen}
        read = await self._read_refs(sorted(wanted))
        return {ref: record for ref, record in known.items() if ref not in wanted or ref in read} | read

    async def _read_refs(self, refs: list[str]) -> dict[str, Record]:
        """Those of them that are there."""
        found: dict[str, Record] = {}
        for start in range(0, len(refs), REFS):
            items = await self._api.by_refs(refs[start : start + REFS], READ)
            await asyncio.get_running_loop().run_in_executor(
                self._worker, self._items.read_all, items, self._records, found
            )
        asked = frozenset(refs)
        return {ref: record for ref, record in found.items() if ref in asked}

    # === definitions ===

    def _define_stale(self, *, is_full: bool) -> None:
        if self._defining is not None and not self._defining.done():
            return
        now_s = self._clock()
        wanted = wanted_of(self._records)
        stale = self._definitions.stale(wanted)
        if now_s >= self._definitions_due_s:
            self._definitions_due_s = now_s + self.said.definitions_s
            stale = wanted
        elif is_full:
            known = {each.ref for each in stale}
            stale += [each for each in wanted if each.ref not in known and self._records[each.ref].is_frozen]
        if stale:
            self._defining = asyncio.get_running_loop().create_task(self._define(stale))

    async def _define(self, stale: list[Wanted]) -> None:
        before, why, changed = self._definitions_fault, "", True
        try:
            changed = await self._definitions.read(stale)
        except CatalogFault as fault:
            why = str(fault)
        except Exception as error:  # a defect: what was read before counts
            why = f"{type(error).__name__}: {str(error)[:200]}"
        self._definitions_fault = why
        if self._is_read and (changed or why != before):
            self._announce()

    # === what the engine takes ===

    def _announce(self) -> None:
        self.pull = self._made()
        self._on_change()

    def _made(self) -> Pull:
        if not self._is_read:
            fault = self._unread_fault(self.standing.fault)
            return Pull(unread=True, broken_files={self._file}, faults=[fault], catalogs=frozenset((self._file,)))
        pull = pull_of(self._records, self._file, self._definitions)
        pull.faults += self._faults()
        return pull

    def _faults(self) -> Iterable[Fault]:
        place, name = Source(self._file), self.said.name
        if self.standing.fault:
            message = f"catalog `{name}` cannot be read, what was read before counts: {self.standing.fault}"
            yield Fault(place, message, self.standing.fix)
        elif not self._records:
            message = f"catalog `{name}` answers well and holds no entity"
            yield Fault(place, message, "its token may lack the permission `catalog.entity.read`")
        if self._definitions_fault:
            yield Fault(place, f"definitions of catalog `{name}` cannot be read: {self._definitions_fault}", "")

    def _unread_fault(self, why: str) -> Fault:
        message = f"catalog `{self.said.name}` has not been read yet" + (f": {why}" if why else "")
        return Fault(Source(self._file), message, self.standing.fix, "error" if why else "warning")


def _is_known(record: Record | None, seen: Seen) -> bool:
    return record is not None and (record.uid, record.etag) == (seen.uid, seen.etag)
