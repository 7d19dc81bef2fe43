"""One device group: its environments one after the other, one thing at a time, at a pace the device can bear.

Everything that touches the device happens under one lock, whether a wish, the clock or a person began it, so at most
one write is in flight. A new wish is looked at after a moment in which others may join it (the latest wins), an
unchanged one every `Pace.poll_s`. A device that is away or busy is asked again after a random pause that grows (full
jitter), however many wishes come meanwhile, and looked at whole as soon as it answers.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from random import Random
from typing import Final, NamedTuple

from gateway import telemetry
from gateway.engine.network.desired import Desired
from gateway.engine.network.faults import Busy, DeviceFault, Outdated, Unknown, Unreachable
from gateway.engine.network.reconcile import Lane
from gateway.engine.network.transport.silence import SILENT_S, Silent, answering

OUTDATED_MOST: Final = 3  # looks anew in a row without a pause to speak of
_SILENT_FIX: Final = "see whether its management is well, `stagedoor status` says when it answered last"
_RANDOM: Final = Random()  # spreads the writers of a device that came back


class Pace(NamedTuple):
    """Seconds. ``patience_s``: that a person waits for a device to be free, ``silent_s``: to say anything."""

    settle_s: float = 0.5
    poll_s: float = 60.0
    again_s: float = 1.0
    shortest_s: float = 5.0
    longest_s: float = 240.0
    patience_s: float = 30.0
    silent_s: float = SILENT_S
    end_s: float = 1.5


USUAL: Final = Pace()


class Group:
    """``lock`` is that of all groups of this device, one after the other: they never write at once. ``end`` lets go of
    the device."""

    def __init__(
        self, name: str, lanes: Mapping[str, Lane], end: Callable[[], Awaitable[None]], pace: Pace,
        lock: asyncio.Lock | None = None,
    ) -> None:  # fmt: skip
        self.name = name
        self.lanes = lanes
        self.lock = lock or asyncio.Lock()
        self._end = end
        self._pace = pace
        self._hint = asyncio.Event()
        self._due = dict.fromkeys(lanes, 0.0)  # on the loop's clock
        self._until = 0.0  # nothing by ourselves before
        self._failures = 0
        self._said: dict[str, str] = {}  # the fault of each environment that the log has
        self._outdated = 0
        self._is_closing = False
        self._leads = True
        self._following: asyncio.Task[None] | None = None
        self._turning: asyncio.Task[None] | None = None
        self._looking: dict[str, tuple[asyncio.Task[None], float]] = {}  # for readers, and when it began

    def start(self) -> None:
        self._following = asyncio.get_running_loop().create_task(self._follow())

    def retire(self) -> None:
        """Nothing new begins: neither by ourselves nor for who waits for the device."""
        self._is_closing = True
        self._hint.set()
        for looking, _ in self._looking.values():
            looking.cancel()

    async def close(self, patience_s: float | None = None) -> None:
        """Waits so long for what is under way, whoever began it (by default for a moment), then lets go."""
        self.retire()
        until = asyncio.get_running_loop().time() + (patience_s or self._pace.end_s)
        if self._following is not None:
            await asyncio.wait([self._following], timeout=patience_s or self._pace.end_s)
            self._stop_turning()
            await asyncio.wait([self._following])
        try:
            async with asyncio.timeout_at(until):
                await self.lock.acquire()
            self.lock.release()
        except TimeoutError:
            telemetry.log("device_closed_in_use", level="warning", device=self.name)
        try:
            async with asyncio.timeout(self._pace.end_s):
                await self._end()
        except (TimeoutError, OSError, DeviceFault) as fault:
            telemetry.log("device_not_closed", level="warning", device=self.name, why=str(fault) or "no answer in time")

    def set_leading(self, leads: bool) -> None:
        """Whether this node is the one that looks and applies by itself. What is under way ends at once when not."""
        if leads == self._leads:
            return
        self._leads = leads
        for name, lane in self.lanes.items():
            lane.leads = leads
            self._due[name] = 0.0
        self._failures, self._until = 0, 0.0
        if not leads:
            self._stop_turning()
        self._hint.set()

    def want(self, desired: Desired) -> None:
        """The newest wish for one of the lanes."""
        lane = self.lanes[desired.environment]
        if lane.desired != desired:
            lane.desired = desired
            self._due_within(desired.environment, self._pace.settle_s)

    @asynccontextmanager
    async def held(self) -> AsyncIterator[None]:
        """For a person: the device is theirs meanwhile. Raises `Busy`."""
        try:
            async with asyncio.timeout(self._pace.patience_s):
                await self.lock.acquire()
        except TimeoutError:
            raise self._in_use() from None
        if self._is_closing:
            self.lock.release()
            raise Busy(f"{self.name}: its settings changed meanwhile; ask again")
        try:
            yield
        finally:
            self.lock.release()

    @asynccontextmanager
    async def asked(self) -> AsyncIterator[None]:
        """The same for who asks and changes nothing: a device that keeps silent is not waited for. Raises
        `Unreachable`, `Busy`."""
        has_it = False
        try:
            async with answering(self._pace.silent_s), self.held():
                has_it = True
                yield
        except Silent as silent:
            if not has_it:
                raise self._in_use() from None
            raise Unreachable(f"`{self.name}` does not answer: {silent}; {_SILENT_FIX}") from None

    def _in_use(self) -> Busy:
        by = next((lane.applying for lane in self.lanes.values() if lane.applying), "")
        fault = next((lane.fault for lane in self.lanes.values() if lane.fault), "")
        what = f"an apply by {by} is under way" if by else "it is being looked at, and answers slowly"
        last = f" (the last time: {fault})" if fault and not by else ""
        return Busy(f"{self.name} is busy: {what}{last}; ask again later")

    def look_soon(self, environment: str) -> None:
        """After a person has changed something."""
        self._failures, self._until = 0, 0.0
        self._due_within(environment, 0.0)

    def look_beside(self, environment: str) -> asyncio.Task[None]:
        """For who reads a page on a node that does not look by itself: one look at a time, nothing written to the
        device. What goes wrong is told of the lane. However often a page is read, a device that fails or refuses us is
        asked no more often than one that is followed."""
        loop = asyncio.get_running_loop()
        looking, begun = self._looking.get(environment, (None, 0.0))
        if looking is None or (looking.done() and loop.time() - begun >= self._pace.poll_s):
            looking = loop.create_task(self._look(self.lanes[environment]))
            self._looking[environment] = (looking, loop.time())
        return looking

    async def _look(self, lane: Lane) -> None:
        try:
            async with self.held():
                await lane.look()
        except DeviceFault as fault:
            lane.fault = str(fault)
        except Exception as failure:  # whatever its adapter met: nobody else's trouble
            lane.fault = f"{type(failure).__name__}: {failure}"

    # === by ourselves ===

    def _due_within(self, environment: str, seconds: float) -> None:
        at = asyncio.get_running_loop().time() + seconds
        self._due[environment] = min(self._due[environment], at)
        self._hint.set()

    async def _follow(self) -> None:
        loop = asyncio.get_running_loop()
        while not self._is_closing:
            self._hint.clear()
            ready = [name for name, lane in self.lanes.items() if lane.desired is not None and self._leads]
            next_s = max(self._until, min((self._due[name] for name in ready), default=float("inf")))
            if next_s > loop.time():
                try:
                    async with asyncio.timeout_at(None if next_s == float("inf") else next_s):
                        await self._hint.wait()
                except TimeoutError:
                    pass
                continue
            self._turning = loop.create_task(self._turn(min(ready, key=lambda name: self._due[name])))
            await asyncio.wait([self._turning])

    def _stop_turning(self) -> None:
        if self._turning is not None:
            self._turning.cancel()

    async def _turn(self, environment: str) -> None:
        lane, loop = self.lanes[environment], asyncio.get_running_loop()
        async with self.lock:
            if self._is_closing or not self._leads:
                return
            self._due[environment] = float("inf")  # a wish that comes meanwhile makes it due again
            try:
                await lane.turn()
            except Exception as failure:  # one device must not end the others, whatever its adapter met
                self._failed(lane, failure)
            else:
                self._went_well(lane)
        self._due_within(environment, max(self._pace.poll_s, self._until - loop.time()))

    def _went_well(self, lane: Lane) -> None:
        if self._said.pop(lane.target.environment, ""):
            telemetry.log("device_answers", device=self.name, environment=lane.target.environment)
        if self._failures:
            for name in self.lanes:
                self._due_within(name, 0.0)
        self._failures, self._outdated, self._until = 0, 0, 0.0

    def _failed(self, lane: Lane, failure: Exception) -> None:
        is_known = isinstance(failure, DeviceFault)
        why = str(failure) if is_known else f"{type(failure).__name__}: {failure}"
        if why != self._said.get(lane.target.environment):
            self._said[lane.target.environment] = why
            telemetry.log(
                "device_fault", level="error", device=self.name, environment=lane.target.environment, why=why
            )  # fmt: skip
        lane.fault = why
        if not isinstance(failure, Unreachable | Busy | Unknown | Outdated):
            return  # of this environment alone, and the same again would end the same: it is looked at as always
        if isinstance(failure, Outdated) and self._outdated < OUTDATED_MOST:
            self._outdated += 1
            pause_s = self._pace.again_s
        else:
            pause_s = pause_after(self._failures, self._pace, _RANDOM)
            self._failures += 1
        self._until = asyncio.get_running_loop().time() + pause_s
        self._due_within(lane.target.environment, pause_s)


def pause_after(failures: int, pace: Pace, random: Random) -> float:
    """Full jitter: anything up to a bound that doubles with each failure before, and never less than the shortest."""
    bound_s = min(pace.longest_s, pace.shortest_s * 2.0 ** min(failures + 1, 30))
    return max(pace.shortest_s, random.uniform(0.0, bound_s))
