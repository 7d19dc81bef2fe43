"""The directory's frames from one catalog to the next: only blocks in which somebody changed are made again.

`policy.directory.directory_frames` says the same of one catalog in fewer lines and is the definition; a property test
holds the two together over random histories.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from policy.directory import AMBIGUOUS, EMAIL_FIELD, Key, KeyBlock, Kind, PeopleBlock, block_of, directory_frames
from policy.facts import Catalog, KeyField, Person, Service, Team
from policy.tracking import differing


class DirectoryFrames:
    """Makes the frames of one catalog after the other: those anew in which something changed."""

    def __init__(self, key_fields: Iterable[KeyField], environments: tuple[str, ...]) -> None:
        self._key_fields = sorted(set(key_fields), key=repr)
        self._environments = environments
        self._catalog: Catalog | None = None
        self._people: dict[str, set[str]] = {}  # block -> refs
        self._holders: dict[str, dict[Key, dict[str, tuple[str, ...]]]] = {}  # block -> key -> value -> refs

    def take(self, catalog: Catalog) -> dict[str, Any]:
        """What differs from the catalog before: frames by name, None for one that is gone."""
        last, self._catalog = self._catalog, catalog
        before = last or Catalog({}, {}, {})
        frames = self._take_people(before, catalog)
        touched: set[str] = set()
        pairs: tuple[tuple[Kind, Any, Any], ...] = (
            ("person", before.people, catalog.people), ("team", before.teams, catalog.teams),
        )  # fmt: skip
        for kind, was, now in pairs:
            for ref in differing(was, now):
                touched |= self._take_keys(kind, ref, was.get(ref), now.get(ref))
        frames |= {f"keys/{block}": self._key_block(block) for block in sorted(touched)}
        if last is None or before.teams is not catalog.teams:
            frames["teams"] = {
                ref: tuple(sorted(parent for parent in set(team.parents) if parent in catalog.teams))
                for ref, team in sorted(catalog.teams.items())
            }
        if last is None or _clients_differ(before.services, catalog.services):
            frames["workloads"] = directory_frames(_services_of(catalog), (), self._environments)["workloads"]
        return frames

    def _take_people(self, before: Catalog, after: Catalog) -> dict[str, Any]:
        changed = set(differing(before.people, after.people))
        turned = before.teams.keys() ^ after.teams.keys() if before.teams is not after.teams else set()
        if turned:
            changed.update(ref for ref, person in after.people.items() if not turned.isdisjoint(person.member_of))
        touched = {block_of(ref) for ref in changed}
        for ref in changed:
            block = self._people.setdefault(block_of(ref), set())
            (block.add if ref in after.people else block.discard)(ref)
        return {f"people/{block}": self._people_block(block, after) for block in sorted(touched)}

    def _people_block(self, block: str, catalog: Catalog) -> PeopleBlock | None:
        people = ((ref, catalog.people[ref]) for ref in sorted(self._people[block]))
        found = {
            ref: tuple(sorted(team for team in set(person.member_of) if team in catalog.teams))
            for ref, person in people
        }
        return found or None

    def _take_keys(self, kind: Kind, ref: str, was: Person | Team | None, now: Person | Team | None) -> set[str]:
        """The blocks in which a person or a team stands now, or stood and does no more."""
        touched = set()
        for key, value in self._keys_of(kind, was):
            block = block_of(value.casefold())
            held = self._holders[block][key]
            refs = tuple(each for each in held.pop(value) if each != ref)
            if refs:
                held[value] = refs
            touched.add(block)
        for key, value in self._keys_of(kind, now):
            block = block_of(value.casefold())
            held = self._holders.setdefault(block, {}).setdefault(key, {})
            held[value] = (*held.get(value, ()), ref)
            touched.add(block)
        return touched

    def _keys_of(self, kind: Kind, entity: Person | Team | None) -> Iterator[tuple[Key, str]]:
        """The values that tokens may mean it by, each once under its key."""
        found: set[tuple[Key, str]] = set()
        for each in self._key_fields if entity is not None else ():
            value = entity.fields.get(each.field, "") if each.kind == kind and entity is not None else ""
            if value:
                folded = each.field == EMAIL_FIELD
                found.add(((kind, each.issuer, each.claim, folded), value.casefold() if folded else value))
        yield from found

    def _key_block(self, block: str) -> KeyBlock | None:
        found = {
            key: {value: refs[0] if len(refs) == 1 else AMBIGUOUS for value, refs in sorted(held.items())}
            for key, held in sorted(self._holders[block].items())
            if held
        }
        return found or None


def _clients_differ(before: Mapping[str, Service], after: Mapping[str, Service]) -> bool:
    nothing: Mapping[str, str] = {}
    return any(
        (before[ref].client_ids if ref in before else nothing) != (after[ref].client_ids if ref in after else nothing)
        for ref in differing(before, after)
    )


def _services_of(catalog: Catalog) -> Catalog:
    return Catalog({}, {}, catalog.services)
