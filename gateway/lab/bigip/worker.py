"""AS3's own addresses, below `/mgmt/shared/appsvcs`: who is asked for what, and with which status it is answered."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping
from typing import Any, Final

from gateway.lab.bigip import archive, requests
from gateway.lab.bigip.archive import lock_key, tenants_of
from gateway.lab.bigip.refusals import Json, Refusal, not_registered
from gateway.lab.bigip.requests import Asked, plain
from gateway.lab.bigip.unit import Unit

ABOUT: Final = {"version": "3.56.0", "release": "10", "schemaCurrent": "3.56.0", "schemaMinimum": "3.0.0"}
SETTINGS: Final = {
    "asyncTaskStorage": "memory", "perAppDeploymentAllowed": True, "burstHandlingEnabled": False,
    "performanceTracingEnabled": False, "performanceTracingEndpoint": "", "serializeFileUploads": False,
    "serviceDiscoveryEnabled": False, "encodeDeclarationMetadata": False, "webhook": "",
}  # fmt: skip
DOUBLED: Final = (
    "Error(s): 'Invalid/Duplicate': another request exists with the same targetHost-declaration tenant, "
    "declaration target, and/or declaration tenant-app"
)
LENGTHS: Final = {"info": (1,), "settings": (1,), "task": (1, 2), "declare": (1, 2)}
NOTHING_TO_TAKE: Final = "Cannot read properties of undefined (reading 'controls')"  # so says the engine itself
OF_APPLICATIONS: Final = {"POST": (3,), "GET": (3, 4), "DELETE": (4,)}
Answer = tuple[int, Any]


class Worker:
    def __init__(self, unit: Unit) -> None:
        self._unit = unit
        self._settings: Json = dict(SETTINGS)

    async def answer(self, method: str, steps: list[str], query: Mapping[str, str], body: bytes) -> Answer:
        """``steps``: the path below `appsvcs`. Raises `Refusal`."""
        where = steps[0] if steps else ""
        if not self._unit.has_as3():
            raise not_registered("/shared/appsvcs/" + "/".join(steps))
        if not _is_place(method, steps):
            raise plain(400, "Bad Request: Invalid path")
        if where == "info":
            return 200, dict(ABOUT)
        if where == "settings":
            return self._set(method, body)
        if where == "task":
            return 200, self._unit.records.one(steps[1]) if len(steps) > 1 else self._unit.records.all()
        requests.check_query(query)
        names = tuple(steps[1].split(",")) if len(steps) > 1 else ()
        if len(steps) > 2:
            return await self._application(method, names[0], steps[3:], query, body)
        if method == "GET":
            return self._get(names, query)
        if method == "DELETE":
            dry = query.get("controls.dryRun") == "true"
            return await self._awaited(self._unit.engine.remove(names, dry_run=dry), query, "")
        if method == "PATCH":
            return await self._patch(requests.json_of(body), query)
        if method == "POST":
            return await self._post(requests.json_of(body), query, names)
        raise plain(405, f"method {method} is not supported")

    def _set(self, method: str, body: bytes) -> Answer:
        if method == "POST":
            said = requests.json_of(body)
            unknown = [name for name in said if name not in SETTINGS]
            if unknown:
                raise plain(422, f"Invalid data property: {unknown[0]}")
            self._settings |= said
        return 200, dict(self._settings)

    # === reading ===

    def _get(self, names: tuple[str, ...], query: Mapping[str, str]) -> Answer:
        if query.get("age") == "list":
            listed = archive.listing(self._unit.tree)
            return (200, listed) if listed else (204, None)
        stored = self._unit.engine.stored(int(query.get("age", "0")))
        if not names and not tenants_of(stored or {}):
            return 204, None
        hashed = query.get("showHash") == "true"
        try:
            found = requests.picked(stored, names) if names else dict(stored or {})
        except Refusal as refusal:
            raise _shown_otherwise(refusal) if hashed else refusal from None
        if hashed:
            for name, tenant in tenants_of(found).items():
                found[name] = {**tenant, "optimisticLockKey": lock_key(tenant)}
        return 200, found

    # === writing ===

    async def _post(self, said: Any, query: Mapping[str, str], names: tuple[str, ...]) -> Answer:
        if isinstance(said, list):
            return await self._several(said, query, names)
        self._unit.engine.check_names(said)
        if isinstance(said, dict) and said.get("action") == "patch":
            return await self._patch(said.get("patchBody"), query)
        if isinstance(said, dict) and said.get("action") == "retrieve":
            return self._get(names, query)
        asked = requests.asked_of(said, query, names)
        return await self._awaited(self._unit.engine.run(asked), query, str(asked.declaration.get("id", "")))

    async def _several(self, said: list[Any], query: Mapping[str, str], names: tuple[str, ...]) -> Answer:
        """One after the other; for the same tenant twice none is begun."""
        for one in said or [None]:
            if not isinstance(one, dict) or not one:
                raise plain(422, "Invalid request: /: should be object")
        tenants = [name for one in said for name in tenants_of(one.get("declaration", one))]
        if len(tenants) != len(set(tenants)):
            doubled = {"code": 422, "message": DOUBLED}
            return 422, {"code": 422, "items": [doubled for _ in said]}
        return 207, {"code": 207, "items": [await self._item(one, query, names) for one in said]}

    async def _item(self, said: Any, query: Mapping[str, str], names: tuple[str, ...]) -> Json:
        try:
            self._unit.engine.check_names(said)
            _, body = await self._unit.engine.run(requests.asked_of(said, query, names))
        except Refusal as refusal:
            return refusal.body if isinstance(refusal.body, dict) else {"message": refusal.body}
        return body

    async def _patch(self, operations: Any, query: Mapping[str, str]) -> Answer:
        stored = self._unit.engine.stored()
        if stored is None:
            raise plain(404, "no declaration to patch")
        declaration = requests.patched(stored, operations)
        declaration["controls"] = {
            name: part for name, part in declaration.get("controls", {}).items() if name != "archiveTimestamp"
        }
        touched = dict.fromkeys(str(one.get("path", "/")).split("/")[1] for one in operations)
        only = tuple(name for name in touched if name in tenants_of(declaration) or name in tenants_of(stored))
        gone = {name: {"class": "Tenant"} for name in only if name not in declaration}
        asked = Asked({**declaration, **gone}, only=only)
        return await self._awaited(self._unit.engine.run(asked), query, str(declaration.get("id", "")))

    async def _awaited(self, work: Any, query: Mapping[str, str], declaration_id: str) -> Answer:
        """At once as a task where that was asked for, or where the result takes too long to wait for."""
        number, task = self._unit.records.begin(work)
        if query.get("async") == "true":
            return 202, self._unit.records.submitted(number, declaration_id)
        await asyncio.wait({task}, timeout=self._unit.knobs.sync_limit_s)
        if not task.done():
            return 202, self._unit.records.submitted(number, declaration_id)
        self._unit.records.drop(number)
        if task.cancelled():
            raise Refusal(503, {"code": 503, "message": "There is an active asynchronous task executing."})
        return task.result()

    # === one application ===

    async def _application(
        self, method: str, tenant: str, names: list[str], query: Mapping[str, str], body: bytes
    ) -> Answer:
        stored = self._unit.engine.stored() or {}
        held: Json = tenants_of(stored).get(tenant, {})
        if method == "POST" and not names:
            asked = requests.asked_of(requests.per_app(tenant, requests.json_of(body)), query)
            apps = {name: part for name, part in asked.declaration[tenant].items() if name != "class"}
            merged = {**asked.declaration, tenant: {"class": "Tenant", **_plain(held), **apps}}
            head = {"schemaVersion": asked.declaration["schemaVersion"]}
            status, answer = await self._awaited(
                self._unit.engine.run(Asked(merged, dry_run=asked.dry_run)), query, str(merged["id"])
            )
            return status, {**answer, "declaration": {**apps, **head} if answer.get("declaration") else {}}
        found = {name: part for name, part in held.items() if isinstance(part, dict)}
        missing = [name for name in names if name not in found]
        if method == "DELETE" and missing:
            raise Refusal(500, {"code": 500, "message": NOTHING_TO_TAKE, "host": "localhost"})
        if not tenants_of(stored):
            raise plain(404, requests.NOTHING_STORED)
        if not held:
            raise plain(404, f"specified tenant '{tenant}' not found in declaration")
        if missing:
            raise plain(404, f"specified Application '{missing[0]}' not found in '{tenant}'")
        if method == "GET":
            chosen = {name: part for name, part in found.items() if not names or name in names}
            return 200, {"schemaVersion": stored["schemaVersion"], **chosen}
        if method == "DELETE":
            left = {name: part for name, part in held.items() if name not in (names or found)}
            head = {"class": "ADC", "schemaVersion": stored["schemaVersion"], "id": f"autogen_{uuid.uuid4()}"}
            return await self._awaited(self._unit.engine.run(Asked({**head, tenant: left})), query, "")
        raise plain(405, f"method {method} is not supported")


def _shown_otherwise(refusal: Refusal) -> Refusal:
    """Where hashes are asked for, the engine words what is missing in a field of another name."""
    body: Json = {"statusCode": refusal.status, "code": refusal.status}
    if isinstance(refusal.body, dict):
        body["errorMessage"] = refusal.body["message"]
    return Refusal(refusal.status, body)


def _is_place(method: str, steps: list[str]) -> bool:
    if len(steps) > 2 and steps[0] == "declare" and steps[2] == "applications":
        return len(steps) in OF_APPLICATIONS.get(method, ())
    return bool(steps) and len(steps) in LENGTHS.get(steps[0], ())


def _plain(tenant: Json) -> Json:
    return {name: part for name, part in tenant.items() if name != "class"}
