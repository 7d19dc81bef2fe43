"""The device's objects, by collection and full path.

Values are never changed in place: a write puts a new dictionary, so that a snapshot costs one shallow copy of each
collection and a transaction is undone by putting the snapshot back. `generation` is a counter of the whole device.
"""

from __future__ import annotations

from collections.abc import Iterator

from gateway.lab.bigip.collections import FOLDER, PARTITION
from gateway.lab.bigip.refusals import Json

Held = dict[str, dict[str, Json]]


class Tree:
    def __init__(self) -> None:
        self._held: Held = {}
        self.generation = 1

    def collections(self) -> list[str]:
        return sorted(self._held)

    def objects(self, collection: str, partition: str = "") -> list[Json]:
        """In the order of their paths, as a device lists them."""
        held = self._held.get(collection, {})
        return [held[path] for path in sorted(held) if not partition or held[path].get("partition") == partition]

    def find(self, collection: str, path: str) -> Json | None:
        return self._held.get(collection, {}).get(path)

    def find_any(self, prefix: str, path: str) -> Json | None:
        """In any collection whose name begins so: a profile or a monitor of whatever kind."""
        for collection, held in self._held.items():
            if collection.startswith(prefix) and path in held:
                return held[path]
        return None

    def put(self, collection: str, path: str, values: Json) -> Json:
        self.generation += 1
        kept = {**named(collection, path), **values, "generation": self.generation}
        self._held.setdefault(collection, {})[path] = kept
        return kept

    def drop(self, collection: str, path: str) -> None:
        self.generation += 1
        self._held.get(collection, {}).pop(path, None)

    def within(self, partition: str) -> Iterator[tuple[str, str, Json]]:
        """Collection, path and values of all that lies in a partition, the partition's own folder aside."""
        for collection in self.collections():
            if collection == PARTITION:
                continue
            for path, values in list(self._held[collection].items()):
                if values.get("partition") == partition:
                    yield collection, path, values

    def snapshot(self) -> Held:
        return {collection: dict(held) for collection, held in self._held.items()}

    def restore(self, held: Held) -> None:
        """Put a snapshot back; the counter goes on, as a device's does."""
        self._held = {collection: dict(objects) for collection, objects in held.items()}
        self.generation += 1


def named(collection: str, path: str) -> Json:
    """Name, partition, folder and full path of an object."""
    if not path.startswith("/"):
        return {"name": path, "fullPath": path}
    if collection == FOLDER:
        parts = path.strip("/").split("/")
        return {"name": parts[-1], **({"partition": parts[0]} if len(parts) > 1 else {}), "fullPath": path}
    parts = path[1:].split("/")
    values = {"name": parts[-1], "partition": parts[0], "fullPath": path}
    if len(parts) > 2:
        values["subPath"] = "/".join(parts[1:-1])
    return values
