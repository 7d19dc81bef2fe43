"""One change in the candidate and then in what runs: edited, checked by the device, read back, committed, followed.

    locked, running as planned → one strict transaction → audit comments → valid? → candidate as planned? →
    commit of our own edits → its job → running as planned? → pushed, the pair in step

Until the commit is sent everything can be taken back, and is. After it nothing is taken back: what went wrong is
mended by committing the way back, so that nobody else's work is undone with it. An answer that did not come is never
guessed: the device is asked what it has.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Final, NamedTuple

from gateway.config.devices import Panos
from gateway.engine.network.faults import DeviceFault, Outdated, Rejected, Unknown, Unreachable
from gateway.engine.network.panos.commit.change import Change, Owned
from gateway.engine.network.panos.commit.hold import Hold, repeated
from gateway.engine.network.panos.device.client import Client
from gateway.engine.network.panos.device.jobs import Job, Taken, ended, found, taken, under_way
from gateway.engine.network.panos.device.turns import together
from gateway.engine.network.panos.device.writes import comment, commit, multi_config, push, validate
from gateway.engine.network.transport.patience import Polls

LOOKED_S: Final = 20.0  # for a commit whose answer did not come


class Committed(NamedTuple):
    """``why``: what stands against it though it ended, "" when all is well."""

    job: str
    why: str = ""
    warnings: tuple[str, ...] = ()


class Procedure:
    """``me``: our administrator. The caller holds the device's `writing`, and gives ``hold`` back."""

    def __init__(self, client: Client, device: Panos, owned: Owned, hold: Hold, me: str) -> None:
        self._client = client
        self._device = device
        self._owned = owned
        self._hold = hold
        self._me = me

    # === before the commit ===

    async def edited(self, change: Change, before: Any, after: Any) -> Job:
        """The candidate holds the change, and the device finds it valid. Raises `DeviceFault`; then ``hold`` has what
        to take back."""
        if await self._owned.read(self._client, "running") != before:
            raise Outdated(f"{self._client.where} changed since the plan was made: plan again")
        try:
            return await self._written(change, after)
        except DeviceFault as fault:
            if await self._runs_otherwise(before):
                what = "a part of the change runs: somebody committed it meanwhile, or changed what is ours"
                raise Unknown(f"{fault}; {what}; plan again") from None
            raise

    async def _runs_otherwise(self, before: Any) -> bool:
        """Whoever breaks our locks and commits everything makes run what we have only begun."""
        try:
            running: Any = await self._owned.read(self._client, "running")
        except DeviceFault:
            return False
        return bool(running != before)

    async def _written(self, change: Change, after: Any) -> Job:
        await self._edit(change, after)
        await self._comment(change)
        job = await self._validated()
        if not job.is_well:
            raise Rejected(f"{self._client.where} does not find the change valid, and nothing was changed: {job.why}")
        if await self._owned.read(self._client, "candidate") != after:
            raise Rejected(f"{self._client.where} took the change otherwise than it was written: nothing was changed")
        return job

    async def _edit(self, change: Change, after: Any) -> None:
        self._hold.is_edited = True
        try:
            await multi_config(self._client, change.edits)
        except Unknown as fault:
            if await self._owned.read(self._client, "candidate") != after:
                raise Unreachable(f"{fault}; nothing was changed") from None

    async def _comment(self, change: Change) -> None:
        waiting = iter(change.comments)

        async def follow() -> None:
            for each in waiting:
                await repeated(self._client, partial(comment, self._client, each.xpath, each.text))

        await together([follow() for _ in range(self._device.concurrent)])

    async def _validated(self) -> Job:
        async def asked() -> Taken:
            return taken(self._client, await validate(self._client, self._me, self._device))

        number = (await repeated(self._client, asked)).job
        return await ended(self._client, number) if number else Job("", "OK")

    # === the commit ===

    async def committed(self, description: str, before: Any, after: Any) -> Committed:
        """Raises `Unknown` where nobody can tell, any other `DeviceFault` where nothing of it runs."""
        self._hold.is_committing = True
        try:
            number = taken(self._client, await commit(self._client, self._me, self._device, description)).job
        except Unknown as fault:
            number = await self._looked_for(description, after, str(fault))
        except DeviceFault:
            self._hold.is_committing = False
            raise
        try:
            why, warnings = await self._followed(number) if number else ("", ())
            running = await self._owned.read(self._client, "running")
        except DeviceFault as fault:
            what = f"it was committed as job {number or '?'}"
            raise Unknown(f"{what}, and what became of it is not known: {fault}") from None
        self._hold.is_committing = False
        if running == after:
            self._hold.is_edited = False
            return Committed(number, "", warnings)
        if running == before:
            raise Rejected(f"nothing of the change runs: {why or 'it was taken out of the candidate meanwhile'}")
        return Committed(number, why or "what runs is not what was committed", warnings)

    async def _looked_for(self, description: str, after: Any, why: str) -> str:
        """The job of a commit that was not answered, "" where it is done. Raises `Unreachable`, `Unknown`."""
        polls = Polls(self._client.time, LOOKED_S)
        while await polls.pause():
            try:
                if number := await found(self._client, self._me, description):
                    return number
                if await self._owned.read(self._client, "running") == after:
                    return ""
            except DeviceFault:
                continue
        if await self._is_idle():
            self._hold.is_committing = False
            raise Unreachable(f"{why}; it did not commit, and nothing was changed")
        raise Unknown(f"{why}; it may still be committing")

    async def _followed(self, number: str) -> tuple[str, tuple[str, ...]]:
        """What went wrong, and what the device warns of. Raises `Unknown`."""
        try:
            job = await ended(self._client, number)
        except Unknown as fault:
            if await self._is_idle():
                return str(fault), ()
            raise
        return "" if job.is_well else f"commit job {number} failed: {job.why}", job.warnings

    async def _is_idle(self) -> bool:
        try:
            return not await under_way(self._client)
        except DeviceFault:
            return False

    # === afterwards ===

    async def pushed(self, description: str) -> Job:
        """A Panorama's rules to the firewalls of the group. Raises `DeviceFault`."""

        async def told() -> str:
            """A push that was not answered and cannot be found did not begin: again."""
            try:
                return taken(self._client, await push(self._client, self._device, description)).job
            except Unknown:
                if number := await found(self._client, self._me, description):
                    return number
                raise

        number = await repeated(self._client, told)
        return await ended(self._client, number) if number else Job("", "OK")
