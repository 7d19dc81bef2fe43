"""Objects of a device that a declaration refers to: one is asked for by name, several by their whole collection."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

from gateway.engine.network.bigip.device.answers import is_missing
from gateway.engine.network.bigip.device.client import Client
from gateway.engine.network.bigip.objects import listed

Held = dict[str, Any]


async def object_at(client: Client, kind: str, path: str) -> Held | None:
    """None where there is none. Raises `DeviceFault`."""
    name = quote(path.replace("/", "~"), safe="~")
    said = await client.read(f"/mgmt/tm/{kind}/{name}", missing=is_missing)
    return said if isinstance(said, dict) else None


async def objects_at(client: Client, kind: str, paths: Iterable[str]) -> dict[str, Held]:
    """Those that are there, by path: one request, however many. Raises `DeviceFault`."""
    wanted = sorted(set(paths))
    if len(wanted) <= 1:
        found = {path: await object_at(client, kind, path) for path in wanted}
        return {path: each for path, each in found.items() if each is not None}
    answer = await client.read(f"/mgmt/tm/{kind}")
    items = listed(answer.get("items")) if isinstance(answer, dict) else []
    there = {str(item.get("fullPath")): item for item in items if isinstance(item, dict)}
    return {path: there[path] for path in wanted if path in there}


def absent(path: str, setting: str) -> dict[str, Any]:
    return {"kind": "absent", "setting": setting, "remark": f"`{path}` (`{setting}`) is not on the device"}
