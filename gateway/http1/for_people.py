"""A refusal as a page for people, and the page between a sign-out here and the one at the provider.

A page loads nothing and runs nothing, which its Content-Security-Policy holds it to, and everything in it is escaped.
Who signed in with a browser is told who they are for us, and gets a way on: to the portal, or out, so that the wrong
account is no dead end. A page speaks to the person who looks at it, so some sentences are other ones than programs get.
"""

from __future__ import annotations

import base64
import hashlib
from html import escape
from typing import Final, NamedTuple

from gateway.errors import Fault

# What a person reads instead of what a program is told: sentence, what to do.
_FOR_PEOPLE: Final = {
    "no_rule": ("No rule gives you access to this service.", "Ask its owners to open it to your team."),
    "identity_required": ("You have to sign in for this.", "Sign in, then try again."),
    "identity_unknown": (
        "The catalog does not know you.",
        "If this is the wrong account, sign out and use the other one; else ask the platform team to add you.",
    ),
    "identity_ambiguous": (
        "More than one entry of the catalog could be you, so none counts.",
        "Ask the platform team to make the matching annotation unique.",
    ),
    "denied": (
        "A rule forbids you this, whatever else would allow it.",
        "Ask the platform team about it; no other permission overrides it.",
    ),
    "operation_unknown": (
        "This service has no such page.",
        "Check the address; if it is right, the owners of the service can add it to its definition.",
    ),
    "scope_missing": (
        "This needs a right that you do not have.",
        "Ask the owners of the service for a role with the scopes named here.",
    ),
    "requirement_unmet": (
        "You may come, but your sign-in is not strong or recent enough.", "Sign in again in the way named here.",
    ),
    "session_ended": ("Your session has ended.", "Sign in again."),
    "request_head_too_large": (
        "Your browser sends more cookies, or a longer address, than fits.",
        "Delete the cookies of this site in your browser's settings, and those of the hosts beside it. Then start "
        "again; if it comes back, tell the platform team which page you saw last.",
    ),
}  # fmt: skip
# What a detail is, where it is a name alone.
_NAMED: Final = {"denied": "The rule is ", "scope_missing": "It needs ", "requirement_unmet": "It asks for "}
# Where a link begins anew: in this tab, or in another one, because this one holds what was to be sent.
_STARTS_AGAIN: Final = frozenset(("session_not_begun", "request_head_too_large"))
_SIGNS_IN: Final = frozenset(("identity_required", "session_ended"))
_LEADS_ON: Final = frozenset(("no_rule", "denied", "operation_unknown", "path_unknown", "scope_missing"))
_LEADS_OUT: Final = frozenset(("no_rule", "denied", "scope_missing", "identity_unknown", "identity_ambiguous"))

_STYLE: Final = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:35rem;margin:0 auto;padding:28px 20px 48px;color:#23211d;"
    "background:#f7f6f3;overflow-wrap:anywhere}header{display:flex;align-items:center;gap:8px;font-weight:650;"
    "margin-bottom:28px}h1{font-size:28px;line-height:1.2;letter-spacing:-.02em;margin:0 0 .5rem}p{margin:.5rem 0}"
    ".do{font-size:18px}a{color:#24557e}nav{display:flex;flex-wrap:wrap;gap:10px;margin-top:20px}form{margin:0}"
    "nav a,button{font:inherit;padding:7px 14px;border:1px solid #dedad0;border-radius:8px;background:#fff;"
    "color:inherit;text-decoration:none;cursor:pointer}nav a:hover,button:hover{border-color:#24557e}"
    ":focus-visible{outline:2px solid #24557e;outline-offset:2px}"
    "footer{margin-top:40px;color:#655f55;font-size:14px}code{font-family:ui-monospace,monospace}"
    "@media(prefers-color-scheme:dark){body{color:#e8e6e1;background:#16171a}a{color:#8dbbe0}"
    "nav a,button{background:#1e2024;border-color:#3a3d44}nav a:hover,button:hover{border-color:#8dbbe0}"
    ":focus-visible{outline-color:#8dbbe0}footer{color:#aaa69d}}@media print{nav{display:none}}"
)
_BRAND: Final = (
    '<svg viewBox="0 0 32 32" width="22" height="22" aria-hidden="true"><rect x="7" y="3" width="18" height="27" '
    'rx="2" fill="#2b5f8a"/><circle cx="20.5" cy="17" r="1.8" fill="#f7f6f3"/></svg>Stagedoor'
)
_STYLE_HASH: Final = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode("ascii")


