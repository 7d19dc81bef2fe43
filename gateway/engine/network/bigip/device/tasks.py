"""Work that a device does in its own time: declarations that were answered with 202, and iControl's own tasks.

Any declaration may be answered with 202, asked for or not. Its task is looked at until it ended, through restarts and
logins, for ten minutes. A task that says `task cancelled` looks for ever as if it ran (AS3 gives it code 0): it ended,
and what became of it is not known.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Any, Final

from gateway.engine.network.bigip.device.answers import Answer, is_missing, results_of
from gateway.engine.network.bigip.device.client import Client
from gateway.engine.network.faults import Busy, DeviceFault, Rejected, Unknown, Unreachable
from gateway.engine.network.transport.patience import Polls

RUNNING: Final = 0  # the code of results that are none yet
NOT_FOUND: Final = 5  # looks in a row: under load a task is not there for a moment, and is there again
_TASK: Final = "/mgmt/shared/appsvcs/task/"
_ID: Final = re.compile(r"[0-9A-Za-z_-]{1,64}")


def task_of(answer: Answer) -> str:
    """The id of the task that a declaration became, "" where it is done already. Raises `Unknown`."""
    if answer.status != 202:
        return ""
    said = answer.members.get("id")
    if not isinstance(said, str) or not _ID.fullmatch(said):
        raise Unknown("the device took a declaration and did not say as which task")
    return said


async def declared(client: Client, task: str, still_there: Callable[[], Awaitable[bool]]) -> Answer:
    """How a task ended, as an answer. ``still_there`` is asked when its unit cannot be: whether waiting makes sense.
    Raises `Unknown` where nobody can tell how it ended."""
    polls = Polls(client.time, client.limits.task)
    while await polls.pause():
        try:
            body = await client.read(_TASK + task, missing=is_missing)
        except (Busy, Unreachable) as fault:
            if not await still_there():
                raise Unknown(f"{fault}, while it carried out task {task}") from None
            continue
        if body is None:
            raise Unknown(f"{client.where} knows task {task} no more")
        answer = Answer(200, body)
        if not _runs(client, task, answer):
            return answer
    raise Unknown(f"{client.where} has not ended task {task} within {client.limits.task:g} s")


def _runs(client: Client, task: str, answer: Answer) -> bool:
    """Raises `Unknown` where it neither runs nor ended."""
    results = results_of(answer)
    messages = {str(result.get("message", "")) for result in results if result.get("code") == RUNNING}
    if any("cancel" in message.lower() for message in messages):
        raise Unknown(f"{client.where} cancelled task {task}")
    return bool(messages) or (not results and answer.members.get("code") in (None, RUNNING, 202))


async def ran(client: Client, path: str, body: Any) -> None:
    """One of iControl's tasks (`/mgmt/tm/task/...`): made, started, looked at until it is over. Raises
    `DeviceFault`."""
    made = await client.write("POST", path, body)
    number = made.members.get("_taskId")
    if made.status >= 400 or isinstance(number, bool) or not isinstance(number, int):
        raise Rejected(f"{client.where} makes no task of `{path}`: {client.words(made)}")
    as_made = made.members.get("_taskState")
    is_started = await _started(client, path, number)
    polls = Polls(client.time, client.limits.task)
    state, absent = "nothing yet", 0
    while absent < NOT_FOUND and await polls.pause():
        try:
            said = await client.read(f"{path}/{number}", missing=is_missing)
        except (Busy, Unreachable):
            continue
        absent = absent + 1 if said is None else 0
        state = str(said.get("_taskState", "")) if isinstance(said, dict) else "not found"
        if state == "COMPLETED":
            return
        if state == as_made and not is_started:
            is_started = await _started(client, path, number)
        if state == "FAILED":
            why = said.get("_taskErrorMessage") or said.get("message") or "without a word"
            raise Rejected(f"task {number} of `{path}` failed on {client.where}: {client.shown(str(why))}")
    raise Unknown(f"how task {number} of `{path}` on {client.where} ended is not known: {client.shown(state)}")


async def _started(client: Client, path: str, number: int) -> bool:
    """False where the task itself has to say whether it was started: a start is no harm when it was. Raises
    `DeviceFault`."""
    try:
        answer = await client.write("PUT", f"{path}/{number}", {"_taskState": "VALIDATING"})
    except Unknown:
        return False
    if answer.status >= 400:
        raise Rejected(f"{client.where} does not start task {number} of `{path}`: {client.words(answer)}")
    return True


async def saved(client: Client) -> str:
    """The running configuration on disk; "" or why not."""
    try:
        await ran(client, "/mgmt/tm/task/sys/config", {"command": "save"})
    except DeviceFault as fault:
        return str(fault)
    return ""
