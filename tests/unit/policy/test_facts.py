"""Facts and verdicts: what the rest leans on."""

from __future__ import annotations

from policy.facts import ANONYMOUS, Operation, Permit, Principal, Refusal


def test_an_operation_is_called_by_method_and_template() -> None:
    assert Operation("GET", "/a/{id}").name == "GET /a/{id}"


def test_nobody_is_anonymous_and_has_no_subjects() -> None:
    assert (ANONYMOUS.kind, ANONYMOUS.subjects, ANONYMOUS.refusal) == ("anonymous", frozenset(), "identity_required")


def test_a_verdict_is_never_both() -> None:
    """Only a Permit opens the way upstream; a Refusal is another type, however alike the values are."""
    assert not isinstance(Refusal("owner"), Permit)
    assert Principal("person").scopes == frozenset()
