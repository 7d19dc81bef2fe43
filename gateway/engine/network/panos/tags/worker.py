"""Keeps the tags of one firewall as they are wanted, without a commit.

Level-triggered: each turn compares the whole wish with the picture of the firewall's tables and tells the difference.
Losses are told first and alone, then ends that change, then what is given; a wish that comes meanwhile is turned to
after the next few messages, and its losses even while the tables are read. What was told is read back. Only `enforce`
writes by itself; `plan` writes what a person has seen and applies; `observe` never writes.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from random import Random
from typing import Any, Final

from gateway import telemetry
from gateway.audit.record import timestamp
from gateway.engine.network.faults import DeviceFault, Outdated
from gateway.engine.network.panos.device.client import Client
from gateway.engine.network.panos.device.turns import urgently
from gateway.engine.network.panos.device.units import Divided, Units
from gateway.engine.network.panos.device.userid import What
from gateway.engine.network.panos.membership import Membership
from gateway.engine.network.panos.tags import told
from gateway.engine.network.panos.tags.delta import Delta, Wish, wish_of
from gateway.engine.network.panos.tags.judging import Judge, Judgement
from gateway.engine.network.panos.tags.mapped import Met
from gateway.engine.network.panos.tags.mirror import Enough, Mirror, chunks, never
from gateway.engine.network.panos.tags.narrowing import Narrowing
from gateway.engine.network.panos.tags.noting import Notes
from gateway.engine.network.panos.tags.watching import USUAL, Rhythm, Watch, with_interludes
from gateway.engine.network.plans.guards import ENGINE, Basis, Consent, Hindrance
from gateway.engine.network.plans.plan import Outcome, Plan
from gateway.engine.network.reconcile import NotNow
from gateway.engine.network.reconcile.group import pause_after
from gateway.engine.network.reconcile.standing import short

ASKED_EACH: Final = 10_000  # entries that are given before the active unit is asked again
_OURSELVES: Final = Consent(ENGINE)
_RANDOM: Final = Random()


class TagWorker:
    """Made inside the running loop; opens nothing, and leaves ``units`` open. ``now``: epoch seconds."""

    def __init__(
        self, units: Units, basis: Callable[[], Basis], now: Callable[[], float] = time.time, rhythm: Rhythm = USUAL
    ) -> None:
        self.device = units.device
        self.wanted: Membership | None = None
        self.fault = ""
        self._units = units
        self._now = now
        self._pace = rhythm.pace
        self._mirror = Mirror(units.device.concurrent, now)
        self.notes = Notes(units.device.name)
        self._watch = Watch(units, self._mirror, rhythm, now)
        self._judge = Judge(units.device, basis, self._mirror, now)
        self._narrowing = Narrowing(self._judge, self._mirror, self.notes, now)
        self._wish: tuple[Membership | None, Wish] = (None, Wish())
        self._lost: Membership | None = None  # whose losses were told
        self._sight = told.Sight()
        self._met = Met()
        self._is_new = asyncio.Event()
        self._leads = True
        self._due = 0.0  # on the loop's clock
        self._failures = 0
        self._lock = asyncio.Lock()
        self._following: asyncio.Task[None] | None = None

    # === told by the controller ===

    def start(self) -> None:
        self._following = asyncio.get_running_loop().create_task(self._follow())

    async def close(self) -> None:
        """What is under way ends at once: whoever looks next finds what became of it."""
        if self._following is not None:
            self._following.cancel()
            await asyncio.gather(self._following, return_exceptions=True)
        await self._met.close()

    def want(self, membership: Membership) -> None:
        """The latest wins."""
        if membership is not self.wanted:
            self.wanted = membership
            self._is_new.set()

    def hint(self) -> None:
        """What the catalog is worth may have changed."""
        self._is_new.set()

    def reread(self) -> None:
        """At the next turn everything is read."""
        self._watch.look_whole()

    def recheck(self) -> None:
        """At the next turn the canary is asked for."""
        self._watch.distrust()

    def set_leading(self, leads: bool) -> None:
        """Whether this node is the one that looks and writes by itself."""
        if leads and not self._leads:
            self._mirror.forget()
        self._leads = leads
        self._is_new.set()

    # === asked ===

    @property
    def waits(self) -> tuple[Hindrance, ...]:
        """Why not all of the difference is told now."""
        return self._judge.waits

    def has(self, who: str, tag: str) -> bool | None:
        """Whether an address or user carries a tag of ours, as was read and written last; None before that."""
        return self._mirror.has(who, tag)

    async def look(self) -> Plan:
        """What would be told now, whether it may or not. Raises `DeviceFault`."""
        async with self._lock:
            self.reread()
            await self._looked(await self._watch.active())
            made = timestamp(int(self._now() * 1000))
            return told.plan_of(self.device, self._wish[1].version, self._sight.delta, made, self._sight.remarks)

    async def apply(self, consent: Consent, fingerprint: str) -> Outcome:
        """What a person has seen (`Plan.fingerprint`), many losses with ``consent.removals``. Raises `DeviceFault`:
        `NotNow` where something stands against it, `Outdated` where the difference is another by now."""
        async with self._lock:
            client = await self._watch.active()
            await self._looked(client)
            if told.fingerprint_of(self._sight.delta) != fingerprint:
                raise Outdated(f"{self.device.name}: there is something else to do than what you saw: plan again")
            judged = await self._judge.judge(await self._newest(), consent)
            if self._judge.waits:
                raise NotNow(self._judge.waits)
            await self._watch.beat(client, at_once=True)
            await self._tell(client, judged.delta, lambda: self._let_in(client))
            await self._confirm(client)
            self._judge.forget()
            return told.outcome_of(self.device.name, (await self._judged()).whole)

    def standing(self) -> dict[str, Any]:
        """JSON values; every key is always there."""
        client = self._watch.client
        state = (
            "standby" if not self._leads else "fault" if self.fault else "no-wish" if self.wanted is None
            else self._sight.state(is_newest=self._wish[0] is self.wanted)
        )  # fmt: skip
        return {
            "device": self.device.name, "mode": self.device.tags, "state": state, "version": self._wish[1].version,
            "unit": client.unit if client is not None else "", "fault": short(self.fault),
            "waits": [short(str(each)) for each in self.waits], "wholes": self._watch.wholes,
            "requests": sum(client.https.requests for client in self._units.clients),
            **told.facts_of(self._mirror, self._sight, self._met, self._now()),
        }  # fmt: skip

    # === by ourselves ===

    async def _follow(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout_at(self._due):
                    await self._is_new.wait()
            self._is_new.clear()
            self._due = loop.time() + self._pace.poll_s
            if self.wanted is not None and self._leads:
                await self._try()

    async def _try(self) -> None:
        try:
            await self.turn()
        except Exception as failure:  # whatever the firewall made of it: nobody else's trouble
            why = str(failure) if isinstance(failure, DeviceFault) else f"{type(failure).__name__}: {failure}"
            if why != self.fault:
                telemetry.log("device_tags_fault", level="error", device=self.device.name, why=why)
            self.fault = why
            self._due = asyncio.get_running_loop().time() + pause_after(self._failures, self._pace, _RANDOM)
            self.recheck()
            self._failures += 1
            await asyncio.sleep(self._pace.shortest_s)  # whatever is new waits no longer than that
        else:
            if self.fault:
                telemetry.log("device_tags_well", device=self.device.name)
            self.fault, self._failures = "", 0

    async def turn(self) -> None:
        """One look, and whatever may be told. Raises `DeviceFault`."""
        async with self._lock:
            self._is_new.clear()
            await self._turn()

    async def _turn(self) -> None:
        if self.device.tags != "enforce":
            await self._looked(await self._watch.active())
            return
        client = await self._begun()
        judged = await self._looked(client)
        if not judged.delta.is_empty:
            self._judge.note(judged.delta)
            self._lost = None
            await self._tell(client, judged.delta, self._has_new)
        self._lost = self._wish[0]
        if self._mirror.doubts and not self._is_new.is_set():
            await self._confirm(client)
            await self._judged()

    async def _begun(self) -> Client:
        """The active unit, which has lost by then what it is to lose. Cuts wait for this, and this for nobody."""
        try:
            with urgently():
                client = await self._watch.active()
                self._narrowing.over()
                await self._watch.beat(client)
                if self._lost is not self.wanted and self._mirror.is_read:
                    if self._mirror.is_unsure:  # the last try went wrong: nothing can be compared with that
                        await self._confirm(client)
                    await self._lose(client)
                return client
        except Divided as divided:
            self._watch.divide()
            await self._narrowing.narrow(divided.clients, self._newest, self._is_new)
            raise

    async def _lose(self, client: Client) -> None:
        """Only what is to be taken away, by the picture that there is."""
        judged = await self._judge.judge(await self._newest(), _OURSELVES)
        if judged.delta.losses:
            self._judge.note(judged.delta)
            await self._take_away(client, judged.delta, self._has_new)
        self._lost = self._wish[0]

    async def _take_away(self, client: Client, delta: Delta, is_enough: Enough) -> None:
        """Revocations by themselves, in messages as small as they are."""
        try:
            with urgently():
                await self._mirror.take_away(client, delta.revoked, never)
                await self._mirror.take_away(client, (*delta.gone, *delta.removed), is_enough)
        finally:
            await self.notes.taken(client, self._wish[1].version, delta)

    async def _has_new(self) -> bool:
        return self._is_new.is_set()

    async def _let_in(self, client: Client) -> bool:
        """Losses that came meanwhile, for what a person began and what goes on after them."""
        if self._is_new.is_set():
            self._is_new.clear()
            await self._interlude(client)
        return False

    async def _interlude(self, client: Client) -> None:
        self._due = 0.0
        if self.device.tags == "enforce" and self._mirror.is_read and self._leads:
            await self._lose(client)

    async def _confirm(self, client: Client) -> None:
        confirming = self._mirror.confirm(client, await self._newest())
        await with_interludes(confirming, self._is_new, lambda: self._interlude(client))

    async def _looked(self, client: Client) -> Judgement:
        if self.wanted is None:
            why = "nobody has said yet who and what should carry tags, `stagedoor status` says why"
            raise DeviceFault(f"{self.device.name}: {why}")
        wish = await self._newest()
        if await self._watch.refresh(client, wish, self._is_new, lambda: self._interlude(client)):
            self._met.ask_beside(client, list(self._mirror.tables[What.USER].tags))
        return await self._judged()

    async def _judged(self) -> Judgement:
        wish = await self._newest()
        judged, now_s = await self._judge.judge(wish, _OURSELVES), self._now()
        about = self.wanted, wish, self._mirror, self._watch.model, self.device
        remarks = await asyncio.to_thread(lambda: tuple(told.remarks_of(*about)))
        self._sight = self._sight.judged(now_s, judged.whole, remarks)
        return judged

    async def _tell(self, client: Client, delta: Delta, is_enough: Enough) -> None:
        """Losses first, and alone."""
        await self._take_away(client, delta, is_enough)
        if not await is_enough():
            await self._mirror.renew(client, delta.renewed, is_enough)
            await self.notes.given(client, self._wish[1].version, renewed=delta.renewed)
        for some in chunks(delta.gains, ASKED_EACH):
            if await is_enough() or await self._watch.active() is not client:
                self._due = 0.0
                break
            await self._watch.beat(client)
            await self.notes.given(client, self._wish[1].version, given=some)
            await self._mirror.give(client, some, is_enough)
        telemetry.log("device_tags", unit=client.unit, **told.counted(self.device, delta, self._mirror))

    async def _newest(self) -> Wish:
        if (wanted := self.wanted) is not None and self._wish[0] is not wanted:
            self._wish = wanted, await asyncio.to_thread(wish_of, wanted)
        return self._wish[1]
