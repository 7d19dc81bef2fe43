"""What a tenant asks for against what the device has: the list of differences, and the script that would end them.

A difference is of kind N (new), D (deleted) or E (edited), `lhs` the device and `rhs` what is wanted, as AS3's traces
show them. The script is written to be read and counted; the emulator applies entries, not text.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from gateway.lab.bigip.collections import FOLDER, NODE, PARTITION, POOL, UNMAPPED
from gateway.lab.bigip.declared import Entry, entry
from gateway.lab.bigip.integrity import node_of
from gateway.lab.bigip.properties import command_of, properties_of, quoted
from gateway.lab.bigip.refusals import Json
from gateway.lab.bigip.templates import TEMPLATES
from gateway.lab.bigip.translation import UNMAPPED_COMMAND
from gateway.lab.bigip.tree import Tree

ADDRESS_PREFIX: Final = "Service_Address-"  # in the keys of what is wanted; the object is named by its address
Entries = dict[str, Entry]


def current_of(tree: Tree, tenant: str, desired: Entries) -> Entries:
    """What the device has of the tenant, and of the shared nodes that it uses or wants."""
    found: Entries = {}
    if tenant != "Common" and tree.find(PARTITION, tenant) is None:
        return _shared_nodes(tree, tenant, desired)
    if tenant != "Common":
        found[f"/{tenant}/"] = entry("auth partition", {"default-route-domain": 0})
    found |= _shared_nodes(tree, tenant, desired)
    for collection, path, values in tree.within(tenant):
        command = command_of(collection)
        if tenant == "Common" and not path.startswith("/Common/Shared/"):
            continue
        if collection == FOLDER:
            found[f"{path}/"] = entry("sys folder", {})
        elif collection == UNMAPPED:
            found[path] = entry(UNMAPPED_COMMAND, {"declared": values["declared"]})
        elif command in TEMPLATES:
            found[path] = entry(command, properties_of(command, values))
    return found


def _shared_nodes(tree: Tree, tenant: str, desired: Entries) -> Entries:
    """Nodes of /Common that the tenant wants, and those that it alone uses by AS3's count."""
    used = _nodes_of(tree, tenant)
    others = {node for pool in tree.objects(POOL) if pool["partition"] != tenant for node in _nodes_in(pool)}
    wanted = {key for key, one in desired.items() if one["command"] == "ltm node"}
    found: Entries = {}
    for path in sorted((used - others) | wanted):
        values = tree.find(NODE, path)
        if values is None or values["partition"] != "Common" or tenant == "Common":
            continue
        if path in wanted or _is_counted(values):
            found[path] = entry("ltm node", properties_of("ltm node", values))
    return found


def _nodes_of(tree: Tree, tenant: str) -> set[str]:
    return {node for pool in tree.objects(POOL, tenant) for node in _nodes_in(pool)}


def _nodes_in(pool: Json) -> set[str]:
    return {node_of(member) for member in pool.get("members", [])}


def _is_counted(node: Json) -> bool:
    return any(item["name"] == "references" for item in node.get("metadata", []))


def count_references(tree: Tree) -> None:
    """How many tenants use each shared node, on the node itself."""
    users: dict[str, set[str]] = {}
    for pool in tree.objects(POOL):
        for path in _nodes_in(pool):
            users.setdefault(path, set()).add(pool["partition"])
    for node in tree.objects(NODE, "Common"):
        count = str(len(users.get(node["fullPath"], ())))
        held = next((item for item in node.get("metadata", []) if item["name"] == "references"), None)
        if held is not None and held["value"] != count and count != "0":
            others = [item for item in node["metadata"] if item is not held]
            tree.put(NODE, node["fullPath"], {**node, "metadata": [*others, {**held, "value": count}]})


def settle_nodes(desired: Entries, current: Entries) -> None:
    """A shared node that is there already is taken as it is, its count aside."""
    for path, one in current.items():
        if path in desired and one["command"] == "ltm node" and path.startswith("/Common/"):
            desired[path] = one


def object_path(key: str) -> str:
    """`/T/Service_Address-192.0.2.1` as the object's own path."""
    return key.replace(ADDRESS_PREFIX, "")


def differences(desired: Entries, current: Entries) -> list[Json]:
    found: list[Json] = []
    wanted = {object_path(key): one for key, one in desired.items()}
    for path, one in current.items():
        if path not in wanted:
            found.append(_difference("D", path, one["command"], "", lhs=one))
    for path, one in wanted.items():
        held = current.get(path)
        if held is None:
            found.append(_difference("N", path, "", one["command"], rhs=one))
            continue
        for kind, steps, values in _edits(held["properties"], one["properties"]):
            change = {"kind": kind, "path": [path, "properties", *steps], **values}
            found.append({**change, **_commands(held["command"], one["command"])})
    return found


