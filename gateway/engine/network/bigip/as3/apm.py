"""Which APM objects stand before a service: those of the first entry of the mapping that is for it, else those of the
environment. Values only."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Set
from typing import NamedTuple

from gateway.config.devices import ApmEntry, BigipEnvironment
from gateway.engine.network.desired import Desired, Place

Claims = tuple[tuple[str, tuple[str, ...]], ...]


class Apm(NamedTuple):
    """``claims``: what the branches are expected to test, each with the values to compare it with."""

    access_profile: str = ""
    per_request_policy: str = ""
    claims: Claims = ()


def usual(environment: BigipEnvironment) -> Apm:
    claims = tuple((claim, ()) for claim in environment.required_claims)
    return Apm(environment.access_profile, environment.per_request_policy, claims)


def apm_of(environment: BigipEnvironment, places: Iterable[Place]) -> Apm:
    """``places``: all of one service."""
    held = tuple(places)
    entry = next((each for each in environment.apm if fits(each, held)), None)
    return made_of(entry) if entry is not None else usual(environment)


def all_of(environment: BigipEnvironment) -> list[Apm]:
    """What the device has to have."""
    found = [usual(environment)] if environment.access_profile else []
    return [*found, *map(made_of, environment.apm)]


def made_of(entry: ApmEntry) -> Apm:
    return Apm(entry.access_profile, entry.per_request_policy, entry.claims)


def fits(entry: ApmEntry, places: tuple[Place, ...]) -> bool:
    """In all that the entry says; of several hosts one is enough."""
    return bool(places) and all(
        not wanted or not wanted.isdisjoint(there)
        for wanted, there in (
            (set(entry.services), {places[0].entity}),
            (set(entry.teams), {places[0].owner}),
            (set(entry.hosts), {place.host for place in places}),
        )
    )


def remarks_on(environment: BigipEnvironment, desired: Desired, own: Set[str]) -> Iterator[str]:
    """Where the mapping has no effect. ``own``: components with an address of their own."""
    by_entity: dict[str, list[Place]] = {}
    for place in desired.places if environment.apm else ():
        by_entity.setdefault(place.entity, []).append(place)
    services = [tuple(places) for places in by_entity.values()]
    taken: set[str] = set()
    for entry in environment.apm:
        found = {places[0].entity for places in services if fits(entry, places)} - taken
        taken |= found
        if not found:
            yield f"`{entry.access_profile}` ({entry.place}) is for no service that is published here"
        elif without := sorted(found - own):
            more = f" and {len(without) - 3} more" if len(without) > 3 else ""
            told = ", ".join(f"`{each}`" for each in without[:3]) + more
            instead = f"`{environment.access_profile}`" if environment.access_profile else "no profile"
            yield (
                f"`{entry.access_profile}` ({entry.place}) does not stand before {told}: at the shared address it is "
                f"{instead} that checks; give the service an address of its own"
            )
