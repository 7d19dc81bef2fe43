"""What a device has, read from iControl's collections in the vocabulary of `objects.py`.

Collections leave out `items` when they are empty, and objects what they have no value for: that counts as none for
pools, names and headers, which somebody may have taken off; else it says nothing. Profiles that AS3 adds by itself
(of the transport, beside APM's) are left out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from gateway.engine.network.bigip.objects import Parts, line_of, lines_of, listed, mask_of, text_of

STATES: Final = ("session", "state")  # of a member: what operators and monitors make of it
_MONITORS: Final = re.compile(r"/[^\s{}]+")
_ROUTE_DOMAIN: Final = re.compile(r"%\d+")
_TRANSPORT: Final = re.compile(r"/Common/(?:f5-)?(?:tcp|udp|rba$|websso$)")

#: Collections below `/mgmt/tm/ltm/`, and whether their subcollections are wanted too.
COLLECTIONS: Final[Mapping[str, bool]] = {
    "virtual": True,
    "pool": True,
    "data-group/internal": False,
    "monitor/http": False,
    "monitor/https": False,
    "profile/http": False,
    "profile/one-connect": False,
    "profile/server-ssl": False,
    "rule": False,
}


def found(collection: str, answer: Any) -> Parts:
    """The objects in the answer to a collection. ``items`` is absent where there are none."""
    parts: Parts = {}
    for item in _items(answer):
        path = item.get("fullPath")
        if isinstance(path, str):
            parts[path] = _FOUND[collection](item)
            if collection == "pool":
                for member in _items(item.get("membersReference")):
                    name = str(member.get("name", ""))
                    states = {key: str(member.get(key, "")) for key in STATES}
                    parts[f"{path} {name}"] = {"kind": "member", **states}
    return parts


def _found_virtual(item: Mapping[str, Any]) -> dict[str, Any]:
    part: dict[str, Any] = {"kind": "virtual", "enabled": not item.get("disabled", False)}
    if isinstance(item.get("destination"), str):
        part["destination"] = _ROUTE_DOMAIN.sub("", item["destination"].rpartition("/")[2])
    part["pool"] = text_of(item.get("pool"))
    part["access policy"] = text_of(item.get("perFlowRequestAccessPolicy"))
    if isinstance(snat := item.get("sourceAddressTranslation"), dict):
        part["source addresses"] = str(snat.get("pool") or snat.get("type", ""))
    part["rules"] = [str(each) for each in listed(item.get("rules"))]
    if isinstance(item.get("profilesReference"), dict) and "items" in item["profilesReference"]:
        profiles = _items(item["profilesReference"])
        paths = (str(each.get("fullPath", each.get("name", ""))) for each in profiles)
        part["profiles"] = sorted(path for path in paths if not _TRANSPORT.match(path))
    if "metadata" in item:
        part["metadata"] = _stamps(item)
    return part


def _found_pool(item: Mapping[str, Any]) -> dict[str, Any]:
    part: dict[str, Any] = {"kind": "pool"}
    if "loadBalancingMode" in item:
        part["balance"] = item["loadBalancingMode"]
    part["monitors"] = sorted(_MONITORS.findall(str(item.get("monitor", ""))))
    if "metadata" in item:
        part["metadata"] = _stamps(item)
    return part


def _found_monitor(item: Mapping[str, Any]) -> dict[str, Any]:
    part: dict[str, Any] = {"kind": "monitor", "receive down": line_of(item.get("recvDisable", ""))}
    for name, key in (("send", "send"), ("receive", "recv")):
        if key in item:
            part[name] = line_of(item[key])
    return part | {key: item[key] for key in ("interval", "timeout") if key in item}


def _found_server_ssl(item: Mapping[str, Any]) -> dict[str, Any]:
    part: dict[str, Any] = {"kind": "server-ssl"}
    if "peerCertMode" in item:
        part["checks"] = item["peerCertMode"] == "require"
    if item.get("caFile"):
        part["authorities"] = item["caFile"]
    part["server name"] = text_of(item.get("authenticateName"))
    part["sni"] = text_of(item.get("serverName"))
    return part


def _found_data_group(item: Mapping[str, Any]) -> dict[str, Any]:
    records = {str(each.get("name", "")): str(each.get("data", "")) for each in _dicts(item.get("records"))}
    return {"kind": "data-group", "records": records}


def _found_http(item: Mapping[str, Any]) -> dict[str, Any]:
    said = item.get("insertXforwardedFor")
    part: dict[str, Any] = {"kind": "http", "inserted header": text_of(item.get("headerInsert"))}
    return part | ({"forwarded for": said == "enabled"} if said is not None else {})


def _found_rule(item: Mapping[str, Any]) -> dict[str, Any]:
    text = item.get("apiAnonymous")
    return {"kind": "rule"} | ({"text": lines_of(text)} if isinstance(text, str) else {})


def _found_one_connect(item: Mapping[str, Any]) -> dict[str, Any]:
    return {"kind": "one-connect"} | ({"mask": mask_of(item["sourceMask"])} if "sourceMask" in item else {})


_FOUND: Final[Mapping[str, Callable[[Mapping[str, Any]], dict[str, Any]]]] = {
    "virtual": _found_virtual,
    "pool": _found_pool,
    "data-group/internal": _found_data_group,
    "monitor/http": _found_monitor,
    "monitor/https": _found_monitor,
    "profile/http": _found_http,
    "profile/one-connect": _found_one_connect,
    "profile/server-ssl": _found_server_ssl,
    "rule": _found_rule,
}


def _stamps(item: Mapping[str, Any]) -> dict[str, str]:
    stamps = ((str(each.get("name", "")), str(each.get("value", ""))) for each in _dicts(item.get("metadata")))
    return {name: value.strip('"') for name, value in stamps if name.startswith("stagedoor.")}


def _dicts(value: object) -> Iterator[dict[str, Any]]:
    return (each for each in listed(value) if isinstance(each, dict))


def _items(value: object) -> Iterator[dict[str, Any]]:
    return _dicts(value.get("items")) if isinstance(value, dict) else iter(())
