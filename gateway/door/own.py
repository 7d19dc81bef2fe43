"""The few paths that the door answers itself on every host that it serves.

    GET  /.stagedoor/whoami      who is signed in here, as JSON, for pages of this host
    POST /.stagedoor/sign-out    ends the session, for pages of this host
    GET  /.stagedoor/jwks.json   the keys by which services check what they are told of a caller
    GET  /.stagedoor/arrive      the end of a sign-in: a code that control gave out becomes this host's cookie

Applications share these hosts with us, so nothing here gives anybody a right: what a page of this host can make of a
visitor's session through these paths is to read who the visitor is, and to end it. The code of an arrival is worth
something once, within a minute, on the host it was made for, and only beside the cookie that its sign-in began with: a
link that somebody else prepared signs nobody in.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import orjson

from gateway.audit.record import timestamp
from gateway.door.answering import FORGET_SESSION, answer, cookie_line, forget_line, redirect
from gateway.door.callers import Caller
from gateway.door.limits import refusal_is_over
from gateway.door.same_origin import is_https, is_navigation, is_own
from gateway.http1.cookies import SESSION_COOKIE, TO_COOKIE, values_of
from gateway.http1.dates import date_line
from gateway.http1.for_people import parting_page
from gateway.identity.session import COOKIE_LIMIT, is_local_target, open_cookie, proof_of
from policy.facts import Permit, Principal, Refusal
from policy.reasons import OWN_ENDPOINT

if TYPE_CHECKING:
    from gateway.door.exchange import Exchange
    from gateway.http1.request import Head

NONE: Final = 0  # of the door: the central host's own service answers
UNKNOWN: Final = 1
ARRIVE: Final = 2
WHOAMI: Final = 3
SIGN_OUT: Final = 4
JWKS: Final = 5
SIGNED_OUT: Final = "/.stagedoor/signed-out"
ARRIVAL: Final = "/.stagedoor/arrive"
ARRIVAL_PATH: Final = ARRIVAL.encode("ascii")
#: A service behind another proxy, or an earlier version of ours, may have had browsers report every address of this
#: host, codes included (Network Error Logging, 4.1: an age of 0 takes that back). Read before it is reported.
UNREPORTED: Final = b'NEL: {"max_age":0}\r\n'
_AWAY: Final = (
    b"HTTP/1.1 303 See Other\r\n%bLocation: %b?because=later\r\nCache-Control: no-store\r\n"
    + UNREPORTED
    + b"Referrer-Policy: no-referrer\r\nX-Request-Id: %b\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
)

_PLACES: Final = {
    ("GET", ARRIVAL): ARRIVE,
    ("GET", "/.stagedoor/whoami"): WHOAMI,
    ("HEAD", "/.stagedoor/whoami"): WHOAMI,
    ("POST", "/.stagedoor/sign-out"): SIGN_OUT,
    ("GET", "/.stagedoor/jwks.json"): JWKS,
    ("HEAD", "/.stagedoor/jwks.json"): JWKS,
}
_OF_KEYS: Final = b"Content-Type: application/jwk-set+json\r\nCache-Control: public, max-age=300\r\n"  # RFC 7517, 8.5
_TEAM: Final = "group:"
_ARRIVAL: Final = re.compile(rb"code=([0-9A-Za-z_-]{20,256})&to=([0-9A-Za-z_-]{8})")
_ADDRESS: Final = re.compile(  # of a provider, which may be this machine's own
    r"(?:https://|http://(?:127\.0\.0\.1|\[::1\]|localhost)(?::[0-9]{1,5})?/)[!-~]{1,4000}"
)
_COOKIE: Final = re.compile(rf"[0-9A-Za-z_.-]{{1,{COOKIE_LIMIT}}}")
NOT_OURS: Final = "the address is not one that a sign-in ends with"
WHY: Final = {
    "cookie": "your browser did not bring back our cookie, or began this sign-in too long ago",
    "used": "this sign-in was used already, is too old, or began elsewhere",
    "https": "signing in needs https",
    "way": "a sign-in ends in a window of its own, not inside of another page",
    "many": "too much that came from your address was refused; wait a minute",
    "later": "this sign-in could not be finished just now",
}
_BECAUSE: Final = re.compile(rb"because=(" + "|".join(WHY).encode("ascii") + rb")")
NOBODY_ASKS: Final = 0  # the number of a message whose answer nobody waits for


def endpoint_of(head: Head, *, central: bool) -> int:
    """Which of these a request below `/.stagedoor/` is for."""
    place = _PLACES.get((head.method, head.target.path), UNKNOWN)
    return NONE if central and place in (UNKNOWN, ARRIVE) else place


def answer_own(exchange: Exchange, place: int) -> None:
    """True on entry: the exchange's caller is known."""
    if place == WHOAMI:
        _whoami(exchange)
    elif place == JWKS:
        _permit(exchange)
        answer(exchange, 200, _OF_KEYS, exchange.door.following.assertions.jwks)
    else:
        _sign_out(exchange)


