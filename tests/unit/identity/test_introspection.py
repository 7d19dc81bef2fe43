"""What an issuer answers about a token: read strictly, checked like a token, and worth nothing beyond its words."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from gateway.config import Introspection, Issuer, MatchField
from gateway.errors import FAULTS, Refused
from gateway.identity.claims import Verified
from gateway.identity.introspection import ANSWER_LIMIT_BYTES, ends_at, is_active, read_answer, verified_by
from gateway.identity.issuers import IssuerTable
from gateway.identity.jwks import KeyRing, read_jwks
from gateway.identity.tokens import AnswerWanted, verify
from tests.support.tokens import NOW, RS256, claims, jwks

ASKED = Introspection("door", "/nowhere", url="https://idp.test/introspect")
MATCH = (MatchField("sub", "metadata.name"),)
IDP = Issuer("idp", "https://idp.test", ("api",), match=MATCH, introspection=ASKED)
OKTA = Issuer("okta", "https://okta.test", ("api",), preset="okta", match=MATCH)
ISSUERS = IssuerTable.from_settings([IDP, OKTA])


def said(**changes: object) -> dict[str, object]:
    """A good answer, as RFC 7662 section 2.2 has it."""
    return claims(**({"active": True, "token_type": "Bearer", "username": "jane@corp.test"} | changes))


def verdict(issuer: str = "idp", until: int = NOW + 60, **changes: Any) -> Verified | Refused:
    answer = read_answer(json.dumps(said(**changes)).encode())
    assert answer is not None
    return verified_by(answer, issuer, ISSUERS, None, NOW, until)


def test_a_good_answer_is_as_good_as_a_good_token() -> None:
    found = verdict()
    assert isinstance(found, Verified)
    assert (found.issuer, found.subject, found.client_id) == ("idp", "jane", "web")
    assert found.match == (("sub", "jane"),)
    assert found.scopes == {"openid", "payments:read"}
    assert found.bounded
    assert found.key_id == "", "no key told it"
    assert found.expires == NOW + 300


@pytest.mark.parametrize(("until", "expected"), [(NOW + 60, NOW + 60), (NOW + 10_000, NOW + 330)])
def test_it_counts_no_longer_than_the_answer_nor_than_the_token(until: int, expected: int) -> None:
    found = verdict(until=until)
    assert isinstance(found, Verified)
    assert found.until == expected


@pytest.mark.parametrize(
    "text",
    [
        b"", b"null", b"true", b"[]", b'"active"', b"<html><body>Sign in</body></html>", b"active=true", b"{}",
        b'{"active":"true"}', b'{"active":1}', b'{"active":null}', b'{"active":[true]}', b'{"Active":true}',
        b'{"active":false,"active":true}', b'{"active":true,"exp":NaN}', b'{"active":true}x', b"\xff\xfe",
        b'{"active":true,"x":"\\ud800"}', b'{"active":true' + b',"x":{"a":' * 20 + b"1" + b"}" * 20 + b"}",
        b'{"active":true,"x":"' + b"x" * ANSWER_LIMIT_BYTES + b'"}',
    ],
)  # fmt: skip
def test_what_is_not_exactly_an_answer_is_none(text: bytes) -> None:
    assert read_answer(text) is None


@pytest.mark.parametrize(("text", "active"), [(b'{"active":true}', True), (b' {"active": false}\n', False)])
def test_active_is_the_word_itself(text: bytes, active: bool) -> None:
    answer = read_answer(text)
    assert answer is not None
    assert is_active(answer) is active


def test_a_token_that_is_not_active_is_nobodys_whatever_else_is_said() -> None:
    refused = verdict(active=False)
    assert isinstance(refused, Refused)
    assert refused.code == "token_inactive"
    assert verified_by(said(active="true"), "idp", ISSUERS, None, NOW, NOW + 60) == refused


@pytest.mark.parametrize("missing", ["iss", "sub", "aud", "exp", "iat"])
def test_what_an_answer_leaves_out_is_not_made_up(missing: str) -> None:
    refused = verdict(**dict[str, Any]({missing: ...}))
    assert refused == Refused("token_claims", f"`{missing}` is missing or not what it must be")


@pytest.mark.parametrize(
    ("changes", "subject"),
    [({"sub": ...}, "web"), ({}, "jane"), ({"sub": ..., "client_id": ...}, ""), ({"sub": None}, ""),
     ({"sub": ..., "client_id": ["web"]}, "")],
)  # fmt: skip
def test_a_client_stands_for_itself_only_where_the_operator_said_so(changes: dict[str, object], subject: str) -> None:
    """Elsewhere an issuer that hides who a person is would make the person a program."""
    without = Introspection("door", "/nowhere", without_sub="client")
    table = IssuerTable.from_settings([replace(IDP, introspection=without)])
    found = verified_by(said(**changes), "idp", table, None, NOW, NOW + 60)
    if subject:
        assert isinstance(found, Verified)
        assert (found.subject, found.workload) == (subject, subject == "web")
    else:
        assert found == Refused("token_claims", "`sub` is missing or not what it must be")


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"iss": "https://okta.test"}, "token_issuer"),
        ({"iss": "https://idp.test/"}, "token_issuer"),
        ({"iss": ["https://idp.test"]}, "token_claims"),
        ({"aud": "other"}, "token_audience"),
        ({"aud": []}, "token_claims"),
        ({"exp": NOW - 60}, "token_expired"),
        ({"exp": "2030-01-01"}, "token_claims"),
        ({"exp": 1e308}, "token_claims"),
        ({"nbf": NOW + 600}, "token_not_yet_valid"),
        ({"sub": "jane\r\nX-Stagedoor-User: root"}, "token_claims"),
        ({"sub": {"id": "jane"}}, "token_claims"),
        ({"token_type": "DPoP"}, "token_type"),
        ({"token_type": "N_A"}, "token_type"),
        ({"token_type": 7}, "token_type"),
        ({"token_use": "refresh_token"}, "token_type"),
        ({"token_use": "id"}, "token_type"),
        ({"typ": "Refresh"}, "token_type"),
        ({"cnf": {"x5t#S256": "x"}}, "token_type"),
        ({"client_id": ["web"]}, "token_claims"),
        ({"azp": "other"}, "token_claims"),
        ({"scope": {"payments": "all"}}, "token_claims"),
        ({"auth_time": NOW + 9999}, "token_claims"),
        ({"act": {"sub": "x", "iss": "https://okta.test"}}, "token_claims"),
    ],
)
def test_an_answer_is_held_to_the_rules_of_a_token(changes: dict[str, Any], code: str) -> None:
    refused = verdict(**changes)
    assert isinstance(refused, Refused)
    assert refused.code == code
    assert refused.code in FAULTS


@pytest.mark.parametrize("kind", ["Bearer", "bearer", ...])
def test_a_bearers_token_is_one_in_any_case(kind: object) -> None:
    assert isinstance(verdict(token_type=kind, token_use="access_token"), Verified)


def test_one_issuer_answers_for_itself_alone() -> None:
    """A provider that is asked by mistake, or lies, cannot speak for another one's people."""
    refused = verdict(issuer="okta")
    assert isinstance(refused, Refused)
    assert refused.code == "token_issuer"
    gone = verdict(issuer="gone")
    assert isinstance(gone, Refused)
    assert gone.code == "token_inactive"


