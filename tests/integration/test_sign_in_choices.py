"""More than one provider, stronger sign-ins, and a client that proves itself with a key."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from jwt.algorithms import ECAlgorithm

from tests.support import oidc_provider
from tests.support.door import until
from tests.support.signing_in import CENTRAL, SigningIn, parameters, signing_in
from tests.support.surfing import Surfer

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(oidc_provider.why_not()), reason=oidc_provider.why_not() or "-"),
]
STRONG = "version: 1\nenvironments:\n  prod: {owners: [all], everyone: [all], people: {require: [mfa]}}\n"
PARTNER = """\
  - name: partner
    issuer: https://partner.invalid
    audiences: [api]
    match: {sub: metadata.name}
    client: {id: door, secret_file: client.secret, domains: [partner.test]}
"""


def two_providers(text: str) -> str:
    return text.replace("central_host: localhost\n", PARTNER + "central_host: localhost\n")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SigningIn]:
    folder = tmp_path_factory.mktemp("choices")
    client = "domains: [marlow.test], mfa_acr_values: [two]"
    with signing_in(folder, client=client, more=two_providers, par=False) as found:
        (folder / "access.yaml").write_text(STRONG)
        yield found


def picked(place: SigningIn, surfer: Surfer) -> str:
    """The address of the callback, by the picker's link."""
    page = surfer.open(f"{place.app}/deep?x=1")
    assert page.status == 200
    assert ">sso</a>" in page.text and ">partner</a>" in page.text
    ticket = parameters(page.url)["ticket"]
    query = urlencode({"ticket": ticket, "issuer": "sso"})
    return place.up_to_callback(surfer, url=f"{place.central}/.stagedoor/sign-in?{query}")


def test_who_picks_a_provider_is_where_they_wanted_to_go(place: SigningIn) -> None:
    """And who then has to show more shows it to the same provider, without being asked again which one."""
    surfer = place.browser()
    page = surfer.open(picked(place, surfer))
    assert page.url.startswith(f"{place.provider.issuer}/interaction/")
    assert any("acr_values=two" in url for url in surfer.visited)
    page = surfer.submit(page.form(), login="jane")
    assert (page.status, page.url) == (200, f"{place.app}/deep?x=1")


def test_who_types_an_address_is_sent_to_its_provider(place: SigningIn) -> None:
    surfer = place.browser()
    page = surfer.open(f"{place.app}/")
    page = surfer.submit(page.form(), email="Jane@Marlow.TEST")
    assert page.status == 200
    assert f"url={place.provider.issuer}/auth?" in page.text.replace("&amp;", "&")
    assert "login_hint=Jane%40Marlow.TEST" in page.text.replace("&amp;", "&")
    assert [name for _, name in surfer.jar if name.startswith("__Host-stagedoor-signin-")]


@pytest.mark.parametrize("email", ["jane@elsewhere.test", "jane@marlow.test@evil.test", "@marlow.test", "marlow.test"])
def test_an_address_of_no_provider_leads_nowhere(place: SigningIn, email: str) -> None:
    surfer = place.browser()
    page = surfer.submit(surfer.open(f"{place.app}/").form(), email=email)
    assert page.status == 400
    assert "<code>address_unknown</code>" in page.text


def test_a_provider_that_is_away_is_said_and_the_other_one_works(place: SigningIn) -> None:
    surfer = place.browser()
    ticket = parameters(surfer.open(f"{place.app}/").url)["ticket"]
    page = surfer.get(f"{place.central}/.stagedoor/sign-in?{urlencode({'ticket': ticket, 'issuer': 'partner'})}")
    assert page.status == 503
    assert "<code>provider_away</code>" in page.text
    assert page.headers["Retry-After"]


def test_a_stronger_sign_in_is_asked_for_and_leads_back(place: SigningIn) -> None:
    """The provider is asked in its own word for a second factor, because the environment asks for `mfa`."""
    surfer = place.browser()
    surfer.open(place.up_to_callback(surfer, url=f"{place.central}/.stagedoor/sign-in?issuer=sso"))
    before = surfer.cookies(CENTRAL)["__Host-stagedoor"]
    page = surfer.open(f"{place.app}/needs/mfa")
    assert page.url.startswith(f"{place.provider.issuer}/interaction/")
    page = surfer.submit(page.form(), login="jane")
    assert (page.status, page.url) == (200, f"{place.app}/needs/mfa")
    assert surfer.cookies(CENTRAL)["__Host-stagedoor"] != before


def test_a_provider_that_does_not_give_the_strength_ends_in_a_page_and_no_circle(tmp_path: Path) -> None:
    """The operator named no word for a second factor: the person signs in anew, and is told that it was not enough."""
    with signing_in(tmp_path) as place:
        (tmp_path / "access.yaml").write_text(STRONG)
        surfer = place.browser()
        until(lambda: place.sign_in(surfer).status == 403, 20)
        page = place.sign_in(surfer)
        assert "<code>strength_unmet</code>" in page.text
        assert len(surfer.visited) < 60


def test_a_client_that_proves_itself_with_a_key_signs_people_in(tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    (tmp_path / "client.pem").touch(0o600)
    (tmp_path / "client.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    jwk = {**ECAlgorithm.to_jwk(key.public_key(), as_dict=True), "use": "sig", "alg": "ES256"}
    by_key = {
        "token_endpoint_auth_method": "private_key_jwt", "token_endpoint_auth_signing_alg": "ES256",
        "jwks": {"keys": [jwk]},
    }  # fmt: skip

    def with_key(text: str) -> str:
        return text.replace("secret_file: client.secret", "key_file: client.pem")

    with signing_in(tmp_path, more=with_key, registered=by_key) as place:
        surfer = place.browser()
        assert place.sign_in(surfer).status == 200
        assert "/request" in place.provider.asked()
