"""What an onlooker sees of a device and its traffic, in one answer: for pages, and for whoever wonders what is played.

Nothing here is iControl; it is told below `/_lab`, like the knobs.
"""

from __future__ import annotations

from collections.abc import Callable

from gateway.lab.bigip.collections import DATA_GROUP, POOL, VIRTUAL
from gateway.lab.bigip.played_rules import played, profiles_of
from gateway.lab.bigip.refusals import Json
from gateway.lab.bigip.server_side import ServerSide
from gateway.lab.bigip.unit import Unit

Watched = Callable[[str], tuple[int, ServerSide] | None]  # path of a virtual server → requests so far, its connections


def nothing_watched(_path: str) -> None:
    """Where nothing passes traffic."""


def on_view(asked: Unit, watched: Watched) -> Json:
    """Of the active unit, whichever was asked."""
    unit = asked.active
    return {
        "unit": unit.hostname,
        "units": [{"hostname": one.hostname, "active": one is unit} for one in unit.units],
        "pending": unit.group.pending,
        "virtuals": [_virtual(unit, values, watched) for values in unit.tree.objects(VIRTUAL)],
        "data_groups": [
            {"path": group["fullPath"], "records": [[one["name"], one.get("data", "")] for one in _records(group)]}
            for group in unit.tree.objects(DATA_GROUP)
        ],
    }


def _records(group: Json) -> list[Json]:
    return list(group.get("records", []))


def _virtual(unit: Unit, values: Json, watched: Watched) -> Json:
    seen = watched(values["fullPath"])
    rules = played(unit.tree, values)
    pool = unit.tree.find(POOL, str(values.get("pool", "")))
    members = unit.presenter.parts(POOL, pool, "members") if pool else []
    return {
        "path": values["fullPath"],
        "destination": str(values.get("destination", "")).rpartition("/")[2],
        "enabled": not values.get("disabled"),
        "requests": seen[0] if seen else 0,
        "shares_connections": "one-connect" in profiles_of(unit.tree, values),
        "writes_proxy_line": rules.proxy_line,
        "not_executed": list(rules.missed),
        "pool": str(values.get("pool", "")),
        "members": [_member(member, seen[1] if seen else None) for member in members],
    }


def _member(member: Json, seen: ServerSide | None) -> Json:
    name = str(member["name"])
    return {
        "name": name,
        "state": member["state"],
        "session": member["session"],
        "busy": seen.busy.get(name, 0) if seen else 0,
        "idle": seen.idle_at(name) if seen else 0,
    }
