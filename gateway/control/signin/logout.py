"""Sign-out: by the person, by the provider, and the page at its end.

By the person (RP-Initiated Logout 1.0): the session is over here before anything else, then the browser goes to the
provider with the ID token as a hint, so that the sign-in there ends too. What comes back with `state` changes nothing
but a sentence, and only when we sealed it ourselves.

By the provider (Back-Channel Logout 1.0): a logout token ends the sessions it names, once, and is answered when that is
committed. A token that is wrong ends nothing and says why in a code.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

import orjson
from aiohttp import web

from gateway import telemetry
from gateway.control.pages import Pages
from gateway.control.sessions.kept_tokens import opened_tokens
from gateway.control.signin.asking import Forms, once, port_of
from gateway.control.signin.exchange import Exchange, ProviderAway
from gateway.control.signin.failures import SignInFailed
from gateway.control.signin.people import Unbelieved, rules_of, verified
from gateway.control.store import Session, StoreUnavailable
from gateway.identity.logout_tokens import LogoutToken, read_logout_token
from gateway.identity.strict import json_object

if TYPE_CHECKING:
    from gateway.control.signin.assembly import Context

BACKCHANNEL: Final = "/.stagedoor/backchannel-logout/{issuer}"
SIGNED_OUT: Final = "/.stagedoor/signed-out"
STATE_LASTS_S: Final = 600
HINT_LIMIT: Final = 6 * 1024  # of an ID token in an address: beyond it servers refuse the whole
REMEMBERED_S: Final = 900  # a logout token's id: longer than any is believed


class Logout:
    def __init__(self, context: Context, pages: Pages) -> None:
        self._context = context
        self._pages = pages
        self._forms = Forms()

    # === by the person ===

    async def sign_out(self, sid: str, host: str) -> str:
        """End the session; where the browser goes then. ``host``: the authority it is on. Raises `StoreUnavailable`."""
        row = (await self._context.store.sessions.get([sid])).get(sid)
        central = f"https://{self._context.settings.central_host}{port_of(host)}"
        there = self._at_provider(row, central) if row is not None and not row.over(self._context.now()) else ""
        await self._context.live.end([sid], "signed_out")
        return there or central + SIGNED_OUT

    def _at_provider(self, row: Session, central: str) -> str:
        exchange = self._context.exchange_of(row.issuer)
        endpoints = exchange.provider.known if exchange is not None else None
        if exchange is None or endpoints is None or not endpoints.end_session:
            return ""
        sealer = self._context.ring.sealer
        kept = opened_tokens(row.tokens, row.sid, sealer)
        state = sealer.seal("logout", orjson.dumps({"i": row.issuer, "at": self._context.now()}), "state").decode()
        asked = {"client_id": exchange.client.id, "post_logout_redirect_uri": central + SIGNED_OUT, "state": state}
        if kept is not None and 0 < len(kept.id_token) <= HINT_LIMIT:
            asked["id_token_hint"] = kept.id_token
        return f"{endpoints.end_session}{'&' if '?' in endpoints.end_session else '?'}{urlencode(asked)}"

    async def page(self, request: web.Request) -> web.Response:
        said = once(request.query.items(), ("state",), "callback_malformed")
        state = said.get("state", "").encode("latin-1", "replace")
        plain = self._context.ring.sealer.open("logout", state, "state") if state else None
        sealed = (json_object(plain) if plain is not None else None) or {}
        at, now = sealed.get("at"), self._context.now()
        is_ours = isinstance(at, int) and at - 5 <= now < at + STATE_LASTS_S
        return self._pages.page(request, "signed_out.html", {"everywhere": sealed["i"] if is_ours else ""})

    # === by the provider ===

    async def by_provider(self, request: web.Request) -> web.Response:
        exchange = self._context.exchange_of(request.match_info["issuer"])
        if exchange is None:
            return _refused(404, "unknown issuer")
        try:
            said = await self._forms.read(request, ("logout_token",), "callback_malformed")
            ended = await self._ended(said.get("logout_token", ""), exchange)
        except SignInFailed as failed:
            return _refused(503 if failed.code == "busy" else 400, failed.detail)
        except Unbelieved as fault:
            telemetry.log("logout_token_refused", level="warning", issuer=exchange.issuer.name, why=str(fault))
            return _refused(503 if fault.code == "issuer_unavailable" else 400, fault.code)
        except (StoreUnavailable, ProviderAway):
            return _refused(503, "try again")
        telemetry.log("logged_out_by_provider", issuer=exchange.issuer.name, sessions=len(ended))
        return web.Response(status=200)

    async def _ended(self, token: str, exchange: Exchange) -> list[str]:
        context = self._context
        name = exchange.issuer.name
        table = context.table
        rules = rules_of(table, name)
        said: LogoutToken = await verified(
            lambda ring: read_logout_token(token.encode(), exchange.client.id, rules, table, ring, context.now()),
            name, exchange, context.keys,
        )  # fmt: skip
        until = max(context.now() + REMEMBERED_S, said.expires)
        is_first = await context.store.remember_once("logout", f"{name} {said.id}", until)
        rows = await self._meant(name, said)
        # One that comes again is a provider's next try, or an old word that somebody kept: whoever signed in after it
        # was signed is not meant.
        sids = [row.sid for row in rows if is_first or row.signed_in <= said.issued_at]
        return await context.live.end(sids, "provider")

    async def _meant(self, issuer: str, said: LogoutToken) -> list[Session]:
        """Section 2.4: of a session where one is named, of all of the subject's where none is."""
        store = self._context.store
        if not said.provider_sid:
            return await store.sessions.of_person(issuer, said.subject)
        rows = await store.sessions.of_provider_session(issuer, said.provider_sid)
        return [row for row in rows if not said.subject or row.sub == said.subject]


def _refused(status: int, why: str) -> web.Response:
    """Section 2.8."""
    body = orjson.dumps({"error": "invalid_request" if status < 500 else "temporarily_unavailable",
                         "error_description": why})  # fmt: skip
    return web.Response(status=status, body=body, headers={"Content-Type": "application/json"})
