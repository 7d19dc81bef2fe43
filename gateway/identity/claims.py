"""What a verified token says about who is asking: claims read with their types, or a refusal.

Strategy: a claim that is absent says nothing, a claim that is used and mistyped refuses the token. A guess here
becomes somebody's rights: `groups` as a text was searched with `in`, `email_verified` as the text "false" is true.
Every text that is kept is short and free of control characters, because it ends in headers and log lines.

Nothing here knows keys, algorithms or the catalog, and nothing is decided: matching people is `principal.py`.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final, NamedTuple

from gateway.errors import Refused
from gateway.identity.issuers import Claims, IssuerRules
from gateway.identity.strict import is_clean

GROUPS_LIMIT: Final = 2048
SCOPES_LIMIT: Final = 512
ACTORS_LIMIT: Final = 4
REMEMBERED_LETTERS: Final = 512
_SECOND_FACTOR: Final = frozenset({"mfa"})  # RFC 8176


class Actor(NamedTuple):
    """One party of RFC 8693 `act`, who uses the token on the subject's behalf."""

    subject: str
    client_id: str


class Verified:
    """What a token says, now that its issuer's signature is known to be good. Immutable by habit, cached by digest.

    It says nothing about the catalog and survives every policy change; drop it at ``until``, when ``key_id`` leaves
    :attr:`KeyRing.ids`, or by revocation. Without a ``key_id`` the issuer itself was asked; ``until`` is then when it
    is to be asked again.
    """

    __slots__ = (
        "acr", "actors", "amr", "auth_time", "bounded", "client_id", "client_is_ours", "expires", "groups",
        "issued_at", "issuer", "key_id", "match", "not_before", "scopes", "subject", "until", "workload",
    )  # fmt: skip

    def __init__(
        self,
        *,
        issuer: str,
        subject: str,
        client_id: str,
        client_is_ours: bool,
        key_id: str,
        issued_at: int,
        not_before: int,
        expires: int,
        until: int,
        match: tuple[tuple[str, str], ...],
        groups: tuple[str, ...] | None,
        scopes: frozenset[str],
        bounded: bool,
        amr: frozenset[str],
        acr: str,
        auth_time: int,
        actors: tuple[Actor, ...],
        workload: bool,
    ) -> None:
        self.issuer = issuer  # its name in the settings
        self.subject = subject
        self.client_id = client_id  # "" = the token names no client
        self.client_is_ours = client_is_ours  # it may be one that the catalog names
        self.key_id = key_id  # "" = no key told, the issuer itself did
        self.issued_at = issued_at
        self.not_before = not_before  # 0 = not given
        self.expires = expires  # `exp` itself
        self.until = until  # `exp` and the leeway: the first second at which the token is refused
        self.match = match  # (claim, value) of every match claim that is present and may be believed
        self.groups = groups  # None = the token does not say (absent, or too many for the provider to list)
        self.scopes = scopes
        self.bounded = bounded
        self.amr = amr
        self.acr = acr
        self.auth_time = auth_time  # 0 = not given
        self.actors = actors
        self.workload = workload


def whose(verified: Verified) -> tuple[str, str, str]:
    """For whom, and for which client of which issuer, the token was made."""
    return verified.issuer, verified.subject, verified.client_id


def say_the_same(one: Verified, other: Verified | None) -> bool:
    """Of who is asking: everything but when the token was made, counts and ends."""
    return (
        other is not None
        and one.issuer == other.issuer
        and one.subject == other.subject
        and one.client_id == other.client_id
        and one.client_is_ours == other.client_is_ours
        and one.key_id == other.key_id
        and one.match == other.match
        and one.groups == other.groups
        and one.scopes == other.scopes
        and one.bounded == other.bounded
        and one.amr == other.amr
        and one.acr == other.acr
        and one.auth_time == other.auth_time
        and one.actors == other.actors
        and one.workload == other.workload
    )


def mistyped(name: str) -> Refused:
    return Refused("token_claims", f"`{name}` is missing or not what it must be")


def client_of(claims: Claims, rules: IssuerRules) -> str | None:
    """The client the token was given to, as the catalog calls it; "" = the token names none, None = it names two, no
    text, or what is no client of such an issuer."""
    client = ""
    for name in rules.client_claims:
        value = claims.get(name)
        if value is None:
            continue
        if not isinstance(value, str) or not is_clean(value) or client not in ("", value):
            return None
        client = value
    if client and rules.client_shape is not None and not rules.client_shape.fullmatch(client):
        return None
    return rules.client_prefix + client if client else ""


