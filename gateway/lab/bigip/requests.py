"""What a request to AS3 asks for: its wrapper, its query, its patch, told apart from the declaration itself.

Raises `Refusal` with the engine's words.
"""

from __future__ import annotations

import copy
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from gateway.lab.bigip.archive import tenants_of
from gateway.lab.bigip.refusals import Json, Refusal

PARAMETERS: Final = ("async", "show", "showHash", "age", "filterClass", "redactSecrets", "statusOptions")
SWITCHES: Final = ("controls.trace", "controls.traceResponse", "controls.dryRun")
OLDEST: Final = 15
NOTHING_STORED: Final = "declaration in specified path not found"
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
        if name not in (*PARAMETERS, *SWITCHES, "controls.logLevel", "controls.userAgent"):
            raise plain(400, f'unrecognized URL query parameter "{name}"')
    for name in ("async", "showHash", *SWITCHES):
        if query.get(name, "true") not in ("true", "false"):
            raise plain(400, f'{name.removeprefix("controls.")} must be "true" or "false"')
    if query.get("show", "base") not in ("base", "full", "expanded"):
        raise plain(400, 'show must be "base", "full", or "expanded"')
    age = query.get("age", "0")
    if age != "list" and not (age.isdecimal() and int(age) <= OLDEST):
        raise plain(400, f'invalid age value "{age}" - must be a number between 0-{OLDEST} or "list"')


def json_of(body: bytes) -> Any:
    """Raises `Refusal` 400; the words after the reason are JavaScript's, and differ by what is wrong."""
    try:
        return json.loads(body)
    except ValueError as error:
        at = getattr(error, "pos", 0)
        text = body.decode(errors="replace")
        why = f"Expected double-quoted property name in JSON at position {at}"
        if at >= len(text):
            why = "Unexpected end of JSON input"
        elif "Expecting value" in str(error):
            why = f"Unexpected token '{text[at]}', {json.dumps(text)} is not valid JSON"
        raise plain(400, f"cannot parse JSON POST payload ({why})") from None


def asked_of(said: Any, query: Mapping[str, str], only: tuple[str, ...] = ()) -> Asked:
    """Of one declaration, wrapped or not."""
    if not isinstance(said, dict):
        raise _unreadable("/: should be object")
    if not said:
        raise _unreadable("/declaration: should have required property 'class'")
    wrapper = said if said.get("class") == "AS3" else {}
    action = str(wrapper.get("action", "deploy"))
    if action not in ACTIONS:
        listed = json.dumps(ACTIONS, separators=(",", ":"))
        raise _unreadable(f"/action: should be equal to one of the allowed values {listed}")
    if wrapper and action in ("deploy", "dry-run") and "declaration" not in wrapper:
        raise plain(400, f'for action "{action}", a declaration is required.')
    if action == "remove" and "declaration" in wrapper:
        raise plain(400, 'for action "remove", a declaration is not allowed.')
    if int(wrapper.get("redeployAge", 0)) > OLDEST:
        raise _unreadable(f"/redeployAge: should be <= {OLDEST}")
    declaration = wrapper.get("declaration", {}) if wrapper else said
    if not isinstance(declaration, dict) or (declaration.get("class") != "ADC" and (declaration or not wrapper)):
        raise _unreadable('/class: should be equal to constant "AS3"')
    if declaration and not declaration.get("id"):
        declaration = {**declaration, "id": f"autogen_{uuid.uuid4()}"}
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


def _unreadable(error: str) -> Refusal:
    return plain(422, f"Invalid request: {error}")


def _is_true(query: Mapping[str, str], name: str) -> bool:
    return query.get(name, "") == "true"


def per_app(tenant: str, said: Any) -> Json:
    """A body of applications alone as a declaration of their tenant."""
    found = said if isinstance(said, dict) else {}
    apps = {name: part for name, part in found.items() if isinstance(part, dict) and part.get("class") == "Application"}
    if not apps:
        message = "Invalid data property: Per-app declaration must contain at least one application"
        raise Refusal(422, {"code": 422, "message": message, "declaration": {}})
    error = ""
    if "optimisticLockKey" in found:
        error = "/optimisticLockKey: should be object"
    elif "schemaVersion" not in found:
        error = "/: should have required property 'schemaVersion'"
    if error:
        raise Refusal(422, {"code": 422, "errors": [error], "message": "declaration is invalid"})
    head = {name: part for name, part in found.items() if name not in apps}
    head["id"] = f"autogen_{uuid.uuid4()}"
    return {"class": "ADC", **head, tenant: {"class": "Tenant", **apps}}


# === RFC 6902 ===


def patched(stored: Json, operations: Any) -> Json:
    """The stored declaration after a patch: add, remove, replace, copy, move."""
    if not isinstance(operations, list):
        raise _unreadable("/patchBody: should be array")
    if not operations:
        raise _unreadable("/patchBody: should NOT have fewer than 1 items")
    found: Json = copy.deepcopy(stored)
    for operation in operations:
        kind = operation.get("op") if isinstance(operation, dict) else None
        if kind not in ("add", "remove", "replace", "copy", "move", "test"):
            text = json.dumps(operation, separators=(",", ":"))
            raise plain(422, f"InvalidPatchOperationError: invalid op {text}")
        if kind == "test":
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
    if stored is None or not tenants:
        raise plain(404, NOTHING_STORED)
    if missing:
        raise plain(404, f"specified Tenant(s) '{','.join(missing)}' not found in declaration")
    return {name: part for name, part in stored.items() if name not in tenants or name in names}
