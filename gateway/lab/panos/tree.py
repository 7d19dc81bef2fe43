"""What each action of `type=config` does to a tree. Values in, the tree changed; who may, and whether it fits, is
asked elsewhere.

`set` merges and never removes; `edit` replaces; both make what is missing on the way. Rules get a uuid when they are
made and keep it whatever is done to them later.
"""

from __future__ import annotations

import uuid
from copy import deepcopy
from dataclasses import dataclass
from typing import Final
from xml.etree.ElementTree import Element

from gateway.lab.panos import xpath
from gateway.lab.panos.answers import Answer, Declined, done, element, read_several, said, succeeded
from gateway.lab.panos.kinds import ALONE
from gateway.lab.panos.named import child_named, forget
from gateway.lab.panos.references import Definition, definitions, rewrite
from gateway.lab.panos.xpath import Malformed, Place

STAMPS: Final = ("admin", "dirtyId", "time")


@dataclass(frozen=True)
class Change:
    """As the parameters of a request say it. ``source``: the xpath that a clone comes from."""

    action: str
    xpath: str
    element: str = ""
    where: str = ""
    dst: str = ""
    newname: str = ""
    source: str = ""
    identity: str = ""  # within a multi-config
    follows: bool = False  # a rename is written wherever the old name is used


@dataclass
class Effect:
    """``reorders``: an order of rules changed, other than at its end. ``paths``: as the journal names what changed."""

    touched: list[Place]
    gone: set[Definition]
    reorders: bool = False
    answer: Answer | None = None
    paths: tuple[str, ...] = ()

    def named(self) -> tuple[str, ...]:
        return self.paths or tuple(xpath.written(place) for place in self.touched)

    def said(self) -> Answer:
        return self.answer or done()


def apply(root: Element, change: Change) -> Effect:
    """Raises `Declined`, with the tree changed or not: work on a copy."""
    doing = ACTIONS_BY_NAME.get(change.action)
    if doing is None:
        raise Declined(17, f"{change.action} is an invalid action")
    try:
        if len(xpath.one(change.xpath.partition("|")[0])) < 2:
            raise Malformed(change.xpath)
        return doing(root, change)
    except Malformed:
        raise Declined(6, f"Invalid xpath {change.xpath}") from None


def _set(root: Element, change: Change) -> Effect:
    place = xpath.made(root, xpath.one(change.xpath))
    merged = [_merge(place[-1], child) for child in read_several(change.element)]
    inner = [(*place, node) for node in merged if node.tag == "entry"]
    return Effect(inner or [place], set())


def _merge(node: Element, came: Element) -> Element:
    """The node that now holds what came."""
    held = _counterpart(node, came)
    if held is None:
        for choice in ALONE:
            if came.tag in choice and node.tag == "entry":
                for other in [child for child in node if child.tag in choice]:
                    node.remove(other)
        fresh = deepcopy(came)
        node.append(fresh)
        return fresh
    for name, value in came.attrib.items():
        if name not in ("name", "uuid"):
            held.set(name, value)
    if not len(came):
        held.text = came.text
    for child in came:
        _merge(held, child)
    return held


def _counterpart(node: Element, came: Element) -> Element | None:
    if came.tag == "entry" and (name := came.get("name")) is not None:
        return child_named(node, came.tag, name)
    for child in node:
        if child.tag != came.tag:
            continue
        if came.tag == "entry" and child.get("name") is not None:
            continue
        if came.tag == "member" and (child.text or "").strip() != (came.text or "").strip():
            continue
        return child
    return None


def _edit(root: Element, change: Change) -> Effect:
    path = xpath.one(change.xpath)
    roots = read_several(change.element)
    wanted = path[-1].made()
    if len(roots) != 1 or roots[0].tag != wanted.tag or roots[0].get("name") != wanted.get("name"):
        raise Declined(12, "the root of the element is not the last node of the xpath")
    place = xpath.made(root, path)
    gone, held = definitions(place), place[-1]
    identities = {rule.get("name"): rule.get("uuid") for rule in held.iter("entry") if rule.get("uuid")}
    fresh = deepcopy(roots[0])
    held.clear()
    held.attrib.update(fresh.attrib)
    held.text = fresh.text
    held.extend(fresh)
    for rule in held.iter("entry"):
        if rule.get("name") in identities:
            rule.set("uuid", identities[rule.get("name")] or "")
    return Effect([place], gone - definitions(place))


