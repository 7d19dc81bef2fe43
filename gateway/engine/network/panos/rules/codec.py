"""Rules and objects as JSON values and as the elements of a PAN-OS configuration, both ways.

A device keeps exactly what was written and leaves out what it takes for granted; people and Panorama add attributes.
So everything is read into one normal form: lists sorted, defaults said, attributes dropped. What a device has and we
never write stands under ``other``, as text: it makes a difference, and is never passed over.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final
from xml.etree.ElementTree import Element, SubElement, tostring

Fields = dict[str, Any]

ANY: Final = ["any"]
LISTS: Final = ("from", "to", "source", "destination", "source-user", "application", "service")
# What a rule says by leaving it out.
_TAKEN: Final = {
    "category": "any", "source-hip": "any", "destination-hip": "any", "hip-profiles": "any", "negate-source": "no",
    "negate-destination": "no", "log-start": "no", "rule-type": "universal", "icmp-unreachable": "no",
}  # fmt: skip

# By the key in a content: the node that holds them.
HOLDERS: Final = {
    "tags": "tag", "services": "service", "addresses": "address", "address_groups": "address-group",
    "user_groups": "dynamic-user-group",
}  # fmt: skip
RULES: Final = "rules"
ASTRAY: Final = "astray"  # what is said of a rule that does not lie where ours do; nothing that is written
DEEPEST: Final = 16  # levels of what we do not write that are told apart


def element_of(kind: str, name: str, fields: Mapping[str, Any]) -> Element:
    """``kind``: a key of `HOLDERS`, or `RULES`."""
    entry = Element("entry", name=name)
    _WRITERS[kind](entry, fields)
    return entry


def fields_of(kind: str, entry: Element) -> Fields:
    """``entry`` is not changed."""
    return _READERS[kind](entry)


# === writing ===


def _write_tag(entry: Element, fields: Mapping[str, Any]) -> None:
    _text(entry, "comments", fields["comments"])


def _write_address(entry: Element, fields: Mapping[str, Any]) -> None:
    _text(entry, "ip-netmask", fields["network"])
    _about(entry, fields)


def _write_address_group(entry: Element, fields: Mapping[str, Any]) -> None:
    _text(SubElement(entry, "dynamic"), "filter", fields["filter"])
    _about(entry, fields)


def _write_user_group(entry: Element, fields: Mapping[str, Any]) -> None:
    _text(entry, "filter", fields["filter"])
    _about(entry, fields)


def _write_service(entry: Element, fields: Mapping[str, Any]) -> None:
    protocol = SubElement(SubElement(entry, "protocol"), fields["protocol"])
    _text(protocol, "port", fields["port"])
    _about(entry, fields)


def _write_rule(entry: Element, fields: Mapping[str, Any]) -> None:
    for name in LISTS:
        _members(entry, name, fields[_key(name)])
    _text(entry, "action", fields["action"])
    _text(entry, "log-end", _yes(fields["log_end"]))
    _text(entry, "log-setting", fields["log_setting"])
    if fields["profile_group"]:
        _members(SubElement(entry, "profile-setting"), "group", [fields["profile_group"]])
    _about(entry, fields)
    _text(entry, "group-tag", fields["group_tag"])
    if fields["disabled"]:
        _text(entry, "disabled", "yes")


def _about(entry: Element, fields: Mapping[str, Any]) -> None:
    _text(entry, "description", fields["description"])
    _members(entry, "tag", fields["tag"])


def _text(holder: Element, name: str, text: str) -> None:
    if text:
        SubElement(holder, name).text = text


def _members(holder: Element, name: str, members: list[str]) -> None:
    if members:
        listed = SubElement(holder, name)
        for member in members:
            SubElement(listed, "member").text = member


# === reading ===


def _read_tag(entry: Element) -> Fields:
    return {"comments": _said(entry, "comments"), **_others(entry, ("comments",))}


def _read_address(entry: Element) -> Fields:
    known = ("ip-netmask", "description", "tag")
    return {"network": _said(entry, "ip-netmask"), **_told(entry), **_others(entry, known)}


def _read_address_group(entry: Element) -> Fields:
    dynamic = entry.find("dynamic")
    beside = [] if dynamic is None else [child for child in dynamic if child.tag != "filter"]
    known = ("dynamic", "description", "tag") if not beside else ("description", "tag")
    return {"filter": _said(entry, "dynamic/filter"), **_told(entry), **_others(entry, known)}


def _read_user_group(entry: Element) -> Fields:
    return {"filter": _said(entry, "filter"), **_told(entry), **_others(entry, ("filter", "description", "tag"))}


def _read_service(entry: Element) -> Fields:
    protocols = list(entry.find("protocol") or ())
    known: tuple[str, ...] = ("description", "tag")
    if len(protocols) == 1 and all(_is_plain(child) for child in protocols[0]):
        known = ("protocol", *known)
    first = protocols[0] if protocols else Element("")
    return {"protocol": first.tag, "port": _said(first, "port"), **_told(entry), **_others(entry, known)}


def _read_rule(entry: Element) -> Fields:
    group = _listed(entry, "profile-setting/group")
    profiles = [child.tag for child in entry.find("profile-setting") or ()]
    known = [*LISTS, "action", "log-end", "log-setting", "description", "tag", "group-tag", "disabled"]
    if profiles in ([], ["group"]) and len(group) < 2:
        known.append("profile-setting")
    taken = [name for name, default in _TAKEN.items() if _plain(entry, name) in ("", default)]
    return {
        "name": entry.get("name", ""),
        **{_key(name): _listed(entry, name) or ANY for name in LISTS},
        "action": _said(entry, "action"),
        "log_end": _said(entry, "log-end") != "no",
        "log_setting": _said(entry, "log-setting"),
        "profile_group": group[0] if group else "",
        **_told(entry),
        "group_tag": _said(entry, "group-tag"),
        "disabled": _said(entry, "disabled") == "yes",
        **_others(entry, (*known, *taken)),
    }


def _is_plain(child: Element) -> bool:
    """Whether it is a service's port, or says that nothing is overridden."""
    return child.tag == "port" or (child.tag == "override" and [each.tag for each in child] in ([], ["no"]))


