"""AS3's deploy: one tenant after another, each in a transaction of its own, one request on the device at a time.

The lock is the device's: whoever comes while something is under way is told to come again, and a dry run takes it,
too. What a tenant becomes is decided by its difference from the device, never from what was declared before.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any, Final

from gateway.lab.bigip import archive, checking, requests
from gateway.lab.bigip.archive import lock_key, tenants_of
from gateway.lab.bigip.collections import FOLDER, PARTITION, UNMAPPED
from gateway.lab.bigip.difference import (
    Entries,
    count_references,
    current_of,
    differences,
    object_path,
    script_of,
    settle_nodes,
)
from gateway.lab.bigip.objects import whole
from gateway.lab.bigip.properties import REQUEST_POLICY, camel, collection_of, rest_of
from gateway.lab.bigip.refusals import Json, Refusal, legible
from gateway.lab.bigip.schema import Schema
from gateway.lab.bigip.templates import TEMPLATES
from gateway.lab.bigip.translation import UNMAPPED_COMMAND, desired_of
from gateway.lab.bigip.tree import Tree

LOCKED: Final = "Error: Configuration operation in progress on device localhost, please try again in 2 minutes"
MISMATCH: Final = (
    "The hash you submitted does not match the hash on the current Tenant. This usually indicates there was a change "
    "to the Tenant since you pulled this hash. You will want to do a GET and see what the changes are."
)


@dataclass
class Conditions:
    """What the knobs say to the engine."""

    work: Callable[[], Awaitable[None]]  # as long as a deploy takes
    locked: Callable[[], bool]
    refusal_of: Callable[[str], str]  # the device's refusal of a tenant, "" for none
    saves: Callable[[], bool]
    written: Callable[[bool, bool], None]  # dry run, changed: the device group is told


class Engine:
    def __init__(self, tree: Tree, clock: Callable[[], float], schema: Schema | None, conditions: Conditions) -> None:
        self._tree = tree
        self._clock = clock
        self._schema = schema
        self._conditions = conditions
        self._busy = False

    def stored(self, age: int = 0) -> Json | None:
        return archive.latest(self._tree, age)

    def check_names(self, body: Any) -> None:
        checking.check_names(body, self._schema)

    async def run(self, asked: requests.Asked) -> tuple[int, Json]:
        """Status and body. Raises `Refusal` before anything was touched."""
        asked = self._resolved(asked)
        if self._busy or self._conditions.locked():
            body = {"code": 503, "message": LOCKED, **checking.about(asked.declaration)}
            raise Refusal(503, body)
        self._busy = True
        try:
            with legible(422):
                checking.check_declaration(asked.declaration, self._schema, self._tree, self.stored())
            await self._conditions.work()
            with legible(422):
                return self._deploy(asked)
        finally:
            self._busy = False

    def _resolved(self, asked: requests.Asked) -> requests.Asked:
        """The declaration that an action means: an old one, or none."""
        if asked.action == "redeploy":
            found = self.stored(asked.redeploy_age)
            if found is None:
                raise requests.plain(404, f"declaration of age {asked.redeploy_age} not found")
            return replace(asked, declaration={**found, "updateMode": "complete"})
        if asked.action == "remove":
            return replace(asked, declaration=self._emptied(asked.only))
        return asked

    def _emptied(self, names: tuple[str, ...]) -> Json:
        """A declaration that asks for nothing of these tenants; without names, of all."""
        stored = self.stored() or {}
        mode = "selective" if names else "complete"
        names = names or tuple(tenants_of(stored))
        millis = str(int(self._clock() * 1000))
        head = {"class": "ADC", "schemaVersion": stored.get("schemaVersion", "3.0.0"), "id": millis}
        return {**head, "updateMode": mode, **{name: {"class": "Tenant"} for name in names}}

    async def remove(self, names: tuple[str, ...], **how: Any) -> tuple[int, Json]:
        """DELETE: the named tenants, or all."""
        return await self.run(requests.Asked(self._emptied(names), **how))

    # === one request ===

    def _deploy(self, asked: requests.Asked) -> tuple[int, Json]:
        declaration = asked.declaration
        stored = self.stored() or {}
        kept = dict(tenants_of(stored))
        tenants = {name: part for name, part in tenants_of(declaration).items() if not asked.only or name in asked.only}
        if declaration.get("updateMode") == "complete":
            tenants |= {name: {"class": "Tenant"} for name in kept if name not in tenants}
        results: list[Json] = []
        traces: Json = {}
        names = (
            list(tenants) if "Common" not in tenants else ["Common", *(n for n in tenants if n != "Common"), "Common"]
        )
        for name in names:
            said = {key: value for key, value in tenants[name].items() if key != "optimisticLockKey"}
            result = self._tenant(asked, name, tenants[name], kept, traces)
            results.append(result)
            if result["code"] == 200:
                kept.pop(name, None)
                if any(isinstance(part, dict) and part.get("class") == "Application" for part in said.values()):
                    kept[name] = said
        if not results:
            results, kept = [{"message": "no change", "host": checking.HOST, "code": 200}], {}
        return self._answer(asked, results, kept, traces)

    def _tenant(self, asked: requests.Asked, name: str, said: Json, kept: Json, traces: Json) -> Json:
        began = time.monotonic()
        about = {"host": checking.HOST, "tenant": name}
        ends = {"declarationId": asked.declaration.get("id", "")}
        key = said.get("optimisticLockKey")
        if key and name in kept and key != lock_key(kept[name]):
            return {"message": MISMATCH, **about, "code": 422, **ends}
        try:
            outcome = self._brought_about(asked, name, said, traces)
        except Refusal as refusal:
            text = refusal.body["message"] if isinstance(refusal.body, dict) else refusal.body
            outcome = {"code": 422, "message": "declaration failed", "response": text}
        run_time = max(1, int((time.monotonic() - began) * 1000))
        return {**outcome, **about, "runTime": run_time, **ends}

    def _brought_about(self, asked: requests.Asked, name: str, said: Json, traces: Json) -> Json:
        desired = desired_of(name, said)
        current = current_of(self._tree, name, desired)
        settle_nodes(desired, current)
        found = differences(desired, current)
        script = script_of(name, desired, current, found) if found else ""
        if asked.trace:
            traces |= {f"{name}Desired": desired, f"{name}Current": current, f"{name}Diff": found}
            if found:
                traces[f"{name}Script"] = script
        if not found:
            return {"code": 200, "message": "no change"}
        dry = {"dryRun": True} if asked.dry_run else {}
        if not asked.dry_run:
            refusal = self._conditions.refusal_of(name)
            if refusal:
                raise Refusal(422, {"message": refusal})
            with whole(self._tree):
                self._write(desired, current, found)
        return {"code": 200, "message": "success", **dry, "lineCount": script.count("\n")}

    def _write(self, desired: Entries, current: Entries, found: list[Json]) -> None:
        wanted = {object_path(key): one for key, one in desired.items()}
        for path in dict.fromkeys(_key(change) for change in found):
            one = wanted.get(path)
            if one is None:
                self._drop(path, current[path]["command"])
            else:
                self._put(path, one["command"], one["properties"])
        count_references(self._tree)

    def _put(self, path: str, command: str, properties: Json) -> None:
        if command == "auth partition":
            name = path.strip("/")
            self._tree.put(PARTITION, name, {"defaultRouteDomain": 0})
            self._tree.put(FOLDER, f"/{name}", {})
        elif command == "sys folder":
            self._tree.put(FOLDER, path.rstrip("/"), {})
        elif command == UNMAPPED_COMMAND:
            self._tree.put(UNMAPPED, path, properties)
        else:
            collection = collection_of(command)
            spoken_for = {camel(name) for name in (*TEMPLATES[command], "monitor", "disabled", "pool", REQUEST_POLICY)}
            held = self._tree.find(collection, path) or {}
            others = {name: value for name, value in held.items() if name not in spoken_for}
            self._tree.put(collection, path, others | rest_of(properties))

    def _drop(self, path: str, command: str) -> None:
        if command == "auth partition":
            self._tree.drop(PARTITION, path.strip("/"))
            self._tree.drop(FOLDER, path.rstrip("/"))
        elif command == UNMAPPED_COMMAND:
            self._tree.drop(UNMAPPED, path)
        else:
            self._tree.drop(collection_of(command), path.rstrip("/"))

    def _answer(self, asked: requests.Asked, results: list[Json], kept: Json, traces: Json) -> tuple[int, Json]:
        millis = int(self._clock() * 1000)
        declaration = _kept_declaration(asked, kept, archive.when(millis))
        if not asked.dry_run and "tenant" in results[0]:
            archive.store(self._tree, declaration, millis)
        changed = any(result["message"] == "success" for result in results)
        self._conditions.written(asked.dry_run, changed)
        codes = {result["code"] for result in results}
        status = codes.pop() if len(codes) == 1 else 207 if codes else 200
        body: Json = {"results": results, "declaration": declaration}
        if asked.trace:
            body["traces"] = traces
        if asked.dry_run:
            body["dryRun"] = True
        if asked.persist and not asked.dry_run and not self._conditions.saves():
            status = 500
            body = {"code": 500, "message": "failed to save BIG-IP config (declaration was applied)"}
        elif status != 200:
            body["code"] = status
        return status, body


def _key(change: Json) -> str:
    path = str(change["path"][0])
    return path if path.startswith("/") else f"/{path}/"


def _kept_declaration(asked: requests.Asked, kept: Json, when: str) -> Json:
    """What is remembered and shown: the head of the request, all tenants as they now are."""
    said = asked.declaration
    tenants = tenants_of(said)
    head = {name: part for name, part in said.items() if name not in tenants and name != "controls"}
    controls: Json = {name: part for name, part in said.get("controls", {}).items() if name != "traceResponse"}
    if asked.dry_run and "controls" in said:
        controls["dryRun"] = True
    controls["archiveTimestamp"] = when
    return {**head, "updateMode": said.get("updateMode", "selective"), "controls": controls, **kept}
