"""All entities of a catalog together: relations followed, annotations and definitions joined, facts made.

An exposure is quarantined, alone, when it cannot be read (its last good route stays, within the operator's lists as
they are now); all of a service are when a definition cannot be read and its last good operations stand in. Losing a
definition never turns a service into one "without a definition", which would open every path.

What a service is made from is noted while it is made, so only what a change bears on is made again; all else is the
very same object, and so costs nothing further on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, TypeVar

from gateway import config
from gateway.engine.sources.annotations import Said, read_annotations
from gateway.engine.sources.complaints import TOLD
from gateway.engine.sources.entities import Entity
from gateway.engine.sources.instances import instance_faults
from gateway.engine.sources.owners import owner_of
from gateway.engine.sources.refs import full_ref, namespace_of
from gateway.engine.sources.relations import RelationIndex, Relations
from policy.claims import claimable, key_of
from policy.facts import Catalog, Exposure, Operation, Person, Service, Team
from policy.paths import Template, template_of
from policy.reading import Fault
from policy.tracking import WHOLE, Comparison, Ledger, Tracked

Fact = TypeVar("Fact")


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
    fact: Person | Team | Service
    faults: tuple[Fault, ...] = ()
    quarantined: frozenset[str] = frozenset()  # environments
    is_broken: bool = False  # what stands in depends on what was published last: made anew each time


class Assembler:
    """Makes facts; remembers all of them between calls. A call that failed half-way is not built upon."""

    def __init__(self, bounds: Bounds, comparison: Comparison[str, Entity] | None = None) -> None:
        self._bounds = bounds
        self._comparison = comparison or Comparison()
        self._forget_all()

    def _forget_all(self) -> None:
        self._is_sound = True
        self._entities: Mapping[str, Entity] = {}
        self._relations = RelationIndex()
        self._ledger = Ledger()
        self._made: dict[str, _Made] = {}
        self._broken: set[str] = set()  # services that are made anew each time
        self._noted: dict[str, tuple[Fault, ...]] = {}  # by ref, where there are faults
        self._quarantined: dict[str, frozenset[str]] = {}  # ref -> environments, where there are some
        self._catalog = Catalog({}, {}, {})

    def facts(self, entities: Mapping[str, Entity], routes: Mapping[str, tuple[Exposure, ...]]) -> Facts:
        """``routes``: the exposures of each service as they were published last. ``entities`` never changes after."""
        if not self._is_sound:
            self._forget_all()
        self._is_sound = False
        differing = self._comparison.differing(self._entities, entities)
        changed = [ref for ref in differing if not self._says_the_same(ref, entities)]
        stale = self._stale(changed, entities)
        for ref in stale:
            self._forget(ref)
        tracked = Tracked(entities, self._ledger), Tracked(self._relations, self._ledger)
        fresh = {ref: self._make(entities[ref], *tracked, routes) for ref in sorted(stale) if ref in entities}
        self._take({ref: one for ref, one in fresh.items() if one is not None}, stale)
        self._entities = entities
        self._is_sound = True
        faults = tuple(fault for _, noted in sorted(self._noted.items()) for fault in noted)
        quarantined = frozenset(key_of(ref, name) for ref, names in self._quarantined.items() for name in names)
        return Facts(self._catalog, tuple(dict.fromkeys(faults)), quarantined)

    def _says_the_same(self, ref: str, entities: Mapping[str, Entity]) -> bool:
        """Whether an entity that was read again is what it was, faults of its definition included."""
        before, after = self._entities.get(ref), entities.get(ref)
        if before is None or after is None or before.digest != after.digest:
            return False
        return _definition_faults(before) == _definition_faults(after)

    def _stale(self, changed: list[str], entities: Mapping[str, Entity]) -> set[str]:
        """Everything that something changed for, itself included."""
        before = [self._entities[ref] for ref in changed if ref in self._entities]
        after = [entities[ref] for ref in changed if ref in entities]
        turned = self._relations.take(before, after)
        touched = {*changed, *turned}
        if len(before) != len(changed) or len(after) != len(changed):
            touched.add(WHOLE)
        return self._ledger.readers(touched) | {*changed, *(origin for origin, _ in turned)} | self._broken

    def _forget(self, ref: str) -> None:
        self._ledger.forget(ref)
        self._broken.discard(ref)
        self._noted.pop(ref, None)
        self._quarantined.pop(ref, None)

    def _make(
        self,
        entity: Entity,
        entities: Mapping[str, Entity],
        relations: Relations,
        routes: Mapping[str, tuple[Exposure, ...]],
    ) -> _Made | None:
        """What the entity is here, noting its faults; None when it is nothing by itself."""
        noted = tuple(_definition_faults(entity))
        one = None
        if entity.kind == "component" and entity.annotations:
            self._ledger.begin()
            one = self._service(entity, entities, relations, routes.get(entity.ref, ()))
            self._ledger.end(entity.ref)
            noted = (*one.faults, *noted)
        elif entity.kind in ("user", "group"):
            above = self._relations.get((entity.ref, "memberOf" if entity.kind == "user" else "childOf"), ())
            kind = Person if entity.kind == "user" else Team
            one = _Made(kind(entity.ref, entity.title, above, entity.fields, entity.source))
        if noted:
            self._noted[entity.ref] = noted
        return one

    def _take(self, fresh: Mapping[str, _Made], stale: set[str]) -> None:
        """Change the catalog: the kinds of which nothing differs stay the very same objects."""
        kinds: dict[type[Person | Team | Service], dict[str, Person | Team | Service | None]] = {}
        for ref in stale:
            known, made = self._made.pop(ref, None), fresh.get(ref)
            if made is not None:
                if known is not None and known.fact == made.fact:
                    made = made._replace(fact=known.fact)
                self._made[ref] = made
                if made.is_broken:
                    self._broken.add(ref)
                if made.quarantined:
                    self._quarantined[ref] = made.quarantined
            was, now = known and known.fact, made and made.fact
            if was is not now:
                kinds.setdefault(type(was or now), {})[ref] = now  # type: ignore[arg-type]  # one of them is there
        people, teams, services = self._catalog.people, self._catalog.teams, self._catalog.services
        self._catalog = Catalog(
            _changed(people, kinds.get(Person)), _changed(teams, kinds.get(Team)),
            _changed(services, kinds.get(Service)),
        )  # fmt: skip

    def _service(
        self, entity: Entity, entities: Mapping[str, Entity], relations: Relations, routes: tuple[Exposure, ...]
    ) -> _Made:
        provides = tuple(relations.get((entity.ref, "providesApi"), ()))
        apis = tuple(entities.get(ref) for ref in provides)
        owner, owner_faults = owner_of(entity, entities, relations)
        system, domain = _place(entity, relations)
        consumes = tuple(relations.get((entity.ref, "consumesApi"), ()))
        base, base_owner = _base(entity, entities, relations)
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
            instance=said.instance and replace(said.instance, agreed=bool(owner) and owner == base_owner),
            approvers=said.approvers,
            longest_s=said.longest_s,
            virtual_addresses=said.virtual_addresses,
            addresses=said.addresses,
        )
        faults = (*said.faults, *owner_faults, *_api_faults(entity, provides, apis))
        faults += instance_faults(entity, service.instance, base)
        is_kept = any(api is not None and api.definition is not None and api.definition.kept for api in apis)
        everywhere = frozenset(each.environment for each in service.exposures)
        return _Made(service, faults, everywhere if is_kept else said.broken, bool(said.broken))

    def _is_allowed(self, exposure: Exposure) -> bool:
        bounds = self._bounds.environments.get(exposure.environment)
        if bounds is None or exposure.host == self._bounds.central_host:
            return False
        return not claimable(exposure, bounds.hosts, bounds.upstreams)


def _changed(known: Mapping[str, Fact], changes: Mapping[str, Any] | None) -> Mapping[str, Fact]:
    """The same with some others, None for those that are gone; in order of refs."""
    if not changes:
        return known
    found = {**known, **changes}
    if len(found) > len(known):
        found = dict(sorted(found.items()))
    return {ref: fact for ref, fact in found.items() if fact is not None} if None in changes.values() else found


def _base(entity: Entity, entities: Mapping[str, Entity], relations: Relations) -> tuple[Entity | None, str]:
    """The component that `instance-of` names, and who owns that."""
    text = entity.annotations.get("instance-of", "")
    base = entities.get(full_ref(text, "component", namespace_of(entity.ref))) if text else None
    return base, owner_of(base, entities, relations)[0] if base is not None else ""


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
    for ref, api in zip(provides[:TOLD], apis[:TOLD], strict=True):
        if api is None:
            message = f"`{entity.ref}` provides `{ref}`, which is not in the catalog: none of its operations is open"
            todo = "correct `spec.providesApis`; a bare name means the entity's own namespace"
            faults.append(Fault(entity.source, message, todo, "warning"))
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
    public = {_where(each) for each in said.declared if each.public}
    known = {_where(each) for each in found}
    found = [replace(each, public=True) if _where(each) in public else each for each in found]
    for declared in said.declared:
        where = _where(declared)
        if where not in known:
            known.add(where)
            found.append(replace(declared, public=where in public))
    return tuple(found)


def _where(operation: Operation) -> tuple[str, Template]:
    """What tells two operations apart: how their variables are called does not."""
    return (operation.method, template_of(operation.template))
