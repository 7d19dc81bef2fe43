"""How control shows who it is, what it makes of a provider's answers, and the groups that were left out of a token."""

from __future__ import annotations

import asyncio
import json
import time
from base64 import b64decode
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from gateway.config import Issuer
from gateway.config.sign_in import Client
from gateway.control.fetch import client_session
from gateway.control.signin.client_proof import ProofFault, proof
from gateway.control.signin.exchange import Exchange, GrantRefused, ProviderAway, ProviderRefused
from gateway.control.signin.groups import GRAPHS, PAGES, graph_of, with_groups
from gateway.control.signin.provider import Provider
from gateway.errors import StagedoorError
from gateway.identity.claims import GROUPS_LIMIT
from gateway.identity.issuers import IssuerTable
from tests.support.scripted_provider import ScriptedProvider

Story = Callable[[Exchange, ScriptedProvider], Awaitable[None]]
POINTER = {
    "sub": "jane",
    "_claim_names": {"groups": "src1"},
    "_claim_sources": {"src1": {"endpoint": "https://evil.test"}},
}


def told(folder: Path, story: Story, preset: str = "generic", **client: Any) -> None:
    async def run() -> None:
        secret = folder / "secret"
        secret.write_text("s3cret:+/\n")
        async with ScriptedProvider() as provider, client_session() as session:
            said = {"id": "door +", "secret_file": str(secret), **client}
            issuer = Issuer("sso", provider.issuer, ("api",), preset, client=Client(**said))
            assert issuer.client is not None
            await story(
                Exchange(Provider(issuer, session, time.monotonic), issuer.client, session, time.time), provider
            )

    asyncio.run(run())


def test_basic_is_form_encoded_first(tmp_path: Path) -> None:
    """RFC 6749 section 2.3.1."""

    async def story(exchange: Exchange, provider: ScriptedProvider) -> None:
        await exchange.redeem("c", "v", "https://x.test")
        kind, _, said = provider.headers[0]["Authorization"].partition(" ")
        assert (kind, b64decode(said)) == ("Basic", b"door+%2B:s3cret%3A%2B%2F")
        assert "client_secret" not in provider.forms[0]

    told(tmp_path, story)


def test_post_goes_into_the_form_alone(tmp_path: Path) -> None:
    async def story(exchange: Exchange, provider: ScriptedProvider) -> None:
        await exchange.redeem("c", "v", "https://x.test")
        assert "Authorization" not in provider.headers[0]
        assert provider.forms[0]["client_secret"] == "s3cret:+/"

    told(tmp_path, story, method="client_secret_post")


def test_a_rotated_secret_counts_at_once(tmp_path: Path) -> None:
    async def story(exchange: Exchange, provider: ScriptedProvider) -> None:
        await exchange.refresh(provider.refresh_token)
        (tmp_path / "secret").write_text("new\n")
        await exchange.refresh(provider.refresh_token)
        assert b64decode(provider.headers[1]["Authorization"].partition(" ")[2]).endswith(b":new")
        (tmp_path / "secret").write_text("")
        with pytest.raises(ProviderRefused):
            await exchange.refresh(provider.refresh_token)

    told(tmp_path, story)


@pytest.mark.parametrize("kind", ["rsa", "ec", "ed"])
@pytest.mark.parametrize("preset", ["generic", "okta"])
def test_an_assertion_is_signed_for_this_provider_and_once(tmp_path: Path, kind: str, preset: str) -> None:
    key: Any = {
        "rsa": lambda: rsa.generate_private_key(public_exponent=65537, key_size=2048),
        "ec": lambda: ec.generate_private_key(ec.SECP256R1()), "ed": ed25519.Ed25519PrivateKey.generate,
    }[kind]()  # fmt: skip
    file = tmp_path / "key.pem"
    file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    client = Client("door", key_file=str(file), method="private_key_jwt")
    issuer = Issuer("sso", "https://idp.test", ("api",), preset, client=client)
    now = int(time.time())
    seen = set()
    for _ in range(2):
        headers, form = proof(issuer, client, "https://idp.test/token", now)
        audience = "https://idp.test" if preset == "generic" else "https://idp.test/token"
        said = jwt.decode(
            form["client_assertion"], key.public_key(), algorithms=["RS256", "ES256", "EdDSA"], audience=audience
        )
        assert not headers
        assert (said["iss"], said["sub"], said["exp"] - said["iat"]) == ("door", "door", 60)
        seen.add(said["jti"])
    assert len(seen) == 2


def test_a_key_that_cannot_be_used_is_a_fault_without_its_text(tmp_path: Path) -> None:
    file = tmp_path / "key.pem"
    file.write_text("-----BEGIN nothing-----\nabc\n")
    client = Client("door", key_file=str(file), method="private_key_jwt")
    with pytest.raises(ProofFault, match="key.pem") as raised:
        proof(Issuer("sso", "https://idp.test", ("api",), client=client), client, "https://idp.test/token", 0)
    assert "abc" not in str(raised.value)


