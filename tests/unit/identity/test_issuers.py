"""Issuer settings compiled: exact issuers, claim look-up, workload conditions."""

from dataclasses import replace
from typing import Literal

import pytest

from gateway.config import Groups, Introspection, Issuer, MatchField
from gateway.identity.issuers import LEEWAY_LIMIT_S, LEEWAY_S, Claim, IssuerRules, IssuerTable

IDP = Issuer("idp", "https://idp.test", ("api",))


def rules_of(issuer: Issuer, leeway_s: int = LEEWAY_S) -> IssuerRules:
    rules = IssuerTable.from_settings([issuer], leeway_s).named(issuer.name)
    assert rules is not None
    return rules


def test_an_issuer_is_found_by_its_exact_text_alone() -> None:
    table = IssuerTable.from_settings([IDP])
    assert set(table.by_iss) == {"https://idp.test"}
    assert table.named("idp") is table.by_iss["https://idp.test"]
    assert table.named("https://idp.test") is None


def test_two_settings_with_one_issuer_are_both_disbelieved() -> None:
    twin = Issuer("twin", "https://idp.test", ("everything",))
    third = Issuer("third", "https://third.test", ("api",))
    for order in ([IDP, twin, third], [twin, third, IDP], [IDP, twin, third, twin]):
        table = IssuerTable.from_settings(order)
        assert set(table.by_iss) == {"https://third.test"}
        assert table.named("idp") is table.named("twin") is None


@pytest.mark.parametrize(("asked", "given"), [(0, 0), (30, 30), (60, 60), (3600, LEEWAY_LIMIT_S), (-5, 0)])
def test_leeway_stays_within_a_minute(asked: int, given: int) -> None:
    assert rules_of(IDP, asked).leeway_s == given


def test_algorithms_nobody_implements_are_dropped() -> None:
    """A settings file cannot bring `none` or HMAC back."""
    issuer = Issuer("idp", "https://idp.test", ("api",), algorithms=("none", "HS256", "ES256"))
    assert rules_of(issuer).algorithms == {"ES256"}


def test_types_compare_in_lower_case_and_presets_alone_allow_none() -> None:
    assert rules_of(IDP).token_types == {"at+jwt", "application/at+jwt", "jwt"}
    assert "" in rules_of(Issuer("okta", "https://okta.test", ("api",), preset="okta")).token_types


def test_a_tenant_template_is_its_tenants_and_no_pattern() -> None:
    entra = Issuer("entra", "https://login.test/{tenantid}/v2.0", ("api",), preset="entra", tenants=("t1", "t2"))
    table = IssuerTable.from_settings([entra])
    assert set(table.by_iss) == {"https://login.test/t1/v2.0", "https://login.test/t2/v2.0"}
    assert rules_of(entra).tenants == {"https://login.test/t1/v2.0": "t1", "https://login.test/t2/v2.0": "t2"}


def test_a_template_without_tenants_accepts_nobody() -> None:
    table = IssuerTable.from_settings([Issuer("entra", "https://login.test/{tenantid}/v2.0", ("api",), preset="entra")])
    assert table.by_iss == {}
    assert table.named("entra") is None


@pytest.mark.parametrize(
    ("name", "claims", "found"),
    [
        ("sub", {"sub": "jane"}, "jane"),
        ("sub", {}, None),
        ("sub", {"sub": None}, None),
        ("realm_access.roles", {"realm_access": {"roles": ["a"]}}, ["a"]),
        ("realm_access.roles", {"realm_access.roles": "flat"}, "flat"),
        ("realm_access.roles", {"realm_access": "text"}, None),
        ("realm_access.roles", {"realm_access": {}}, None),
        ("a.b.c", {"a": {"b": {"c": 1}}}, 1),
        ("https://idp.test/groups", {"https://idp.test/groups": ["g"]}, ["g"]),
        ("https://idp.test/groups", {"https://idp": {"test/groups": ["g"]}}, None),
    ],
)
def test_a_claim_is_a_member_or_a_dotted_path(name: str, claims: dict[str, object], found: object) -> None:
    assert Claim(name).of(claims) == found


def test_email_rules_keep_their_domains_folded() -> None:
    issuer = Issuer(
        "idp", "https://idp.test", ("api",), match=(MatchField("email", "spec.profile.email", ("Corp.TEST",)),)
    )
    (rule,) = rules_of(issuer).match
    assert rule.email
    assert rule.domains == {"corp.test"}


def test_a_user_name_is_never_taken_for_an_address() -> None:
    """`email_verified` speaks of `email` alone; whoever picks `preferred_username` could pick a colleague's address."""
    rules = (MatchField("preferred_username", "spec.profile.email", ("corp.test",)), MatchField("sub", "metadata.name"))
    issuer = Issuer("idp", "https://idp.test", ("api",), match=rules)
    assert [rule.claim.name for rule in rules_of(issuer).match] == ["sub"]


