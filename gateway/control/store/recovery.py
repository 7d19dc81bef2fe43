"""Brings a database back that is away: again and again, less and less often, until it answers.

A lost connection is not yet an outage: the first attempt follows at once, and only when it fails are callers turned
away without a try. After each attempt that succeeds everybody reads again what matters (notice ``resync``).
"""

from __future__ import annotations

import asyncio
from random import Random
from typing import Final

from gateway import telemetry
from gateway.control.store.database import Database
from gateway.control.store.faults import SchemaUnknown, StoreUnavailable

FIRST_PAUSE_S: Final = 0.1
LONGEST_PAUSE_S: Final = 5.0
SETTLED_S: Final = 5.0  # a connection that lived this long starts the pauses anew
_RANDOM: Final = Random()  # spreads the nodes of a database that came back


class Recovery:
    """Of one database, from `start` to `close`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lost = asyncio.Event()
        self._keeping: asyncio.Task[None] | None = None
        self._pause_s = FIRST_PAUSE_S
        database.on_lost = self._lost.set

    async def start(self) -> None:
        """The first attempt. Raises `SchemaUnknown`; a database that is away is waited for in the background."""
        try:
            await self._attempt()
        except SchemaUnknown:
            await self._database.close()
            raise
        if self._database.fault:
            self._lost.set()
        self._keeping = asyncio.get_running_loop().create_task(self._keep())

    async def close(self) -> None:
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.gather(self._keeping, return_exceptions=True)
        self._database.fault = "it is closed"  # first: who came in between would have a connection that nobody closes
        await self._database.finish()

    async def _keep(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            opened = loop.time()
            if not self._database.fault:
                await self._lost.wait()
            if loop.time() - opened > SETTLED_S:
                self._pause_s = FIRST_PAUSE_S
            else:
                await asyncio.sleep(self._pause_s * _RANDOM.uniform(0.7, 1.3))
                self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)
            self._lost.clear()
            try:
                await self._database.close()
                await self._attempt()
            except SchemaUnknown as unknown:  # it was changed under us: nothing may be written, and people are told why
                self._away(str(unknown))
            except Exception as defect:  # of ours, or a driver's: nobody else would ever try again
                self._away(f"{type(defect).__name__} while connecting")

    async def _attempt(self) -> None:
        was = self._database.fault
        try:
            await self._database.open()
        except StoreUnavailable as unavailable:
            self._away(str(unavailable))
        else:
            if was:
                telemetry.log("store_open", database=self._database.name)

    def _away(self, why: str) -> None:
        if why != self._database.fault:
            telemetry.log("store_away", level="error", database=self._database.name, why=why)
        self._database.fault = why
