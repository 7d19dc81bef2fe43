"""`why` and `lint` over the API: what only the process that compiled knows, asked of the engine.

What a rule rests on is told to administrators and to the owners of a service on which it holds, as far as it is about
theirs; whom a rule names hears what it says and no more. Who owns nothing has no findings.
"""

from __future__ import annotations

from typing import Any, Final

from gateway.control.api import models
from gateway.control.api.callers import Caller
from gateway.control.api.engine import Engine
from gateway.control.api.problems import Problem
from gateway.control.api.rights import require
from gateway.control.api.routes import Asked, Route

LINT_S: Final = 30.0


class Rules:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def routes(self) -> tuple[Route, ...]:
        unready = ("policy_unavailable", "engine_away", "busy")
        return (
            Route("why", "What a rule says, and every statement it comes from.", self.why,
                  models.WhyAnswer, models.WhyQuery, (*unready, "not_yours", "rule_unknown")),
            Route("lint", "What is allowed and perhaps not meant; to owners about what is theirs.", self.lint,
                  models.LintAnswer, models.LintQuery, unready),
        )  # fmt: skip

    async def why(self, asked: Asked) -> dict[str, Any]:
        query: models.WhyQuery = asked.query
        answer = await self._engine.ask({"t": "why", "rule": query.rule.strip().lower()})
        origin, owners = answer.get("origin"), answer.get("owners")
        if not isinstance(origin, dict) or not isinstance(owners, dict):
            require(asked.caller.is_administrator)
            raise Problem("rule_unknown")
        return _as_told_to(asked.caller, origin, owners)

    async def lint(self, asked: Asked) -> dict[str, Any]:
        query: models.LintQuery = asked.query
        caller = asked.caller
        teams = [each for each in caller.principal.subjects if caller.owns(each)]
        answer = await self._engine.ask(
            {
                "t": "lint",
                "owners": None if caller.is_administrator else teams,
                "begin": query.begin,
                "most": query.findings,
            },
            within_s=LINT_S,
        )
        end = query.begin + len(answer["findings"])
        return {
            "counts": answer["counts"],
            "findings": answer["findings"],
            "next": end if end < answer["total"] and answer["findings"] else None,
        }


def _as_told_to(caller: Caller, origin: dict[str, Any], owners: dict[str, str]) -> dict[str, Any]:
    if caller.is_administrator:
        return origin
    theirs = [key for key in origin["exposures"] if caller.owns(owners.get(key, ""))]
    require(bool(theirs) or origin["subject"] in caller.principal.subjects)
    if theirs:
        return {**origin, "exposures": theirs}
    return {**origin, "exposures": [], "counted": {}, "statements": []}
