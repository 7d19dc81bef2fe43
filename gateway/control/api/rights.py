"""Who may ask about what, beyond what the table says: one place, so that every operation refuses alike.

About oneself everyone who is signed in; about a service those whose team owns it, and administrators; about another
person administrators alone. A refusal is `not_yours`, also for what does not exist, so it tells nothing.

Where somebody wrote something down (files, lines, catalog entries of others) is told to owners and administrators.
"""

from __future__ import annotations

from typing import Any

from gateway.control.api.callers import Caller
from gateway.control.api.engine import Engine
from gateway.control.api.problems import Problem
from gateway.questions.explain import Answer
from policy.builtin import BUILTIN_SERVICE
from policy.facts import Source
from policy.reasons import NO_RULE, TEXTS
from policy.table import Match

NOWHERE = {"file": "", "line": 0, "entity": ""}


async def owns_service(caller: Caller, service: str, engine: Engine) -> bool:
    """Whether they may ask about the service. Raises `Problem` where the engine, which knows owners, is away."""
    if caller.is_administrator:
        return True
    if service == BUILTIN_SERVICE.ref:  # nobody's, though an entry of the catalog calls itself so
        return False
    return caller.owns((await engine.owners([service]))[service])


async def owns_match(caller: Caller, match: Match | Answer, engine: Engine) -> bool:
    """The same of what a request is about; what is no service is nobody's but the administrators'."""
    if isinstance(match, Answer):
        return caller.is_administrator
    return await owns_service(caller, match.exposure.service, engine)


def require(may: bool) -> None:
    if not may:
        raise Problem("not_yours")


def for_stranger(answer: Answer) -> Answer:
    """What a door would let them see themselves: of a service on which they have no right, nothing but that."""
    bare = answer._replace(source=Source(""))
    if answer.reason == NO_RULE and not answer.operation:
        return bare._replace(exposure="", sentence=TEXTS[NO_RULE].sentence)
    return bare


def without_sources(answer: dict[str, Any]) -> dict[str, Any]:
    """The same value with every `source` empty."""

    def stripped(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: NOWHERE if key == "source" else stripped(each) for key, each in value.items()}
        return [stripped(each) for each in value] if isinstance(value, list) else value

    found: dict[str, Any] = stripped(answer)
    return found
