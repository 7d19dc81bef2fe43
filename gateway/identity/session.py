"""What a browser carries of a person's sign-in, sealed, and what control tells a door about it.

A session cookie says which session it is, and whose; nothing that gives rights. It is sealed with AES-GCM under a key
that all nodes share, and bound to the name of the cookie and to the host it was made for: taken to another host, or
under another name, it opens nowhere. Its size has a bound, however many teams somebody is in. A ticket is the same kind
of text for the way to the sign-in: only doors make tickets, so no link chooses where a person is sent back to.

Both are `1.KID.TEXT`, the number being that of the form. Each kind has keys of its own, made from the shared ones, so
that no cookie opens as a ticket. A ring seals with its first key and opens with all of them. Whatever does not open is
nothing, and never an error: whoever sends it chose it.

Facts are what control knows about a session: the claims under which it was begun or last renewed, and how long they
count.

Pure: times and random bytes are arguments.
"""

from __future__ import annotations

import hmac
import re
from base64 import b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from struct import Struct
from struct import error as StructError
from typing import Any, Final

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gateway.http1.cookies import SESSION_COOKIE
from gateway.identity.strict import base64url, is_clean, json_object

COOKIE: Final = SESSION_COOKIE.decode("ascii")
KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12  # random, and 2**32 of them under one key are few enough (NIST SP 800-38D, 8.3)
COOKIE_LIMIT: Final = 1000  # of the value, in bytes
TICKET_LIMIT: Final = 4096
TARGET_LIMIT: Final = 2048  # of a ticket's target; a longer one is left behind
TICKET_LASTS_S: Final = 600
SESSION_ID: Final = re.compile(r"s-[0-9a-f]{32}")
SKEW_S: Final = 5  # between the clocks of two nodes
LATEST: Final = 2**40  # of all times, epoch seconds
OVER: Final = ("ended", "idle", "unknown")
_NUMBERS: Final = ("signed_in", "until", "idle_s", "fresh_s", "v", "rest")

_KID: Final = re.compile(r"[0-9A-Za-z_-]{1,16}")
_FORM: Final = b"1"
_SPACE: Final = {"cookie": COOKIE_LIMIT, "ticket": TICKET_LIMIT}
_FIXED: Final = Struct(">16sQQ")  # session, auth_time, until; then three texts, each behind its length
_TEXT_LIMIT: Final = 160  # what is longer than this is told by its hash
_HASHED: Final = "sha256:"
_TARGET: Final = re.compile(r"[!-\[\]-~]+")  # visible ASCII but the backslash


class SessionKeys:
    """The keys of cookies and tickets. The first one seals, all of them open."""

    __slots__ = ("_first", "_known")

    def __init__(self, keys: Iterable[tuple[str, bytes]]) -> None:
        """(name, 32 random bytes) each; raises `ValueError` for a key that is none. Without any, nothing opens."""
        self._known: dict[tuple[str, str], AESGCM] = {}  # by what they are for, and the name
        self._first = ""
        for kid, secret in keys:
            if not _KID.fullmatch(kid) or len(secret) != KEY_BYTES:
                raise ValueError(f"a key of {len(secret)} bytes is none: it has a short name and {KEY_BYTES} bytes")
            self._first = self._first or kid
            for use in _SPACE:
                own = hmac.digest(secret, b"stagedoor " + use.encode("ascii"), "sha256")
                self._known.setdefault((use, kid), AESGCM(own))

    def __bool__(self) -> bool:
        return bool(self._first)

    def seal(self, use: str, plain: bytes, about: bytes, nonce: bytes) -> str:
        """``about`` is what the text is bound to; ``nonce`` 12 fresh random bytes. True on entry: there is a key."""
        if len(nonce) != NONCE_BYTES:
            raise ValueError(f"a nonce of {len(nonce)} bytes")
        sealed = nonce + self._known[use, self._first].encrypt(nonce, plain, about)
        return f"1.{self._first}.{urlsafe_b64encode(sealed).rstrip(b'=').decode('ascii')}"

    def open(self, use: str, text: bytes, about: bytes) -> bytes | None:
        """What was sealed for this use and about this; None for anything else."""
        parts = text.split(b".", 2) if len(text) <= _SPACE[use] else []
        if len(parts) != 3 or parts[0] != _FORM:
            return None
        key = self._known.get((use, parts[1].decode("latin-1")))
        sealed = base64url(parts[2]) if key is not None else None
        if key is None or sealed is None or len(sealed) <= NONCE_BYTES:
            return None
        try:
            return key.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], about)
        except InvalidTag:
            return None


