"""Settings of sign-in for people in browsers: Stagedoor as a client of an issuer, and how long sessions last.

Standard library only, as `gateway.config`, which these classes are part of. Durations are seconds; secrets are named
by the path of their file and never held here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

ClientMethod = Literal["client_secret_basic", "client_secret_post", "private_key_jwt"]


@dataclass(frozen=True, slots=True)
class Client:
    """As whom Stagedoor signs people in at an issuer (RFC 6749 section 2, OpenID Connect Core 1.0 section 9).

    ``hosts`` and ``domains`` choose among several such issuers: who comes from one of these hosts, or types an address
    of one of these domains, is sent here. ``mfa_acr_values`` ask this provider for a second factor, and an ID token
    whose `acr` is one of them says that there was one.
    """

    id: str
    secret_file: str = ""
    key_file: str = ""  # PEM, of private_key_jwt
    method: ClientMethod = "client_secret_basic"
    scopes: tuple[str, ...] = ("openid", "profile", "email")
    userinfo: bool = False  # its answer is merged into what the ID token says
    hosts: tuple[str, ...] = ()  # patterns as of `environments.X.hosts`
    domains: tuple[str, ...] = ()  # lower case
    mfa_acr_values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CommandLine:
    """As whom `stagedoor login` signs people in on their own machines: a public client, which has no secret (RFC 8252).

    ``resource`` is what the access token has to be good for (RFC 8707); "" where the issuer knows by client or scope.
    ``mfa_acr_values``: as of :class:`Client`, for access tokens.
    """

    client_id: str
    scopes: tuple[str, ...] = ("openid", "profile", "email")
    resource: str = ""
    mfa_acr_values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Sessions:
    """How long somebody stays signed in. ``refresh_s``: after this long at most the provider is asked again."""

    idle_s: float = 2 * 3600.0
    absolute_s: float = 12 * 3600.0
    offline_s: float = 30 * 60.0  # a provider that does not answer when it is asked again
    refresh_s: float = 15 * 60.0  # sooner where its access token ends sooner
    keys_file: str = ""  # "" = made at random, for this node alone


@dataclass(frozen=True, slots=True)
class EnvironmentSessions:
    """Of one environment: never longer than `Sessions` says. None = the same."""

    idle_s: float | None = None
    absolute_s: float | None = None
