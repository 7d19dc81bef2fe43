"""The way through: which tokens are accepted, when a key is wanted, and in what order refusals come."""

from dataclasses import replace
from typing import Any

import pytest

from gateway.config import Groups, Introspection, Issuer, MatchField
from gateway.errors import FAULTS, Refused
from gateway.identity.issuers import IssuerTable
from gateway.identity.jwks import KeyRing, read_jwks
from gateway.identity.presets import PRESETS
from gateway.identity.tokens import KEYS_LAST_S, OPAQUE_LIMIT_BYTES, AnswerWanted, KeyWanted, Verified, verify
from tests.support.tokens import EDDSA, ES256, NOW, PS256, RS256, Signer, base64url, claims, jwks

ALGORITHMS = ("RS256", "PS256", "ES256", "ES384", "EdDSA")
IDP = Issuer(
    "idp", "https://idp.test", ("api", "api2"), algorithms=ALGORITHMS, match=(MatchField("sub", "metadata.name"),)
)
ISSUERS = IssuerTable.from_settings([IDP])


def ring(*signers: Signer, at: int = NOW) -> KeyRing:
    return KeyRing().with_issuer("idp", read_jwks(jwks(*signers), ALGORITHMS)[0], at)


KEYS = ring(RS256, ES256, EDDSA)


def code_of(verdict: object) -> str:
    assert isinstance(verdict, Refused), verdict
    assert verdict.code in FAULTS
    return verdict.code


@pytest.mark.parametrize(
    "signer", [RS256, ES256, EDDSA, Signer("p384", "ES384", "p384")], ids=lambda signer: signer.alg
)
def test_a_sound_token_is_accepted(signer: Signer) -> None:
    verdict = verify(signer.token(), ISSUERS, ring(signer), NOW)
    assert isinstance(verdict, Verified)
    assert (verdict.issuer, verdict.subject) == ("idp", "jane")
    assert verdict.key_id.startswith(f"idp:{signer.kid}:")
    assert verdict.key_id in ring(signer).ids


def test_pss_is_accepted_from_a_key_that_does_not_rule_it_out() -> None:
    keys = KeyRing().with_issuer("idp", read_jwks(jwks(PS256), ALGORITHMS)[0], NOW)
    assert isinstance(verify(PS256.token(), ISSUERS, keys, NOW), Verified)


@pytest.mark.parametrize("typ", ["at+jwt", "AT+JWT", "application/at+jwt", "JWT", "jwt"])
def test_types_are_compared_without_case(typ: str) -> None:
    assert isinstance(verify(RS256.token({"typ": typ}), ISSUERS, KEYS, NOW), Verified)


@pytest.mark.parametrize("aud", ["api", ["api"], ["other", "api2"]])
def test_one_audience_of_ours_is_enough(aud: object) -> None:
    assert isinstance(verify(RS256.token(aud=aud), ISSUERS, KEYS, NOW), Verified)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        pytest.param({"exp": NOW + 1}, "", id="ends_in_a_second"),
        pytest.param({"exp": NOW - 29}, "", id="ended_within_the_leeway"),
        pytest.param({"exp": NOW - 30}, "token_expired", id="ended_with_the_leeway"),
        pytest.param({"iat": NOW + 30}, "", id="issued_within_the_leeway"),
        pytest.param({"iat": NOW + 31}, "token_not_yet_valid", id="issued_later"),
        pytest.param({"nbf": NOW + 30}, "", id="valid_within_the_leeway"),
        pytest.param({"nbf": NOW + 31}, "token_not_yet_valid", id="valid_later"),
        pytest.param({"nbf": 0}, "", id="valid_always"),
        pytest.param({"exp": 2**40}, "", id="ends_at_the_limit"),
    ],
)
def test_times_hold_within_the_leeway(changes: dict[str, Any], code: str) -> None:
    verdict = verify(RS256.token(**changes), ISSUERS, KEYS, NOW)
    assert (verdict.code if isinstance(verdict, Refused) else "") == code


def test_until_is_the_first_second_of_refusal() -> None:
    token = RS256.token()
    verdict = verify(token, ISSUERS, KEYS, NOW)
    assert isinstance(verdict, Verified)
    assert isinstance(verify(token, ISSUERS, KEYS, verdict.until - 1), Verified)
    assert code_of(verify(token, ISSUERS, KEYS, verdict.until)) == "token_expired"


