"""The pages of the network devices, for administrators: all of them at a glance, and one environment of one of them.

To be read, not to act: what changes a device is a command at the node, and stands here to be copied. Whatever a device
or a catalog says is text, shortened where it comes from.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import groupby
from typing import Any, Final
from urllib.parse import quote

from aiohttp import web

from gateway.control.api.callers import Caller
from gateway.control.api.devices import Devices
from gateway.control.api.problems import Problem
from gateway.control.pages import Pages

NAME_LIMIT: Final = 256
HOSTS_SHOWN: Final = 100  # with something to say of DNS or certificates
# How pages call what the engine calls by a word, and the colour that goes with it.
WORDS: Final = {
    "in-step": ("in step", "published"),
    "waiting": ("plan waits", "held"),
    "applying": ("being changed", "held"),
    "fault": ("in trouble", "refused"),
    "unread": ("not looked at yet", "not_seen"),
    "no-wish": ("nothing published", "not_seen"),
    "standby": ("stands by", ""),
    "unknown": ("not known", "held"),  # of what clients meet there
}
_DIFFERENCES: Final = {
    "edited": "Edited by another hand",
    "missing": "Missing on the device",
    "foreign": "Made by another hand",
    "drained": "Drained by an operator",
    "replaced": "Written over by another writer",
    "gone": "Everything is gone",
    "expiring": "A certificate ends",
    "version": "Another policy version",
    "moved": "Moved by another hand",
    "extra": "Amid ours, by another hand",
    "locked": "Locked",
    "uncommitted": "Edited and not committed",
}
_KINDS: Final = {"remove": "Removes", "change": "Changes", "add": "Adds"}


class DevicePages:
    def __init__(self, devices: Devices, pages: Pages) -> None:
        self._devices = devices
        self._pages = pages

    async def all(self, request: web.Request, caller: Caller) -> web.StreamResponse:
        if not caller.is_administrator:
            return self._refused(request, caller)
        told = self._devices.all()
        rows = [_row(each) for each in told["devices"]]
        values = {**told, "devices": rows, "groups": _by_device(rows), **self._who(caller)}
        return self._pages.page(request, "devices.html", values)

    async def one(self, request: web.Request, caller: Caller) -> web.StreamResponse:
        if not caller.is_administrator:
            return self._refused(request, caller)
        device, environment = (request.match_info[each][:NAME_LIMIT] for each in ("device", "environment"))
        try:
            told = await self._devices.one(device, environment)
        except Problem as problem:
            if problem.code != "engine_away":
                raise
            told = self._without_view(device, environment)
        values = {**told, "device": _row(told["device"]), **_in_words(told), **self._who(caller)}
        return self._pages.page(request, "device.html", values)

    def _without_view(self, device: str, environment: str) -> dict[str, Any]:
        """What the engine said by itself, when it does not answer; raises `Problem` where it never spoke of it."""
        heard = self._devices.all()
        for each in heard["devices"]:
            if (each["device"], each["environment"]) == (device, environment):
                nothing: dict[str, Any] = dict.fromkeys(("plan", "drift", "fronts", "checks", "commands"))
                nothing |= {"asks": [], "applies": []}
                return {"told": heard["told"], "engine_away": True, "device": each, **nothing}
        raise Problem("engine_away" if not heard["devices"] else "device_unknown")

    def _refused(self, request: web.Request, caller: Caller) -> web.Response:
        values = {
            "sentence": "Devices are shown to administrators.", "todo": "Ask one of them what you want to know.",
            **self._who(caller), "code": "not_yours",
        }  # fmt: skip
        return self._pages.page(request, "problem.html", values, status=403)

    def _who(self, caller: Caller) -> dict[str, Any]:
        return who(caller, "devices", has_devices=True)


def who(caller: Caller, here: str, *, has_devices: bool) -> dict[str, Any]:
    """For the head of a page."""
    return {
        "person": caller.ref.rpartition("/")[2], "here": here,
        "devices_nav": caller.is_administrator and has_devices,
    }  # fmt: skip


# === in words ===


def _row(standing: Mapping[str, Any]) -> dict[str, Any]:
    word, colour = WORDS.get(standing["state"], (standing["state"], ""))
    path = f"/portal/devices/{quote(standing['device'], safe='')}/{quote(standing['environment'], safe='')}"
    return {**standing, "word": word, "colour": colour, "path": path}


def _by_device(rows: Iterable[Mapping[str, Any]]) -> list[tuple[str, list[Mapping[str, Any]]]]:
    return [(name, list(each)) for name, each in groupby(rows, lambda row: row["device"])]


def _in_words(told: Mapping[str, Any]) -> dict[str, Any]:
    """The steps by kind, those to look at twice, differences with their names, hosts with something to say."""
    steps = told["plan"]["steps"] if told["plan"] is not None else []
    checks = told["checks"]["hosts"] if told["checks"] is not None else []
    troubled = [each for each in checks if each["sentence"]]
    return {
        "kinds": [(title, found) for kind, title in _KINDS.items()
                  if (found := [each for each in steps if each["kind"] == kind])],
        "twice": [each for each in steps if each["caution"]],
        "differences": [
            {**each, "title": _DIFFERENCES.get(each["difference"], each["difference"])}
            for each in (told["drift"]["differences"] if told["drift"] is not None else [])
        ],
        "troubled": troubled[:HOSTS_SHOWN],
        "more_troubled": max(0, len(troubled) - HOSTS_SHOWN),
        "places_shown": sum(len(each["places"]) for each in told["fronts"]["virtual_servers"]) if told["fronts"] else 0,
    }  # fmt: skip
