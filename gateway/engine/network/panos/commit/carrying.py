"""A plan of rules carried out on one firewall or Panorama: the whole way, and the way back where it fails.

Everything before the commit leaves nothing behind when it fails. What fails after it is undone by committing what was
there before, never by loading an old version, which would undo everybody's work since. A firewall of a device group
that refuses a push undoes it for all; one that is merely away is told of.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any, Final, NamedTuple

from gateway.engine.network.faults import Busy, DeviceFault, Outdated, Rejected
from gateway.engine.network.panos.commit.change import Change, Owned
from gateway.engine.network.panos.commit.history import description_of, signed
from gateway.engine.network.panos.commit.hold import Hold
from gateway.engine.network.panos.commit.preflight import nobody_else, preflight
from gateway.engine.network.panos.commit.procedure import Committed, Procedure
from gateway.engine.network.panos.device.client import Client
from gateway.engine.network.panos.device.jobs import DeviceResult
from gateway.engine.network.panos.device.locks import is_blocked, whoami
from gateway.engine.network.panos.device.state import availability_of
from gateway.engine.network.panos.device.units import Units
from gateway.engine.network.plans import plan_file
from gateway.engine.network.plans.plan import Outcome, Plan
from gateway.engine.network.transport.patience import Polls

DIGITS: Final = 16  # of the plan's digest
IN_STEP_S: Final = 300.0  # that the other unit of a pair may take
_AWAY: Final = "not connected"
_PASSIVE: Final = "passive device"


async def carry_out(units: Units, owned: Owned, before: Any, after: Any, plan: Plan, by: str = "") -> Outcome:
    """``units``: of the administrator that commits; the caller holds their `writing`. ``before``: what runs, as the
    plan was made from it. ``by``: who wants it, for the device's history. Raises `DeviceFault` where nothing changed,
    or nobody can tell."""
    said = await asyncio.to_thread(_said, owned, before, after, plan, by)
    return await _Carrying(units, owned, before, after, plan, said).outcome()


async def validated(units: Units, owned: Owned, before: Any, after: Any, plan: Plan) -> tuple[str, ...]:
    """What the device says to it: edited, validated, and taken back. Raises `DeviceFault`."""
    said = await asyncio.to_thread(_said, owned, before, after, plan)
    return await _Carrying(units, owned, before, after, plan, said).judgement()


class _Said(NamedTuple):
    """A plan on the wire. ``digest``: its beginning, by which people find it in the trail."""

    change: Change
    digest: str
    by: str = ""


def _said(owned: Owned, before: Any, after: Any, plan: Plan, by: str = "") -> _Said:
    """Takes a while for a large plan."""
    digest = plan_file.digest_of(plan)[:DIGITS]
    return _Said(signed(owned.change(before, after), by, digest), digest, by)


class _Carrying:
    def __init__(self, units: Units, owned: Owned, before: Any, after: Any, plan: Plan, said: _Said) -> None:
        self._units = units
        self._device = units.device
        self._owned = owned
        self._before, self._after = before, after
        self._plan = plan
        self._change, self._digest, self._by = said
        self._description = description_of(units.device.instance, plan, self._digest, self._by)

    async def outcome(self) -> Outcome:
        if not self._change.edits and not self._device.device_group:
            return Outcome(True, False, "Nothing is different.")
        client, hold, procedure = await self._begun()
        if not self._change.edits:
            return await self._pushed_alone(client, procedure)
        try:
            outcome = await self._carried(client, hold, procedure)
        except DeviceFault as fault:
            left = await hold.give_back()
            raise _judged(fault, left) from None
        except BaseException:
            await hold.give_back()
            raise
        left = await hold.give_back()
        return replace(outcome, sentence=f"{outcome.sentence} Left behind: {left}") if left else outcome

    async def judgement(self) -> tuple[str, ...]:
        if not self._change.edits:
            return ()
        client, hold, procedure = await self._begun()
        left = ""
        try:
            await self._locked(client, hold)
            job = await procedure.edited(self._change, self._before, self._after)
        finally:
            left = await hold.give_back()
        said = [f"{client.where} finds it valid (job {job.number}), and has nothing of it any more.", *job.warnings]
        return (*said, *([f"Left behind: {left}"] if left else ()))

    # === the way ===

    async def _begun(self) -> tuple[Client, Hold, Procedure]:
        client, availability = await self._units.active_with_state()
        me = self._me = await whoami(client)
        await preflight(client, self._device, availability, self._change, me)
        hold = Hold(client, self._device, me, self._digest)
        return client, hold, Procedure(client, self._device, self._owned, hold, me)

    async def _locked(self, client: Client, hold: Hold) -> None:
        await hold.take()
        await nobody_else(client, self._change, self._me)

    async def _carried(self, client: Client, hold: Hold, procedure: Procedure) -> Outcome:
        await self._locked(client, hold)
        await procedure.edited(self._change, self._before, self._after)
        done = await procedure.committed(self._description, self._before, self._after)
        why = done.why
        said = [f"{_steps(len(self._plan.steps))} committed as job {done.job or '?'} and read back."]
        if not why and self._device.device_group:
            try:
                why, unreached = await self._pushed(procedure, f"push of {self._description}")
            except DeviceFault as fault:
                unreached = f"how its push ended is not known ({fault})"
            if unreached:
                return self._unfinished(done, f"it runs on {client.where}, and {unreached}")
        if why:
            return await self._undone(client, hold, procedure, done, why)
        said += [f"The device warns: {line}." for line in done.warnings[:3]]
        return await self._in_step(client, done, said)

    async def _pushed(self, procedure: Procedure, description: str) -> tuple[str, str]:
        """Why a firewall refused it; and which have perhaps not got it."""
        job = await procedure.pushed(description)
        if job.is_well:
            return "", ""
        missed = [each for each in job.devices if each.result != "OK"]
        if missed and all(_is_away(each) for each in missed):
            return "", f"not, as far as known, on {', '.join(each.name or each.serial for each in missed)}"
        return f"the push failed: {job.why}", ""

    async def _pushed_alone(self, client: Client, procedure: Procedure) -> Outcome:
        """What runs on the Panorama is what is wanted, and a firewall has not got it."""
        if await self._owned.read(client, "running") != self._after:
            raise Outdated(f"{client.where} changed since the plan was made: plan again")
        why, unreached = await self._pushed(procedure, f"push of {self._description}")
        if why or unreached:
            return self._unfinished(Committed(""), why or f"it runs on {client.where}, and {unreached}")
        return Outcome(True, True, "Pushed to every firewall of the group.")

    async def _undone(self, client: Client, hold: Hold, procedure: Procedure, done: Committed, why: str) -> Outcome:
        """What was there before, committed again. The device let go of our locks when it committed."""
        try:
            running = await self._owned.read(client, "running")
            back = await asyncio.to_thread(self._owned.change, running, self._before)
            back = signed(back, self._by, self._digest)
            await self._locked(client, hold)
            await procedure.edited(back, running, self._before)
            undone = await procedure.committed(f"undone: {self._description}", running, self._before)
            failed = undone.why
            if not failed and self._device.device_group:
                failed, unreached = await self._pushed(procedure, f"undoing push of {self._description}")
                failed = failed or unreached
        except DeviceFault as fault:
            return self._unfinished(done, f"{why}; undoing it failed too: {fault}")
        if failed:
            return self._unfinished(done, f"{why}; what was there before is not back everywhere: {failed}")
        return Outcome(False, False, f"Failed, and what was there before is back: {why}", done.job)

    async def _in_step(self, client: Client, done: Committed, said: list[str]) -> Outcome:
        """The other unit of a pair gets what was committed; should it have become active before, that is not so."""
        polls = Polls(client.time, IN_STEP_S)
        words = ""
        while True:
            try:
                availability = await availability_of(client)
                words = f"`{availability.sync}`"
                if availability.serves and availability.in_step:
                    return Outcome(True, True, " ".join(said), done.job)
                if not availability.serves:
                    return await self._failed_over(client, done, said)
            except DeviceFault as fault:
                words = str(fault)
            if not await polls.pause():
                return Outcome(True, True, " ".join([*said, f"The pair is not in step yet ({words})."]), done.job)

    async def _failed_over(self, client: Client, done: Committed, said: list[str]) -> Outcome:
        now = await self._units.active()
        if await self._owned.read(now, "running") == self._after:
            return Outcome(True, True, " ".join([*said, f"{now.where} became active, and has it."]), done.job)
        return self._unfinished(done, f"{now.where} became active before it had the change of {client.where}")

    def _unfinished(self, done: Committed, why: str) -> Outcome:
        return Outcome(False, True, f"Not finished: {why}", done.job)


def _judged(fault: DeviceFault, left: str) -> DeviceFault:
    """A refusal because of somebody's lock, taken meanwhile, or because the other unit is active now, is none of the
    plan: later it may go."""
    passes = is_blocked(str(fault)) or _PASSIVE in str(fault).lower()
    kind = Busy if isinstance(fault, Rejected) and passes else type(fault)
    return kind(f"{fault}; {left}" if left else str(fault))


def _steps(number: int) -> str:
    return "1 step" if number == 1 else f"{number} steps"


def _is_away(result: DeviceResult) -> bool:
    return result.result == "PEND" or any(_AWAY in line.lower() for line in result.lines)
