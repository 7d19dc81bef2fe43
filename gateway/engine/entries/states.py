"""What became of each entry of the catalog: published, held, refused or not seen, in sentences for its owner.

`published`: all of it counts as the catalog says it now. `held`: something of it does not, and an older or smaller form
counts. `refused`: nothing of it counts. `not_seen`: no catalog holds it, or it says nothing to us. The state of an
entity is the worst of its exposures and of itself.

Nothing is worked out here that the round did not: a state is read off what is at the doors and the faults that name the
entity (`Fault.source.entity`) or one of its exposures (`Fault.environment`). An exposure with an error that is at the
doors all the same is held; one that is not at the doors is refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Final, Literal, NamedTuple

from gateway.engine.entries.causes import ADMINISTRATORS, OWNER, Note, causes, noted, unseen
from gateway.engine.entries.neighbours import neighbours
from gateway.engine.entries.remarks import remarks
from gateway.engine.ground import Ground, owners_of
from gateway.engine.sentences import joined, listed, numbered
from gateway.engine.sources.entities import KINDS, Entity
from policy.claims import NOBODY, key_of
from policy.facts import Exposure, Service, Source
from policy.reading import did_you_mean

State = Literal["published", "held", "refused", "not_seen"]
STATES: Final[tuple[State, ...]] = ("published", "held", "refused", "not_seen")  # from good to bad
_SHOWN: Final = 40  # characters of a word that somebody made up
_NAMED: Final = 10  # environments that nobody knows, and things that do not count


class Place(NamedTuple):
    """A service in one environment. ``url`` is where people reach it, "" when it says no place that could be read."""

    environment: str
    state: State
    url: str
    upstreams: tuple[str, ...]
    sentence: str
    notes: tuple[Note, ...]


class Needed(NamedTuple):
    """What an entity depends on and what does not count as it is said. ``relation``: `owner`, `system` or `api`."""

    relation: str
    ref: str
    state: State
    sentence: str


class Standing(NamedTuple):
    """What became of one entity. ``owners``: whose it is, as far as they exist."""

    ref: str
    title: str
    state: State
    sentence: str
    source: Source
    owners: tuple[str, ...]
    places: tuple[Place, ...] = ()
    notes: tuple[Note, ...] = ()
    needs: tuple[Needed, ...] = ()

    @property
    def kind(self) -> str:
        return self.ref.partition(":")[0]


class States:
    """Those of one round. Not ``in_words``: who counts what is left out, and what an entity stands on, for which all
    people and services are walked through."""

    def __init__(self, ground: Ground, *, in_words: bool = True) -> None:
        self._ground = ground
        self._in_words = in_words
        self._order = {name: position for position, name in enumerate(ground.settings.environments)}

    def all(self) -> Iterator[Standing]:
        """Of who names us, and of whoever there is something to say of, in order of refs."""
        return (self.of(ref) for ref in self._ground.spoken_of)

    def of(self, ref: str) -> Standing:
        """Of any entity, whether or not a catalog holds it."""
        entity = self._ground.said.get(ref)
        if entity is None:
            return self._formless(ref)
        notes = (*causes(ref, self._ground), *self._own_notes(ref))
        if entity.kind != "component":
            return self._plain(entity, notes)
        if not entity.annotations:
            sentence = "It says nothing to Stagedoor: no annotation, so it is not exposed."
            return self._standing(entity, "not_seen", sentence, notes)
        return self._component(entity, notes)

    # ---- one entity ----

    def _own_notes(self, ref: str) -> Iterator[Note]:
        """The faults about the entity as a whole."""
        return (noted(fault) for fault in self._ground.faults_of.get(ref, ()) if not fault.environment)

    def _formless(self, ref: str) -> Standing:
        """Of what no readable form is known."""
        notes = (*causes(ref, self._ground), *self._own_notes(ref))
        kind = ref.partition(":")[0]
        if any(note.holds for note in notes):
            source = next((note.source for note in notes if note.source.file), Source(""))
            owners = self._somebody(self._ground.pull.owners.get(ref, ()))
            return Standing(ref, "", "refused", "Nothing of it counts.", source, owners, notes=notes)
        if kind not in KINDS:
            sentence = f"Entities of kind `{kind}` are not read: only a Component is exposed."
            return Standing(ref, "", "not_seen", sentence, Source(""), ())
        notes = (*notes, *unseen(self._ground))
        return Standing(ref, "", "not_seen", "No catalog that is read holds it.", Source(""), (), notes=notes)

    def _somebody(self, refs: Iterable[str]) -> tuple[str, ...]:
        """The teams and people among them that exist."""
        return tuple(ref for ref in refs if ref in self._ground.entities and ref.startswith(("group:", "user:")))

    def _standing(
        self, entity: Entity, state: State, sentence: str, notes: tuple[Note, ...], places: tuple[Place, ...] = ()
    ) -> Standing:
        owners = self._somebody(owners_of(entity))
        is_needy = self._in_words and (entity.annotations or entity.kind == "api")
        needs = tuple(islice(self._needs(entity), _NAMED)) if is_needy else ()
        return Standing(entity.ref, entity.title, state, sentence, entity.source, owners, places, notes, needs)

    def _plain(self, entity: Entity, notes: tuple[Note, ...]) -> Standing:
        """Of what is not exposed itself."""
        held = any(note.holds for note in notes)
        if entity.ref not in self._ground.entities:
            return self._standing(entity, "held", "It does not count yet.", notes)
        definition = entity.definition
        if definition is not None and definition.broken and definition.faults:
            return self._standing(entity, "refused", "None of its operations is known.", notes)
        sentence = "An older form of it counts." if held else self._counts(entity) if self._in_words else ""
        return self._standing(entity, "held" if held else "published", sentence, notes)

    def _counts(self, entity: Entity) -> str:
        ref = entity.ref
        match entity.kind:
            case "api" if entity.definition is not None and not entity.definition.openapi:
                return "It is no OpenAPI: its operations are not read."
            case "api":
                services = self._ground.providers.get(ref, ())
                known = entity.definition.operations if entity.definition is not None else ()
                said = listed(services) if services else "no service that is exposed"
                return f"It counts with {numbered(len(known), 'operation')}, provided by {said}."
            case "group":
                owned = self._ground.owned[ref]
                people = len(self._ground.members.get(ref, ()))
                verb = "is" if people == 1 else "are"
                counted = numbered(people, "person", "people")
                return f"It counts: {counted} {verb} in it directly, it owns {numbered(owned, 'service')} here."
            case "user":
                person = self._ground.compiled.catalog.people.get(ref) if self._ground.compiled else None
                teams = self._somebody(person.member_of if person is not None else ())
                return f"It counts, in {listed(teams)}." if teams else "It counts, and is in no team."
            case _:
                return "It counts."

    # ---- components ----

    def _component(self, entity: Entity, notes: tuple[Note, ...]) -> Standing:
        service = self._ground.services.get(entity.ref)
        if service is None:
            return self._standing(entity, "held", "It does not count yet.", notes)
        holding = any(note.holds for note in notes)
        apis = tuple(self._api_notes(service))
        places = tuple(self._places(service, apis, is_held=holding))
        notes = (*notes, *apis, *remarks(service))
        if not places:
            state: State = "held" if any(note.holds for note in notes) else "published"
            sentence = "It is not exposed: it names no environment." if state == "published" else "It is not exposed."
            return self._standing(entity, state, sentence, notes)
        own: tuple[State, ...] = ("held",) if holding else ()
        state = max((*own, *(place.state for place in places)), key=STATES.index)
        warned = sum(not note.holds and note.severity == "warning" for note in (*notes, *_of_all(places)))
        return self._standing(entity, state, _of_places(places, warned), notes, places)

    def _places(self, service: Service, apis: Iterable[Note], *, is_held: bool) -> Iterator[Place]:
        faults = self._ground.faults_of.get(service.ref, ())
        exposures = {each.environment: each for each in service.exposures}
        unknown = _unknown(self._ground.said[service.ref], self._order)
        names = exposures.keys() | unknown | {fault.environment for fault in faults if fault.environment}
        smaller = is_held or any(note.holds for note in apis)
        for name in sorted(names, key=lambda each: (self._order.get(each, len(self._order)), each)):
            there = self._ground.published.get(key_of(service.ref, name))
            exposure = there.exposure if there is not None else exposures.get(name)
            rivals = () if there is not None or exposure is None else self._holders(service, exposure)
            here = [each for each in faults if each.environment == name]
            notes = tuple(noted(each, *(rivals if each.severity == "error" else ())) for each in here)
            notes += tuple(neighbours(there, self._ground)) if there is not None and self._in_words else ()
            url = f"https://{exposure.host}{exposure.prefix}" if exposure is not None else ""
            upstreams = exposure.upstreams if exposure is not None else ()
            if name in unknown:
                yield Place(name, "refused", "", (), "There is no such environment.", notes)
            elif there is None:
                yield Place(name, "refused", url, upstreams, "Nothing is published here.", notes)
            elif smaller or any(note.holds for note in notes):
                sentence = "An older or smaller form than the catalog's is published here."
                yield Place(name, "held", url, upstreams, sentence, notes)
            else:
                yield Place(name, "published", url, upstreams, "It is published as the catalog says.", notes)

    def _holders(self, service: Service, exposure: Exposure) -> tuple[str, ...]:
        """Whom to ask about a place that somebody else has or wants, too."""
        claim = (exposure.host, exposure.prefix)
        assert self._ground.compiled is not None  # there is a service
        holder = self._ground.compiled.past.incumbents.get(claim, NOBODY).key.rpartition("@")[0]
        rivals = (holder,) if holder in self._ground.services else self._ground.claims.get(claim, ())
        if len(rivals) == 1 and rivals[0] != holder and not exposure.common:  # it is about another place on this host
            there = tuple(each.service.ref for each in self._ground.on_host.get(exposure.host, ()))
            rivals += there or tuple(
                ref for (host, _), refs in self._ground.claims.items() if host == exposure.host for ref in refs
            )
        owners = {self._ground.services[ref].owner for ref in rivals if ref in self._ground.services}
        owners |= {OWNER} if service.ref in rivals else set()
        others = sorted(owners - {"", service.owner, OWNER})
        return (*others, OWNER) if others else ()

    def _api_notes(self, service: Service) -> Iterator[Note]:
        """What an API's definition that cannot be read does to the service."""
        for ref in service.provides:
            api = self._ground.entities.get(ref)
            definition = api.definition if api is not None else None
            if definition is None or not (definition.broken or definition.kept):
                continue
            fate = "the operations it had count" if definition.kept else "none of its operations is open"
            if not definition.faults:
                yield Note(f"the definition of `{ref}` is being read: {fate}", severity="note")
            for fault in definition.faults[:1]:
                why = fault.message.removeprefix("definition: ").removeprefix("definition ")
                says = f"the definition of `{ref}` cannot be read ({why}), so {fate}"
                yield Note(says, fault.suggestion or f"correct `spec.definition` of `{ref}`", fault.source)

    def _needs(self, entity: Entity) -> Iterator[Needed]:
        """Of what the entity stands on: what does not count as it is said."""
        named = {"ownedBy": "owner", "partOf": "system", "providesApi": "api", "consumesApi": "api"}
        for edge in entity.edges:
            if edge.origin == entity.ref and edge.relation in named:
                other = self._ground.said.get(edge.target)
                if other is not None and other.annotations:
                    continue  # a service of its own
                needed = self.of(edge.target) if other is None or other.kind != "api" else self._bare(other)
                if needed.state != "published":
                    yield Needed(named[edge.relation], needed.ref, needed.state, needed.sentence)

    def _bare(self, api: Entity) -> Standing:
        """An API without what it stands on itself."""
        standing = self._plain(api, (*causes(api.ref, self._ground), *self._own_notes(api.ref)))
        return standing._replace(needs=())


