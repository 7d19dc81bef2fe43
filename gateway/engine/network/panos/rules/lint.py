"""What content may be written at all, whoever made it: the last look before a firewall, and the first at a plan file.

A plan is kept in a file that people can edit, and a device takes nearly everything that fits its schema. So form,
lengths, characters and references are checked here, and what no rule of ours ever says: an allow that leaves open who
as well as where from, or to where at all. What is not ours by name and tag is not written.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from ipaddress import ip_network
from typing import Any, Final

from gateway.config.devices import Panos
from gateway.engine.network.panos import names
from gateway.engine.network.panos.rules.codec import HOLDERS
from gateway.engine.network.panos.rules.content import empty
from gateway.engine.network.panos.rules.sentences import lies_of
from gateway.engine.network.panos.rules.wording import DESCRIPTION_MOST

ABOUT_MOST: Final = 1023
FILTER_MOST: Final = 2047
MEMBERS_MOST: Final = 5000
_ZONE: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9 ._-]{0,30}\Z")
_PROFILE: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9 ._-]{0,62}\Z")
_FILTER: Final = re.compile(r"'sd-[a-z0-9-]{1,49}'\Z")
_PORT: Final = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?\Z")
_TEXT: Final = re.compile(r"[ -~]*\Z")
_KEYS: Final[Mapping[str, frozenset[str]]] = {
    "tags": frozenset(("comments",)),
    "services": frozenset(("protocol", "port", "description", "tag")),
    "addresses": frozenset(("network", "description", "tag")),
    "address_groups": frozenset(("filter", "description", "tag")),
    "user_groups": frozenset(("filter", "description", "tag")),
}
_LISTS: Final = ("from", "to", "source", "source_user", "destination", "application", "service")
_SINGLE: Final = (
    "name", "action", "log_end", "log_setting", "profile_group", "description", "tag", "group_tag", "disabled",
)  # fmt: skip
_RULE_KEYS: Final = frozenset((*_LISTS, *_SINGLE))
_ANY: Final = ["any"]


def faults_of(content: Any, device: Panos, environment: str) -> tuple[str, ...]:
    """Why it is not written; () when it may be."""
    if not isinstance(content, dict) or set(content) != {"environment", "place", "rules", *HOLDERS}:
        return ("it holds no rules and objects of one environment",)
    if content["environment"] != environment or content["place"] != empty(device, environment)["place"]:
        return (f"it is not about {environment} where `{device.name}` has it now",)
    if not isinstance(content["rules"], list) or not all(isinstance(content[kind], dict) for kind in HOLDERS):
        return ("its rules are no list, or its objects have no names",)
    faults = [*_of_objects(content, environment)]
    faults = faults or [*_of_rules(content, environment)]
    return tuple(faults or _of_sentences(content, device, environment))


# === objects ===


def _of_objects(content: Mapping[str, Any], environment: str) -> Iterator[str]:
    needed = {names.MARK, names.block_tag(environment)}
    is_nothing = not any(content[kind] for kind in ("rules", *HOLDERS))
    if set(content["tags"]) != needed and not is_nothing:
        yield f"its tags must be {', '.join(sorted(needed))}"
    for kind, keys in _KEYS.items():
        for name, fields in content[kind].items():
            if kind != "tags" and not names.is_ours(name):
                yield f"`{name[:80]}` of {kind} has no name of ours"
            elif not isinstance(fields, dict) or set(fields) != keys:
                yield f"`{name}` of {kind} must hold {', '.join(sorted(keys))} and nothing else"
            else:
                found = tuple(_of_object(kind, fields, environment)) or tuple(_of_name(kind, name, fields, environment))
                yield from (f"`{name}`: {fault}" for fault in found)


def _of_object(kind: str, fields: Mapping[str, Any], environment: str) -> Iterator[str]:
    about = fields["comments" if kind == "tags" else "description"]
    if not _is_text(about, ABOUT_MOST):
        yield f"its description must be plain text of up to {ABOUT_MOST} characters"
    if kind != "tags" and fields["tag"] != _tags(environment):
        yield f"its tags must be {', '.join(_tags(environment))}"
    if "filter" in fields and not _is_filter(fields["filter"]):
        yield f"its filter must be one tag of ours in quotes, of up to {FILTER_MOST} characters"
    if kind == "services" and not (fields["protocol"] in ("tcp", "udp") and _is_port(fields["port"])):
        yield "it must have tcp or udp, and a port or a range of ports"
    if kind == "addresses" and not _is_network(fields["network"]):
        yield "it must be a network as it is written, `10.30.0.0/16`"


def _of_name(kind: str, name: str, fields: Mapping[str, Any], environment: str) -> Iterator[str]:
    """Rules say by names who and where: a group that holds somebody else makes every one of them a lie."""
    tag, meant = str(fields.get("filter", "")).strip("'"), name
    match kind:
        case "address_groups":
            meant = tag
        case "user_groups":
            meant = names.group_name(tag, environment)
        case "services":
            meant = names.service_name(f"{fields['protocol']}/{fields['port']}", environment)
        case "addresses":
            meant = names.network_name(fields["network"], environment)
    if meant != name:
        yield f"it holds what belongs to `{meant}`"


def _is_filter(text: Any) -> bool:
    return isinstance(text, str) and len(text) <= FILTER_MOST and _FILTER.match(text) is not None


def _is_port(text: Any) -> bool:
    found = _PORT.match(text) if isinstance(text, str) else None
    return found is not None and 0 < int(found[1]) <= int(found[2] or found[1]) <= 65535


def _is_network(text: Any) -> bool:
    try:
        return isinstance(text, str) and str(ip_network(text)) == text
    except ValueError:
        return False


# === rules ===


def _of_rules(content: Mapping[str, Any], environment: str) -> Iterator[str]:
    seen = set()
    for number, rule in enumerate(content["rules"], 1):
        if not isinstance(rule, dict) or set(rule) != _RULE_KEYS or not isinstance(rule["name"], str):
            yield f"rule {number} must hold {', '.join(sorted(_RULE_KEYS))} and nothing else"
        elif not names.is_ours(rule["name"]) or rule["name"] in seen:
            yield f"rule {number}, `{rule['name'][:80]}`, has no name of ours, or one of another rule"
        else:
            seen.add(rule["name"])
            yield from (f"rule `{rule['name']}`: {fault}" for fault in _of_rule(rule, content, environment))
    yield from _of_closing([str(rule.get("name")) for rule in content["rules"] if isinstance(rule, dict)], environment)


def _of_sentences(content: Mapping[str, Any], device: Panos, environment: str) -> Iterator[str]:
    for rule in content["rules"]:
        yield from (f"rule `{rule['name']}`: {lie}" for lie in lies_of(rule, content, device, environment))


def _of_closing(order: list[str], environment: str) -> Iterator[str]:
    """Without it whoever another rule lets through goes round the doors."""
    closing = names.rule_name("closing", "", environment)
    if closing in order[:-1]:
        yield f"`{closing}`, which keeps everybody else out, must be the last rule"
    elif closing not in order and any(names.kind_of(name) == "back" for name in order):
        yield f"`{closing}`, which keeps everybody else out, is not there"


def _of_rule(rule: Mapping[str, Any], content: Mapping[str, Any], environment: str) -> Iterator[str]:
    lists = [key for key in _LISTS if not _is_list(rule[key])]
    if lists:
        yield f"{', '.join(lists)} must be lists of names, `any` alone"
        return
    if not _is_text(rule["description"], DESCRIPTION_MOST) or not rule["description"]:
        yield f"its description must be one sentence of up to {DESCRIPTION_MOST} plain characters"
    if rule["action"] not in ("allow", "deny") or rule["disabled"] is not False or rule["log_end"] is not True:
        yield "it must allow or deny, be enabled, and log the end of sessions"
    if rule["tag"] != _tags(environment) or rule["group_tag"] != names.block_tag(environment):
        yield f"its tags must be {', '.join(_tags(environment))}, the first of them its group tag"
    yield from _of_places(rule)
    yield from _of_references(rule, content)
    yield from _of_reach(rule)
    if not _is_shaped(rule, environment):
        yield "it is none of the four that are made here: who, from where or to where is not what its name says"


def _of_places(rule: Mapping[str, Any]) -> Iterator[str]:
    for zone in (*rule["from"], *rule["to"]):
        if not _ZONE.match(zone):
            yield f"`{zone[:40]}` can be no zone: up to 31 letters, digits, spaces, `.`, `_`, `-`"
    for key in ("log_setting", "profile_group"):
        said = rule[key]
        if not isinstance(said, str) or (said and not _PROFILE.match(said)):
            yield f"its {key} can be no profile: up to 63 letters, digits, spaces, `.`, `_`, `-`"


def _of_references(rule: Mapping[str, Any], content: Mapping[str, Any]) -> Iterator[str]:
    groups = content["address_groups"]
    held = {"source": groups, "destination": {**groups, **content["addresses"]}, "source_user": content["user_groups"],
            "service": content["services"]}  # fmt: skip
    for key, made in held.items():
        lost = [name for name in rule[key] if name != "any" and name not in made]
        if lost:
            yield f"its {key} names what is not made here: {', '.join(each[:80] for each in lost[:3])}"
    if rule["application"] != _ANY:
        yield "its application must be `any`: services say which ports"


def _of_reach(rule: Mapping[str, Any]) -> Iterator[str]:
    if rule["destination"] == _ANY:
        yield "it says nothing about where to"
    if rule["action"] == "allow" and rule["service"] == _ANY:
        yield "it lets everything through, whatever the port"
    if rule["action"] == "allow" and rule["source_user"] == _ANY and rule["source"] == _ANY and not _is_public(rule):
        yield "it lets anybody from anywhere through, and is no rule for virtual addresses"


def _is_shaped(rule: Mapping[str, Any], environment: str) -> bool:
    """Whether it is what each rule of its leg is."""
    said = rule["action"], rule["source"], rule["source_user"] == _ANY
    match names.kind_of(rule["name"]):
        case "front":
            return said[:2] == ("allow", _ANY) and _leads(rule, "v")
        case "direct":
            return said == ("allow", _ANY, False) and _leads(rule, "s", "c")
        case "back":
            return said == ("allow", [names.doors_tag(environment)], True) and _leads(rule, "s")
        case "closing":
            is_where = rule["destination"] == [names.environment_tag(environment)] or _leads(rule, "net")
            return said == ("deny", _ANY, True) and rule["from"] == rule["service"] == _ANY and is_where
    return False


def _leads(rule: Mapping[str, Any], *kinds: str) -> bool:
    return all(names.kind_of(name) in kinds for name in rule["destination"])


def _is_public(rule: Mapping[str, Any]) -> bool:
    """Virtual addresses are the door's own, which lets nobody through unasked."""
    return rule["name"].startswith(f"{names.PREFIX}front-") and all(
        name.startswith(f"{names.PREFIX}v-") for name in rule["destination"]
    )


# === inside ===


def _is_text(value: Any, most: int) -> bool:
    return isinstance(value, str) and len(value) <= most and _TEXT.match(value) is not None


def _is_list(value: Any) -> bool:
    are_names = isinstance(value, list) and 0 < len(value) <= MEMBERS_MOST and all(isinstance(x, str) for x in value)
    return are_names and value == sorted(set(value)) and ("any" not in value or value == _ANY)


def _tags(environment: str) -> list[str]:
    return sorted((names.MARK, names.block_tag(environment)))