# === who is signed in ===


def _whoami(exchange: Exchange) -> None:
    if not is_own(exchange):
        exchange.refuse("origin_foreign")
        return
    caller = exchange.caller
    who = caller.principal
    if who.kind == "anonymous":
        exchange.refuse(who.refusal or "identity_required")
        return
    said: dict[str, object] = {
        "ref": who.ref,
        "kind": who.kind,
        "teams": sorted(subject for subject in who.subjects if subject.startswith(_TEAM)),
        "issuer": who.issuer,
        "auth_time": timestamp(who.auth_time * 1000) if who.auth_time else None,
        "amr": sorted(who.amr),
        "acr": who.acr or None,
        "session_ends": timestamp(caller.until * 1000) if caller.session else None,
    }
    body = orjson.dumps(said, option=orjson.OPT_APPEND_NEWLINE)
    _permit(exchange)
    answer(exchange, 200, b"Content-Type: application/json\r\nVary: Cookie, Authorization\r\n", body)


# === the end of a session ===


def _sign_out(exchange: Exchange) -> None:
    if not is_own(exchange, shown=True):
        exchange.refuse("origin_foreign")
        return
    session = exchange.caller.session
    if session:
        asked: dict[str, object] = {"t": "sign_out", "sid": session, "host": _authority(exchange)}
        exchange.door.errands.ask(exchange, asked, _signed_out)
    else:
        _signed_out(exchange, {})


def _signed_out(exchange: Exchange, said: Mapping[str, Any]) -> None:
    """Control has ended the session, or there was none. ``to`` is where the provider ends its own."""
    central = exchange.door.settings.central_host
    to = str(said.get("to", ""))
    if not _ADDRESS.fullmatch(to):
        to = f"https://{central}{_port(exchange)}{SIGNED_OUT}" if central else "/"
    _permit(exchange)
    if is_navigation(exchange.head, "POST"):
        fields, body = parting_page(to)
        answer(exchange, 200, fields + FORGET_SESSION, body)
    else:
        redirect(exchange, to, FORGET_SESSION)


# === the end of a sign-in ===


def arrive(exchange: Exchange) -> None:
    """Ask control what the code is worth beside the cookie that this browser brought."""
    head = exchange.head
    form = _ARRIVAL.fullmatch(head.target.raw.partition(b"?")[2])
    if form is None:
        exchange.refuse("session_not_begun", _said_why(head))
        return
    if refusal_is_over(exchange):
        return  # somebody tries codes
    name = TO_COOKIE + form[2]
    began_here = values_of(head.own_cookies, name)
    why = _why_not(exchange, began_here)
    if why:
        _turn_back(exchange, form[1], why)
        return
    asked = _redeeming(exchange, form[1], proof_of(began_here[0]))
    exchange.door.errands.ask(exchange, asked, lambda waiting, said: _arrived(waiting, said, name))