def read_keys(message: Mapping[str, Any]) -> SessionKeys | None:
    """The ring of a `session_keys` message; None where it holds no usable one."""
    listed = message.get("keys")
    try:
        return SessionKeys([(str(kid), b64decode(str(secret), validate=True)) for kid, secret in listed or ()])
    except (Base64Error, TypeError, ValueError):
        return None


# === the cookie ===


@dataclass(frozen=True, slots=True)
class SessionCookie:
    """What a session cookie says: which session, whose, and when the cookie ends by itself."""

    sid: str
    issuer: str  # its name in the settings
    subject: str  # a long one as its hash
    auth_time: int  # when the person showed who they are; 0 = not known
    amr: tuple[str, ...]
    until: int


def seal_cookie(cookie: SessionCookie, host: str, keys: SessionKeys, nonce: bytes) -> str:
    """The value for ``host``, without port. Raises `ValueError` for what is no session id."""
    if not SESSION_ID.fullmatch(cookie.sid):
        raise ValueError("a session id is `s-` and 32 hexadecimal digits")
    amr = " ".join(cookie.amr)
    texts = [_short(cookie.issuer), _short(cookie.subject), amr if len(amr.encode()) <= _TEXT_LIMIT else ""]
    plain = _FIXED.pack(bytes.fromhex(cookie.sid[2:]), cookie.auth_time, cookie.until)
    plain += b"".join([bytes((len(text.encode()),)) + text.encode() for text in texts])
    return keys.seal("cookie", plain, _bound(host), nonce)


def open_cookie(value: bytes, host: str, keys: SessionKeys, now: int) -> SessionCookie | None:
    """What the cookie says; None unless we sealed it for this host and it has not ended."""
    plain = keys.open("cookie", value, _bound(host))
    if plain is None:
        return None
    try:
        sid, auth_time, until = _FIXED.unpack_from(plain)
        texts, at = [], _FIXED.size
        for _ in range(3):
            end = at + 1 + plain[at]
            texts.append(plain[at + 1 : end].decode())
            at = end
    except (StructError, IndexError, UnicodeDecodeError):  # sealed by another version
        return None
    if now >= until or at != len(plain):
        return None
    return SessionCookie("s-" + sid.hex(), texts[0], texts[1], auth_time, tuple(texts[2].split()), until)


def _bound(host: str) -> bytes:
    return SESSION_COOKIE + b"\0" + host.lower().encode("latin-1")


def _short(text: str) -> str:
    raw = text.encode()
    return text if len(raw) <= _TEXT_LIMIT else _HASHED + sha256(raw).hexdigest()


# === the ticket ===


@dataclass(frozen=True, slots=True)
class Ticket:
    """On the way to the sign-in: where the person was, and which browser of theirs asked.

    ``proof`` is :func:`proof_of` the value of the cookie that this browser was given with the ticket.
    """

    id: str  # 22 characters; the first eight name the cookie
    host: str  # the authority of the request, with its port where it had one
    target: str  # path and query, as sent
    proof: str
    issued_at: int
    acr_values: tuple[str, ...] = ()  # strengths of which one is needed
    max_age: int = -1  # seconds since the person showed who they are; -1 = any


