"""Golden files of tests and invariants: an access policy and facts as in `policy_golden`, ``----------``, what came of
each test and invariant, or the faults of the reading.

A service's `ids` give operations the names that its definition would: ``ids: {createRefund: POST /refunds}``.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from gateway.documents import read_text
from policy.access import read_policy
from policy.compile import compile_frames
from policy.derive import derive
from policy.facts import Catalog, KeyField, Permit
from policy.promises.promised import place_in, report_of
from policy.promises.proofs import NOW
from policy.promises.trials import Trial
from tests.support.policy_golden import LINE, facts_of
from tests.support.policy_worlds import table_of

FOLDER = Path(__file__).parents[1] / "golden" / "promises"
ENVIRONMENTS = ("dev", "prod")


def decided(text: str) -> str:
    """What the part above the line becomes."""
    (stated, *rest), syntax = read_text(text.encode(), "case.yaml")
    assert not syntax, syntax
    facts = dict(rest[0].value) if rest else {}
    policy, faults = read_policy(stated.value, stated.locate)
    if faults:
        return "".join(f"{fault.severity} {fault}\n" for fault in faults)
    catalog = _catalog(facts)
    derived = derive(catalog, policy, ENVIRONMENTS)
    table = table_of(compile_frames(catalog, derived, (KeyField("main", "person", "sub", "metadata.name"),)))
    places = {each.key: place_in(each.service, each.operations) for each in derived.published}
    report = report_of(policy.expectations, policy.invariants, table, places, NOW)
    lines = []
    for trial in report.trials:
        lines += [f"{_status(trial.passed, trial.void)} test: {trial.expectation.name}", f"    {_came(trial)}"]
    for proof in report.proofs:
        lines.append(f"{_status(proof.passed, '' if proof.breaches else proof.void)} {proof.invariant.name}")
        lines += [f"    {proof.void}; {proof.hint}"] if proof.void else []
        for each in proof.breaches:
            lines.append(f"    {each.exposure}: {each.caller} may {each.permit.operation} as {each.permit.reason}")
    return "".join(f"{line}\n" for line in lines or ["nothing"])


def _status(passed: bool, void: str) -> str:
    return "void" if void else "passed" if passed else "failed"


def _came(trial: Trial) -> str:
    if trial.verdict is None:
        return f"{trial.void}; {trial.hint}"
    decision = "permit" if isinstance(trial.verdict, Permit) else "refused"
    return f"{trial.request} of {trial.exposure or 'nowhere'}: {decision} {trial.verdict.reason}"


def _catalog(short: dict[str, Any]) -> Catalog:
    services = {name: dict(fields or {}) for name, fields in short.get("services", {}).items()}
    named = {f"component:default/{name}": fields.pop("ids", {}) for name, fields in services.items()}
    catalog = facts_of({**short, "services": services})
    found = {}
    for ref, service in catalog.services.items():
        ids = {call: name for name, call in named[ref].items()}
        operations = tuple(replace(each, operation_id=ids.get(each.name, "")) for each in service.operations)
        found[ref] = replace(service, operations=operations)
    return replace(catalog, services=found)


def rewrite() -> None:
    """Writes what comes out now into every golden file. The difference is then read like code."""
    for path in sorted(FOLDER.glob("*.case")):
        given = path.read_text().partition(LINE)[0]
        path.write_text(given + LINE + decided(given))


if __name__ == "__main__":
    rewrite()
