"""What AS3 refuses before it touches the device, in its order: names that exist nowhere, the schema, pointers.

Raises `Refusal`. Without a schema only pointers, doubles and the version are looked at.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from gateway.lab.bigip.archive import tenants_of
from gateway.lab.bigip.refusals import Json, Refusal
from gateway.lab.bigip.schema import Schema
from gateway.lab.bigip.tree import Tree

HOST: Final = "localhost"
VERSIONS: Final = r"^3[.]([0-9]|[1234][0-9]|5[0-6])($|[.][0-9]+$)"
FREE: Final = ("metadata", "constants", "localZones", "forwardZones", "environmentVariables")  # keys of the author's
FREE_CLASSES: Final = ("Constants", "Statistics_Profile")
IDENTIFIER: Final = r"""^[^\x00-\x20\x22'<>\x5c^`|\x7f]{0,255}$"""
POINTED: Final = {  # the class that a pointer of this name has to lead to
    "pool": "Pool", "profileHTTP": "HTTP_Profile", "profileMultiplex": "Multiplex_Profile",
    "serverTLS": "TLS_Server", "clientTLS": "TLS_Client", "iRules": "iRule", "monitors": "Monitor",
}  # fmt: skip
POINTERS: Final = ("pool", "serverTLS", "clientTLS")
Place = tuple[str, Any]  # path, what is said there


def failed_check(declaration: Json, error: str) -> Refusal:
    return Refusal(422, {"code": 422, "errors": [error], "message": "declaration is invalid", **about(declaration)})


def about(declaration: Json) -> Json:
    """What every refusal of a whole declaration names."""
    tenants = list(tenants_of(declaration))
    return {"host": HOST, **({"tenant": tenants} if tenants else {}), "declarationId": declaration.get("id", "")}


def _failed(declaration: Json, message: str) -> Refusal:
    """Refused behind the schema: in words, without a list of errors."""
    return Refusal(422, {"code": 422, "message": message, **about(declaration)})


def check_names(declaration: Any, schema: Schema | None) -> None:
    """A key that is no property of any class. One of another class passes, and changes nothing."""
    if schema is None:
        return
    for name in _keys(declaration):
        if name not in schema.names:
            raise Refusal(422, {"code": 422, "message": f"Invalid data property: {name}"})


def _keys(part: Any) -> Iterator[str]:
    """Keys that are not the author's own names."""
    if isinstance(part, list):
        for item in part:
            yield from _keys(item)
    elif isinstance(part, dict):
        kind = part.get("class")
        for key, value in part.items():
            named = isinstance(value, dict) and isinstance(value.get("class"), str)
            if kind in FREE_CLASSES or key in FREE:
                continue
            if not named:
                yield key
            yield from _keys(value)


def check_declaration(declaration: Json, schema: Schema | None, tree: Tree, stored: Json | None) -> None:
    version = declaration.get("schemaVersion")
    if version is None:
        raise failed_check(declaration, "/: should have required property 'schemaVersion'")
    if not isinstance(version, str) or not re.match(VERSIONS, version):
        raise failed_check(declaration, f'/schemaVersion: data "{version}" should match pattern "{VERSIONS}"')
    if not re.match(IDENTIFIER, str(declaration.get("id", ""))):
        raise _failed(declaration, "declaration lacks valid 'id' property")
    error = schema.first_error(declaration) if schema else ""
    if error:
        raise failed_check(declaration, error)
    for name, tenant in tenants_of(declaration).items():
        for app, content in tenant.items():
            if isinstance(content, dict) and content.get("class") == "Application":
                _check_application(declaration, tree, stored or {}, f"/{name}/{app}", content)


def _check_application(declaration: Json, tree: Tree, stored: Json, path: str, content: Json) -> None:
    for where, said in _pointers(path, content):
        if isinstance(said, str) and len(said) == 1:
            raise failed_check(declaration, f"{where}: contains an invalid path (invalid character)")
        if isinstance(said, dict):
            target = str(said["bigip"])
            if not _is_on_device(tree, target):
                raise _failed(declaration, f"Unable to find {target} for {where}")
        elif not _is_declared(declaration, stored, path, content, said):
            raise failed_check(declaration, f"{where}: contains path to non-existent object {said}")
        else:
            _check_class(declaration, where, content, said)
    for part in content.values():
        if isinstance(part, dict) and part.get("class") == "Pool" and _has_doubles(part):
            raise _failed(declaration, "declaration has duplicate values in members")


def _check_class(declaration: Json, where: str, content: Json, said: str) -> None:
    """Of an object of the same application."""
    wanted = next((POINTED[step] for step in reversed(where.split("/")) if step in POINTED), "")
    found = content.get(said)
    if wanted and where.endswith("/use") and isinstance(found, dict) and found.get("class") != wanted:
        raise failed_check(declaration, f"{where}: AS3 pointer {said} does not point to required object type")


def _pointers(path: str, part: Any) -> Iterator[Place]:
    """Every pointer below, with where it stands: names as strings, `{"bigip": …}` as they are."""
    if isinstance(part, list):
        for number, item in enumerate(part):
            yield from _pointers(f"{path}/{number}", item)
        return
    if not isinstance(part, dict):
        return
    if isinstance(part.get("use"), str) and "class" not in part:
        yield f"{path}/use", part["use"]
        return
    if isinstance(part.get("bigip"), str) and "class" not in part:
        yield path, part
        return
    kind = str(part.get("class", ""))
    for key, value in part.items():
        below = f"{path}/{key}"
        if key in FREE or kind == "Constants":
            continue
        if isinstance(value, str):
            of_service = kind.startswith("Service_") and key in POINTERS
            if of_service or (key == "certificate" and not kind and "/certificates/" in path):
                yield below, value
        elif kind.startswith("Service_") and key == "iRules" and isinstance(value, list):
            for number, rule in enumerate(value):
                own = f"{below}/{number}"
                yield from [(own, rule)] if isinstance(rule, str) else _pointers(own, rule)
        else:
            yield from _pointers(below, value)


def _is_declared(declaration: Json, stored: Json, path: str, content: Json, said: str) -> bool:
    """In the same application, in the tenant's `Shared`, or by its full path in what is or was declared."""
    tenant = path.split("/")[1]
    if not said.startswith("/"):
        steps = said.split("/")
        shared = declaration.get(tenant, {}).get("Shared", {})
        return _reaches(content, steps) or _reaches(shared, steps)
    steps = said.strip("/").split("/")
    if steps[0] == "@":  # itself: /@/app/name
        steps[0] = tenant
    return _reaches(declaration, steps) or _reaches(stored, steps)


def _reaches(part: Any, steps: list[str]) -> bool:
    for step in steps:
        if not isinstance(part, dict) or step not in part:
            return False
        part = part[step]
    return True


def _is_on_device(tree: Tree, path: str) -> bool:
    return any(tree.find(collection, path) is not None for collection in tree.collections())


def _has_doubles(pool: Json) -> bool:
    seen: set[tuple[str, object]] = set()
    for member in pool.get("members", []):
        for address in member.get("serverAddresses", []):
            key = (str(address), member.get("servicePort"))
            if key in seen:
                return True
            seen.add(key)
    return False
