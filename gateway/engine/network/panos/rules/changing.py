"""From one content to another as edits of a configuration, in an order in which each finds what it refers to.

Objects come before the rules that name them, and go after the last one that did. A rule is replaced whole, in its
place, which keeps its identity for the device and for whoever counts its hits. As few rules as possible are moved, and
never one that is not ours: a rule goes behind the one before it in our own order, the first one before the next.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final
from xml.etree.ElementTree import tostring

from gateway.engine.network.panos import names
from gateway.engine.network.panos.commit.change import Change, Comment, Edit
from gateway.engine.network.panos.device.places import Place, entry
from gateway.engine.network.panos.rules.codec import ASTRAY, HOLDERS, RULES, element_of
from gateway.engine.network.panos.rules.content import Content
from gateway.engine.network.panos.rules.wording import comment_of

# In this order, and taken away the other way.
_MADE: Final = ("tags", "services", "addresses", "address_groups", "user_groups")


def change_between(place: Place, here: Content, there: Content) -> Change:
    environment, anchors = here["environment"], here["place"]["anchors"]
    was, will = _by_name(here["rules"]), _by_name(there["rules"])
    ours = {*_xpaths(place, here), *_xpaths(place, there), *(_at(place, RULES, name) for name in anchors)}
    written = [rule for name, rule in will.items() if was.get(name) != rule]
    return Change(
        edits=(
            *_objects_made(place, here, there),
            *(_edit(place, RULES, rule["name"], rule) for rule in written),
            *_moves(place, [name for name, rule in was.items() if ASTRAY not in rule], list(will), anchors),
            *(Edit("delete", _at(place, RULES, name)) for name in was if name not in will),
            *_objects_gone(place, here, there),
        ),
        comments=tuple(Comment(_at(place, RULES, each["name"]), comment_of(each, environment)) for each in written),
        ours=tuple(sorted(ours)),
        zones=frozenset(zone for rule in will.values() for zone in (*rule["from"], *rule["to"])) - {"any"},
        log_settings=frozenset(filter(None, (rule["log_setting"] for rule in will.values()))),
        profile_groups=frozenset(filter(None, (rule["profile_group"] for rule in will.values()))),
    )


# === objects ===


def _objects_made(place: Place, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Edit]:
    for kind in _MADE:
        for name, fields in after[kind].items():
            if before[kind].get(name) == fields:
                continue
            if name == names.MARK:  # somebody else may have given it a colour
                text = tostring(element_of(kind, name, fields), "unicode")
                yield Edit("set", f"{place.base}/{HOLDERS[kind]}", text)
            else:
                yield _edit(place, kind, name, fields)


def _objects_gone(place: Place, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Edit]:
    for kind in reversed(_MADE):
        for name in before[kind]:
            if name not in after[kind] and name != names.MARK:
                yield Edit("delete", _at(place, kind, name))


# === the order of rules ===


def _moves(place: Place, before: Sequence[str], after: Sequence[str], anchors: Sequence[str]) -> Iterator[Edit]:
    """``after`` holds the rules that are there in the end; new ones were made at the end of all rules."""
    kept = unmoved(before, after)
    for position, name in enumerate(after):
        if name in kept:
            continue
        if position:
            yield Edit("move", _at(place, RULES, name), where="after", dst=after[position - 1])
        else:
            following = next((each for each in after if each in kept), anchors[-1])
            yield Edit("move", _at(place, RULES, name), where="before", dst=following)


def unmoved(before: Sequence[str], after: Sequence[str]) -> set[str]:
    """As many of the rules that stay as can keep their places."""
    places = {name: position for position, name in enumerate(before)}
    stays = _in_order([places[name] for name in after if name in places])
    return {before[position] for position in stays}


def _in_order(positions: Sequence[int]) -> set[int]:
    """The longest part of them that ascends."""
    ends: list[int] = []  # the smallest last one of an ascending part, by its length
    before: dict[int, int | None] = {}
    for each in positions:
        length = bisect_left(ends, each)
        before[each] = ends[length - 1] if length else None
        ends[length:length + 1] = [each]  # fmt: skip
    found: set[int] = set()
    last = ends[-1] if ends else None
    while last is not None:
        found.add(last)
        last = before[last]
    return found


# === inside ===


def _by_name(rules: Iterable[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    return {rule["name"]: rule for rule in rules}


def _edit(place: Place, kind: str, name: str, fields: Mapping[str, Any]) -> Edit:
    return Edit("edit", _at(place, kind, name), tostring(element_of(kind, name, fields), "unicode"))


def _at(place: Place, kind: str, name: str) -> str:
    return f"{place.rules if kind == RULES else f'{place.base}/{HOLDERS[kind]}'}/{entry(name)}"


def _xpaths(place: Place, content: Mapping[str, Any]) -> Iterator[str]:
    """The mark is everybody's of ours, and so nobody's alone."""
    for kind in _MADE:
        yield from (_at(place, kind, name) for name in content[kind] if name != names.MARK)
    yield from (_at(place, RULES, rule["name"]) for rule in content["rules"])
