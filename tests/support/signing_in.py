"""A whole node at which people sign in with a certified provider: TLS, a central host, two applications, browsers.

The central host is `localhost`, because the provider's logout tokens have to get there; `echo.test` is the node's own
application. The provider knows jane and joe.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.support import certificates
from tests.support.door import until
from tests.support.oidc_provider import OidcProvider, confidential
from tests.support.surfing import Page, Surfer
from tests.support.whole_node import WholeNode, whole_node

CENTRAL = "localhost"
PEOPLE = {
    "jane": {"email": "jane@marlow.test", "email_verified": True, "groups": ["team"], "name": "Jane"},
    "joe": {"email": "joe@marlow.test", "email_verified": True, "groups": [], "name": "Joe"},
}
ISSUERS = """\
issuers:
  - {{name: idp, issuer: "{idp}", audiences: [api], match: {{sub: metadata.name}}}}
  - name: sso
    issuer: {sso}
    audiences: [api]
    match: {{sub: metadata.name}}
    groups: {{claim: groups}}
    client: {{id: door, secret_file: client.secret, scopes: [openid, email, groups, offline_access], {client}}}
central_host: localhost
sessions: {{{sessions}}}
"""


class SigningIn:
    """The node, its provider, and new browsers."""

    def __init__(self, node: WholeNode, provider: OidcProvider, folder: Path) -> None:
        self.node = node
        self.provider = provider
        self.app = f"https://echo.test:{node.port}"
        self.central = f"https://{CENTRAL}:{node.port}"
        self.trust = ssl.create_default_context(cafile=str(folder / "ca.pem"))
        self.trust.check_hostname = False  # the development authority signs for `localhost` alone

    def browser(self) -> Surfer:
        return Surfer({"echo.test": self.node.port, CENTRAL: self.node.port}, self.trust)

    def sign_in(self, surfer: Surfer, who: str = "jane", url: str = "") -> Page:
        """Open an address and sign in where the provider asks; the page at the end."""
        page = surfer.open(url or f"{self.app}/")
        while "/interaction/" in page.url:
            page = surfer.submit(page.form(), login=who)
        return page

    def up_to_callback(self, surfer: Surfer, who: str = "jane", url: str = "") -> str:
        """The same, but for the last step at the provider: the address of the callback, which nobody opened yet."""
        page = surfer.get(url or f"{self.app}/")
        while not urlsplit(page.location).path.endswith("/.stagedoor/callback"):
            said = f"login={who}".encode()
            page = surfer.get(page.location) if page.location else surfer.post(page.form().action, said)
        return page.location


def parameters(url: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}


@contextmanager
def signing_in(
    folder: Path,
    *,
    workers: int = 1,
    client: str = "userinfo: false",
    sessions: str = "idle: 1h",
    more: Callable[[str], str] = str,
    people: Mapping[str, Mapping[str, Any]] = PEOPLE,
    registered: Mapping[str, Any] | None = None,
    clients: Sequence[Mapping[str, Any]] = (),
    names: Sequence[str] = (),
    **settings: Any,
) -> Iterator[SigningIn]:
    """``client``, ``sessions``: what the settings say of them; ``registered``: what else the provider knows of the
    client; ``clients``: further ones; ``names``: further hosts of the certificate; ``settings``: the provider's."""
    certificate, key = certificates.make(folder, "door", CENTRAL, *names)
    (folder / "client.secret").touch(0o600)
    (folder / "client.secret").write_text("s3cret-of-the-door\n")
    started: list[OidcProvider] = []

    def configure(text: str) -> str:
        found = re.search(r'main, address: "127\.0\.0\.1:([0-9]+)"', text)
        idp = re.search(r'issuer: "([^"]+)"', text)
        assert found is not None and idp is not None
        base = f"https://{CENTRAL}:{found[1]}/.stagedoor"
        door = confidential(
            "door", "s3cret-of-the-door", f"{base}/callback", post_logout_redirect_uris=[f"{base}/signed-out"],
            backchannel_logout_uri=f"{base}/backchannel-logout/sso", **(registered or {}),
        )  # fmt: skip
        started.append(OidcProvider([door, *clients], people, **settings))
        text = text.replace(f'{found[1]}"', f'{found[1]}", tls: {{certificate: {certificate}, key: {key}}}', 1)
        said = ISSUERS.format(idp=idp[1], sso=started[0].issuer, client=client, sessions=sessions)
        return more(re.sub(r"issuers:\n.*\n", said, text))

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NODE_EXTRA_CA_CERTS", str(folder / "ca.pem"))
        try:
            with whole_node(folder, workers=workers, configure=configure) as node:
                place = SigningIn(node, started[0], folder)
                until(lambda: all(place.browser().get(f"{place.app}/").status == 303 for _ in range(6 * workers)), 60)
                yield place
        finally:
            for provider in started:
                provider.stop()
