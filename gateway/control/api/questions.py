"""`explain`, `who-can` and `what-can` over the API: asked of the published table, by the code the command line uses.

The table is that of the doors, so an answer is what a door would do now. Long answers are made in a thread, one at a
time and a page at a time: however many ask, control's loop goes on, and who comes when the line is full is told so.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, Literal, TypeVar

from gateway.control.api import models
from gateway.control.api.engine import Engine
from gateway.control.api.problems import Problem
from gateway.control.api.rights import for_stranger, owns_match, owns_service, require, without_sources
from gateway.control.api.routes import Asked, Route
from gateway.questions.explain import Answer, Asking, Caller, decided, matched, principal_for
from gateway.questions.pasted_url import address_of
from gateway.questions.rights import offer_as_json, who_can_as_json
from policy.facts import Circumstances, Principal
from policy.offers import askers_of, names_like, what_can
from policy.probe import Asker
from policy.questions import WhoCan, who_can
from policy.reading import did_you_mean, ref_of
from policy.table import Exposure, Table

T = TypeVar("T")
WAITING: Final = 16  # questions in line for the thread
PAGE_S: Final = 1.5  # what one page of what-can may take; a shorter page is followed by another
NOBODY: Final = WhoCan("", (), None, (), ())


class Questions:
    def __init__(self, engine: Engine, issuers: Callable[[], frozenset[str]]) -> None:
        self._engine = engine
        self._issuers = issuers  # names of those that are configured
        self._thread = ThreadPoolExecutor(1, "questions")
        self._waiting = 0

    def close(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)

    def routes(self) -> tuple[Route, ...]:
        unready = ("policy_unavailable", "not_yours", "engine_away")
        return (
            Route("explain", "Whether a call is allowed, why, and what to do if it is not.", self.explain,
                  models.ExplainAnswer, models.ExplainQuery, unready),
            Route("whoCan", "Everybody who may make a request, by which rule, and what they must show.", self.who_can,
                  models.WhoCanAnswer, models.WhoCanQuery, (*unready, "busy")),
            Route("whatCan", "Every operation that somebody may call, by environment and service.", self.what_can,
                  models.WhatCanAnswer, models.WhatCanQuery, (*unready, "busy", "caller_unknown")),
        )  # fmt: skip

    # === explain ===

    async def explain(self, asked: Asked) -> dict[str, Any]:
        query: models.ExplainQuery = asked.query
        table = self._table()
        said = sum((query.user is not None, query.client is not None, query.anonymous))
        if said > 1:
            detail = "say `user`, `client` or `anonymous`, one of them; none asks about yourself"
            raise Problem("parameters_invalid", detail)
        address = address_of(query.url)
        match = matched(table, query.method, address, "")
        owns = False
        if said and not self._is_self(asked, table):
            require(query.user is None or asked.caller.is_administrator)
            require(owns := await owns_match(asked.caller, match, self._engine))
        if query.issuer and query.issuer not in self._issuers():
            error = {"parameter": "issuer", "message": "no issuer is called so", "todo": "use a configured name"}
            raise Problem("parameters_invalid", errors=[error])
        asking = self._asking(asked, table)
        if isinstance(match, Answer):
            return match._replace(caller=asking.who).as_json()
        answer = decided(table, self._engine.why, asking, query.method, match)
        if not owns:
            owns = await self._owns_if_told(asked, match.exposure.service)
        return (answer if owns else for_stranger(answer)).as_json()

    def _is_self(self, asked: Asked, table: Table) -> bool:
        """Whether the name in the question means whoever asks."""
        query: models.ExplainQuery = asked.query
        if query.user is not None:
            return asked.caller.ref == _ref_of_user(query.user)
        known = table.workload(query.client) if query.client is not None else None
        return known is not None and asked.caller.ref == known.partition("@")[0]

    def _asking(self, asked: Asked, table: Table) -> Asking:
        """About oneself with the subjects that the door found, whatever the token's scopes are good for here."""
        query: models.ExplainQuery = asked.query
        call = Circumstances(query.from_ or "", query.certificate)
        scopes = frozenset(word for scope in query.scope for word in scope.split())
        if not (query.anonymous or query.client or query.user):
            me = asked.caller.principal
            principal = Principal(
                me.kind, me.ref, me.subjects, actors=me.actors, scopes=scopes, bounded=bool(scopes),
                amr=frozenset({"mfa"} if query.mfa else ()), auth_time=int(time.time()), client_id=me.client_id,
                issuer=query.issuer or me.issuer,
            )  # fmt: skip
            return Asking(principal, me.ref, call)
        kind: Literal["user", "client", "anonymous"]
        kind = "anonymous" if query.anonymous else "user" if query.user is not None else "client"
        caller = Caller(kind, query.user or query.client or "", scopes, query.mfa, query.issuer, call)
        principal = principal_for(caller, table)
        return Asking(principal, principal.ref or caller.name or "nobody", call)

    async def _owns_if_told(self, asked: Asked, service: str) -> bool:
        """While the engine is away everybody is a stranger to the service: the answer says less, and stands."""
        try:
            return await owns_service(asked.caller, service, self._engine)
        except Problem:
            return False

    # === who-can ===

    async def who_can(self, asked: Asked) -> dict[str, Any]:
        query: models.WhoCanQuery = asked.query
        table, why = self._table(), self._engine.why
        match = matched(table, query.method, address_of(query.url), "")
        require(await owns_match(asked.caller, match, self._engine))
        reason = match.reason if isinstance(match, Answer) else ""

        def find() -> dict[str, Any]:
            found = NOBODY
            if not isinstance(match, Answer):
                found = who_can(table, match, query.method, int(time.time()))
            told = {"reason": reason, **who_can_as_json(found, why, everyone=query.all)}
            return paged_members(told, query.members, query.after)

        return await self._in_thread(find)

    # === what-can ===

    async def what_can(self, asked: Asked) -> dict[str, Any]:
        query: models.WhatCanQuery = asked.query
        table, why = self._table(), self._engine.why
        askers = await self._askers(asked, table)

        def find() -> dict[str, Any]:
            exposures = _narrowed(table, query.environment, query.service)
            answer: dict[str, Any] = {
                "callers": [{"caller": each.ref, "kind": each.kind, "exposures": []} for each in askers],
                "next": "",
            }
            by_caller = {each["caller"]: each["exposures"] for each in answer["callers"]}
            left, until = query.exposures, time.monotonic() + PAGE_S
            for asker, exposure in _behind(query.after, askers, exposures):
                if not left or time.monotonic() >= until:
                    break
                for offer in what_can(table, asker, [exposure], int(time.time())):
                    by_caller[asker.ref].append(offer_as_json(offer, why))
                    left -= 1
                answer["next"] = _mark(asker, exposure)
            else:
                answer["next"] = ""
            return answer if asked.caller.is_administrator else without_sources(answer)

        return await self._in_thread(find)

    async def _askers(self, asked: Asked, table: Table) -> list[Asker]:
        """Whom the question means. Raises `Problem` where it is not the caller's to ask."""
        query, caller = asked.query, asked.caller
        me = caller.principal
        if query.user is None or _ref_of_user(query.user) == me.ref:
            return [Asker(me.kind, me.ref, me.subjects)]
        ref = _ref_of_user(query.user)
        may = caller.is_administrator or (ref.startswith("group:") and caller.owns(ref))
        if not may and ref.startswith("component:"):
            may = await owns_service(caller, ref, self._engine)
        require(may)
        askers = askers_of(table, query.user)
        if not askers:
            if not caller.is_administrator:
                raise Problem("caller_unknown")
            name = query.user
            raise Problem("caller_unknown", await self._in_thread(lambda: did_you_mean(name, names_like(table, name))))
        return askers

    # === inside ===

    def _table(self) -> Table:
        table = self._engine.table
        if not table.ready:
            raise Problem("policy_unavailable")
        return table

    async def _in_thread(self, work: Callable[[], T]) -> T:
        if self._waiting >= WAITING:
            raise Problem("busy")
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        finally:
            self._waiting -= 1


