"""Each provider's tokens as they look, read through its preset; and what presets fill in."""

import json
from pathlib import Path
from typing import Any

import pytest

from gateway.config import Groups, Introspection, Issuer, MatchField
from gateway.errors import Refused
from gateway.identity.issuers import IssuerTable
from gateway.identity.jwks import KeyRing, read_jwks
from gateway.identity.presets import PRESETS, PROTOCOL_SCOPES, faults_of, groups_of, key_fields, with_preset
from gateway.identity.tokens import Verified, verify
from policy.facts import KeyField
from tests.support.tokens import NOW, Signer, jwks

SHAPES = sorted((Path(__file__).parents[2] / "golden/identity/tokens").glob("*.json"))
SILENT = {"acr": "", "amr": [], "auth_time": 0, "actors": []}


def issuer_of(settings: dict[str, Any]) -> Issuer:
    match = tuple(
        MatchField(claim, field, tuple(settings.get("domains", ())))
        for claim, field in settings.get("match", {}).items()
    )
    groups = [Groups(claim, (MatchField(claim, field),)) for claim, field in settings.get("groups", {}).items()]
    return Issuer(
        settings["preset"],
        settings["issuer"],
        tuple(settings["audiences"]),
        preset=settings["preset"],
        match=match,
        groups=groups[0] if groups else None,
        tenants=tuple(settings.get("tenants", ())),
        workload_when={
            claim: text if isinstance(text, str) else tuple(text)
            for claim, text in settings.get("workload_when", {}).items()
        },
    )


@pytest.mark.parametrize("path", SHAPES, ids=lambda path: path.stem)
def test_a_providers_token_reads_as_recorded(path: Path) -> None:
    shape = json.loads(path.read_text())
    issuer = issuer_of(shape["settings"])
    signer = Signer("rsa", shape["header"]["alg"], shape["header"]["kid"])
    ring = KeyRing().with_issuer(issuer.name, read_jwks(jwks(signer), issuer.algorithms)[0], NOW)
    verdict = verify(signer.sign(shape["header"], shape["claims"]), IssuerTable.from_settings([issuer]), ring, NOW)
    if isinstance(verdict, Refused):
        assert {"refused": verdict.code} == shape["expect"]
        return
    assert isinstance(verdict, Verified)
    said = {
        "client_id": verdict.client_id,
        "workload": verdict.workload,
        "match": [list(pair) for pair in verdict.match],
        "groups": verdict.groups and list(verdict.groups),
        "scopes": sorted(verdict.scopes),
        "bounded": verdict.bounded,
        "acr": verdict.acr,
        "amr": sorted(verdict.amr),
        "auth_time": verdict.auth_time,
        "actors": [list(actor) for actor in verdict.actors],
    }
    assert said == {**SILENT, **shape["expect"]}
    assert verdict.subject == shape["claims"]["sub"]


def test_every_preset_has_those_it_knows_on_record() -> None:
    """People of the providers they sign in with, programs of the platforms."""
    for name, preset in PRESETS.items():
        kind = "workload" if preset.programs else "person"
        assert any(path.stem == f"{name}-{kind}" for path in SHAPES)


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_filling_in_twice_changes_nothing(preset: str) -> None:
    once = with_preset(Issuer("idp", "https://idp.test", ("api",), preset=preset))
    assert with_preset(once) == once
    assert set(PROTOCOL_SCOPES) <= set(once.protocol_scopes)


def test_what_the_operator_wrote_stands() -> None:
    own = Issuer(
        "idp",
        "https://idp.test",
        ("api",),
        preset="entra",
        match=(MatchField("sub", "metadata.name"),),
        groups=Groups("teams", (MatchField("teams", "metadata.name"),)),
        workload_when={"idtyp": "app"},
    )
    settled = with_preset(own)
    assert (settled.match, settled.groups, settled.workload_when) == (own.match, own.groups, own.workload_when)
    assert groups_of(own) == own.groups


def test_no_preset_matches_on_email_or_takes_unlisted_types() -> None:
    """E-mail addresses are reassigned; ID tokens and missing types are for the providers that have nothing else."""
    for name, preset in PRESETS.items():
        assert all(rule.claim not in {"email", "preferred_username", "upn"} for rule in preset.match)
        assert preset.accept_id_tokens == (name == "google")
        assert preset.allow_absent_type == (name in {"okta", "kubernetes", "spiffe"})
        assert bool(preset.lacks) == (name == "spiffe")


def test_key_fields_are_what_the_compiler_indexes() -> None:
    entra = Issuer("entra", "https://login.test", ("api",), preset="entra")
    own = Issuer("own", "https://own.test", ("api",), match=(MatchField("sub", "metadata.name"),) * 2)
    assert key_fields([entra, own]) == (
        KeyField("entra", "person", "oid", "annotations.graph.microsoft.com/user-id"),
        KeyField("entra", "team", "groups", "annotations.graph.microsoft.com/group-id"),
        KeyField("own", "person", "sub", "metadata.name"),
    )