def test_groups_are_looked_up_by_the_claim_that_is_set() -> None:
    issuer = Issuer(
        "idp", "https://idp.test", ("api",), groups=Groups("realm.teams", (MatchField("realm.teams", "metadata.name"),))
    )
    groups = rules_of(issuer).groups
    assert groups is not None
    assert groups.path == ("realm", "teams")
    assert rules_of(IDP).groups is None


@pytest.mark.parametrize(
    ("when", "claims", "client", "workload"),
    [
        pytest.param({"sub": "{client}"}, {"sub": "svc"}, "svc", True, id="subject_is_the_client"),
        pytest.param({"sub": "{client}"}, {"sub": "jane"}, "svc", False, id="subject_is_somebody"),
        pytest.param({"sub": "{client}"}, {"sub": ""}, "", False, id="no_client"),
        pytest.param({"sub": "{client}@clients"}, {"sub": "svc@clients"}, "svc", True, id="text_around"),
        pytest.param({"idtyp": "app"}, {"idtyp": "app", "sub": "x"}, "svc", True, id="literal"),
        pytest.param({"idtyp": "app"}, {"idtyp": ["app"]}, "svc", False, id="list_is_no_text"),
        pytest.param({"idtyp": "app"}, {"idtyp": True}, "svc", False, id="true_is_no_text"),
        pytest.param({"idtyp": "app"}, {}, "svc", False, id="absent"),
        pytest.param({"sub": "{oid}"}, {"sub": "x", "oid": "x"}, "svc", True, id="two_claims_alike"),
        pytest.param({"sub": "{oid}"}, {"sub": "x"}, "svc", False, id="other_claim_absent"),
        pytest.param({"idtyp": "{oid}"}, {}, "svc", False, id="two_absences_are_not_alike"),
        pytest.param({"sub": "{oid}"}, {"sub": "None"}, "svc", False, id="absence_is_not_its_name"),
        pytest.param({"sub": "{n}"}, {"sub": "1", "n": 1}, "svc", False, id="number_is_not_its_text"),
        pytest.param({"sub": "{client}", "gty": "cc"}, {"sub": "svc"}, "svc", False, id="one_of_two_conditions"),
        pytest.param({"sub": "{client}", "gty": "cc"}, {"sub": "svc", "gty": "cc"}, "svc", True, id="both_conditions"),
    ],
)
def test_a_workload_is_one_only_when_every_condition_holds(
    when: dict[str, str], claims: dict[str, object], client: str, workload: bool
) -> None:
    issuer = Issuer("idp", "https://idp.test", ("api",), workload_when=when)
    assert rules_of(issuer).is_workload(claims, client) is workload


def test_without_conditions_nobody_is_a_workload() -> None:
    google = Issuer("google", "https://accounts.google.com", ("api",), preset="google")
    assert not rules_of(google).is_workload({"sub": "svc"}, "svc")


@pytest.mark.parametrize(
    ("alone", "said", "ours"),
    [(True, "", True), (True, "foreign", False), (False, "", False), (False, "ours", True), (False, "foreign", False)],
)
def test_of_several_issuers_only_those_share_client_ids_with_the_catalog_that_say_so(
    alone: bool, said: Literal["", "ours", "foreign"], ours: bool
) -> None:
    partner = Issuer("partner", "https://partner.test", ("api",), clients="ours")
    issuer = replace(IDP, clients=said)
    rules = IssuerTable.from_settings([issuer] if alone else [issuer, partner]).named("idp")
    assert rules is not None
    assert rules.clients_are_ours is ours


# === whom a token without `iss` belongs to ===

SPIFFE = Issuer("mesh", "spiffe://marlow.example", ("door",), preset="spiffe", jwks_uri="https://spire.test/keys")


def asked(name: str, *prefixes: str, tokens: Literal["opaque", "signed", "all"] = "opaque") -> Issuer:
    introspection = Introspection("door", "/secret", prefixes=prefixes, tokens=tokens)
    return replace(IDP, name=name, issuer=f"https://{name}.test", introspection=introspection)


def about(token: bytes, *issuers: Issuer) -> str:
    rules = IssuerTable.from_settings(issuers).asked_about(token)
    return rules.name if rules is not None else ""


@pytest.mark.parametrize(
    ("token", "expected"),
    [(b"gho_abc", "hub"), (b"ghp_abc", "hub"), (b"ory_at_abc", "hydra"), (b"gho", "rest"), (b"xgho_abc", "rest"),
     (b"GHO_abc", "rest"), (b"", "rest")],
)  # fmt: skip
def test_exactly_one_issuer_is_asked_about_an_opaque_token(token: bytes, expected: str) -> None:
    """Whoever is asked gets to know the token, and could use it elsewhere: never a second one."""
    assert about(token, asked("hub", "gho_", "ghp_"), asked("hydra", "ory_at_"), asked("rest")) == expected


def test_without_a_prefix_for_the_rest_nobody_is_asked() -> None:
    assert about(b"other", asked("hub", "gho_"), IDP) == ""
    assert about(b"gho_abc", IDP) == ""


