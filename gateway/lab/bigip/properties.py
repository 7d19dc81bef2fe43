"""One object in two spellings: tmsh properties, as AS3 thinks, and iControl REST values, as the device tells them.

Going by the template of the kind, so that both ways lose nothing that AS3 compares. The health of a member is no
property of it: what a monitor found is read back as what the operator had left.
"""

from __future__ import annotations

import re
from typing import Any, Final

from gateway.lab.bigip.refusals import Json
from gateway.lab.bigip.templates import MEMBER, TEMPLATES

BY_FLAG: Final = ("enabled", "disabled", "vlans-disabled", "vlans-enabled")
NAMED_LISTS: Final = ("records", "cert-key-chain")
REST_NAMES: Final = {"data-0rtt": "data_0rtt"}
SNAT: Final = "source-address-translation"
REQUEST_POLICY: Final = "per-flow-request-access-policy"  # AS3 speaks of it where APM is there alone


def collection_of(command: str) -> str:
    """``ltm profile http`` → ``ltm/profile/http``"""
    return command.replace(" ", "/")


def command_of(collection: str) -> str:
    return collection.replace("/", " ")


def camel(name: str) -> str:
    first, *rest = REST_NAMES.get(name, name).split("-")
    return first + "".join(word[:1].upper() + word[1:] for word in rest)


def quoted(text: str) -> str:
    """As tmsh takes a string. `none` where there is none."""
    if not text:
        return "none"
    plain = text.replace("\r", "\\r").replace("\n", "\\n") if "\\" not in text else text
    escaped = plain.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def unquoted(text: str) -> str:
    if len(text) >= 2 and text[0] == text[-1] == '"':
        return re.sub(r"\\(.)", r"\1", text[1:-1])
    return text


# === tmsh → REST ===


def rest_of(properties: Json) -> Json:
    """What the device holds after the command."""
    found: Json = {}
    for name, value in properties.items():
        if name == "minimumMonitors":
            continue
        said = _rest_value(name, value, properties)
        if said is not None:
            found[camel(name)] = said
    return found


def _rest_value(name: str, value: Any, around: Json) -> Any:
    if name in BY_FLAG:
        return True
    if name == "monitor":
        return _monitor_text(value, around.get("minimumMonitors"))
    if name == "metadata":
        return [{"name": key, "persist": "true", "value": _plain(item["value"])} for key, item in value.items()]
    if name == "members":
        return [_member_rest(path, member) for path, member in value.items()]
    if name == "profiles":
        return [{**_reference(path), "context": item["context"]} for path, item in value.items()]
    if name == "persist":
        return [{**_reference(path), "tmDefault": item.get("default", "yes")} for path, item in value.items()] or None
    if name in NAMED_LISTS:
        return [{"name": unquoted(key), **rest_of(item)} for key, item in value.items()] or None
    if name == SNAT:
        return dict(value)
    if isinstance(value, dict):
        if not value:
            return None
        names_only = all(item == {} for item in value.values())
        return list(value) if names_only else rest_of(value)
    if isinstance(value, str):
        return None if value in ("none", "") else unquoted(value)
    return value


def _plain(value: Any) -> str:
    return unquoted(value) if isinstance(value, str) else str(value)


def _reference(path: str) -> Json:
    partition, _, rest = path.strip("/").partition("/")
    values: Json = {"name": rest.rpartition("/")[2], "partition": partition, "fullPath": path}
    if "/" in rest:
        values["subPath"] = rest.rpartition("/")[0]
    return values


def _monitor_text(monitors: Json, least: Any) -> str | None:
    if not monitors:
        return None
    if list(monitors) == ["default"]:
        return "default"
    if least in (None, "all"):
        return " and ".join(monitors) + " "
    return f"min {least} of {{ {' '.join(monitors)} }}"


def _member_rest(path: str, properties: Json) -> Json:
    values = {**_reference(path), **rest_of(properties)}
    values["address"] = address_of(values["name"])
    values.setdefault("metadata", [])
    return values


def address_of(member: str) -> str:
    """``192.0.2.1:80``, or ``2001:db8::1.80`` of IPv6, without its port."""
    if member.count(":") > 1:
        return member.rpartition(".")[0]
    return member.rpartition(":")[0]


# === REST → tmsh ===


