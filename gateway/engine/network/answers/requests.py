"""What people ask about devices: a plan, an apply, the drift; to take a tenant over. The kernel says who asks.

Every answer is one message: what was asked for, or `fault`, one of four codes, and `why`. Whoever asks holds the
device meanwhile, so nothing is planned, applied or read in the middle of something else.
"""

from __future__ import annotations

import asyncio
import pwd
from dataclasses import replace
from typing import Any, Final

from gateway import telemetry
from gateway.engine.network.answers.tag_requests import TAGS, applied, planned, refuse_elsewhere
from gateway.engine.network.answers.views import Views
from gateway.engine.network.controller import Controller
from gateway.engine.network.faults import DeviceFault, Outdated, Rejected, Unknown
from gateway.engine.network.history.trail import Untold
from gateway.engine.network.panos.tags.worker import TagWorker
from gateway.engine.network.panos.target import PanosTarget
from gateway.engine.network.plans import plan_file
from gateway.engine.network.plans.guards import Consent
from gateway.engine.network.plans.plan import Drift
from gateway.engine.network.reconcile import Lane, NotNow
from gateway.engine.network.reconcile.group import Group
from gateway.link import Message, PeerCredentials

TAKEN: Final = frozenset(("device_plan", "device_apply", "device_drift", "device_review", "devices"))
ANSWER: Final = "device_answer"
# For who asked: it does not exist, it may not be, it cannot be reached, and nobody knows what became of it.
UNKNOWN_DEVICE: Final = "unknown_device"
REFUSED: Final = "refused"
UNREACHABLE: Final = "unreachable"
PARTLY: Final = "partly"
TICKET_MOST: Final = 200
_NOT_LEADING: Final = (
    "nodes share a database, and this one does not lead: apply it where `stagedoor status` does not say `standby`"
)


_NO_FILE_ADOPTS: Final = (
    "the plan takes over what is not ours, and only the one that `stagedoor adopt` has just shown may do that: "
    "`stagedoor adopt` shows it and asks"
)


class _Asked(Exception):
    """The question names nothing that is here; the text says what is."""


