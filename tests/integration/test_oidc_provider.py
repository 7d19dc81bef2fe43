"""The provider that sign-in is tested with does itself what it is relied on for."""

from __future__ import annotations

import base64
import hashlib
import json
import urllib.parse
import urllib.request
from typing import Any

import pytest

from tests.support import oidc_provider
from tests.support.oidc_provider import OidcProvider, confidential
from tests.support.surfing import Surfer

pytestmark = pytest.mark.skipif(bool(oidc_provider.why_not()), reason=oidc_provider.why_not() or "-")
VERIFIER = "a-verifier-of-more-than-forty-three-characters-0123456789"
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
BACK = "https://central.test/.stagedoor/callback"
JANE = {"email": "jane@marlow.test", "email_verified": True, "groups": ["payments"], "name": "Jane"}


def redirected(provider: OidcProvider, surfer: Surfer, **more: str) -> dict[str, str]:
    """Sign jane in; what the provider says to the callback, which nobody answers here."""
    asked = {
        "client_id": "door", "response_type": "code", "redirect_uri": BACK, "scope": "openid email groups",
        "code_challenge": CHALLENGE, "code_challenge_method": "S256", "state": "s", "nonce": "n", **more,
    }  # fmt: skip
    page = surfer.get(f"{provider.issuer}/auth?{urllib.parse.urlencode(asked)}")
    while not page.location.startswith(BACK):
        page = surfer.get(page.location) if page.location else surfer.post(page.form().action, b"login=jane")
    return dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(page.location).query))


def tokens(provider: OidcProvider, **said: str) -> dict[str, Any]:
    request = urllib.request.Request(f"{provider.issuer}/token", urllib.parse.urlencode(said).encode())
    request.add_header("Authorization", "Basic " + base64.b64encode(b"door:secret").decode())
    with urllib.request.urlopen(request, timeout=10) as answer:
        found: dict[str, Any] = json.loads(answer.read())
    return found


def claims(token: str) -> dict[str, Any]:
    part = token.split(".")[1]
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return found


def test_a_person_signs_in_by_code_and_a_refresh_token_is_good_once() -> None:
    with OidcProvider([confidential("door", "secret", BACK)], {"jane": JANE}) as provider:
        surfer = Surfer({})
        said = redirected(provider, surfer)
        assert (said["iss"], said["state"]) == (provider.issuer, "s")
        got = tokens(
            provider, grant_type="authorization_code", code=said["code"], redirect_uri=BACK, code_verifier=VERIFIER
        )
        assert claims(got["id_token"])["groups"] == ["payments"]
        assert claims(got["id_token"])["nonce"] == "n"
        again = tokens(provider, grant_type="refresh_token", refresh_token=got["refresh_token"])
        assert again["refresh_token"] != got["refresh_token"]
        with pytest.raises(urllib.error.HTTPError):
            tokens(provider, grant_type="refresh_token", refresh_token=got["refresh_token"])


def test_a_stronger_sign_in_is_asked_for_and_told() -> None:
    with OidcProvider([confidential("door", "secret", BACK)], {"jane": JANE}) as provider:
        surfer = Surfer({})
        for wanted in ("one", "two"):
            said = redirected(provider, surfer, acr_values=wanted)
            got = tokens(
                provider, grant_type="authorization_code", code=said["code"], redirect_uri=BACK, code_verifier=VERIFIER
            )
            assert claims(got["id_token"])["acr"] == wanted


def test_keys_rotate() -> None:
    with OidcProvider([confidential("door", "secret", BACK)], {"jane": JANE}) as provider:
        kid = provider.rotate()
        with urllib.request.urlopen(f"{provider.issuer}/jwks", timeout=10) as answer:
            kids = [each["kid"] for each in json.loads(answer.read())["keys"]]
        assert kids[0] == kid
        assert len(kids) == 2