def properties_of(command: str, values: Json) -> Json:
    """What AS3 reads from the device, in the order of the template."""
    template = TEMPLATES[command]
    found: Json = {}
    for name, usual in template.items():
        if name in BY_FLAG:
            _flag(name, values, found)
        else:
            found[name] = _property_value(name, usual, values.get(camel(name)))
            if name == "monitor" and "minimumMonitors" in template:
                found["minimumMonitors"] = _least(values.get("monitor"))
    if command == "ltm virtual":
        if camel(REQUEST_POLICY) in values:
            found[REQUEST_POLICY] = values[camel(REQUEST_POLICY)]
        if "pool" in values:
            found["pool"] = values["pool"]
    if command == "ltm pool":
        return _pool_monitor(found, values)
    return found


def _flag(name: str, values: Json, found: Json) -> None:
    """`enabled` and `vlans-disabled` stand for their opposites, too."""
    opposite = {"enabled": "disabled", "vlans-disabled": "vlans-enabled"}[name]
    said = opposite if values.get(camel(opposite)) is True else name
    found[said] = " " if said == "vlans-disabled" else ""


def _pool_monitor(found: Json, values: Json) -> Json:
    """Between `min-active-members` and `reselect-tries`, and only where there is one."""
    if "monitor" not in values:
        return found
    ordered: Json = {}
    for name, value in found.items():
        ordered[name] = value
        if name == "min-active-members":
            ordered["minimumMonitors"] = _least(values["monitor"])
            ordered["monitor"] = _monitors(values["monitor"])
    return ordered


def _property_value(name: str, usual: Any, said: Any) -> Any:
    if name == "metadata":
        return {item["name"]: _metadata(item) for item in said or []}
    if name == "members":
        return {member_path(item): _member_properties(item) for item in said or []}
    if name == "profiles":
        return {item["fullPath"]: {"context": item.get("context", "all")} for item in said or []}
    if name == "persist":
        return {item["fullPath"]: {"default": item.get("tmDefault", "yes")} for item in said or []}
    if name == "monitor":
        return _monitors(said)
    if name == SNAT:
        return dict(said or usual)
    if name == "records":
        return {quoted(item["name"]): {"data": quoted(str(item.get("data", "")))} for item in said or []}
    if name == "cert-key-chain":
        return {item["name"]: _chain(item) for item in said or []}
    if isinstance(usual, dict):
        return _nested(usual, said)
    if said is None:
        return usual if isinstance(usual, int) or usual == "" else "none"
    if isinstance(usual, str) and _is_quoted(name, usual):
        return quoted(str(said))
    return said


QUOTED: Final = ("description", "recv", "recv-disable", "send")


def _is_quoted(name: str, usual: str) -> bool:
    return name in QUOTED or usual.startswith('"')


def _nested(usual: Json, said: Any) -> Json:
    if isinstance(said, list):
        return {str(item): {} for item in said}
    if not isinstance(said, dict):
        return {}
    if not usual:
        return said
    names_only = all(item == {} for item in usual.values())
    return (
        said
        if names_only
        else {
            name: _property_value(name, value, said.get(camel(name)))
            for name, value in usual.items()
            if camel(name) in said
        }
    )


def _metadata(item: Json) -> Json:
    value = item.get("value", "")
    if item["name"] == "references" and str(value).isdigit():
        return {"value": int(value)}
    return {"value": quoted(str(value)), "persist": item.get("persist", "true")}


def _chain(item: Json) -> Json:
    return {word: item.get(word, "none") for word in ("cert", "key", "chain")} | {"usage": item.get("usage", "SERVER")}


def _monitors(said: Any) -> Json:
    if not said:
        return {}
    if said == "default":
        return {"default": {}}
    return {path: {} for path in re.findall(r"/[^\s{}]+", str(said))}


def _least(said: Any) -> Any:
    found = re.match(r"min (\d+) of", str(said or ""))
    return int(found[1]) if found else "all"


def member_path(item: Json) -> str:
    return str(item.get("fullPath") or f"/{item.get('partition', 'Common')}/{item['name']}")


def _member_properties(item: Json) -> Json:
    found: Json = {}
    for name, usual in MEMBER.items():
        if name == "minimumMonitors":
            found[name] = usual
        elif name == "state":
            found[name] = "user-down" if item.get("state") == "user-down" else "user-up"
        elif name == "session":
            found[name] = "user-disabled" if item.get("session") == "user-disabled" else "user-enabled"
        else:
            said = item.get(camel(name))
            found[name] = _property_value(name, usual, said) if said is not None else usual
    return found