def test_an_unknown_key_is_wanted_by_name() -> None:
    assert verify(RS256.token({"kid": "new"}), ISSUERS, KEYS, NOW) == KeyWanted(
        "idp", "new", Refused("token_key_unknown", "the issuer has no such key")
    )


def test_an_issuer_whose_keys_were_never_read_is_unavailable() -> None:
    wanted = verify(RS256.token(), ISSUERS, KeyRing(), NOW)
    assert isinstance(wanted, KeyWanted)
    assert (wanted.issuer, wanted.kid) == ("idp", "rsa-1")
    assert code_of(wanted.refusal) == "issuer_unavailable"


def test_keys_are_believed_for_a_day_without_their_issuer() -> None:
    token = RS256.token(exp=NOW + 10 * KEYS_LAST_S)
    assert isinstance(verify(token, ISSUERS, KEYS, NOW + KEYS_LAST_S), Verified)
    wanted = verify(token, ISSUERS, KEYS, NOW + KEYS_LAST_S + 1)
    assert isinstance(wanted, KeyWanted)
    assert code_of(wanted.refusal) == "issuer_unavailable"
    assert isinstance(verify(token, ISSUERS, ring(RS256, at=NOW + KEYS_LAST_S), NOW + KEYS_LAST_S + 1), Verified)


def test_rotation_takes_old_and_new_keys_while_both_are_published() -> None:
    new = Signer("rsa-2", "RS256", "rsa-2")
    both, after = ring(RS256, new), ring(new)
    for signer in (RS256, new):
        assert isinstance(verify(signer.token(), ISSUERS, both, NOW), Verified)
    assert isinstance(verify(RS256.token(), ISSUERS, after, NOW), KeyWanted)


def test_a_token_without_kid_needs_an_issuer_with_one_key_that_fits() -> None:
    token = RS256.token({"kid": ...})
    assert isinstance(verify(token, ISSUERS, KEYS, NOW), Verified)
    twins = ring(RS256, Signer("rsa-2", "RS256", "rsa-2"))
    wanted = verify(token, ISSUERS, twins, NOW)
    assert isinstance(wanted, KeyWanted)
    assert wanted.kid == ""


def test_no_key_is_asked_for_on_behalf_of_junk() -> None:
    """Only a token that could be accepted makes control ask an issuer."""
    for changes in ({"exp": NOW - 900}, {"aud": "other"}, {"sub": ...}, {"iss": "https://other.test"}, {"nonce": "n"}):
        assert isinstance(verify(RS256.token({"kid": "new"}, **changes), ISSUERS, KEYS, NOW), Refused)


def test_claims_about_people_are_read_only_under_a_good_signature() -> None:
    stranger = Signer("rsa-2", "RS256", "rsa-1")
    issuers = IssuerTable.from_settings([replace(IDP, preset="entra")])
    token = stranger.token(groups={}, scope={}, azp="web", aud="api")
    assert code_of(verify(token, issuers, KEYS, NOW)) == "token_signature"
    assert code_of(verify(RS256.token(scope={}, azp="web"), issuers, KEYS, NOW)) == "token_claims"


def test_a_key_for_one_tenant_signs_for_no_other() -> None:
    """Microsoft publishes keys of all tenants in one set and names in `issuer` whom each serves."""
    entra = Issuer("idp", "https://login.test/{tenantid}/v2.0", ("api",), preset="entra", tenants=("t1", "t2"))
    issuers = IssuerTable.from_settings([entra])
    token = RS256.token(iss="https://login.test/t1/v2.0", azp="web", client_id=...)
    for key_issuer, accepted in (
        ("https://login.test/{tenantid}/v2.0", True),
        ("https://login.test/t1/v2.0", True),
        ("https://login.test/t2/v2.0", False),
        (None, True),
    ):
        (key,), _ = read_jwks(jwks(RS256), ALGORITHMS)
        key.issuer = key_issuer or ""
        verdict = verify(token, issuers, KeyRing().with_issuer("idp", [key], NOW), NOW)
        assert isinstance(verdict, Verified) is accepted
        assert accepted or code_of(verdict) == "token_key_unknown"


def test_long_headers_are_read_without_being_remembered() -> None:
    token = RS256.token({"x5c": ["A" * 2000]})
    assert isinstance(verify(token, ISSUERS, KEYS, NOW), Verified)


