"""Where services really run: what their owners say, else the addresses in their upstreams, else where names lead.

Names are asked for again and again, because an answer holds no longer than its zone says (`resolving.py`). All answers
count, not the first. A name that fails, is gone or leads to less than before keeps what it had for a time
(`sightings.py`). What is known outlives a restart in a file, and the time that the node was away does not count.

Whether an address may be written to a device is judged there (`panos/addresses.py`): what DNS says is anybody's text.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache
from heapq import nsmallest
from pathlib import Path
from types import MappingProxyType
from typing import Final
from urllib.parse import urlsplit

from gateway import telemetry
from gateway.egress.look_ups import ADDRESSES, Names
from gateway.engine.network.desired import Desired, Place
from gateway.engine.network.whereabouts.name_servers import NameServers
from gateway.engine.network.whereabouts.resolving import (
    ASK_S,
    PATIENCE_S,
    Asker,
    LookUps,
    Name,
    Servers,
    Word,
    address_in,
)
from gateway.engine.network.whereabouts.sightings import Sightings
from gateway.engine.network.whereabouts.sightings_file import SightingsFile

GATHER_S: Final = 1.0  # answers of so long are told together
REST: Final = 10  # times what it took to put them together
SAVE_S: Final = 5.0  # between two writes of what changed
REFRESH_S: Final = 600.0  # between two writes of what did not
TURN_S: Final = 1.0
MOST_NAMES: Final = 20_000
AT_ONCE: Final = 128  # questions, most of which wait for a thread
_NO_ONE: Final[frozenset[str]] = frozenset()


@dataclass(frozen=True, slots=True)
class Known:
    """Of one environment. ``addresses``: hosts and networks in canonical form, by component; who has none is left out.
    ``is_settled``: whether there was a time since the start when nobody was unasked. The rest are components with a
    name of which there is that to say; what they had before stays."""

    addresses: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))
    unasked: frozenset[str] = _NO_ONE
    is_settled: bool = False
    unanswered: frozenset[str] = _NO_ONE
    gone: frozenset[str] = _NO_ONE
    unlisted: frozenset[str] = _NO_ONE
    crowded: frozenset[str] = _NO_ONE

    def doubts(self) -> Iterator[tuple[str, frozenset[str]]]:
        """What a reader should know of names, to follow "names that", and of which components."""
        for what, components in (
            ("DNS says do not exist; what was answered before stays for an hour", self.gone),
            ("nobody answers for; what was answered before stays for a day", self.unanswered),
            ("this machine knows and DNS does not, from its hosts file perhaps", self.unlisted),
            (f"lead to more than {ADDRESSES} addresses within an hour; nobody is told of the rest", self.crowded),
        ):
            if components:
                yield what, components


NOTHING_KNOWN: Final = Known()


class Whereabouts:
    """Made inside the running loop. ``on_change`` is called there whenever something else is known. Without
    ``follows`` nobody is asked: what is remembered counts."""

    def __init__(
        self, state_folder: Path, on_change: Callable[[], None], *, now: Callable[[], float] = time.time,
        follows: bool = True, look_ups: LookUps | None = None, servers: Servers | None = None,
    ) -> None:  # fmt: skip
        self._file = SightingsFile(state_folder)
        self._disk = ThreadPoolExecutor(1, "whereabouts")
        self._on_change = on_change
        self._now = now
        self._look_ups = look_ups or Names(ASK_S / 2)
        self._asker = Asker(self._look_ups, servers or NameServers(), now)
        self._loop = asyncio.get_running_loop()
        start = int(now())
        self._names = {host: Name(host, Sightings(start, seen)) for host, seen in self._file.read(start).items()}
        self._wishes: dict[str, Desired] = {}
        self._known: Mapping[str, Known] = {}
        self._needed: frozenset[str] = frozenset()
        self._flights: set[asyncio.Task[None]] = set()
        self._telling: asyncio.TimerHandle | None = None
        self._took_s = 0.0
        self._hint = asyncio.Event()
        self._save_at_s = self._loop.time() + REFRESH_S
        self._following = self._loop.create_task(self._follow()) if follows else None

    def follow(self, desired: Desired) -> None:
        """The newest wish for an environment that some firewall has. What needs no name is known at once."""
        if self._wishes.get(desired.environment) != desired:
            self._wishes[desired.environment] = desired
            self._need({host for wish in self._wishes.values() for place in wish.places for host in _hosts_of(place)})
            self._learn()
            self._hint.set()

    def known(self, environment: str) -> Known:
        """From any thread. The very same object until it says something else."""
        return self._known.get(environment, NOTHING_KNOWN)

    async def close(self) -> None:
        """What is known is on the disk when this returns, as far as it can be written."""
        if self._telling is not None:
            self._telling.cancel()
        for task in (*self._flights, *((self._following,) if self._following is not None else ())):
            task.cancel()
        self._look_ups.close()
        if self._following is not None:
            await self._save()
        self._disk.shutdown(wait=False)

    # === what is known ===

    def _need(self, hosts: set[str]) -> None:
        if len(hosts) > MOST_NAMES:
            telemetry.log("whereabouts_too_many", level="error", names=len(hosts), asked=MOST_NAMES)
        first = sorted(hosts, key=lambda host: (host not in self._names, host))  # new names push out no old ones
        self._needed = frozenset(first[:MOST_NAMES])
        self._asker.names = len(self._needed)
        for host in self._needed - self._names.keys():
            self._names[host] = Name(host, Sightings(int(self._now())))

    def _learn(self) -> bool:
        """Whether anything is known otherwise now."""
        before = self._known
        after = {name: self._known_in(wish, before.get(name, NOTHING_KNOWN)) for name, wish in self._wishes.items()}
        self._known = after
        return any(after[name] is not before.get(name) for name in after)

    def _known_in(self, wish: Desired, before: Known) -> Known:
        found: dict[str, set[str]] = {}
        said: dict[Word, set[str]] = {word: set() for word in Word}
        crowded: set[str] = set()
        awaited: set[str] = set()
        for place in wish.places:
            there = found.setdefault(place.entity, set())
            there.update(place.addresses or _literals_of(place))
            for host in _hosts_of(place):
                if (name := self._names.get(host)) is not None:
                    there.update(name.sightings.seen)
                    if name.word is not Word.UNASKED or not name.sightings.seen:
                        said[name.word].add(place.entity)
                    if name.sightings.is_crowded:
                        crowded.add(place.entity)
                    if name.sightings.is_awaited:
                        awaited.add(place.entity)
        unasked = said[Word.UNASKED]
        for entity in unasked | {each for each in awaited if not found[each]}:  # else it would be ever more
            found[entity].update(before.addresses.get(entity, ()))
        addresses = {entity: tuple(sorted(there)) for entity, there in sorted(found.items()) if there}
        after = Known(
            MappingProxyType(addresses),
            frozenset(unasked),
            before.is_settled or not unasked,
            unanswered=frozenset(said[Word.UNANSWERED]),
            gone=frozenset(said[Word.GONE]),
            unlisted=frozenset(said[Word.UNLISTED]),
            crowded=frozenset(crowded),
        )
        return before if after == before else after

    def _tell_soon(self) -> None:
        if self._telling is None:
            self._telling = self._loop.call_later(max(GATHER_S, REST * self._took_s), self._tell)

    def _tell(self) -> None:
        self._telling = None
        begun_s = time.perf_counter()
        is_other = self._learn()
        self._took_s = time.perf_counter() - begun_s
        if is_other:
            self._on_change()

    # === asking ===

    async def _follow(self) -> None:
        while True:
            self._hint.clear()
            self._ask_what_is_due()
            if self._loop.time() >= self._save_at_s:
                await self._save()
            try:
                async with asyncio.timeout(TURN_S):
                    await self._hint.wait()
            except TimeoutError:
                pass

    def _ask_what_is_due(self) -> None:
        """Those first that have waited longest."""
        now_s = self._loop.time()
        due = [name for host in self._needed if (name := self._names[host]).due_s <= now_s]
        for name in due:
            name.since_s = name.since_s or now_s
            if name.word is Word.UNASKED and now_s - name.since_s > PATIENCE_S:
                name.word = Word.UNANSWERED
                self._tell_soon()
        waiting = (name for name in due if not name.is_asked)
        for name in nsmallest(AT_ONCE - len(self._flights), waiting, key=lambda name: name.due_s):
            name.is_asked = True
            flight = self._loop.create_task(self._ask(name))
            self._flights.add(flight)
            flight.add_done_callback(self._landed)

    def _landed(self, flight: asyncio.Task[None]) -> None:
        self._flights.discard(flight)
        if len(self._flights) == AT_ONCE // 2:
            self._hint.set()

    async def _ask(self, name: Name) -> None:
        if await self._asker.ask(name):
            self._save_at_s = min(self._save_at_s, self._loop.time() + SAVE_S)
            self._tell_soon()

    async def _save(self) -> None:
        """A name that nobody needs any more is remembered for as long as one that fails."""
        now = int(self._now())
        self._names = {
            host: name for host, name in self._names.items()
            if host in self._needed or not name.sightings.are_past(now)
        }  # fmt: skip
        sightings = {host: dict(name.sightings.seen) for host, name in self._names.items() if name.sightings.seen}
        self._save_at_s = self._loop.time() + REFRESH_S
        await self._loop.run_in_executor(self._disk, self._file.write, sightings, now)


# === upstreams ===


def _hosts_of(place: Place) -> tuple[str, ...]:
    """The names to ask for; none where the owner says addresses."""
    return () if place.addresses else tuple(each for upstream in place.upstreams if (each := _place_of(upstream)[0]))


def _literals_of(place: Place) -> tuple[str, ...]:
    return tuple(each for upstream in place.upstreams if (each := _place_of(upstream)[1]))


@lru_cache(maxsize=2 * MOST_NAMES)
def _place_of(upstream: str) -> tuple[str, str]:
    """The name in it, or the address; neither of what is on no network."""
    if upstream.startswith("unix:"):
        return "", ""
    try:
        host = (urlsplit(upstream).hostname or "").rstrip(".")
    except ValueError:  # brackets that hold no address
        return "", ""
    try:
        return "", address_in(host)
    except ValueError:
        return host, ""
