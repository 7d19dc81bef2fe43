"""One environment on one firewall or device group, as the reconciler sees it.

Puts together what the other files know: making (`rules.content`), reading (`rules.observing`), telling (`rules.steps`,
`rules.drifting`) and carrying out (`commit`). What is written is checked here once more, because a plan may come out of
a file that people can edit.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path
from typing import Any, Final

from gateway.config.devices import PanosEnvironment
from gateway.engine.network.desired import Desired
from gateway.engine.network.faults import Busy, DeviceFault, Outdated, Rejected
from gateway.engine.network.fronts import Front
from gateway.engine.network.panos import names
from gateway.engine.network.panos.addresses import written
from gateway.engine.network.panos.commit.carrying import carry_out, validated
from gateway.engine.network.panos.device.units import OTHERS_S, Units
from gateway.engine.network.panos.rules.block import Block, Fault
from gateway.engine.network.panos.rules.content import Content, content_of, remarks_on
from gateway.engine.network.panos.rules.drifting import drifts
from gateway.engine.network.panos.rules.hits import counts_of
from gateway.engine.network.panos.rules.lint import faults_of
from gateway.engine.network.panos.rules.observing import Look, Memory, look_at
from gateway.engine.network.panos.rules.review import Finding, counted, findings
from gateway.engine.network.panos.rules.steps import pushes, steps_between
from gateway.engine.network.plans.phrases import some
from gateway.engine.network.plans.plan import Drift, Observed, Outcome, Plan, Step
from gateway.engine.network.transport.silence import heard_all

_TOLD_FAULTS: Final = 3


def _everything(address: str, tag: str) -> bool:
    return True


class PanosTarget:
    """``units``: of the administrator that commits. ``fronts``: where clients meet what is desired; may block. ``has``:
    whether an address carries a tag there."""

    def __init__(
        self, units: Units, environment: PanosEnvironment, fronts: Callable[[Desired], Sequence[Front]],
        state_folder: Path, has: Callable[[str, str], bool | None] = _everything,
    ) -> None:  # fmt: skip
        self.device = units.device.name
        self.environment = environment.environment
        self._units = units
        self._settings = environment
        self._fronts = fronts
        self._has = has
        self._block = Block(units.device, environment.environment)
        self._memory = Memory(state_folder, units.device.name, environment.environment)
        self._made: tuple[Desired, Sequence[Front], Content] | None = None

    def content_of(self, desired: Desired) -> Content:
        """What would be written. Made once for each wish. Raises `DeviceFault`."""
        fronts = self._fronts(desired)
        if self._settings.front is not None and not fronts and not self._settings.virtual_addresses and desired.places:
            # Else trouble at a BIG-IP would take everybody's way away.
            raise DeviceFault(f"no virtual address of {self.environment} is known, so nobody can say who is met where")
        if self._made is None or self._made[0] is not desired or self._made[1] != fronts:
            self._made = desired, fronts, content_of(desired, self._units.device, self._settings, fronts)
        return self._made[2]

    async def observe(self) -> Observed:
        """From the active unit, nothing written. Raises `DeviceFault`."""
        return (await self._look()).observed

    def plan(self, desired: Desired, observed: Observed, made: str) -> Plan:
        fronts, content = self._fronts(desired), self.content_of(desired)
        return Plan(
            device=self.device,
            environment=self.environment,
            made=made,
            version=desired.version,
            fingerprint=observed.fingerprint,
            steps=self.steps(content, observed),
            content=content,
            remarks=(*observed.remarks, *remarks_on(desired, self._settings, fronts)),
        )

    def steps(self, content: Any, observed: Observed) -> tuple[Step, ...]:
        before = observed.content or self._block.nothing
        steps = steps_between(before, content, observed.parts.get("unknown", ()))
        return (*steps, *pushes(self.environment, observed.parts.get("behind", ())))

    def drift(self, desired: Desired, applied: Any, observed: Observed) -> tuple[Drift, ...]:
        return tuple(drifts(self.environment, self.content_of(desired), applied, observed))

    async def review(self, now_s: float) -> tuple[Finding, ...]:
        """What a reviewer should know. Raises `DeviceFault`."""
        sighted = (await self._look(foreign=True)).sighted
        counts = await counts_of(self._units, counted(sighted))
        heard_all()
        return await asyncio.to_thread(findings, sighted, counts, now_s)

    async def dry_run(self, plan: Plan) -> tuple[str, ...]:
        """What the device's own validation says. It takes a lock, edits, validates and reverts."""
        await asyncio.to_thread(self._check, plan)
        if self._settings.mode == "observe" or self._settings.frozen:
            why = "is frozen" if self._settings.frozen else "is only observed"
            raise Rejected(f"{self.environment} on {self.device} {why}: a deep look would lock and edit there")
        async with self._units.writing:
            look = await self._look()
            _refuse_stopped(look.observed)
            return await validated(self._units, self._block, look.sighted.content, plan.content, plan)

    async def apply(self, plan: Plan, by: str = "") -> Outcome:
        """One at a time for the whole firewall. Raises `DeviceFault`."""
        await asyncio.to_thread(self._check, plan)
        if self._units.writing.locked():
            raise Busy(f"`{self.device}` is being written to already")
        async with self._units.writing:
            look = await self._look()
            if look.observed.fingerprint != plan.fingerprint:
                raise Outdated(
                    f"{self.environment} on {self.device} is not as it was when the plan was made: plan again"
                )
            _refuse_stopped(look.observed)
            if not look.observed.ours and not plan.adopts:
                raise Rejected(
                    f"{self.environment} on {self.device} holds rules that were not made from here: adopt them"
                )
            return await self._carried_out(plan, look, by)

    async def _carried_out(self, plan: Plan, look: Look, by: str) -> Outcome:
        """What is about to be made counts as ours from before it is, so that a death in between leaves nothing that
        nobody knows."""
        known = await asyncio.to_thread(self._memory.read)
        uuids = look.sighted.uuids
        names = {rule["name"] for rule in plan.content["rules"]}
        await asyncio.to_thread(self._memory.write, {**uuids, **dict.fromkeys(names - uuids.keys(), "")})
        try:
            outcome = await carry_out(self._units, self._block, look.sighted.content, plan.content, plan, by)
        except (Busy, Outdated, Rejected):  # nothing was made
            await asyncio.to_thread(self._memory.write, known)
            raise
        try:
            after = await self._look()
        except DeviceFault as fault:  # what was committed is, and what is remembered covers it
            return replace(outcome, sentence=f"{outcome.sentence} It could not be looked at afterwards: {fault}.")
        await asyncio.to_thread(self._memory.write, after.sighted.uuids)
        return replace(outcome, fingerprint=after.observed.fingerprint)

    async def _look(self, *, foreign: bool = False) -> Look:
        client, availability = await self._units.active_with_state(OTHERS_S)
        look = await look_at(client, availability, self._block, self._memory, foreign=foreign)
        stops = (*look.observed.stops, *self._untold(look.sighted.content))
        return look._replace(observed=replace(look.observed, stops=stops))

    def _untold(self, there: Content) -> Iterator[Fault]:
        """Networks that are closed before the firewall knows the doors are closed to these, too."""
        said = self._settings
        are_closed = any(names.kind_of(each) == "net" for rule in there["rules"] for each in rule["destination"])
        if said.back is None or not said.closed_networks or are_closed or self._units.device.device_group:
            return
        tag = names.doors_tag(self.environment)
        if untold := [door for door in said.doors if not self._has(written(ip_network(door, strict=False)), tag)]:
            why = f"`closes: networks` would stop the doors, too: {self.device} was not told of {some(untold)}"
            yield why, f"tell it first, `stagedoor plan --device {self.device} --tags --out FILE`, `apply FILE`"

    def _check(self, plan: Plan) -> None:
        """Raises `Rejected` for a plan of somewhere else, or one whose content may not be written."""
        if (plan.device, plan.environment) != (self.device, self.environment):
            where = f"`{plan.device}` {plan.environment}"
            raise Rejected(f"the plan is for {where}, not for `{self.device}` {self.environment}")
        if faults := faults_of(plan.content, self._units.device, self.environment):
            told = "; ".join(faults[:_TOLD_FAULTS])
            more = f" and {len(faults) - _TOLD_FAULTS} more" if len(faults) > _TOLD_FAULTS else ""
            raise Rejected(f"the plan's rules may not be written: {told}{more}")


def _refuse_stopped(observed: Observed) -> None:
    """Raises `Busy` for what stands against writing now, whoever asks."""
    if observed.stops:
        raise Busy("; ".join(f"{why}: {todo}" for why, todo in observed.stops[:_TOLD_FAULTS]))
