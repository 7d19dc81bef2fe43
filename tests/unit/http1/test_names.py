"""Which field names stop: aliases in any spelling, bounded memory, no name that is none."""

from __future__ import annotations

import pytest

from gateway.http1.names import (
    IS_NO_NAME,
    NAME_BYTES,
    PASSES,
    STOPS,
    NameTable,
    answer_names,
    fold,
    is_token,
    request_names,
)

TABLE = request_names({b"host": 1, b"x-forwarded-for": 2}, ("X-Team",))


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        (b"Host", 1),
        (b"HOST", 1),
        (b"X-Forwarded-For", 2),
        (b"X_Forwarded_For", STOPS),
        (b"X-Stagedoor-User", STOPS),
        (b"x.stagedoor.user", STOPS),
        (b"X'Stagedoor`User", STOPS),
        (b"X-Stagedoors", STOPS),
        (b"x_team", STOPS),
        (b"Remote_User", STOPS),
        (b"Forwarded", STOPS),
        (b"Keep-Alive", STOPS),
        (b"X-HTTP-Method-Override", STOPS),
        (b"Content-Type", PASSES),
        (b"Content_Type", PASSES),
        (b"My-X-Stagedoor-User", PASSES),
        (b"Remote-Userland", PASSES),
        (b"", IS_NO_NAME),
        (b"X A", IS_NO_NAME),
        (b"X-A:", IS_NO_NAME),
        (b"X-\xe9", IS_NO_NAME),
        (b"X" * NAME_BYTES, PASSES),
        (b"X" * (NAME_BYTES + 1), IS_NO_NAME),
    ],
)
def test_a_name_is_judged_by_its_folded_form(name: bytes, kind: int) -> None:
    assert TABLE.judge(name) == kind


def test_every_punctuation_of_a_token_folds_to_a_hyphen() -> None:
    """Gateways to CGI and FastCGI map all of it to `_`."""
    punctuation = bytes(octet for octet in range(33, 127) if is_token(bytes((octet,))) and not chr(octet).isalnum())
    assert fold(b"A" + punctuation + b"B") == b"a" + b"-" * len(punctuation) + b"b"
    assert len(punctuation) == 15


def test_a_judged_name_is_remembered_by_its_exact_bytes() -> None:
    table = NameTable({}, ())
    table.judge(b"X-a")
    assert table.kinds == {b"X-a": PASSES}


def test_the_memo_is_bounded_and_never_holds_what_is_no_name() -> None:
    """Names are the caller's choice: they must not fill the memory."""
    table = NameTable({}, ())
    for number in range(10_000):
        table.judge(b"x-%d" % number)
    table.judge(b"no name")
    assert len(table.kinds) <= 4096
    assert b"no name" not in table.kinds


@pytest.mark.parametrize(
    "name", [b"Alt-Svc", b"X-Request-Id", b"X-Stagedoor-User", b"Keep-Alive", b"Proxy-Authenticate", b"NEL",
             b"Report-To", b"report_to"],
)  # fmt: skip
def test_answers_do_not_speak_for_the_door(name: bytes) -> None:
    assert answer_names({}).judge(name) == STOPS


def test_answers_keep_what_only_requests_must_not_carry() -> None:
    assert answer_names({}).judge(b"X-Forwarded-For") == PASSES


def test_a_document_reports_on_itself() -> None:
    """`Reporting-Endpoints` lasts as long as its document; `Report-To` is kept for the origin, and so for us."""
    assert answer_names({}).judge(b"Reporting-Endpoints") == PASSES
