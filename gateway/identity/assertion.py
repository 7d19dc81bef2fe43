"""What a door says about a caller to the service behind it, signed: one compact JWS of a few seconds' life.

A service that listens where others can connect too must not believe a plain header. So the door signs who is asking, to
whom this is said (`aud`), by which way they showed who they are, and the very request it belongs to. Whoever reads it
checks all of that, and an assertion that was seen elsewhere, is old, or belongs to another request is worth nothing.

RFC 7515 compact form, strict as :mod:`gateway.identity.tokens` is: one algorithm, fixed by the key and not by the text;
one `typ`, so that no token of an issuer passes for an assertion (RFC 8725, 3.11); no member twice. A key signs or
verifies or both: HMAC between processes of one node, which share a secret made at random; a key pair, for services that
read a key set, is another :class:`Signer` and :class:`Verifier` and nothing else.

No clock, no randomness and no I/O: both are arguments.
"""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from typing import Final, Literal, NamedTuple, Protocol, final

import orjson

from gateway.identity.strict import base64url, json_object
from policy.facts import Principal

FIELD: Final = "X-Stagedoor-Assertion"
TYPE: Final = "stagedoor-assertion+jwt"
ISSUER: Final = "stagedoor"
LIFETIME_S: Final = 30
LONGEST_LIFETIME_S: Final = 60  # whatever it says itself
SKEW_S: Final = 5  # between two clocks of one machine, of which each may be a step behind
KEY_BYTES: Final = 32
LARGEST_BYTES: Final = 512 * 1024  # two thousand teams with the longest names there are
SHOWN: Final = ("token", "certificate", "session", "nothing")

Shown = Literal["token", "certificate", "session", "nothing"]


class Signer(Protocol):
    """Signs under a name and an algorithm of its own."""

    @property
    def algorithm(self) -> str: ...

    @property
    def kid(self) -> str: ...

    def sign(self, message: bytes) -> bytes: ...


class Verifier(Protocol):
    """Knows one key: whether a signature is its own."""

    @property
    def algorithm(self) -> str: ...

    @property
    def kid(self) -> str: ...

    def holds(self, message: bytes, signature: bytes) -> bool: ...


@final
class SharedKey:
    """HMAC-SHA256 (RFC 7518, 3.2) under a secret that both ends have."""

    __slots__ = ("_secret", "algorithm", "kid")

    def __init__(self, kid: str, secret: bytes) -> None:
        if len(secret) < KEY_BYTES:
            raise ValueError(f"a key of {len(secret)} bytes is shorter than {KEY_BYTES}")
        self.algorithm = "HS256"
        self.kid = kid
        self._secret = secret

    def sign(self, message: bytes) -> bytes:
        return hmac.digest(self._secret, message, "sha256")

    def holds(self, message: bytes, signature: bytes) -> bool:
        return hmac.compare_digest(self.sign(message), signature)


@final
class Request(NamedTuple):
    """The request that an assertion belongs to, as the door sends it. ``target`` with its query."""

    method: str
    authority: str
    target: str
    id: str


@final
class Assertion(NamedTuple):
    """Who is asking, and how they showed it. ``audiences`` are those of their token, none where none is known;
    ``session`` is the id of the session by which they showed it, "" for anything else. ``client`` is the address that
    the door took the request to come from, ``certificate`` the names in the client's certificate that it verified."""

    principal: Principal
    shown: Shown
    audiences: tuple[str, ...]
    request: Request
    session: str = ""
    client: str = ""
    certificate: tuple[str, ...] = ()


@final
class Unproved(NamedTuple):
    """The text is no assertion about this request. ``why`` is for a log; ``stale`` says that its key is another one,
    as happens while one end was started again."""

    why: str
    stale: bool = False


def sealed(assertion: Assertion, audience: str, key: Signer, now: int) -> bytes:
    """The text for ``audience`` (a service's ref), good until :data:`LIFETIME_S` from ``now``, epoch seconds."""
    header = {"alg": key.algorithm, "typ": TYPE, "kid": key.kid}
    claims = {"iss": ISSUER, "aud": audience, "iat": now, "exp": now + LIFETIME_S, **_claims_of(assertion)}
    message = _spelled(orjson.dumps(header)) + b"." + _spelled(orjson.dumps(claims))
    return message + b"." + _spelled(key.sign(message))


