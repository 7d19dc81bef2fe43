"""Asks the provider again whether a signed-in person is still who they were: one refresh of one session.

The order keeps the sign-in alive and its rights no longer than the provider gives them:

* One caller at a time, over all nodes, may use a refresh token; everybody else goes on with what is known.
* A rotated refresh token is in the store before anything else is done with the answer. An answer that cannot be judged
  now, because the provider's keys cannot be read, is then asked for once more with the new one.
* The new claims take the place of the old ones whole. What is missing in them is gone.
* A provider that is away is no answer: the session lives on for `sessions.offline`. A provider that will not have the
  refresh token any more, or answers about somebody else, ends the session.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from gateway import telemetry
from gateway.config.sign_in import Sessions
from gateway.control.sessions.kept_tokens import KeptTokens, opened_tokens, sealed_tokens
from gateway.control.sessions.sealing import Sealer
from gateway.control.signin.exchange import Exchange, GrantRefused, ProviderAway, ProviderRefused, Tokens
from gateway.control.signin.people import Keys, Person, Unbelieved, person_by_userinfo, person_of, rules_of
from gateway.control.store import Session, Store, StoreUnavailable
from gateway.identity.id_tokens import Expected, renewed_claims, without_rights
from gateway.identity.issuers import IssuerTable

CLAIM_S: Final = 30  # in which one refresh is over, whatever happens
SOONEST_S: Final = 30  # between two refreshes, however short an access token lasts
AGAIN_S: Final = 15  # after the provider did not answer
SPARE_S: Final = 30  # before the access token ends
TRIES: Final = 5  # of one write
_KEYS_AWAY: Final = ("issuer_unavailable", "token_key_unknown")


def next_refresh(expires_s: int, sessions: Sessions, now: int) -> int:
    """When the provider is asked again: before its access token ends, and at least every `sessions.refresh`."""
    often = int(sessions.refresh_s)
    return now + (max(min(SOONEST_S, often), min(often, expires_s - SPARE_S)) if expires_s else often)


class Renewal:
    """``exchange_of`` finds the client of an issuer by its name; ``now``: epoch seconds."""

    def __init__(
        self,
        store: Store,
        sealer: Callable[[], Sealer],
        exchange_of: Callable[[str], Exchange | None],
        table: Callable[[], IssuerTable],
        keys: Keys,
        now: Callable[[], int],
    ) -> None:
        self._store = store
        self._sealer = sealer
        self._exchange_of = exchange_of
        self._table = table
        self._keys = keys
        self._now = now

    async def renew(self, row: Session, sessions: Sessions) -> str:
        """Why the session must end; "" while it lives on. Raises `StoreUnavailable`."""
        now = self._now()
        if not await self._store.sessions.claim_refresh(row.sid, now, now + CLAIM_S):
            return ""
        fresh = (await self._store.sessions.get([row.sid])).get(row.sid)
        if fresh is None or fresh.over(now):
            return ""
        kept = opened_tokens(fresh.tokens, fresh.sid, self._sealer())
        if kept is None or kept.due > now or not kept.refresh_token:  # somebody else was faster
            return ""
        try:
            return await self._ask(fresh, kept, sessions)
        except (ProviderAway, ProviderRefused) as fault:
            return await self._away(fresh.sid, str(fault), sessions)
        except GrantRefused as fault:
            telemetry.log("session_refused_by_provider", issuer=row.issuer, session=row.sid, why=str(fault))
            return "provider"
        except Unbelieved as fault:
            if fault.code in _KEYS_AWAY:
                return await self._away(fresh.sid, str(fault), sessions)
            telemetry.log("refresh_not_believed", level="warning", issuer=row.issuer, session=row.sid, why=str(fault))
            return "provider"
        except StoreUnavailable:
            raise
        except Exception as error:  # ours, or claims that no database can keep: no right hangs on it for long
            return await self._away(fresh.sid, type(error).__name__, sessions)

    async def _ask(self, row: Session, kept: KeptTokens, sessions: Sessions) -> str:
        exchange = self._exchange_of(row.issuer)
        if exchange is None:
            raise ProviderAway(f"issuer `{row.issuer}` signs nobody in any more")
        tokens = await exchange.refresh(kept.refresh_token)
        kept = kept._replace(refresh_token=tokens.refresh_token or kept.refresh_token)
        if tokens.refresh_token:
            row = await self._written(row, kept)
        claims = await self._claims(row, kept, tokens, exchange)
        now = self._now()
        kept = kept._replace(
            id_token=tokens.id_token or kept.id_token, due=next_refresh(tokens.expires_s, sessions, now), away_since=0
        )
        await self._written(replace(row, claims=claims, confirmed=now), kept)
        return ""

    async def _claims(self, row: Session, kept: KeptTokens, tokens: Tokens, exchange: Exchange) -> dict[str, object]:
        """An answer without a word about the person leaves them known, and without rights that tokens give."""
        table = self._table()
        person: Person
        if tokens.id_token:
            expected = Expected(exchange.client.id, kept.nonce, sub=row.sub)
            person = await person_of(tokens, expected, exchange, table, self._keys, self._now())
        elif exchange.client.userinfo:
            person = await person_by_userinfo(row.sub, tokens, exchange, table)
        else:
            return without_rights(row.claims, rules_of(table, row.issuer))
        return renewed_claims(row.claims, person.claims)

    async def _written(self, row: Session, kept: KeptTokens) -> Session:
        """The claims and tokens of ``row``, over whatever else changed meanwhile: what a provider rotated is never
        lost to a race. Raises `ProviderAway` when the session has ended."""
        sealed = sealed_tokens(kept, row.sid, self._sealer())
        for _ in range(TRIES):
            wanted = replace(row, tokens=sealed)
            if (written := await self._store.sessions.replace(wanted, row.version)) is not None:
                return written
            other = (await self._store.sessions.get([row.sid])).get(row.sid)
            if other is None or other.over(self._now()):
                break
            row = replace(other, claims=row.claims, confirmed=row.confirmed)
        raise ProviderAway("the session ended while it was renewed")

    async def _away(self, sid: str, why: str, sessions: Sessions) -> str:
        """Remembers since when the provider has not answered; whether that is too long."""
        now = self._now()
        row = (await self._store.sessions.get([sid])).get(sid)
        kept = opened_tokens(row.tokens, sid, self._sealer()) if row is not None and not row.over(now) else None
        if row is None or kept is None or kept.due > now:
            return ""
        since = kept.away_since or now
        if now - since >= sessions.offline_s:
            telemetry.log("session_unconfirmed", level="warning", issuer=row.issuer, session=sid, why=why)
            return "provider_away"
        telemetry.log("session_not_renewed", level="warning", issuer=row.issuer, session=sid, why=why)
        again = max(now + 1, min(now + AGAIN_S, since + int(sessions.offline_s)))
        sealed = sealed_tokens(kept._replace(due=again, away_since=since), sid, self._sealer())
        await self._store.sessions.replace(replace(row, tokens=sealed), row.version)
        return ""
