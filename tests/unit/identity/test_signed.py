"""What an issuer signed is read one way or not at all: algorithms, keys, kinds, audience and times."""

from __future__ import annotations

import hmac
import json
from typing import Any

import pytest

from gateway.errors import Refused
from gateway.identity.signed import OLDEST_S, read_signed, refused_by_audience, refused_by_times, texts_in
from gateway.identity.tokens import KeyWanted
from tests.support.id_tokens import CLIENT, TABLE, id_claims, id_token, ring, rules
from tests.support.tokens import ES256, NOW, PS256, RS256, Signer, base64url, private_key

TYPES = frozenset({"jwt", ""})
OTHER_KEY = Signer("rsa-2", "RS256", "rsa-1")  # another key under the issuer's `kid`


def read(token: bytes, keys: Any = None, types: frozenset[str] = TYPES) -> Any:
    return read_signed(token, types, rules(), TABLE, keys or ring(), NOW)


def code_of(found: Any) -> str:
    return str(found.refusal.code if isinstance(found, KeyWanted) else found.code)


@pytest.mark.parametrize("signer", [RS256, ES256], ids=lambda each: each.alg)
def test_what_the_issuer_signed_is_believed(signer: Signer) -> None:
    assert read(id_token(signer=signer)) == id_claims()


@pytest.mark.parametrize("signer", [RS256, ES256], ids=lambda each: each.alg)
def test_one_changed_byte_is_not(signer: Signer) -> None:
    head, payload, signature = id_token(signer=signer).split(b".")
    forged = base64url(json.dumps(id_claims(sub="root")).encode())
    assert code_of(read(b".".join((head, forged, signature)))) == "token_signature"
    assert code_of(read(b".".join((head, payload, signature[:-6] + b"AAAAAA")))) in (
        "token_signature",
        "token_malformed",
    )


def test_another_key_under_the_same_name_is_not_the_issuers() -> None:
    assert code_of(read(id_token(signer=OTHER_KEY))) == "token_signature"


@pytest.mark.parametrize("alg", ["none", "None", "NONE", "nOnE", "HS256", "HS512", "PS256", "", "RSA"])
def test_an_algorithm_that_is_not_on_the_list_is_refused(alg: str) -> None:
    assert code_of(read(id_token({"alg": alg}))) == "token_algorithm"


def test_without_a_signature_nothing_is_believed() -> None:
    unsigned = b".".join((base64url(b'{"alg":"none"}'), base64url(json.dumps(id_claims()).encode()), b""))
    assert code_of(read(unsigned)) == "token_algorithm"


def test_the_public_key_is_no_secret_to_sign_with() -> None:
    public = private_key("rsa").public_key()
    text = json.dumps(RS256.jwk).encode() + str(public.public_numbers().n).encode()
    message = base64url(b'{"alg":"HS256","kid":"rsa-1"}') + b"." + base64url(json.dumps(id_claims()).encode())
    assert code_of(read(message + b"." + base64url(hmac.digest(text, message, "sha256")))) == "token_algorithm"


def test_an_algorithm_fits_its_key() -> None:
    assert code_of(read(id_token({"kid": "ec-1"}))) == "token_algorithm"


def test_without_kid_the_only_fitting_key_is_meant() -> None:
    assert read(id_token({"kid": ...})) == id_claims()


def test_without_kid_two_fitting_keys_mean_none() -> None:
    two = ring(RS256, Signer("rsa-2", "RS256", "rsa-2"))
    assert code_of(read(id_token({"kid": ...}), two)) == "token_key_unknown"


def test_an_unknown_key_is_asked_for_and_not_guessed() -> None:
    wanted = read(id_token({"kid": "new"}))
    assert isinstance(wanted, KeyWanted)
    assert (wanted.issuer, wanted.kid) == ("sso", "new")


def test_keys_that_nobody_confirmed_for_a_day_are_not_believed() -> None:
    assert code_of(read(id_token(), ring(at=NOW - 25 * 3600))) == "issuer_unavailable"