def _ref_of_user(name: str) -> str:
    return name.lower() if ":" in name else f"user:default/{name.lower()}"


def paged_members(answer: dict[str, Any], most: int, after: str) -> dict[str, Any]:
    """Of each entry the members behind ``after``, at most so many. ``next`` is as far as all entries are told."""
    entries = [*answer["allowed"], *answer["denied"]]
    cut = []
    for entry in entries:
        behind = [each for each in entry["members"] if each["ref"] > after]
        entry["members"] = behind[:most]
        if len(behind) > most:
            cut.append(behind[most - 1]["ref"] if most else after)
    end = min(cut, default="")
    if cut and most:
        for entry in entries:
            entry["members"] = [each for each in entry["members"] if each["ref"] <= end]
    return {**answer, "next": end if most else ""}


def _narrowed(table: Table, environment: str, service: str) -> list[Exposure]:
    wanted = ref_of(service, "component") if service else ""
    return [
        each
        for each in sorted(table.exposures.values(), key=lambda each: (each.environment, each.service))
        if environment in ("", each.environment) and wanted in ("", each.service)
    ]


def _mark(asker: Asker, exposure: Exposure) -> str:
    return f"{asker.ref} {exposure.environment} {exposure.service}"


def _behind(after: str, askers: list[Asker], exposures: list[Exposure]) -> Iterator[tuple[Asker, Exposure]]:
    """Each caller with each exposure, in order, behind the mark."""
    begin = after.split(" ")
    for asker in sorted(askers, key=lambda each: each.ref):
        for exposure in exposures:
            if not after or [asker.ref, exposure.environment, exposure.service] > begin:
                yield asker, exposure
