"""A small world for tests of what a firewall is told: people in teams, services in systems, and what control says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from gateway.config.devices import Leg, Panos, PanosEnvironment
from gateway.engine.network.desired import Desired, Place
from gateway.engine.network.fronts import Front
from gateway.engine.network.panos.wishing import Facts
from gateway.engine.network.whereabouts import Known
from gateway.engine.overheard import Overlay
from policy.coarse import Scope
from policy.directory import Directory, directory_frames
from policy.facts import Catalog, Grant, Person, Source, Team

NOW = 1_800_000_000
NOWHERE = Source("catalog.yaml", 1)
PROD = PanosEnvironment(
    "prod", front=Leg(), back=Leg(), direct=Leg(), doors=("198.51.100.21",), virtual_addresses=("198.51.100.10",),
    networks=("192.0.2.0/24", "2001:db8::/32"),
)  # fmt: skip
FIREWALL = Panos("fw", ("https://127.0.0.1:1",), ("/key",), user_name="corp\\{metadata.name}", environments=(PROD,))

QUIET = Overlay()


def group(name: str) -> str:
    return f"group:default/{name}"


def user(name: str) -> str:
    return f"user:default/{name}"


def component(name: str) -> str:
    return f"component:default/{name}"


def person(name: str, *teams: str, **fields: str) -> Person:
    return Person(user(name), name, tuple(map(group, teams)), {"metadata.name": name, **fields}, NOWHERE)


def team(name: str, *parents: str) -> Team:
    return Team(group(name), name, tuple(map(group, parents)), {}, NOWHERE)


def catalog(people: Iterable[Person], teams: Iterable[Team] = ()) -> Catalog:
    return Catalog({each.ref: each for each in people}, {each.ref: each for each in teams}, {})


def scope(ref: str, *teams: str, services: Sequence[str] = (), environment: str = "prod", **changes: object) -> Scope:
    """``ref`` is a system's name; without ``services`` it has one that is called like it."""
    made = Scope(
        f"system:default/{ref}", environment, "", tuple(map(component, services or (ref,))),
        tuple(sorted(map(group, teams))), (), everyone=False, anyone=False, rules=(),
    )  # fmt: skip
    return replace(made, **changes)  # type: ignore[arg-type]  # spelled so that a test can change any field


def grant(
    subject: str, service: str, starts: int = NOW - 10, ends: int = NOW + 600, environment: str = "prod"
) -> Grant:
    return Grant("g", subject, component(service), environment, (), frozenset(), starts, ends, "why", user("boss"))


def desired(scopes: Iterable[Scope], environment: str = "prod", domain: str = "") -> Desired:
    scopes = tuple(scopes)
    places = tuple(
        Place(service, service, "", each.ref, domain, f"{number}.test", "/")
        for number, (each, service) in enumerate((each, service) for each in scopes for service in each.services)
    )
    return Desired(environment, "base", places, scopes)


def facts(
    people: Catalog,
    scopes: Iterable[Scope],
    addresses: Mapping[str, tuple[str, ...]] | None = None,
    *,
    overlay: Overlay | None = QUIET,
    fronts: Sequence[Front] = (),
    domain: str = "",
) -> Facts:
    """Of `prod`. ``addresses``: by the name of a service."""
    known = Known({component(name): found for name, found in (addresses or {}).items()}, is_settled=True)
    directory = Directory(directory_frames(people, (), ("prod",)))
    wish = desired(scopes, domain=domain)
    return Facts("base", {"prod": wish}, {"prod": fronts}, {"prod": known}, people, directory, overlay)
