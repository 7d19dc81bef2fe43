"""Asks hosts over HTTP as a careful stranger: https alone (plain http to this very machine), certificates verified, no
redirect followed, a size and a deadline counted while reading. The standard library does it, with the proxies that the
machine is set up for; whatever goes wrong is one sentence.
"""

from __future__ import annotations

import http.client
import json
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import IO, Any, Final, NamedTuple
from urllib.parse import urlencode, urlsplit

from gateway.errors import ConfigError, StagedoorError
from gateway.terminal import plain

PATIENCE_S: Final = 15.0
MOST_BYTES: Final = 256 * 1024
LOOPBACK: Final = ("127.0.0.1", "::1", "localhost")


class Answer(NamedTuple):
    """``said`` is the JSON object of its body; empty where there is none."""

    status: int
    said: dict[str, Any]


class Away(StagedoorError):
    """A host cannot be reached, or does not answer."""


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str
    ) -> None:
        """None: the answer stays what it is."""


class Web:
    """``ca_file``: PEM file of authorities beside those of the machine; "" = these alone."""

    def __init__(self, ca_file: str = "") -> None:
        context = ssl.create_default_context()
        try:
            if ca_file:
                context.load_verify_locations(ca_file)
        except (ssl.SSLError, OSError) as error:
            why = getattr(error, "strerror", None) or type(error).__name__
            raise ConfigError(f"`{plain(ca_file)}` holds no certificates: {why}") from None
        outside = urllib.request.HTTPSHandler(context=context)
        self._far = urllib.request.build_opener(outside, _NoRedirects)
        self._near = urllib.request.build_opener(outside, _NoRedirects, urllib.request.ProxyHandler({}))

    def get(self, url: str, headers: Mapping[str, str] | None = None) -> Answer:
        """Raises `Away`."""
        return self._ask(urllib.request.Request(url, headers=dict(headers or {})))

    def post(self, url: str, form: Mapping[str, str]) -> Answer:
        """The form's values may be secret: no error says them. Raises `Away`."""
        return self._ask(urllib.request.Request(url, urlencode(form).encode("ascii"), method="POST"))

    def _ask(self, request: urllib.request.Request) -> Answer:
        url = request.full_url
        if not is_askable(url):
            raise StagedoorError(f"`{plain(url)}` is not asked: it is not https")
        request.add_header("Accept", "application/json")
        request.add_header("User-Agent", "stagedoor")
        opener = self._near if urlsplit(url).hostname in LOOPBACK else self._far
        deadline = time.monotonic() + PATIENCE_S
        origin = url.partition("?")[0]
        try:
            with opener.open(request, timeout=PATIENCE_S) as answer:
                return Answer(answer.status, _object(_body(answer, deadline)))
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, _object(_body(error, deadline)))
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise Away(f"cannot ask `{plain(origin)}`: {_why(error)}") from None


def is_askable(url: str) -> bool:
    """Whether it is https, or http on this machine, with a host and nothing hidden in it."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return False
    if not host or "@" in parts.netloc or not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and host in LOOPBACK)


def _body(answer: Any, deadline: float) -> bytes:
    body = bytearray()
    while piece := answer.read1(16384):
        body += piece
        if len(body) > MOST_BYTES:
            raise ValueError(f"it answers with more than {MOST_BYTES >> 10} KiB")
        if time.monotonic() > deadline:
            raise TimeoutError("it answers too slowly")
    return bytes(body)


def _object(body: bytes) -> dict[str, Any]:
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}


def _why(error: Exception) -> str:
    reason = getattr(error, "reason", error)  # of a URLError: what happened
    if isinstance(reason, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted ({plain(reason.verify_message)}); name its authorities with --ca"
    if isinstance(reason, TimeoutError):
        return str(reason) or "it does not answer in time"
    if isinstance(reason, OSError):
        return plain(reason.strerror or str(reason)).lower()
    return plain(str(reason))