def _difference(kind: str, path: str, held: str, wanted: str, **values: Entry) -> Json:
    partition = "auth partition" in (held, wanted)
    return {"kind": kind, "path": [path.strip("/") if partition else path], **values, **_commands(held, wanted)}


def _commands(held: str, wanted: str) -> Json:
    return {"tags": ["tmsh"], "command": wanted or held, "lhsCommand": held, "rhsCommand": wanted}


def _edits(held: Json, wanted: Json) -> Iterator[tuple[str, list[str], Json]]:
    for name, value in held.items():
        if name not in wanted:
            yield "D", [name], {"lhs": value}
        elif isinstance(value, dict) and isinstance(wanted[name], dict):
            for kind, steps, values in _edits(value, wanted[name]):
                yield kind, [name, *steps], values
        elif value != wanted[name]:
            yield "E", [name], {"lhs": value, "rhs": wanted[name]}
    for name, value in wanted.items():
        if name not in held:
            yield "N", [name], {"rhs": value}


# === the script ===


def script_of(tenant: str, desired: Entries, current: Entries, found: list[Json]) -> str:
    """The cli script for a tenant's differences."""
    new = any(change["command"] == "auth partition" and change["kind"] == "N" for change in found)
    before, inside, after = _commands_of(tenant, desired, current, found)
    rescue = [f"catch {{ tmsh::delete {line.partition('::create ')[2].partition(' default-')[0]} }} e"
              for line in reversed(before) if "::create" in line]  # fmt: skip
    stamp = 'description \\"Updated by AS3 at [clock format [clock seconds] -gmt true -format {%a, %d %b %Y %T %Z}]\\"'
    stamps = [f"tmsh::modify auth partition {tenant} {stamp}"]
    if any(change["path"][0].startswith("/Common/") for change in found) and tenant != "Common":
        stamps.append(f"tmsh::modify auth partition Common {stamp}")
    body = [*stamps[:1], *inside, *stamps[1:]] if new else [*inside, *stamps]
    lines = [
        "cli script __appsvcs_update {", "proc script::run {} {", "if {[catch {",
        "tmsh::modify ltm data-group internal __appsvcs_update records none", "} err]} {",
        "tmsh::create ltm data-group internal __appsvcs_update type string records none", "}", "if { [catch {",
        *before, "tmsh::begin_transaction", *body, "tmsh::commit_transaction", "} err] } {",
        "catch { tmsh::cancel_transaction } e", 'regsub -all {"} $err {\\"} err',
        'tmsh::modify ltm data-group internal __appsvcs_update records add \\{ error \\{ data \\"$err\\" \\} \\}',
        *rescue, *after, "}}", "}",
    ]  # fmt: skip
    return "\n".join(lines)


def _commands_of(tenant: str, desired: Entries, current: Entries, found: list[Json]) -> tuple[list[str], ...]:
    """Before the transaction, inside it, and in its rescue."""
    before: list[str] = []
    inside: list[str] = []
    after: list[str] = []
    wanted = {object_path(key): one for key, one in desired.items()}
    for path in dict.fromkeys(change["path"][0] for change in found):
        changes = [change for change in found if change["path"][0] == path]
        kind, command = changes[0]["kind"], changes[0]["command"]
        whole = len(changes[0]["path"]) == 1
        if command in ("auth partition", "sys folder"):
            text = f"{tenant} default-route-domain 0" if command == "auth partition" else path
            line = f"tmsh::{'create' if kind == 'N' else 'delete'} {command} {text}"
            (before if kind == "N" else inside).insert(0 if command == "auth partition" else len(before), line)
        elif whole:
            tail = f" {_text(wanted[path]['properties'])}" if kind == "N" else ""
            inside.append(f"tmsh::{'create' if kind == 'N' else 'delete'} {command} {path}{tail}")
        elif command == "ltm pool" and all(change["path"][2] == "members" for change in changes):
            members = current[path]["properties"]["members"]
            names = " ".join(f'"{member}"' for member in members)
            before.append(f"tmsh::modify {command} {path} members delete \\{{ {names} \\}}")
            inside.append(f"tmsh::modify {command} {path} {_text(wanted[path]['properties'])}")
            after.append(f"tmsh::modify {command} {path} members add {_value(members)}")
        else:
            inside.append(f"tmsh::delete {command} {path}")
            inside.append(f"tmsh::create {command} {path} {_text(wanted[path]['properties'])}")
    return before, inside, after


def _text(properties: Json) -> str:
    return " ".join(
        f"{name} {_value(value)}".strip() for name, value in properties.items() if name != "minimumMonitors"
    )


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return f"replace-all-with \\{{ {_text(value)} \\}}" if value else "none"
    return quoted(value) if isinstance(value, str) and "\n" in value else str(value)
