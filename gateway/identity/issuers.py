"""Issuer settings compiled for verification: one look-up by `iss` gives every rule its tokens are held to.

Compiled once when a process starts. Claims are found by name, or by a dotted path into nested objects, as written in
the settings; lists become frozen sets; a tenant template becomes one exact `iss` for each tenant listed, so at run
time an issuer is always an exact text and never a pattern (a partial match is how tokens of a stranger pass).

Two kinds of tokens carry no `iss`. A JWT-SVID goes by the trust domain in its `sub`. An opaque token says nothing at
all, and whoever is asked about it gets to know it and could use it: so exactly one issuer is asked, the one whose
prefix it has, and never a second one.

No keys, no tokens, no clock in here.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from gateway.config import Issuer
from gateway.identity.jwks import ALGORITHMS
from gateway.identity.presets import PRESETS, SPIFFE, Conditions, names_by_email, proved_otherwise, with_preset

LEEWAY_S: Final = 30  # how far clocks may differ; no configuration goes above the limit
LEEWAY_LIMIT_S: Final = 60
USUAL_TYPES: Final = Issuer("", "", ()).token_types
TENANT: Final = "{tenantid}"  # as Microsoft writes it in its discovery document

Claims = dict[str, object]
Places = tuple[tuple[str, str], ...]  # of a condition's text: a claim's name and the text after it
Pattern = tuple[str, Places]  # the text before the first place, and the places
_PLACE: Final = re.compile(r"\{([^{}]+)\}")


class Claim:
    """A claim's name in the settings, ready to be looked up: the literal member first, then the dotted path.

    A name with `://` is one name (Auth0 demands such names for custom claims), dots and all.
    """

    __slots__ = ("name", "path")

    def __init__(self, name: str) -> None:
        self.name = name
        self.path = tuple(name.split(".")) if "." in name and "://" not in name else ()

    def of(self, claims: Mapping[str, object]) -> object:
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
    client_prefix: str  # in front of what the token calls the client
    client_shape: re.Pattern[str] | None
    programs: bool  # knows no people: a token that is no program's is refused
    lacks: frozenset[str]  # registered claims that may be missing
    trust_domain: str  # "spiffe://example.org/": how every `sub` must begin; "" = as it likes
    sub_is_client: bool  # an answer about a token that leaves `sub` out means the client
    asks: bool  # a signed token counts only as long as the issuer says, when asked, that it is active
    match: tuple[MatchRule, ...]
    groups: Claim | None
    workload_when: tuple[tuple[Claim, tuple[Pattern, ...]], ...]  # one of each claim's patterns must fit
    clients_are_ours: bool  # its client ids are those of the catalog
    unclaimable: tuple[str, ...]  # how names begin that a client id of this issuer cannot be
    protocol_scopes: frozenset[str]
    bound: bool  # scopes of a token bound what reach confers
    tenants: Mapping[str, str]  # exact `iss` -> tenant, for templates
    leeway_s: int
    mfa_acr_values: frozenset[str] = frozenset()  # an `acr` among them says that there was a second factor

    def is_ours(self, client_id: str) -> bool:
        """Whether the client id means the component that names it in the catalog."""
        return self.clients_are_ours and not client_id.startswith(self.unclaimable)

    def is_workload(self, claims: Claims, client_id: str) -> bool:
        """Whether nobody but a program can have got this token: every condition holds."""
        if not client_id or not (self.workload_when or self.programs):
            return False
        return not self.unfit(claims, client_id)

    def unfit(self, claims: Claims, client_id: str) -> str:
        """The first claim that is not what a program's must be, or ``""``."""
        for claim, patterns in self.workload_when:
            value = claim.of(claims)
            if not isinstance(value, str):
                return claim.name
            for first, rest in patterns:
                if _filled(first, rest, claims, client_id) == value:
                    break
            else:
                return claim.name
        return ""


