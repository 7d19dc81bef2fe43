"""Transactions of iControl REST: calls are queued under an id, and committed together or not at all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from gateway.lab.bigip.objects import whole
from gateway.lab.bigip.presenting import HOST
from gateway.lab.bigip.refusals import Json, Refusal, refused
from gateway.lab.bigip.tree import Tree

HEADER: Final = "X-F5-REST-Coordination-Id"
TIMEOUT_S: Final = 120
Run = Callable[[str, str, Any], Json]  # method, path and query, body


@dataclass
class Transaction:
    number: int
    began: float
    state: str = "STARTED"
    why: str = ""
    commands: list[Json] = field(default_factory=list)

    def shown(self) -> Json:
        return {
            "transId": self.number,
            "state": self.state,
            "timeoutSeconds": TIMEOUT_S,
            "asyncExecution": False,
            "validateOnly": False,
            "executionTimeout": 300,
            "executionTime": 0,
            "failureReason": self.why,
            "kind": "tm:transactionstate",
            "selfLink": f"{HOST}/mgmt/tm/transaction/{self.number}?ver=17.1.1",
        }


class Transactions:
    def __init__(self, tree: Tree, clock: Callable[[], float]) -> None:
        self._tree = tree
        self._clock = clock
        self._open: dict[int, Transaction] = {}
        self._last = 0

    def begin(self) -> Json:
        self._last = max(self._last + 1, int(self._clock() * 1_000_000))
        opened = self._open[self._last] = Transaction(self._last, self._clock())
        return opened.shown()

    def one(self, number: str) -> Transaction:
        """Raises `Refusal` 404 for one that never was, or was dropped."""
        now = self._clock()
        self._open = {key: one for key, one in self._open.items() if now - one.began < TIMEOUT_S}
        found = self._open.get(int(number)) if number.isdigit() else None
        if found is None:
            raise refused(404, f"Transaction {number} does not exist", 1)
        return found

    def queue(self, number: str, method: str, path: str, body: Any) -> Json:
        transaction = self.one(number)
        place = len(transaction.commands) + 1
        command = {
            "method": method,
            "uri": f"{HOST}{path}",
            "body": body or {},
            "evalOrder": place,
            "commandId": place,
            "kind": "tm:transaction:commandsstate",
            "selfLink": f"{HOST}/mgmt/tm/transaction/{number}/commands/{place}?ver=17.1.1",
        }
        transaction.commands.append({**command, "path": path})
        return command

    def commit(self, number: str, body: Any, run: Run) -> Json:
        """Raises the `Refusal` of the first command that fails, after all were undone."""
        transaction = self.one(number)
        if not isinstance(body, dict) or body.get("state") != "VALIDATING":
            raise refused(400, "state must be VALIDATING", 1)
        try:
            with whole(self._tree):
                for command in transaction.commands:
                    run(command["method"], command["path"], command["body"])
        except Refusal as refusal:
            said = refusal.body["message"] if isinstance(refusal.body, dict) else refusal.body
            transaction.state, transaction.why = "FAILED", said
            raise refused(refusal.status, f"transaction failed:{said}", 2) from None
        transaction.state = "COMPLETED"
        del self._open[transaction.number]
        return transaction.shown()

    def drop(self, number: str) -> None:
        del self._open[self.one(number).number]
