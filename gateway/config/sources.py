"""Where the catalog is read besides files, and who may say who people are: frozen values, standard library only.

Part of `gateway.config`, which owns the frame form.
"""

from __future__ import annotations

from dataclasses import dataclass

FILES = "files"  # what origins call everything that is read from files


@dataclass(frozen=True, slots=True)
class ClientCredentials:
    """A client of an issuer, which gets its tokens for itself (RFC 6749, 4.4). The secret stays in its file."""

    url: str  # of the token endpoint
    client_id: str
    client_secret_file: str
    scopes: tuple[str, ...] = ()
    audience: str = ""  # "" = none is asked for


@dataclass(frozen=True, slots=True)
class Backstage:
    """One Backstage catalog, read over its API. The token stays in its file."""

    name: str
    url: str  # of the backend, without `/api/catalog`
    token_file: str  # "" = `client` gets one
    ca: str = ""  # "" = the system's authorities
    poll_s: float = 5.0  # between two looks at what has changed
    full_s: float = 60.0  # between two readings of everything but definitions
    definitions_s: float = 1800.0  # until definitions are read again though nothing says that they changed
    client: ClientCredentials | None = None


@dataclass(frozen=True, slots=True)
class Origins:
    """Who may define people and teams: `CATALOG` or `CATALOG LOCATION`; a location may end in `*`."""

    users: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
