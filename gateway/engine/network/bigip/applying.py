"""One plan carried out on one device group: refused unless nothing changed, sent once, read back, undone if it failed.

    active unit → AS3's version → what is there now → same as planned? → send → how did it end? → read back →
    objects as declared? → saved, in step → outcome

Whether something was done is never guessed from an answer that did not come: the device is read, and asked to try the
declaration dry, before it is sent a second time; there is no third. Undoing puts back what was there before, and only
over what this very plan left: what another writer declared meanwhile stays. When the active unit changes on the way,
the new one is read and nothing is sent to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from gateway.config.devices import BigipEnvironment
from gateway.engine.network.bigip.as3.declaration import content_hash
from gateway.engine.network.bigip.as3.names import MARK
from gateway.engine.network.bigip.device.client import Client
from gateway.engine.network.bigip.device.declaring import (
    Attempt,
    Verdict,
    check_version,
    deploy,
    dry_run,
    remove,
    wrapped,
)
from gateway.engine.network.bigip.device.observe import Sight, observe
from gateway.engine.network.bigip.device.tasks import saved
from gateway.engine.network.bigip.device.units import IN_STEP, DeviceGroup, sync_of
from gateway.engine.network.bigip.drains import drains_of, with_drains, without_drains
from gateway.engine.network.bigip.objects import declared
from gateway.engine.network.bigip.review.comparison import Spellings, is_essential
from gateway.engine.network.faults import Busy, DeviceFault, Outdated, Rejected, Unknown, Unreachable
from gateway.engine.network.plans.phrases import count, some
from gateway.engine.network.plans.plan import Outcome, Plan
from gateway.engine.network.transport.patience import Patience

FAILOVER_S: Final = 60.0  # how long no unit may be active
TRIES: Final = 2


class Applying:
    """One apply. ``name``: the tenant; ``content`` was checked."""

    def __init__(
        self, group: DeviceGroup, name: str, environment: BigipEnvironment, spellings: Spellings, plan: Plan
    ) -> None:
        self._spellings = spellings
        self._group = group
        self._name = name
        self._environment = environment
        self._plan = plan
        self._content: Mapping[str, Any] = plan.content
        self._task = ""

    async def outcome(self) -> Outcome:
        """The caller holds the group's `writing`. Raises `DeviceFault` where nothing changed, or nobody can tell."""
        client = await self._group.active()
        await check_version(client, self._content.get("schemaVersion"))
        before = await self._seen(client)
        self._refuse(before)
        if not self._plan.steps:
            return Outcome(True, False, "Nothing is different.", fingerprint=before.observed.fingerprint)
        sent = with_drains(self._name, self._content[self._name], drains_of(before.observed.parts))
        for last in range(1, TRIES + 1):
            request = wrapped(self._content, self._name, sent, before.lock_key)
            attempt = await deploy(client, self._name, request, self._is_active(client))
            self._task = attempt.task or self._task
            try:
                ended = await self._settled(client, before, sent, attempt)
            except (Busy, Unreachable) as fault:
                raise Unknown(f"it was sent, and what became of it cannot be read: {fault}") from None
            if ended is not None:
                return ended
            if last < TRIES:
                before = await self._seen(client)
                self._refuse(before)
        raise Unknown(f"{client.where} took the declaration {TRIES} times and has done nothing: see its restnoded log")

    def _refuse(self, sight: Sight) -> None:
        observed = sight.observed
        if not observed.ours and not self._plan.adopts:
            raise Rejected(
                f"`{self._name}` on `{self._plan.device}` does not carry our mark, so nothing is written to it: give "
                "Stagedoor another `tenant_prefix`, or take it over with `stagedoor adopt`"
            )
        if observed.fingerprint != self._plan.fingerprint:
            raise Outdated(f"`{self._plan.device}` changed since the plan was made: plan again")

    async def _seen(self, client: Client) -> Sight:
        return await observe(client, self._name, self._environment)

    def _is_active(self, client: Client) -> Any:
        async def is_active() -> bool:
            """Also while nobody is: whoever was may be again."""
            try:
                return await self._group.active() is client
            except (Busy, Unreachable):
                return True

        return is_active

    # === how it ended ===

    async def _settled(
        self, client: Client, before: Sight, sent: Mapping[str, Any], attempt: Attempt
    ) -> Outcome | None:
        """None where nothing was done, and sending it again is safe."""
        now = await self._active_again()
        if now is not client:
            return await self._after_failover(client, now, before, sent, attempt)
        after = await self._seen(client)
        is_same = self._is_same(before, after)
        # A plan that only sets back what was done by hand finds its declaration there before anything is done.
        if self._holds(after, sent) and (attempt.verdict is Verdict.DONE or not is_same):
            wrong = self._wrong(after, sent)
            if not wrong and attempt.verdict is not Verdict.FAILED:
                return await self._finished(client, before, after, sent, attempt)
            why = attempt.why or f"{count(len(wrong), 'object')} not as declared: {some(wrong)}"
            return await self._undone(client, before, after, why)
        if attempt.verdict is Verdict.OUTDATED:
            raise Outdated(f"another writer declared `{self._name}` meanwhile: plan again")
        if not is_same:
            if attempt.verdict is Verdict.FAILED and after.lock_key == before.lock_key:
                return await self._undone(client, before, after, attempt.why)
            return self._unfinished(f"{attempt.why or 'it was sent'}; what is there now is another writer's")
        if attempt.verdict is Verdict.FAILED:
            raise Rejected(f"nothing was changed: {attempt.why}")
        return await self._idle(client, before, sent, attempt)

    async def _idle(self, client: Client, before: Sight, sent: Mapping[str, Any], attempt: Attempt) -> Outcome | None:
        """Nothing is there yet. A dry run waits for AS3's lock: when it comes back, nothing is under way."""
        patience = Patience(self._group.time, self._group.limits.task)
        request = wrapped(self._content, self._name, sent, before.lock_key)
        while True:
            try:
                await dry_run(client, self._name, request, self._is_active(client))
                break
            except (Busy, Unreachable, Unknown) as fault:
                if not await patience.pause(locked=isinstance(fault, Busy)):
                    raise Unknown(f"{attempt.why}; whether it took effect cannot be found out: {fault}") from None
            except Rejected:
                break  # it is idle, and what it says now decides
        after = await self._seen(client)
        if not self._is_same(before, after):
            settled = Attempt(Verdict.UNKNOWN, attempt.why, attempt.task)
            return await self._settled(client, before, sent, settled)
        return None

    async def _after_failover(
        self, client: Client, now: Client, before: Sight, sent: Mapping[str, Any], attempt: Attempt
    ) -> Outcome:
        if attempt.verdict is Verdict.DONE and self._group.device.device_group:
            try:
                await self._group.synchronise(client)
            except DeviceFault:
                pass  # what the new one has decides
        after = await self._seen(now)
        if self._holds(after, sent) and not self._wrong(after, sent):
            return await self._finished(now, before, after, sent, attempt)
        moved = f"{now.where} became active while {client.where} was written to"
        if self._is_same(before, after):
            raise Unknown(f"{moved}, and does not have the change: look how the group is in step, then plan again")
        return self._unfinished(f"{moved}, and has something else")

    async def _active_again(self) -> Client:
        patience = Patience(self._group.time, FAILOVER_S)
        while True:
            try:
                return await self._group.active()
            except (Busy, Unreachable) as fault:
                if not await patience.pause():
                    raise Unknown(f"what became of the change cannot be read: {fault}") from None

    def _holds(self, sight: Sight, sent: Mapping[str, Any]) -> bool:
        return without_drains(self._name, sight.tenant(self._name)) == without_drains(self._name, sent)

    def _is_same(self, before: Sight, after: Sight) -> bool:
        return before.observed.fingerprint == after.observed.fingerprint

    def _wrong(self, sight: Sight, sent: Mapping[str, Any]) -> list[str]:
        """Objects that are not there, or do not what they are there for."""
        wanted = declared(self._name, sent)
        found = self._spellings.edits(wanted, sight.observed.parts)
        return list(dict.fromkeys(edit.path for edit in found if is_essential(edit, wanted)))

    # === afterwards ===

    async def _finished(
        self, client: Client, before: Sight, after: Sight, sent: Mapping[str, Any], attempt: Attempt
    ) -> Outcome:
        said = [f"{count(len(self._plan.steps), 'step')} applied and read back."]
        wanted = declared(self._name, sent)
        odd = self._spellings.edits(wanted, after.observed.parts)
        learnt, others = self._spellings.learn(odd, wanted, before.observed.parts)
        if learnt:
            what = some([f"{edit.key} of {edit.path}" for edit in learnt])
            said.append(f"The device shows {what} otherwise than declared: it is taken for its way to write it.")
        if others:
            what = some([f"{edit.key} of {edit.path}" for edit in others])
            said.append(f"Somebody changed {what} meanwhile: plan again to set it back.")
        # AS3 saves at the very end, and says 500 where that alone failed.
        if attempt.verdict is Verdict.UNKNOWN and (why := await saved(client)):
            said.append(f"It is not saved and would be lost in a restart: {why}")
        said += await self._in_step(client)
        return Outcome(True, True, " ".join(said), self._task, after.observed.fingerprint)

    async def _in_step(self, client: Client) -> list[str]:
        """Pushes the change to the other units where the group does not do that by itself."""
        if len(self._group.clients) == 1 and not self._group.device.device_group:
            return []
        try:
            sync = await sync_of(client)
            if sync.status in IN_STEP or not sync.status:
                return []
            if not self._group.device.device_group:
                return [f"The other unit does not have it yet (`{sync.status}`): set `device_group`."]
            await self._group.synchronise(client)
            sync = await sync_of(client)
        except DeviceFault as fault:
            return [f"The other unit may not have it yet: {fault}"]
        return [] if sync.status in IN_STEP else [f"The group is not in step yet (`{sync.status}`)."]

    async def _undone(self, client: Client, before: Sight, after: Sight, why: str) -> Outcome:
        """Puts back what was there. ``after`` is what this plan left, and its key is what may be overwritten."""
        if before.observed.content is None and not before.observed.ours:
            return self._unfinished(f"{why}; what somebody made there by hand cannot be put back by AS3")
        try:
            attempt = await self._put_back(client, before, after)
            last = await self._seen(await self._active_again())
        except DeviceFault as fault:
            return self._unfinished(f"{why}; undoing it failed too: {fault}")
        if self._holds(last, before.tenant(self._name)) and not self._wrong(last, before.tenant(self._name)):
            fingerprint = last.observed.fingerprint
            return Outcome(False, False, f"Failed, and what was there before is back: {why}", self._task, fingerprint)
        return self._unfinished(f"{why}; what was there before is not back: {attempt.why or 'see the device'}")

    async def _put_back(self, client: Client, before: Sight, after: Sight) -> Attempt:
        stay = self._is_active(client)
        if before.observed.content is None:
            return await remove(client, self._name, stay)
        drains = drains_of(after.observed.parts) | drains_of(before.observed.parts)
        tenant = with_drains(self._name, before.tenant(self._name), drains)
        request = wrapped(self._marks_of(before, tenant), self._name, tenant, after.lock_key)
        return await deploy(client, self._name, request, stay)

    def _marks_of(self, before: Sight, tenant: Mapping[str, Any]) -> Mapping[str, Any]:
        """What stands above a tenant that is put back. A device shows there what the last writer of any tenant said."""
        if not before.observed.ours or before.observed.content is None:
            return before.observed.content or {}
        mark = f"{MARK}:{self._plan.environment}:{content_hash(dict(tenant))}"
        return {**self._content, "id": mark}

    def _unfinished(self, why: str) -> Outcome:
        return Outcome(False, True, f"Not finished: {why}", self._task)
