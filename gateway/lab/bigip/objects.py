"""Create, change and remove objects through iControl REST: each whole, or not at all.

A write is made, the device looks whether it can hold that (`integrity`), and otherwise everything is put back.
Virtual addresses and nodes come with the virtual server or the member that names them, as on a device.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from gateway.lab.bigip.collections import (
    CALLED,
    CERTIFICATE,
    FOLDER,
    NODE,
    PARTITION,
    PARTS,
    POOL,
    VIRTUAL,
    VIRTUAL_ADDRESS,
    full_path,
    key_of,
)
from gateway.lab.bigip.integrity import check, check_unused, node_of
from gateway.lab.bigip.properties import address_of, command_of, rest_of
from gateway.lab.bigip.refusals import Json, exists_already, not_found, refused
from gateway.lab.bigip.templates import MEMBER, TEMPLATES
from gateway.lab.bigip.tree import Tree, named

FAR: Final = 2_524_608_000  # 2050, epoch seconds
READ_ONLY: Final = ("kind", "selfLink", "generation", "fullPath", "subPath", "name", "partition", "health")


@contextmanager
def whole(tree: Tree) -> Iterator[None]:
    """Either all of the block's writes and a tree that can be, or none."""
    before = tree.snapshot()
    try:
        yield
        check(tree)
    except BaseException:
        tree.restore(before)
        raise


def called(collection: str) -> str:
    return CALLED.get(collection, collection.rpartition("/")[2])


def create(tree: Tree, collection: str, body: Json) -> Json:
    name = body.get("name")
    if not isinstance(name, str) or not name:
        raise refused(400, "one or more properties must be specified: name", 1)
    partition = str(body.get("partition", "Common"))
    folder = f"/{partition}/{body['subPath']}/" if body.get("subPath") and not name.startswith("/") else ""
    path = key_of(collection, folder + name if folder else name, partition)
    if tree.find(collection, path) is not None:
        raise exists_already(called(collection), path, partition)
    template = TEMPLATES.get(command_of(collection))
    usual = rest_of(template) if template else _certificate_values(collection, path)
    with whole(tree):
        tree.put(collection, path, _merged(collection, usual | named(collection, path), body))
        _accompany(tree, collection, path)
    return _there(tree, collection, path)


def _certificate_values(collection: str, path: str) -> Json:
    """Of a file that nobody looks into: a name and an end far away, unless the caller says others."""
    if collection != CERTIFICATE:
        return {}
    name = path.rpartition("/")[2].removesuffix(".crt")
    return {
        "subject": f"CN={name}",
        "issuer": f"CN={name}",
        "subjectAlternativeName": f"DNS:{name}",
        "expirationDate": FAR,
        "expirationString": "Jan  1 00:00:00 2050 GMT",
    }


def change(tree: Tree, collection: str, path: str, body: Json) -> Json:
    """PATCH: what is named is replaced, a list as a whole."""
    held = found(tree, collection, path)
    with whole(tree):
        tree.put(collection, path, _merged(collection, held, body))
        _accompany(tree, collection, path)
    return _there(tree, collection, path)


def replace(tree: Tree, collection: str, path: str, body: Json) -> Json:
    """PUT: what is not named is as if never said."""
    found(tree, collection, path)
    template = TEMPLATES.get(command_of(collection))
    with whole(tree):
        usual = (rest_of(template) if template else {}) | named(collection, path)
        tree.put(collection, path, _merged(collection, usual, body))
        _accompany(tree, collection, path)
    return _there(tree, collection, path)


def remove(tree: Tree, collection: str, path: str) -> None:
    held = found(tree, collection, path)
    check_unused(tree, collection, path)
    with whole(tree):
        tree.drop(collection, path)
        if collection == PARTITION:
            tree.drop(FOLDER, f"/{path}")
        if collection == VIRTUAL:
            forget_address(tree, str(held.get("destination", "")))


def found(tree: Tree, collection: str, path: str) -> Json:
    held = tree.find(collection, path)
    if held is None:
        raise not_found(called(collection), path)
    return held


# === subcollections ===


def create_part(tree: Tree, collection: str, path: str, part: str, body: Json) -> Json:
    held = found(tree, collection, path)
    one = _part(collection, part, body, str(held.get("partition", "Common")))
    if any(other["fullPath"] == one["fullPath"] for other in held.get(part, [])):
        raise exists_already("Pool Member" if collection == POOL else part, one["fullPath"], one["partition"])
    with whole(tree):
        tree.put(collection, path, {**held, part: [*held.get(part, []), one]})
        _accompany(tree, collection, path)
    return one


