"""Promises to whoever copies the settings of a provider from docs/sign-in.md: the reader takes them as they stand, an
ID token and userinfo of the form that the provider documents find the person and the teams, and a claim that is missing
the next time leaves no right behind.

The recorded forms are in `tests/golden/identity/sign-in`, each with the page of the provider that it follows.
"""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.config import Groups, Issuer, MatchField
from gateway.config_load import load
from gateway.control.fetch import client_session
from gateway.control.signin.exchange import Exchange
from gateway.control.signin.people import Keys, person_of
from gateway.control.signin.provider import Provider
from gateway.identity.claims import read_claims
from gateway.identity.id_tokens import MFA, Expected, lacks_strength, renewed_claims
from gateway.identity.issuers import IssuerTable
from gateway.identity.presets import key_fields
from gateway.identity.principal import principal_of
from policy.access import read_policy
from policy.compile import compile_frames
from policy.derive import derive
from policy.facts import Catalog, Person, Principal, Team
from policy.table import Table
from policy.table_builder import TableBuilder
from tests.support.doc_code import code_in
from tests.support.node import ROOT
from tests.support.scripted_provider import ScriptedProvider
from tests.support.small_catalog import NOWHERE, service

PAGE = ROOT / "docs" / "sign-in.md"
SHAPES = sorted((ROOT / "tests/golden/identity/sign-in").glob("*.json"))
BLOCKS = [block for block in code_in(PAGE, "yaml") if block.startswith("issuers:")]
PROVIDERS = ("okta", "entra", "keycloak", "auth0", "google")
JOE, TEAM = "user:default/joe", "group:default/payments"
AROUND = """
central_host: stagedoor.example.com
listeners: [{name: main, address: "127.0.0.1:8443"}]
catalog: {files: [catalog]}
environments: {prod: {hosts: [.example.com], upstreams: [10.0.0.0/8]}}
access_policy: policy.yaml
state: {folder: state}
"""


def settings_on_the_page(folder: Path, name: str) -> Issuer:
    """The issuer of a block, as the settings reader takes it: without a fault, and without a word of ours in it."""
    (block,) = [each for each in BLOCKS if f"\n  - name: {name}\n" in each]
    (folder / "catalog").mkdir()
    (folder / "policy.yaml").write_text("version: 1\nenvironments: {prod: {owners: [all]}}\n")
    (folder / "stagedoor.yaml").write_text(AROUND + block)
    (issuer,) = load(folder / "stagedoor.yaml", {}, with_named_files=False).issuers
    return issuer


@pytest.mark.parametrize("name", PROVIDERS)
def test_the_settings_on_the_page_are_read_as_they_stand(name: str, tmp_path: Path) -> None:
    issuer = settings_on_the_page(tmp_path, name)
    assert issuer.preset == name
    assert issuer.client is not None
    assert issuer.client.id not in issuer.audiences
    assert ("offline_access" in issuer.client.scopes) is (name in ("okta", "entra", "auth0"))


def test_the_first_example_of_the_page_is_read_as_it_stands(tmp_path: Path) -> None:
    """The one that begins with `central_host`, with what every node has besides."""
    (block,) = [each for each in code_in(PAGE, "yaml") if each.startswith("central_host:")]
    around = yaml.safe_load(AROUND)
    said = yaml.safe_load(block)
    environments = {"environments": {"prod": around["environments"]["prod"] | said["environments"]["prod"]}}
    (tmp_path / "catalog").mkdir()
    (tmp_path / "policy.yaml").write_text("version: 1\nenvironments: {prod: {owners: [all]}}\n")
    (tmp_path / "stagedoor.yaml").write_text(yaml.safe_dump(around | said | environments))
    assert load(tmp_path / "stagedoor.yaml", {}, with_named_files=False).sessions.idle_s == 7200


def test_every_provider_has_a_recorded_form_and_a_page_that_says_so() -> None:
    assert {path.stem.partition("-")[0] for path in SHAPES} == set(PROVIDERS)
    assert all(json.loads(path.read_text())["source"].startswith("https://") for path in SHAPES)


@pytest.mark.parametrize("path", SHAPES, ids=lambda path: path.stem)
def test_what_a_provider_says_becomes_a_person_with_teams(path: Path, tmp_path: Path) -> None:
    shape = json.loads(path.read_text())
    issuer = as_recorded(settings_on_the_page(tmp_path, shape.get("settings", path.stem)), shape)
    listed = issuer.membership == "catalog"
    asyncio.run(told(issuer, shape, tmp_path, listed))


