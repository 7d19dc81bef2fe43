"""SARIF 2.1.0, by the sections of the standard, and where findings are shown."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from gateway.engine.linting import counts_of, sarif_of
from policy.facts import Source
from policy.lint.findings import CHECKS, Finding
from policy.statements import Waiver

HERE = Path("/somewhere/repository")
FOUND = Finding(
    "wildcard",
    "component:default/a",
    Source(str(HERE / "a catalog/a.yaml"), 3, "component:default/a"),
    "It is.",
    "mend",
)
WAIVED = replace(
    FOUND, about="b", waived=Waiver("wildcard", "b", "2028-01-31", "It is meant.", Source("access.yaml", 7))
)


def test_the_log_has_what_the_standard_requires() -> None:
    log = sarif_of([FOUND, WAIVED], "1.2.3", HERE)
    assert log["version"] == "2.1.0"  # 3.13.2
    assert log["$schema"].endswith("sarif-schema-2.1.0.json")
    (run,) = log["runs"]  # 3.13.4
    driver = run["tool"]["driver"]  # 3.18.2
    assert (driver["name"], driver["version"]) == ("stagedoor", "1.2.3")  # 3.19.8
    assert [rule["id"] for rule in driver["rules"]] == list(CHECKS)
    for rule in driver["rules"]:
        assert rule["shortDescription"]["text"]  # 3.49.9
        assert rule["defaultConfiguration"]["level"] in ("note", "warning", "error")  # 3.50.3
    assert run["columnKind"] in ("utf16CodeUnits", "unicodeCodePoints")  # 3.14.17
    for result in run["results"]:
        assert driver["rules"][result["ruleIndex"]]["id"] == result["ruleId"]  # 3.27.6
        assert result["level"] in ("none", "note", "warning", "error")  # 3.27.10
        assert result["message"]["text"] == "It is. To do: mend."  # 3.27.11
        assert all(isinstance(value, str) for value in result["partialFingerprints"].values())  # 3.27.17


def test_a_waived_finding_is_suppressed_with_its_reason() -> None:
    """Section 3.35: a result without `suppressions` is not suppressed."""
    plain, waived = sarif_of([FOUND, WAIVED], "0", HERE)["runs"][0]["results"]
    assert "suppressions" not in plain
    assert waived["suppressions"] == [{"kind": "external", "justification": "It is meant."}]
    assert counts_of([FOUND, WAIVED]) == {"error": 0, "warning": 1, "note": 0, "waived": 1}


def place_of(source: Source) -> dict[str, object]:
    result = sarif_of([replace(FOUND, source=source)], "0", HERE)["runs"][0]["results"][0]
    place: dict[str, object] = result["locations"][0]["physicalLocation"]
    return place


def test_a_place_is_an_address_and_a_line_where_there_is_one() -> None:
    """Section 3.4.3: a valid URI reference. Section 3.30.5: lines start at 1."""
    assert place_of(FOUND.source) == {"artifactLocation": {"uri": "a%20catalog/a.yaml"}, "region": {"startLine": 3}}
    assert place_of(Source("/elsewhere/b.yaml", 1))["artifactLocation"] == {"uri": "file:///elsewhere/b.yaml"}
    assert place_of(Source("catalog:company", 0)) == {"artifactLocation": {"uri": "catalog%3Acompany"}}