def _why_not(exchange: Exchange, began_here: list[bytes]) -> str:
    """Why nobody arrives this way, whatever the code is worth; "" where control has to be asked. ``began_here``: the
    values of the cookie that the sign-in began with."""
    if not is_navigation(exchange.head):
        return "way"
    if not is_https(exchange):
        return "https"
    return "" if len(began_here) == 1 else "cookie"


def _turn_back(exchange: Exchange, code: bytes, why: str) -> None:
    """The code is worth something to whoever began the sign-in elsewhere, and a page of this host can read where its
    windows are: so it is used up, and no page is ever shown at an address that holds it."""
    exchange.door.following.ask_control({**_redeeming(exchange, code, ""), "id": NOBODY_ASKS})
    _tell_elsewhere(exchange, "session_not_begun", why)


def is_arrival(raw: bytes) -> bool:
    """Whether a code is in the address. Script of the same host can read where a window of it stands, whatever is
    shown there, and can bring about most refusals; so every refusal of an arrival is told at another address."""
    path, _, query = raw.partition(b"?")
    return path == ARRIVAL_PATH and _ARRIVAL.fullmatch(query) is not None


def turn_away(exchange: Exchange, code: str) -> None:
    """The refusal of an arrival that was not looked at. Its code is worth as much as before, and to nobody known."""
    _tell_elsewhere(exchange, code, "many" if code == "rate_limited" else "later")


def _tell_elsewhere(exchange: Exchange, code: str, why: str) -> None:
    """Refuse an arrival at an address without its code."""
    if not exchange.refused.reason:
        exchange.refused = Refusal(code)
    redirect(exchange, f"{ARRIVAL}?because={why}", UNREPORTED)


def away(request_id: bytes, now: int) -> bytes:
    """The same, as a whole answer to what has no reading."""
    return _AWAY % (date_line(now), ARRIVAL_PATH, request_id)


def _said_why(head: Head) -> str:
    """What became of an arrival that ended before."""
    found = _BECAUSE.fullmatch(head.target.raw.partition(b"?")[2])
    return WHY[found[1].decode("ascii")] if found is not None else NOT_OURS


def _redeeming(exchange: Exchange, code: bytes, proof: str) -> dict[str, object]:
    return {"t": "redeem", "code": code.decode("ascii"), "host": _authority(exchange), "proof": proof}


def _arrived(exchange: Exchange, said: Mapping[str, Any], name: bytes) -> None:
    """Control has said whose session it is. A cookie that does not open here would not be one tomorrow either."""
    value, target = said.get("cookie"), said.get("target")
    if not value:
        _tell_elsewhere(exchange, "session_not_begun", "used")
        return
    door, head = exchange.door, exchange.head
    cookie = None
    if isinstance(value, str) and _COOKIE.fullmatch(value):
        cookie = open_cookie(value.encode("ascii"), head.host, door.sessions.keys, door.now)
    if cookie is None:
        exchange.refuse("session_unavailable", "control's cookie does not open here")
        return
    nobody = Principal("anonymous", issuer=cookie.issuer, subject=cookie.subject)
    exchange.caller = Caller(None, nobody, "", None, cookie.sid)  # for the record: a cookie is no identity yet
    _permit(exchange)
    to = target if isinstance(target, str) and is_local_target(target) else "/"
    lines = cookie_line(SESSION_COOKIE, str(value).encode("ascii")) + forget_line(name) + UNREPORTED
    redirect(exchange, to, lines)


def _permit(exchange: Exchange) -> None:
    """For the record: whoever may come to this host at all may ask for this."""
    exchange.permit = Permit(OWN_ENDPOINT, "", f"{exchange.method} {exchange.head.target.path}")


def _authority(exchange: Exchange) -> str:
    return exchange.head.authority.decode("ascii").lower()


def _port(exchange: Exchange) -> str:
    return _authority(exchange)[len(exchange.head.host) :]