def test_the_order_of_the_settings_decides_between_prefixes() -> None:
    assert about(b"gho_abc", asked("one", "g"), asked("two", "gho_")) == "one"
    assert about(b"gho_abc", asked("two", "gho_"), asked("one", "g")) == "two"


def test_an_issuer_of_signed_tokens_is_asked_about_no_others() -> None:
    issuers = (asked("signed", tokens="signed"), asked("all", "a", tokens="all"), asked("opaque", "o"))
    assert [about(token, *issuers) for token in (b"x", b"a1", b"o1")] == ["", "all", "opaque"]
    table = IssuerTable.from_settings(issuers)
    assert [table.named(name).asks for name in ("signed", "all", "opaque")] == [True, True, False]  # type: ignore[union-attr]  # all three are there


@pytest.mark.parametrize(
    ("subject", "found"),
    [
        ("spiffe://marlow.example/payments", True),
        ("spiffe://marlow.example/", True),
        ("spiffe://marlow.example", True),
        ("spiffe://marlow.example.evil/payments", False),
        ("spiffe://evil/marlow.example/payments", False),
        ("spiffe://MARLOW.example/payments", False),
        ("SPIFFE://marlow.example/payments", False),
        ("https://marlow.example/payments", False),
        (["spiffe://marlow.example/payments"], False),
        (None, False),
    ],
)
def test_a_spiffe_id_belongs_to_its_trust_domain(subject: object, found: bool) -> None:
    """The whole trust domain, to the letter; that the id has a path is asked later, with everything else."""
    table = IssuerTable.from_settings([IDP, SPIFFE])
    assert (table.of_spiffe_id(subject) is table.named("mesh")) is found
    assert IssuerTable.from_settings([IDP]).of_spiffe_id(subject) is None


# === platforms ===


def test_the_names_a_platform_gives_out_are_ours_unless_said_otherwise() -> None:
    """They say whose they are; a client id of another issuer says nothing, and counts only where it was said."""
    hub = Issuer("hub", "https://hub.test", ("door",), preset="github-actions")
    for ours, issuers in ((True, [IDP, hub]), (True, [hub]), (False, [IDP, replace(hub, clients="foreign")])):
        rules = IssuerTable.from_settings(issuers).named("hub")
        assert rules is not None
        assert rules.clients_are_ours is ours


@pytest.mark.parametrize(
    ("client_id", "ours"),
    [
        ("orders", True),
        ("https://orders.example", True),
        ("hub", True),
        ("hub:marlow/payments", False),
        ("spiffe://marlow.example/payments", False),
        ("spiffe://partner.example/payments", False),
        ("dns:payments.marlow.example", False),
    ],
)
def test_no_oauth_client_is_the_program_of_a_platform_or_a_certificate_by_its_name(client_id: str, ours: bool) -> None:
    """Whoever may register clients at an issuer that is ours chooses their ids."""
    hub = Issuer("hub", "https://hub.test", ("door",), preset="github-actions")
    for issuers in ([replace(IDP, clients="ours"), hub, SPIFFE], [hub, SPIFFE, replace(IDP, clients="ours")]):
        rules = IssuerTable.from_settings(issuers).named("idp")
        assert rules is not None
        assert rules.is_ours(client_id) is ours


def test_a_platforms_own_names_are_its_programs() -> None:
    hub = Issuer("hub", "https://hub.test", ("door",), preset="github-actions")
    table = IssuerTable.from_settings([IDP, hub, SPIFFE])
    for name, client_id in (("hub", "hub:marlow/payments"), ("mesh", "spiffe://marlow.example/payments")):
        rules = table.named(name)
        assert rules is not None
        assert rules.is_ours(client_id)


@pytest.mark.parametrize(
    ("when", "claims", "unfit"),
    [
        ({"ref": "refs/heads/main"}, {"ref": "refs/heads/main"}, ""),
        ({"ref": ("a", "b")}, {"ref": "b"}, ""),
        ({"ref": ("a", "b")}, {"ref": "c"}, "ref"),
        ({"ref": ("a", "b")}, {"ref": ["a", "b"]}, "ref"),
        ({"ref": ("a", "b")}, {}, "ref"),
        ({"ref": "a", "sub": "repo:{repository}:x"}, {"ref": "a", "sub": "repo:m/p:x", "repository": "m/p"}, ""),
        ({"ref": "a", "sub": "repo:{repository}:x"}, {"ref": "a", "sub": "repo:m/p:x"}, "sub"),
        ({"protected": "true"}, {"protected": True}, "protected"),
    ],
)
def test_every_condition_holds_and_of_a_list_one_value(
    when: dict[str, str | tuple[str, ...]], claims: dict[str, object], unfit: str
) -> None:
    rules = rules_of(replace(IDP, workload_when=when))
    assert rules.unfit(claims, "client") == unfit
    assert rules.is_workload(claims, "client") is (unfit == "")
    assert not rules.is_workload(claims, ""), "whom nobody can name is no program"
