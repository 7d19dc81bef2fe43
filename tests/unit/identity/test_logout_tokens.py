"""Only a logout token ends a session: every other token, and every wrong one, ends none."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.errors import Refused
from gateway.identity.logout_tokens import EVENT, LogoutToken, read_logout_token
from tests.support.id_tokens import CLIENT, TABLE, id_token, logout_claims, logout_token, ring, rules
from tests.support.tokens import NOW, Signer, base64url


def read(token: bytes) -> Any:
    return read_logout_token(token, CLIENT, rules(), TABLE, ring(), NOW)


def test_whose_sign_in_is_over_is_told() -> None:
    assert read(logout_token()) == LogoutToken("j-1", "jane", "p-1", NOW - 2, NOW + 120)
    assert read(logout_token(sub=...)) == LogoutToken("j-1", "", "p-1", NOW - 2, NOW + 120)
    assert read(logout_token(sid=...)) == LogoutToken("j-1", "jane", "", NOW - 2, NOW + 120)
    assert isinstance(read(logout_token({"typ": "JWT"})), LogoutToken)
    assert isinstance(read(logout_token({"typ": ...})), LogoutToken)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"events": ...}, "token_type"),
        ({"events": {}}, "token_type"),
        ({"events": {"http://schemas.openid.net/event/other": {}}}, "token_type"),
        ({"events": {EVENT: True}}, "token_type"),
        ({"events": [EVENT]}, "token_type"),
        ({"nonce": "n"}, "token_type"),
        ({"sub": ..., "sid": ...}, "token_claims"),
        ({"sub": 7}, "token_claims"),
        ({"sid": ""}, "token_claims"),
        ({"jti": ...}, "token_claims"),
        ({"jti": ""}, "token_claims"),
        ({"iat": ...}, "token_claims"),
        ({"iat": NOW - 3600}, "token_expired"),
        ({"exp": ...}, "token_claims"),
        ({"exp": NOW - 60}, "token_expired"),
        ({"aud": "other"}, "token_audience"),
        ({"aud": ...}, "token_claims"),
        ({"iss": "https://other.test"}, "token_issuer"),
    ],
)
def test_a_wrong_one_ends_nothing(changes: dict[str, Any], code: str) -> None:
    found = read(logout_token(**changes))
    assert isinstance(found, Refused)
    assert found.code == code


@pytest.mark.parametrize("alg", ["none", "HS256", "PS512"])
def test_another_algorithm_ends_nothing(alg: str) -> None:
    assert isinstance(read(logout_token({"alg": alg})), Refused)


def test_an_unsigned_one_ends_nothing() -> None:
    unsigned = base64url(b'{"alg":"none","typ":"logout+jwt"}') + b"." + logout_token().split(b".")[1] + b"."
    assert isinstance(read(unsigned), Refused)


def test_one_signed_by_somebody_else_ends_nothing() -> None:
    assert isinstance(read(logout_token(signer=Signer("rsa-2", "RS256", "rsa-1"))), Refused)


def test_an_id_token_ends_nothing() -> None:
    assert isinstance(read(id_token()), Refused)
    assert isinstance(read(id_token(**logout_claims(), nonce=...)), LogoutToken)  # it would be one, claim by claim
