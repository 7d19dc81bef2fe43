"""What `stagedoor login` on somebody's own machine has to know, for everybody to read: where people sign in for the
command line, as which public client, and to which hosts its tokens may go.

Nothing here is secret: an authorization request shows the client, and its hosts are what an environment may publish.
The form has a number, so that a command line of another version says so instead of guessing.
"""

from __future__ import annotations

from typing import Any, Final

from gateway.config import Settings
from policy.builtin import COMMAND_LINE

COMMAND_LINE_PATH: Final = COMMAND_LINE.partition(" ")[2]
FORM: Final = 1
_AUDIENCE: Final = "audience"  # what Auth0 calls RFC 8707's `resource`


def command_line_document(settings: Settings) -> dict[str, Any]:
    """``hosts`` are the patterns of all environments, as `environments.X.hosts` writes them."""
    issuers = []
    for issuer in settings.issuers:
        said = issuer.command_line
        if said is None:
            continue
        wanted = _AUDIENCE if issuer.preset == "auth0" else "resource"
        issuers.append(
            {
                "name": issuer.name, "issuer": issuer.issuer, "client_id": said.client_id,
                "scopes": list(said.scopes), "parameters": {wanted: said.resource} if said.resource else {},
                "mfa_acr_values": list(said.mfa_acr_values),
            }
        )  # fmt: skip
    hosts = sorted({host for each in settings.environments.values() for host in each.hosts})
    return {"form": FORM, "central_host": settings.central_host, "issuers": issuers, "hosts": hosts}
