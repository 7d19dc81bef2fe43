"""Sending somebody to the sign-in: who is sent, with what, and who is told something else instead.

A person who goes to a page and is not signed in, or not well enough, is sent to the central host with a ticket: where
they were, sealed, and bound to a cookie that only this browser gets. Nobody but a door makes tickets, so where they are
sent back to was never in a link. Programs, scripts of a page and everything that is no navigation get the refusal they
can act on; so does a page that would post something, because a redirect would lose what was typed.

Nobody is sent in a circle: who signed in a moment ago and whose provider does not say so, or whose browser shows two
sessions at once, is told so. What a provider cannot do of what is asked, control says at the end of that sign-in.
"""

from __future__ import annotations

import os
import re
from base64 import urlsafe_b64encode
from typing import TYPE_CHECKING, Final

from gateway.door.answering import FORGET_SESSION, cookie_line, forget_line, redirect
from gateway.door.limits import refusal_is_over
from gateway.door.same_origin import is_https, is_navigation
from gateway.http1.cookies import SESSION_COOKIE, TO_COOKIE, names_of, values_of
from gateway.http1.for_people import Visitor
from gateway.http1.pages import prefers_html
from gateway.identity.session import NONCE_BYTES, Ticket, is_local_target, proof_of, seal_ticket
from policy.facts import Refusal
from policy.reasons import DENIED, IDENTITY_REQUIRED, REQUIREMENT_UNMET

if TYPE_CHECKING:
    from gateway.config import Settings
    from gateway.door.exchange import Exchange

SIGN_IN: Final = "/.stagedoor/sign-in"
LASTS_S: Final = 600
TOGETHER: Final = 10  # sign-ins of one browser on one host that may be under way
FORGOTTEN: Final = 30  # of older ones in one answer: a BIG-IP takes 64 fields
LATELY_S: Final = 30  # a newer sign-in than this one is not asked for
NEEDS_HTTPS: Final = "signing in needs https: put https:// in front of the address"
NOTHING_SENT: Final = "nothing of this request was sent on; sign in with another tab, then send it again"
PORTAL: Final = "/portal"
_NAME: Final = re.compile(TO_COOKIE + rb"[0-9A-Za-z_-]{8}")
TWO_COOKIES: Final = "the browser sent two session cookies: delete the cookies of this host"
NOT_NEWER: Final = "the provider does not say when the sign-in of a moment ago was"


def signs_in(settings: Settings) -> bool:
    """Whether people sign in here with browsers at all."""
    return bool(settings.central_host) and any(issuer.client is not None for issuer in settings.issuers)


def visitor_of(exchange: Exchange) -> Visitor | None:
    """Who will look at the page of a refusal; None where no page is wanted, or nobody signs in with browsers."""
    settings, head, caller = exchange.door.settings, exchange.head, exchange.caller
    if not prefers_html(head.accept) or not signs_in(settings):
        return None
    # On a service that is shut off, the door signs nobody out: what is offered has to work.
    is_shut = exchange.refused.reason == DENIED and not exchange.refused.rule
    port = head.authority.decode("ascii")[len(head.host) :]
    name = caller.principal.ref.rpartition("/")[2]
    return Visitor(bool(caller.session) and not is_shut, name, f"https://{settings.central_host}{port}{PORTAL}")


def sent_to_sign_in(exchange: Exchange, verdict: Refusal) -> str:
    """Answer with the way to the sign-in if ``verdict`` is one that signing in can mend. What is to be said instead, if
    the exchange has not ended: "" where there is nothing to add."""
    door, head = exchange.door, exchange.head
    need = _need(exchange, verdict)
    if need is None or not signs_in(door.settings) or head.bearer:
        return ""
    if not is_navigation(head):
        return NOTHING_SENT if head.method not in ("GET", "HEAD", "OPTIONS") else ""
    if len(values_of(head.own_cookies, SESSION_COOKIE)) > 1:
        return TWO_COOKIES
    if not is_https(exchange):
        return NEEDS_HTTPS
    strengths, max_age = need
    if not strengths and exchange.caller.session and door.now - exchange.caller.issued_at < LATELY_S:
        return NOT_NEWER
    if not door.sessions.keys:
        return "control has not said how to sign in yet: try again in a moment"
    if exchange.caller is door.callers.anonymous and refusal_is_over(exchange):
        return ""
    exchange.refused = verdict
    _send(exchange, strengths, max_age)
    return ""


def _need(exchange: Exchange, verdict: Refusal) -> tuple[tuple[str, ...], int] | None:
    """Which strengths and how recent a sign-in are asked for (none: -1); None where signing in mends nothing."""
    if verdict.reason == IDENTITY_REQUIRED:
        return (), exchange.gone.anew_s if exchange.gone is not None else -1
    if verdict.reason != REQUIREMENT_UNMET or not exchange.caller.session:
        return None
    strengths, max_age = [], -1
    for each in verdict.need:
        name, _, argument = each.partition("=")
        if name == "max_age" and argument.isdecimal():
            max_age = int(argument) if max_age < 0 else min(max_age, int(argument))
        elif argument or name in ("network", "certificate", "issuer"):
            return None
        else:
            strengths.append(name)
    return tuple(strengths), max_age


def _send(exchange: Exchange, strengths: tuple[str, ...], max_age: int) -> None:
    door, head = exchange.door, exchange.head
    proof, name = _random(16), _random(16)
    authority = head.authority.decode("ascii").lower()
    target = head.target.raw.decode("latin-1")
    target = target if is_local_target(target) else "/"
    ticket = Ticket(name, authority, target, proof_of(proof), door.now, strengths, max_age)
    sealed = seal_ticket(ticket, door.sessions.keys, os.urandom(NONCE_BYTES))
    under_way = [each for each in names_of(head.own_cookies, TO_COOKIE) if _NAME.fullmatch(each)]
    lines = [forget_line(each) for each in under_way[: min(max(0, len(under_way) - TOGETHER + 1), FORGOTTEN)]]
    lines.append(cookie_line(TO_COOKIE + name[:8].encode("ascii"), proof.encode("ascii"), LASTS_S))
    if exchange.gone is not None and exchange.gone.anew_s < 0:
        lines.append(FORGET_SESSION)
    port = authority[len(head.host) :]
    redirect(exchange, f"https://{door.settings.central_host}{port}{SIGN_IN}?ticket={sealed}", b"".join(lines))


def _random(size: int) -> str:
    return urlsafe_b64encode(os.urandom(size)).rstrip(b"=").decode("ascii")
