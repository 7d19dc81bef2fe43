"""`GET /.stagedoor/api/v1/path` and `/inventory/REF`: a person's way to a service, hop by hop, and all that was made of
one service.

The table decides the door's hop and the engine tells the others; while it is away the door's is told alone. Everybody
asks about themselves, administrators about anybody. Of a service that is not theirs people see what is about them:
where they have no right nothing of the network, else which hop stops them, and no device, rule or address of others.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from gateway.control.api.callers import Caller
from gateway.control.api.engine import Engine
from gateway.control.api.problems import Problem
from gateway.control.api.rights import for_stranger, owns_match, owns_service, require
from gateway.control.api.routes import Asked, Route
from gateway.control.api.way_models import InventoryAnswer, InventoryQuery, PathAnswer, PathQuery
from gateway.questions.explain import Answer, Asking, decided, matched, principal_for
from gateway.questions.explain import Caller as Somebody
from gateway.questions.hops import Hop, State, Way, door_hop, way_of
from gateway.questions.pasted_url import Address, address_of
from policy.facts import Principal
from policy.reasons import DENIED
from policy.table import Table

HOPS_S = 8.0  # a name server is waited for
_TODO: Final = "Tell the platform team."
_TODO_OF_OWNER: Final = "Tell the owner of the service."
_PLAINLY: Final[Mapping[str, Mapping[State, str]]] = {
    "name": {
        "open": "DNS leads this name to where the door is met.",
        "stops": "DNS does not lead this name to where the door is met.",
        "unknown": "Nobody can tell now whether DNS leads this name to where the door is met.",
    },
    "virtual-server": {
        "open": "The load balancer hands requests on to the door.",
        "stops": "The load balancer does not have this host yet.",
        "unknown": "Nobody can tell now whether the load balancer has this host.",
    },
    "firewall": {
        "open": "The firewall lets requests come to the door.",
        "stops": "The firewall does not let requests come to the door.",
        "unknown": "Nobody can tell now whether the firewall lets requests come to the door.",
    },
    "upstream": {
        "open": "The door comes to the service.",
        "stops": "The door cannot come to the service.",
        "unknown": "Nobody can tell now whether the door comes to the service.",
    },
}  # what a visitor is told of hops
Followed = Callable[[], list[dict[str, Any]]]


class Ways:
    """``doors``: what each door of this node has, `slot` and `base`."""

    def __init__(self, engine: Engine, doors: Followed = list) -> None:
        self._engine = engine
        self._doors = doors

    def routes(self) -> tuple[Route, ...]:
        away = ("policy_unavailable", "not_yours", "engine_away")
        way = "Whether a person comes to a service, hop by hop: name, virtual server, firewalls, door, upstream."
        made = "Everything that was made of one service, and who lags. For its owners, and administrators."
        return (
            Route("path", way, self._path, PathAnswer, PathQuery, away),
            Route("inventory", made, self._inventory, InventoryAnswer, InventoryQuery, away),
        )

    async def path(
        self, caller: Caller, method: str, url: str, user: str | None = None, mfa: bool = False
    ) -> tuple[dict[str, Any], str]:
        """As `PathAnswer` has it, and the service that the caller may see all of, "" where there is none. Raises
        `Problem`, and `ValueError` for what is no URL."""
        table, address = self._engine.table, address_of(url)
        if not table.ready:
            raise Problem("policy_unavailable")
        asking = _asking(caller, table, user, mfa)
        require(asking.principal.ref == caller.ref or caller.is_administrator)
        answer, key, owns = await self._door(caller, asking, method, address, table)
        way = Way((), door_hop(answer, address.host), ())
        may_come = bool(key and answer.exposure) and answer.reason != DENIED
        if owns or may_come:  # else nothing is asked of name servers either, whatever somebody typed
            service, _, environment = key.rpartition("@")
            question = {
                "t": "path_hops", "person": asking.principal.ref, "host": address.host, "service": service,
                "environment": environment,
            }  # fmt: skip
            way = way_of(await self._hops(question) if owns is not None else None, way.door)
        service = key.rpartition("@")[0] if owns else ""
        return (way if owns else for_visitor(way)).as_json(asking.who, method, url), service

    async def inventory(self, caller: Caller, ref: str) -> dict[str, Any] | None:
        """As `InventoryAnswer` has it; None where nothing of it is published. Raises `Problem`."""
        require(await owns_service(caller, ref, self._engine))
        answer = await self._engine.ask({"t": "inventory", "service": ref})
        if answer.get("service") is None:
            return None
        base = str(answer["base"])
        doors = [{**each, "lags": each["base"] != base} for each in self._doors()]
        return {name: answer[name] for name in ("service", "base", "environments")} | {"doors": doors}

    async def people(self, caller: Caller, ref: str, environment: str, rule: str, after: str) -> dict[str, Any] | None:
        """Whom a rule of a service means, a page of them; None where the service has no such rule. Raises `Problem`."""
        require(await owns_service(caller, ref, self._engine))
        question = {"t": "inventory_people", "service": ref, "environment": environment, "rule": rule, "after": after}
        answer = await self._engine.ask(question)
        return dict(answer) if answer.get("rule") is not None else None

    # === inside ===

    async def _path(self, asked: Asked) -> dict[str, Any]:
        query: PathQuery = asked.query
        found, _ = await self.path(asked.caller, query.method, query.url, query.user, query.mfa)
        return found

    async def _door(
        self, caller: Caller, asking: Asking, method: str, address: Address, table: Table
    ) -> tuple[Answer, str, bool | None]:
        """The door's decision, the exposure that it is about, and whether the caller may see all of it: None while the
        engine, which knows owners, is away."""
        match = matched(table, method, address, asking.who)
        if isinstance(match, Answer):
            return match._replace(caller=asking.who), "", caller.is_administrator
        answer = decided(table, self._engine.why, asking, method, match)
        owns: bool | None = None
        try:
            owns = await owns_match(caller, match, self._engine)
        except Problem as problem:
            if problem.code != "engine_away":
                raise
        return (answer if owns else for_stranger(answer)), match.exposure.key, owns

    async def _hops(self, question: dict[str, Any]) -> dict[str, Any] | None:
        try:
            return await self._engine.ask(question, within_s=HOPS_S)
        except Problem as problem:
            if problem.code != "engine_away":
                raise
            return None

    async def _inventory(self, asked: Asked) -> dict[str, Any]:
        query: InventoryQuery = asked.query
        found = await self.inventory(asked.caller, f"{query.scope}/{query.name}".lower())
        if found is None:
            raise Problem("not_yours")
        return found


def for_visitor(way: Way) -> Way:
    """Without devices, rules, addresses and ports, which are others' business: what is about the person stays. All that
    lies behind the door is one hop."""
    upstreams = way.upstreams
    if upstreams:
        upstreams = (Hop("upstream", "", Way((), upstreams[0], upstreams[1:]).state, ""),)
    return Way(tuple(map(_plainly, way.clients)), _plainly(way.door), tuple(map(_plainly, upstreams)))


def _plainly(hop: Hop) -> Hop:
    plain = _PLAINLY.get(hop.kind)
    if plain is not None and not hop.own:
        todo = _TODO_OF_OWNER if hop.kind == "upstream" else _TODO
        at = hop.at if hop.kind == "name" else ""
        return Hop(hop.kind, at, hop.state, plain[hop.state], "" if hop.state == "open" else todo)
    return hop._replace(todo=_TODO) if "`stagedoor" in hop.todo else hop


def _asking(caller: Caller, table: Table, user: str | None, mfa: bool) -> Asking:
    """About oneself as the door found them; about others as they would be after a sign-in a moment ago."""
    if user is not None and _ref_of(user) != caller.ref:
        principal = principal_for(Somebody("user", user, mfa=mfa), table)
        return Asking(principal, principal.ref or user)
    me = caller.principal
    principal = Principal(
        me.kind, me.ref, me.subjects, actors=me.actors, amr=me.amr | ({"mfa"} if mfa else set()),
        auth_time=int(time.time()), client_id=me.client_id, issuer=me.issuer,
    )  # fmt: skip
    return Asking(principal, me.ref)


def _ref_of(user: str) -> str:
    return user.lower() if ":" in user else f"user:default/{user.lower()}"