def test_the_client_is_client_id_however_the_issuers_tokens_call_it() -> None:
    """RFC 7662 section 2.2; Okta's tokens say `cid`."""
    answer = said(iss="https://okta.test", client_id="0oa2batch", sub="0oa2batch")
    found = verified_by(answer, "okta", ISSUERS, None, NOW, NOW + 60)
    assert isinstance(found, Verified)
    assert (found.client_id, found.workload) == ("0oa2batch", True)
    two = verified_by(answer | {"cid": "other"}, "okta", ISSUERS, None, NOW, NOW + 60)
    assert isinstance(two, Refused)


@pytest.mark.parametrize(("exp", "expected"), [(NOW, NOW), (..., None), ("soon", None), (1.5, None), (True, None)])
def test_the_end_is_read_where_it_is_one(exp: object, expected: int | None) -> None:
    assert ends_at(said(exp=exp)) == expected


# === signed tokens, about which the issuer is asked too ===

SIGNED = Issuer(
    "idp", "https://idp.test", ("api",), match=MATCH, introspection=Introspection("door", "/nowhere", tokens="signed")
)
SIGNED_TABLE = IssuerTable.from_settings([SIGNED])
KEYS = KeyRing().with_issuer("idp", read_jwks(jwks(RS256), ("RS256",))[0], NOW)


def signed() -> Verified:
    wanted = verify(RS256.token(), SIGNED_TABLE, KEYS, NOW)
    assert isinstance(wanted, AnswerWanted)
    assert wanted.signed is not None
    return wanted.signed


def test_a_signed_token_stays_what_its_issuer_signed() -> None:
    """The answer says whether it counts and until when; nobody becomes somebody else by it."""
    answer = {"active": True, "sub": "jane", "scope": "everything", "groups": ["admins"], "exp": NOW + 9999}
    found = verified_by(answer, "idp", SIGNED_TABLE, signed(), NOW, NOW + 60)
    assert isinstance(found, Verified)
    assert (found.subject, found.scopes, found.until) == ("jane", frozenset({"openid", "payments:read"}), NOW + 60)
    assert found.key_id in KEYS.ids


@pytest.mark.parametrize(
    ("answer", "code"),
    [({"active": False}, "token_inactive"), ({}, "token_inactive"), ({"active": True, "sub": "joe"}, "token_claims"),
     ({"active": True, "sub": None}, "token_claims")],
)  # fmt: skip
def test_a_signed_token_ends_by_its_issuers_word(answer: dict[str, object], code: str) -> None:
    refused = verified_by(answer, "idp", SIGNED_TABLE, signed(), NOW, NOW + 60)
    assert isinstance(refused, Refused)
    assert refused.code == code


def test_only_a_token_that_was_verified_is_asked_about() -> None:
    """Whoever makes up tokens asks nobody anything."""
    for token in (RS256.token(exp=NOW - 60), RS256.token(aud="other"), RS256.token()[:-8] + b"AAAAAAAA", b"opaque"):
        assert isinstance(verify(token, SIGNED_TABLE, KEYS, NOW), Refused)
