"""What a verified token says about who is asking: every claim that is used has its type, or the token is refused."""

from dataclasses import replace
from typing import Any

import pytest

from gateway.config import Groups, Issuer, MatchField
from gateway.config.sign_in import Client, CommandLine
from gateway.errors import Refused
from gateway.identity.claims import (
    ACTORS_LIMIT,
    GROUPS_LIMIT,
    SCOPES_LIMIT,
    Actor,
    Verified,
    client_of,
    read_claims,
    say_the_same,
)
from gateway.identity.issuers import IssuerRules, IssuerTable
from tests.support.tokens import NOW, claims

IDP = Issuer(
    "idp",
    "https://idp.test",
    ("api",),
    match=(MatchField("sub", "metadata.name"), MatchField("employee.number", "annotations.corp.test/number")),
    groups=Groups("groups", (MatchField("groups", "metadata.name"),)),
)
MAIL = Issuer("idp", "https://idp.test", ("api",), match=(MatchField("email", "spec.profile.email", ("Corp.test",)),))


def rules_of(issuer: Issuer) -> IssuerRules:
    return IssuerTable.from_settings([issuer]).by_iss["https://idp.test"]


def read(issuer: Issuer = IDP, **changes: object) -> Verified | Refused:
    return read_claims(claims(**changes), rules_of(issuer), "idp:k", NOW)


def accepted(issuer: Issuer = IDP, **changes: object) -> Verified:
    seen = read(issuer, **changes)
    assert isinstance(seen, Verified), seen
    return seen


def test_the_whole_of_a_token() -> None:
    seen = accepted(
        nbf=NOW - 5, roles=["clerk"], amr=["pwd", "otp"], acr="1", auth_time=NOW - 60, employee={"number": "7"}
    )
    assert {name: getattr(seen, name) for name in dir(seen) if not name.startswith("_")} == {
        "issuer": "idp",
        "subject": "jane",
        "client_id": "web",
        "client_is_ours": True,
        "key_id": "idp:k",
        "issued_at": NOW - 10,
        "not_before": NOW - 5,
        "expires": NOW + 300,
        "until": NOW + 330,
        "match": (("sub", "jane"), ("employee.number", "7")),
        "groups": ("payments",),
        "scopes": {"openid", "payments:read", "clerk"},
        "bounded": True,
        "amr": {"pwd", "otp"},
        "acr": "1",
        "auth_time": NOW - 60,
        "actors": (),
        "workload": False,
    }


def test_what_is_absent_says_nothing() -> None:
    seen = accepted(client_id=..., scope=..., groups=...)
    assert (seen.client_id, seen.scopes, seen.groups, seen.bounded) == ("", frozenset(), None, False)
    assert (seen.amr, seen.acr, seen.auth_time, seen.not_before) == (frozenset(), "", 0, 0)
    assert seen.match == (("sub", "jane"),)