def suggestion(ref: str, ground: Ground) -> str:
    """What somebody who asked for `ref` in vain may have meant: of the same kind first."""
    kind = ref.partition(":")[0] + ":"
    return did_you_mean(ref, (each for each in ground.said if each.startswith(kind))) or did_you_mean(ref, ground.said)


def contacts(standing: Standing) -> tuple[str, ...]:
    """Whom to ask, in order: refs and `administrators`. The owner first, who mends most of it."""
    asked: dict[str, None] = dict.fromkeys(standing.owners)
    for note in (*standing.notes, *_of_all(standing.places)):
        asked.update(dict.fromkeys(each for each in note.ask if each != OWNER))
    if not standing.owners:
        asked[ADMINISTRATORS] = None
    return tuple(asked)


def counted(standings: Iterable[Standing]) -> Mapping[State, int]:
    counts: dict[State, int] = dict.fromkeys(STATES, 0)
    for standing in standings:
        counts[standing.state] += 1
    return counts


def _unknown(entity: Entity, environments: Mapping[str, int]) -> set[str]:
    """Environments that the entity names and nobody knows."""
    named = {part.strip() for part in entity.annotations.get("environments", "").split(",")}
    unknown = sorted({name[:_SHOWN] for name in named if name and name not in environments})
    return set(unknown[:_NAMED])


# ---- words ----


def _of_all(places: Iterable[Place]) -> Iterator[Note]:
    return (note for place in places for note in place.notes)


def _of_places(places: Iterable[Place], warnings: int) -> str:
    by_state: dict[str, list[str]] = {}
    for place in places:
        by_state.setdefault(place.state, []).append(place.environment)
    said = [f"{state} in {joined(names)}" for state in STATES if (names := by_state.get(state))]
    also = f", with {numbered(warnings, 'warning')}" if warnings and by_state.keys() == {"published"} else ""
    return f"It is {', '.join(said)}{also}."
