"""`/mgmt/tm` and what lies beside it: which object, singleton, transaction or task a request means, and the answer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qsl, unquote

from gateway.lab.bigip import availability, objects
from gateway.lab.bigip.collections import (
    COLLECTIONS,
    MODULES,
    PARTS,
    POOL,
    UNFOLDERED,
    VIRTUAL,
    full_path,
    key_of,
    split,
)
from gateway.lab.bigip.presenting import HOST, stats, tilde
from gateway.lab.bigip.query import Query, query_of
from gateway.lab.bigip.refusals import Json, not_registered, refused
from gateway.lab.bigip.singletons import SETTINGS, module_of, singletons_of
from gateway.lab.bigip.transactions import HEADER
from gateway.lab.bigip.unit import Unit

Answer = tuple[int, Any]
READ_ONLY: Final = ("cm/device", "cm/device-group")
KEPT_UNREAD: Final = ("apm", "ltm", "net", "security", "gtm", "pem", "sys")  # modules whose other kinds are stored


def segments_of(path: str) -> list[str]:
    """Decoded one by one: a `%2F` or a `%25` belongs to a name."""
    return [unquote(segment) for segment in path.split("/") if segment]


class IControl:
    def __init__(self, unit: Unit) -> None:
        self._unit = unit
        self._singletons = singletons_of(unit)

    def answer(
        self, method: str, path: str, query: Mapping[str, str], headers: Mapping[str, str], body: bytes
    ) -> Answer:
        """``path``: below `/mgmt/tm/`, as it was sent. Raises `Refusal`."""
        steps = segments_of(path)
        if steps[:1] == ["transaction"]:
            return self._transaction(method, steps[1:], _json(body))
        if steps[:1] == ["task"]:
            return self._task(method, steps[1:], _json(body))
        if steps == ["cm"] and method == "POST":
            return 200, self._synchronised(_json(body))
        if steps[:2] == ["util", "bash"]:
            raise refused(403, "the emulator runs no commands: util/bash is closed", 1)
        number = headers.get(HEADER)
        if number is not None and method != "GET":
            return 200, self._unit.transactions.queue(number, method, f"/mgmt/tm/{path}", _json(body))
        status, found = self.run(method, "/".join(_escaped(step) for step in steps), query, _json(body))
        if method != "GET":
            self._unit.changed()
        return status, found

    def run(self, method: str, path: str, query: Mapping[str, str], body: Any) -> Answer:
        """One call on objects; its names hold no `/` but those of their own path."""
        singleton = self._singletons.get(path)
        if singleton is not None:
            if method == "PATCH" and path == SETTINGS and isinstance(body, dict):
                self._unit.settings |= body
            elif method != "GET":
                raise refused(405, f"{method} is not allowed on {path}", 1)
            return 200, singleton()
        if path == "sys/config":
            return self._configuration(body)
        if path in MODULES and method == "GET":
            return 200, module_of(path)
        collection, names = split(path)
        self._check_collection(collection, method)
        asked = query_of(query)
        if method == "GET":
            return 200, self._read(collection, names, asked)
        if collection in READ_ONLY:
            raise refused(400, f"{collection} is the emulator's own: use its knobs", 1)
        if not isinstance(body, dict) and method != "DELETE":
            raise refused(400, "a JSON object is needed", 1)
        return self._write(method, collection, names, body)

    def _check_collection(self, collection: str, method: str) -> None:
        """Unknown kinds of a known module are empty, and may be filled where that means nothing."""
        module = collection.partition("/")[0]
        known = collection in COLLECTIONS or (module in MODULES and "/" in collection)
        if not known or (method != "GET" and collection not in COLLECTIONS and module not in KEPT_UNREAD):
            raise not_registered(f"/tm/{collection}")

    # === objects ===

    def _read(self, collection: str, names: tuple[str, ...], asked: Query) -> Json:
        show = self._unit.presenter
        if not names:
            found = self._all(collection, asked)
            last = asked.skip + asked.top if asked.top else None
            items = [
                asked.chosen(show.object(collection, one, expand=asked.expand)) for one in found[asked.skip : last]
            ]
            return show.collection(collection, items) | _page(asked, len(items), len(found))
        if names == ("stats",):
            return self._stats(collection, self._all(collection, asked))
        if collection in READ_ONLY:
            held = next(
                (one for one in self._all(collection, asked) if one["fullPath"] == key_of(collection, names[0])), None
            )
            if held is None:
                raise refused(404, f"01020036:3: The requested {collection} ({names[0]}) was not found.", 3)
        else:
            held = objects.found(self._unit.tree, collection, key_of(collection, names[0]))
        if len(names) == 1:
            return asked.chosen(show.object(collection, held, expand=asked.expand))
        if names[1] == "stats":
            return self._stats(collection, [held])
        part = _part(collection, names)
        if names[-1] == "stats":
            return self._member_stats(held, names[2] if len(names) > 3 else "")
        if len(names) == 2:
            shown = [asked.chosen(one) for one in show.parts(collection, held, part)]
            return show.collection(f"{collection}/{tilde(held['fullPath'])}/{part}", shown,
                                   f"tm:{collection.replace('/', ':')}:{part}:{part}collectionstate")  # fmt: skip
        held, one = objects.find_part(self._unit.tree, collection, held["fullPath"], part, names[2])
        return asked.chosen(show.part(collection, held, part, one))

    def _all(self, collection: str, asked: Query) -> list[Json]:
        if collection == "cm/device":
            return availability.devices(self._unit.group, self._unit)
        if collection == "cm/device-group":
            return availability.device_groups(self._unit.group)
        return self._unit.tree.objects(collection, "" if collection in UNFOLDERED else asked.partition)

    def _write(self, method: str, collection: str, names: tuple[str, ...], body: Any) -> Answer:
        tree, show = self._unit.tree, self._unit.presenter
        if not names:
            if method != "POST":
                raise refused(405, f"{method} is not allowed on a collection", 1)
            return 200, show.object(collection, objects.create(tree, collection, body))
        path = key_of(collection, names[0])
        if len(names) == 1:
            if method == "DELETE":
                objects.remove(tree, collection, path)
                return 200, None
            done = {"PATCH": objects.change, "PUT": objects.replace}.get(method)
            if done is None:
                raise refused(405, f"{method} is not allowed on an object", 1)
            return 200, show.object(collection, done(tree, collection, path, body))
        part = _part(collection, names)
        if len(names) == 2 and method == "POST":
            one = objects.create_part(tree, collection, path, part, body)
        elif len(names) == 3 and method in ("PATCH", "PUT"):
            one = objects.change_part(tree, collection, path, part, names[2], body)
        elif len(names) == 3 and method == "DELETE":
            objects.remove_part(tree, collection, path, part, names[2])
            return 200, None
        else:
            raise refused(405, f"{method} is not allowed here", 1)
        return 200, show.part(collection, objects.found(tree, collection, path), part, one)

    def _stats(self, collection: str, held: list[Json]) -> Json:
        entries: Json = {}
        for one in held:
            link = f"{HOST}/mgmt/tm/{collection}/{tilde(one['fullPath'])}/stats"
            values = {
                "tmName": one["fullPath"],
                "status.availabilityState": self._available(collection, one),
                "status.enabledState": "disabled" if one.get("disabled") else "enabled",
            }
            entries |= stats(link, values)
        last = collection.rpartition("/")[2]
        return {"kind": f"tm:{collection.replace('/', ':')}:{last}collectionstats", "entries": entries}

    def _available(self, collection: str, one: Json) -> str:
        if collection == VIRTUAL and one.get("pool"):
            pool = self._unit.tree.find(POOL, str(one["pool"]))
            return self._available(POOL, pool) if pool else "unknown"
        if collection != POOL or "monitor" not in one:
            return "unknown"
        states = [shown["state"] for shown in self._unit.presenter.parts(POOL, one, "members")]
        return "available" if "up" in states else "offline"

    def _member_stats(self, pool: Json, name: str) -> Json:
        """Of the named member, of all without a name."""
        entries: Json = {}
        for shown in self._unit.presenter.parts(POOL, pool, "members"):
            if name and shown["fullPath"] != full_path(name):
                continue
            up = {"up": "available", "unchecked": "unknown"}.get(shown["state"], "offline")
            enabled = "disabled" if shown["session"] == "user-disabled" else "enabled"
            values = {"addr": shown["address"], "nodeName": shown["fullPath"].rpartition(":")[0],
                      "status.availabilityState": up, "status.enabledState": enabled,
                      "sessionStatus": enabled}  # fmt: skip
            entries |= stats(shown["selfLink"].partition("?")[0] + "/stats", values)
        return {"kind": f"tm:ltm:pool:members:members{'' if name else 'collection'}stats", "entries": entries}

    def _configuration(self, body: Any) -> Answer:
        options = body.get("options", []) if isinstance(body, dict) else []
        file = next((str(one["file"]) for one in options if isinstance(one, dict) and "file" in one), "")
        if isinstance(body, dict) and body.get("command") == "load" and file:
            self._unit.load_script(file)
            return 200, {"kind": "tm:sys:config:loadstate", **body}
        if not isinstance(body, dict) or body.get("command") != "save":
            raise refused(400, "the emulator knows `save`, and `load` of AS3's scripts, of sys/config", 1)
        self._unit.tasks.begin(
            str(self._unit.tasks.create("sys/config", body)["_taskId"]), {"_taskState": "VALIDATING"}
        )
        return 200, {"kind": "tm:sys:config:savestate", **body}

    def _synchronised(self, body: Any) -> Json:
        """The command of a shell, as clients send it: ``config-sync to-group GROUP``."""
        said = body if isinstance(body, dict) else {}
        words = str(said.get("utilCmdArgs", "")).split()
        if said.get("command") != "run" or words[:2] != ["config-sync", "to-group"] or len(words) != 3:
            raise refused(400, "the emulator knows `run` with `config-sync to-group GROUP` of cm", 1)
        group = words[2] if words[2].startswith("/") else f"/Common/{words[2]}"
        self._unit.group.synchronise_to(self._unit, group)
        return {"kind": "tm:cm:runstate", **said}

    # === transactions and tasks ===

    def _transaction(self, method: str, steps: list[str], body: Any) -> Answer:
        held = self._unit.transactions
        if not steps:
            if method != "POST":
                raise refused(405, f"{method} is not allowed on transactions", 1)
            return 200, held.begin()
        if steps[1:] == ["commands"] and method == "GET":
            return 200, {"kind": "tm:transaction:commandscollectionstate", "items": held.one(steps[0]).commands}
        if method == "GET":
            return 200, held.one(steps[0]).shown()
        if method == "DELETE":
            held.drop(steps[0])
            return 200, None
        if method != "PATCH":
            raise refused(405, f"{method} is not allowed on a transaction", 1)
        shown = held.commit(steps[0], body, self._queued)
        self._unit.changed()
        return 200, shown

    def _queued(self, method: str, path: str, body: Any) -> Json:
        bare, _, query = path.removeprefix("/mgmt/tm/").partition("?")
        steps = "/".join(_escaped(step) for step in segments_of(bare))
        _, found = self.run(method, steps, dict(parse_qsl(query)), body)
        return found if isinstance(found, dict) else {}

    def _task(self, method: str, steps: list[str], body: Any) -> Answer:
        held = self._unit.tasks
        if steps and steps[-1].isdigit():
            if self._unit.knobs.task_lost:
                raise refused(404, "Task not found", 1)
            if method == "PUT":
                return 202, held.begin(steps[-1], body)
            if method == "GET":
                return 200, held.one(steps[-1]).shown()
        elif method == "POST":
            return 200, held.create("/".join(steps), body if isinstance(body, dict) else {})
        raise refused(405, f"{method} is not allowed on a task", 1)


def _page(asked: Query, shown: int, total: int) -> Json:
    """What stands beside the items of a page."""
    if not asked.top:
        return {}
    pages = -(-total // asked.top)
    return {
        "currentItemCount": shown, "itemsPerPage": asked.top, "pageIndex": asked.skip // asked.top + 1,
        "startIndex": asked.skip + 1, "totalItems": total, "totalPages": pages,
    }  # fmt: skip


def _part(collection: str, names: tuple[str, ...]) -> str:
    if names[1] not in PARTS.get(collection, ()):
        raise not_registered(f"/tm/{collection}/{names[0]}/{names[1]}")
    return names[1]


def _escaped(step: str) -> str:
    """A name with folders in it keeps its `~`; one that holds a `/` of its own is put in the same form."""
    return step.replace("/", "~")


def _json(body: bytes) -> Any:
    if not body:
        return None
    try:
        return json.loads(body)
    except ValueError:
        raise refused(400, "Found invalid JSON body in the request.", 1) from None