@pytest.mark.parametrize(
    ("changes", "claim"),
    [
        pytest.param({"groups": {"payments": True}}, "groups", id="groups_object"),
        pytest.param({"groups": [["payments"]]}, "groups", id="groups_list_of_lists"),
        pytest.param({"groups": ["payments", 1]}, "groups", id="groups_with_number"),
        pytest.param({"groups": ["payments", None]}, "groups", id="groups_with_null"),
        pytest.param({"groups": True}, "groups", id="groups_true"),
        pytest.param({"groups": 7}, "groups", id="groups_number"),
        pytest.param({"groups": None}, "groups", id="groups_null"),
        pytest.param({"groups": ""}, "groups", id="groups_empty_text"),
        pytest.param({"groups": [""]}, "groups", id="groups_empty_name"),
        pytest.param({"groups": ["a\r\nb"]}, "groups", id="groups_line_end"),
        pytest.param({"groups": ["a\ud800"]}, "groups", id="groups_surrogate"),
        pytest.param({"groups": ["g" * 256]}, "groups", id="groups_long_name"),
        pytest.param({"groups": ["g"] * (GROUPS_LIMIT + 1)}, "groups", id="groups_too_many"),
        pytest.param({"scope": {"a": 1}}, "scope", id="scope_object"),
        pytest.param({"scope": 1}, "scope", id="scope_number"),
        pytest.param({"scope": True}, "scope", id="scope_true"),
        pytest.param({"scope": ["a", 1]}, "scope", id="scope_list_with_number"),
        pytest.param({"scope": "a\tb"}, "scope", id="scope_tab"),
        pytest.param({"scope": "a " * (SCOPES_LIMIT + 1)}, "scope", id="scope_too_many"),
        pytest.param({"scp": {"a": 1}}, "scope", id="scp_object"),
        pytest.param({"roles": {"a": 1}}, "roles", id="roles_object"),
        pytest.param({"roles": [["a"]]}, "roles", id="roles_nested"),
        pytest.param({"amr": {"mfa": True}}, "amr", id="amr_object"),
        pytest.param({"amr": ["mfa", 1]}, "amr", id="amr_with_number"),
        pytest.param({"acr": 1}, "acr", id="acr_number"),
        pytest.param({"acr": ["1"]}, "acr", id="acr_list"),
        pytest.param({"acr": "a\nb"}, "acr", id="acr_line_end"),
        pytest.param({"auth_time": "1"}, "auth_time", id="auth_time_text"),
        pytest.param({"auth_time": True}, "auth_time", id="auth_time_true"),
        pytest.param({"auth_time": 1.5}, "auth_time", id="auth_time_fraction"),
        pytest.param({"auth_time": -1}, "auth_time", id="auth_time_negative"),
        pytest.param({"auth_time": NOW + 31}, "auth_time", id="auth_time_to_come"),
        pytest.param({"client_id": 7}, "client_id", id="client_number"),
        pytest.param({"client_id": ["web"]}, "client_id", id="client_list"),
        pytest.param({"client_id": ""}, "client_id", id="client_empty"),
        pytest.param({"client_id": "a\r\nb"}, "client_id", id="client_line_end"),
        pytest.param({"azp": "other"}, "client_id", id="two_clients"),
        pytest.param({"employee": {"number": 7}}, "employee.number", id="match_number"),
        pytest.param({"employee": {"number": "a\nb"}}, "employee.number", id="match_line_end"),
        pytest.param({"_claim_names": "groups"}, "_claim_names", id="groups_elsewhere_text"),
        pytest.param({"_claim_names": ["groups"]}, "_claim_names", id="groups_elsewhere_list"),
        pytest.param({"_claim_names": None}, "_claim_names", id="groups_elsewhere_null"),
        pytest.param({"act": "orders"}, "act", id="actor_text"),
        pytest.param({"act": ["orders"]}, "act", id="actor_list"),
        pytest.param({"act": {}}, "act", id="actor_without_subject"),
        pytest.param({"act": {"sub": 1}}, "act", id="actor_number"),
        pytest.param({"act": {"sub": "a\r\nb"}}, "act", id="actor_line_end"),
        pytest.param({"act": {"sub": "a", "client_id": 1}}, "act", id="actor_client_number"),
        pytest.param({"act": {"sub": "a", "iss": "https://other.test"}}, "act", id="actor_of_another_issuer"),
        pytest.param({"act": {"sub": "a", "act": "b"}}, "act", id="actors_actor_text"),
        pytest.param({"act": {"sub": "a", "act": {"sub": ""}}}, "act", id="actors_actor_empty"),
    ],
)
def test_a_mistyped_claim_refuses_the_token_by_name(changes: dict[str, Any], claim: str) -> None:
    seen = read(**changes)
    assert isinstance(seen, Refused)
    assert seen.code == "token_claims"
    assert f"`{claim}`" in seen.detail