@pytest.mark.parametrize(
    ("status", "kind"),
    [(500, ProviderAway), (429, ProviderAway), (408, ProviderAway), (302, ProviderAway), (404, ProviderRefused)],
)
def test_failures_are_told_apart(tmp_path: Path, status: int, kind: type[StagedoorError]) -> None:
    async def story(exchange: Exchange, provider: ScriptedProvider) -> None:
        provider.status["/token"] = status
        with pytest.raises(kind):
            await exchange.refresh("r-0")

    told(tmp_path, story)


def test_only_a_refused_grant_is_one(tmp_path: Path) -> None:
    async def story(exchange: Exchange, provider: ScriptedProvider) -> None:
        for error, kind in (
            ("invalid_grant", GrantRefused), ("interaction_required", GrantRefused),
            ("invalid_client", ProviderRefused),
            ("unauthorized_client", ProviderRefused), ("slow_down", ProviderAway),
        ):  # fmt: skip
            provider.error = error
            with pytest.raises(kind) as raised:
                await exchange.refresh("r-secret")
            assert "words" not in str(raised.value)
            assert "r-secret" not in str(raised.value)

    told(tmp_path, story)


# === refresh tokens ===


@pytest.mark.parametrize(
    ("preset", "scopes", "todo"),
    [
        ("okta", ("openid",), "add `offline_access`"), ("okta", ("openid", "offline_access"), "the grant"),
        ("keycloak", ("openid",), "the grant"), ("google", ("openid",), "`sessions.absolute`"),
    ],
)  # fmt: skip
def test_operators_are_told_once_that_no_refresh_token_comes(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], preset: str, scopes: tuple[str, ...], todo: str
) -> None:
    async def story(exchange: Exchange, provider: ScriptedProvider) -> None:
        await exchange.redeem("c", "v", "https://x.test")
        assert "no_refresh_token" not in capfd.readouterr().err
        provider.answer = {"refresh_token": ...}
        for _ in range(3):
            await exchange.redeem("c", "v", "https://x.test")

    told(tmp_path, story, preset, scopes=scopes)
    (line,) = [line for line in capfd.readouterr().err.splitlines() if "no_refresh_token" in line]
    assert "sso" in line
    assert todo in line


# === groups that did not fit ===


def told_groups(folder: Path, pages: list[object], claims: dict[str, Any], wanted: object) -> None:
    async def story(exchange: Exchange, provider: ScriptedProvider) -> None:
        provider.groups = json.loads(json.dumps(pages).replace("BASE", provider.issuer))
        rules = IssuerTable.from_settings([exchange.issuer]).named("sso")
        assert rules is not None
        found = await with_groups(dict(claims), rules, exchange, "access")
        assert found.get("groups") == wanted
        assert not [path for path in provider.asked if "evil" in path]

    told(folder, story, preset="entra")


NEXT = "BASE/v1.0/me/transitiveMemberOf?page=1"
GROUP = {"@odata.type": "#microsoft.graph.group"}


def test_the_whole_list_takes_the_place_of_the_pointer(tmp_path: Path) -> None:
    role = {"@odata.type": "#microsoft.graph.directoryRole", "id": "r-1"}
    pages: list[object] = [
        {"value": [{**GROUP, "id": "g-1"}, role], "@odata.nextLink": NEXT}, {"value": [{**GROUP, "id": "g-2"}]},
    ]  # fmt: skip
    told_groups(tmp_path, pages, POINTER, ["g-1", "g-2"])


@pytest.mark.parametrize(
    "pages",
    [
        [{"value": [{**GROUP, "id": "g-1"}], "@odata.nextLink": "https://evil.test/v1.0/me"}],
        [{"value": [{**GROUP, "id": "g-1"}], "@odata.nextLink": NEXT}, {"value": "x"}],
        [{"value": [{**GROUP, "id": "g-1"}, {**GROUP, "name": "x"}]}],
        [{"value": [{**GROUP, "id": "g-1"}, {"id": "g-2"}]}],  # of what kind it is has to be said
        [{"value": [{**GROUP, "id": "g\r\n"}]}],
        ["x"],
        [{"value": [{**GROUP, "id": f"g-{n}"} for n in range(GROUPS_LIMIT + 1)], "@odata.nextLink": NEXT}],
    ],
)
def test_half_a_list_is_no_list(tmp_path: Path, pages: list[object]) -> None:
    told_groups(tmp_path, pages, POINTER, None)


def test_a_list_without_end_is_left(tmp_path: Path) -> None:
    first = NEXT.replace("page=1", "page=0")
    told_groups(tmp_path, [{"value": [{**GROUP, "id": "g"}], "@odata.nextLink": first}] * (PAGES + 1), POINTER, None)


def test_who_has_a_list_is_not_asked_about(tmp_path: Path) -> None:
    told_groups(tmp_path, [], {"sub": "jane", "groups": ["g-9"]}, ["g-9"])


def test_graph_follows_from_the_configured_issuer_alone() -> None:
    for host, graph in GRAPHS.items():
        assert graph_of(Issuer("e", f"https://{host}/tenant/v2.0", ("api",), "entra")) == graph
    assert graph_of(Issuer("e", "https://login.evil.test/v2.0", ("api",), "entra")) == ""
    assert graph_of(Issuer("e", "https://login.microsoftonline.com/t/v2.0", ("api",))) == ""
