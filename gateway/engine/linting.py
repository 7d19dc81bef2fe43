"""`stagedoor lint` as values: the ground it stands on, made of files, and what it found in JSON and in SARIF 2.1.0.

SARIF is the OASIS standard that code hosts read to show findings beside the line. A waived finding is one that is
suppressed outside the source (section 3.35), with the waiver's reason.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from gateway.engine.origins import Compilation
from gateway.engine.sources.entities import Entity
from policy.access import AccessPolicy
from policy.builtin import BUILTIN_SERVICE
from policy.lint.checks import Api, Ground
from policy.lint.findings import CHECKS, Finding

SARIF_VERSION: Final = "2.1.0"
SARIF_SCHEMA: Final = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_SEPARATORS: Final = "/._-~"


def ground_of(compiled: Compilation, policy: AccessPolicy, give_way: Callable[[], None] = lambda: None) -> Ground:
    """``give_way`` is called in between, here and while one lints."""
    published = tuple(each for each in compiled.published if each.service.ref != BUILTIN_SERVICE.ref)
    apis = {}
    for ref, entity in compiled.entities.items():
        if entity.kind == "api":
            apis[ref] = _api(entity)
            give_way()
    return Ground(compiled.catalog, policy, published, apis, give_way)


def _api(entity: Entity) -> Api:
    said = entity.definition
    is_read = said is not None and said.openapi and not said.broken
    operations = said.operations if said is not None else ()
    return Api(entity.ref, entity.type, said.schemes if said else (), operations, is_read, entity.source)


def findings_as_json(findings: Iterable[Finding]) -> list[dict[str, Any]]:
    """The stable form: every key is always there."""
    return [
        {
            "id": each.id,
            "kind": each.kind,
            "severity": each.severity,
            "about": each.about,
            "sentence": each.sentence,
            "fix": each.fix,
            "source": {"file": each.source.file, "line": each.source.line, "entity": each.source.entity},
            "waived": None
            if each.waived is None
            else {"until": each.waived.until, "because": each.waived.because, "line": each.waived.source.line},
        }
        for each in findings
    ]


def sarif_of(findings: Sequence[Finding], version: str, here: Path) -> dict[str, Any]:
    """One run. Files below ``here`` are named as a repository names them, others by their whole address."""
    kinds = list(CHECKS)
    return {
        "$schema": SARIF_SCHEMA,
        "version": SARIF_VERSION,
        "runs": [
            {
                "tool": {"driver": {"name": "stagedoor", "version": version, "rules": [_rule(kind) for kind in kinds]}},
                "columnKind": "utf16CodeUnits",
                "results": [_result(each, kinds.index(each.kind), here) for each in findings],
            }
        ],
    }


def _rule(kind: str) -> dict[str, Any]:
    check = CHECKS[kind]
    return {
        "id": kind,
        "shortDescription": {"text": check.meaning},
        "defaultConfiguration": {"level": check.severity},
    }


def _result(finding: Finding, index: int, here: Path) -> dict[str, Any]:
    found: dict[str, Any] = {
        "ruleId": finding.kind,
        "ruleIndex": index,
        "level": finding.severity,
        "message": {"text": f"{finding.sentence} To do: {finding.fix}."},
        "locations": [_location(finding, here)],
        "partialFingerprints": {"stagedoor/v1": finding.id},
    }
    if finding.waived is not None:
        found["suppressions"] = [{"kind": "external", "justification": finding.waived.because}]
    return found


def _location(finding: Finding, here: Path) -> dict[str, Any]:
    physical: dict[str, Any] = {"artifactLocation": {"uri": _uri(finding.source.file, here)}}
    if finding.source.line:
        physical["region"] = {"startLine": finding.source.line}
    about = {"fullyQualifiedName": finding.source.entity or finding.about}
    return {"physicalLocation": physical, "logicalLocations": [about]}


def _uri(file: str, here: Path) -> str:
    path = Path(file)
    if path.is_relative_to(here):
        return quote(path.relative_to(here).as_posix(), safe=_SEPARATORS)
    return path.as_uri() if path.is_absolute() else quote(file, safe=_SEPARATORS)


def counts_of(findings: Iterable[Finding]) -> Mapping[str, int]:
    """How many there are of each severity, and how many are waived."""
    counts = {"error": 0, "warning": 0, "note": 0, "waived": 0}
    for each in findings:
        counts["waived" if each.waived is not None else each.severity] += 1
    return counts
