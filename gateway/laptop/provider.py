"""The company's provider as a native, public client sees it: discovery, a code, tokens, a device's code, revocation.

RFC 8252 says how such a client signs people in, RFC 7636 (S256) what proves that the code is its own, RFC 9207 that the
answer comes from the issuer that was asked, RFC 8628 what to do without a browser. What the issuer says is read
narrowly: an answer that could be meant another way ends the sign-in. Nothing that is secret stands in an error.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlencode

from gateway.errors import StagedoorError, Unauthorized
from gateway.laptop.asking import Answer, Away, Web, is_askable
from gateway.laptop.places import Offered
from gateway.terminal import plain

WELL_KNOWN: Final = "/.well-known/openid-configuration"
UNSAID_S: Final = 300  # lifetime of an access token whose issuer says none
LONGEST_S: Final = 24 * 3600
LONGEST_TOKEN: Final = 16 * 1024
DEVICE: Final = "urn:ietf:params:oauth:grant-type:device_code"
_TOKEN: Final = re.compile(r"[A-Za-z0-9._~+/-]+=*")  # RFC 6750, 2.1: b64token
_CODE: Final = re.compile(r"[a-z0-9_.-]{1,64}", re.IGNORECASE)


class Ended(Unauthorized):
    """The issuer takes the refresh token no more."""


class Refused(StagedoorError):
    """The token endpoint said no. ``code`` is its `error` (RFC 6749, 5.2); "" where it said none."""

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Endpoints:
    """What an issuer says of itself (OpenID Connect Discovery 1.0; RFC 8414)."""

    issuer: str
    authorization: str
    token: str
    device: str
    revocation: str
    says_iss: bool


@dataclass(frozen=True)
class Tokens:
    """``lifetime_s``: of the access token, from now. ``refresh`` is "" where the issuer gave none."""

    access: str = field(repr=False)
    lifetime_s: int
    refresh: str = field(repr=False, default="")


@dataclass(frozen=True)
class Attempt:
    """One sign-in through the browser: what its answer has to match, and what proves that the code is ours."""

    state: str = field(repr=False)
    verifier: str = field(repr=False)
    redirect_uri: str


@dataclass(frozen=True)
class DeviceCode:
    """RFC 8628, 3.2. ``pause_s`` and ``lifetime_s`` in seconds."""

    secret: str = field(repr=False)
    user_code: str
    address: str
    whole_address: str  # with the code in it; "" where the issuer gives none
    pause_s: int
    lifetime_s: int


def begin(redirect_uri: str) -> Attempt:
    return Attempt(secrets.token_urlsafe(32), secrets.token_urlsafe(48), redirect_uri)


class Provider:
    """``offered``: the client and what it asks for."""

    def __init__(self, web: Web, offered: Offered, endpoints: Endpoints) -> None:
        self.offered = offered
        self.endpoints = endpoints
        self._web = web

    def authorization_address(self, attempt: Attempt, more: Mapping[str, str] | None = None) -> str:
        """Where the browser begins. ``more``: how strong and how recent a sign-in is wanted."""
        challenge = hashlib.sha256(attempt.verifier.encode("ascii")).digest()
        asked = {
            "response_type": "code", "client_id": self.offered.client_id, "redirect_uri": attempt.redirect_uri,
            "scope": " ".join(self.offered.scopes), "state": attempt.state, "code_challenge_method": "S256",
            "code_challenge": base64.urlsafe_b64encode(challenge).rstrip(b"=").decode(), **self.offered.parameters,
            **(more or {}),
        }  # fmt: skip
        separator = "&" if "?" in self.endpoints.authorization else "?"
        return self.endpoints.authorization + separator + urlencode(asked)

    def code_in(self, attempt: Attempt, said: Mapping[str, str]) -> str:
        """The code of what the browser brought back, whose `state` is known to be ours.

        Raises `Unauthorized` where the issuer refused, `StagedoorError` for what is no answer of this issuer.
        """
        if not hmac.compare_digest(said.get("state", "").encode(), attempt.state.encode()):
            raise StagedoorError("the browser brought an answer to another question")
        iss = said.get("iss", "")
        if (iss or self.endpoints.says_iss) and iss != self.endpoints.issuer:
            raise StagedoorError(f"the answer is not from `{self.endpoints.issuer}`, which was asked")
        if "error" in said:
            raise Unauthorized(_refusal(said))
        if not said.get("code"):
            raise StagedoorError("the answer holds no code")
        return said["code"]

    def redeem(self, attempt: Attempt, code: str) -> Tokens:
        """Raises `Away` and `Refused`."""
        return self._tokens(
            {
                "grant_type": "authorization_code", "code": code, "redirect_uri": attempt.redirect_uri,
                "code_verifier": attempt.verifier, **self.offered.parameters,
            }
        )  # fmt: skip

    def device_code(self, more: Mapping[str, str] | None = None) -> DeviceCode:
        """``more``: as of :meth:`authorization_address`. RFC 8628 knows no such parameters, and many issuers do."""
        if not self.endpoints.device:
            todo = "use a browser on this machine"
            raise StagedoorError(f"`{self.offered.issuer}` has no sign-in by device code: {todo}")
        form = {"client_id": self.offered.client_id, "scope": " ".join(self.offered.scopes), **self.offered.parameters}
        answer = self._web.post(self.endpoints.device, {**form, **(more or {})})
        if answer.status != 200:
            why = _refusal(answer.said)
            raise Refused(f"`{self.offered.issuer}` gives no device code: {why}", _code_of(answer.said))
        said = answer.said
        words = [said.get(key) for key in ("device_code", "user_code", "verification_uri")]
        if not all(isinstance(each, str) and each for each in words) or not is_askable(str(words[2])):
            raise StagedoorError(f"`{self.offered.issuer}` gives a device code that nobody can use")
        whole = said.get("verification_uri_complete")
        usable = isinstance(whole, str) and is_askable(whole)
        return DeviceCode(
            str(words[0]), plain(str(words[1])), str(words[2]), str(whole) if usable else "",
            _seconds(said.get("interval"), 5), _seconds(said.get("expires_in"), 600),
        )  # fmt: skip

    def redeem_device(self, code: DeviceCode) -> Tokens:
        """Raises `Refused`, with `authorization_pending` and `slow_down` while somebody has not answered yet."""
        return self._tokens({"grant_type": DEVICE, "device_code": code.secret, **self.offered.parameters})

    def renew(self, refresh: str) -> Tokens:
        """New tokens; the refresh token stays where the issuer gives no other. Raises `Ended` where it is worth
        nothing, `Away` where the issuer cannot say now."""
        try:
            tokens = self._tokens({"grant_type": "refresh_token", "refresh_token": refresh, **self.offered.parameters})
        except Refused as refused:
            if refused.code in ("invalid_grant", "interaction_required"):
                raise Ended(str(refused)) from None
            raise
        return tokens if tokens.refresh else Tokens(tokens.access, tokens.lifetime_s, refresh)

    def revoke(self, refresh: str) -> bool | None:
        """RFC 7009. Whether the issuer knows now that the sign-in is over; None where it offers no such thing."""
        if not self.endpoints.revocation:
            return None
        form = {"token": refresh, "token_type_hint": "refresh_token", "client_id": self.offered.client_id}
        return self._web.post(self.endpoints.revocation, form).status == 200

    def _tokens(self, form: Mapping[str, str]) -> Tokens:
        answer = self._web.post(self.endpoints.token, {**form, "client_id": self.offered.client_id})
        if answer.status >= 500 or answer.status == 429:
            raise Away(f"`{self.offered.issuer}` answers {answer.status} now: try again in a moment")
        if answer.status != 200:
            why = _refusal(answer.said, [*form.values()])
            raise Refused(f"`{self.offered.issuer}` gives no token: {why}", _code_of(answer.said))
        return _read_tokens(self.offered.issuer, answer)


def discovered(web: Web, offered: Offered) -> Provider:
    """The provider as it describes itself. Raises `Away`, and `StagedoorError` for what no issuer says."""
    address = offered.issuer.removesuffix("/") + WELL_KNOWN
    answer = web.get(address)
    if answer.status != 200 or not answer.said:
        raise Away(f"`{address}` answers {answer.status} and describes no issuer")
    said = answer.said
    if said.get("issuer") != offered.issuer:
        raise StagedoorError(f"`{address}` speaks for issuer `{plain(str(said.get('issuer')))}`")
    methods = said.get("code_challenge_methods_supported")
    if isinstance(methods, list) and "S256" not in methods:
        raise StagedoorError(f"`{offered.issuer}` knows no PKCE with S256, without which no command line signs in")
    endpoints = Endpoints(
        offered.issuer, _endpoint(said, "authorization_endpoint"), _endpoint(said, "token_endpoint"),
        _endpoint(said, "device_authorization_endpoint", needed=False),
        _endpoint(said, "revocation_endpoint", needed=False),
        said.get("authorization_response_iss_parameter_supported") is True,
    )  # fmt: skip
    return Provider(web, offered, endpoints)


def _endpoint(said: Mapping[str, Any], member: str, *, needed: bool = True) -> str:
    found = said.get(member, "")
    if not found and not needed:
        return ""
    if not isinstance(found, str) or not is_askable(found) or "#" in found:
        raise StagedoorError(f"the issuer's `{member}` is no https address")
    return found


def _read_tokens(issuer: str, answer: Answer) -> Tokens:
    said = answer.said
    access, refresh = said.get("access_token"), said.get("refresh_token") or ""
    if not isinstance(access, str) or not isinstance(refresh, str) or not _is_token(access):
        raise StagedoorError(f"`{issuer}` gives no access token that a header can hold")
    if str(said.get("token_type", "")).lower() != "bearer":
        raise StagedoorError(f"`{issuer}` gives no bearer token: have it give this client plain ones")
    return Tokens(access, _seconds(said.get("expires_in"), UNSAID_S), refresh)


def _is_token(said: str) -> bool:
    return len(said) <= LONGEST_TOKEN and _TOKEN.fullmatch(said) is not None


def _seconds(said: Any, usual: int) -> int:
    """A number of seconds that somebody else wrote, within reason."""
    if isinstance(said, str) and said.isdecimal() and len(said) < 10:
        said = int(said)
    if isinstance(said, bool) or not isinstance(said, (int, float)) or not 0 < said < 1e9:
        return usual
    return max(1, min(LONGEST_S, int(said)))


def _code_of(said: Mapping[str, Any]) -> str:
    code = said.get("error")
    return code if isinstance(code, str) and _CODE.fullmatch(code) else ""


def _refusal(said: Mapping[str, Any], sent: list[str] | None = None) -> str:
    """Its code and its words, unless these hold what we sent."""
    words = str(said.get("error_description") or "")
    if any(len(each) > 8 and each in words for each in sent or ()):
        words = ""
    code = _code_of(said) or "it does not say why"
    return plain(f"{code} ({words[:300]})" if words else code)