@pytest.mark.parametrize(
    ("issuer", "fault"),
    [
        (Issuer("x", "https://x.test", ("api",)), "issuer `x` needs `match`"),
        (Issuer("x", "https://x.test", ("api",), preset="google"), "issuer `x` needs `match`"),
        (
            Issuer("x", "https://x.test", ("api",), match=(MatchField("sub", "metadata.name"),), membership="both"),
            "issuer `x` has membership `both` but no `groups`",
        ),
        (Issuer("x", "https://x.test/{tenantid}", ("api",), preset="entra"), "issuer `x` needs both"),
        (Issuer("x", "https://x.test", ("api",), preset="entra", tenants=("t",)), "issuer `x` needs both"),
        (
            Issuer("x", "https://x.test", ("api",), match=(MatchField("email", "spec.profile.email"),)),
            "issuer `x` matches on `email` and needs the `domains` it owns",
        ),
        (
            Issuer("x", "https://x.test", ("api",), match=(MatchField("upn", "spec.profile.email", ("corp.test",)),)),
            "issuer `x` matches `upn` with an address: only `email` is verified",
        ),
    ],
)
def test_settings_nobody_could_come_in_with_are_named(issuer: Issuer, fault: str) -> None:
    (said,) = faults_of(issuer)
    assert said.startswith(fault)


ASKED = Introspection("door", "/secret")
MATCH = (MatchField("sub", "metadata.name"),)


@pytest.mark.parametrize(
    ("issuer", "fault"),
    [
        (Issuer("x", "https://x.test", ("api",), preset="github-actions", match=MATCH),
         "issuer `x` knows programs alone: leave out"),
        (Issuer("x", "https://x.test", ("api",), preset="kubernetes", membership="token"),
         "issuer `x` knows programs alone: leave out"),
        (Issuer("x", "https://x.test", ("api",), preset="gitlab-ci", clients="foreign"),
         "issuer `x` knows programs alone: with `clients: foreign`"),
        (Issuer("x", "https://x.test", ("api",), preset="kubernetes", introspection=ASKED),
         "issuer `x` is not one to be asked about tokens"),
        (Issuer("x", "spiffe://x.test", ("api",), preset="spiffe"), "issuer `x` needs `jwks_uri`"),
        (Issuer("x", "https://x.test", ("api",), preset="spiffe", jwks_uri="https://x.test/keys"),
         "issuer `x` needs both preset `spiffe` and a trust domain"),
        (Issuer("x", "spiffe://x.test", ("api",), match=MATCH, jwks_uri="https://x.test/keys"),
         "issuer `x` needs both preset `spiffe` and a trust domain"),
        (Issuer("x", "https://x.test", ("api",), preset="keycloak", introspection=ASKED),
         "issuer `x` signs all its tokens: ask about them with `tokens: signed`"),
    ],
)  # fmt: skip
def test_settings_of_platforms_that_could_not_be_meant_are_named(issuer: Issuer, fault: str) -> None:
    (said,) = faults_of(issuer)
    assert said.startswith(fault)


def test_complete_settings_of_platforms_have_no_faults() -> None:
    for preset in ("github-actions", "gitlab-ci", "kubernetes"):
        assert faults_of(Issuer("x", "https://x.test", ("api",), preset=preset)) == []
    assert faults_of(Issuer("x", "spiffe://x.test", ("api",), preset="spiffe", jwks_uri="https://x.test/keys")) == []
    asked = Introspection("door", "/secret", tokens="signed")
    assert faults_of(Issuer("x", "https://x.test", ("api",), preset="keycloak", introspection=asked)) == []


def test_what_an_operator_asks_of_a_platforms_programs_comes_beside_the_presets_own() -> None:
    """Who names a branch has not asked for pull requests; of other providers the operator's word stands alone."""
    hub = with_preset(Issuer("x", "https://x.test", ("a",), preset="github-actions", workload_when={"ref": "main"}))
    assert hub.workload_when == {**PRESETS["github-actions"].workload_when, "ref": "main"}
    events = with_preset(
        Issuer("x", "https://x.test", ("a",), preset="github-actions", workload_when={"event_name": "pull_request"})
    )
    assert events.workload_when == {"event_name": "pull_request"}
    keycloak = with_preset(Issuer("x", "https://x.test", ("a",), preset="keycloak", workload_when={"gty": "cc"}))
    assert keycloak.workload_when == {"gty": "cc"}


def test_no_platform_lets_unmerged_code_speak() -> None:
    hub, lab = (PRESETS[name].workload_when for name in ("github-actions", "gitlab-ci"))
    assert not [event for event in hub["event_name"] if "pull_request" in event or "comment" in event]
    assert not [source for source in lab["pipeline_source"] if "merge" in source or "parent" in source]


def test_complete_settings_have_no_faults() -> None:
    assert faults_of(Issuer("x", "https://x.test", ("api",), preset="entra", membership="token")) == []
    match = (MatchField("email", "spec.profile.email", ("corp.test",)),)
    assert faults_of(Issuer("x", "https://x.test", ("api",), match=match)) == []