def read_claims(claims: Claims, rules: IssuerRules, key_id: str, now: int) -> Verified | Refused:
    """Everything about the subject. The registered claims were checked before the signature, with their types."""
    client_id = client_of(claims, rules)
    if client_id is None or (rules.programs and not client_id):
        return mistyped(rules.client_claims[0])
    if rules.programs and (unfit := rules.unfit(claims, client_id)):
        return Refused("token_claims", f"`{unfit}` is not what it must be for the programs of this issuer")
    match = _match_of(claims, rules)
    if isinstance(match, Refused):
        return match
    groups = _groups_of(claims, rules)
    if isinstance(groups, Refused):
        return groups
    spoken, roles, amr = _scopes_of(claims), _texts(claims.get("roles")), _texts(claims.get("amr"))
    if spoken is None or roles is None or amr is None:
        return mistyped("scope" if spoken is None else "roles" if roles is None else "amr")
    acr, auth_time = claims.get("acr", ""), claims.get("auth_time", 0)
    if acr != "" and not is_clean(acr):
        return mistyped("acr")
    # An `auth_time` to come would count as a fresh sign-in for ever.
    if type(auth_time) is not int or not 0 <= auth_time <= now + rules.leeway_s:
        return mistyped("auth_time")
    # RFC 9068 section 2.2.1: access tokens say how somebody signed in with the claims of ID tokens.
    methods = frozenset(amr)
    if str(acr) in rules.mfa_acr_values:
        methods |= _SECOND_FACTOR
    actors = _actors_of(claims)
    if isinstance(actors, Refused):
        return actors
    expires = _int(claims["exp"])
    return Verified(
        issuer=rules.name,
        subject=str(claims["sub"]),
        client_id=client_id,
        client_is_ours=rules.is_ours(client_id),
        key_id=key_id,
        issued_at=_int(claims.get("iat", 0)),
        not_before=_int(claims.get("nbf", 0)),
        expires=expires,
        until=expires + rules.leeway_s,
        match=match,
        groups=groups,
        scopes=frozenset((*spoken, *roles)),
        bounded=rules.bound and not rules.protocol_scopes.issuperset(spoken),
        amr=methods,
        acr=str(acr),
        auth_time=auth_time,
        actors=actors,
        workload=rules.is_workload(claims, client_id),
    )


def _match_of(claims: Claims, rules: IssuerRules) -> tuple[tuple[str, str], ...] | Refused:
    """What may name the person. An e-mail address that cannot be believed is left out, so that it matches nobody."""
    found: list[tuple[str, str]] = []
    for rule in rules.match:
        value = rule.claim.of(claims)
        if value is None:
            continue
        if not isinstance(value, str) or not is_clean(value):
            return mistyped(rule.claim.name)
        if rule.email:
            value = _believed_email(value, claims.get("email_verified"), rule.domains)
        if value:
            found.append((rule.claim.name, value))
    return tuple(found)


def _believed_email(address: str, verified: object, domains: frozenset[str]) -> str:
    """The folded address, or "" unless the issuer verified it, owns its domain, and it can be read one way only.

    ASCII only: the Kelvin sign folds to `k`, and a look-alike address would become another person's.
    """
    local, _, domain = address.partition("@")
    if verified is not True or not local or "@" in domain or not address.isascii():
        return ""
    return address.lower() if domain.lower() in domains else ""


def _groups_of(claims: Claims, rules: IssuerRules) -> tuple[str, ...] | None | Refused:
    """The values of the groups claim; None when the token does not say.

    Entra ID leaves the groups out when there are too many and points elsewhere (`hasgroups`, `_claim_names`);
    what such a token lists beside that is not the whole and counts for nothing.
    """
    if rules.groups is None:
        return None
    name = rules.groups.name
    elsewhere = claims.get("_claim_names", {})
    if not isinstance(elsewhere, dict):
        return mistyped("_claim_names")
    if claims.get("hasgroups") or name in elsewhere:
        return None
    value = rules.groups.of(claims)
    if value is None:
        # `null` is a statement of the wrong type, not silence.
        return mistyped(name) if name in claims else None
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, list) or len(value) > GROUPS_LIMIT or not all(map(is_clean, value)):
        return mistyped(name)
    return tuple(value)


def _scopes_of(claims: Claims) -> tuple[str, ...] | None:
    """RFC 8693 section 4.2 has `scope` as one text; Okta and Entra ID say `scp`, as list and as text."""
    spoken = _texts(claims.get("scope"), split=True)
    also = _texts(claims.get("scp"), split=True)
    return None if spoken is None or also is None else spoken + also


def _texts(value: object, split: bool = False) -> tuple[str, ...] | None:
    """A text or a list of texts, none of them empty where it is one; () when absent, None when it is anything else."""
    if value is None:
        return ()
    if isinstance(value, str):
        if split:
            return _remembered_words(value) if len(value) <= REMEMBERED_LETTERS else _words(value)
        value = [value] if value else []
    if not isinstance(value, list) or len(value) > SCOPES_LIMIT or not all(map(is_clean, value)):
        return None
    return tuple(value)


def _words(text: str) -> tuple[str, ...] | None:
    words = tuple([word for word in text.split(" ") if word])
    return words if len(words) <= SCOPES_LIMIT and all(map(is_clean, words)) else None


# The plain form is `_words(text)`: one program asks for the same scopes again and again, and reading them takes 1 µs.
_remembered_words = lru_cache(maxsize=1024)(_words)


def _actors_of(claims: Claims) -> tuple[Actor, ...] | Refused:
    """RFC 8693 section 4.1: who acts, the latest first. All of one issuer, because `sub` means nothing without."""
    actors: list[Actor] = []
    act = claims.get("act")
    while act is not None:
        if not isinstance(act, dict) or len(actors) == ACTORS_LIMIT:
            return mistyped("act")
        subject, client = act.get("sub"), act.get("client_id", "")
        if not is_clean(subject) or (client != "" and not is_clean(client)):
            return mistyped("act")
        if act.get("iss", claims.get("iss")) != claims.get("iss"):
            return mistyped("act")
        actors.append(Actor(str(subject), str(client)))
        act = act.get("act")
    return tuple(actors)


def _int(value: object) -> int:
    assert isinstance(value, int)  # INVARIANT: `tokens.verify` checked the times before the signature
    return value
