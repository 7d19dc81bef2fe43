"""Of whom one name is asked, and when again.

The system's look-up is the one that doors connect by, hosts file and all: what it answers counts, whatever DNS says,
so that no firewall knows less than a door. Name servers are asked beside it when their answer has run out, and at
once when the system answers with what they have not said. They alone say whether a name is gone, or nobody answers.

Times to live are bounded: one of nothing must not make us hammer, one of a week must not hold a service that moved.
A name with ever other addresses, of which firewalls would be told again and again, is asked each minute at most.
Questions are put off by a little chance, lest all of a zone fall due together.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Collection
from enum import Enum, auto
from ipaddress import ip_address
from random import Random
from typing import Final, Protocol

from gateway.egress.addresses import plain
from gateway.engine.network.whereabouts.name_servers import BOTH, NO_SUCH_NAME, SILENCE, Heard
from gateway.engine.network.whereabouts.sightings import Sightings, version_of

ASK_S: Final = 60.0  # between two questions to the system, and for a name that is gone
MOST_SILENCES: Final = 5  # of name servers: each doubles the pause after it, up to 16 minutes
SHORTEST_TTL_S: Final = 5
LONGEST_TTL_S: Final = 3600
MOST_PER_S: Final = 300  # names on the average: a third of a core while all of them live shortly
SPREAD_S: Final = 5.0  # at most a tenth of what it is added to
PATIENCE_S: Final = 5.0  # with the system; a look-up that takes longer goes on, and is there for the next question
_ABSENT: Final = (socket.EAI_NONAME, socket.EAI_NODATA)  # what a look-up says of a name that there is not
_RANDOM: Final = Random()


class LookUps(Protocol):
    """The system's. Raises when there is no answer."""

    async def addresses(self, host: str) -> list[str]: ...

    def close(self) -> None: ...


class Servers(Protocol):
    async def ask(self, host: str) -> Heard: ...


class Word(Enum):
    """What there is to say of a name. Unlisted: the system answers, while DNS says that there is no such name."""

    UNASKED = auto()
    ANSWERED = auto()
    UNLISTED = auto()
    GONE = auto()
    UNANSWERED = auto()


class Name:
    """What is known of one, and when it is to be asked for again (``due_s``, on the loop's clock). ``heard``: the
    servers' last answer, None before there was one."""

    __slots__ = (
        "due_s", "hangs", "heard", "heard_until_s", "host", "is_asked", "sightings", "silences", "since_s",
        "spared_until_s", "word",
    )  # fmt: skip

    def __init__(self, host: str, sightings: Sightings) -> None:
        self.host = host
        self.sightings = sightings
        self.word = Word.UNASKED
        self.due_s = 0.0
        self.since_s: float | None = None  # that it waits to be asked, or for an answer
        self.is_asked = False  # right now
        self.heard: Heard | None = None
        self.heard_until_s = 0.0
        self.silences = 0  # one after the other
        self.hangs = 0  # look-ups of the system, one after the other
        self.spared_until_s = 0.0  # the system