def find_part(tree: Tree, collection: str, path: str, part: str, name: str) -> tuple[Json, Json]:
    """The object and its part."""
    held = found(tree, collection, path)
    wanted = full_path(name, str(held.get("partition", "Common")))
    for one in held.get(part, []):
        if one["fullPath"] == wanted:
            return held, one
    raise not_found("Pool Member" if collection == POOL else part, wanted)


def change_part(tree: Tree, collection: str, path: str, part: str, name: str, body: Json) -> Json:
    held, one = find_part(tree, collection, path, part, name)
    changed = {**one, **{key: value for key, value in body.items() if key not in READ_ONLY}}
    with whole(tree):
        others = [changed if other is one else other for other in held[part]]
        tree.put(collection, path, {**held, part: others})
    return changed


def remove_part(tree: Tree, collection: str, path: str, part: str, name: str) -> None:
    held, one = find_part(tree, collection, path, part, name)
    tree.put(collection, path, {**held, part: [other for other in held[part] if other is not one]})


def _part(collection: str, part: str, said: Any, partition: str) -> Json:
    body: Json = {"name": said} if isinstance(said, str) else dict(said)
    name = str(body.get("fullPath") or body.get("name") or "")
    if not name:
        raise refused(400, f"one or more properties must be specified: name of {part}", 1)
    path = full_path(name, str(body.get("partition", "Common" if part == "profiles" else partition)))
    usual: Json = {}
    if collection == POOL:
        usual = {**rest_of(MEMBER), "address": address_of(path.rpartition("/")[2])}
    elif part == "profiles":
        usual = {"context": "all"}
    kept = {key: value for key, value in body.items() if key not in READ_ONLY}
    return {**named(collection, path), **usual, **kept}


def _merged(collection: str, held: Json, body: Json) -> Json:
    values = dict(held)
    for key, value in body.items():
        if key in READ_ONLY:
            continue
        if key in PARTS.get(collection, ()):
            values[key] = [_part(collection, key, one, str(held.get("partition", "Common"))) for one in value]
        elif key in ("pool", "rules", "destination", "monitor") and collection in (VIRTUAL, POOL):
            values[key] = _qualified(key, value)
        else:
            values[key] = value
        if key in ("enabled", "disabled") and value:
            values.pop("disabled" if key == "enabled" else "enabled", None)
    return {key: value for key, value in values.items() if value not in ("none", "")}


def _qualified(key: str, value: Any) -> Any:
    if isinstance(value, list):
        return [full_path(str(one)) for one in value]
    text = str(value)
    if not text or text == "none" or text.startswith("/") or (key == "monitor" and " " in text):
        return text
    return text if key == "monitor" and text == "default" else full_path(text)


def _accompany(tree: Tree, collection: str, path: str) -> None:
    """What comes into being beside the object."""
    held = _there(tree, collection, path)
    if collection == PARTITION:
        tree.put(FOLDER, f"/{path}", {})
    elif collection == POOL:
        for member in held.get("members", []):
            if tree.find(NODE, node_of(member)) is None:
                address = address_of(member["name"])
                tree.put(NODE, node_of(member), rest_of(TEMPLATES["ltm node"] | {"address": address}))
    elif collection == VIRTUAL and held.get("destination"):
        address = address_of(held["destination"])
        if tree.find(VIRTUAL_ADDRESS, address) is None and address.rpartition("/")[2] not in ("0.0.0.0", "any"):
            template = TEMPLATES["ltm virtual-address"]
            tree.put(VIRTUAL_ADDRESS, address, rest_of(template | {"address": address.rpartition("/")[2]}))


def forget_address(tree: Tree, destination: str) -> None:
    """A virtual address with `auto-delete` goes with the last virtual server on it."""
    address = address_of(destination)
    held = tree.find(VIRTUAL_ADDRESS, address)
    used = any(address_of(str(one.get("destination", ""))) == address for one in tree.objects(VIRTUAL))
    if held is not None and held.get("autoDelete") == "true" and not used:
        tree.drop(VIRTUAL_ADDRESS, address)


def _there(tree: Tree, collection: str, path: str) -> Json:
    held = tree.find(collection, path)
    assert held is not None
    return held