def opened(text: bytes, audience: str, key: Verifier, request: Request, now: int) -> Assertion | Unproved:
    """What was said about ``request``, or why it counts for nothing. Never raises: the text is anybody's."""
    if len(text) > LARGEST_BYTES:
        return Unproved("it is too large")
    claims = _verified(text, key)
    if isinstance(claims, Unproved):
        return claims
    if claims.get("iss") != ISSUER or claims.get("aud") != audience:
        return Unproved("it is for another service")
    issued, expires = claims.get("iat"), claims.get("exp")
    if type(issued) is not int or type(expires) is not int or not 0 < expires - issued <= LONGEST_LIFETIME_S:
        return Unproved("it does not say how long it lasts")
    if not issued - SKEW_S <= now < expires:
        return Unproved("it is not of this moment")
    if claims.get("req") != list(request):
        return Unproved("it belongs to another request")
    principal, shown, audiences = _principal_in(claims.get("who")), claims.get("shown"), _texts(claims.get("token_aud"))
    session = claims.get("session", "")
    if principal is None or audiences is None or shown not in SHOWN or not isinstance(session, str):
        return Unproved("it does not say who is asking")
    if bool(session) is not (shown == "session"):
        return Unproved("it does not say which session shows who is asking")
    client, certificate = claims.get("client", ""), _texts(claims.get("certificate", []))
    if not isinstance(client, str) or certificate is None:
        return Unproved("it does not say where the request comes from")
    return Assertion(principal, shown, audiences, request, session, client, certificate)


def audiences_of(token: bytes) -> tuple[str, ...]:
    """The `aud` of a token whose signature was verified before."""
    parts = token.split(b".")
    payload = base64url(parts[1]) if len(parts) == 3 else None
    claims = json_object(payload) if payload else None
    said = claims.get("aud") if claims is not None else None
    return (said,) if isinstance(said, str) else _texts(said) or ()


def _verified(text: bytes, key: Verifier) -> dict[str, object] | Unproved:
    parts = text.split(b".")
    read = [base64url(part) for part in parts] if len(parts) == 3 else []
    if len(read) != 3 or not all(read):
        return Unproved("it is no signed text of three parts")
    header, payload, signature = read
    assert header is not None and payload is not None and signature is not None
    said = json_object(header)
    if said is None or said.keys() != {"alg", "typ", "kid"} or said["typ"] != TYPE or said["alg"] != key.algorithm:
        return Unproved("its header is another one")
    if said["kid"] != key.kid:
        return Unproved("it is signed with another key", stale=True)
    if not key.holds(text[: text.rindex(b".")], signature):
        return Unproved("its signature is wrong")
    claims = json_object(payload)
    return claims if claims is not None else Unproved("it holds no claims")


def _claims_of(assertion: Assertion) -> Mapping[str, object]:
    return {
        "req": list(assertion.request),
        "shown": assertion.shown,
        "token_aud": assertion.audiences,
        "session": assertion.session,
        "client": assertion.client,
        "certificate": assertion.certificate,
        "who": _said_of(assertion.principal),
    }


def _said_of(who: Principal) -> dict[str, object]:
    return {
        "kind": who.kind,
        "ref": who.ref,
        "subjects": sorted(who.subjects),
        "issuer": who.issuer,
        "sub": who.subject,
        "client_id": who.client_id,
        "amr": sorted(who.amr),
        "acr": who.acr,
        "auth_time": who.auth_time,
        "actors": [_said_of(each) for each in who.actors],
    }


def _principal_in(said: object) -> Principal | None:
    """The principal whose parts these are; None when one of them is not what it must be."""
    if type(said) is not dict:
        return None
    kind, age = said.get("kind"), said.get("auth_time")
    subjects, amr = _texts(said.get("subjects")), _texts(said.get("amr"))
    names = [said.get(name) for name in ("ref", "issuer", "sub", "client_id", "acr")]
    acting = said.get("actors")
    if kind not in ("anonymous", "person", "workload") or subjects is None or amr is None or type(age) is not int:
        return None
    if not all(type(name) is str for name in names) or type(acting) is not list:
        return None
    actors = [_principal_in(each) for each in acting]
    if any(each is None for each in actors):
        return None
    ref, issuer, subject, client_id, acr = map(str, names)
    return Principal(
        kind,
        ref,
        frozenset(subjects),
        actors=tuple(each for each in actors if each is not None),
        amr=frozenset(amr),
        acr=acr,
        auth_time=age,
        issuer=issuer,
        subject=subject,
        client_id=client_id,
    )


def _texts(said: object) -> tuple[str, ...] | None:
    if type(said) is not list or not all(type(each) is str for each in said):
        return None
    return tuple(map(str, said))


def _spelled(raw: bytes) -> bytes:
    return urlsafe_b64encode(raw).rstrip(b"=")