@pytest.mark.parametrize(
    "iss", ["https://other.test", "https://idp.test/", "https://idp.tes", "", ..., 7, ["https://idp.test"]]
)
def test_it_is_of_the_issuer_that_was_asked(iss: object) -> None:
    assert code_of(read(id_token(iss=iss))) == "token_issuer"


@pytest.mark.parametrize("typ", ["at+jwt", "logout+jwt", "dpop+jwt", "", 7])
def test_another_kind_of_token_does_not_pass(typ: object) -> None:
    assert code_of(read(id_token({"typ": typ}))) == "token_type"


@pytest.mark.parametrize("member", ["crit", "b64", "zip", "enc"])
def test_what_changes_the_meaning_of_the_rest_is_refused(member: str) -> None:
    assert code_of(read(id_token({member: ["exp"]}))) == "token_malformed"


def test_a_key_that_the_token_brings_is_not_looked_at() -> None:
    assert code_of(read(id_token({"jwk": OTHER_KEY.jwk}, signer=OTHER_KEY))) == "token_signature"


@pytest.mark.parametrize(
    "token",
    [b"", b".", b"..", b"a.b", b"a.b.c.d", b"eyJ.e30.x", id_token() + b"=", id_token() + b"." + b"x", b"x" * 20_000],
)
def test_what_is_no_signed_text_is_refused(token: bytes) -> None:
    assert code_of(read(token)) == "token_malformed"


def test_a_member_twice_is_no_member() -> None:
    twice = json.dumps(id_claims()).replace('"sub": "jane"', '"sub": "jane", "sub": "root"')
    assert code_of(read(RS256.sign(RS256.header(typ="JWT"), twice))) == "token_malformed"


@pytest.mark.parametrize(
    ("aud", "azp", "good"),
    [
        (CLIENT, ..., True), ([CLIENT], ..., True), ([CLIENT, "api"], CLIENT, True), (CLIENT, CLIENT, True),
        ("other", ..., False), ([CLIENT, "api"], ..., False), ([CLIENT, "api"], "api", False), (CLIENT, "api", False),
        ([], ..., False), ([CLIENT, 7], CLIENT, False), (..., ..., False), ({"door": 1}, ..., False),
        ("doo", ..., False),
    ],
)  # fmt: skip
def test_it_is_for_this_client_which_asked_for_it(aud: object, azp: object, good: bool) -> None:
    assert (refused_by_audience(id_claims(aud=aud, azp=azp), CLIENT) is None) == good


@pytest.mark.parametrize(
    ("claim", "value", "code"),
    [
        ("exp", ..., "token_claims"), ("exp", "soon", "token_claims"), ("exp", NOW - 31, "token_expired"),
        ("exp", 1e308, "token_claims"), ("exp", True, "token_claims"), ("iat", ..., "token_claims"),
        ("iat", NOW + 60, "token_not_yet_valid"), ("iat", NOW - OLDEST_S - 60, "token_expired"),
        ("iat", -1, "token_claims"), ("nbf", NOW + 60, "token_not_yet_valid"), ("nbf", "x", "token_claims"),
        ("exp", NOW - 10, ""), ("iat", NOW + 10, ""),
    ],
)  # fmt: skip
def test_it_is_of_this_moment(claim: str, value: object, code: str) -> None:
    found = refused_by_times(id_claims(**{claim: value}), NOW, 30)
    assert (found.code if isinstance(found, Refused) else "") == code


def test_texts_are_short_texts_or_nothing() -> None:
    assert texts_in({"amr": "pwd"}, "amr") == ("pwd",)
    assert texts_in({}, "amr") == ()
    assert texts_in({"amr": ["pwd", 7]}, "amr") is None
    assert texts_in({"amr": {"pwd": True}}, "amr") is None


def test_a_token_signed_with_another_scheme_of_the_same_key_is_not_on_the_list() -> None:
    assert code_of(read(id_token(signer=PS256))) == "token_algorithm"
