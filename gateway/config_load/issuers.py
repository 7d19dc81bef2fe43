"""The keys of an issuer in `stagedoor.yaml`: whose tokens are accepted, and how they find people, teams and programs.

Short forms are made long here, so that whoever reads the models knows one form.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator

from gateway.config_load.values import (
    MAPPING,
    Algorithm,
    BearerStart,
    Duration,
    EndpointAddress,
    Host,
    HostPattern,
    IssuerUrl,
    KeysAddress,
    Name,
    Some,
    Text,
)


class Keys(BaseModel):
    model_config = MAPPING


class MatchFieldModel(Keys):
    """Short form: the field alone."""

    field: Text
    """`metadata.name`, `annotations.KEY` or `spec.profile.email`."""
    domains: list[Host] = []
    """For matches by address: the domains that the issuer owns."""


def _long_form(value: Any) -> Any:
    return {"field": value} if isinstance(value, str) else value


def _fields(value: Any) -> Any:
    if isinstance(value, dict):
        return list(value.values())
    return [value] if isinstance(value, str) else value


MatchField = Annotated[MatchFieldModel, BeforeValidator(_long_form, json_schema_input_type=MatchFieldModel | Text)]


class GroupsModel(Keys):
    """Where the tokens list groups."""

    claim: Text
    """The claim that lists them."""
    match: Annotated[
        list[Text], BeforeValidator(_fields, json_schema_input_type=list[Text] | Text | dict[Text, Text])
    ] = ["metadata.name"]
    """The fields of a Group that a value of the claim may equal; one, several, or `{claim: field}`."""


class IntrospectionModel(Keys):
    """The issuer itself is asked about tokens (RFC 7662)."""

    client_id: Text
    """As whom Stagedoor asks."""
    client_secret_file: Text
    """File with that client's secret and nothing else, readable by Stagedoor's user alone."""
    url: EndpointAddress | None = None
    """Where it is asked. Default: what discovery says."""
    prefixes: list[BearerStart] = []
    """How its opaque tokens begin. Without them it is asked about all that no issuer before it is asked about."""
    cache: Duration | None = None
    """How long an answer counts, and no longer than the token. Default: 60s."""
    tokens: Literal["opaque", "signed", "all"] = "opaque"
    """About which tokens. Signed ones are verified first, and count as long as the issuer says that they are active."""
    without_sub: Literal["refuse", "client"] = "refuse"
    """`client`: this issuer leaves `sub` out where a client got the token for itself, and nowhere else."""


class ClientModel(Keys):
    """As whom Stagedoor signs people in, with a browser, at this issuer."""

    id: Text
    """The client id that the issuer gave to Stagedoor."""
    secret_file: Text | None = None
    """File with that client's secret and nothing else, readable by Stagedoor's user alone."""
    key_file: Text | None = None
    """PEM file with the private key of `private_key_jwt`: RSA, P-256 or Ed25519."""
    method: Literal["client_secret_basic", "client_secret_post", "private_key_jwt"] | None = None
    """How the client proves itself. Default: by what is given, client_secret_basic or private_key_jwt."""
    scopes: Some[Text] | None = None
    """What is asked for. Default: openid, profile and email; `offline_access` where the issuer wants it for refresh."""
    userinfo: bool = False
    """The issuer's userinfo is asked too, and counts beside the ID token."""
    hosts: list[HostPattern] = []
    """Who comes from one of these hosts is sent to this issuer without a question."""
    domains: list[Host] = []
    """Who types an e-mail address of one of these domains is sent to this issuer."""
    mfa_acr_values: list[Text] = []
    """`acr_values` that ask for a second factor; an `acr` among them says that there was one."""


class CommandLineModel(Keys):
    """As whom `stagedoor login` signs people in on their own machines. Everybody may read what stands here."""

    client_id: Text
    """A public client of its own, without a secret, that may come back to `http://127.0.0.1` at any port."""
    scopes: Some[Text] | None = None
    """What is asked for. Default: openid, profile and email; `offline_access` where the issuer wants it for refresh."""
    resource: Text | None = None
    """What the access token has to be good for, one of `audiences`, where the issuer has to be told (RFC 8707; with
    preset `auth0` its `audience`)."""
    mfa_acr_values: list[Text] | None = None
    """`acr_values` that ask for a second factor; an `acr` among them in an access token says that there was one.
    Default: those of `client`."""


class IssuerModel(Keys):
    name: Name
    """How logs, metrics and the access policy call this issuer."""
    preset: Literal[
        "generic", "okta", "entra", "keycloak", "auth0", "google", "github-actions", "gitlab-ci", "kubernetes", "spiffe"
    ] = "generic"
    """What the provider does its own way. Every word written beside it stands."""
    issuer: IssuerUrl
    """The exact `iss` of its tokens; its keys are found from here by discovery. Preset `spiffe`: the trust domain."""
    audiences: Some[Text]
    """A token must name one of these in `aud`."""
    algorithms: Some[Algorithm] | None = None
    """Signatures that are accepted. Default: RS256 and ES256."""
    match: dict[Text, MatchField] | None = None
    """Which claim equals which field of a User: `{sub: annotations.example.com/id}`."""
    groups: GroupsModel | None = None
    """Where its tokens list groups, and how a Group is found."""
    membership: Literal["catalog", "token", "both", "either"] = "catalog"
    """Who says which teams a person is in."""
    scopes: Literal["bound", "add"] = "bound"
    """Whether the scopes of a token bound what its bearer may do, or add to it."""
    workload_when: dict[Text, Text | Some[Text]] | None = None
    """Claims that tell a program's token from a person's; all must hold, of a list one value. `{client}` is the client
    id. With the preset of a platform these conditions come beside its own."""
    clients: Literal["ours", "foreign"] | None = None
    """Whether its client ids are those of the catalog. Of several issuers, only where this says so."""
    token_types: Some[Text] | None = None
    """What `typ` in a token's header may say."""
    jwks_uri: KeysAddress | None = None
    """Where its keys are, when discovery does not say."""
    tenants: list[Text] = []
    """What `{tenantid}` in `issuer` may stand for (Entra ID)."""
    introspection: IntrospectionModel | None = None
    """Ask the issuer about tokens that say nothing themselves."""
    client: ClientModel | None = None
    """People may sign in here with a browser; needs `central_host`."""
    command_line: CommandLineModel | None = None
    """People may sign in here with `stagedoor login`, for `stagedoor curl` and `token`; needs `central_host`."""
