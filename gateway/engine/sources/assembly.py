"""All entities of a catalog together: relations followed, annotations and definitions joined, facts made.

An exposure is quarantined, alone, when it cannot be read (its last good route stays, within the operator's lists as
they are now); all of a service are when a definition cannot be read and its last good operations stand in. Losing a
definition never turns a service into one "without a definition", which would open every path.

People, teams and services are remembered by everything they were made from: what did not change is the very same
object again, and so costs nothing further on.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from gateway import config
from gateway.engine.sources.annotations import Said, read_annotations
from gateway.engine.sources.entities import Entity
from policy.claims import claimable, key_of
from policy.facts import Catalog, Exposure, Operation, Person, Service, Team
from policy.reading import Fault

Relations = Mapping[tuple[str, str], Sequence[str]]  # (ref, relation) -> target refs


class Facts(NamedTuple):
    catalog: Catalog
    faults: tuple[Fault, ...]
    quarantined: frozenset[str]  # keys of exposures that keep something of their last good form


@dataclass(frozen=True, slots=True)
class Bounds:
    """What the operator lets the catalog say."""

    environments: Mapping[str, config.Environment]
    central_host: str = ""


class _Made(NamedTuple):
    key: tuple[object, ...]
    fact: Person | Team | Service
    faults: tuple[Fault, ...] = ()
    quarantined: frozenset[str] = frozenset()  # environments


class Assembler:
    """Makes facts; remembers services between calls."""

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._made: dict[str, _Made] = {}

    def facts(self, entities: Mapping[str, Entity], routes: Mapping[str, tuple[Exposure, ...]]) -> Facts:
        """``routes``: the exposures of each service as they were published last."""
        relations = _relations(entities)
        services: dict[str, Service] = {}
        people: dict[str, Person] = {}
        teams: dict[str, Team] = {}
        made: dict[str, _Made] = {}
        for ref in sorted(entities):
            entity = entities[ref]
            if entity.kind in ("user", "group") or (entity.kind == "component" and entity.annotations):
                one = made[ref] = self._one(entity, entities, relations, routes)
                match one.fact:
                    case Service() as service:
                        services[ref] = service
                    case Person() as person:
                        people[ref] = person
                    case Team() as team:
                        teams[ref] = team
        self._made = made
        faults = [fault for one in made.values() for fault in one.faults]
        faults += [fault for entity in entities.values() for fault in _definition_faults(entity)]
        quarantined = frozenset(key_of(ref, name) for ref, one in made.items() for name in one.quarantined)
        return Facts(Catalog(people, teams, services), tuple(dict.fromkeys(faults)), quarantined)

    def _one(
        self,
        entity: Entity,
        entities: Mapping[str, Entity],
        relations: Relations,
        routes: Mapping[str, tuple[Exposure, ...]],
    ) -> _Made:
        ref = entity.ref
        known = self._made.get(ref)
        if entity.kind == "component":
            return self._service(entity, entities, relations, routes.get(ref, ()), known)
        above = tuple(relations.get((ref, "memberOf" if entity.kind == "user" else "childOf"), ()))
        key = (entity.digest, above)
        if known is not None and known.key == key:
            return known
        kind = Person if entity.kind == "user" else Team
        return _Made(key, kind(ref, entity.title, above, entity.fields, entity.source))

    def _service(
        self,
        entity: Entity,
        entities: Mapping[str, Entity],
        relations: Relations,
        routes: tuple[Exposure, ...],
        known: _Made | None,
    ) -> _Made:
        provides = tuple(relations.get((entity.ref, "providesApi"), ()))
        apis = tuple(entities.get(ref) for ref in provides)
        owner, owner_faults = _owner(entity, entities, relations)
        system, domain = _place(entity, relations)
        consumes = tuple(relations.get((entity.ref, "consumesApi"), ()))
        key: tuple[object, ...] = (
            entity.digest, owner, system, domain, provides, consumes,
            tuple(api.digest if api is not None else "" for api in apis),
        )  # fmt: skip
        if known is not None and known.key == key:
            return known
        said = read_annotations(entity, self._bounds.environments, self._bounds.central_host)
        last = [each for each in routes if each.environment in said.broken and self._is_allowed(each)]
        service = Service(
            ref=entity.ref,
            title=entity.title,
            type=entity.type,
            owner=owner,
            system=system,
            domain=domain,
            tags=entity.tags,
            access=said.access,
            allow_groups=said.allow_groups,
            allow_consumers=said.allow_consumers,
            provides=provides,
            consumes=consumes,
            client_ids=said.client_ids,
            exposures=(*said.exposures, *last),
            operations=_operations(apis, said),
            has_definition=any(api is None or _is_openapi(api) for api in apis),
            options=said.options,
            cors=said.cors,
            annotations=entity.annotations,
            source=entity.source,
        )
        faults = (*said.faults, *owner_faults, *_api_faults(entity, provides, apis))
        if said.broken:
            key = (*key, object())  # what stands in depends on what was published last: made anew each time
        is_kept = any(api is not None and api.definition is not None and api.definition.kept for api in apis)
        everywhere = frozenset(each.environment for each in service.exposures)
        return _Made(key, service, faults, everywhere if is_kept else said.broken)

    def _is_allowed(self, exposure: Exposure) -> bool:
        bounds = self._bounds.environments.get(exposure.environment)
        if bounds is None or exposure.host == self._bounds.central_host:
            return False
        return not claimable(exposure, bounds.hosts, bounds.upstreams)


def _relations(entities: Mapping[str, Entity]) -> Relations:
    """Every edge, whichever side said it, once and in order."""
    found: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    for entity in entities.values():
        for origin, relation, target in entity.edges:
            found[origin, relation].add(target)
    return {key: sorted(targets) for key, targets in found.items()}


def _owner(entity: Entity, entities: Mapping[str, Entity], relations: Relations) -> tuple[str, list[Fault]]:
    """The owning team. A person cannot own a service here, and a team that is not in the catalog owns nothing."""
    owners = relations.get((entity.ref, "ownedBy"), ())
    teams = [ref for ref in owners if ref.startswith("group:") and ref in entities]
    if len(teams) == 1:
        return teams[0], []
    if not owners:
        message = "has no owner: nobody reaches it as its owner"
    elif teams:
        message = f"has several owners: {', '.join(f'`{ref}`' for ref in teams)}: none of them reaches it as its owner"
    else:
        message = f"owner `{owners[0]}` is no team of the catalog: nobody reaches it as its owner"
    hint = "a bare name means the entity's own namespace; write `group:default/name`" if owners and not teams else ""
    return "", [Fault(entity.source, f"`{entity.ref}` {message}", hint, "warning")]


def _place(entity: Entity, relations: Relations) -> tuple[str, str]:
    """System and domain: what the entity says, whether or not they are described, so a deny rule on them holds."""
    part_of = relations.get((entity.ref, "partOf"), ())
    system = next((ref for ref in part_of if ref.startswith("system:")), "")
    above = relations.get((system, "partOf"), ()) if system else ()
    domain = next((ref for ref in (*part_of, *above) if ref.startswith("domain:")), "")
    return system, domain


def _is_openapi(api: Entity) -> bool:
    return api.definition is not None and api.definition.openapi


def _api_faults(entity: Entity, provides: Sequence[str], apis: Sequence[Entity | None]) -> list[Fault]:
    faults = []
    for ref, api in zip(provides, apis, strict=True):
        if api is None:
            message = f"`{entity.ref}` provides `{ref}`, which is not in the catalog: its operations are unknown"
            faults.append(Fault(entity.source, message, "a bare name means the entity's own namespace", "warning"))
        elif api.definition is not None and not api.definition.openapi:
            message = f"`{ref}` is no OpenAPI: `{entity.ref}` is guarded as a whole where it has no other definition"
            faults.append(Fault(api.source, message, "", "warning"))
    return faults


def _definition_faults(entity: Entity) -> Sequence[Fault]:
    return entity.definition.faults if entity.definition is not None else ()


def _operations(apis: Sequence[Entity | None], said: Said) -> tuple[Operation, ...]:
    """Of all readable definitions, then what `paths` and `public` declare beside them."""
    found = [
        operation
        for api in apis
        if api is not None and api.definition is not None
        for operation in api.definition.operations
    ]
    public = {(each.method, each.template) for each in said.declared if each.public}
    known = {(each.method, each.template) for each in found}
    found = [replace(each, public=True) if (each.method, each.template) in public else each for each in found]
    for declared in said.declared:
        where = (declared.method, declared.template)
        if where not in known:
            known.add(where)
            found.append(replace(declared, public=where in public))
    return tuple(found)