def proof_of(cookie: str | bytes) -> str:
    """What a ticket and a hand-over code keep of the value of a cookie: 64 hexadecimal digits."""
    return sha256(cookie.encode("latin-1") if isinstance(cookie, str) else cookie).hexdigest()


def seal_ticket(ticket: Ticket, keys: SessionKeys, nonce: bytes) -> str:
    said = {
        "i": ticket.id, "h": ticket.host, "t": ticket.target if len(ticket.target) <= TARGET_LIMIT else "/",
        "p": ticket.proof, "at": ticket.issued_at, "acr": list(ticket.acr_values), "age": ticket.max_age,
    }  # fmt: skip
    return keys.seal("ticket", orjson.dumps(said), b"ticket", nonce)


def open_ticket(text: bytes, keys: SessionKeys, now: int) -> Ticket | None:
    """The ticket; None unless a door sealed it within the last ten minutes."""
    plain = keys.open("ticket", text, b"ticket")
    said = json_object(plain) if plain is not None else None
    if said is None:
        return None
    id_, host, target, proof = (said.get(name) for name in ("i", "h", "t", "p"))
    issued_at, acr, age = said.get("at"), said.get("acr"), said.get("age")
    if not isinstance(id_, str) or not isinstance(host, str) or not isinstance(target, str):
        return None
    if not isinstance(proof, str) or not isinstance(acr, list) or type(issued_at) is not int or type(age) is not int:
        return None
    if not issued_at - SKEW_S <= now < issued_at + TICKET_LASTS_S:
        return None
    return Ticket(id_, host, target, proof, issued_at, tuple(map(str, acr)), age)


def is_local_target(target: str) -> bool:
    """Whether a browser that is sent to it stays on the host it is on: one `/` at the beginning, then no second one,
    and nothing that a browser drops or takes for a slash (WHATWG URL: backslash, tab, line feed)."""
    return target[:1] == "/" and target[1:2] != "/" and _TARGET.fullmatch(target) is not None


# === facts ===


@dataclass(frozen=True, slots=True)
class SessionFacts:
    """What control says about one session. ``over`` is why there is none; the rest is then empty."""

    sid: str
    over: str = ""  # one of OVER
    issuer: str = ""  # its name in the settings
    claims: Mapping[str, Any] = field(default_factory=dict)  # what names the person, and how they showed it
    signed_in: int = 0
    until: int = 0  # it ends, whatever happens
    idle_s: int = 0  # and after this long without control's word
    fresh_s: int = 60  # how long a door need not ask again
    version: int = 0  # grows with each change
    rest: int = 0  # seconds: the longest that it went unused since the sign-in


def facts_message(facts: SessionFacts) -> dict[str, Any]:
    """The facts as a message holds them."""
    if facts.over:
        return {"sid": facts.sid, "over": facts.over}
    return {
        "sid": facts.sid, "issuer": facts.issuer, "claims": dict(facts.claims), "signed_in": facts.signed_in,
        "until": facts.until, "idle_s": facts.idle_s, "fresh_s": facts.fresh_s, "v": facts.version, "rest": facts.rest,
    }  # fmt: skip


def read_facts(message: object) -> SessionFacts | None:
    """The facts of one entry of a `sessions` message; None where they are not what they must be."""
    if not isinstance(message, dict):
        return None
    sid = message.get("sid")
    if not isinstance(sid, str) or not SESSION_ID.fullmatch(sid):
        return None
    over = message.get("over", "")
    if over:
        return SessionFacts(sid, str(over)) if over in OVER else None
    issuer, claims = message.get("issuer"), message.get("claims")
    if not isinstance(issuer, str) or not isinstance(claims, dict) or not is_clean(claims.get("sub")):
        return None
    numbers = [message.get(name, 0 if name == "rest" else None) for name in _NUMBERS]
    times = [each for each in numbers if type(each) is int and 0 <= each < LATEST]
    return SessionFacts(sid, "", issuer, claims, *times) if len(times) == len(_NUMBERS) else None
