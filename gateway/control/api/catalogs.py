"""`POST /.stagedoor/api/v1/catalog/sync`: have the engine look at the Backstage catalogs before it would by itself.

For administrators with a token, and for webhooks that sign with the configured secret. It hastens a look and brings
nothing: the body is signed and never read. One look serves all who asked before it, so few calls a second are enough.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from gateway import telemetry
from gateway.control.api import models
from gateway.control.api.engine import Engine
from gateway.control.api.problems import Problem
from gateway.control.api.rights import require
from gateway.control.api.routes import Asked, Payload, Route
from gateway.control.api.signatures import SignedCalls, is_signed
from gateway.secret_files import read_secret, signing_secret_fault

PER_SECOND: Final = 1.0
BURST: Final = 10.0


class Catalogs:
    """``secret_file``: of the settings as they are now; "" = nobody signs. ``monotonic``: seconds."""

    def __init__(
        self, engine: Engine, secret_file: Callable[[], str], now: Callable[[], int], monotonic: Callable[[], float]
    ) -> None:
        self._engine = engine
        self._secret_file = secret_file
        self._signed = SignedCalls(now)
        self._monotonic = monotonic
        self._left, self._counted_s = BURST, monotonic()

    def routes(self) -> tuple[Route, ...]:
        problems = (
            "signature_refused", "signature_used", "not_yours", "catalog_unknown", "rate_limited", "engine_away",
            "busy",
        )  # fmt: skip
        summary = "Look at the Backstage catalogs now. For administrators, and for calls signed with the shared secret."
        return (
            Route("syncCatalogs", summary, self.sync, models.SyncAnswer, models.SyncQuery, problems,
                  body=Payload, signed=True, status=202),
        )  # fmt: skip

    async def sync(self, asked: Asked) -> dict[str, Any]:
        query: models.SyncQuery = asked.query
        if not is_signed(asked.headers):
            require(asked.caller.is_administrator)
            return await self._look(query.catalog)
        call_id = self._check(asked)
        try:
            return await self._look(query.catalog)
        except Problem:
            self._signed.forget(call_id)  # it did not count: who sends it again is heard
            raise

    async def _look(self, catalogs: list[str]) -> dict[str, Any]:
        self._spend()
        found: list[str] = []
        for name in dict.fromkeys(catalogs or [""]):
            answer = await self._engine.ask({"t": "read_catalogs", "name": name})
            names = [str(each) for each in answer.get("catalogs", ())]
            if name and not names:
                raise Problem("catalog_unknown")
            found += names
        return {"catalogs": sorted(set(found))}

    def _check(self, asked: Asked) -> str:
        """The id of a call that is signed as it must be."""
        file = self._secret_file()
        if not file:
            raise Problem("signature_refused", "no secret is configured: `catalog.sync_secret_file`")
        if fault := signing_secret_fault(file):
            telemetry.log("sync_secret_unusable", level="error", why=fault)
            raise Problem("failed")
        try:
            return self._signed.accept(asked.headers, asked.body, read_secret(file))
        except (OSError, ValueError) as fault:  # changed between the two looks, or no base64
            telemetry.log("sync_secret_unusable", level="error", why=str(fault))
            raise Problem("failed") from None

    def _spend(self) -> None:
        """One of a few tokens. Only calls that are good so far take one, so nobody else can use them up."""
        now_s = self._monotonic()
        self._left = min(BURST, self._left + (now_s - self._counted_s) * PER_SECOND)
        self._counted_s = now_s
        if self._left < 1:
            raise Problem("rate_limited")
        self._left -= 1
