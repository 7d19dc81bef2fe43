"""What a browser sends to the central host, read strictly: parameters said once, cookies that can only be ours.

A parameter that is there twice has two readings, and the one that is checked may not be the one that is used; a cookie
that is there twice was put there by somebody else. Strangers send forms too: few are read at once and none for long,
so that however slow those are, they leave a door its connections to control.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Final
from urllib.parse import parse_qsl

from aiohttp import web

from gateway.control.api.routes import own_origin
from gateway.control.signin.failures import SignInFailed
from gateway.control.signin.transactions import COOKIE

VALUE_LIMIT: Final = 8 * 1024
FORM_LIMIT: Final = 32 * 1024
FORM_S: Final = 10.0  # in which a form arrives
FORMS: Final = 32  # that are on their way at once


def once(pairs: Iterable[tuple[str, str]], names: Iterable[str], code: str) -> dict[str, str]:
    """The parameters of these names. Raises `SignInFailed` with ``code`` where one is there twice, or too long."""
    found: dict[str, str] = {}
    wanted = frozenset(names)
    for name, value in pairs:
        if name in wanted:
            if name in found or len(value) > VALUE_LIMIT or "\0" in value:
                raise SignInFailed(code, f"parameter `{name}` is there twice, or too long")
            found[name] = value
    return found


class Forms:
    """Reads forms in bodies, ``FORMS`` of them at once."""

    def __init__(self) -> None:
        self._open = 0

    async def read(self, request: web.Request, names: Iterable[str], code: str) -> dict[str, str]:
        """The parameters of these names, as :func:`once` has them. Raises `SignInFailed`, with `busy` where too many
        are being read."""
        if request.content_type != "application/x-www-form-urlencoded":
            raise SignInFailed(code, "the body is no form")
        if self._open >= FORMS:
            raise SignInFailed("busy", f"{FORMS} forms are on their way")
        self._open += 1
        try:
            async with asyncio.timeout(FORM_S):
                body = await _bounded(request)
        except TimeoutError:
            raise SignInFailed(code, f"the form did not arrive within {FORM_S:g} s") from None
        finally:
            self._open -= 1
        if len(body) > FORM_LIMIT:
            raise SignInFailed(code, "the form is too large")
        try:
            pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=32, errors="strict")
        except ValueError:
            raise SignInFailed(code, "the form cannot be read") from None
        return once(pairs, names, code)


async def _bounded(request: web.Request) -> bytes:
    """The body, or one byte more than is taken of it."""
    body = b""
    while len(body) <= FORM_LIMIT and (more := await request.content.read(FORM_LIMIT + 1 - len(body))):
        body += more
    return body


def sign_in_cookies(request: web.Request) -> dict[str, str]:
    """The cookies of sign-ins that are under way; one that is there twice counts for nothing."""
    found: dict[str, str] = {}
    twice: set[str] = set()
    for line in request.headers.getall("Cookie", ()):
        for pair in line.split(";"):
            name, _, value = pair.strip().partition("=")
            if name.startswith(COOKIE):
                twice.update({name} & found.keys())
                found[name] = value
    return {name: "" if name in twice else value for name, value in found.items()}


def is_own_page(request: web.Request) -> bool:
    """Whether a form was sent by a page of this host (RFC 6454), and a browser says so. A page that hides its origin
    is ours where the browser says that too."""
    origin, site = request.headers.get("Origin", ""), request.headers.getall("Sec-Fetch-Site", [])
    if origin == "null":
        return site == ["same-origin"]
    return origin == own_origin(request.headers) and site in ([], ["same-origin"])


def port_of(authority: str) -> str:
    """``:8443``; "" where there is none."""
    name, colon, port = authority.rpartition(":")
    return f":{port}" if colon and name and port.isdecimal() else ""


def client_address(headers: Mapping[str, str]) -> str:
    """As the door says it."""
    return headers.get("X-Forwarded-For", "").rpartition(",")[2].strip()
