"""Between the engine's rounds and its devices: what is published, and why the catalog cannot be believed just now.

Removals are what a wrong belief would cost, so every doubt of the engine is one here: a catalog that does not answer,
or never did, losses that are held, a compile that failed. People are those of the same compile as the services, so what
a device is told of both belongs together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

from gateway.engine.rounds import Rounds
from policy.directory import Directory
from policy.facts import Catalog
from policy.frames import Frame
from policy.rule import Published

NO_CATALOG: Final = Catalog({}, {}, {})


@dataclass(frozen=True)
class News:
    """What the engine has published. ``services``: how many in all environments, Stagedoor's own pages aside.
    ``catalog``: what it was compiled from, which may have services that are at no door; an entry that stays is the very
    same object in the next. ``frames``: what it was compiled to."""

    base: str
    published: Sequence[Published]
    services: int
    catalog: Catalog = NO_CATALOG
    frames: Mapping[str, Frame] = field(default_factory=dict, repr=False)

    @cached_property
    def directory(self) -> Directory:
        """Who is in which teams, as the doors see it."""
        return Directory(self.frames)


def news_of(rounds: Rounds, base: str, services: int) -> News | None:
    """What the last round left published; None before the first compile of this process."""
    compiled = rounds.compiled
    return News(base, compiled.published, services, compiled.catalog, compiled.frames) if compiled and base else None


def trouble_of(rounds: Rounds, held: Mapping[str, frozenset[str]], failure: str, catalogs: Sequence[Any]) -> str:
    """One sentence; "" when everything was read, compiled and believed. ``catalogs``: as `Catalogs.status` says."""
    ground = rounds.ground
    if ground is None:
        return "the catalog was not read again since the settings were"
    if ground.waits:
        return ground.waits
    if failure:
        return f"the catalog could not be compiled: {failure}"
    for each in catalogs:
        if each["fault"] or each["age_s"] is None:
            return f"catalog {each['name']} is away: {each['fault'] or 'it was never read'}"
    if held:
        counts = ", ".join(f"{len(refs)} of kind {kind}" for kind, refs in sorted(held.items()))
        return f"losses are held ({counts}): bring them back, or run `stagedoor catalog accept-losses`"
    return ""
