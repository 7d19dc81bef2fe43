"""One declaration sent to one unit, and how it ended: the only place from which anything is written to a tenant.

A declaration goes to its own tenant's address, with the lock key of what was read, and is worked on in the device's
own time. What AS3 answers is judged by its results, whatever the status says: a 200 may hold a failure, a 5xx a
success.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from gateway.engine.network.bigip.device.answers import Answer, is_locked, message_of, parts_of, results_of
from gateway.engine.network.bigip.device.client import Client
from gateway.engine.network.bigip.device.lock_key import MEMBER
from gateway.engine.network.bigip.device.observe import DECLARE
from gateway.engine.network.bigip.device.tasks import declared, task_of
from gateway.engine.network.faults import Busy, Rejected, Unknown

_INFO: Final = "/mgmt/shared/appsvcs/info"
_OTHER_KEY: Final = "hash you submitted does not match"

StillThere = Callable[[], Awaitable[bool]]


class Verdict(Enum):
    DONE = 1
    OUTDATED = 2  # the lock key is another's
    FAILED = 3  # the device says so; the tenant may have changed all the same
    UNKNOWN = 4


@dataclass(slots=True)
class Attempt:
    """``why`` is "" where it is done."""

    verdict: Verdict
    why: str = ""
    task: str = ""


def wrapped(declaration: Mapping[str, Any], name: str, tenant: Mapping[str, Any], lock_key: str) -> dict[str, Any]:
    """A request to deploy one tenant and keep it over a restart. Of ``declaration`` only its marks are sent:
    what a device adds to a stored one is its own."""
    held = {key: declaration[key] for key in ("schemaVersion", "id", "label", "remark") if key in declaration}
    controls = declaration.get("controls")
    agent = controls.get("userAgent") if isinstance(controls, dict) else None
    return {
        "class": "AS3",
        "action": "deploy",
        "persist": True,
        "declaration": {
            "class": "ADC",
            **held,
            "updateMode": "selective",  # `complete` would delete every other tenant
            "controls": {"class": "Controls", "userAgent": agent if isinstance(agent, str) else "stagedoor"},
            name: {**tenant, **({MEMBER: lock_key} if lock_key else {})},
        },
    }


async def deploy(client: Client, name: str, request: Mapping[str, Any], still_there: StillThere) -> Attempt:
    """Sends it and waits for its end. Raises `DeviceFault` only where nothing was done."""
    try:
        answer = await client.write("POST", f"{DECLARE}/{name}?async=true", request)
    except Unknown as fault:
        return Attempt(Verdict.UNKNOWN, str(fault))
    return await _end_of(client, name, answer, still_there)


async def remove(client: Client, name: str, still_there: StillThere) -> Attempt:
    """Takes the whole tenant away. Only for one that was not there before we wrote it."""
    try:
        answer = await client.write("DELETE", f"{DECLARE}/{name}?async=true", None)
    except Unknown as fault:
        return Attempt(Verdict.UNKNOWN, str(fault))
    return await _end_of(client, name, answer, still_there)


async def _end_of(client: Client, name: str, answer: Answer, still_there: StillThere) -> Attempt:
    task = ""
    try:
        task = task_of(answer)
        if task:
            answer = await declared(client, task, still_there)
    except Unknown as fault:
        return Attempt(Verdict.UNKNOWN, str(fault), task)
    except Rejected as fault:  # of the question how the task goes
        return Attempt(Verdict.UNKNOWN, str(fault), task)
    done = any(_code(each.get("code")) == 200 for each in results_of(answer))
    if not done and is_locked(answer._replace(status=503)):
        raise Busy(f"{client.where} works for somebody else: {client.words(answer)}")
    attempt = judged(client, name, answer)
    attempt.task = task
    return attempt


def judged(client: Client, name: str, answer: Answer) -> Attempt:
    """What the results say. A result of another tenant that went wrong counts: nothing else was asked for."""
    if _OTHER_KEY in message_of(answer).lower():
        return Attempt(Verdict.OUTDATED, client.words(answer))
    results = results_of(answer)
    codes = [_code(result.get("code")) for result in results]
    own = [code for result, code in zip(results, codes, strict=True) if result.get("tenant") == name]
    # An answer that a task holds has a code of its own beside the results; so have the parts of a 207.
    worst = max([*codes, *(_code(part.get("code")) for part in parts_of(answer)), answer.status])
    if worst < 400 and answer.status in (200, 207) and own and all(code == 200 for code in codes):
        return Attempt(Verdict.DONE)
    if worst >= 500:
        return Attempt(Verdict.UNKNOWN, client.words(answer))
    if worst >= 400:
        return Attempt(Verdict.FAILED, client.words(answer))
    return Attempt(Verdict.UNKNOWN, f"{client.where} says nothing about tenant `{name}`: {client.words(answer)}")


def _code(said: object) -> int:
    return said if isinstance(said, int) and not isinstance(said, bool) else 0


async def dry_run(client: Client, name: str, request: Mapping[str, Any], still_there: StillThere) -> Answer:
    """What AS3 would do, by its own comparison with the device. It takes AS3's lock and marks an HA group as changed.
    Raises `DeviceFault`."""
    declaration = request["declaration"]
    path = f"{DECLARE}/{name}?controls.dryRun=true&controls.traceResponse=true"
    answer = await client.write("POST", path, declaration)
    if task := task_of(answer):
        answer = await declared(client, task, still_there)
    if is_locked(answer._replace(status=503)):
        raise Busy(f"{client.where} works for somebody else: {client.words(answer)}")
    if judged(client, name, answer).verdict is Verdict.DONE:
        return answer
    raise Rejected(f"{client.where} would refuse the declaration: {client.words(answer)}")


async def check_version(client: Client, wanted: object) -> None:
    """Raises `Rejected` where the unit's AS3 is older than what a declaration is written for."""
    said = await client.read(_INFO)
    version = said.get("version") if isinstance(said, dict) else None
    if _numbers(version) < _numbers(wanted):
        there = client.shown(str(version or "")) or "of no version"
        raise Rejected(f"{client.where} has AS3 {there}, and {wanted} is needed: install it there")


def _numbers(version: object) -> tuple[int, ...]:
    words = str(version).split(".")
    return tuple(int(word) for word in words[:3]) if all(w.isascii() and w.isdecimal() for w in words) else ()
