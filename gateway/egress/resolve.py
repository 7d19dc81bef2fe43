"""Where an upstream's name leads now: names to allowed addresses, for doors and for the engine's checks.

Answers are kept for a short time, bounded in number. A name is asked once, however many wait for it. A look-up that
fails or takes too long falls back to the last answer while that is not too old, and is not repeated at once. One that
takes long gives up its place among the others, and one that hangs has few places with its like from then on; so a
zone whose servers hang, however many names lie in it, holds up nobody but its own services. Whether an address may be
connected to is judged on every call (`gateway.egress.addresses`): an answer that was harmless a moment ago says nothing
about the next.

Look-ups run in threads of their own, which a process does not wait for when it ends.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable
from functools import partial
from ipaddress import ip_address
from typing import Final, TypeVar

from cachetools import LRUCache

from gateway.config import Settings
from gateway.egress.addresses import Address, AddressRule, NotAllowed, OwnAddresses, plain

FRESH_S: Final = 10.0
STALE_S: Final = 300.0  # an answer older than this is not used, whatever happens to its successor
FAILED_S: Final = 2.0  # a name that had no answer is not asked again this long
LOOK_UP_S: Final = 2.0  # the longest that anybody waits for an answer; the look-up itself goes on
NAMES: Final = 4096
LOOK_UPS: Final = 16  # at a time
SLOW_LOOK_UPS: Final = 4  # at a time, of names that took longer than `LOOK_UP_S`
PLACE_S: Final = 0.25  # the longest that any other keeps its place
ADDRESSES: Final = 8  # of one name that are tried

LookUp = Callable[[str], list[str]]
T = TypeVar("T")


def system_look_up(host: str) -> list[str]:
    """The system's answer. Blocks. Raises `OSError` when there is none, `UnicodeError` for what is no name."""
    answers = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(answer[4][0]) for answer in answers))


def is_local(address: Address) -> bool:
    """Whether this machine has the address: nobody can bind one that it has not."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((str(address), 0))
    except OSError:
        return False
    return True


class _Known:
    """What is known of one name."""

    __slots__ = ("addresses", "asked_again_s", "at_s", "is_slow", "why")

    def __init__(self) -> None:
        self.addresses: tuple[Address, ...] = ()
        self.at_s = float("-inf")  # of `addresses`
        self.asked_again_s = float("-inf")  # not before, after a failure
        self.is_slow = False  # took longer than anybody waits when it was asked last
        self.why = ""


class Resolver:
    """For one set of settings. Made and used inside a running loop."""

    def __init__(self, settings: Settings, clock: Callable[[], float], look_up: LookUp = system_look_up) -> None:
        listening = [listener.address for listener in settings.listeners]
        own = OwnAddresses([*listening, settings.admin_address], is_local)
        self._rules = {name: AddressRule(each, own) for name, each in settings.environments.items()}
        self._clock = clock
        self._look_up = look_up
        self._known: LRUCache[str, _Known] = LRUCache(NAMES)
        self._flights: dict[str, asyncio.Task[tuple[Address, ...]]] = {}
        self._places = asyncio.Semaphore(LOOK_UPS)
        self._slow_places = asyncio.Semaphore(SLOW_LOOK_UPS)

    async def addresses(self, environment: str, host: str, port: int) -> list[str]:
        """Allowed addresses of ``host``, the preferred first. Raises `NotAllowed`, or `OSError` when the name has
        no answer now."""
        rule = self._rules.get(environment)
        if rule is None:
            raise NotAllowed(f"environment `{environment}` is not configured")
        try:
            found: tuple[Address, ...] = (plain(ip_address(host.strip("[]"))),)
        except ValueError:
            found = await self._named(host)
        why = ""
        allowed = []
        for address in found:
            refusal = rule.refusal(host, address, port)
            if refusal:
                why = refusal
            else:
                allowed.append(str(address))
        if not allowed:
            raise NotAllowed(why or f"`{host}` has no address")
        return allowed[:ADDRESSES]

    async def _named(self, host: str) -> tuple[Address, ...]:
        now_s = self._clock()
        known = self._known.get(host)
        if known is None:
            known = self._known[host] = _Known()
        if now_s - known.at_s < FRESH_S:
            return known.addresses
        if now_s >= known.asked_again_s:
            try:
                async with asyncio.timeout(LOOK_UP_S):
                    return await asyncio.shield(self._flight(host, known))
            except OSError as error:  # TimeoutError is one
                known.asked_again_s = self._clock() + FAILED_S
                known.why = "no answer in time" if isinstance(error, TimeoutError) else error.strerror or str(error)
        if now_s - known.at_s < STALE_S:
            return known.addresses
        raise OSError(f"`{host}` cannot be looked up: {known.why}")

    def _flight(self, host: str, known: _Known) -> asyncio.Task[tuple[Address, ...]]:
        flight = self._flights.get(host)
        if flight is None:
            flight = self._flights[host] = asyncio.get_running_loop().create_task(self._fly(host, known))
            flight.add_done_callback(lambda done: self._landed(host, done))
        return flight

    def _landed(self, host: str, flight: asyncio.Task[tuple[Address, ...]]) -> None:
        del self._flights[host]
        if not flight.cancelled():
            flight.exception()  # seen by whoever waited, if anybody still did

    async def _fly(self, host: str, known: _Known) -> tuple[Address, ...]:
        loop = asyncio.get_running_loop()
        async with self._slow_places if known.is_slow else self._places:
            began_s = loop.time()
            look_up = loop.create_task(in_thread(partial(self._look_up, host)))
            await asyncio.wait((look_up,), timeout=None if known.is_slow else PLACE_S)
        try:
            texts = await look_up
        except ValueError:  # UnicodeError is one
            raise NotAllowed(f"`{host}` is no name") from None
        finally:
            known.is_slow = loop.time() - began_s >= LOOK_UP_S
        known.addresses = tuple(dict.fromkeys(plain(ip_address(text)) for text in texts))
        known.at_s = self._clock()
        return known.addresses


async def in_thread(work: Callable[[], T]) -> T:
    """What ``work`` returns or raises. Unlike an executor's, its thread is not waited for at the end."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def deliver(result: T | None, error: BaseException | None) -> None:
        if done.done():
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(result)  # type: ignore[arg-type]  # without an error it is what `work` returned

    def run() -> None:
        result: T | None = None
        error: Exception | None = None
        try:
            result = work()
        except Exception as failure:
            error = failure
        try:
            loop.call_soon_threadsafe(deliver, result, error)
        except RuntimeError:
            return  # the loop is closed: nobody waits any more

    threading.Thread(target=run, name="look-up", daemon=True).start()
    return await done
