"""Who is at an issuer, by what doors have seen and what a list says, and whom the door would find now.

A token says what counts, so what was seen goes before what a list says of the same subject. Whom the door finds is
asked of the door's own reading of claims and its own matching, with the table of now: what a door found when the token
came may be history.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final, Literal, NamedTuple

from gateway.config import Issuer
from gateway.control.sightings import Seen
from gateway.identity.claims import Verified, read_claims
from gateway.identity.issuers import IssuerRules
from gateway.identity.principal import principal_of
from gateway.people.lists import Row
from policy.facts import Principal
from policy.people.identity_map import Subject
from policy.people.near import Near, table_mended
from policy.reasons import IDENTITY_UNKNOWN
from policy.table import Table

Membership = Literal["catalog", "token", "both", "either"]
MODES: Final[tuple[Membership, ...]] = ("catalog", "token", "both", "either")
_TO_COME: Final = 2**40  # an `exp` for claims that are no token's


class Told(NamedTuple):
    """What is known of one subject. ``groups`` None: the token does not say, or the list does not; ``whole``: it is
    known what groups a token says. ``seen_at`` 0: never seen."""

    name: str
    claims: Mapping[str, str]
    email_verified: bool
    groups: tuple[str, ...] | None
    whole: bool
    seen_at: int
    listed: bool
    ref_then: str = ""  # whom the door found when the token came
    refusal_then: str = ""

    @property
    def label(self) -> str:
        """How a person would call them, "" when nothing is known but the subject."""
        claims = self.claims
        return claims.get("email") or claims.get("preferred_username") or claims.get("name") or ""


class Caller:
    """One subject and the principal that the door makes of it."""

    __slots__ = ("_issuer", "_rules", "_table", "_verified", "subject", "told")

    def __init__(self, told: Told, issuer: Issuer, rules: IssuerRules, table: Table) -> None:
        self.told = told
        self._issuer = issuer
        self._rules = rules
        self._table = table
        self._verified = _verified(told, rules)
        principal = self.principal() if self._verified is not None else None
        self.subject = Subject(
            told.name,
            told.claims,
            dict(_doubts(told, rules, self._verified)),
            principal.ref if principal is not None else "",
            principal.refusal if principal is not None else IDENTITY_UNKNOWN,
            told.groups,
            told.email_verified,
        )

    def principal(self, membership: Membership | None = None) -> Principal:
        """As the door makes it, under the issuer's membership or another one."""
        assert self._verified is not None  # INVARIANT: asked only of those who were found
        issuer = self._issuer if membership is None else replace(self._issuer, membership=membership)
        return principal_of(self._verified, issuer, self._table)

    def mended(self, near: Near) -> Principal | None:
        """The principal as the door would make it, were this near miss mended; None where that would not do."""
        read = _verified(self.told, self._rules)
        if read is None:
            return None
        read.match = (*(each for each in read.match if each[0] != near.claim), (near.claim, near.theirs))
        principal = principal_of(read, self._issuer, table_mended(self._table, self._issuer.name, near))
        return principal if principal.ref == near.ref else None


def told_of(seen: Iterable[Seen], rows: Sequence[Row], keys: Sequence[str]) -> list[Told]:
    """Everybody once. ``keys``: the claims by which a row without `sub` is known to be somebody who was seen."""
    found = {each.subject: _told_by_token(each) for each in seen}
    known = {(key, told.claims[key]): name for name, told in found.items() for key in keys if key in told.claims}
    for row in rows:
        places = ((key, row.claims[key]) for key in keys if key in row.claims)
        name = row.subject if row.subject in found else next((known[place] for place in places if place in known), "")
        if name:
            token = found[name]
            more = {claim: value for claim, value in row.claims.items() if claim not in keys}
            found[name] = token._replace(claims={**more, **token.claims}, listed=True)
        else:
            found[row.subject] = _told_by_row(row)
    return [told for _, told in sorted(found.items())]


def _told_by_token(seen: Seen) -> Told:
    whole = seen.more_groups == 0
    then = (seen.ref, seen.refusal)
    return Told(seen.subject, seen.claims, seen.email_verified, seen.groups, whole, seen.at, False, *then)


def _told_by_row(row: Row) -> Told:
    verified = row.email_verified is not False
    return Told(row.subject, row.claims, verified, row.groups, row.groups is not None, 0, True)


def _verified(told: Told, rules: IssuerRules) -> Verified | None:
    """The claims as the door reads them. A `sub` that the list lacks matches nobody: the subject stands in for it."""
    verified = told.email_verified
    claims: dict[str, object] = {**told.claims, "sub": told.name, "exp": _TO_COME, "email_verified": verified}
    if rules.groups is not None and told.groups is not None:
        claims[rules.groups.name] = list(told.groups)
    read = read_claims(claims, rules, "", 0)
    if not isinstance(read, Verified):
        return None
    read.match = tuple((claim, value) for claim, value in read.match if claim in told.claims)
    return read


def _doubts(told: Told, rules: IssuerRules, verified: Verified | None) -> Iterator[tuple[str, str]]:
    believed = {claim for claim, _ in verified.match} if verified is not None else set()
    for rule in rules.match:
        name = rule.claim.name
        if name not in told.claims or name in believed:
            continue
        if not told.claims[name].isascii():
            yield name, "not_ascii"
        else:
            yield name, "foreign_domain" if told.email_verified else "unverified"
