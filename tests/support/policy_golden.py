"""Golden files of the policy: an access policy and a few facts, ``----------``, the compiled rules as sentences.

The first YAML document is the access policy as the platform team writes it; the second one holds facts in short
form::

    teams: {payments: [finance]}                  # team: parents
    people: {jane: [payments]}                    # person: teams
    services:
      payments:
        owner: payments                           # further keys are fields of policy.facts.Service
        in: [dev, prod]                           # published at NAME.ENV.example.com
        operations: [GET /a @payments-api needs read write | admin, GET /b public]
        host: same.example.com                    # prefix: /a; common: true where teams may share the host
    incumbents: {same.example.com/: payments}     # place: service, in prod

Below the line stand the exposures with their operations and rules in canonical order, then every fault with
file and line.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from gateway.documents import read_text
from policy.access import read_policy
from policy.claims import Claim, Incumbent
from policy.derive import derive
from policy.explain import sentence_of
from policy.facts import Catalog, Exposure, Operation, Source
from policy.reading import ref_of
from tests.support.policy_worlds import catalog, person, service, team

FOLDER = Path(__file__).parents[1] / "golden" / "policy"
LINE = "----------\n"
_OPERATION = re.compile(r"(\S+ \S+)(?: @(\S+))?(?: needs ([^|]+(?:\|[^|]+)*?))?((?: public| unresolved)*)")
_REFS = {"owner": "group", "system": "system", "domain": "domain"}
_REF_LISTS = {"allow_groups": "group", "allow_consumers": "component", "consumes": "api", "provides": "api"}


def compiled(text: str) -> str:
    """What the part above the line becomes."""
    (stated, facts), syntax = read_text(text.encode(), "case.yaml")
    assert not syntax, syntax
    policy, faults = read_policy(stated.value, stated.locate)
    if not faults:
        short = facts.value or {}
        derived = derive(facts_of(short), policy, ("dev", "staging", "prod"), incumbents=_incumbents(short))
        faults = list(derived.faults)
        lines = [line for published in derived.published for line in _published(published)]
    else:
        lines = ["refused"]
    return "".join(f"{line}\n" for line in [*lines, *(f"{fault.severity} {fault}" for fault in faults)])


def _published(published: Any) -> list[str]:
    operations = [f"  {operation.name}{_needs(operation)}" for operation in published.operations]
    rules = [f"  {rule.id} {rule.reason}: {sentence_of(rule)}" for rule in published.rules]
    return [published.key, *operations, *rules]


def _needs(operation: Operation) -> str:
    if operation.unresolved:
        return " is unresolved"
    return " needs " + " | ".join(" ".join(sorted(each)) for each in operation.scopes) if operation.scopes else ""


def facts_of(short: dict[str, Any]) -> Catalog:
    entities = [team(name, *parents) for name, parents in short.get("teams", {}).items()]
    people = [person(name, *teams) for name, teams in short.get("people", {}).items()]
    services = [_service(name, dict(fields or {})) for name, fields in short.get("services", {}).items()]
    return catalog(*entities, *people, *services)


def _incumbents(short: dict[str, Any]) -> dict[Claim, Incumbent]:
    named = short.get("incumbents", {}).items()
    return {(place.partition("/")[0], f"/{place.partition('/')[2]}"): Incumbent(f"component:default/{name}@prod")
            for place, name in named}  # fmt: skip


def _service(name: str, fields: dict[str, Any]) -> Any:
    operations = tuple(operation_of(text) for text in fields.pop("operations", ()))
    exposures = tuple(
        Exposure(
            environment,
            fields.get("host", f"{name}.{environment}.example.com"),
            fields.get("prefix", "/"),
            ("http://10.0.0.1",),
            Source(f"{name}.yaml", 5, f"component:default/{name}"),
            bool(fields.get("common")),
        )
        for environment in fields.pop("in", ["prod"])
    )
    for key in ("host", "prefix", "common"):
        fields.pop(key, None)
    for key, kind in _REFS.items():
        if fields.get(key):
            fields[key] = ref_of(fields[key], kind)
    for key, kind in _REF_LISTS.items():
        if key in fields:
            fields[key] = tuple(ref_of(each, kind) for each in fields[key])
    return service(name, *operations, exposures=exposures, **fields)


def operation_of(text: str) -> Operation:
    parts = _OPERATION.fullmatch(text)
    assert parts, f"no operation: {text}"
    method, template = parts[1].split()
    scopes = tuple(frozenset(each.split()) for each in parts[3].split("|")) if parts[3] else ()
    words = parts[4].split()
    api = ref_of(parts[2], "api") if parts[2] else ""
    return Operation(method, template, scopes, api, "unresolved" in words, "public" in words, Source("api.yaml", 7))


def rewrite() -> None:
    """Writes what comes out now into every golden file. The difference is then read like code."""
    for path in sorted(FOLDER.glob("*.case")):
        given = path.read_text().partition(LINE)[0]
        path.write_text(given + LINE + compiled(given))


if __name__ == "__main__":
    rewrite()