class Requests:
    def __init__(self, controller: Controller) -> None:
        self._controller = controller

    async def answer(self, message: Message, peer: PeerCredentials) -> Message:
        """The answer to one of `TAKEN`; never raises for what a device or a person can cause."""
        try:
            return {"t": ANSWER, **await self._answer(message, peer)}
        except _Asked as unknown:
            return _fault(UNKNOWN_DEVICE, str(unknown))
        except (NotNow, Outdated, Rejected, Untold, plan_file.PlanFault) as refused:
            return _fault(REFUSED, str(refused))
        except Unknown as fault:
            return _fault(PARTLY, str(fault))
        except DeviceFault as fault:
            return _fault(UNREACHABLE, str(fault))
        except Exception as failure:  # one question that cannot be answered must not end the role
            why = f"{type(failure).__name__}: {failure}"
            telemetry.log("question_failed", level="error", about=message.get("t"), why=why)
            return _fault(UNREACHABLE, f"it could not be answered: {why}")

    async def _answer(self, message: Message, peer: PeerCredentials) -> dict[str, Any]:
        match message["t"]:
            case "devices":
                return {"devices": self._controller.standings()}
            case "device_plan":
                return await self._plan(message, peer)
            case "device_drift":
                return await self._drift(message)
            case "device_review":
                return await self._review(message)
            case _:
                return await self._apply(message, peer)

    async def _plan(self, message: Message, peer: PeerCredentials) -> dict[str, Any]:
        if message.get("tags") is True:
            return await planned(self._worker(_text(message, "device")))
        group, lane = self._lane(_text(message, "device"), _text(message, "environment"))
        adopts = message.get("adopts") is True
        checking = asyncio.get_running_loop().create_task(Views(self._controller).checks(lane))
        try:
            is_deep = message.get("deep") is True
            async with group.held() if is_deep else group.asked():
                sight = await lane.look(adopts=adopts)
                dry_run = await lane.target.dry_run(sight.plan) if is_deep and sight.plan.steps else ()
            checks = await checking
        finally:
            checking.cancel()
        plan = replace(sight.plan, remarks=(*sight.plan.remarks, *(checks.remarks if checks is not None else ())))
        if adopts:
            self._controller.offers.make(plan_file.digest_of(plan), peer.uid, self._controller.now())
        asks = lane.hindrances(sight, Consent("a person"))
        return {
            "plan": plan_file.as_json(plan),
            "checks": checks.as_json() if checks is not None else None,
            "hindrances": [each._asdict() for each in asks],
            "ours": sight.observed.ours,
            "drift": [_drift_as_json(each) for each in sight.drifts],
            "dry_run": list(dry_run),
            "mode": lane.terms.mode,
        }

    async def _drift(self, message: Message) -> dict[str, Any]:
        group, lane = self._lane(_text(message, "device"), _text(message, "environment"))
        async with group.asked():
            sight = await lane.look()
        return {
            "device": lane.target.device,
            "environment": lane.target.environment,
            "drift": [_drift_as_json(each) for each in sight.drifts],
            "steps": len(sight.plan.steps),
            "standing": lane.standing().as_json(self._controller.now()),
        }

    async def _review(self, message: Message) -> dict[str, Any]:
        group, lane = self._lane(_text(message, "device"), _text(message, "environment"))
        if not isinstance(lane.target, PanosTarget):
            raise _Asked(f"`{lane.target.device}` is no firewall: there are no rules of others to review")
        async with group.asked():
            found = await lane.target.review(self._controller.now())
        said = {"device": lane.target.device, "environment": lane.target.environment}
        return {**said, "findings": [each._asdict() for each in found]}

    async def _apply(self, message: Message, peer: PeerCredentials) -> dict[str, Any]:
        plan = plan_file.from_json(message.get("plan"))
        offers, now_s = self._controller.offers, self._controller.now()
        if plan.adopts and not offers.take(plan_file.digest_of(plan), peer.uid, now_s):
            raise Rejected(_NO_FILE_ADOPTS)
        ticket = _text(message, "ticket")
        if len(ticket) > TICKET_MOST or not ticket.isprintable():
            raise plan_file.PlanFault(f"a ticket is a word of at most {TICKET_MOST} printable characters")
        if not self._controller.leads:
            raise Rejected(_NOT_LEADING)
        consent = Consent(_named(peer), ticket, message.get("approve_removals") is True)
        if plan.environment == TAGS:
            refuse_elsewhere(plan)
            return await applied(self._controller, self._worker(plan.device), plan, consent)
        group, lane = self._lane(plan.device, plan.environment)
        async with group.held():
            outcome, digest = await lane.apply(plan, consent)
        group.look_soon(plan.environment)
        said = {"done": outcome.done, "changed": outcome.changed, "why": outcome.sentence, "task": outcome.task}
        is_latest = lane.desired is None or lane.desired.version == plan.version
        return {**said, "plan_digest": digest, "by": consent.by, "is_latest": is_latest}

    def _worker(self, device: str) -> TagWorker:
        workers = self._controller.tags
        if device not in workers:
            known = ", ".join(sorted(workers)) or "none"
            raise _Asked(f"there is no firewall called `{device}`; there are: {known}")
        return workers[device]

    def _lane(self, device: str, environment: str) -> tuple[Group, Lane]:
        groups = self._controller.groups
        group = groups.get(device)
        if group is None:
            known = ", ".join(sorted(groups)) or "none: add one under `devices` in the settings"
            raise _Asked(f"there is no device called `{device}`; there are: {known}")
        lane = group.lanes.get(environment)
        if lane is None:
            known = ", ".join(sorted(group.lanes)) or "none"
            raise _Asked(f"`{device}` has no environment `{environment}`; it has: {known}")
        return group, lane


def _drift_as_json(drift: Drift) -> dict[str, Any]:
    return {
        "difference": drift.difference.value,
        "object": drift.object,
        "sentence": drift.sentence,
        "intent": drift.intent,
        "applied": drift.applied,
        "device": drift.device,
    }


def _fault(code: str, why: str) -> Message:
    return {"t": ANSWER, "fault": code, "why": why}


def _text(message: Message, name: str) -> str:
    value = message.get(name, "")
    return value if isinstance(value, str) else ""


def _named(peer: PeerCredentials) -> str:
    try:
        return f"{pwd.getpwuid(peer.uid).pw_name} (uid {peer.uid})"
    except KeyError:
        return f"uid {peer.uid}"
