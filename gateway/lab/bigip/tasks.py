"""Things that take a while: tasks of iControl REST (save, config-sync), and AS3's asynchronous declarations.

The first begin when they are told to; the second have begun. AS3 keeps the newest 25 and, after a restart, says of
what was under way "task cancelled" with the code of something that still runs.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, Final

from gateway.lab.bigip.presenting import HOST
from gateway.lab.bigip.refusals import Json, Refusal, refused

MOST: Final = 25
Answer = tuple[int, Json]


@dataclass
class Task:
    number: int
    kind: str
    body: Json
    state: str = "STARTED"

    def shown(self) -> Json:
        return {
            "_taskId": self.number,
            "_taskState": self.state,
            **self.body,
            "kind": f"tm:{self.kind.replace('/', ':')}:{self.kind.rpartition('/')[2]}taskstate",
            "selfLink": f"{HOST}/mgmt/tm/task/{self.kind}/{self.number}?ver=17.1.1",
        }


class Tasks:
    """``runs``: what a kind does with its body when it is told to begin."""

    def __init__(self, runs: Mapping[str, Callable[[Json], None]]) -> None:
        self._runs = runs
        self._known: dict[int, Task] = {}

    def create(self, kind: str, body: Json) -> Json:
        if kind not in self._runs:
            raise refused(404, f"Public URI path not registered: /tm/task/{kind}")
        task = Task(len(self._known) + 1, kind, body)
        self._known[task.number] = task
        return task.shown()

    def one(self, number: str) -> Task:
        found = self._known.get(int(number)) if number.isdigit() else None
        if found is None:
            raise refused(404, "Task not found", 1)
        return found

    def begin(self, number: str, body: Any) -> Json:
        """It is over when this returns; whoever polls sees how it ended."""
        task = self.one(number)
        if not isinstance(body, dict) or body.get("_taskState") != "VALIDATING":
            raise refused(400, "_taskState must be VALIDATING", 1)
        try:
            self._runs[task.kind](task.body)
            task.state = "COMPLETED"
        except Refusal as refusal:
            task.state = "FAILED"
            task.body = {**task.body, "_taskError": str(refusal)}
        return {**task.shown(), "_taskState": "VALIDATING"}


class Records:
    """AS3's asynchronous requests, by id. They run on the loop and are held here."""

    def __init__(self) -> None:
        self._running: dict[str, asyncio.Task[Answer]] = {}
        self._cancelled: set[str] = set()

    def begin(self, work: Coroutine[Any, Any, Answer]) -> tuple[str, asyncio.Task[Answer]]:
        number = str(uuid.uuid4())
        task = asyncio.get_running_loop().create_task(work)
        self._running[number] = task
        for old in list(self._running)[:-MOST]:
            if self._running[old].done():
                del self._running[old]
        return number, task

    def drop(self, number: str) -> None:
        """One whose caller had the result itself."""
        self._running.pop(number, None)

    def submitted(self, number: str, declaration_id: str) -> Json:
        result = _pending("Declaration successfully submitted")
        return _shown(number, [{**result, "declarationId": declaration_id}], {})

    def one(self, number: str) -> Json:
        task = self._running.get(number)
        if task is None:
            raise Refusal(404, {"message": f"No record found with ID of {number}"})
        if number in self._cancelled or (task.done() and task.cancelled()):
            return _shown(number, [_pending("task cancelled")], {})
        if not task.done():
            return _shown(number, [_pending("in progress")], {})
        return _ended(number, task)

    def all(self) -> Json:
        return {"items": [self.one(number) for number in self._running]}

    def cancel(self) -> None:
        """A restart: nothing goes on, and what was under way says so."""
        for number, task in self._running.items():
            if not task.done():
                task.cancel()
                self._cancelled.add(number)

    async def close(self) -> None:
        self.cancel()
        await asyncio.gather(*self._running.values(), return_exceptions=True)


def _pending(message: str) -> Json:
    return {"message": message, "tenant": "", "host": "", "runTime": 0, "code": 0}


def _shown(number: str, results: list[Json], declaration: Json, **more: Any) -> Json:
    link = f"{HOST}/mgmt/shared/appsvcs/task/{number}"
    return {"id": number, "results": results, "declaration": declaration, **more, "selfLink": link}


def _ended(number: str, task: asyncio.Task[Answer]) -> Json:
    """The real results. What refused the declaration as a whole is one result, in the task and not as a status."""
    error = task.exception()
    if isinstance(error, Refusal):
        return _shown(number, [error.body if isinstance(error.body, dict) else {"message": error.body}], {})
    if error is not None:
        raise error
    _, body = task.result()
    if "results" not in body:
        return _shown(number, [body], {})
    more = {name: body[name] for name in ("traces", "dryRun") if name in body}
    return _shown(number, body["results"], body["declaration"], **more)
