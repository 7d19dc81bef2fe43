"""What a request to AS3 asks for: its wrapper, its query, its patch, told apart from the declaration itself.

Raises `Refusal` with the engine's words.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from gateway.lab.bigip.archive import tenants_of
from gateway.lab.bigip.refusals import Json, Refusal

PARAMETERS: Final = ("async", "show", "showHash", "age", "filterClass", "redactSecrets", "statusOptions")
ACTIONS: Final = ("deploy", "dry-run", "patch", "redeploy", "retrieve", "remove")


@dataclass(frozen=True, slots=True)
class Asked:
    """``only``: the tenants that the path names, () for all of the declaration's."""

    declaration: Json
    action: str = "deploy"
    dry_run: bool = False
    trace: bool = False
    persist: bool = True
    only: tuple[str, ...] = ()
    redeploy_age: int = 0
    sync_group: str = ""


def plain(status: int, message: str) -> Refusal:
    return Refusal(status, {"code": status, "message": message})


def check_query(query: Mapping[str, str]) -> None:
    for name in query:
        if name not in PARAMETERS and not name.startswith("controls."):
            raise plain(400, f'unrecognized URL query parameter "{name}"')
    if query.get("async", "true") not in ("true", "false"):
        raise plain(400, 'async must be "true" or "false"')


def json_of(body: bytes) -> Any:
    """Raises `Refusal` 400; the words after the reason are JavaScript's, and differ by what is wrong."""
    try:
        return json.loads(body)
    except ValueError as error:
        at = getattr(error, "pos", 0)
        why = f"Expected double-quoted property name in JSON at position {at}"
        raise plain(400, f"cannot parse JSON POST payload ({why})") from None


def asked_of(said: Any, query: Mapping[str, str], only: tuple[str, ...] = ()) -> Asked:
    """Of one declaration, wrapped or not."""
    if not isinstance(said, dict):
        raise plain(422, "declaration is not an object")
    wrapper = said if said.get("class") == "AS3" else {}
    action = str(wrapper.get("action", "deploy"))
    if action not in ACTIONS:
        raise _invalid(f"/action: should be equal to one of the allowed values ({', '.join(ACTIONS)})")
    declaration = wrapper.get("declaration", {}) if wrapper else said
    if not isinstance(declaration, dict) or (declaration.get("class") != "ADC" and (declaration or not wrapper)):
        raise _invalid("/class: should be equal to one of the allowed values (ADC, AS3)")
    controls = declaration.get("controls")
    controls = controls if isinstance(controls, dict) else {}
    dry = _is_true(query, "controls.dryRun") or controls.get("dryRun") is True or action == "dry-run"
    trace = _is_true(query, "controls.traceResponse") or controls.get("traceResponse") is True
    return Asked(
        declaration=declaration,
        action=action,
        dry_run=dry,
        trace=trace,
        persist=bool(wrapper.get("persist", True)),
        only=only,
        redeploy_age=int(wrapper.get("redeployAge", 0)),
        sync_group=str(wrapper.get("syncToGroup", "")),
    )


def _invalid(error: str) -> Refusal:
    return Refusal(422, {"code": 422, "errors": [error], "message": "declaration is invalid"})


def _is_true(query: Mapping[str, str], name: str) -> bool:
    return query.get(name, "") == "true"


def per_app(tenant: str, said: Any) -> Json:
    """A body of applications alone as a declaration of their tenant."""
    found = said if isinstance(said, dict) else {}
    apps = {name: part for name, part in found.items() if isinstance(part, dict) and part.get("class") == "Application"}
    if not apps:
        message = "Invalid data property: Per-app declaration must contain at least one application"
        raise Refusal(422, {"code": 422, "message": message, "declaration": {}})
    if "optimisticLockKey" in found:
        raise plain(422, "Invalid data property: optimisticLockKey does not work in a per-app declaration")
    head = {name: part for name, part in found.items() if name not in apps}
    return {"class": "ADC", **head, tenant: {"class": "Tenant", **apps}}


# === RFC 6902 ===


def patched(stored: Json, operations: Any) -> Json:
    """The stored declaration after a patch: add, remove, replace, copy, move."""
    if not isinstance(operations, list):
        raise plain(422, "invalid patch - body must be an array")
    found: Json = copy.deepcopy(stored)
    for operation in operations:
        kind = operation.get("op") if isinstance(operation, dict) else None
        if kind not in ("add", "remove", "replace", "copy", "move"):
            raise plain(422, f"invalid patch - op '{kind}' is not supported")
        _patch(found, kind, operation)
    return found


def _patch(found: Json, kind: str, operation: Json) -> None:
    path = str(operation.get("path", ""))
    value = operation.get("value")
    if kind in ("copy", "move"):
        home, name = _place(found, str(operation.get("from", "")))
        value = copy.deepcopy(_reach(home, name, str(operation.get("from", ""))))
        if kind == "move":
            del home[name]
    home, name = _place(found, path)
    if kind in ("remove", "replace"):
        _reach(home, name, path)
    if kind == "remove":
        del home[name]
    elif isinstance(home, list) and kind == "add":
        home.insert(name, value)
    else:
        home[name] = value


def _place(part: Any, path: str) -> tuple[Any, Any]:
    """The object or array that holds the place, and the name or index in it."""
    steps = [step.replace("~1", "/").replace("~0", "~") for step in path.split("/")[1:]]
    if not steps:
        raise _missing(path)
    for step in steps[:-1]:
        part = _reach(part, _index(part, step), path)
    if not isinstance(part, dict | list):
        raise _missing(path)
    return part, _index(part, steps[-1])


def _index(part: Any, step: str) -> Any:
    if not isinstance(part, list):
        return step
    if step == "-":
        return len(part)
    return int(step) if step.isdigit() else -1


def _reach(part: Any, name: Any, path: str) -> Any:
    if isinstance(part, dict) and name in part:
        return part[name]
    if isinstance(part, list) and isinstance(name, int) and 0 <= name < len(part):
        return part[name]
    raise _missing(path)


def _missing(path: str) -> Refusal:
    return plain(422, f"InvalidPatchOperationError: path does not exist {path}")


def picked(stored: Json | None, names: tuple[str, ...]) -> Json:
    """The stored declaration with the named tenants alone."""
    tenants = tenants_of(stored or {})
    missing = [name for name in names if name not in tenants]
    if stored is None or missing:
        raise plain(404, f"specified Tenant(s) '{','.join(missing or names)}' not found in declaration")
    return {name: part for name, part in stored.items() if name not in tenants or name in names}
