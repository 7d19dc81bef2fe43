"""Between the engine's rounds and its devices: what is published, and why the catalog cannot be believed just now.

Removals are what a wrong belief would cost, so every doubt of the engine is one here: a catalog that does not answer,
or never did, losses that are held, a compile that failed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from gateway import config
from gateway.engine.network.controller import Controller, News, connection_to
from gateway.engine.rounds import Rounds


def controller_of(settings: config.Settings, state_folder: Path, trouble: Callable[[], str]) -> Controller:
    """For the role; made inside its loop."""
    return Controller(
        state_folder, audit_folder(settings, state_folder), lambda device: connection_to(device, state_folder),
        trouble=trouble,
    )  # fmt: skip


def audit_folder(settings: config.Settings, state_folder: Path) -> Path:
    return Path(settings.audit.folder) if settings.audit.folder else state_folder / "audit"


def news_of(rounds: Rounds, base: str, services: int) -> News | None:
    """What the last round left published; None before the first compile of this process."""
    live = rounds.live
    return News(base, live.published, services) if live is not None and base else None


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
