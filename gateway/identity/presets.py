"""What each identity provider does its own way, as data: claims, token types, markers of a workload.

A preset only fills what the operator left out; every word an operator writes stands. It may *loosen* one rule, and
says which and why: Okta's access tokens carry no `typ`, Google has no JWT but the ID token. Everything else is the
same for every provider, and lives in `tokens.py`.

Matching is by an identifier the provider never reassigns. Where Backstage's provider for the directory writes such an
identifier into an annotation, the preset names it; elsewhere `match` is the operator's to say, and nobody matches
until then. E-mail is never a preset's match.

Presets of platforms (``programs``) know no people: whoever comes with such a token is a program, found by its name on
the platform. That name is only as good as the platform that gives it out, so the catalog writes the issuer's name in
front of it (``scoped``): a project of the same path on another GitLab is another program. SPIFFE ids name their trust
domain themselves and stand alone.
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
SPIFFE: Final = "spiffe://"
DNS_NAME: Final = "dns:"  # of a certificate
_LABEL: Final = r"[a-z0-9]([a-z0-9-]*[a-z0-9])?"

Conditions = Mapping[str, str | tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Preset:
    """One provider's ways. The defaults are RFC 9068's."""

    client_claims: tuple[str, ...] = ("client_id", "azp")  # where the client's id is; several must agree
    client_required: bool = False  # a token without it is no access token of this provider
    match: tuple[MatchField, ...] = ()
    groups: Groups | None = None
    # Claim -> text that it must equal. `{client}` is the token's client id, `{claim}` another claim.
    # RFC 9068 section 2.2: without a resource owner `sub` identifies the client.
    workload_when: Conditions = field(default_factory=lambda: {"sub": "{client}"})
    protocol_scopes: tuple[str, ...] = ()
    allow_absent_type: bool = False
    accept_id_tokens: bool = False
    payload_type: str = ""  # what the claim `typ` must say
    # of platforms alone
    programs: bool = False  # every token is a program's; one that is not what `workload_when` says is refused
    scoped: bool = False  # the catalog calls the program ISSUER:NAME
    client_shape: str = ""  # of the whole NAME, as an expression
    token_types: tuple[str, ...] = ()  # beside those of every issuer
    lacks: frozenset[str] = frozenset()  # registered claims that its tokens need not have
    key_uses: frozenset[str] = frozenset({"sig"})  # what `use` of its keys may say


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
    # Anybody on GitHub gets a token for any audience: the repository tells whose it is. What a pull request runs was
    # not merged yet, so only events that run what was count. `sub` is what the organisation makes it.
    "github-actions": Preset(
        client_claims=("repository",),
        workload_when={"event_name": ("push", "schedule", "workflow_dispatch", "repository_dispatch", "release",
                                      "deployment")},
        programs=True, scoped=True, client_shape=r"[A-Za-z0-9-]+/[A-Za-z0-9._-]+",
    ),
    # One issuer and one key for ID tokens of people who sign in with GitLab and of jobs: only jobs have a project. A
    # merge request's pipeline may start child pipelines, whose source no longer says so.
    "gitlab-ci": Preset(
        client_claims=("project_path",),
        workload_when={"pipeline_source": ("push", "schedule", "web", "api")},
        programs=True, scoped=True, client_shape=r"[A-Za-z0-9_.+-]+(/[A-Za-z0-9_.+-]+)+",
    ),
    # Projected service account tokens: no `typ`. Those of old secrets have neither `aud` nor `exp`.
    "kubernetes": Preset(
        client_claims=("sub",),
        workload_when={},
        allow_absent_type=True,
        programs=True, scoped=True, client_shape=rf"system:serviceaccount:{_LABEL}:{_LABEL}(\.{_LABEL})*",
    ),
    # JWT-SVIDs say no `iss` and no `iat`; the trust domain in `sub` says whose keys count. A bundle marks them
    # `jwt-svid`, beside others for certificates.
    "spiffe": Preset(
        client_claims=("sub",),
        workload_when={},
        allow_absent_type=True,
        programs=True, client_shape=r"spiffe://[a-z0-9._-]+(/(?!\.\.?(/|\Z))[A-Za-z0-9._-]+)+",
        token_types=("JOSE",), lacks=frozenset({"iss", "iat"}), key_uses=frozenset({"sig", "jwt-svid"}),
    ),
}  # fmt: skip


def with_preset(issuer: Issuer) -> Issuer:
    """The issuer with everything its preset fills in. Doing it twice changes nothing.

    What an operator says about programs takes the place of the preset's word; of a platform it is added, and takes
    the place of the condition on the same claim alone: who names a branch has not asked for pull requests.
    """
    preset = PRESETS[issuer.preset]
    scopes = dict.fromkeys((*issuer.protocol_scopes, *PROTOCOL_SCOPES, *preset.protocol_scopes))
    when: Conditions = {**preset.workload_when, **issuer.workload_when} if preset.programs else issuer.workload_when
    return replace(
        issuer,
        match=issuer.match or preset.match,
        groups=groups_of(issuer),
        workload_when=when or preset.workload_when,
        allow_absent_type=issuer.allow_absent_type or preset.allow_absent_type,
        accept_id_tokens=issuer.accept_id_tokens or preset.accept_id_tokens,
        protocol_scopes=tuple(scopes),
    )


def proved_otherwise(issuers: Iterable[Issuer]) -> tuple[str, ...]:
    """How the names of programs begin that a platform's token or a certificate proves. Whoever may name an OAuth client
    could call it so."""
    platforms = (f"{issuer.name}:" for issuer in issuers if PRESETS[issuer.preset].scoped)
    return (SPIFFE, DNS_NAME, *platforms)


def groups_of(issuer: Issuer) -> Groups | None:
    """Where the issuer's tokens list groups, whether or not :func:`with_preset` has been over it."""
    return issuer.groups or PRESETS[issuer.preset].groups


