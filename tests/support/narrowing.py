"""A small company in which every word that narrows does so: take one away in silence, and somebody may do more.

A `Company` says who may do what once the access policy or the catalog is another one: what is broken keeps the form
that it had, as in a running engine. What is written here is copied before it is changed.
"""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from gateway import config
from gateway.engine.acceptance import Acceptance
from gateway.engine.compilation import Compiled, Compiler, no_past
from gateway.engine.sources.files import FileSource
from gateway.engine.sources.pulls import Pull
from gateway.questions.explain import Caller, principal_for
from policy.access import AccessPolicy, read_policy
from policy.facts import Circumstances, Permit, Source
from policy.reading import Fault
from policy.table import Match, Table
from policy.table_builder import TableBuilder
from tests.support.catalogs import PREFIX, api, entity

ENVIRONMENTS = ("staging", "prod")
POLICY: dict[str, Any] = {
    "version": 1,
    "environments": {
        "staging": {
            "owners": ["all"], "consumers": ["all"], "everyone": ["read"], "groups": ["all"], "consent": "any",
            "public": "declared", "temporary": {"longest": "8h", "approvers": ["owners"], "reason": "required"},
        },
        "prod": {
            "owners": ["read"], "consumers": ["declared"], "everyone": ["read"], "groups": ["read"],
            "consent": "named", "public": "never", "people": {"require": ["mfa"]},
            "workloads": {"require": ["certificate", {"issuer": ["main"]}, {"network": ["10.0.0.0/8"]}]},
        },
    },
    "roles": {"support": {"groups": ["support"], "scopes": ["refunds:read"]}},
    "scopes": {"wide": {"domain": ["money"], "methods": ["GET"]}},
    "defaults": [{"for": {"type": ["website"]}, "access": "everyone", "in": ["staging"]}],
    "rules": [
        {
            "allow": ["group:support"], "to": {"system": ["pay"], "tag": ["pci"]}, "in": ["prod"], "methods": ["GET"],
            "scopes": ["refunds:read"], "require": {"people": [{"fresh": "12h"}], "workloads": ["certificate"]},
            "because": "Support.",
        },
        {
            "allow": ["all-people"], "to": {"service": ["shop"]}, "in": ["prod"], "operations": ["GET /open"],
            "require": ["mfa"], "because": "Open.",
        },
        {
            "allow": ["anyone"], "to": {"api": ["pay-api"]}, "in": ["staging"], "operations": ["POST /v1/hooks"],
            "because": "Hooks.",
        },
        {"deny": ["group:contractors"], "to": {"domain": ["money"]}, "because": "No contractors."},
        {
            "deny": ["all-workloads"], "to": {"tag": ["pci"]}, "in": ["prod"], "methods": ["DELETE", "POST"],
            "because": "Programs read.",
        },
        {"deny": ["component:orders"], "to": {"service": ["shop", "pay"]}, "because": "Orders keep away."},
        {
            "deny": ["user:sam"], "to": {"type": ["service"]}, "operations": ["POST /v1/payments"],
            "except": ["grants"], "because": "Sam.",
        },
    ],
    "never": [{
        "who": ["contractors"], "do": ["any"], "of": {"system": ["pay"]}, "in": ["prod"], "because": "No.",
        "name": "contractors",
    }],
    "only": [{"who": ["payments"], "do": ["DELETE"], "of": ["pay"], "in": ["prod"], "because": "Theirs."}],
}  # fmt: skip
DEFINITION: dict[str, Any] = {
    "openapi": "3.0.3",
    "info": {"title": "Payments", "version": "1"},
    "servers": [{"url": "/v1"}],
    "security": [{"login": ["payments:use"]}],
    "paths": {
        "/payments": {"get": {}, "post": {"security": [{"login": ["payments:write"]}]}},
        "/payments/{id}": {"get": {"security": []}, "delete": {"security": [{"login": ["payments:use"]}]}},
        "/payments/refunds": {"get": {"security": [{"login": ["refunds:read"], "audit": ["trail"]}]}},
        "/hooks": {"post": {}},
    },
    "components": {
        "securitySchemes": {
            "login": {"type": "oauth2", "flows": {}},
            "audit": {"type": "openIdConnect", "openIdConnectUrl": "https://login.example.com"},
        }
    },
}

