"""Registered claims and kinds, asked directly: what may be missing where, and what never may."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gateway.config import Issuer, MatchField
from gateway.errors import Refused
from gateway.identity.issuers import IssuerRules, IssuerTable
from gateway.identity.registered import refused_by_kind, refused_by_registered
from tests.support.tokens import NOW, claims


def rules_of(preset: str, issuer: str = "https://idp.test") -> IssuerRules:
    match = () if preset == "spiffe" else (MatchField("sub", "metadata.name"),)
    rules = IssuerTable.from_settings([Issuer("idp", issuer, ("api",), preset=preset, match=match)]).named("idp")
    assert rules is not None
    return rules


GENERIC = rules_of("generic")
SPIFFE = rules_of("spiffe", "spiffe://marlow.example")
SPIFFE_ID = "spiffe://marlow.example/payments"


@pytest.mark.parametrize("missing", ["sub", "aud", "exp", "iat"])
def test_every_registered_claim_is_needed(missing: str) -> None:
    assert refused_by_registered(claims(), GENERIC, NOW) is None
    assert refused_by_registered(claims(**{missing: ...}), GENERIC, NOW) == Refused(
        "token_claims", f"`{missing}` is missing or not what it must be"
    )


@pytest.mark.parametrize("missing", ["sub", "aud", "exp"])
def test_what_a_svid_may_lack_is_iat_alone(missing: str) -> None:
    assert refused_by_registered(claims(sub=SPIFFE_ID, iat=...), SPIFFE, NOW) is None
    refused = refused_by_registered(claims(**({"sub": SPIFFE_ID} | {missing: ...})), SPIFFE, NOW)
    assert refused is not None
    assert refused.code == "token_claims"


@pytest.mark.parametrize("iat", [None, "now", 1.5, True, -1, 2**60])
def test_a_claim_that_may_be_missing_is_not_of_any_type(iat: object) -> None:
    refused = refused_by_registered(claims(sub=SPIFFE_ID, iat=iat), SPIFFE, NOW)
    assert refused == Refused("token_claims", "`iat` is missing or not what it must be")


def test_an_iat_to_come_refuses_where_it_may_be_missing_too() -> None:
    refused = refused_by_registered(claims(sub=SPIFFE_ID, iat=NOW + 3600), SPIFFE, NOW)
    assert refused is not None
    assert refused.code == "token_not_yet_valid"


@pytest.mark.parametrize(
    "sub", ["jane", "spiffe://marlow.example", "spiffe://marlow.examplex/payments", "spiffe://northtrail.example/x"]
)
def test_a_subject_of_another_trust_domain_is_nobody(sub: str) -> None:
    refused = refused_by_registered(claims(sub=sub), SPIFFE, NOW)
    assert refused == Refused("token_claims", "`sub` is missing or not what it must be")


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"cnf": {"jkt": "x"}}, "token_type"),
        ({"events": {}}, "token_type"),
        ({"htm": "GET"}, "token_type"),
        ({"nonce": "n"}, "token_type"),
        ({"token_use": "id"}, "token_type"),
        ({"token_use": "access_token"}, "token_type"),
        ({"typ": "Refresh"}, "token_type"),
        ({"typ": 7}, "token_claims"),
    ],
)
def test_other_kinds_are_refused(changes: dict[str, object], code: str) -> None:
    refused = refused_by_kind(claims(**changes), GENERIC)
    assert refused is not None
    assert refused.code == code
    assert refused_by_kind(claims(), GENERIC) is None


def test_a_provider_that_names_every_client_gives_out_no_access_token_without() -> None:
    rules = replace(GENERIC, client_required=True)
    assert refused_by_kind(claims(), rules) is None
    refused = refused_by_kind(claims(client_id=...), rules)
    assert refused is not None
    assert refused.code == "token_type"
