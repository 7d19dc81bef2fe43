"""Whose User is whose: the first subject that signs in as a User of the catalog is pinned to it, for each issuer, and
another one is refused until an administrator confirms it.

An address is given to somebody new, an annotation is changed: `match` then finds an old User for a new person, who
would have all that the old one had. A subject here is `sub` of the ID token that our own client gets, which no provider
gives to two people (OpenID Connect Core 1.0 section 2). In tokens that programs bring it may be another one for each
client, so those are not pinned.

Who somebody is is looked up as doors do, in the base that is published. Where none was read yet the sign-in goes on,
and the session is judged by what doors find a moment later.

A session is written as a User's and then compared; a pin is written and then the sessions are listed. So of two that
happen at once, at any nodes, one sees the other, and no session of another account is left.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from gateway import telemetry
from gateway.config import Settings
from gateway.control.cuts import checked
from gateway.control.signin.failures import SignInFailed
from gateway.control.store import Act, Pin, Session, Store, StoreUnavailable
from gateway.errors import Refused, StagedoorError
from gateway.identity.claims import read_claims
from gateway.identity.issuers import IssuerTable
from gateway.identity.principal import principal_of
from gateway.identity.strict import is_clean
from policy.table import Table

MOST_TURNED_AWAY: Final = 100
WHY: Final = "pinned"  # a session that ended because of it


class PinRefused(StagedoorError):
    """The act cannot be done; the text says why, for the operator."""


class StoreAway(PinRefused):
    """Nobody can be asked, and nothing was changed."""


class Pins:
    """``table``: the base that is served; ``end`` ends sessions, given why; ``now``: epoch seconds."""

    def __init__(
        self, store: Store, table: Callable[[], Table], end: Callable[[list[str], str], Any], now: Callable[[], int]
    ) -> None:
        self._store = store
        self._table = table
        self._end = end
        self._now = now
        self._settings: Settings | None = None
        self._rules = IssuerTable.from_settings(())
        self._turned_away: OrderedDict[tuple[str, str, str], int] = OrderedDict()  # when; the newest last

    def adopt(self, settings: Settings) -> None:
        self._settings = settings
        self._rules = IssuerTable.from_settings(settings.issuers)

    # === people ===

    def ref_of(self, row: Session) -> str:
        """The User whom a door would find; "" = none, or nobody knows yet."""
        rules = self._rules.named(row.issuer)
        issuers = self._settings.issuers if self._settings is not None else ()
        issuer = next((each for each in issuers if each.name == row.issuer), None)
        if rules is None or issuer is None:
            return ""
        verified = read_claims({**row.claims, "exp": row.until}, rules, "", self._now())
        if isinstance(verified, Refused):
            return ""
        verified.bounded = verified.workload = False
        return principal_of(verified, issuer, self._table()).ref

    async def is_own(self, row: Session, ref: str) -> bool:
        """Whether the session's subject may be that User; its issuer's first one may. Raises `StoreUnavailable`."""
        pin = await self._store.pin(row.issuer, row.sub, ref, self._now())
        if pin.sub == row.sub:
            return True
        key = (row.issuer, ref, row.sub)
        self._turned_away.pop(key, None)
        self._turned_away[key] = self._now()
        if len(self._turned_away) > MOST_TURNED_AWAY:
            self._turned_away.popitem(last=False)
        telemetry.log("pin_differs", level="warning", issuer=row.issuer, ref=ref, pinned=pin.sub, came=row.sub)
        return False

    async def added(self, row: Session) -> Session:
        """A new session, in the store. Raises `SignInFailed`, `StoreUnavailable`."""
        ref = self.ref_of(row)
        if ref and not await self.is_own(row, ref):
            raise SignInFailed("pinned", f"`{ref}` is pinned to another subject of `{row.issuer}`; `{row.sub}` came")
        row = replace(row, ref=ref)
        await self._store.sessions.add(row)
        if ref and not await self._holds(row):
            raise SignInFailed("pinned", f"`{ref}` was pinned to another subject of `{row.issuer}` than `{row.sub}`")
        return row

    async def found(self, row: Session, ref: str) -> None:
        """A door found that User for a living session. It ends unless it may be theirs. Raises `StoreUnavailable`."""
        if not await self.is_own(row, ref):
            await self._end([row.sid], WHY)
        elif await self._store.sessions.name(row.sid, ref):
            await self._holds(replace(row, ref=ref))

    async def _holds(self, row: Session) -> bool:
        """Whether a session that was just written as its User's stays; those of accounts that are not pinned end."""
        if not await self.is_own(row, row.ref):
            await self._end([row.sid], WHY)
            return False
        await self._others_end(row.issuer, row.ref, row.sub)
        return True

    # === administrators ===

    async def listed(self, user: str) -> dict[str, Any]:
        """Raises `PinRefused`, `CutRefused` for what is no name of a person."""
        ref = _user(user) if user else ""
        pins = await self._asked(self._store.pins(ref))
        return {
            "pins": [
                {"issuer": each.issuer, "user": each.ref, "subject": each.sub, "since": each.at, "by": each.by}
                for each in pins
            ],
            "turned_away": [
                {"issuer": issuer, "user": who, "subject": sub, "at": at}
                for (issuer, who, sub), at in reversed(self._turned_away.items()) if ref in ("", who)
            ],
        }  # fmt: skip

    async def confirm(self, issuer: str, user: str, sub: str, because: str, by: str) -> dict[str, Any]:
        """From now on it is this subject; sessions of another one end. Raises `PinRefused`."""
        ref = _user(user)
        if not any(each.name == issuer and each.client is not None for each in self._issuers()):
            names = ", ".join(f"`{each.name}`" for each in self._issuers() if each.client is not None) or "none"
            raise PinRefused(f"nobody signs in at issuer `{issuer}`; there is {names}")
        if not is_clean(sub):
            raise PinRefused("`--subject` is no subject of an ID token; `stagedoor pin list` shows who was turned away")
        if not because.strip():
            raise PinRefused("say why, with --because: the next one who reads it decides by that")
        act = Act(self._now(), by, "confirm pin", f"{ref} {issuer} {sub}"[:512], because.strip())
        await self._asked(self._store.confirm_pin(Pin(issuer, sub, ref, self._now(), by), act))
        for key in [each for each in self._turned_away if each == (issuer, ref, sub)]:
            del self._turned_away[key]
        try:
            ended = await self._others_end(issuer, ref, sub)
        except StoreUnavailable as fault:
            raise StoreAway(f"the pin is changed, but sessions of another account go on: confirm it again; {fault}") \
                from None  # fmt: skip
        return {"user": ref, "issuer": issuer, "subject": sub, "ended": ended}

    async def remove(self, issuer: str, user: str, because: str, by: str) -> dict[str, Any]:
        """The next one who signs in is pinned. Raises `PinRefused`, also when there is none."""
        ref = _user(user)
        if not because.strip():
            raise PinRefused("say why, with --because: the next one who reads it decides by that")
        act = Act(self._now(), by, "remove pin", f"{ref} {issuer}"[:512], because.strip())
        if not await self._asked(self._store.unpin(issuer, ref, act)):
            raise PinRefused(f"`{ref}` has no pin at issuer `{issuer}`; `stagedoor pin list` shows all")
        return {"user": ref, "issuer": issuer, "subject": "", "ended": 0}

    async def _others_end(self, issuer: str, ref: str, sub: str) -> int:
        rows = await self._store.sessions.of_ref(ref)
        others = [row.sid for row in rows if row.issuer == issuer and row.sub != sub]
        if others:
            await self._end(others, WHY)
        return len(others)

    def _issuers(self) -> tuple[Any, ...]:
        return self._settings.issuers if self._settings is not None else ()

    async def _asked(self, question: Any) -> Any:
        try:
            return await question
        except StoreUnavailable as fault:
            raise StoreAway(f"the database does not answer, and nothing was changed: {fault}") from None


def _user(name: str) -> str:
    """The ref, as `stagedoor cut person` takes it. Raises `CutRefused`."""
    return checked("person", name)[1]