Entities = dict[str, dict[str, Any]]


def _exposed(name: str, **annotations: str) -> dict[str, str]:
    said = {key.replace("_", "-"): text for key, text in annotations.items()}
    where = {"environments": "staging, prod", "host": f"{name}.{{env}}.example.com", "upstream": "http://10.0.0.1"}
    return where | said


def entities() -> Entities:
    """The catalog by a name of ours; the caller's to change."""
    pay = entity(
        "Component", "pay",
        annotations=_exposed(
            "pay", path="/pay", access="consumers", allow_groups="support", client_id="pay", approvers="support",
            allow_consumers="orders, orders-staging, caller", max_duration="PT4H", virtual_address="10.0.0.9",
            addresses="10.0.0.0/28", paths="GET /healthz", public="GET /v1/payments/{id}",
            cors="https://shop.example.com", options="encoded-slashes",
        ),
        type="service", owner="payments", system="pay", providesApis=["pay-api"],
    )  # fmt: skip
    pay["metadata"]["tags"] = ["pci"]
    shop = entity(
        "Component", "shop", annotations=_exposed("shop", access="owners"), type="website", owner="support",
        system="pay",
    )  # fmt: skip
    orders = entity(
        "Component", "orders-staging",
        annotations={
            "environments": "staging", "environment": "staging", "instance-of": "orders", "client-id": "orders",
            "host": "orders.example.com", "upstream": "http://10.0.0.1", "access": "everyone",
        },
        type="service", owner="payments", consumesApis=["pay-api"],
    )  # fmt: skip
    caller = entity(
        "Component", "caller", annotations={"client-id": "caller"}, type="service", owner="support",
        consumesApis=["pay-api"],
    )  # fmt: skip
    people = {"jane": ["payments"], "sam": ["support"], "con": ["payments", "contractors"]}
    return {
        "pay": pay, "shop": shop, "orders": orders, "caller": caller,
        "base": entity("Component", "orders", type="service", owner="payments"),
        "api": api("pay-api", DEFINITION),
        "system": entity("System", "pay", owner="payments", domain="money"),
        "domain": entity("Domain", "money", owner="payments", subdomainOf="all-of-it"),
        **{name: entity("Group", name, type="team", children=[]) for name in ("payments", "support", "contractors")},
        **{name: entity("User", name, profile={}, memberOf=teams) for name, teams in people.items()},
    }  # fmt: skip


class Outcome(NamedTuple):
    """``permitted``: who, showing what, may send what. ``offered``: what a service says beside that."""

    faults: frozenset[str]
    permitted: frozenset[str]
    offered: frozenset[str]

    def more_than(self, before: Outcome) -> set[str]:
        """What nobody could do before; who is not known any more is one of those who are not signed in."""
        public = {each.partition(" ")[2] for each in before.permitted if each.startswith("nobody ")}
        added = {each for each in self.permitted - before.permitted if each.split(" ", 1)[1] not in public}
        return {*added, *(self.offered - before.offered)}


