"""The checklist of a relying party, ID token by ID token, and what a session keeps of them."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

from gateway.errors import Refused
from gateway.identity.id_tokens import (
    CLAIMS_LIMIT_BYTES,
    Expected,
    IdToken,
    age_of,
    kept_claims,
    lacks_strength,
    merged,
    read_id_token,
    read_userinfo,
    renewed_claims,
    without_rights,
)
from tests.support.id_tokens import CLIENT, NONCE, TABLE, id_claims, id_token, logout_token, ring, rules
from tests.support.tokens import ES256, NOW, RS256, Signer, base64url

ACCESS = "an-access-token"


def read(token: bytes, **expected: Any) -> Any:
    return read_id_token(
        token, Expected(**{"client_id": CLIENT, "nonce": NONCE, **expected}), rules(), TABLE, ring(), NOW
    )


def code_of(found: Any) -> str:
    return found.code if isinstance(found, Refused) else ""


def half(access_token: str) -> str:
    return base64url(hashlib.sha256(access_token.encode()).digest()[:16]).decode()


def test_who_signed_in_is_told() -> None:
    assert read(id_token()) == IdToken(id_claims(), "jane", "p-1")


@pytest.mark.parametrize("nonce", [..., "", "another", 7, [NONCE], NONCE + " "])
def test_the_nonce_is_of_this_sign_in(nonce: object) -> None:
    assert code_of(read(id_token(nonce=nonce))) == "token_claims"


@pytest.mark.parametrize("sub", [..., "", 7, "x" * 256, "jane\r\n", None])
def test_a_subject_is_needed(sub: object) -> None:
    assert code_of(read(id_token(sub=sub))) == "token_claims"


def test_a_token_for_another_client_is_refused() -> None:
    assert code_of(read(id_token(aud="other"))) == "token_audience"
    assert code_of(read(id_token(aud=...))) == "token_claims"


def test_an_old_token_is_refused() -> None:
    assert code_of(read(id_token(exp=NOW - 60))) == "token_expired"
    assert code_of(read(id_token(iat=...))) == "token_claims"


def test_another_kind_of_token_is_no_id_token() -> None:
    assert code_of(read(logout_token({"typ": "JWT"}, nonce=NONCE))) == "token_type"
    assert code_of(read(id_token(typ="Bearer"))) == "token_type"
    assert code_of(read(id_token(typ="Refresh"))) == "token_type"
    assert isinstance(read(id_token(typ="ID")), IdToken)


@pytest.mark.parametrize("signer", [RS256, ES256], ids=lambda each: each.alg)
def test_the_access_token_is_the_one_that_came_with_it(signer: Signer) -> None:
    assert isinstance(read(id_token(signer=signer, at_hash=half(ACCESS)), access_token=ACCESS), IdToken)
    assert code_of(read(id_token(signer=signer, at_hash=half("another")), access_token=ACCESS)) == "token_claims"
    assert code_of(read(id_token(signer=signer, at_hash=7), access_token=ACCESS)) == "token_claims"


def test_a_sign_in_to_come_is_none() -> None:
    assert isinstance(read(id_token(auth_time=NOW - 3000)), IdToken)
    assert code_of(read(id_token(auth_time=NOW + 3600))) == "token_claims"
    assert code_of(read(id_token(auth_time="now"))) == "token_claims"


def test_one_of_the_strengths_is_enough_and_none_is_not() -> None:
    assert not lacks_strength(id_claims(), ())
    assert not lacks_strength(id_claims(), ("two", "three"))
    assert not lacks_strength(id_claims(), ("otp",))
    assert lacks_strength(id_claims(), ("mfa",))
    assert lacks_strength({"amr": [7]}, ("mfa",))


def test_how_long_ago_is_known_or_not() -> None:
    assert age_of({"auth_time": NOW - 5}, NOW) == 5
    assert age_of({}, NOW) is None
    assert age_of({"auth_time": "now"}, NOW) is None


@pytest.mark.parametrize("claim", ["sid", "acr"])
def test_a_claim_that_is_there_has_its_type(claim: str) -> None:
    assert code_of(read(id_token(**dict[str, Any]({claim: 7})))) == "token_claims"


# === refresh: the same person, the same sign-in ===


def test_a_refresh_may_leave_the_nonce_out_and_may_not_change_it() -> None:
    assert isinstance(read(id_token(nonce=...), sub="jane"), IdToken)
    assert isinstance(read(id_token(), sub="jane"), IdToken)
    assert code_of(read(id_token(nonce="another"), sub="jane")) == "token_claims"


def test_a_refresh_is_about_the_same_person() -> None:
    assert code_of(read(id_token(sub="joe", nonce=...), sub="jane")) == "token_claims"
    assert code_of(read(id_token(iss="https://other.test", nonce=...), sub="jane")) == "token_issuer"
    assert code_of(read(id_token(aud="other", nonce=...), sub="jane")) == "token_audience"


# === userinfo ===


@pytest.mark.parametrize(
    "text", [b'{"sub":"joe"}', b"{}", b'{"sub":7}', b'{"sub":"jane","sub":"jane"}', b"[]", b"<html>"]
)
def test_userinfo_about_somebody_else_is_not_used(text: bytes) -> None:
    assert isinstance(read_userinfo(text, "jane"), Refused)


def test_userinfo_adds_and_never_overrules_the_sign_in() -> None:
    said = read_userinfo(
        json.dumps({"sub": "jane", "groups": ["x"], "acr": "nine", "auth_time": NOW, "email": "j@x.test"}).encode(),
        "jane",
    )
    assert not isinstance(said, Refused)
    found = merged(id_claims(acr=..., auth_time=...), said)
    assert "acr" not in found
    assert "auth_time" not in found
    assert found["groups"] == ["payments"]
    assert found["email"] == "j@x.test"


# === what a session keeps ===


def test_a_session_keeps_who_it_is_and_no_token() -> None:
    kept = kept_claims(id_claims(at_hash="x", nonce="n", scope="openid", secret="s"), rules(), ())
    assert isinstance(kept, dict)
    assert set(kept) == {"iss", "sub", "auth_time", "acr", "amr", "groups"}


def test_a_strength_that_the_operator_names_is_a_second_factor() -> None:
    def amr(strengths: tuple[str, ...], **changes: object) -> object:
        kept = kept_claims(id_claims(**changes), rules(), strengths)
        assert isinstance(kept, dict)
        return kept["amr"]

    assert amr(("two",)) == ["pwd", "otp", "mfa"]
    assert amr(("nine",)) == ["pwd", "otp"]
    assert amr(("two",), amr=...) == ["mfa"]


def test_more_claims_than_anybody_has_are_refused() -> None:
    groups = ["x" * 200] * (CLAIMS_LIMIT_BYTES // 200 + 1)
    assert isinstance(kept_claims(id_claims(groups=groups), rules(), ()), Refused)
    assert isinstance(kept_claims(id_claims(amr=[7]), rules(), ()), Refused)


def test_a_claim_that_is_missing_now_keeps_no_rights() -> None:
    before = {"sub": "jane", "groups": ["payments"], "roles": ["x"], "amr": ["mfa"], "auth_time": NOW - 900}
    found = renewed_claims(before, {"sub": "jane"})
    assert found == {"sub": "jane", "amr": ["mfa"], "auth_time": NOW - 900}


def test_a_refresh_makes_no_sign_in_younger() -> None:
    assert renewed_claims({"auth_time": NOW - 900}, {"auth_time": NOW})["auth_time"] == NOW - 900
    assert renewed_claims({"auth_time": NOW}, {"auth_time": NOW - 900})["auth_time"] == NOW - 900


def test_a_weaker_word_now_counts() -> None:
    assert renewed_claims({"acr": "two", "amr": ["mfa"]}, {"acr": "one", "amr": ["pwd"]}) == {
        "acr": "one",
        "amr": ["pwd"],
    }


def test_no_word_about_the_person_leaves_the_name_alone() -> None:
    before = {"sub": "jane", "groups": ["payments"], "roles": ["x"], "_claim_names": {}, "auth_time": NOW}
    assert without_rights(before, rules()) == {"sub": "jane", "auth_time": NOW}