def _page_fields(form_action: str, referrer: str) -> bytes:
    policy = f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; form-action {form_action}"
    return (
        "Content-Type: text/html; charset=utf-8\r\n"
        f"Content-Security-Policy: {policy}; frame-ancestors 'none'\r\nReferrer-Policy: {referrer}\r\n"
    ).encode("ascii")


_PAGE_FIELDS: Final = _page_fields("'none'", "no-referrer")
# Without a referrer at all, browsers hide the origin of our own form too.
_FORM_FIELDS: Final = _page_fields("'self'", "same-origin")


class Visitor(NamedTuple):
    """Who looks at a page, where people sign in with browsers. ``name``: of whose session it is, "" = nobody's, or
    of somebody without a name here; ``portal``: its address."""

    signed_in: bool
    name: str
    portal: str


def page_of(fault: Fault, detail: str, request_id: str, visitor: Visitor | None) -> tuple[bytes, bytes]:
    """Fields and body. ``detail`` and ``request_id`` as they are to be read; both are escaped here."""
    title, todo = map(escape, _FOR_PEOPLE.get(fault.code, (fault.title, fault.todo)))
    named = _NAMED.get(fault.code, "") if " " not in detail else ""
    more = f"<p>{escape(_sentence(named + detail))}</p>\n" if detail else ""
    name = f"<p>You are signed in as {escape(visitor.name)}.</p>\n" if visitor is not None and visitor.name else ""
    ways = _ways_on(fault.code, visitor)
    return _FORM_FIELDS if "<form" in ways else _PAGE_FIELDS, _document(
        f"{fault.status} {title}",
        f'<main>\n<h1>{title}</h1>\n{more}<p class="do">{todo}</p>\n{name}{ways}</main>\n'
        f"<footer>{fault.status} · <code>{escape(fault.code)}</code> · request <code>{escape(request_id)}</code>"
        "</footer>\n",
    )


def _ways_on(code: str, visitor: Visitor | None) -> str:
    """Links and buttons, where there is somewhere to go."""
    ways = []
    if code in _STARTS_AGAIN:
        ways.append('<a href="/">Start again</a>')
    if visitor is not None and code in _SIGNS_IN:
        ways.append('<a href="/" target="_blank" rel="noopener">Sign in with a new tab</a>')
    if visitor is not None and visitor.signed_in and code in _LEADS_ON:
        ways.append(f'<a href="{escape(visitor.portal)}">What I can reach</a>')
    if visitor is not None and visitor.signed_in and code in _LEADS_OUT:
        ways.append('<form method="post" action="/.stagedoor/sign-out"><button>Sign out</button></form>')
    return f'<nav aria-label="What to do">{"".join(ways)}</nav>\n' if ways else ""


def _document(title: str, body: str, head: str = "") -> bytes:
    return (
        "<!doctype html>\n"
        '<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n{head}'
        f"<title>{title}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<header>{_BRAND}</header>\n"
        f"{body}</body>\n</html>\n"
    ).encode()


def _sentence(detail: str) -> str:
    """For a page, what reads as a sentence is spelled as one; a rule's id, or one word, stays."""
    return f"{detail[0].upper()}{detail[1:]}." if " " in detail and detail[-1] not in ".!?" else detail


def parting_page(to: str) -> tuple[bytes, bytes]:
    """Fields and body of what somebody sees who signed out here, on the way to ``to``. A page, because a browser holds
    the redirects of a form to the `form-action` of the page it stood on (CSP 3, 6.4.1)."""
    address = escape(to)
    return _PAGE_FIELDS, _document(
        "You are signed out here",
        f'<main>\n<h1>You are signed out here.</h1>\n<nav aria-label="What to do"><a href="{address}">Go on</a></nav>\n'
        "</main>\n",
        f'<meta http-equiv="refresh" content="0;url={address}">\n',
    )
