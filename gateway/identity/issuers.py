"""Issuer settings compiled for verification: one look-up by `iss` gives every rule its tokens are held to.

Compiled once when a process starts. Claims are found by name, or by a dotted path into nested objects, as written in
the settings; lists become frozen sets; a tenant template becomes one exact `iss` for each tenant listed, so at run
time an issuer is always an exact text and never a pattern (a partial match is how tokens of a stranger pass).

No keys, no tokens, no clock in here.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from gateway.config import Issuer
from gateway.identity.jwks import ALGORITHMS
from gateway.identity.presets import PRESETS, names_by_email, with_preset

LEEWAY_S: Final = 30  # how far clocks may differ; no configuration goes above the limit
LEEWAY_LIMIT_S: Final = 60
TENANT: Final = "{tenantid}"  # as Microsoft writes it in its discovery document

Claims = Mapping[str, object]
Places = tuple[tuple[str, str], ...]  # of a condition's text: a claim's name and the text after it
_PLACE: Final = re.compile(r"\{([^{}]+)\}")


class Claim:
    """A claim's name in the settings, ready to be looked up: the literal member first, then the dotted path.

    A name with `://` is one name (Auth0 demands such names for custom claims), dots and all.
    """

    __slots__ = ("name", "path")

    def __init__(self, name: str) -> None:
        self.name = name
        self.path = tuple(name.split(".")) if "." in name and "://" not in name else ()

    def of(self, claims: Claims) -> object:
        """The value, or None when the token has none. JSON's null counts as none."""
        found: object = claims.get(self.name)
        if found is None and self.path:
            found = claims
            for step in self.path:
                found = found.get(step) if isinstance(found, dict) else None
        return found


@dataclass(frozen=True, slots=True)
class MatchRule:
    """A claim that may name a person. ``domains``: for e-mail alone, those the issuer owns."""

    claim: Claim
    domains: frozenset[str]
    email: bool


@dataclass(frozen=True, slots=True)
class IssuerRules:
    """What the tokens of one issuer must be like and how its claims are read."""

    name: str
    audiences: frozenset[str]
    algorithms: frozenset[str]
    token_types: frozenset[str]  # lower case; "" when the header may lack `typ`
    accept_id_tokens: bool
    payload_type: str
    client_claims: tuple[str, ...]
    client_required: bool
    match: tuple[MatchRule, ...]
    groups: Claim | None
    workload_when: tuple[tuple[Claim, str, Places], ...]
    clients_are_ours: bool  # its client ids are those of the catalog
    protocol_scopes: frozenset[str]
    bound: bool  # scopes of a token bound what reach confers
    tenants: Mapping[str, str]  # exact `iss` -> tenant, for templates
    leeway_s: int

    def is_workload(self, claims: Claims, client_id: str) -> bool:
        """Whether nobody but a program can have got this token: every condition holds."""
        if not self.workload_when or not client_id:
            return False
        for claim, first, rest in self.workload_when:
            wanted = _filled(first, rest, claims, client_id)
            if wanted is None or claim.of(claims) != wanted:
                return False
        return True


class IssuerTable:
    """All issuers, by the exact text of `iss` and by name."""

    __slots__ = ("_by_name", "by_iss")

    def __init__(self, by_iss: Mapping[str, IssuerRules]) -> None:
        self.by_iss = by_iss
        self._by_name = {rules.name: rules for rules in by_iss.values()}

    @classmethod
    def from_settings(cls, issuers: Iterable[Issuer], leeway_s: int = LEEWAY_S) -> IssuerTable:
        """Two settings that claim one `iss` cannot both be meant: neither is believed."""
        by_iss: dict[str, IssuerRules] = {}
        doubtful: set[str] = set()
        settled = tuple(map(with_preset, issuers))
        for issuer in settled:
            tenants = _tenants(issuer)
            ours = are_clients_ours(issuer, settled)
            rules = _rules(issuer, tenants, max(0, min(leeway_s, LEEWAY_LIMIT_S)), ours=ours)
            for iss in tenants if TENANT in issuer.issuer else (issuer.issuer,):
                doubtful.update({iss} & by_iss.keys())
                by_iss[iss] = rules
        return cls({iss: rules for iss, rules in by_iss.items() if iss not in doubtful})

    def named(self, name: str) -> IssuerRules | None:
        return self._by_name.get(name)


def are_clients_ours(issuer: Issuer, issuers: Collection[Issuer]) -> bool:
    """Whether a client id of this issuer means the component that names it in the catalog.

    A catalog names client ids and no issuers, and whoever runs an issuer chooses its client ids. So with several
    issuers each has to be said to share the catalog's: a partner's could give out the id of any program here.
    """
    return issuer.clients == "ours" or (issuer.clients == "" and len(issuers) == 1)


def _rules(issuer: Issuer, tenants: Mapping[str, str], leeway_s: int, *, ours: bool) -> IssuerRules:
    preset = PRESETS[issuer.preset]
    groups = issuer.groups
    return IssuerRules(
        name=issuer.name,
        audiences=frozenset(issuer.audiences),
        algorithms=frozenset(issuer.algorithms) & ALGORITHMS.keys(),
        token_types=frozenset(map(str.lower, issuer.token_types)) | ({""} if issuer.allow_absent_type else frozenset()),
        accept_id_tokens=issuer.accept_id_tokens,
        payload_type=preset.payload_type,
        client_claims=preset.client_claims,
        client_required=preset.client_required,
        match=tuple(
            MatchRule(Claim(rule.claim), frozenset(map(str.lower, rule.domains)), rule.claim == "email")
            for rule in issuer.match
            if names_by_email(rule) == (rule.claim == "email")  # a user name is not an address anybody verified
        ),
        groups=Claim(groups.claim) if groups is not None else None,
        workload_when=tuple((Claim(name), *_places(text)) for name, text in sorted(issuer.workload_when.items())),
        clients_are_ours=ours,
        protocol_scopes=frozenset(issuer.protocol_scopes),
        bound=issuer.scopes == "bound",
        tenants=tenants,
        leeway_s=leeway_s,
    )


def _tenants(issuer: Issuer) -> dict[str, str]:
    if TENANT not in issuer.issuer:
        return {}
    return {issuer.issuer.replace(TENANT, tenant): tenant for tenant in issuer.tenants}


def _places(text: str) -> tuple[str, Places]:
    """`a{b}c` as ``("a", (("b", "c"),))``."""
    first, *rest = _PLACE.split(text)
    return first, tuple(zip(rest[::2], rest[1::2], strict=True))


def _filled(first: str, rest: Places, claims: Claims, client_id: str) -> str | None:
    """The text with each `{claim}` replaced; None when one of them is missing or no text."""
    text = first
    for name, following in rest:
        value = client_id if name == "client" else claims.get(name)
        if not isinstance(value, str):
            return None
        text += value + following
    return text
