"""Every code a caller can meet is one of a closed list, means one thing, and is written down."""

from __future__ import annotations

import ast
import re

import pytest

from gateway.errors import FAULTS, reasons_document
from policy.reasons import PERMITS, REFUSALS, TEXTS
from tests.house.source import ROOT, modules


def test_permits_refusals_and_gateway_codes_are_disjoint() -> None:
    assert not PERMITS & REFUSALS
    assert not PERMITS & FAULTS.keys()
    assert FAULTS.keys() >= REFUSALS


def test_every_decision_reason_has_its_sentence() -> None:
    assert set(TEXTS) == PERMITS | REFUSALS


@pytest.mark.parametrize("code", sorted(FAULTS))
def test_a_code_is_answered_with_a_status_one_sentence_and_a_way_out(code: str) -> None:
    fault = FAULTS[code]
    assert fault.code == code
    assert re.fullmatch(r"[a-z]+(_[a-z0-9]+)*", code)
    assert 400 <= fault.status <= 599
    assert fault.title.endswith(".")
    assert fault.todo or fault.status == 499


def test_statuses_of_decisions_are_the_promised_ones() -> None:
    promised = {"host_unknown": 404, "operation_unknown": 404, "identity_required": 401, "requirement_unmet": 401}
    assert {code: FAULTS[code].status for code in REFUSALS} == {code: promised.get(code, 403) for code in REFUSALS}


def test_the_document_of_reasons_is_the_table() -> None:
    document = ROOT / "docs" / "reasons.md"
    assert document.read_text() == reasons_document(), (
        "write it: python -c 'from gateway.errors import reasons_document as d; print(d(), end=\"\")' > docs/reasons.md"
    )


def test_a_refusal_in_the_code_carries_a_known_code() -> None:
    known = FAULTS.keys() | REFUSALS
    for module in modules().values():
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("Refused", "errors.Refused") and node.args:
                code = node.args[0]
                if isinstance(code, ast.Constant):
                    assert code.value in known, f"{module}:{node.lineno}: `{code.value!r}` is in no list"
