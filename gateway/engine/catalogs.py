"""All sources of the catalog together: files, read when a round begins, and Backstage catalogs, which are followed.

A catalog whose settings stay is followed on over a reload; what was read of it is not read again. `pull` is called by
the round, in the engine's worker thread; everything else in the loop.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, Protocol

from gateway import config, telemetry
from gateway.config.sources import FILES, Backstage
from gateway.engine.sources.backstage import BackstageSource, Standing
from gateway.engine.sources.entities import Entity
from gateway.engine.sources.files import FileSource
from gateway.engine.sources.pulls import Joined, Pull, file_of
from gateway.engine.sources.sharing import Held
from gateway.link import LinkClient, Message
from policy.facts import Source
from policy.reading import Fault

REPORT_S: Final = 1.0
PARSERS: Final = 2  # threads: a definition that takes long delays no entity


class Followed(Protocol):
    """A catalog besides files, and its newest reading."""

    said: Backstage
    pull: Pull


class Remembered:
    """What a node remembers of a catalog, for who may not ask the catalog itself."""

    def __init__(self, said: Backstage, entities: Mapping[str, Entity]) -> None:
        self.said = said
        file = file_of(said.name)
        ours = {ref: entity for ref, entity in entities.items() if entity.source.file == file}
        message = f"nothing of catalog `{said.name}` is remembered in the state folder: it is left out here"
        fault = Fault(Source(file), message, "let the node read it once, and ask as the node's user", "warning")
        # Whoever was accepted was trusted; where from is not remembered.
        self.pull = Pull(ours, faults=[] if ours else [fault], catalogs=frozenset((file,)), is_trusted=True)


class Sources:
    """Those of one set of settings, for its rounds. ``held``: what the engine holds of the catalog already."""

    def __init__(self, catalog: config.Catalog, followed: Sequence[Followed] = (), held: Held | None = None) -> None:
        self._files = FileSource(catalog.files, catalog.prefix, held) if catalog.files else None
        self._followed = tuple(followed)
        self._joined = Joined(catalog.origins)
        self._lock = threading.Lock()
        self._touched: set[str] | None = None  # since the last reading; None: nobody said anything
        self._is_vague = True  # whether anything else may have happened

    def touched(self, paths: frozenset[str] | None) -> None:
        """Something happened at these paths and, as far as is known, nowhere else; None: anything may have happened.
        Called by the threads that watch."""
        with self._lock:
            if paths is None:
                self._is_vague = True
            else:
                self._touched = (self._touched or set()) | paths

    def look(self) -> None:
        """Look at all files for what nobody told, beside the rounds: only what differs is left to the next reading."""
        try:
            self.touched(self._files.unread() if self._files is not None else frozenset())
        except Exception:  # whatever it is: the reading meets it too, and its failure is told
            self.touched(None)

    def _taken(self) -> frozenset[str] | None:
        """The paths to look at; None for all, also when nobody said why to look."""
        with self._lock:
            touched, is_vague = self._touched, self._is_vague
            self._touched, self._is_vague = None, False
        return frozenset(touched) if touched is not None and not is_vague else None

    def pull(self) -> Pull:
        """What they say now: the very same object as last time when nothing changed."""
        parts = [(FILES, self._pull_files(self._files))] if self._files is not None else []
        parts += [(source.said.name, source.pull) for source in self._followed]
        return self._joined.pull(parts)

    def _pull_files(self, files: FileSource) -> Pull:
        try:
            return files.pull(self._taken())
        except BaseException:
            self.touched(None)
            raise


class Reports:
    """Tells control each second how catalogs and devices are, for its metrics. Without control nobody is told.
    ``heard`` gets what control says on the same link, ``linked`` whether there is one."""

    def __init__(
        self, folder: Path, status: Callable[[], list[dict[str, Any]]], devices: Callable[[], list[dict[str, Any]]],
        heard: Callable[[Message], None] = lambda message: None,
        linked: Callable[[bool], None] = lambda connected: None,
    ) -> None:  # fmt: skip
        hello = {"t": "hello", "role": "engine", "slot": 0, "pid": os.getpid(), "base": "", "seq": 0}
        self._status = status
        self._devices = devices
        self._client = LinkClient(folder / "control.sock", lambda: hello, heard, linked)
        self._telling: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._client.start()
        self._telling = asyncio.get_running_loop().create_task(self._tell())

    def close(self) -> None:
        if self._telling is not None:
            self._telling.cancel()
        self._client.close()

    async def _tell(self) -> None:
        is_told = True
        while True:
            try:
                self._client.send({"t": "catalogs", "catalogs": self._status(), "devices": self._devices()})
                is_told = True
            except (TypeError, ValueError) as fault:  # a text of somebody's that is no text, or far too much of it
                if is_told:
                    telemetry.log("report_untold", level="error", why=str(fault))
                is_told = False
            await asyncio.sleep(REPORT_S)


class Catalogs:
    """Follows the Backstage catalogs of the settings. ``on_change``: something is to be read by a round."""

    def __init__(self, on_change: Callable[[], None]) -> None:
        self._on_change = on_change
        self._worker = ThreadPoolExecutor(PARSERS, "catalog")
        self._followed: dict[tuple[Backstage, str], BackstageSource] = {}
        self._ending: set[asyncio.Task[None]] = set()

    def adopt(self, catalog: config.Catalog, held: Held | None = None) -> Sources:
        """``held``: what the engine holds of the catalogs already."""
        wanted = [(said, catalog.prefix) for said in catalog.backstage]
        for key in [key for key in self._followed if key not in wanted]:
            ending = asyncio.get_running_loop().create_task(self._followed.pop(key).close())
            self._ending.add(ending)
            ending.add_done_callback(self._ending.discard)
        for said, prefix in wanted:
            if (said, prefix) not in self._followed:
                source = self._followed[said, prefix] = BackstageSource(
                    said, prefix, self._worker, self._on_change, held=held
                )
                source.start()
        return Sources(catalog, [self._followed[key] for key in wanted], held)

    async def close(self) -> None:
        await asyncio.gather(*(source.close() for source in self._followed.values()), *self._ending)
        self._worker.shutdown(wait=False, cancel_futures=True)

    def hurry(self, name: str = "") -> list[str]:
        """Look now, at one or at all; returns which."""
        asked = [source for source in self._followed.values() if name in ("", source.said.name)]
        for source in asked:
            source.hurry()
        return sorted(source.said.name for source in asked)

    def status(self) -> list[dict[str, Any]]:
        """Of each catalog, for the command line and for control; ages and times in seconds."""
        now_s = time.monotonic()
        standings = sorted((source.standing for source in self._followed.values()), key=lambda each: each.name)
        return [status_of(each, now_s) for each in standings]


def status_of(standing: Standing, now_s: float) -> dict[str, Any]:
    return {
        "name": standing.name,
        "url": standing.url,
        "entities": standing.entities,
        "age_s": None if standing.read_s is None else round(now_s - standing.read_s, 1),
        "wait_s": round(standing.wait_s, 1),
        "took_ms": int(standing.took_s * 1000),
        "full_took_ms": int(standing.full_took_s * 1000),
        "delay_s": None if standing.delay_s is None else round(standing.delay_s, 1),
        "fault": standing.fault,
        "fix": standing.fix,
    }
