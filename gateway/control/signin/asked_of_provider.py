"""The authorization request (OpenID Connect Core 1.0 section 3.1.2.1): where the browser goes, with what.

Code with PKCE S256, `state` and `nonce` of this sign-in alone, one redirect address. Where the provider offers pushed
requests (RFC 9126) the browser carries nothing but the request's name. For a stronger or more recent sign-in the
provider is asked in its own words, as the operator configured them.
"""

from __future__ import annotations

from authlib.oauth2.rfc6749.parameters import prepare_grant_uri
from authlib.oauth2.rfc7636 import create_s256_code_challenge

from gateway.config.sign_in import Client
from gateway.control.signin.exchange import Exchange
from gateway.control.signin.provider import Endpoints
from gateway.control.signin.transactions import Transaction
from gateway.identity.id_tokens import MFA
from gateway.identity.session import Ticket

HINT_LIMIT = 254


def parameters_of(transaction: Transaction, client: Client, redirect_uri: str, hint: str = "") -> dict[str, str]:
    """All but `response_type` and `client_id`."""
    asked = {
        "redirect_uri": redirect_uri,
        "scope": " ".join(client.scopes),
        "state": transaction.state,
        "nonce": transaction.nonce,
        "code_challenge": str(create_s256_code_challenge(transaction.verifier)),
        "code_challenge_method": "S256",
    }
    if hint:
        asked["login_hint"] = hint[:HINT_LIMIT]
    return asked | (_stronger(transaction.ticket, client) if transaction.ticket is not None else {})


def _stronger(ticket: Ticket, client: Client) -> dict[str, str]:
    """Who needs a second factor, and whose provider has no word for it, is at least asked to sign in anew."""
    asked: dict[str, str] = {}
    values = [value for each in ticket.acr_values for value in (client.mfa_acr_values if each == MFA else (each,))]
    if values:
        asked["acr_values"] = " ".join(values)
    if ticket.max_age >= 0:
        asked["max_age"] = str(ticket.max_age)
    if (ticket.acr_values and not values) or ticket.max_age == 0:
        asked["prompt"] = "login"
    return asked


async def address_of(exchange: Exchange, endpoints: Endpoints, parameters: dict[str, str]) -> str:
    """Where the browser is sent. Raises `ProviderAway`, `ProviderRefused`, `GrantRefused`."""
    client_id = exchange.client.id
    if endpoints.pushed:
        pushed = await exchange.push({"response_type": "code", "client_id": client_id, **parameters})
        return str(prepare_grant_uri(endpoints.authorization, client_id, "code", request_uri=pushed))
    return str(prepare_grant_uri(endpoints.authorization, client_id, "code", **parameters))
