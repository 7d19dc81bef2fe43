"""The table of codes: complete, disjoint from the policy's, documented, and honest about status."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.errors import FAULTS, GATEWAY_CODES, Fault, fault_of, reasons_document
from policy.reasons import PERMITS, REFUSALS

PAGE = Path(__file__).parents[2] / "docs" / "reasons.md"


def test_the_codes_of_door_and_policy_are_disjoint() -> None:
    assert not GATEWAY_CODES & (PERMITS | REFUSALS)


def test_every_refusal_has_a_row_under_its_own_code() -> None:
    assert FAULTS.keys() == GATEWAY_CODES | REFUSALS
    assert all(code == fault.code for code, fault in FAULTS.items())


def test_no_permit_can_be_answered_as_a_refusal() -> None:
    assert not PERMITS & FAULTS.keys()


@pytest.mark.parametrize("fault", FAULTS.values(), ids=lambda fault: fault.code)
def test_every_row_says_what_happened_and_what_to_do_in_plain_text(fault: Fault) -> None:
    assert 400 <= fault.status < 600
    assert fault.title.isascii() and fault.title[0].isupper() and fault.title.endswith(".")
    assert fault.todo.isascii() and fault.todo.endswith(".")
    assert not set("<>|\r\n") & set(fault.title + fault.todo), "it goes into headers, tables and pages"


def test_whatever_is_no_request_ends_the_connection() -> None:
    """What follows an unreadable head, or a body nobody reads, must never be taken for the next request."""
    for fault in FAULTS.values():
        if fault.code.startswith(("request_", "path_malformed", "path_too_long", "method_", "expectation_")):
            assert fault.close, fault.code


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("host_unknown", 404),
        ("identity_required", 401),
        ("requirement_unmet", 401),
        ("operation_unknown", 404),
        ("no_rule", 403),
        ("denied", 403),
        ("scope_missing", 403),
        ("identity_unknown", 403),
        ("identity_ambiguous", 403),
    ],
)
def test_the_policys_refusals_have_their_statuses(code: str, status: int) -> None:
    assert FAULTS[code].status == status


def test_a_workload_cannot_step_up_so_an_unmet_requirement_is_403() -> None:
    assert fault_of("requirement_unmet", workload=True).status == 403
    assert fault_of("requirement_unmet").status == 401
    assert fault_of("no_rule", workload=True) is FAULTS["no_rule"]


def test_the_page_of_reasons_is_current() -> None:
    """Write it anew with `python -m gateway.errors > docs/reasons.md`."""
    assert PAGE.read_text(encoding="utf-8") == reasons_document()


def test_the_page_of_reasons_names_every_code() -> None:
    page = reasons_document()
    assert all(f"| `{code}` |" in page for code in PERMITS | FAULTS.keys())
