"""Golden pairs of tests and invariants: what came of each, or every fault; and what of them says nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from policy.access import read_policy
from policy.facts import Source
from policy.promises.promised import has_promises, read_promises, report_of, void_faults
from policy.statements import AccessPolicy
from policy.table import Table
from tests.support.policy_golden import LINE
from tests.support.promise_golden import FOLDER, decided


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.case")), ids=lambda path: path.stem)
def test_golden(path: Path) -> None:
    """What came of it is written down; `python -m tests.support.promise_golden` writes it down anew."""
    given, _, expected = path.read_text().partition(LINE)
    assert decided(given) == expected


def locate(path: tuple[str | int, ...]) -> Source:
    return Source("more.yaml", 2)


def test_a_document_may_hold_nothing_else() -> None:
    tests = ["jane GET https://a.b/ → permit"]
    document = {"version": 1, "tests": tests, "never": "a any prod", "only": ["a may read"]}
    expectations, invariants, faults = read_promises(document, locate, ("prod",))
    assert (len(expectations), len(invariants), faults) == (1, 2, [])
    _, _, faults = read_promises({**document, "rules": []}, locate, ("prod",))
    assert [str(each) for each in faults] == [
        "more.yaml:2: unknown key `rules`; known here: `version`, `tests`, `never`, `only`"
    ]


def test_a_policy_holds_them_beside_everything_else() -> None:
    policy, faults = read_policy(
        {"version": 1, "environments": {"prod": {}}, "tests": "jane GET https://a.b/ → permit", "never": "a any"},
        locate,
    )
    assert faults == []
    assert (len(policy.expectations), len(policy.invariants)) == (1, 1)
    assert has_promises(policy)
    assert not has_promises(AccessPolicy({}))


def test_over_a_table_that_allows_nothing_every_invariant_is_void_and_none_broken() -> None:
    """A slip is told as a warning where it stands, never as a promise that is kept."""
    expectations, invariants, _ = read_promises(
        {"tests": ["jane read of a in prod → permit"], "never": ["a any", "all-people any"]}, locate, ("prod",)
    )
    report = report_of(expectations, invariants, Table.allow_none(), {}, 0)
    assert [proof.breaches for proof in report.proofs] == [(), ()]
    assert not report.passed
    assert [fault.severity for fault in void_faults(report)] == ["warning"] * 3
