"""What people ask about the tags of a whole firewall: what would be told, and that it be told.

Tags are of no environment alone and need no commit, so they have plans of their own: the digest of a difference stands
for it, and it is told only if it still is the difference. An apply by a person leaves the same two events in the audit
trail as one of rules.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from gateway import telemetry
from gateway.engine.network.controller import Controller
from gateway.engine.network.faults import DeviceFault, Rejected, Unreachable
from gateway.engine.network.history.trail import BEGUN, ENDED, Untold
from gateway.engine.network.panos.tags.worker import TagWorker
from gateway.engine.network.plans import plan_file
from gateway.engine.network.plans.guards import Consent
from gateway.engine.network.plans.plan import Kind, Outcome, Plan
from gateway.engine.network.transport.silence import SILENT_S, Silent, answering

_FIX: Final = "`stagedoor status` says which, ask again later"
TAGS: Final = ""  # what their plans have for an environment


async def planned(worker: TagWorker, silent_s: float = SILENT_S) -> dict[str, Any]:
    """Raises `DeviceFault`, `Unreachable` where it keeps silent."""
    _refuse_unknown(worker)
    try:
        async with answering(silent_s):
            plan = await worker.look()
    except Silent as silent:
        raise Unreachable(f"`{worker.device.name}` does not answer, or is being read: {silent}; {_FIX}") from None
    by_mode = worker.device.tags == "plan"  # then it is a person who applies, which nothing stands against
    return {
        "plan": plan_file.as_json(plan),
        "checks": None,
        "hindrances": [each._asdict() for each in worker.waits if not (by_mode and each.code == "mode")],
        "ours": True,
        "drift": [],
        "dry_run": [],
        "mode": worker.device.tags,
    }


async def applied(controller: Controller, worker: TagWorker, plan: Plan, consent: Consent) -> dict[str, Any]:
    """Raises `DeviceFault`, `Untold`."""
    _refuse_unknown(worker)
    digest = plan_file.digest_of(plan)
    said: dict[str, object] = {
        "device": plan.device, "environment": TAGS, "by": consent.by, "ticket": consent.ticket, "plan": digest,
        "version": plan.version, "steps": len(plan.steps),
        "removed": [step.object for step in plan.steps if step.kind is Kind.REMOVE],
        "removals_approved": consent.removals, "adopts": False, "fence": controller.fence,
    }  # fmt: skip
    await controller.blocking(controller.trail.note, BEGUN, said)
    try:
        outcome = await worker.apply(consent, plan.fingerprint)
    except (Exception, asyncio.CancelledError) as fault:  # any: what was begun has an end
        await asyncio.shield(_ended(controller, said, Outcome(False, False, str(fault)), type(fault).__name__.lower()))
        raise
    await _ended(controller, said, outcome, "done" if outcome.done else "partly" if outcome.changed else "failed")
    told = {"done": outcome.done, "changed": outcome.changed, "why": outcome.sentence, "task": outcome.task}
    is_latest = worker.wanted is None or worker.wanted.version == plan.version
    return {**told, "plan_digest": digest, "by": consent.by, "is_latest": is_latest}


async def _ended(controller: Controller, said: dict[str, object], outcome: Outcome, result: str) -> None:
    fields = {**said, "result": result, "why": outcome.sentence, "task": outcome.task}
    try:
        await controller.blocking(controller.trail.note, ENDED, fields)
    except Untold as fault:  # the device is told already: its beginning is in the trail
        telemetry.log("device_apply_untold", level="error", device=str(said["device"]), why=str(fault))


def _refuse_unknown(worker: TagWorker) -> None:
    if worker.wanted is None:
        why = "who is to carry which tags is not known yet: the catalog, names or control were not heard of"
        raise DeviceFault(f"{why}; `stagedoor status` says which")


def refuse_elsewhere(plan: Plan) -> None:
    """Raises `Rejected` for a plan of tags that holds more than a difference."""
    if plan.content is not None or plan.adopts:
        raise Rejected("a plan of tags holds steps and nothing else: plan again with `--tags`")
