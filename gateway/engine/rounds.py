"""One round of the engine: watch has seen something, so read, judge, compile, publish, remember.

A round blocks (files, marshal, fsync) and is run off the event loop; nothing in it is called by two threads at once.
It never publishes on doubt: without an access policy that reads well, or with a first reading that finds nothing at
all, what is published stays.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from gateway import config
from gateway.engine.acceptance import Acceptance
from gateway.engine.access_files import AccessRead, read_access, read_access_texts
from gateway.engine.catalogs import Sources
from gateway.engine.compilation import Compiler, Past
from gateway.engine.journal import Journal
from gateway.engine.publisher import Publisher
from gateway.engine.sources.entities import Entity
from gateway.engine.sources.files import root_of
from gateway.engine.sources.pulls import Pull
from policy.builtin import BUILTIN_SERVICE
from policy.facts import Exposure, Source
from policy.reading import Fault


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
        self, settings: config.Settings, publisher: Publisher, journal: Journal, sources: Sources | None = None
    ) -> None:
        self._settings = settings
        self._publisher = publisher
        self._journal = journal
        self._sources = sources or Sources(settings.catalog)
        self._acceptance = Acceptance()
        self._compiler = Compiler(settings)
        self._accepted: Mapping[str, Entity] = journal.sections["entities"]
        self._past = _past_of(journal)
        self._pull: Pull | None = None
        self._seen: object = None  # what the last round read, unless another reading of the same could say more
        self._outcome = Outcome(None, False, ())
        self._compiled_base = ""
        self._compile_faults: tuple[Fault, ...] = ()
        self._to_remember: dict[str, Mapping[str, Any]] = {}  # what the journal still has to take

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
        began = time.monotonic()
        pull = self._sources.pull()
        access, access_faults = self._access()
        seen = (id(pull), access.digest if access is not None else "", access_faults)
        if seen == self._seen:
            return self._outcome._replace(message=None)
        self._pull = pull  # held, so that its id stays its own
        judgement = self._acceptance.judge(pull, self._accepted)
        faults = (*pull.faults, *judgement.faults, *access_faults)
        message = None
        if access is None or access.policy is None:
            pass
        elif pull.unread and not self._accepted:
            # Who is read first would stand against who is read later: at the very first, all are waited for.
            faults = (*faults, Fault(Source("catalog"), "a catalog was never read: nothing is published before it is"))
        elif not judgement.entities and not self._accepted:
            faults = (*faults, Fault(Source("catalog"), "the catalog holds no entity: nothing is published"))
        else:
            base = self._compiler.base(judgement.entities, access.digest)
            if base != self._compiled_base:
                message = self._compile(base, judgement.entities, access)
            faults = (*faults, *self._compile_faults)
        faults = (*faults, *self._remember())
        took_ms = int((time.monotonic() - began) * 1000)
        services = len(self._past.routes.keys() - {BUILTIN_SERVICE.ref})
        faults = tuple(dict.fromkeys(faults))
        self._outcome = Outcome(message, judgement.confirm, faults, took_ms, services, self._acceptance.held)
        self._seen = None if judgement.confirm or self._to_remember else seen
        return self._outcome

    def _remember(self) -> tuple[Fault, ...]:
        """After publishing, and never in its way: what cannot be written now is tried again by the next round."""
        try:
            if self._to_remember:
                self._journal.record(self._to_remember)
        except OSError as fault:
            return (Fault(Source(self._settings.state_folder), f"cannot remember this version: {fault.strerror}"),)
        self._to_remember = {}
        return ()

    def _access(self) -> tuple[AccessRead | None, tuple[Fault, ...]]:
        """The policy in the files; the last good one when they are at fault."""
        read = read_access(self._settings.access_policy)
        if read.policy is not None:
            return read, read.faults
        last = self._journal.sections["access"]
        if not last:
            return None, read.faults
        kept = read_access_texts(last)
        note = Fault(Source(self._settings.access_policy), "access policy is rejected: the last good one holds")
        return kept, (*read.faults, note)

    def _compile(self, base: str, entities: Mapping[str, Entity], access: AccessRead) -> dict[str, Any] | None:
        assert access.policy is not None  # a round without one has ended before
        compiled = self._compiler.compile(entities, access.policy, self._past)
        message = self._publisher.publish(base, compiled.frames)
        self._accepted, self._past = entities, compiled.past
        self._compiled_base, self._compile_faults = base, compiled.faults
        self._to_remember = {
            "entities": entities,
            "routes": compiled.past.routes,
            "incumbents": {f"{host} {prefix}": key for (host, prefix), key in compiled.past.incumbents.items()},
            "rules": compiled.past.rules,
            "access": access.texts,
        }
        if message is not None:
            self._publisher.collect(time.time())
        return message


def _past_of(journal: Journal) -> Past:
    sections = journal.sections
    incumbents = {}
    for claim, key in sections["incumbents"].items():
        host, _, prefix = claim.partition(" ")
        incumbents[host, prefix] = key
    return Past(sections["routes"], incumbents, sections["rules"])