def _delete(root: Element, change: Change) -> Effect:
    found = [hit.place for hit in xpath.find(root, change.xpath) if len(hit.place) > 1]
    if not found:
        return Effect([], set(), answer=said("Object doesn't exist", 7))
    gone: set[Definition] = set()
    reorders = False
    for place in found:
        gone |= definitions(place)
        reorders |= _is_rule(place) and place[-2][-1] is not place[-1]
        place[-2].remove(place[-1])
    paths = tuple(xpath.written(place) for place in found)
    return Effect([place[:-1] for place in found], gone, reorders, paths=paths)


def _rename(root: Element, change: Change) -> Effect:
    place = _only(root, change.xpath)
    _new_name(place[-2], change.newname)
    gone, old = definitions(place), xpath.written(place)
    users = rewrite(root, place, change.newname) if change.follows else []
    place[-1].set("name", change.newname)
    forget(place[-2])
    paths = tuple(map(xpath.written, (place, *users)))
    return Effect([place, *users], gone, paths=(paths[0], old, *paths[1:]))


def _clone(root: Element, change: Change) -> Effect:
    source = _only(root, change.source)
    holder = xpath.made(root, xpath.one(change.xpath))
    _new_name(holder[-1], change.newname)
    copy = deepcopy(source[-1])
    copy.set("name", change.newname)
    copy.attrib.pop("uuid", None)
    holder[-1].append(copy)
    return Effect([(*holder, copy)], set())


def _move(root: Element, change: Change) -> Effect:
    place = _only(root, change.xpath)
    holder, node = place[-2], place[-1]
    others = list(holder)
    was = others.index(node)
    del others[was]
    if change.where in ("before", "after"):
        dst = child_named(holder, node.tag, change.dst)
        if dst is None or dst is node:
            raise Declined(7, f"{change.dst} is not present")
        index = others.index(dst) + (change.where == "after")
    elif change.where in ("top", "bottom"):
        index = 0 if change.where == "top" else len(others)
    else:
        raise Declined(17, "where must be one of before, after, top, bottom")
    if index != was:
        del holder[was]
        holder.insert(index, node)
    return Effect([place], set(), index != was)


def _only(root: Element, path: str) -> Place:
    found = xpath.find(root, path)
    if not found:
        raise Declined(7, "No such node")
    return found[0].place


def _new_name(holder: Element, name: str) -> None:
    if not name:
        raise Declined(12, "newname is missing")
    if child_named(holder, "entry", name) is not None:
        raise Declined(8, f" {name} already exists")


ACTIONS_BY_NAME: Final = {
    "set": _set, "edit": _edit, "override": _edit, "delete": _delete, "rename": _rename, "clone": _clone, "move": _move,
}  # fmt: skip


# === what the device itself writes on nodes ===


def _is_rule(place: Place) -> bool:
    return len(place) > 2 and place[-2].tag == "rules"


def identify(root: Element, like: Element | None = None) -> None:
    """A uuid for every rule without one: that of the same rule in ``like``, or a new one."""
    known: dict[tuple[str, ...], str] = {}
    if like is not None:
        known = {way: rule.get("uuid", "") for way, rule in _rules(like, ()) if rule.get("uuid")}
    for way, rule in _rules(root, ()):
        if not rule.get("uuid"):
            rule.set("uuid", known.get(way) or str(uuid.uuid4()))


def _rules(node: Element, way: tuple[str, ...]) -> list[tuple[tuple[str, ...], Element]]:
    found = []
    for child in node:
        step = (*way, child.get("name", child.tag))
        if node.tag == "rules" and child.tag == "entry":
            found.append((step, child))
        elif len(child):
            found += _rules(child, step)
    return found


def stamp(place: Place, admin: str, number: int, when: str) -> None:
    for name, value in zip(STAMPS, (admin, str(number), when), strict=True):
        place[-1].set(name, value)


def unstamp(root: Element, admins: set[str] | None) -> None:
    """Of these admins, or of everybody."""
    for node in root.iter():
        if "dirtyId" in node.attrib and (admins is None or node.get("admin") in admins):
            for name in STAMPS:
                node.attrib.pop(name, None)


def shown(hits: list[xpath.Found], code: int) -> Answer:
    """The answer to a read."""
    found = [
        element(hit.node.tag, None, **{hit.attribute: hit.node.get(hit.attribute, "")}) if hit.attribute else hit.node
        for hit in hits
    ]
    count = str(len(found))
    inside = Element("result", {"total-count": count, "count": count} if found else {})
    inside.extend(found)
    return succeeded(inside, code=code)
