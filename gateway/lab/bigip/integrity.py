"""What mcpd refuses to hold, looked at after a change and before it is kept.

The texts are those of recordings where there is one; "illegally shares", "Invalid Virtual Address" and "cannot be
deleted" are as users quote them.
"""

from __future__ import annotations

import re

from gateway.lab.bigip.collections import (
    CERTIFICATE,
    DATA_GROUP,
    FOLDER,
    MONITOR,
    NODE,
    PARTITION,
    POOL,
    PROFILE,
    RULE,
    VIRTUAL,
    VIRTUAL_ADDRESS,
)
from gateway.lab.bigip.properties import address_of
from gateway.lab.bigip.refusals import Json, Refusal, invalid, not_found
from gateway.lab.bigip.tree import Tree

LONGEST_RECORD = 65520
OF_ACCESS = ("/Common/rba", "/Common/websso")  # come with APM, in no collection that can be listed


def check(tree: Tree) -> None:
    """Raises `Refusal` for the first thing that cannot be."""
    _check_virtuals(tree)
    _check_addresses(tree, VIRTUAL_ADDRESS, "Virtual Address")
    _check_addresses(tree, NODE, "Node")
    _check_pools(tree)
    _check_folders(tree)
    for group in tree.objects(DATA_GROUP):
        if any(len(str(record.get("data", "")).encode()) > LONGEST_RECORD for record in group.get("records", [])):
            raise invalid(f"01070712:3: Class record in {group['fullPath']}: Max string size exceeded.")
    for profile in tree.objects("ltm/profile/server-ssl"):
        authority = profile.get("caFile")
        if authority and str(authority).startswith("/Common/") and not _is_known_file(tree, str(authority)):
            raise not_found("Certificate", str(authority))


def _is_known_file(tree: Tree, path: str) -> bool:
    return tree.find(CERTIFICATE, path) is not None or tree.find_any("lab/", path) is not None


def _check_virtuals(tree: Tree) -> None:
    heard: dict[tuple[str, str, str], str] = {}
    for virtual in tree.objects(VIRTUAL):
        path = virtual["fullPath"]
        where = str(virtual.get("destination", "")).rpartition("/")[2]
        shares = (where, str(virtual.get("source", "")), str(virtual.get("ipProtocol", "")))
        if where and shares in heard:
            raise invalid(
                f"01070333:3: The Virtual Server {path} illegally shares destination address, source address, "
                f"service port, and ip-protocol with Virtual Server {heard[shares]}."
            )
        heard[shares] = path
        pool = virtual.get("pool")
        if pool and tree.find(POOL, pool) is None:
            raise not_found("Pool", pool)
        for rule in virtual.get("rules", []):
            if tree.find(RULE, rule) is None:
                raise not_found("rule", rule)
        for profile in virtual.get("profiles", []):
            _check_profile(tree, profile["fullPath"])


def _check_profile(tree: Tree, path: str) -> None:
    if path in OF_ACCESS:
        return
    known = tree.find_any(PROFILE, path) or tree.find_any("apm/profile/", path) or tree.find_any("lab/", path)
    if known is None:
        raise not_found("profile", path)


def _check_addresses(tree: Tree, collection: str, called: str) -> None:
    """One address is one object, whatever its partition."""
    heard: dict[str, str] = {}
    for one in tree.objects(collection):
        address = str(one.get("address", ""))
        if address in heard and address not in ("any", "any6"):
            raise invalid(f"0107176c:3: Invalid {called}, the IP address {address} already exists.")
        heard[address] = one["fullPath"]


def _check_pools(tree: Tree) -> None:
    for pool in tree.objects(POOL):
        for monitor in re.findall(r"/[^\s{}]+", str(pool.get("monitor", ""))):
            if tree.find_any(MONITOR, monitor) is None and tree.find_any("lab/", monitor) is None:
                raise not_found("monitor", monitor)
        for member in pool.get("members", []):
            node = node_of(member)
            if tree.find(NODE, node) is None:
                raise not_found("Node", node)


def node_of(member: Json) -> str:
    return f"/{member['partition']}/{address_of(member['name'])}"


def _check_folders(tree: Tree) -> None:
    for collection in (VIRTUAL, POOL, DATA_GROUP, NODE, VIRTUAL_ADDRESS):
        for one in tree.objects(collection):
            folder = one["fullPath"].rpartition("/")[0]
            if tree.find(FOLDER, folder) is None:
                raise not_found("folder", folder)


def check_unused(tree: Tree, collection: str, path: str) -> None:
    """Whether the object may go. Raises `Refusal` naming what holds on to it."""
    if collection == PARTITION:
        held = [own for _, own, _ in tree.within(path)]
        if held:
            raise invalid("0107082a:3: You must remove all objects from a partition before removing the partition "
                          f"({path}), {held[0]}")  # fmt: skip
    for virtual in tree.objects(VIRTUAL):
        named = {
            virtual.get("pool"),
            *virtual.get("rules", []),
            *(one["fullPath"] for one in virtual.get("profiles", [])),
        }
        if path in named and collection != VIRTUAL:
            raise _in_use(collection, path, f"a Virtual Server ({virtual['fullPath']})")
    for pool in tree.objects(POOL):
        if collection.startswith(MONITOR) and path in str(pool.get("monitor", "")).split():
            raise _in_use(collection, path, f"a Pool ({pool['fullPath']})")
        if collection == NODE and any(node_of(member) == path for member in pool.get("members", [])):
            raise invalid(f"01070110:3: Node address '{path}' is referenced by a member of pool '{pool['fullPath']}'.")


def _in_use(collection: str, path: str, by: str) -> Refusal:
    called = {POOL: "Pool", RULE: "rule"}.get(collection, "monitor" if collection.startswith(MONITOR) else "profile")
    return invalid(f"01070265:3: The {called} ({path}) cannot be deleted because it is in use by {by}.")