class Company:
    """As it is before anything is changed: accepted and published."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        policy, faults = policy_of(POLICY)
        assert faults == []
        self._policy = policy
        self._pull = self._read(entities())
        self._accepted = Acceptance().judge(self._pull, {}).entities
        compiled = Compiler(_SETTINGS).compile(self._accepted, self._policy, no_past())
        self._past = compiled.past
        self.before = _outcome(compiled, ())

    def with_policy(self, policy: AccessPolicy) -> Outcome:
        compiled = Compiler(_SETTINGS).compile(self._accepted, policy, self._past)
        return _outcome(compiled, ())

    def with_entities(self, changed: Entities) -> Outcome:
        """Two readings agree on them."""
        pull, acceptance, accepted = self._read(changed), Acceptance(), self._accepted
        for _ in range(2):
            judgement = acceptance.judge(pull, accepted)
            accepted = judgement.entities
        kept = judgement.kept | acceptance.all_held
        unsaid = frozenset(ref for ref in kept if ref.startswith("component:"))
        compiled = Compiler(_SETTINGS).compile(accepted, self._policy, self._past, unsaid)
        return _outcome(compiled, (*pull.faults, *judgement.faults))

    def _read(self, documents: Mapping[str, dict[str, Any]]) -> Pull:
        for name, document in documents.items():
            (self._folder / f"{name}.yaml").write_text(json.dumps(document))
        return FileSource((str(self._folder),), PREFIX).pull()


def _outcome(compiled: Compiled, faults: Iterable[Fault]) -> Outcome:
    builder = TableBuilder(Table.allow_none())
    for name, frame in compiled.frames.items():
        if not name.startswith("why/"):
            builder.put(name, frame)
    services = compiled.catalog.services.values()
    offered = {f"{service.ref} {each}" for service in services for each in (*service.cors, *service.options)}
    said = {each.message for each in (*faults, *compiled.faults)}
    return Outcome(frozenset(said), frozenset(_permitted(builder.finish())), frozenset(offered))


def policy_of(document: object) -> tuple[AccessPolicy, list[Fault]]:
    """What a document says and the errors in it, without places."""
    policy, faults = read_policy(document, lambda path: Source("access.yaml"))
    return policy, [each for each in faults if each.severity == "error"]


def places(node: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of every node."""
    inner = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    return [path, *(each for key, value in inner for each in places(value, (*path, key)))]


def replaced(document: Any, path: tuple[Any, ...], value: object) -> Any:
    """A copy with another value there."""
    found = copy.deepcopy(document)
    holder = found
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = copy.deepcopy(value)
    return found


_CALLS = {"shown": Circumstances("10.1.1.1", certified=True), "unshown": Circumstances("192.0.2.1")}
_PATHS = (
    "/", "/open", "/healthz", "/pay", "/pay/healthz", "/pay/v1/payments", "/pay/v1/payments/7",
    "/pay/v1/payments/refunds", "/pay/v1/hooks", "/pay/else", "/v1/payments",
)  # fmt: skip
_HOSTS = (*(f"{name}.{env}.example.com" for name in ("pay", "shop") for env in ENVIRONMENTS), "orders.example.com")
_METHODS = ("GET", "POST", "DELETE")
_SETTINGS = config.Settings(
    listeners=(),
    issuers=(),
    environments={name: config.Environment(name, (".example.com",), ("10.0.0.0/8",)) for name in ENVIRONMENTS},
    catalog=config.Catalog(prefix=PREFIX),
    access_policy="access.yaml",
    state_folder="state",
)


def _permitted(table: Table) -> Iterator[str]:
    now = int(time.time())
    matches = {
        f"{host}{path}": match for host in _HOSTS for path in _PATHS
        if isinstance(match := table.match(host, tuple(path.split("/")[1:])), Match)
    }  # fmt: skip
    for what, caller in _callers():
        principal = principal_for(caller, table)
        for place, match in matches.items():
            for method in _METHODS:
                if isinstance(table.decide(match, method, principal, now, caller.call), Permit):
                    yield f"{what} {method} {place}"


def _callers() -> Iterator[tuple[str, Caller]]:
    """By one word each."""
    scopes = frozenset({"payments:use", "payments:write"})
    for name in ("jane", "sam", "con"):
        yield f"{name}+mfa", Caller("user", name, mfa=True)
        yield name, Caller("user", name)
        yield f"{name}+scopes", Caller("user", name, scopes, mfa=True)
    for name in ("pay", "orders", "caller"):
        for shown, call in _CALLS.items():
            issuer = "main" if shown == "shown" else ""
            yield f"{name}+{shown}", Caller("client", name, scopes, issuer=issuer, call=call)
    yield "nobody", Caller("anonymous")