def test_a_refusal_never_quotes_a_value() -> None:
    seen = read(groups=["secret\r\nvalue"])
    assert isinstance(seen, Refused)
    assert "secret" not in seen.detail


@pytest.mark.parametrize(
    ("changes", "groups"),
    [
        pytest.param({"groups": "payments"}, ("payments",), id="one_text_is_one_group"),
        pytest.param({"groups": []}, (), id="no_groups_is_a_statement"),
        pytest.param({"groups": ["a", "b c", "/d/e"]}, ("a", "b c", "/d/e"), id="list"),
        pytest.param({"groups": ...}, None, id="absent"),
        pytest.param({"groups": ..., "_claim_names": {"groups": "src1"}}, None, id="listed_elsewhere"),
        pytest.param({"_claim_names": {"groups": "src1"}}, None, id="listed_here_and_elsewhere"),
        pytest.param({"_claim_names": {"other": "src1"}}, ("payments",), id="another_claim_elsewhere"),
        pytest.param({"hasgroups": True}, None, id="too_many_to_list"),
        pytest.param({"hasgroups": False}, ("payments",), id="not_too_many"),
    ],
)
def test_groups_are_listed_or_unknown(changes: dict[str, Any], groups: tuple[str, ...] | None) -> None:
    assert accepted(**changes).groups == groups


def test_groups_are_not_read_where_settings_name_no_claim() -> None:
    assert accepted(MAIL, groups={"any": "thing"}).groups is None


@pytest.mark.parametrize(
    ("changes", "scopes", "bounded"),
    [
        pytest.param({"scope": "a b"}, {"a", "b"}, True, id="text"),
        pytest.param({"scope": " a  b "}, {"a", "b"}, True, id="spaces"),
        pytest.param({"scope": ["a", "b"]}, {"a", "b"}, True, id="list"),
        pytest.param({"scope": ..., "scp": "a b"}, {"a", "b"}, True, id="scp_text"),
        pytest.param({"scope": ..., "scp": ["a"]}, {"a"}, True, id="scp_list"),
        pytest.param({"scope": "openid", "scp": ["a"]}, {"openid", "a"}, True, id="both"),
        pytest.param({"scope": "openid profile email"}, {"openid", "profile", "email"}, False, id="protocol_alone"),
        pytest.param({"scope": ""}, set(), False, id="empty"),
        pytest.param({"scope": "openid", "roles": ["clerk"]}, {"openid", "clerk"}, False, id="roles_do_not_bound"),
        pytest.param({"scope": ..., "roles": "clerk of court"}, {"clerk of court"}, False, id="role_with_spaces"),
    ],
)
def test_scopes_of_a_token(changes: dict[str, Any], scopes: set[str], bounded: bool) -> None:
    seen = accepted(**changes)
    assert (set(seen.scopes), seen.bounded) == (scopes, bounded)


def test_an_issuer_may_add_scopes_instead_of_bounding() -> None:
    adding = Issuer("idp", "https://idp.test", ("api",), scopes="add")
    assert accepted(adding).bounded is False


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        pytest.param({"email": "jane@corp.test"}, "jane@corp.test", id="verified"),
        pytest.param({"email": "Jane@CORP.test"}, "jane@corp.test", id="folded"),
        pytest.param({"email": "jane@corp.test", "email_verified": False}, "", id="not_verified"),
        pytest.param({"email": "jane@corp.test", "email_verified": ...}, "", id="verification_absent"),
        pytest.param({"email": "jane@corp.test", "email_verified": "true"}, "", id="verified_as_text"),
        pytest.param({"email": "jane@corp.test", "email_verified": 1}, "", id="verified_as_number"),
        pytest.param({"email": "jane@evil.test"}, "", id="foreign_domain"),
        pytest.param({"email": "jane@sub.corp.test"}, "", id="subdomain"),
        pytest.param({"email": "jane@corp.test."}, "", id="trailing_dot"),
        pytest.param({"email": "jane@evil.test@corp.test"}, "", id="two_at_signs"),
        pytest.param({"email": '"jane@evil.test"@corp.test'}, "", id="quoted_at_sign"),
        pytest.param({"email": "@corp.test"}, "", id="nobody"),
        pytest.param({"email": "jane"}, "", id="no_at_sign"),
        pytest.param({"email": "jane@"}, "", id="no_domain"),
        pytest.param({"email": "\u212aim@corp.test"}, "", id="kelvin_sign"),
        pytest.param({"email": "jane@\uff43orp.test"}, "", id="full_width_domain"),
        pytest.param({"email": ...}, "", id="absent"),
    ],
)
def test_email_names_somebody_only_when_it_can_be_believed(changes: dict[str, object], match: str) -> None:
    seen = accepted(MAIL, **{"email_verified": True, **changes})
    assert seen.match == ((("email", match),) if match else ())