def key_uses(issuer: Issuer) -> frozenset[str]:
    """What `use` of the issuer's keys may say (RFC 7517 section 4.2)."""
    return PRESETS[issuer.preset].key_uses


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
    faults = _faults_of_platform(settled) if PRESETS[issuer.preset].programs else _faults_of_people(settled)
    if ("{tenantid}" in settled.issuer) != bool(settled.tenants):
        faults.append(f"issuer `{issuer.name}` needs both `{{tenantid}}` in its `issuer` and `tenants`, or neither")
    if settled.issuer.startswith(SPIFFE) != (settled.preset == "spiffe"):
        faults.append(f"issuer `{issuer.name}` needs both preset `spiffe` and a trust domain as `issuer`, or neither")
    if settled.preset == "spiffe" and not settled.jwks_uri:
        faults.append(f"issuer `{issuer.name}` needs `jwks_uri`: a trust domain has no discovery document")
    return faults


def _faults_of_people(settled: Issuer) -> list[str]:
    faults = []
    if not settled.match:
        faults.append(f"issuer `{settled.name}` needs `match`: say which claim equals which annotation of a User")
    if settled.membership != "catalog" and settled.groups is None:
        faults.append(f"issuer `{settled.name}` has membership `{settled.membership}` but no `groups`")
    for rule in filter(names_by_email, settled.match):
        if rule.claim != "email":
            faults.append(f"issuer `{settled.name}` matches `{rule.claim}` with an address: only `email` is verified")
        elif not rule.domains:
            faults.append(f"issuer `{settled.name}` matches on `email` and needs the `domains` it owns")
    if settled.preset == "keycloak" and settled.introspection is not None and settled.introspection.tokens != "signed":
        # What Keycloak answers always has `client_id`, which in its tokens is the mark of a program.
        faults.append(f"issuer `{settled.name}` signs all its tokens: ask about them with `tokens: signed`")
    return faults


def _faults_of_platform(settled: Issuer) -> list[str]:
    faults = []
    if settled.match or settled.groups is not None or settled.membership != "catalog":
        faults.append(f"issuer `{settled.name}` knows programs alone: leave out `match`, `groups` and `membership`")
    if settled.clients == "foreign":
        faults.append(f"issuer `{settled.name}` knows programs alone: with `clients: foreign` nobody could come")
    if settled.introspection is not None:
        faults.append(f"issuer `{settled.name}` is not one to be asked about tokens: leave out `introspection`")
    return faults
