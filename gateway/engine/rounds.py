"""One round of the engine: watch has seen something, so read, judge, compile, publish, remember.

A round blocks (files, marshal, fsync) and is run off the event loop; nothing in it is called by two threads at once.
It never publishes on doubt: without an access policy that reads well, or with a first reading that finds nothing at
all, what is published stays.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, NamedTuple

from gateway import config
from gateway.engine.acceptance import Acceptance, Group
from gateway.engine.access_files import AccessRead, read_access, read_access_texts
from gateway.engine.answers import Live
from gateway.engine.catalogs import Sources
from gateway.engine.compilation import Compiled, Compiler, Past
from gateway.engine.entries.chronicle import Chronicle, Since
from gateway.engine.ground import Ground
from gateway.engine.journal import Journal
from gateway.engine.promises import Promises
from gateway.engine.publisher import Publisher
from gateway.engine.sources.entities import Entity
from gateway.engine.sources.files import root_of
from gateway.engine.sources.pulls import Pull
from policy.builtin import BUILTIN_SERVICE
from policy.claims import Claim, Incumbent
from policy.facts import Exposure, Source
from policy.reading import Fault
from policy.tracking import Comparison

MANY: Final = 1_000_000  # objects that a round made
TIDY_S: Final = 4.0  # between two looks for frames that nobody names any more


class Outcome(NamedTuple):
    """``message`` goes to the doors. ``confirm``: another reading should follow soon. ``held``: losses, by kind."""

    message: dict[str, Any] | None
    confirm: bool
    faults: tuple[Fault, ...]
    took_ms: int = 0
    services: int = 0
    held: Mapping[str, frozenset[str]] = {}


class Rounds:
    """Everything the engine keeps between two rounds, for one set of settings."""

    def __init__(
        self,
        settings: config.Settings,
        publisher: Publisher,
        journal: Journal,
        sources: Sources | None = None,
        tell: Callable[[dict[str, Any]], None] = lambda message: None,
    ) -> None:
        """``tell`` sends a message to every door, as soon as what it is about is on disk."""
        self._settings = settings
        self._tell = tell
        self._publisher = publisher
        self._journal = journal
        self._sources = sources or Sources(settings.catalog)
        comparison = Comparison[str, Entity]()
        self._acceptance = Acceptance(_held_of(journal), comparison)
        self._compiler = Compiler(settings, comparison)
        self._promises = Promises(publisher.frame)
        self._accepted: Mapping[str, Entity] = journal.sections["entities"]
        self._past = _past_of(journal)
        self._pull: Pull | None = None
        self._seen: object = None  # what the last round read, unless another reading of the same could say more
        self._outcome = Outcome(None, False, ())
        self._compiled_base = ""
        self.live: Live | None = None  # what the last compile was made of and came to; None before the first
        self.compiled: Compiled | None = None  # the same, with its frames
        self._chronicle = Chronicle(journal, time.time, comparison)
        self._noted: Ground | None = None
        self.ground: Ground | None = None  # of the last round
        self._to_remember: dict[str, Mapping[str, Any]] = {}  # what the journal still has to take
        self._incumbents: dict[str, str] = {}  # as the journal holds them
        self._incumbents_from: Mapping[Claim, Incumbent] = {}
        self._tidied_s = float("-inf")
        self._access_read: AccessRead | None = None

    @property
    def routes(self) -> Mapping[str, tuple[Exposure, ...]]:
        """Where the published services run, by service."""
        return self._past.routes

    def watched(self) -> tuple[set[Path], set[Path]]:
        """Folders to watch with all below them, and folders to watch alone."""
        deep: set[Path] = set()
        flat: set[Path] = set()
        for pattern in self._settings.catalog.files:
            root = root_of(pattern)
            is_flat = root == Path(pattern).parent and not Path(pattern).is_dir() and "**" not in pattern
            (flat if is_flat else deep).add(root)
        access = Path(self._settings.access_policy)
        (deep if access.is_dir() else flat).add(access if access.is_dir() else access.parent)
        return deep, flat - deep

    @property
    def held(self) -> Mapping[str, frozenset[str]]:
        """Kind to refs whose loss is held. Asked between two rounds."""
        return self._acceptance.held

    def accept_losses(self) -> None:
        """Called between two rounds."""
        self._acceptance.accept_losses()
        self._seen = None

    def round(self) -> Outcome:
        with _uncollected():
            outcome = self._round()
        self._tidy()
        return outcome

    def _round(self) -> Outcome:
        began = time.monotonic()
        pull = self._sources.pull()
        access, access_faults = self._access()
        seen = (id(pull), access.digest if access is not None else "", access_faults)
        if seen == self._seen:
            return self._outcome._replace(message=None)
        self._pull = pull  # held, so that its id stays its own
        judgement = self._acceptance.judge(pull, self._accepted)
        faults = (*pull.faults, *judgement.faults, *access_faults)
        message, waits = None, ""
        if access is None or access.policy is None:
            waits = "the access policy has faults and never was good: nothing is published before it is"
        elif pull.unread and not self._accepted:
            # Who is read first would stand against who is read later: at the very first, all are waited for.
            waits = "a catalog was never read: nothing is published before it is"
            faults = (*faults, Fault(Source("catalog"), waits))
        elif not judgement.entities and not self._accepted:
            waits = "the catalog holds no entity: nothing is published"
            faults = (*faults, Fault(Source("catalog"), waits))
        else:
            unsaid = frozenset(
                ref for ref in judgement.kept | self._acceptance.all_held if ref.startswith("component:")
            )
            base = self._compiler.base(judgement.entities, access.digest, unsaid)
            if base != self._compiled_base:
                message = self._compile(base, judgement.entities, access, unsaid)
            faults = (*faults, *(self.compiled.faults if self.compiled is not None else ()))
        self._remember_held()
        faults = (*faults, *self._remember())
        took_ms = int((time.monotonic() - began) * 1000)
        services = len(self._past.routes.keys() - {BUILTIN_SERVICE.ref})
        faults = tuple(dict.fromkeys(faults))
        self.ground = Ground(
            self._settings, pull, judgement.entities, judgement.kept, self._acceptance.losses,
            self._acceptance.missing, self.compiled, faults, waits, self._publisher.base,
        )  # fmt: skip
        self._outcome = Outcome(message, judgement.confirm, faults, took_ms, services, self._acceptance.held)
        self._seen = None if judgement.confirm or self._to_remember else seen
        return self._outcome

    @property
    def since(self) -> Mapping[str, Since]:
        """Since when each entity has its state."""
        return self._chronicle.since

    def chronicle(self) -> None:
        """After a round was told: remember since when. Raises `OSError`."""
        if self.ground is not None and self.ground is not self._noted:
            self._noted = self.ground
            self._chronicle.note(self.ground)

    def _remember_held(self) -> None:
        """A hold outlives a restart: what is left of it may be too little to be held anew."""
        held = {f"{group.kind} {group.catalog}": tuple(sorted(refs)) for group, refs in self._acceptance.losses.items()}
        if held != self._journal.sections["held"]:
            self._to_remember["held"] = held

    def _remember(self) -> tuple[Fault, ...]:
        """After publishing, and never in its way: what cannot be written now is tried again by the next round."""
        try:
            if self._to_remember:
                self._journal.record(self._to_remember)
        except OSError as fault:
            return (Fault(Source(self._settings.state_folder), f"cannot remember this version: {fault.strerror}"),)
        self._to_remember = {}
        return ()

    def _tidy(self) -> None:
        if self._publisher.base and time.monotonic() - self._tidied_s > TIDY_S:
            self._tidied_s = time.monotonic()
            with suppress(OSError):  # what cannot be removed now stays for another time
                self._publisher.collect(time.time())

    def _access(self) -> tuple[AccessRead | None, tuple[Fault, ...]]:
        """The policy in the files; the last good one when they are at fault."""
        read = self._access_read = read_access(self._settings.access_policy, self._access_read)
        if read.policy is not None:
            return read, read.faults
        last = self._journal.sections["access"]
        if not last:
            return None, read.faults
        kept = read_access_texts(last)
        note = Fault(Source(self._settings.access_policy), "access policy is rejected: the last good one holds")
        return kept, (*read.faults, note)

    def _compile(
        self, base: str, entities: Mapping[str, Entity], access: AccessRead, unsaid: frozenset[str]
    ) -> dict[str, Any] | None:
        assert access.policy is not None  # a round without one has ended before
        compiled = self._compiler.compile(entities, access.policy, self._past, unsaid)
        compiled = self._promises.kept(compiled, access.policy)
        message = self._publisher.publish(base, compiled.frames)
        self._accepted, self._past = entities, compiled.past
        self.live = Live(compiled.published, compiled.catalog, entities, access)
        self._compiled_base, self.compiled = base, compiled
        self._to_remember |= {
            "entities": entities,
            "routes": compiled.past.routes,
            "incumbents": self._incumbents_of(compiled.past),
            "rules": compiled.past.rules,
            "access": access.texts,
        }
        if message is not None:
            self._tell(message)
        return message

    def _incumbents_of(self, past: Past) -> dict[str, str]:
        if past.incumbents is not self._incumbents_from:
            self._incumbents_from = past.incumbents
            self._incumbents = {f"{host} {prefix}": " ".join(each) for (host, prefix), each in past.incumbents.items()}
        return self._incumbents


def _held_of(journal: Journal) -> dict[Group, frozenset[str]]:
    found = {}
    for name, refs in journal.sections["held"].items():
        kind, _, catalog = name.partition(" ")
        found[Group(catalog, kind)] = frozenset(refs)
    return found


@contextmanager
def _uncollected() -> Iterator[None]:
    """Looking for cycles among millions of facts, which have none, takes a fifth of a compile; and those that a first
    compile makes are never looked at again."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if gc.get_count()[0] > MANY:
            gc.freeze()
        if collecting:
            gc.enable()


def _past_of(journal: Journal) -> Past:
    sections = journal.sections
    incumbents = {}
    for claim, said in sections["incumbents"].items():
        host, _, prefix = claim.partition(" ")
        key, _, team = said.partition(" ")  # older versions wrote no team
        incumbents[host, prefix] = Incumbent(key, team)
    return Past(sections["routes"], incumbents, sections["rules"])