def test_actors_come_latest_first_and_are_bounded() -> None:
    chain: Any = None
    for number in range(ACTORS_LIMIT):
        chain = {"sub": f"a{number}", "client_id": f"c{number}", "iss": "https://idp.test"} | (
            {"act": chain} if chain else {}
        )
    assert accepted(act=chain).actors[0] == Actor(f"a{ACTORS_LIMIT - 1}", f"c{ACTORS_LIMIT - 1}")
    assert len(accepted(act=chain).actors) == ACTORS_LIMIT
    assert isinstance(read(act={"sub": "one more", "act": chain}), Refused)
    assert accepted(act={"sub": "orders"}).actors == (Actor("orders", ""),)


def test_names_of_the_client_that_agree_are_one() -> None:
    assert client_of({"client_id": "web", "azp": "web"}, rules_of(IDP)) == "web"
    assert client_of({"azp": "web"}, rules_of(IDP)) == "web"
    assert client_of({}, rules_of(IDP)) == ""


def test_a_program_is_told_from_a_person() -> None:
    assert accepted(sub="web").workload is True
    assert accepted(sub="jane").workload is False


def test_nothing_but_times_may_differ_between_tokens_that_say_the_same() -> None:
    """A fact that were left out here would give one token's rights to another."""
    times = {"issued_at", "not_before", "expires", "until"}
    names = {name for name in dir(accepted()) if not name.startswith("_")}
    for name in names:
        one, other = accepted(), accepted()
        assert say_the_same(one, other)
        value = getattr(one, name)
        another: object = not value if isinstance(value, bool) else value + 1 if isinstance(value, int) else None
        if another is None:
            another = f"{value}x" if isinstance(value, str) else frozenset({"x"}) if name in ("scopes", "amr") else ()
        if another == value:
            another = (Actor("joe", ""),)
        setattr(other, name, another)
        assert say_the_same(one, other) is (name in times), name
        assert say_the_same(other, one) is (name in times), name
    assert len(names) == 18


@pytest.mark.parametrize(
    ("said", "methods"),
    [
        ({"acr": "gold"}, {"mfa"}),
        ({"acr": "gold", "amr": ["pwd"]}, {"pwd", "mfa"}),
        ({"acr": "silver"}, {"mfa"}),  # of the command line's words
        ({"acr": "bronze", "amr": ["pwd"]}, {"pwd"}),
        ({"acr": "GOLD"}, set()),
        ({"acr": "gold silver"}, set()),
        ({"acr": ""}, set()),
        ({}, set()),
    ],
)
def test_an_acr_that_the_operator_calls_a_second_factor_is_one(said: dict[str, Any], methods: set[str]) -> None:
    """RFC 9068 section 2.2.1: Okta's and Keycloak's access tokens say `acr` and no `amr`."""
    line = CommandLine("laptop", mfa_acr_values=("silver",))
    issuer = replace(IDP, client=Client("door", mfa_acr_values=("gold",)), command_line=line)
    assert accepted(issuer, **said).amr == methods
    assert "mfa" not in accepted(IDP, **said).amr  # nobody else's word counts
