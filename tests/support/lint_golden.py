"""Golden files of `lint`: an access policy and facts as in `policy_golden`, ``----------``, what is found on one day.

Beside the facts that `policy_golden` knows there is ``apis``: what the definition's operations name in `security`, and
its type, where it is not the usual one::

    apis: {payments-api: {schemes: [oauth2]}, feed-api: {type: grpc}}
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gateway.documents import read_text
from policy.access import read_policy
from policy.derive import derive
from policy.facts import Operation, Source
from policy.lint.checks import Api, Ground, lint
from policy.reading import ref_of
from tests.support.policy_golden import LINE, facts_of

FOLDER = Path(__file__).parents[1] / "golden" / "lint"
TODAY = "2027-06-15"
ENVIRONMENTS = ("dev", "staging", "prod")


def ground_of(text: str) -> Ground:
    """The access policy and the facts of the two documents, compiled."""
    (stated, facts), syntax = read_text(text.encode(), "case.yaml")
    assert not syntax, syntax
    policy, faults = read_policy(stated.value, stated.locate)
    assert faults == [], faults
    short = dict(facts.value or {})
    apis = short.pop("apis", {})
    catalog = facts_of(short)
    published = derive(catalog, policy, ENVIRONMENTS).published
    operations: dict[str, list[Operation]] = {}
    for service in catalog.services.values():
        for each in service.operations:
            operations.setdefault(each.api, []).append(each)
    refs = {ref for service in catalog.services.values() for ref in service.provides}
    said = {ref_of(name, "api"): dict(fields or {}) for name, fields in apis.items()}
    return Ground(catalog, policy, published, {ref: _api(ref, said.get(ref, {}), operations) for ref in refs})


def _api(ref: str, said: dict[str, Any], operations: dict[str, list[Operation]]) -> Api:
    type_ = said.get("type", "openapi")
    schemes = tuple(said.get("schemes", ("oauth2",)))
    return Api(ref, type_, schemes, tuple(operations.get(ref, ())), type_ == "openapi", Source("api.yaml", 1, ref))


def linted(text: str) -> str:
    """What the part above the line becomes."""
    lines = []
    for each in lint(ground_of(text), TODAY):
        severity = f"waived until {each.waived.until}" if each.waived else each.severity
        lines += [f"{each.source.file}:{each.source.line}: {severity} {each.kind} {each.id} {each.about}"]
        lines += [f"    {each.sentence}", f"    to do: {each.fix}"]
    return "".join(f"{line}\n" for line in lines or ["nothing"])


def rewrite() -> None:
    """Writes what comes out now into every golden file. The difference is then read like code."""
    for path in sorted(FOLDER.glob("*.case")):
        given = path.read_text().partition(LINE)[0]
        path.write_text(given + LINE + linted(given))


if __name__ == "__main__":
    rewrite()
