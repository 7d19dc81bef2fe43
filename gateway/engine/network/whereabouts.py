"""Where services really run: what their owners say, else the addresses in their upstreams, else what DNS answers.

Names are asked of the system, again and again, because an answer holds no longer than its zone says; the system's
resolver minds how long that is, so an address is known here `ASK_S` after DNS changed. All answers count, not the
first. A name that fails, is gone or leads to less than before keeps what it had for `KEEP_S`: zones rotate, name
servers have bad hours, and nobody is to be cut off for that. What is known outlives a restart in a file, and the time
that the node was away does not count.

Whether an address may be written to a device is judged there (`panos/addresses.py`): what DNS says is anybody's text.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import ip_address
from pathlib import Path
from random import Random
from types import MappingProxyType
from typing import Final, Protocol
from urllib.parse import urlsplit

from gateway import telemetry
from gateway.addresses import plain
from gateway.engine.network.desired import Desired, Place
from gateway.engine.network.sightings_file import SightingsFile
from gateway.look_ups import ADDRESSES, Names

ASK_S: Final = 60.0  # between two questions for a name
LONGEST_ASK_S: Final = 16 * ASK_S  # for one that fails and fails
KEEP_S: Final = 3600  # that an address stays after it was last answered
PATIENCE_S: Final = 5.0  # then a name that has no answer yet counts as one that failed
GATHER_S: Final = 1.0  # answers of so long are told together
SAVE_S: Final = 5.0  # between two writes of what changed
REFRESH_S: Final = 600.0  # between two writes of what did not
TURN_S: Final = 1.0
MOST_NAMES: Final = 20_000
AT_ONCE: Final = 128  # questions, most of which wait for a thread
_RANDOM: Final = Random()  # spreads the questions over their minute


@dataclass(frozen=True, slots=True)
class Known:
    """Of one environment. ``addresses``: hosts and networks in canonical form, by component; who has none is left out.
    ``unasked``: those with a name that was not answered for yet; what they had before stays. ``is_settled``: whether
    there was a time since the start when nobody was. ``unanswered``: those with a name that failed when it was asked
    last."""

    addresses: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))
    unasked: frozenset[str] = frozenset()
    is_settled: bool = False
    unanswered: frozenset[str] = frozenset()


NOTHING_KNOWN: Final = Known()


class LookUps(Protocol):
    async def addresses(self, host: str) -> list[str]: ...

    def close(self) -> None: ...


@dataclass(slots=True)
class _Name:
    """``seen``: by address, when it was answered last (epoch seconds)."""

    seen: dict[str, int] = field(default_factory=dict)
    asked: bool = False
    failures: int = 0
    due_s: float = 0.0  # on the loop's clock
    since_s: float | None = None  # that its answer is waited for
    is_asked: bool = False  # right now


class Whereabouts:
    """Made inside the running loop. ``on_change`` is called there whenever something else is known. Without
    ``follows`` nobody is asked: what is remembered counts."""

    def __init__(
        self, state_folder: Path, on_change: Callable[[], None], *, now: Callable[[], float] = time.time,
        follows: bool = True, look_ups: LookUps | None = None,
    ) -> None:  # fmt: skip
        self._file = SightingsFile(state_folder)
        self._disk = ThreadPoolExecutor(1, "whereabouts")
        self._on_change = on_change
        self._now = now
        self._look_ups = look_ups or Names(ASK_S / 2)
        self._loop = asyncio.get_running_loop()
        self._names = {name: _Name(seen) for name, seen in self._file.read(int(now())).items()}
        self._wishes: dict[str, Desired] = {}
        self._known: Mapping[str, Known] = {}
        self._needed: frozenset[str] = frozenset()
        self._flights: set[asyncio.Task[None]] = set()
        self._telling: asyncio.TimerHandle | None = None
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
        self._needed = frozenset(sorted(hosts)[:MOST_NAMES])
        for host in self._needed - self._names.keys():
            self._names[host] = _Name()

    def _learn(self) -> bool:
        """Whether anything is known otherwise now."""
        before = self._known
        after = {name: self._known_in(wish, before.get(name, NOTHING_KNOWN)) for name, wish in self._wishes.items()}
        self._known = after
        return any(after[name] is not before.get(name) for name in after)

    def _known_in(self, wish: Desired, before: Known) -> Known:
        found: dict[str, set[str]] = {}
        unasked: set[str] = set()
        unanswered: set[str] = set()
        for place in wish.places:
            there = found.setdefault(place.entity, set())
            there.update(place.addresses or _literals_of(place))
            for host in _hosts_of(place):
                name = self._names.get(host)
                there.update(name.seen if name is not None else ())
                if name is not None and not name.asked and not name.seen:
                    unasked.add(place.entity)
                if name is not None and name.failures:
                    unanswered.add(place.entity)
        for entity in unasked:
            found[entity].update(before.addresses.get(entity, ()))
        addresses = {entity: tuple(sorted(there)) for entity, there in sorted(found.items()) if there}
        is_settled = before.is_settled or not unasked
        after = Known(MappingProxyType(addresses), frozenset(unasked), is_settled, frozenset(unanswered))
        return before if after == before else after

    def _tell_soon(self) -> None:
        if self._telling is None:
            self._telling = self._loop.call_later(GATHER_S, self._tell)

    def _tell(self) -> None:
        self._telling = None
        if self._learn():
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
        now_s = self._loop.time()
        for host in self._needed:
            name = self._names[host]
            if name.due_s > now_s:
                continue
            name.since_s = name.since_s or now_s
            if not name.is_asked and len(self._flights) < AT_ONCE:
                name.is_asked = True
                flight = self._loop.create_task(self._ask(host, name))
                self._flights.add(flight)
                flight.add_done_callback(self._landed)
            if not name.asked and now_s - name.since_s > PATIENCE_S:
                name.asked = True
                self._tell_soon()

    def _landed(self, flight: asyncio.Task[None]) -> None:
        self._flights.discard(flight)
        if len(self._flights) == AT_ONCE // 2:
            self._hint.set()

    async def _ask(self, host: str, name: _Name) -> None:
        try:
            answered = [found for each in await self._look_ups.addresses(host) if (found := _address_in(each))]
        except Exception:  # whatever it met, a name that is no name or a machine without threads: it has no answer
            answered = []
        had_answer, has_answer = not name.failures, bool(answered)
        name.failures = 0 if has_answer else name.failures + 1
        name.since_s, name.is_asked = None, False
        pause_s = min(ASK_S * 2.0 ** max(name.failures - 1, 0), LONGEST_ASK_S)
        name.due_s = self._loop.time() + pause_s * _RANDOM.uniform(0.8, 1.0)
        if self._remember(name, answered):
            self._save_at_s = min(self._save_at_s, self._loop.time() + SAVE_S)
            self._tell_soon()
        if not name.asked or has_answer is not had_answer:
            name.asked = True
            self._tell_soon()

    def _remember(self, name: _Name, answered: Iterable[str]) -> bool:
        """Whether it leads elsewhere than before."""
        now = int(self._now())
        seen = {**name.seen, **dict.fromkeys(answered, now)}
        newest = sorted(seen.items(), key=lambda each: (-each[1], each[0]))[:ADDRESSES]
        kept = {address: at for address, at in newest if now - at < KEEP_S}
        is_other, name.seen = kept.keys() != name.seen.keys(), kept
        return is_other

    async def _save(self) -> None:
        """A name that nobody needs any more is remembered for as long as one that fails."""
        now = int(self._now())
        self._names = {
            host: name for host, name in self._names.items()
            if host in self._needed or any(now - at < KEEP_S for at in name.seen.values())
        }  # fmt: skip
        sightings = {host: dict(name.seen) for host, name in self._names.items() if name.seen}
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
        return "", _address_in(host)
    except ValueError:
        return host, ""


def _address_in(text: str) -> str:
    """"" for one on an interface of this machine's, which is nobody else's address. Raises `ValueError`."""
    address = plain(ip_address(text))
    return "" if getattr(address, "scope_id", None) is not None else str(address)
