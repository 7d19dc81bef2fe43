"""The page of all that was made of one service: who lags first, then each environment in the order of a request.

For the service's owners and administrators; to everybody else it looks like a page of a service that does not exist.
Long lists are folded after their beginning and counted, and many environments stand on several pages, so that a page
can be read, and is drawn, whatever a catalog holds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from aiohttp import web

from gateway.control.api.callers import Caller
from gateway.control.api.ways import Ways
from gateway.control.pages import Pages
from gateway.control.portal.devices import WORDS
from gateway.control.portal.filters import people, step_count
from gateway.node.lags import lagging

ENVIRONMENTS_SHOWN: Final = 8  # of one page
ROWS_SHOWN: Final = 10  # of a list before it is folded
NAME_LIMIT: Final = 512
TAGS_SHOWN: Final = 60  # of one rule
LAGS_SHOWN: Final = 100
_ORDER: Final = {"prod": 0, "production": 0}  # where people look first
# Word and colour of what a firewall has.
_STATES: Final = {"open": ("in place", "published"), "stops": ("missing", "refused"), "unknown": ("not known", "held")}
_EFFECTS: Final = {"permit": ("may", "published"), "deny": ("never", "refused")}
_UP: Final = {True: ("answers", "published"), False: ("does not answer", "refused"), None: ("not checked", "")}
_LEGS: Final = {
    "front": "clients to virtual addresses",
    "direct": "clients to the service, past the doors",
    "back": "doors to the service",
}


class InventoryPages:
    """``who``: what the head of a page shows; ``port``: that by which people came."""

    def __init__(
        self, ways: Ways, pages: Pages, who: Callable[[Caller, str], dict[str, Any]],
        port: Callable[[web.Request], str],
    ) -> None:  # fmt: skip
        self._ways = ways
        self._pages = pages
        self._who = who
        self._port = port

    async def one(self, request: web.Request, caller: Caller) -> web.StreamResponse:
        ref = f"{request.match_info['scope']}/{request.match_info['name']}".lower()
        if "rule" in request.query:
            return await self._people(request, caller, ref)
        begin = int(number) if (number := request.query.get("from", "")).isdecimal() and len(number) < 5 else 0
        found = await self._ways.inventory(caller, ref)
        values = {
            "ref": ref, "port": self._port(request), "rows": ROWS_SHOWN, "administrator": caller.is_administrator,
            "made": _in_words(found, begin) if found is not None else None, **self._who(caller, "services"),
        }  # fmt: skip
        return self._pages.page(request, "inventory.html", values, status=200 if found is not None else 404)

    async def _people(self, request: web.Request, caller: Caller, ref: str) -> web.StreamResponse:
        environment, rule, after = (request.query.get(name, "")[:NAME_LIMIT] for name in ("in", "rule", "after"))
        found = await self._ways.people(caller, ref, environment, rule, after)
        values = {"rule": "", **(found or {}), "ref": ref, "environment": environment, **self._who(caller, "services")}
        return self._pages.page(request, "people.html", values, status=200 if found is not None else 404)


# === in words ===


def _in_words(found: Mapping[str, Any], begin: int) -> dict[str, Any]:
    lags = lagging(found)
    environments = sorted(found["environments"], key=lambda at: (_ORDER.get(at["environment"], 1), at["environment"]))
    number = len(environments)
    begin = begin if begin < number else 0
    shown = environments[begin : begin + ENVIRONMENTS_SHOWN]
    return {
        "service": found["service"], "base": found["base"], "doors": found["doors"],
        "lags": lags[:LAGS_SHOWN], "total_lags": len(lags),
        "environments": [_environment(at) for at in shown],
        "total": number, "begin": begin, "end": begin + len(shown), "step": ENVIRONMENTS_SHOWN,
        "lead": _lead(len(lags)),
    }  # fmt: skip


def _lead(lags: int) -> str:
    if not lags:
        return "Everything is as the catalog wants it: nobody lags behind."
    if lags == 1:
        return "One thing is not as the catalog wants it."
    return f"{lags} things are not as the catalog wants them."


def _environment(at: Mapping[str, Any]) -> dict[str, Any]:
    word, colour = ("lags behind", "held") if lagging({"doors": [], "environments": [at]}) else ("in step", "published")
    return {
        **at, "word": word, "colour": colour,
        "virtual_servers": [_worded(each, WORDS) for each in at["virtual_servers"]],
        "fronts": [_leg(each) for each in at["firewalls"] if each["leg"] != "back"],
        "backs": [_leg(each) for each in at["firewalls"] if each["leg"] == "back"],
        "addresses": [_worded(each, _STATES) for each in at["addresses"]],
        "upstreams": [{**each, "word": _UP[each["up"]][0], "colour": _UP[each["up"]][1]} for each in at["upstreams"]],
        "rules": [_worded({**each, "state": each["effect"]}, _EFFECTS) for each in at["rules"]],
        "all_rules": _rule_count(len(at["rules"]) + at["more_rules"]),
        "devices": [_device(each) for each in at["devices"]],
    }  # fmt: skip


def _worded(row: Mapping[str, Any], words: Mapping[str, tuple[str, str]]) -> dict[str, Any]:
    word, colour = words.get(row["state"], (row["state"], ""))
    return {**row, "word": word, "colour": colour}


def _leg(leg: Mapping[str, Any]) -> dict[str, Any]:
    tags = leg["tags"]
    return {
        **_worded(leg, _STATES), "title": _LEGS.get(leg["leg"], leg["leg"]), "whom": _whom(leg),
        "tags": tags[:TAGS_SHOWN], "more_tags": max(0, len(tags) - TAGS_SHOWN),
    }  # fmt: skip


def _whom(leg: Mapping[str, Any]) -> str:
    if not leg["rule"]:
        return "no rule names the service"
    if leg["leg"] == "back":
        return ""
    tags = len(leg["tags"])
    if not tags:
        return "anybody may come near, and the door asks who it is"
    return f"{people(leg['users'])} with {'its tag' if tags == 1 else f'one of its {tags:,} tags'}"


def _device(device: Mapping[str, Any]) -> dict[str, Any]:
    row = _worded(device, WORDS)
    waits = f"{step_count(device['steps'])} wait{'s' if device['steps'] == 1 else ''}" if device["steps"] else ""
    return {**row, "waits": waits, "is_old": device["applied_version"] not in ("", device["version"])}


def _rule_count(number: int) -> str:
    return f"{number:,} rule{'' if number == 1 else 's'}"