class Asker:
    """``now``: epoch seconds. ``names``: how many are asked in turn; the more, the less often each."""

    def __init__(self, look_ups: LookUps, servers: Servers, now: Callable[[], float]) -> None:
        self.names = 0
        self._look_ups = look_ups
        self._servers = servers
        self._now = now

    async def ask(self, name: Name) -> bool:
        """Whether it leads elsewhere now, or something else is to be said of it."""
        before = _said_of(name)
        system = await self._hear(name)
        heard = name.heard or SILENCE
        found = (*sorted(system.addresses), *sorted(heard.addresses))  # first where doors connect
        silent = heard.silent - {version_of(each) for each in system.addresses}
        if not found and system.silent:
            silent = BOTH
        is_other = name.sightings.hear(found, silent, int(self._now()))
        name.word = _word_of(system, heard, silent)
        name.since_s, name.is_asked = None, False
        name.due_s = self._due_s(name)
        return is_other or _said_of(name) != before

    async def _hear(self, name: Name) -> Heard:
        """What the system answers; what the servers do is left in ``name``. The first time they are asked only for
        what the system does not know: of thousands of names each is known soon."""
        if name.heard is not None and asyncio.get_running_loop().time() >= name.heard_until_s:
            system, _ = await asyncio.gather(self._of_system(name), self._of_servers(name))
            return system
        system = await self._of_system(name)
        is_new = name.heard is None or not (system.addresses and system.addresses <= name.heard.addresses)
        if name.heard is None and system.addresses:
            name.heard = system
            name.heard_until_s = asyncio.get_running_loop().time() + self._soon_s() * _RANDOM.random()
        elif is_new and name.heard != SILENCE:
            await self._of_servers(name)
        return system

    async def _of_system(self, name: Name) -> Heard:
        """Nobody says for how long. Whatever it meets but absence is silence: a machine without threads, too. A name
        whose look-ups hang, each in one of few threads, leaves these to the others ever longer."""
        loop = asyncio.get_running_loop()
        if loop.time() < name.spared_until_s:
            return SILENCE
        try:
            async with asyncio.timeout(PATIENCE_S):
                answered = await self._look_ups.addresses(name.host)
            found = Heard(frozenset(text for each in answered if (text := address_in(each))))
        except TimeoutError:
            name.spared_until_s = loop.time() + self._soon_s() * (2.0**name.hangs - 1)
            name.hangs = min(name.hangs + 1, MOST_SILENCES - 1)
            return SILENCE
        except Exception as failure:
            is_none = isinstance(failure, UnicodeError) or getattr(failure, "errno", None) in _ABSENT
            found = NO_SUCH_NAME if is_none else SILENCE
        name.hangs = 0
        return found

    async def _of_servers(self, name: Name) -> None:
        try:
            name.heard = await self._servers.ask(name.host)
        except Exception:  # a machine without sockets
            name.heard = SILENCE
        name.heard_until_s = asyncio.get_running_loop().time() + self._holds_s(name, name.heard)

    def _due_s(self, name: Name) -> float:
        now_s = asyncio.get_running_loop().time()
        again_s = float("inf") if name.word is Word.UNANSWERED else now_s + self._soon_s()
        return max(min(again_s, name.heard_until_s), now_s + self.names / MOST_PER_S)

    def _holds_s(self, name: Name, heard: Heard) -> float:
        is_silent = bool(heard.silent) and not heard.addresses
        name.silences = min(name.silences + 1, MOST_SILENCES) if is_silent else 0
        if not heard.addresses:
            return self._soon_s() * 2.0 ** max(name.silences - 1, 0)
        shortest_s = max(self._shortest_s(), ASK_S if name.sightings.is_crowded else 0)
        bounded_s = max(shortest_s, min(heard.ttl_s, LONGEST_TTL_S))
        return bounded_s + min(bounded_s / 10, SPREAD_S) * _RANDOM.random()

    def _soon_s(self) -> float:
        return max(self._shortest_s(), ASK_S) * _RANDOM.uniform(0.8, 1.0)

    def _shortest_s(self) -> float:
        return max(SHORTEST_TTL_S, self.names / MOST_PER_S)


def _said_of(name: Name) -> tuple[Word, bool, bool]:
    """What else there is to know of it than where it leads."""
    return name.word, name.sightings.is_crowded, name.sightings.is_awaited


def _word_of(system: Heard, heard: Heard, silent: Collection[int]) -> Word:
    if heard.addresses or (system.addresses and heard.silent):
        return Word.ANSWERED
    if system.addresses:
        return Word.UNLISTED
    return Word.UNANSWERED if silent else Word.GONE


def address_in(text: str) -> str:
    """Empty for one on an interface of this machine's, which is nobody else's address. Raises `ValueError`."""
    address = plain(ip_address(text))
    return "" if getattr(address, "scope_id", None) is not None else str(address)
