"""Reference integrity both ways: nothing refers to what is not there, and what is referred to cannot go.

A name is looked for in the vsys or device group of whoever uses it, in shared, and on a firewall in what Panorama
pushed. On Panorama zones are the firewalls' affair: a wrong one shows when the group is pushed.
"""

from __future__ import annotations

from collections.abc import Iterator
from xml.etree.ElementTree import Element

from gateway.lab.panos import kinds
from gateway.lab.panos.answers import Declined
from gateway.lab.panos.named import child_named
from gateway.lab.panos.xpath import Place

Definition = tuple[str, str, str]  # kind, scope, name


def scope_of(place: Place) -> Place:
    return place[: kinds.scope_length([node.tag for node in place])]


def label(scope: Place) -> str:
    return "shared" if scope[-1].tag == "shared" else scope[-1].get("name", "")


def visible(root: Element, scope: Place) -> Iterator[Element]:
    """Where a name that is used in ``scope`` may be defined."""
    yield scope[-1]
    shared = root.find("shared")
    if shared is not None and shared is not scope[-1]:
        yield shared
    name = scope[-1].get("name", "")
    for other in root.findall("./panorama/vsys/entry") + root.findall("./devices/entry/vsys/entry"):
        if other is not scope[-1] and other.get("name") == name:
            yield other


def is_defined(root: Element, scope: Place, kind: str, name: str) -> bool:
    for holder in visible(root, scope):
        found = holder.find(kind)
        if found is None:
            continue
        if child_named(found, "entry", name) is not None:
            return True
        if kind == "tag" and any(kinds.same_name(kind, name, entry.get("name", "")) for entry in found):
            return True
    return False


def check_entry(root: Element, kind: str, place: Place) -> None:
    """Raises `Declined` (12) naming the first name that nothing has."""
    scope, entry = scope_of(place), place[-1]
    zones_known = scope[-1].tag == "entry" and "device-group" not in {node.tag for node in scope}
    for path, name, allowed in kinds.references(kind, entry):
        if allowed == ("zone",) and (not zones_known or name == "any"):
            continue
        if not any(is_defined(root, scope, each, name) for each in allowed):
            way = path.replace("/", " -> ")
            raise Declined(12, f" {kind} -> {entry.get('name')} -> {way} '{name}' is not a valid reference")


def check_whole(root: Element) -> list[str]:
    """Every fault of a configuration, as a commit finds them."""
    faults = []
    for kind, place in kinds.entries((root,)):
        try:
            kinds.check(kind, place[-1])
            check_entry(root, kind, place)
        except Declined as refused:
            faults.append(f"{label(scope_of(place))}{refused}")
    return faults


def definitions(place: Place) -> set[Definition]:
    """What a node defines, itself and below."""
    found = set()
    for kind, inner in kinds.entries(place):
        if kind != kinds.RULES:
            found.add((kind, label(scope_of(inner)), inner[-1].get("name", "")))
    tags = [node.tag for node in place]
    if tags[-2:] == ["zone", "entry"] and kinds.scope_length(tags):
        found.add(("zone", label(scope_of(place)), place[-1].get("name", "")))
    return found


def check_gone(root: Element, gone: set[Definition]) -> None:
    """After ``gone`` was removed. Raises `Declined` naming what still refers to one of them."""
    wanted = {(kind, name.casefold() if kind == "tag" else name): name for kind, _, name in gone}
    if not wanted or not _mentioned(root, {name.casefold() for name in wanted.values()}):
        return
    for kind, place in kinds.entries((root,)):
        scope = scope_of(place)
        for path, name, allowed in kinds.references(kind, place[-1]):
            for each in allowed:
                key = (each, name.casefold() if each == "tag" else name)
                if key in wanted and not any(is_defined(root, scope, other, name) for other in allowed):
                    user = _user(place, path)
                    raise Declined(10, f" {wanted[key]} cannot be deleted because of references from: {user}")


def _mentioned(root: Element, names: set[str]) -> bool:
    """Whether any text is one of them: seldom, and told quickly."""
    return any(text.strip().casefold() in names for text in root.itertext())


def _user(place: Place, path: str) -> str:
    steps = []
    for node in place[1:]:
        if node.tag == "devices" or node.get("name") == "localhost.localdomain":
            continue
        steps.append(node.get("name", node.tag) if node.tag == "entry" else node.tag)
    return " -> ".join([*steps, *path.split("/")])


def rewrite(root: Element, renamed: Place, name: str) -> list[Place]:
    """Whoever refers to an object refers to its new name; they are given back."""
    own, old = kinds.kind_of(renamed), renamed[-1].get("name", "")
    users = []
    for kind, place in kinds.entries((root,)):
        paths = {path for path, allowed in kinds.KINDS[kind].refers.items() if own in allowed}
        if kind == kinds.RULES and own == "dynamic-user-group":
            paths.add("source-user/member")
        if not paths or renamed[-2] not in [holder.find(own) for holder in visible(root, scope_of(place))]:
            continue
        members = [member for path in paths for member in place[-1].findall(path)]
        if found := [one for one in members if kinds.same_name(own, (one.text or "").strip(), old)]:
            users.append(place)
        for member in found:
            member.text = name
    return users
