"""The key `catalog` of `stagedoor.yaml`: where entities are read, and who may define people and teams.

With one source its own rules say who may write Users and Groups. With several, whoever can write into one of them
could make people and teams that another one is trusted for; so then nothing is trusted until `origins` says it.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, Field

from gateway import config
from gateway.config.sources import FILES, Backstage, ClientCredentials, Origins
from gateway.config_load.identity import is_loopback
from gateway.config_load.values import MAPPING, Duration, EndpointAddress, Name, Prefix, Text, named_once
from gateway.documents import Locate
from gateway.secret_files import secret_fault, signing_secret_fault
from policy.reading import Fault, did_you_mean

SHORTEST_POLL_S = 1.0
LONGEST_POLL_S = 300.0
API_PATH = "/api/catalog"


class Keys(BaseModel):
    model_config = MAPPING


def _named(values: list[Any]) -> list[Any]:
    if FILES in [value.name for value in named_once(values)]:
        raise ValueError(f"name `{FILES}` is what origins call the files; give it another")
    return values


class ClientModel(Keys):
    """Stagedoor as a client of the issuer whose keys the catalog reads: `externalAccess` of `type: jwks`."""

    url: EndpointAddress
    """The issuer's token endpoint."""
    client_id: Text
    """As whom Stagedoor asks for a token (RFC 6749, client credentials)."""
    client_secret_file: Text
    """File with that client's secret and nothing else, readable by Stagedoor's user alone."""
    scopes: list[Text] = []
    """What the token is asked for with."""
    audience: Text | None = None
    """The `audience` to ask for, where the issuer takes one."""


class BackstageModel(Keys):
    name: Name = "backstage"
    """How logs, faults and `origins` call this catalog. What is remembered of it goes by this name."""
    url: EndpointAddress
    """Of the Backstage backend, as in its `backend.baseUrl`: without `/api/catalog`."""
    token_file: Text | None = None
    """File with the token of `backend.auth.externalAccess` and nothing else, readable by Stagedoor's user alone. It is
    read for every call, so a rotated token counts at once. This, or `client`."""
    client: ClientModel | None = None
    """In place of `token_file`: an issuer that gives Stagedoor its tokens."""
    ca: Text | None = None
    """PEM file with the authorities of its certificate. Default: the system's."""
    poll: Duration | None = None
    """Between two looks at what has changed. Longer by itself while the catalog is slow. Default: 5s."""
    full: Duration | None = None
    """Between two readings of everything but definitions. Default: 60s."""
    definitions: Duration | None = None
    """After which definitions are read again though nothing says that they changed. Default: 30m."""


class OriginsModel(Keys):
    """`CATALOG` or `CATALOG LOCATION`: a name of `catalog.backstage` or `files`, and the origin location (or the
    file), which may end in `*`. Who is in no list may define none."""

    users: list[Text] = []
    """Who may define Users: `backstage ldap://*`."""
    groups: list[Text] = []
    """Who may define Groups: `backstage url:https://git.example.com/org/*`."""


class CatalogModel(Keys):
    prefix: Prefix = "stagedoor.dev/"
    """Of the annotations; a domain you own."""
    files: Annotated[list[Text], Field(json_schema_extra={"minItems": 1})] = []
    """Files, folders and globs with Backstage entities. Changes count as soon as they are written."""
    backstage: Annotated[list[BackstageModel], AfterValidator(_named)] = []
    """Backstage catalogs that are read over their API."""
    origins: OriginsModel | None = None
    """Who may define Users and Groups. Default: the only source; of several nobody."""
    sync_secret_file: Text | None = None
    """File with a secret of at least 32 characters, readable by Stagedoor's user alone. Who signs a call with it may
    have the catalogs looked at now, over the central host: CI, a webhook of Backstage or of the identity provider."""


def catalog_settings(model: CatalogModel, absolute: Callable[[str | None], str]) -> config.Catalog:
    """``absolute`` makes a path of the file's folder whole."""
    origins = model.origins
    return config.Catalog(
        prefix=model.prefix,
        files=tuple(absolute(each) for each in model.files),
        backstage=tuple(_backstage(each, absolute) for each in model.backstage),
        origins=Origins(tuple(origins.users), tuple(origins.groups)) if origins is not None else None,
        sync_secret_file=absolute(model.sync_secret_file),
    )


def _backstage(model: BackstageModel, absolute: Callable[[str | None], str]) -> Backstage:
    default = Backstage("", "", "")
    return Backstage(
        name=model.name,
        url=model.url.rstrip("/"),
        token_file=absolute(model.token_file),
        ca=absolute(model.ca),
        poll_s=model.poll or default.poll_s,
        full_s=model.full or default.full_s,
        definitions_s=model.definitions or default.definitions_s,
        client=_client(model.client, absolute) if model.client is not None else None,
    )


def _client(model: ClientModel, absolute: Callable[[str | None], str]) -> ClientCredentials:
    return ClientCredentials(
        url=model.url,
        client_id=model.client_id,
        client_secret_file=absolute(model.client_secret_file),
        scopes=tuple(model.scopes),
        audience=model.audience or "",
    )


# === what values mean together ===


