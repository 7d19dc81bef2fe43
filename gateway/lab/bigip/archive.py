"""AS3's memory: each declaration in a data group of /Common, compressed, the newest few kept.

The device itself holds them, so that config-sync carries them to the other unit and a hand that deletes one is felt.
"""

from __future__ import annotations

import base64
import hashlib
import json
import zlib
from datetime import UTC, datetime
from typing import Final

from gateway.lab.bigip.collections import DATA_GROUP
from gateway.lab.bigip.refusals import Json
from gateway.lab.bigip.tree import Tree

PREFIX: Final = "____appsvcs_declaration-"
MOST: Final = 4
BLOCK: Final = 65000  # characters of a record


def compact(value: object) -> str:
    """As JavaScript's `JSON.stringify` writes it."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def lock_key(tenant: Json) -> str:
    """Of a tenant as stored, without a key in it."""
    text = compact({name: value for name, value in tenant.items() if name != "optimisticLockKey"})
    return base64.b64encode(hashlib.sha256(base64.b64encode(text.encode())).digest()).decode()


def when(millis: int) -> str:
    return datetime.fromtimestamp(millis / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def tenants_of(declaration: Json) -> dict[str, Json]:
    return {
        name: part for name, part in declaration.items() if isinstance(part, dict) and part.get("class") == "Tenant"
    }


def store(tree: Tree, declaration: Json, millis: int) -> None:
    """Keep it as the newest; the oldest go beyond the declaration's own limit."""
    while tree.find(DATA_GROUP, f"/Common/{PREFIX}{millis}") is not None:
        millis += 1
    coded = base64.b64encode(zlib.compress(compact(declaration).encode())).decode()
    blocks = [coded[at : at + BLOCK] for at in range(0, len(coded), BLOCK)]
    about = (f"date^{when(millis)}|id^{declaration.get('id', '')}|tenants^{','.join(tenants_of(declaration))}"
             f"|blocks^{len(blocks)}")  # fmt: skip
    records = [{"name": str(number), "data": text} for number, text in enumerate([about, *blocks])]
    values = {"description": "f5 AS3 declaration (see info in record 0)", "type": "integer", "records": records}
    tree.put(DATA_GROUP, f"/Common/{PREFIX}{millis}", values)
    for old in _newest_first(tree)[int(declaration.get("historyLimit", MOST)) :]:
        tree.drop(DATA_GROUP, old["fullPath"])


def latest(tree: Tree, age: int = 0) -> Json | None:
    """The declaration of that age, 0 the newest; None where there is none."""
    kept = _newest_first(tree)
    if age >= len(kept):
        return None
    coded = "".join(record["data"] for record in kept[age]["records"][1:])
    found: Json = json.loads(zlib.decompress(base64.b64decode(coded)))
    return found


def listing(tree: Tree) -> list[Json]:
    """What `?age=list` shows."""
    shown = []
    for age, kept in enumerate(_newest_first(tree)):
        millis = _millis(kept)
        values = {key: kept[key] for key in ("partition", "fullPath", "name", "description", "type", "records")}
        shown.append({**values, "timestamp": millis, "date": when(millis), "age": age})
    return shown


def _newest_first(tree: Tree) -> list[Json]:
    kept = [group for group in tree.objects(DATA_GROUP, "Common") if group["name"].startswith(PREFIX)]
    return sorted(kept, key=_millis, reverse=True)


def _millis(group: Json) -> int:
    return int(group["name"].removeprefix(PREFIX))