@pytest.mark.parametrize("cut", range(1, 40, 3))
def test_a_cut_token_is_refused(cut: int) -> None:
    code = code_of(verify(RS256.token()[:-cut], ISSUERS, KEYS, NOW))
    assert code in {"token_malformed", "token_signature"}


def test_refusals_never_quote_the_token() -> None:
    secret = "c0ffee-s3cret"
    for token in (
        RS256.token(sub=secret + "\n"),
        RS256.token(iss=secret),
        RS256.token(aud=secret),
        RS256.token({"kid": [secret]}),
        RS256.token({"alg": secret}),
        RS256.token({"typ": secret}),
        RS256.token({"crit": [secret]}),
        base64url(secret.encode()) + b"." + base64url(secret.encode()) + b".AA",
    ):
        verdict = verify(token, ISSUERS, KEYS, NOW)
        assert isinstance(verdict, Refused)
        assert secret not in verdict.detail


def test_claims_are_the_ones_the_signature_covers() -> None:
    """Payload and header are taken from the very bytes that were verified."""
    good, other = RS256.token(), RS256.token(sub="root")
    header, payload, signature = good.split(b".")
    assert (
        code_of(verify(b".".join((header, other.split(b".")[1], signature)), ISSUERS, KEYS, NOW)) == "token_signature"
    )
    assert claims()["sub"] == "jane"


TYPES: list[object] = [None, True, 0, -1, 1.5, "", "x", [], [[]], ["x", 1], {}, {"a": []}]
CLAIMS = (
    "iss", "sub", "aud", "exp", "iat", "nbf", "scope", "scp", "roles", "groups", "amr", "acr", "auth_time", "act",
    "client_id", "azp", "appid", "cid", "cnf", "events", "typ", "nonce", "token_use", "hasgroups", "_claim_names",
    "email", "email_verified", "oid", "gty", "preferred_username", "tid", "idtyp",
)  # fmt: skip


@pytest.mark.parametrize("preset", sorted(PRESETS))
@pytest.mark.parametrize("claim", CLAIMS)
def test_no_type_of_a_claim_is_more_than_a_refusal(preset: str, claim: str) -> None:
    """Each of these may be sent by anybody, and most are read before the signature."""
    issuers = IssuerTable.from_settings([replace(IDP, preset=preset, groups=Groups("groups", IDP.match))])
    for value in TYPES:
        said: dict[str, Any] = {"azp": "web", "cid": "web", "typ": "Bearer", claim: value}
        token = ES256.token(**said)
        assert isinstance(verify(token, issuers, KEYS, NOW), Verified | Refused)


@pytest.mark.parametrize("said", [value for value in TYPES if not isinstance(value, str)], ids=str)
def test_a_payload_whose_own_type_is_no_text_is_refused(said: object) -> None:
    assert code_of(verify(RS256.token(typ=said), ISSUERS, KEYS, NOW)) == "token_claims"


# === tokens that say nothing themselves ===

HUB = Issuer(
    "hub", "https://hub.test", ("api",), match=IDP.match, introspection=Introspection("door", "/s", prefixes=("gho_",))
)
REST = Issuer("rest", "https://rest.test", ("api",), match=IDP.match, introspection=Introspection("door", "/s"))
ASKED = IssuerTable.from_settings([IDP, HUB, REST])


@pytest.mark.parametrize(
    ("token", "issuer"),
    [(b"gho_16C7e42F292c6912E7710c838347Ae178B4a", "hub"), (b"2YotnFZFEjr1zCsicMWpAA", "rest"), (b"ya29.a0Ae", "rest"),
     (b"a.b.c", "rest"), (b"a.b.c.d.e", "rest"), (b"x" * OPAQUE_LIMIT_BYTES, "rest"), (b"dG9rZW4=", "rest")],
)  # fmt: skip
def test_an_opaque_token_is_for_its_issuer_to_judge(token: bytes, issuer: str) -> None:
    assert verify(token, ASKED, KEYS, NOW) == AnswerWanted(issuer, None)
    assert code_of(verify(token, ISSUERS, KEYS, NOW)) == "token_malformed", "where nobody is asked it is none"


@pytest.mark.parametrize(
    "token",
    [
        b"x" * (OPAQUE_LIMIT_BYTES + 1), b"x" * 100_000, b"gho_" + b"x" * OPAQUE_LIMIT_BYTES,
        b"a b", b"a=b", b"\xff", b"=", b"a\x00b", b"t,t", b'"t"', b"{}", b"%41",
    ],
)  # fmt: skip
def test_what_is_no_bearer_token_is_sent_to_nobody(token: bytes) -> None:
    """RFC 6750 section 2.1 says what one is made of; a large one would travel with every request."""
    assert code_of(verify(token, ASKED, KEYS, NOW)) == "token_malformed"