def catalog_faults(settings: config.Settings, locate: Locate) -> list[Fault]:
    catalog = settings.catalog
    if not catalog.files and not catalog.backstage:
        message = "`catalog` names no source"
        return [Fault(locate(("catalog",)), message, "name `files`, or a catalog under `backstage`")]
    faults = _sync_faults(settings, locate)
    for position, backstage in enumerate(catalog.backstage):
        for key, message, hint in _backstage_faults(backstage):
            faults.append(Fault(locate(("catalog", "backstage", position, key)), message, hint))
    return [*faults, *_origin_faults(catalog, locate)]


def _sync_faults(settings: config.Settings, locate: Locate) -> list[Fault]:
    if not settings.catalog.sync_secret_file or settings.central_host:
        return []
    message = "`catalog.sync_secret_file` is of no use without `central_host`, where the signed calls arrive"
    return [Fault(locate(("catalog", "sync_secret_file")), message, "set `central_host`, or leave it out")]


def _backstage_faults(backstage: Backstage) -> list[tuple[str, str, str]]:
    """Key, message, what to do."""
    faults = list(_token_faults(backstage))
    parts = urlsplit(backstage.url)
    if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
        faults.append(("url", f"catalog `{backstage.name}` is reached without TLS: who is in between sees the token "
                              "and says who people are", "use https"))  # fmt: skip
    if parts.query:
        faults.append(("url", f"`{backstage.url}` has a query", "write the address of the backend alone"))
    if API_PATH in parts.path:
        faults.append(("url", f"`{backstage.url}` is the address of the API", f"leave out `{API_PATH}`"))
    if not SHORTEST_POLL_S <= backstage.poll_s <= LONGEST_POLL_S:
        faults.append(("poll", f"`poll` of catalog `{backstage.name}` is {backstage.poll_s:g}s", "write 1s to 5m"))
    if backstage.full_s < backstage.poll_s:
        faults.append(("full", f"`full` of catalog `{backstage.name}` is shorter than `poll`", "leave it out"))
    if backstage.definitions_s < backstage.full_s:
        message = f"`definitions` of catalog `{backstage.name}` is shorter than `full`"
        faults.append(("definitions", message, "leave it out"))
    return faults


def _token_faults(backstage: Backstage) -> Iterator[tuple[str, str, str]]:
    name, client = backstage.name, backstage.client
    if client is None and not backstage.token_file:
        message = f"catalog `{name}` has neither `token_file` nor `client`"
        yield "url", message, "write its token into a file and name it as `token_file`"
    elif client is not None and backstage.token_file:
        yield "client", f"catalog `{name}` has both `token_file` and `client`", "leave one of them out"
    parts = urlsplit(client.url if client is not None else "")
    if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
        yield "client", f"`{parts.geturl()}` is asked without TLS: who is in between sees the secret", "use https"


def _origin_faults(catalog: config.Catalog, locate: Locate) -> list[Fault]:
    names = [FILES] if catalog.files else []
    names += [each.name for each in catalog.backstage]
    if catalog.origins is None:
        if len(names) < 2:
            return []
        message = "`catalog` has several sources, and nothing says which of them may define people and teams"
        hint = f"write `origins: {{users: [{names[0]}], groups: [{names[0]}]}}`, or the locations you trust"
        return [Fault(locate(("catalog",)), message, hint)]
    faults = []
    for key, entries in (("users", catalog.origins.users), ("groups", catalog.origins.groups)):
        for position, entry in enumerate(entries):
            name, _, location = entry.partition(" ")
            place = locate(("catalog", "origins", key, position))
            if name not in names:
                hint = did_you_mean(name, names) or f"known here: {', '.join(names)}"
                faults.append(Fault(place, f"`{entry}` begins with no name of a source", hint))
            elif "*" in location[:-1]:
                faults.append(Fault(place, f"`{entry}` has a `*` that is not its end", "one `*`, at the end"))
    return faults


# === files ===


def unusable_catalog_files(settings: config.Settings, locate: Locate) -> list[Fault]:
    """A fault for every token and every file of authorities that cannot be used."""
    faults = []
    for position, backstage in enumerate(settings.catalog.backstage):
        at = ("catalog", "backstage", position)
        if backstage.token_file and (message := secret_fault(backstage.token_file)):
            hint = "write the token into it, one line and nothing else"
            faults.append(Fault(locate((*at, "token_file")), message, hint))
        if backstage.client is not None and (message := secret_fault(backstage.client.client_secret_file)):
            hint = "write the client's secret into it, one line and nothing else"
            faults.append(Fault(locate((*at, "client", "client_secret_file")), message, hint))
        if backstage.ca and (message := authorities_fault(backstage.ca)):
            faults.append(Fault(locate((*at, "ca")), message, "put the certificates there in PEM"))
    file = settings.catalog.sync_secret_file
    if file and (message := signing_secret_fault(file)):
        hint = f"`openssl rand -hex 32 > {file}`, and `chmod 600 {file}`"
        faults.append(Fault(locate(("catalog", "sync_secret_file")), message, hint))
    return faults


def authorities_fault(file: str) -> str:
    """Why these are no authorities to verify with; "" if they are."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(file)
    except ssl.SSLError as error:
        return f"`{file}` holds no certificates: {error.reason or type(error).__name__}"
    except OSError as error:
        return f"cannot read `{file}`: {str(error.strerror).lower()}"
    return ""
