"""The page of one's way to a service: a form, and each hop with the sentence why it is open, or why not.

Everybody looks at their own way; administrators may name another person. A link can be pasted as it stands in a
browser: the port by which people come here is no part of the question.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from aiohttp import web

from gateway.control.api.callers import Caller
from gateway.control.api.problems import Problem
from gateway.control.api.ways import Ways
from gateway.control.pages import Pages
from gateway.http1.head import METHODS
from gateway.questions.hops import TITLES
from gateway.questions.pasted_url import URL_MOST, has_scheme

NAME_LIMIT: Final = 256
_STATES: Final = {"open": ("open", "published"), "stops": ("stops here", "refused"), "unknown": ("not known", "held")}
_WHOLE: Final = {"stops": "stopped"}


class WayPages:
    """``who``: what the head of a page shows."""

    def __init__(self, ways: Ways, pages: Pages, who: Callable[[Caller, str], dict[str, Any]]) -> None:
        self._ways = ways
        self._pages = pages
        self._who = who

    async def one(self, request: web.Request, caller: Caller) -> web.StreamResponse:
        url = request.query.get("url", "").strip()
        user = request.query.get("user", "").strip()[:NAME_LIMIT]
        method = request.query.get("method", "GET").upper()
        method = method if method.encode() in METHODS else "GET"
        values: dict[str, Any] = {
            "url": url[:URL_MOST], "user": user, "method": method, "methods": list(METHODS.values()), "way": None,
            "mfa": "mfa" in request.query, "fault": "", "service": "", "longest": URL_MOST,
            "administrator": caller.is_administrator, **self._who(caller, "path"),
        }  # fmt: skip
        if url:
            values |= await self._asked(caller, method, url, user, mfa=bool(user) and values["mfa"])
        status = 400 if values["fault"] else 200
        return self._pages.page(request, "path.html", values, status=status)

    async def _asked(self, caller: Caller, method: str, url: str, user: str, *, mfa: bool) -> dict[str, Any]:
        whole = url if has_scheme(url) else f"https://{url}"
        whose = user if user and caller.is_administrator else None
        if user and whose is None:
            raise Problem("not_yours")
        try:
            way, service = await self._ways.path(caller, method, whole, whose, mfa)
        except ValueError as fault:
            return {"fault": f"{str(fault)[:1].upper()}{str(fault)[1:]}."}
        return {"way": _in_words(way), "service": service}


def _in_words(way: Mapping[str, Any]) -> dict[str, Any]:
    word, colour = _STATES[way["state"]]
    hops = [
        {**hop, "title": TITLES[hop["kind"]], "word": _STATES[hop["state"]][0], "colour": _STATES[hop["state"]][1]}
        for hop in way["hops"]
    ]
    return {**way, "word": _WHOLE.get(way["state"], word), "colour": colour, "hops": hops}
