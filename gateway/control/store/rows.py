"""What the store keeps, row by row: frozen values, times in whole epoch seconds, secrets as digests or sealed bytes.

A text holds no NUL and no half of a surrogate pair, because not every database can keep them; whoever writes such a
text gets `Unstorable`, whoever looks for one finds nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

CutKind = Literal["person", "workload", "team", "service", "environment"]
NoticeKind = Literal["resync", "ended", "changed", "cuts"]


@dataclass(frozen=True, slots=True)
class Session:
    """A person's session. ``version`` is 1 when it is added and grows by one with each `Sessions.replace`."""

    sid: str  # "s-" + 32 hex digits
    issuer: str  # the issuer's name in the settings
    sub: str
    signed_in: int
    seen: int  # the last request that was told of
    until: int  # its absolute end
    idle_s: int  # without a request for so long it is over
    rest: int = 0  # the longest pause between two uses since ``signed_in``
    claims: Mapping[str, Any] = field(default_factory=dict)  # what JSON can say; no tokens
    tokens: bytes = b""  # sealed by who writes them
    provider_sid: str = ""  # `sid` of the ID token
    ref: str = ""  # entity ref of the person at the last refresh, "" = matched nobody
    confirmed: int = 0  # when the provider last confirmed the claims
    address: str = ""  # of the client at sign-in
    agent: str = ""  # what the browser called itself then
    version: int = 1
    ended: int | None = None  # from then on it is over: claims and tokens are gone
    why: str = ""  # it ended

    def over(self, now: int) -> str:
        """Why it is over, "" while it lives. Rows are swept now and then: one that nobody ended may be over too."""
        if self.ended is not None:
            return self.why or "ended"
        if self.until <= now:
            return "until"
        return "idle" if self.seen + self.idle_s <= now else ""


@dataclass(frozen=True, slots=True)
class Pin:
    """The subject that a User of the catalog was first matched with. Another one is refused until it is confirmed."""

    issuer: str
    sub: str
    ref: str
    at: int
    by: str = ""  # who confirmed it; "" = the first match


@dataclass(frozen=True, slots=True)
class Cut:
    """Somebody, or something, that is cut off: whatever was issued or signed in before ``not_before`` is refused, also
    after the cut was lifted."""

    kind: CutKind
    ref: str  # entity ref, client id or name of the environment
    not_before: int
    because: str
    by: str
    lifted: int | None = None  # when; None: it is in force


@dataclass(frozen=True, slots=True)
class Act:
    """One administrative act. ``number`` is given by the store: 1, 2, …, in the order of commits."""

    at: int
    by: str
    verb: str  # "cut person", "lift cut", "end session", "confirm pin"
    about: str
    because: str = ""
    number: int = 0


class Notice(NamedTuple):
    """What changed, by ids alone: ``resync`` (anything may have) · ``ended``, ``changed`` (sids) · ``cuts``
    (kind:ref)."""

    kind: NoticeKind
    ids: tuple[str, ...] = ()
