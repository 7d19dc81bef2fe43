"""Who stands in which relation to whom, over all entities: every edge once and in order, whichever side said it.

The index lives as long as the engine and is told what entities no longer say and what they say now, so that one edited
entry costs its own edges and not those of the whole company.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from gateway.engine.sources.entities import Entity

Related = tuple[str, str]  # ref, relation
Relations = Mapping[Related, tuple[str, ...]]  # -> refs


class RelationIndex(Mapping[Related, tuple[str, ...]]):
    def __init__(self) -> None:
        self._said: dict[Related, tuple[str, ...]] = {}  # sorted, each target as often as somebody says it

    def take(self, before: Iterable[Entity], after: Iterable[Entity]) -> set[Related]:
        """These are not said any more, those are. Returns what leads elsewhere now."""
        drafts: dict[Related, list[str]] = {}
        for entity in before:
            for origin, relation, target in entity.edges:
                self._draft((origin, relation), drafts).remove(target)
        for entity in after:
            for origin, relation, target in entity.edges:
                self._draft((origin, relation), drafts).append(target)
        return {key for key, targets in drafts.items() if self._settle(key, targets)}

    def _draft(self, key: Related, drafts: dict[Related, list[str]]) -> list[str]:
        found = drafts.get(key)
        if found is None:
            found = drafts[key] = list(self._said.get(key, ()))
        return found

    def _settle(self, key: Related, targets: list[str]) -> bool:
        before = self._said.get(key, ())
        if targets:
            self._said[key] = tuple(sorted(targets))
        else:
            self._said.pop(key, None)
        return frozenset(before) != frozenset(targets)

    def __getitem__(self, key: Related) -> tuple[str, ...]:
        targets = self._said[key]
        return targets if len(targets) == 1 else tuple(dict.fromkeys(targets))

    def __iter__(self) -> Iterator[Related]:
        return iter(self._said)

    def __len__(self) -> int:
        return len(self._said)
