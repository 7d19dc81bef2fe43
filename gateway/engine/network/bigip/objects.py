"""One vocabulary for what a declaration makes and what a device has: objects by full path, with the properties that
Stagedoor sets and an operator may change by hand.

`declared` says what AS3 makes of a declaration (3.56, seen at work), `found` in `icontrol.py` what a device shows.
Both give the same values for the same thing, so a difference is an edit. A pool member is an object of its own,
`/tenant/application/pool 192.0.2.21:8443`; whether an operator took it out is no property of it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

Parts = dict[str, dict[str, Any]]

_BASIC: Final = "/Common/http"  # what AS3 calls `basic`
_SNAT: Final = {"auto": "automap", "none": "none"}


def declared(name: str, tenant: Mapping[str, Any]) -> Parts:
    """The objects of the tenant ``name``. Classes that are none of ours are there by path alone."""
    parts: Parts = {}
    for application, members in tenant.items():
        if isinstance(members, dict) and members.get("class") == "Application":
            folder = f"/{name}/{application}"
            for own, value in members.items():
                if isinstance(value, dict) and isinstance(value.get("class"), str):
                    _declare(parts, folder, own, value)
    return parts


def _declare(parts: Parts, folder: str, own: str, value: Mapping[str, Any]) -> None:
    kind = value["class"]
    path = f"{folder}/{own}"
    make = _DECLARED.get(kind)
    parts[path] = make(folder, value) if make else {"kind": ""}
    if kind == "Service_HTTPS" and value.get("redirect80", True):
        parts[f"{path}-Redirect-"] = {"kind": "virtual"}
    if kind == "Pool":
        addressed = member_names(value)
        for member in members_of(value):
            parts[f"{path} {member}"] = {"kind": "member" if member in addressed else ""}


def _service(folder: str, value: Mapping[str, Any]) -> dict[str, Any]:
    part: dict[str, Any] = {"kind": "virtual", "enabled": value.get("enable", True) is not False}
    addresses = value.get("virtualAddresses")
    port = value.get("virtualPort", 443 if value["class"] == "Service_HTTPS" else 80)
    if isinstance(addresses, list) and len(addresses) == 1 and isinstance(addresses[0], str):
        part["destination"] = at_port(addresses[0].partition("%")[0], port)
    if "pool" in value:
        part["pool"] = pointed(folder, value["pool"])
    part["rules"] = [pointed(folder, each) for each in listed(value.get("iRules"))]
    part["profiles"] = sorted(
        _BASIC if each == "basic" else pointed(folder, each)
        for key in ("profileHTTP", "profileMultiplex", "serverTLS", "clientTLS", "profileAccess")
        for each in listed(value.get(key))
    )
    if (snat := _SNAT.get(str(value.get("snat", "auto")))) is not None:
        part["source addresses"] = snat
    policy = value.get("policyPerRequestAccess")
    part["access policy"] = pointed(folder, policy) if policy else ""
    part["metadata"] = _stamps(value.get("metadata"))
    return part


def _pool(folder: str, value: Mapping[str, Any]) -> dict[str, Any]:
    monitors = sorted(_monitor_path(folder, each) for each in listed(value.get("monitors")))
    balance = value.get("loadBalancingMode", "round-robin")
    return {"kind": "pool", "balance": balance, "monitors": monitors, "metadata": _stamps(value.get("metadata"))}


def _monitor(_: str, value: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "kind": "monitor",
        "send": line_of(value.get("send", "HEAD / HTTP/1.0\\r\\n\\r\\n")),
        "receive": line_of(value.get("receive", "HTTP/1.")),
        "receive down": line_of(value.get("receiveDown", "")),
        "interval": value.get("interval", 5),
        "timeout": value.get("timeout", 16),
    }


def _tls_client(folder: str, value: Mapping[str, Any]) -> dict[str, Any]:
    part: dict[str, Any] = {"kind": "server-ssl", "checks": value.get("validateCertificate", False) is True}
    if "trustCA" in value:
        part["authorities"] = pointed(folder, value["trustCA"])
    if value.get("serverName"):
        part["server name"] = value["serverName"]
    part["sni"] = value.get("sendSNI", "")
    return part


def _data_group(_: str, value: Mapping[str, Any]) -> dict[str, Any]:
    records = {
        str(each.get("key", "")): str(each.get("value", ""))
        for each in listed(value.get("records"))
        if isinstance(each, dict)
    }
    return {"kind": "data-group", "records": records}


def _http(_: str, value: Mapping[str, Any]) -> dict[str, Any]:
    said = value.get("insertHeader")
    header = f"{said.get('name')}: {said.get('value')}" if isinstance(said, dict) else ""
    return {"kind": "http", "forwarded for": value.get("xForwardedFor", True) is not False, "inserted header": header}


def _rule(text: object) -> dict[str, Any]:
    return {"kind": "rule"} | ({"text": lines_of(text)} if isinstance(text, str) else {})


def _one_connect(_: str, value: Mapping[str, Any]) -> dict[str, Any]:
    return {"kind": "one-connect"} | ({"mask": mask_of(value["sourceMask"])} if "sourceMask" in value else {})


_DECLARED: Final[Mapping[str, Callable[[str, Mapping[str, Any]], dict[str, Any]]]] = {
    "Service_HTTPS": _service,
    "Service_HTTP": _service,
    "Pool": _pool,
    "Monitor": _monitor,
    "TLS_Client": _tls_client,
    "Data_Group": _data_group,
    "HTTP_Profile": _http,
    "Multiplex_Profile": _one_connect,
    "iRule": lambda _, value: _rule(value.get("iRule")),
}


def members_of(pool: Mapping[str, Any]) -> dict[str, str]:
    """Member name -> `adminState` of a declared pool."""
    return {
        name: str(entry.get("adminState", "enable")) if isinstance(entry, dict) else ""
        for entry in listed(pool.get("members"))
        for name in names_of(entry)
    }


def member_names(pool: Mapping[str, Any]) -> set[str]:
    """Those of members with an address."""
    return {name for entry in listed(pool.get("members")) if not is_nameless(entry) for name in names_of(entry)}


def names_of(entry: Any) -> list[str]:
    """The members that an entry of a declared pool makes, by name. Of one without addresses, which somebody else
    fills in (`fqdn`, `servers`, …), its text: none of them is passed over."""
    if is_nameless(entry):
        return [json.dumps(entry, sort_keys=True, ensure_ascii=False)]
    return [at_port(str(address), entry.get("servicePort")) for address in listed(entry["serverAddresses"])]


def is_nameless(entry: Any) -> bool:
    return not (isinstance(entry, dict) and listed(entry.get("serverAddresses")))


def at_port(address: str, port: object) -> str:
    """As TMOS writes it: `192.0.2.1:443`, `2001:db8::1.443`."""
    return f"{address}.{port}" if ":" in address else f"{address}:{port}"


def pointed(folder: str, pointer: object) -> str:
    """The full path that a declaration's reference leads to."""
    if isinstance(pointer, dict):
        if isinstance(pointer.get("bigip"), str):
            return str(pointer["bigip"])
        pointer = pointer.get("use")
    said = str(pointer)
    return said if said.startswith("/") else f"{folder}/{said}"