async def told(issuer: Issuer, shape: dict[str, Any], folder: Path, listed: bool) -> None:
    (folder / "secret").write_text("s3cret\n")
    async with ScriptedProvider() as provider, client_session() as session:
        assert issuer.client is not None
        client = replace(issuer.client, secret_file=str(folder / "secret"))
        here = replace(issuer, issuer=provider.issuer, client=client)
        table = catalog(here, shape, listed)
        exchange = Exchange(Provider(here, session, time.monotonic), client, session, time.time)
        provider.userinfo = shape.get("userinfo")
        provider.groups = json.loads(json.dumps(shape.get("graph", [])).replace("BASE", provider.issuer))

        claims = await answered(here, exchange, provider, shape["id_token"])
        principal = read(here, claims, table)
        assert (principal.kind, principal.ref, principal.refusal) == ("person", JOE, "")
        assert TEAM in principal.subjects
        assert lacks_strength(claims, (MFA,)) is not shape["mfa"]

        if shape["groups_claim"]:  # the next refresh says nothing of groups any more
            provider.userinfo = {"sub": shape["id_token"]["sub"]}
            poorer = {name: value for name, value in shape["id_token"].items() if name != shape["groups_claim"]}
            later = renewed_claims(claims, await answered(here, exchange, provider, poorer))
            assert TEAM not in read(here, later, table).subjects
            assert read(here, later, table).ref == JOE


async def answered(
    issuer: Issuer, exchange: Exchange, provider: ScriptedProvider, said: dict[str, Any]
) -> dict[str, Any]:
    """What a session keeps after the provider answered a code with this ID token."""
    now = int(time.time())
    claims = {"iss": provider.issuer, "aud": exchange.client.id, "iat": now, "exp": now + 3600, "nonce": "n", **said}
    token = provider.signer.sign(provider.signer.header(typ="JWT"), claims)
    provider.answer = {"id_token": token.decode()}
    tokens = await exchange.redeem("c", "v", "https://stagedoor.example.com/.stagedoor/callback")

    async def unwanted(_issuer: str, _kid: str) -> None:
        raise AssertionError("the key is known")

    keys = Keys(lambda _name: ([provider.signer.jwk], now), unwanted)
    table = IssuerTable.from_settings([issuer])
    return (await person_of(tokens, Expected(exchange.client.id, "n"), exchange, table, keys, now)).claims


def read(issuer: Issuer, claims: dict[str, Any], table: Table) -> Principal:
    """Whom a door takes the session for."""
    now = int(time.time())
    rules = IssuerTable.from_settings([issuer]).named(issuer.name)
    assert rules is not None
    verified = read_claims({**claims, "exp": now + 3600}, rules, "s-1", now)
    return principal_of(verified, issuer, table)  # type: ignore[arg-type]  # a refusal fails here


def catalog(issuer: Issuer, shape: dict[str, Any], listed: bool) -> Table:
    """Joe and the team as the catalog has them; in the team by the catalog only where tokens have no groups."""
    joe = Person(JOE, "joe", (TEAM,) if listed else (), {"metadata.name": "joe", **shape["person"]}, NOWHERE)
    people = [joe, Person("user:default/jane", "jane", (TEAM,), {"metadata.name": "jane"}, NOWHERE)]
    team = Team(TEAM, "payments", (), shape["team"], NOWHERE)
    app = service("app", ("http://127.0.0.1:9",), "owners", owner=TEAM)
    facts = Catalog({each.ref: each for each in people}, {TEAM: team}, {app.ref: app})
    access, faults = read_policy({"version": 1, "environments": {"prod": {"owners": ["all"]}}}, lambda path: NOWHERE)
    assert faults == []
    builder = TableBuilder(Table.allow_none())
    for name, frame in compile_frames(facts, derive(facts, access, ("prod",)), key_fields([issuer])).items():
        builder.put(name, frame)
    return builder.finish()


def as_recorded(issuer: Issuer, shape: dict[str, Any]) -> Issuer:
    """The block's settings with what the page says about this variant."""
    if "match" in shape:
        issuer = replace(issuer, match=tuple(MatchField(claim, field) for claim, field in shape["match"].items()))
    if "groups" in shape:
        said = shape["groups"]
        issuer = replace(issuer, groups=Groups(said["claim"], (MatchField(said["claim"], said["match"]),)))
    if "userinfo" in shape and issuer.client is not None:
        issuer = replace(issuer, client=replace(issuer.client, userinfo=True))
    return issuer
