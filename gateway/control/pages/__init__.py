"""Pages that control draws for people: templates with everything escaped, one style sheet, no script of any kind.

A page loads nothing but that style sheet, from this host. What it may do is said by headers (`gateway.control.web`);
a form may lead to this host alone. Each page can be read without styles, used without a mouse, and says in one sentence
what happened and what to do.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from importlib.resources import files
from typing import Any, Final

import jinja2
from aiohttp import web

STATIC: Final = {"site.css": "text/css", "door.svg": "image/svg+xml"}
STATIC_CACHE: Final = "public, max-age=3600"
SCRIPTLESS: Final = (
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_TURNING: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


class Pages:
    """Draws the templates of one package, on top of those that all pages share. Raises nothing for what people wrote:
    a value that a template forgot is an error of the program."""

    def __init__(self, package: str = __name__, filters: Mapping[str, Callable[..., str]] | None = None) -> None:
        loaders = [jinja2.PackageLoader(each, "templates") for each in dict.fromkeys((package, __name__))]
        self._templates = jinja2.Environment(
            loader=jinja2.ChoiceLoader(loaders), autoescape=True, trim_blocks=True, lstrip_blocks=True,
            undefined=jinja2.StrictUndefined, finalize=_shown,
        )  # fmt: skip
        self._templates.filters.update(filters or {})

    def page(
        self, request: web.Request, name: str, values: Mapping[str, Any] | None = None, *, status: int = 200
    ) -> web.Response:
        """The page ``name`` as an answer to the request, whose id it shows."""
        request_id = request.headers.get("X-Request-Id", "")
        known = {"request_id": request_id, "person": "", "here": "", "code": "", "devices_nav": False}
        text = self._templates.get_template(name).render({**known, **(values or {})})
        # Without a referrer at all, browsers hide the origin of our own forms too.
        referrer = "same-origin" if "<form" in text else "no-referrer"
        headers = {"Content-Security-Policy": SCRIPTLESS, "Referrer-Policy": referrer}
        return web.Response(text=text, status=status, content_type="text/html", headers=headers)


def _shown(value: Any) -> Any:
    """Text as it may stand beside ours: it does not turn the direction of what is written around it."""
    return _TURNING.sub("", value) if type(value) is str else value


def add_static(app: web.Application) -> None:
    """The style sheet and the sign, for every page on the central host."""
    app.router.add_get("/.stagedoor/static/{name}", _static)


async def _static(request: web.Request) -> web.Response:
    name = request.match_info["name"]
    if name not in STATIC:
        raise web.HTTPNotFound
    body = files(__name__).joinpath("static", name).read_bytes()
    return web.Response(body=body, content_type=STATIC[name], headers={"Cache-Control": STATIC_CACHE})