def _monitor_path(folder: str, pointer: object) -> str:
    """A bare word that AS3 knows (`http`) is the device's own."""
    return f"/Common/{pointer}" if isinstance(pointer, str) and "/" not in pointer else pointed(folder, pointer)


def _stamps(metadata: object) -> dict[str, str]:
    """Ours alone: what else is written there is the device's, or AS3's."""
    pairs = metadata.items() if isinstance(metadata, dict) else ()
    return {
        name: str(each.get("value", ""))
        for name, each in pairs
        if isinstance(each, dict) and name.startswith("stagedoor.")
    }


def line_of(said: object) -> str:
    """A monitor's text with its escapes as TMOS shows them; `none` is none."""
    text = str(said).replace("\r", "\\r").replace("\n", "\\n")
    return "" if text == "none" else text


def mask_of(said: object) -> str:
    return {"any": "0.0.0.0", "any6": "::"}.get(str(said), str(said))


def listed(value: object) -> list[Any]:
    """One is a list of one, none is an empty one."""
    return value if isinstance(value, list) else [] if value is None else [value]


def lines_of(text: str) -> dict[str, str]:
    """An iRule line by line; how it is indented means nothing."""
    return {f"line {number}": " ".join(line.split()) for number, line in enumerate(text.strip().splitlines(), start=1)}


def text_of(said: object) -> str:
    """A device's text; it leaves out what it has none for, or writes `none`."""
    return "" if said in (None, "none") else str(said)
