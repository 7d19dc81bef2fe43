"""What differs now, and how much of it may be told: wish, picture, catalog and operator put together.

The comparison runs in a thread, because it goes through whole tables. What was taken away by ourselves is remembered
for an hour, for the guard.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import NamedTuple

from gateway.config.devices import Panos
from gateway.engine.network.panos.device.userid import What
from gateway.engine.network.panos.tags.allowing import Allowed, allowed
from gateway.engine.network.panos.tags.delta import Delta, Wish, delta_of
from gateway.engine.network.panos.tags.mirror import Mirror
from gateway.engine.network.plans.guards import Basis, Consent, Hindrance, Lately


class Judgement(NamedTuple):
    """``delta`` is what may be told of the ``whole`` difference."""

    whole: Delta
    delta: Delta


class Judge:
    def __init__(self, device: Panos, basis: Callable[[], Basis], mirror: Mirror, now: Callable[[], float]) -> None:
        self.waits: tuple[Hindrance, ...] = ()
        self._device = device
        self._basis = basis
        self._mirror = mirror
        self._now = now
        self._lately = {what: Lately() for what in What}

    async def judge(self, wish: Wish, consent: Consent, picture: Mirror | None = None) -> Judgement:
        """``picture``: of another unit than the one that is written to."""
        mirror, basis = picture or self._mirror, self._basis()
        taken = {what: lately.taken(self._now()) for what, lately in self._lately.items()}

        def compare() -> tuple[Delta, Allowed]:
            whole = delta_of(wish, mirror.tables, mirror.ends, self._now())
            kept = whole._replace(
                timed=tuple(entry for entry in whole.timed if not mirror.is_refused(entry)),
                added=tuple(entry for entry in whole.added if not mirror.is_refused(entry)),
            )
            return whole, allowed(kept, mirror.tables, mirror.ends, self._device, basis, consent, taken)

        whole, may = await asyncio.to_thread(compare)
        self.waits = (*may.waits, *(() if whole.is_empty else self._of_mode(consent)))
        return Judgement(whole, may.delta)

    def note(self, told: Delta, picture: Mirror | None = None) -> None:
        """What is about to be told by ourselves."""
        tables = (picture or self._mirror).tables
        for what, lately in self._lately.items():
            lost = tuple(entry.key for entry in (*told.gone, *told.removed) if entry.what is what)
            lately.note(lost, len(tables[what].tags), self._now())

    def forget(self) -> None:
        """A person has looked."""
        for lately in self._lately.values():
            lately.forget()

    def _of_mode(self, consent: Consent) -> tuple[Hindrance, ...]:
        mode = self._device.tags
        if mode == "observe":
            todo = "set `tags: plan` or `enforce`"
            return (Hindrance("mode", "the mode of tags is `observe`, nothing is ever written", todo),)
        if mode == "plan" and not consent.is_person:
            todo = "`stagedoor plan --tags --out FILE`, `apply FILE`"
            return (Hindrance("mode", "the mode of tags is `plan`, a person applies", todo),)
        return ()