class IssuerTable:
    """All issuers, by the exact text of `iss` and by name."""

    __slots__ = ("_asked", "_by_name", "by_iss", "trust_domains")

    def __init__(
        self, by_iss: Mapping[str, IssuerRules], asked: tuple[tuple[tuple[bytes, ...], IssuerRules], ...] = ()
    ) -> None:
        self.by_iss = by_iss
        self.trust_domains = {rules.trust_domain: rules for rules in by_iss.values() if rules.trust_domain}
        self._by_name = {rules.name: rules for rules in by_iss.values()}
        self._asked = asked  # who is asked about tokens, in the order of the settings

    @classmethod
    def from_settings(cls, issuers: Iterable[Issuer], leeway_s: int = LEEWAY_S) -> IssuerTable:
        """Two settings that claim one `iss` cannot both be meant: neither is believed."""
        by_iss: dict[str, IssuerRules] = {}
        doubtful: set[str] = set()
        settled = tuple(map(with_preset, issuers))
        proved = proved_otherwise(settled)
        asked = []
        for issuer in settled:
            tenants = _tenants(issuer)
            ours = are_clients_ours(issuer, settled)
            unclaimable = () if PRESETS[issuer.preset].programs else proved
            rules = _rules(issuer, tenants, max(0, min(leeway_s, LEEWAY_LIMIT_S)), ours=ours, unclaimable=unclaimable)
            for iss in tenants if TENANT in issuer.issuer else (issuer.issuer,):
                doubtful.update({iss} & by_iss.keys())
                by_iss[iss] = rules
            if issuer.introspection is not None and issuer.introspection.tokens != "signed":
                prefixes = tuple(each.encode() for each in issuer.introspection.prefixes or ("",))
                asked.append((prefixes, rules))
        return cls({iss: rules for iss, rules in by_iss.items() if iss not in doubtful}, tuple(asked))

    def named(self, name: str) -> IssuerRules | None:
        return self._by_name.get(name)

    def of_spiffe_id(self, subject: object) -> IssuerRules | None:
        """The issuer whose trust domain the SPIFFE id names; None for anything else."""
        if not self.trust_domains or not isinstance(subject, str) or not subject.startswith(SPIFFE):
            return None
        return self.trust_domains.get(SPIFFE + subject[len(SPIFFE) :].partition("/")[0] + "/")

    def asked_about(self, token: bytes) -> IssuerRules | None:
        """The one issuer that is asked about an opaque token: the first whose prefix it has."""
        for prefixes, rules in self._asked:
            if token.startswith(prefixes):
                return rules
        return None


def answered(rules: IssuerRules) -> IssuerRules:
    """The rules for what the issuer answers about a token: RFC 7662 section 2.2 has the client in `client_id`, however
    the issuer's signed tokens call it."""
    return replace(rules, client_claims=tuple(dict.fromkeys(("client_id", *rules.client_claims))))


def are_clients_ours(issuer: Issuer, issuers: Collection[Issuer]) -> bool:
    """Whether a client id of this issuer means the component that names it in the catalog.

    A catalog names client ids and no issuers, and whoever runs an issuer chooses its client ids. So with several
    issuers each has to be said to share the catalog's: a partner's could give out the id of any program here. The
    names that a platform gives out say themselves whose they are.
    """
    alone = len(issuers) == 1 or PRESETS[issuer.preset].programs
    return issuer.clients == "ours" or (issuer.clients == "" and alone)


def _rules(
    issuer: Issuer, tenants: Mapping[str, str], leeway_s: int, *, ours: bool, unclaimable: tuple[str, ...]
) -> IssuerRules:
    preset = PRESETS[issuer.preset]
    groups = issuer.groups
    types = issuer.token_types + (preset.token_types if issuer.token_types == USUAL_TYPES else ())
    return IssuerRules(
        name=issuer.name,
        audiences=frozenset(issuer.audiences),
        algorithms=frozenset(name for name in issuer.algorithms if name in ALGORITHMS),
        token_types=frozenset(map(str.lower, types)) | ({""} if issuer.allow_absent_type else frozenset()),
        accept_id_tokens=issuer.accept_id_tokens,
        payload_type=preset.payload_type,
        client_claims=preset.client_claims,
        client_required=preset.client_required,
        client_prefix=f"{issuer.name}:" if preset.scoped else "",
        client_shape=re.compile(preset.client_shape) if preset.client_shape else None,
        programs=preset.programs,
        lacks=preset.lacks,
        trust_domain=f"{issuer.issuer}/" if issuer.issuer.startswith(SPIFFE) else "",
        sub_is_client=issuer.introspection is not None and issuer.introspection.without_sub == "client",
        asks=issuer.introspection is not None and issuer.introspection.tokens != "opaque",
        match=tuple(
            MatchRule(Claim(rule.claim), frozenset(map(str.lower, rule.domains)), rule.claim == "email")
            for rule in issuer.match
            if names_by_email(rule) == (rule.claim == "email")  # a user name is not an address anybody verified
        ),
        groups=Claim(groups.claim) if groups is not None else None,
        workload_when=_conditions(issuer.workload_when),
        clients_are_ours=ours,
        unclaimable=unclaimable,
        protocol_scopes=frozenset(issuer.protocol_scopes),
        bound=issuer.scopes == "bound",
        tenants=tenants,
        leeway_s=leeway_s,
        mfa_acr_values=frozenset(value for each in (issuer.client, issuer.command_line) if each for value in
                                 each.mfa_acr_values),
    )  # fmt: skip


def _tenants(issuer: Issuer) -> dict[str, str]:
    if TENANT not in issuer.issuer:
        return {}
    return {issuer.issuer.replace(TENANT, tenant): tenant for tenant in issuer.tenants}


def _conditions(when: Conditions) -> tuple[tuple[Claim, tuple[Pattern, ...]], ...]:
    return tuple(
        (Claim(name), tuple(map(_places, (text,) if isinstance(text, str) else text)))
        for name, text in sorted(when.items())
    )


def _places(text: str) -> Pattern:
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
