"""What a person reads when the door refuses, and where a page leads on."""

from __future__ import annotations

import pytest

from gateway.errors import FAULTS
from gateway.http1.for_people import Visitor, page_of, parting_page
from gateway.http1.pages import refusal

JANE = Visitor(True, "jane", "https://door.test:8443/portal")
NOBODY = Visitor(False, "", "https://door.test/portal")
SIGN_OUT = '<form method="post" action="/.stagedoor/sign-out">'


def page(code: str, visitor: Visitor | None = None, detail: str = "") -> tuple[str, str]:
    fields, body = page_of(FAULTS[code], detail, "r-1", visitor)
    return fields.decode(), body.decode()


def test_it_speaks_to_the_person_and_shows_code_and_request() -> None:
    _, text = page("no_rule")
    assert "<h1>No rule gives you access to this service.</h1>" in text
    assert "Ask its owners to open it to your team." in text
    assert "403 · <code>no_rule</code> · request <code>r-1</code>" in text


def test_who_is_signed_in_is_told_as_whom_and_can_go_on_or_out() -> None:
    fields, text = page("no_rule", JANE)
    assert "You are signed in as jane." in text
    assert 'href="https://door.test:8443/portal"' in text
    assert SIGN_OUT in text
    assert "form-action 'self'" in fields and "Referrer-Policy: same-origin" in fields


@pytest.mark.parametrize("visitor", [None, NOBODY])
@pytest.mark.parametrize("code", ["no_rule", "denied", "identity_unknown", "operation_unknown", "upstream_timeout"])
def test_nobody_is_offered_what_would_not_work(code: str, visitor: Visitor | None) -> None:
    fields, text = page(code, visitor)
    assert "<form" not in text and "<nav" not in text and "signed in as" not in text
    assert "form-action 'none'" in fields and "Referrer-Policy: no-referrer" in fields


def test_who_is_not_in_the_catalog_gets_out_and_not_to_a_portal_that_refuses_them() -> None:
    _, text = page("identity_unknown", Visitor(True, "", "https://door.test/portal"))
    assert SIGN_OUT in text
    assert "/portal" not in text and "signed in as" not in text


@pytest.mark.parametrize("code", ["identity_required", "session_ended"])
def test_a_sign_in_opens_beside_the_page_that_holds_what_was_to_be_sent(code: str) -> None:
    _, text = page(code, NOBODY, "nothing of this request was sent on")
    assert '<a href="/" target="_blank" rel="noopener">' in text
    assert "target=" not in page(code)[1]  # nobody signs in here


@pytest.mark.parametrize(
    ("code", "detail", "words"),
    [
        ("denied", "r-4vqwyts4gi", "The rule is r-4vqwyts4gi."), ("scope_missing", "payments:read", "It needs "),
        ("requirement_unmet", "mfa", "It asks for mfa."), ("path_malformed", "a dot segment", "A dot segment."),
    ],
)  # fmt: skip
def test_a_detail_reads_as_a_sentence(code: str, detail: str, words: str) -> None:
    assert f"<p>{words}" in page(code, None, detail)[1]


def test_whatever_came_from_outside_is_escaped() -> None:
    evil = '"><script>alert(1)</script>'
    said = Visitor(True, evil, f"https://door.test/{evil}")
    _, text = page("no_rule", said, evil)
    assert "<script" not in text and evil not in text
    assert b"<script" not in parting_page(f"https://door.test/{evil}")[1]


def test_a_page_about_no_rule_is_the_same_for_everything_below_a_service() -> None:
    first = refusal(FAULTS["no_rule"], request_id=b"r", detail="r-abc", accept=b"text/html", visitor=JANE)
    assert first == refusal(FAULTS["no_rule"], request_id=b"r", accept=b"text/html", visitor=JANE)


def test_programs_are_told_nothing_of_it() -> None:
    assert b"jane" not in refusal(FAULTS["no_rule"], request_id=b"r", visitor=JANE)