def _told(entry: Element) -> Fields:
    return {"description": _said(entry, "description"), "tag": _listed(entry, "tag")}


def _others(entry: Element, known: tuple[str, ...]) -> Fields:
    """``other``, where there is something."""
    found = {child.tag: _whole(child) for child in entry if child.tag not in known and child.tag != "disable-override"}
    return {"other": dict(sorted(found.items()))} if found else {}


def _said(entry: Element, path: str) -> str:
    return (entry.findtext(path) or "").strip()


def _plain(entry: Element, name: str) -> str:
    """What a node says, be it a text or members."""
    return " ".join(_listed(entry, name)) or _said(entry, name)


def _listed(entry: Element, path: str) -> list[str]:
    return sorted({(member.text or "").strip() for member in entry.findall(f"{path}/member")})


def _whole(child: Element) -> str:
    """Its XML without attributes of the device's own."""
    return tostring(_bare(child, DEEPEST), "unicode")


def _bare(child: Element, depth: int) -> Element:
    copy = Element(child.tag, {key: value for key, value in child.attrib.items() if key == "name"})
    copy.text = (child.text or "").strip() or None
    copy.extend(_bare(each, depth - 1) for each in child if depth)
    return copy


def _key(name: str) -> str:
    return name.replace("-", "_")


def _yes(value: bool) -> str:
    return "yes" if value else "no"


_WRITERS: Final[Mapping[str, Callable[[Element, Mapping[str, Any]], None]]] = {
    "tags": _write_tag, "services": _write_service, "addresses": _write_address,
    "address_groups": _write_address_group, "user_groups": _write_user_group, RULES: _write_rule,
}  # fmt: skip
_READERS: Final[Mapping[str, Callable[[Element], Fields]]] = {
    "tags": _read_tag, "services": _read_service, "addresses": _read_address,
    "address_groups": _read_address_group, "user_groups": _read_user_group, RULES: _read_rule,
}  # fmt: skip
