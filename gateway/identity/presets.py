"""What each identity provider does its own way, as data: claims, token types, markers of a workload.

A preset only fills what the operator left out; every word an operator writes stands. It may *loosen* one rule, and
says which and why: Okta's access tokens carry no `typ`, Google has no JWT but the ID token. Everything else is the
same for every provider, and lives in `tokens.py`.

Matching is by an identifier the provider never reassigns. Where Backstage's provider for the directory writes such an
identifier into an annotation, the preset names it; elsewhere `match` is the operator's to say, and nobody matches
until then. E-mail is never a preset's match.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from gateway.config import Groups, Issuer, MatchField
from policy.facts import KeyField

# OpenID Connect Core 1.0 section 5.4 and 11, and what providers add for the same purpose: they ask for claims or
# refresh tokens and say nothing about operations, so they do not bound a token.
PROTOCOL_SCOPES: Final = ("openid", "profile", "email", "address", "phone", "offline_access", "groups")
EMAIL_FIELD: Final = "spec.profile.email"


@dataclass(frozen=True, slots=True)
class Preset:
    """One provider's ways. The defaults are RFC 9068's."""

    client_claims: tuple[str, ...] = ("client_id", "azp")  # where the client's id is; several must agree
    client_required: bool = False  # a token without it is no access token of this provider
    match: tuple[MatchField, ...] = ()
    groups: Groups | None = None
    # Claim -> text that it must equal. `{client}` is the token's client id, `{claim}` another claim.
    # RFC 9068 section 2.2: without a resource owner `sub` identifies the client.
    workload_when: Mapping[str, str] = field(default_factory=lambda: {"sub": "{client}"})
    protocol_scopes: tuple[str, ...] = ()
    allow_absent_type: bool = False
    accept_id_tokens: bool = False
    payload_type: str = ""  # what the claim `typ` must say


PRESETS: Final[Mapping[str, Preset]] = {
    "generic": Preset(),
    # Access tokens of custom authorisation servers: no `typ`, the client in `cid`, the user's immutable id in `uid`
    # while `sub` is the login name, which can change. ID tokens have no `cid`.
    "okta": Preset(client_claims=("cid",), client_required=True, allow_absent_type=True),
    # v1 tokens name the client `appid`, v2 tokens `azp`; ID tokens name none, and that alone tells them apart where
    # an application is its own audience. `sub` differs per application, `oid` is the directory's. In app-only
    # tokens both are the service principal's.
    "entra": Preset(
        client_claims=("azp", "appid"),
        client_required=True,
        match=(MatchField("oid", "annotations.graph.microsoft.com/user-id"),),
        groups=Groups("groups", (MatchField("groups", "annotations.graph.microsoft.com/group-id"),)),
        workload_when={"sub": "{oid}"},
        protocol_scopes=("User.Read", ".default"),
    ),
    # The payload's own `typ` tells Bearer from ID, Refresh, Offline and Logout, all signed with one key under the
    # header `JWT`. `client_id` is a note of client-credentials sessions; the user name alone could be anybody's.
    "keycloak": Preset(
        client_claims=("azp",),
        client_required=True,
        match=(MatchField("sub", "annotations.keycloak.org/id"),),
        groups=Groups("groups", (MatchField("groups", "metadata.name"),)),
        workload_when={"client_id": "{client}", "preferred_username": "service-account-{client}"},
        payload_type="bearer",
    ),
    # `azp` in tokens of Auth0's own profile, `client_id` in those of RFC 9068's. A person's `sub` always has the form
    # `connection|id`.
    "auth0": Preset(client_claims=("azp", "client_id"), workload_when={"sub": "{client}@clients"}),
    # Access tokens are opaque; what a caller can present is an ID token, bound to the audience alone. No claim
    # of it says that a service account asks, so nobody is a workload unless the operator says when.
    "google": Preset(client_claims=("azp",), accept_id_tokens=True, workload_when={}),
}


def with_preset(issuer: Issuer) -> Issuer:
    """The issuer with everything its preset fills in. Doing it twice changes nothing."""
    preset = PRESETS[issuer.preset]
    scopes = dict.fromkeys((*issuer.protocol_scopes, *PROTOCOL_SCOPES, *preset.protocol_scopes))
    return replace(
        issuer,
        match=issuer.match or preset.match,
        groups=groups_of(issuer),
        workload_when=issuer.workload_when or preset.workload_when,
        allow_absent_type=issuer.allow_absent_type or preset.allow_absent_type,
        accept_id_tokens=issuer.accept_id_tokens or preset.accept_id_tokens,
        protocol_scopes=tuple(scopes),
    )


def groups_of(issuer: Issuer) -> Groups | None:
    """Where the issuer's tokens list groups, whether or not :func:`with_preset` has been over it."""
    return issuer.groups or PRESETS[issuer.preset].groups


def names_by_email(rule: MatchField) -> bool:
    """Whether a person is found by an address: then the claim must be `email`, which alone is ever verified."""
    return rule.claim == "email" or rule.field == EMAIL_FIELD


def key_fields(issuers: Iterable[Issuer]) -> tuple[KeyField, ...]:
    """How the tokens of these issuers find people and teams: what the policy compiler builds its indexes from."""
    fields: list[KeyField] = []
    for issuer in map(with_preset, issuers):
        fields.extend(KeyField(issuer.name, "person", rule.claim, rule.field) for rule in issuer.match)
        if issuer.groups is not None:
            fields.extend(KeyField(issuer.name, "team", issuer.groups.claim, r.field) for r in issuer.groups.match)
    return tuple(dict.fromkeys(fields))


def faults_of(issuer: Issuer) -> list[str]:
    """What an operator must still say before anybody can come with this issuer's tokens."""
    settled = with_preset(issuer)
    faults = []
    if not settled.match:
        faults.append(f"issuer `{issuer.name}` needs `match`: say which claim equals which annotation of a User")
    if settled.membership != "catalog" and settled.groups is None:
        faults.append(f"issuer `{issuer.name}` has membership `{settled.membership}` but no `groups`")
    if ("{tenantid}" in settled.issuer) != bool(settled.tenants):
        faults.append(f"issuer `{issuer.name}` needs both `{{tenantid}}` in its `issuer` and `tenants`, or neither")
    for rule in filter(names_by_email, settled.match):
        if rule.claim != "email":
            faults.append(f"issuer `{issuer.name}` matches `{rule.claim}` with an address: only `email` is verified")
        elif not rule.domains:
            faults.append(f"issuer `{issuer.name}` matches on `email` and needs the `domains` it owns")
    return faults
