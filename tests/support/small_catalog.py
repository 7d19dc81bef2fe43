"""A catalog of three services, compiled for real and written as a base: what the door tests serve.

`echo.test` and `app.test` are open to everyone who is signed in, `team.test` to its owners alone; jane is in the
team, joe is not.
"""

from __future__ import annotations

from dataclasses import replace
from hashlib import blake2b
from pathlib import Path

from gateway.snapshot import FrameStore, Manifest, frame_body, write_manifest
from policy.access import read_policy
from policy.compile import compile_frames
from policy.derive import derive
from policy.facts import Catalog, Exposure, KeyField, Person, Service, Source, Team

NOWHERE = Source("catalog.yaml", 1)
POLICY = {
    "version": 1,
    "environments": {"prod": {"owners": ["all"], "everyone": ["all"]}},
}


def person(name: str, *teams: str) -> Person:
    return Person(f"user:default/{name}", name, teams, {"metadata.name": name}, NOWHERE)


def service(name: str, upstreams: tuple[str, ...], access: str, **changes: object) -> Service:
    fields: dict[str, object] = {
        "ref": f"component:default/{name}",
        "title": name,
        "type": "service",
        "owner": "group:default/team",
        "system": "",
        "domain": "",
        "tags": (),
        "access": access,
        "allow_groups": (),
        "allow_consumers": (),
        "provides": (),
        "consumes": (),
        "client_ids": {},
        "exposures": (Exposure("prod", f"{name}.test", "/", upstreams, NOWHERE),),
        "operations": (),
        "has_definition": False,
        "source": NOWHERE,
        **changes,
    }
    return Service(**fields)  # type: ignore[arg-type]  # spelled as a dict so that a test can change any field


def small_catalog(*upstreams: str, jane_in_team: bool = True) -> Catalog:
    people = [person("jane", *(("group:default/team",) if jane_in_team else ())), person("joe")]
    services = [service("echo", upstreams, "everyone"), service("team", upstreams, "owners")]
    services += [service("app", upstreams, "everyone")]
    return Catalog(
        people={each.ref: each for each in people},
        teams={"group:default/team": Team("group:default/team", "team", (), {}, NOWHERE)},
        services={each.ref: each for each in services},
    )


def with_janet_for_jane(catalog: Catalog) -> Catalog:
    """The same, in which who was Jane is another User."""
    janet = replace(person("janet"), fields={"metadata.name": "jane"})
    people = {ref: each for ref, each in catalog.people.items() if each.title != "jane"}
    return replace(catalog, people={**people, janet.ref: janet})


def publish(folder: Path, catalog: Catalog, policy: object = None, environments: tuple[str, ...] = ("prod",)) -> None:
    """Compile and write a base into the state folder, as the engine does."""
    access, faults = read_policy(policy or POLICY, lambda path: NOWHERE)
    assert faults == []
    derived = derive(catalog, access, environments, None)
    frames = compile_frames(catalog, derived, (KeyField("test", "person", "sub", "metadata.name"),))
    store = FrameStore(folder)
    names = {name: store.write(frame) for name, frame in frames.items()}
    base = blake2b(frame_body(sorted(names.items())), digest_size=6).hexdigest()
    write_manifest(folder, Manifest(base, "test", names))


def publish_small_catalog(folder: Path, *upstreams: str, jane_in_team: bool = True) -> None:
    publish(folder, small_catalog(*upstreams, jane_in_team=jane_in_team))
