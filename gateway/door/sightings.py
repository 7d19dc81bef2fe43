"""Whom a worker has seen come: the claims of each verified token at its first sight, for control, which remembers them.

A request costs nothing here. When a token or an issuer's answer has just been verified, what it says is put aside,
without its signature; once a second some of it is read again and goes to control in one message. Programs are left
out: they are known by their client ids, and this is about people.

Bounded in every direction, because whoever has an account at an issuer chooses most of what stands in its tokens: so
many subjects and bytes wait, so many go in a second, so many groups and characters of each; names that could reach a
terminal or a log as something else are left out. What finds no room is counted and comes with the next token.
"""

from __future__ import annotations

from typing import Final

from gateway.identity.claims import Verified
from gateway.identity.issuers import Claims, IssuerTable
from gateway.identity.strict import base64url, is_clean, json_object
from policy.facts import Principal

WAITING: Final = 2048
WAITING_BYTES: Final = 2 * 1024 * 1024
AT_ONCE: Final = 64  # 0.9 ms of a turn of the loop
GROUPS: Final = 256
GROUP_LETTERS: Final = 8192
OBJECT: Final = ord("{")  # how an answer begins, and no token
SHOWN: Final = ("email", "name", "preferred_username")  # by which a reader knows who is meant


# What was verified, the ref and the refusal of the principal, a token's payload or the issuer's answer, and when.
_Sighting = tuple[Verified, str, str, bytes, int]


class Sightings:
    """One worker's, until control has them."""

    def __init__(self) -> None:
        self._issuers = IssuerTable({})
        self._waiting: dict[tuple[str, str], _Sighting] = {}
        self._bytes = 0
        self._left_out = 0

    def configure(self, issuers: IssuerTable) -> None:
        """Whose `match` says which claims count; what waits was verified under other settings."""
        self._issuers = issuers
        self.forget()

    def note(self, verified: Verified, principal: Principal, said: bytes, now: int) -> None:
        """``said``: the token that was verified at ``now``, or what its issuer answered about it."""
        if verified.workload:
            return
        payload = said if said[0] == OBJECT else said[said.index(b".") + 1 : said.rindex(b".")]
        key = (verified.issuer, verified.subject)
        before = self._waiting.get(key)
        size = self._bytes + len(payload) - (0 if before is None else len(before[3]))
        if size > WAITING_BYTES or (before is None and len(self._waiting) >= WAITING):
            self._left_out += 1
            return
        self._bytes = size
        self._waiting[key] = (verified, principal.ref, principal.refusal, payload, now)

    def take(self) -> dict[str, object] | None:
        """The message for control; None when there is nothing to tell."""
        if not self._waiting and not self._left_out:
            return None
        told = []
        for key in list(self._waiting)[:AT_ONCE]:
            sighting = self._waiting.pop(key)
            self._bytes -= len(sighting[3])
            told.append(self._entry(sighting))
        message = {"t": "sightings", "seen": told, "left_out": self._left_out}
        self._left_out = 0
        return message

    def forget(self) -> None:
        self._waiting.clear()
        self._bytes = self._left_out = 0

    def _entry(self, sighting: _Sighting) -> dict[str, object]:
        verified, ref, refusal, payload, at = sighting
        claims = _claims_in(payload)
        rules = self._issuers.named(verified.issuer)
        said: dict[str, object] = {rule.claim.name: rule.claim.of(claims) for rule in (rules.match if rules else ())}
        said = {**{name: claims.get(name) for name in SHOWN}, **dict(verified.match), **_present(said)}
        groups = None if verified.groups is None else _bounded(verified.groups)
        return {
            "issuer": verified.issuer,
            "subject": verified.subject,
            "claims": {name: value for name, value in said.items() if is_clean(value)},
            "email_verified": claims.get("email_verified") is True,
            "groups": groups,
            "more_groups": len(verified.groups or ()) - len(groups or ()),
            "ref": ref,
            "refusal": refusal,
            "at": at,
        }


def _claims_in(payload: bytes) -> Claims:
    text = payload if payload[0] == OBJECT else base64url(payload)
    return (json_object(text) if text else None) or {}


def _present(claims: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in claims.items() if value is not None}


def _bounded(groups: tuple[str, ...]) -> list[str]:
    """As many of the first as there is room for."""
    kept: list[str] = []
    letters = 0
    for group in groups[:GROUPS]:
        letters += len(group)
        if letters > GROUP_LETTERS:
            break
        kept.append(group)
    return kept