@pytest.mark.parametrize(
    ("token", "code"),
    [
        (RS256.token(iss="https://other.test"), "token_issuer"),
        (RS256.token(aud="other"), "token_audience"),
        (RS256.token(exp=NOW - 600), "token_expired"),
        (RS256.token()[:-16] + b"A" * 16, "token_signature"),
        (RS256.token({"alg": "none"}), "token_algorithm"),
        (RS256.token({"crit": ["x"]}), "token_malformed"),
        (RS256.sign(RS256.header(), b"no json"), "token_malformed"),
        (RS256.token(iss="https://rest.test", sub="x"), "accepted"),
    ],
)
def test_a_signed_token_is_judged_by_its_signature_and_shown_to_nobody(token: bytes, code: str) -> None:
    """A token of another issuer, or a broken one, never reaches a provider that did not give it out."""
    keys = KEYS.with_issuer("rest", read_jwks(jwks(RS256), ALGORITHMS)[0], NOW)
    verdict = verify(token, ASKED, keys, NOW)
    assert (verdict.code if isinstance(verdict, Refused) else "accepted") == code
    assert not isinstance(verdict, AnswerWanted)


# === trust domains ===

MESH = Issuer("mesh", "spiffe://marlow.example", ("api",), algorithms=ALGORITHMS, preset="spiffe")
OTHER_MESH = Issuer("partner", "spiffe://northtrail.example", ("api",), algorithms=ALGORITHMS, preset="spiffe")
DOMAINS = IssuerTable.from_settings([IDP, MESH, OTHER_MESH])
PARTNERS = Signer("p256-2", "ES256", "ec-1")  # under the name of a key of ours
DOMAIN_KEYS = KEYS.with_issuer("mesh", read_jwks(jwks(ES256), ALGORITHMS)[0], NOW).with_issuer(
    "partner", read_jwks(jwks(PARTNERS), ALGORITHMS)[0], NOW
)
SVID = {"sub": "spiffe://marlow.example/payments", "iss": ..., "iat": ..., "client_id": ..., "groups": ...}


@pytest.mark.parametrize(
    ("signer", "changes", "code"),
    [
        (ES256, {}, "accepted"),
        (ES256, {"iss": "https://oidc.marlow.test"}, "accepted"),
        (ES256, {"iss": "spiffe://marlow.example"}, "accepted"),
        (PARTNERS, {}, "token_signature"),
        (RS256, {}, "token_key_unknown"),
        (PARTNERS, {"iss": "spiffe://northtrail.example"}, "token_claims"),
        (PARTNERS, {"iss": "spiffe://marlow.example"}, "token_signature"),
        (ES256, {"iss": "https://idp.test", "iat": NOW}, "accepted"),
        (PARTNERS, {"iss": "https://idp.test", "iat": NOW}, "token_signature"),
        (ES256, {"iss": None}, "token_claims"),
        (ES256, {"iss": ["spiffe://marlow.example"]}, "token_claims"),
        (ES256, {"sub": "spiffe://northtrail.example/payments"}, "token_signature"),
        (ES256, {"sub": "spiffe://nobody.example/payments"}, "token_issuer"),
        (ES256, {"sub": "payments"}, "token_claims"),
    ],
)  # fmt: skip
def test_a_trust_domain_speaks_for_its_own_ids_with_its_own_keys(
    signer: Signer, changes: dict[str, object], code: str
) -> None:
    """Whatever a token says of its issuer, an id is only as good as a signature of its trust domain."""
    verdict = verify(signer.token({"typ": "JWT"}, **(SVID | changes)), DOMAINS, DOMAIN_KEYS, NOW)
    if isinstance(verdict, KeyWanted):
        verdict = verdict.refusal
    assert (verdict.code if isinstance(verdict, Refused) else "accepted") == code
    if isinstance(verdict, Verified) and verdict.issuer == "mesh":
        assert verdict.client_id == "spiffe://marlow.example/payments"
        assert verdict.workload
    elif isinstance(verdict, Verified):
        assert not verdict.workload, "an issuer of people makes no SPIFFE id a program"
