"""The way of a person through the central host: to a provider, back from it, and on to where they wanted to go.

Everything that comes in by an address was chosen by somebody else until it is proved: a ticket was sealed by a door, a
`state` has its cookie in this very browser, a code was made for our proof key, an ID token was signed for this sign-in.
Only then there is a session, and always a new one. Every failure is a page with its reason; none leads back by itself,
so nobody is sent in circles.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

from aiohttp import web

from gateway import telemetry
from gateway.config import Issuer
from gateway.control.api.routes import own_origin
from gateway.control.fetch import FetchFault
from gateway.control.pages import Pages
from gateway.control.sessions.beginning import new_session
from gateway.control.signin.asked_of_provider import address_of, parameters_of
from gateway.control.signin.asking import Forms, client_address, is_own_page, once, port_of, sign_in_cookies
from gateway.control.signin.choice import by_address, choices
from gateway.control.signin.exchange import Exchange, GrantRefused, ProviderAway, ProviderRefused, Tokens
from gateway.control.signin.failures import SignInFailed, leading_back
from gateway.control.signin.handover import HandOver
from gateway.control.signin.people import Person, Unbelieved, person_of
from gateway.control.signin.provider import Endpoints
from gateway.control.signin.transactions import (
    COOKIE,
    LASTS_S,
    Transaction,
    cookie_of,
    gone_cookie,
    new_transaction,
    opened_cookie,
    surplus,
)
from gateway.control.store import Session
from gateway.identity.id_tokens import Expected, age_of, lacks_strength
from gateway.identity.session import COOKIE as SESSION_COOKIE
from gateway.identity.session import Ticket, is_local_target, open_ticket

if TYPE_CHECKING:
    from gateway.control.signin.assembly import Context

SIGN_IN: Final = "/.stagedoor/sign-in"
CALLBACK: Final = "/.stagedoor/callback"
AT_ONCE: Final = 96  # sign-ins that wait for a provider
SESSION_ATTRIBUTES: Final = "; Path=/; Secure; HttpOnly; SameSite=Lax"
_SAID: Final = ("code", "state", "iss", "error")
Vouched = Callable[[web.Request], str]  # the session by which the door knows the caller; "" = none


class Flow:
    """``vouched`` says by whose session the request came."""

    def __init__(self, context: Context, hand_over: HandOver, vouched: Vouched, pages: Pages) -> None:
        self._context = context
        self._pages = pages
        self._hand_over = hand_over
        self._vouched = vouched
        self._forms = Forms()
        self._under_way = 0  # at providers

    # === to the provider ===

    async def begin(self, request: web.Request) -> web.Response:
        if request.headers.get("Sec-Fetch-Dest", "document") != "document":
            raise SignInFailed("ticket_unknown", "another page wanted it inside itself")
        said = once(request.query.items(), ("ticket", "issuer"), "ticket_unknown")
        ticket = self._ticket(request, said.get("ticket", ""))
        with leading_back(_place_of(ticket)):
            return await self._led_on(request, ticket, said)

    async def _led_on(self, request: web.Request, ticket: Ticket | None, said: Mapping[str, str]) -> web.Response:
        session = await self._session(request)
        if session is not None and self._is_good(session, ticket):
            return await self._arrived(request, ticket, session)
        host = ticket.host.rpartition(":")[0] or ticket.host if ticket is not None else ""
        able = choices(self._context.settings.issuers, host)
        if name := said.get("issuer", ""):
            able = [each for each in self._context.settings.issuers if each.client is not None and each.name == name]
        elif session is not None:  # who is known, and has to show more, shows it where they are known
            able = [each for each in able if each.name == session.issuer] or able
        if not able:
            raise SignInFailed("issuer_unknown")
        if len(able) > 1:
            return self._picker(request, able, host, said.get("ticket", ""))
        address, cookies = await self._sent(request, able[0], ticket)
        return _redirect(address, cookies)

    async def chosen(self, request: web.Request) -> web.Response:
        """By an e-mail address. The page in between leads on, because a form of ours may not lead elsewhere itself."""
        if not is_own_page(request):
            raise SignInFailed("ticket_unknown", "the form was sent by another site")
        said = await self._forms.read(request, ("ticket", "email"), "ticket_unknown")
        ticket = self._ticket(request, said.get("ticket", ""))
        email = said.get("email", "").strip()
        with leading_back(_place_of(ticket)):
            issuer = by_address(self._context.settings.issuers, email)
            if issuer is None:
                raise SignInFailed("address_unknown")
            address, cookies = await self._sent(request, issuer, ticket, email)
        answer = self._pages.page(request, "onward.html", {"address": address, "name": issuer.name})
        _add(answer, cookies)
        return answer

    def _ticket(self, request: web.Request, text: str) -> Ticket | None:
        if own_origin(request.headers).partition(":")[0] != "https":
            raise SignInFailed("https_needed")
        if not text:
            return None
        ticket = open_ticket(text.encode("latin-1", "replace"), self._context.ring.sessions, self._context.now())
        if ticket is None:
            raise SignInFailed("ticket_unknown", "the ticket does not open, or is too old")
        # A door sends people here by the port they came by. A ticket of another one was made by somebody else, for a
        # port of that host which may be theirs.
        if port_of(ticket.host) != port_of(request.headers.get("Host", "")):
            raise SignInFailed("ticket_unknown", "the ticket was made for another port")
        return ticket

    async def _session(self, request: web.Request) -> Session | None:
        """The living one that the browser has here already."""
        sid = self._vouched(request)
        row = (await self._context.store.sessions.get([sid])).get(sid) if sid else None
        return row if row is not None and not row.over(self._context.now()) else None

    def _is_good(self, row: Session, ticket: Ticket | None) -> bool:
        """Whether it is strong and recent enough for where the person wants to go."""
        if ticket is None:
            return True
        age = age_of(row.claims, self._context.now())
        is_recent = ticket.max_age < 0 or (age is not None and age <= ticket.max_age)
        return is_recent and not lacks_strength(row.claims, ticket.acr_values)

    def _picker(self, request: web.Request, able: list[Issuer], host: str, ticket: str) -> web.Response:
        carried = {"ticket": ticket} if ticket else {}
        shown = [
            {"name": each.name, "address": f"{SIGN_IN}?{urlencode({**carried, 'issuer': each.name})}"} for each in able
        ]
        by_domain = any(each.client is not None and each.client.domains for each in able)
        values = {"choices": shown, "host": host, "ticket": ticket, "by_address": by_domain}
        return self._pages.page(request, "picker.html", values)

    async def _sent(
        self, request: web.Request, issuer: Issuer, ticket: Ticket | None, hint: str = ""
    ) -> tuple[str, list[str]]:
        """Where to, and the cookies that go with it."""
        with self._one_of_few():
            exchange, endpoints = await self._provider(issuer.name)
        transaction = new_transaction(issuer.name, ticket, self._context.now())
        sealer = self._context.ring.sealer
        asked = parameters_of(transaction, exchange.client, own_origin(request.headers) + CALLBACK, hint)
        try:
            with self._one_of_few():
                address = await address_of(exchange, endpoints, asked)
        except ProviderAway as fault:
            raise SignInFailed("provider_away", str(fault)) from None
        except (ProviderRefused, GrantRefused) as fault:
            raise SignInFailed("provider_refused", str(fault)) from None
        gone = surplus(sign_in_cookies(request), sealer)
        return address, [*map(gone_cookie, gone), cookie_of(transaction, sealer)]

    @contextmanager
    def _one_of_few(self) -> Iterator[None]:
        """Anybody begins sign-ins: while a provider is slow, they leave a door its connections to control."""
        if self._under_way >= AT_ONCE:
            raise SignInFailed("busy", f"{AT_ONCE} sign-ins wait for providers")
        self._under_way += 1
        try:
            yield
        finally:
            self._under_way -= 1

    async def _provider(self, name: str) -> tuple[Exchange, Endpoints]:
        exchange = self._context.exchange_of(name)
        if exchange is None:
            raise SignInFailed("issuer_unknown")
        try:
            return exchange, await exchange.provider.endpoints()
        except FetchFault as fault:
            raise SignInFailed("provider_away", str(fault)) from None

    # === back from it ===

    async def finish(self, request: web.Request) -> web.Response:
        said = once(request.query.items(), _SAID, "callback_malformed")
        state = said.get("state", "")
        transaction = opened_cookie(state, sign_in_cookies(request), self._context.ring.sealer, self._context.now())
        if transaction is None:
            raise SignInFailed(await self._why_unknown(request, state))
        try:
            with self._one_of_few(), leading_back(_place_of(transaction.ticket)):
                answer = await self._finished(request, said, transaction)
        except SignInFailed as failed:
            failed.cookie = gone_cookie(COOKIE + transaction.state[:8])
            raise
        answer.headers.add("Set-Cookie", gone_cookie(COOKIE + transaction.state[:8]))
        return answer

    async def _why_unknown(self, request: web.Request, state: str) -> str:
        """Who comes back by the history of their browser has lost the cookie, and is signed in."""
        if not state:
            return "callback_malformed"
        return "cookie_missing" if await self._session(request) is None else "callback_used"

    async def _finished(self, request: web.Request, said: Mapping[str, str], transaction: Transaction) -> web.Response:
        exchange, endpoints = await self._provider(transaction.issuer)
        self._check_issuer(said.get("iss"), exchange, endpoints)
        until = transaction.begun_at + LASTS_S
        if not await self._context.store.remember_once("state", transaction.state, until):
            raise SignInFailed("callback_used")
        if "error" in said:
            shown = said["error"] if said["error"].isascii() and said["error"].isidentifier() else "…"
            raise SignInFailed("denied", f"the provider answered `{shown[:40]}`")
        if not said.get("code"):
            raise SignInFailed("callback_malformed", "it has no code")
        tokens, person = await self._person(request, said["code"], transaction, exchange)
        ticket = transaction.ticket
        if ticket is not None:
            age = age_of(person.claims, self._context.now())
            if lacks_strength(person.claims, ticket.acr_values) or (
                ticket.max_age >= 0 and age is not None and age > ticket.max_age + 60
            ):
                raise SignInFailed("strength_unmet", f"acr {person.claims.get('acr')!r:.80}")
        session = await self._begun(request, person, tokens, transaction)
        return await self._arrived(request, ticket, session)

    def _check_issuer(self, iss: str | None, exchange: Exchange, endpoints: Endpoints) -> None:
        """RFC 9207 section 2.4: where the provider says that it names itself, it has to."""
        if iss is None and not endpoints.says_iss:
            return
        rules = self._context.table.by_iss.get(iss or "")
        if rules is None or rules.name != exchange.issuer.name:
            raise SignInFailed("issuer_mixed_up", f"asked was issuer `{exchange.issuer.name}`")

    async def _person(
        self, request: web.Request, code: str, transaction: Transaction, exchange: Exchange
    ) -> tuple[Tokens, Person]:
        context = self._context
        expected = Expected(exchange.client.id, transaction.nonce)
        try:
            tokens = await exchange.redeem(code, transaction.verifier, own_origin(request.headers) + CALLBACK)
            person = await person_of(tokens, expected, exchange, context.table, context.keys, context.now())
            return tokens, person
        except ProviderAway as fault:
            raise SignInFailed("provider_away", str(fault)) from None
        except ProviderRefused as fault:
            raise SignInFailed("provider_refused", str(fault)) from None
        except GrantRefused as fault:
            raise SignInFailed("denied", str(fault)) from None
        except Unbelieved as fault:
            raise SignInFailed("provider_unbelieved", str(fault)) from None

    async def _begun(self, request: web.Request, person: Person, tokens: Tokens, transaction: Transaction) -> Session:
        """The new session is in the store. One of somebody else that this browser had is over: it changed hands."""
        context = self._context
        made = new_session(
            person, tokens, transaction.nonce, transaction.issuer, context.settings.sessions, context.ring.sealer,
            context.now(), client_address(request.headers), request.headers.get("User-Agent", ""),
        )  # fmt: skip
        session = await context.pins.added(made)
        before = self._vouched(request)
        row = (await context.store.sessions.get([before])).get(before) if before else None
        if row is not None and not hmac.compare_digest(f"{row.issuer} {row.sub}".encode(),
                                                       f"{session.issuer} {session.sub}".encode()):  # fmt: skip
            await context.live.end([before], "replaced")
        telemetry.log("signed_in", issuer=session.issuer, session=session.sid)
        return session

    async def _arrived(self, request: web.Request, ticket: Ticket | None, session: Session) -> web.Response:
        """The central host's own cookie, and on to where the person wanted to go."""
        authority = request.headers.get("Host", "").lower()
        value = self._hand_over.cookie(session, self._context.settings.central_host)
        cookies = [f"{SESSION_COOKIE}={value}{SESSION_ATTRIBUTES}"]
        if ticket is None or ticket.host == authority:
            target = ticket.target if ticket is not None else "/"
            return _redirect(target if is_local_target(target) else "/", cookies)
        return _redirect(await self._hand_over.address(ticket, session), cookies)


def _place_of(ticket: Ticket | None) -> str:
    return f"https://{ticket.host}{ticket.target}" if ticket is not None else ""


def _redirect(address: str, cookies: list[str]) -> web.Response:
    """303: whatever the method was, the next one is GET (RFC 9700 section 4.12)."""
    answer = web.Response(status=303, headers={"Location": address})
    _add(answer, cookies)
    return answer


def _add(answer: web.Response, cookies: list[str]) -> None:
    for cookie in cookies:
        answer.headers.add("Set-Cookie", cookie)
