"""Who exists at the example company: its users and OAuth clients, read from the catalog's files.

The lab's provider signs for them and the start page lists them, so somebody added to the catalog can be tried at
once. A name the catalog does not know gets a subject nobody has: its tokens are good and match no one, which is
what a leaver's token looks like. Only the YAML the lab itself ships is read this way; Stagedoor's own reading of
a catalog is stricter and lives in the engine.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from gateway.lab.folder import LabError

SUBJECT_KEY = "idp.marlow.example/subject"
PREFIX = "stagedoor.dev/"


@dataclass(frozen=True, slots=True)
class User:
    name: str
    title: str
    description: str
    subject: str
    email: str
    teams: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Client:
    client_id: str
    component: str


@dataclass(frozen=True, slots=True)
class Service:
    ref: str
    title: str
    description: str
    owner: str
    hosts: Mapping[str, str]  # environment -> public host


@dataclass(frozen=True, slots=True)
class Directory:
    users: Mapping[str, User]
    clients: Mapping[str, Client]
    services: tuple[Service, ...]

    @property
    def hosts(self) -> tuple[str, ...]:
        """Every public host of the catalog, for the certificate."""
        return tuple(sorted({host for service in self.services for host in service.hosts.values()}))

    def user(self, name: str) -> User:
        """The catalog's user, or somebody the catalog never heard of."""
        known = self.users.get(name)
        return known or User(name, name, "", f"unknown-{name}", f"{name}@elsewhere.example", ())


def read_directory(folder: Path) -> Directory:
    users: dict[str, User] = {}
    clients: dict[str, Client] = {}
    services: list[Service] = []
    for entity in _entities(folder):
        metadata = entity.get("metadata") or {}
        spec = entity.get("spec") or {}
        annotations = {str(key): str(value) for key, value in (metadata.get("annotations") or {}).items()}
        if entity.get("kind") == "User":
            user = _user(metadata, annotations, spec)
            users[user.name] = user
        elif entity.get("kind") == "Component":
            service = _service(metadata, annotations, spec)
            services.append(service)
            for client_id in _keyed(annotations, "client-id"):
                clients[client_id] = Client(client_id, service.title)
    return Directory(users, clients, tuple(services))


def _entities(folder: Path) -> Iterator[dict[str, Any]]:
    for path in sorted(folder.glob("*.yaml")):
        try:
            documents = list(yaml.load_all(path.read_bytes(), Loader=yaml.CSafeLoader))
        except yaml.YAMLError as error:
            raise LabError(f"cannot read `{path}`: {' '.join(str(error).split())}") from error
        yield from (document for document in documents if isinstance(document, dict))


def _user(metadata: Mapping[str, Any], annotations: Mapping[str, str], spec: Mapping[str, Any]) -> User:
    name = str(metadata.get("name", ""))
    profile = spec.get("profile") or {}
    return User(
        name=name,
        title=str(profile.get("displayName", name)),
        description=str(metadata.get("description", "")),
        subject=annotations.get(SUBJECT_KEY, f"unmatched-{name}"),
        email=str(profile.get("email", "")),
        teams=tuple(str(team) for team in spec.get("memberOf") or ()),
    )


def _keyed(annotations: Mapping[str, str], key: str) -> list[str]:
    """The values of one of our annotations, for every environment."""
    wanted = PREFIX + key
    return [value for name, value in annotations.items() if name == wanted or name.startswith(wanted + ".")]


def _service(metadata: Mapping[str, Any], annotations: Mapping[str, str], spec: Mapping[str, Any]) -> Service:
    name = str(metadata.get("name", ""))
    return Service(
        ref=f"component:{metadata.get('namespace', 'default')}/{name}".lower(),
        title=str(metadata.get("title", name)),
        description=str(metadata.get("description", "")),
        owner=str(spec.get("owner", "")).rpartition("/")[2],
        hosts=_hosts(annotations),
    )


def _hosts(annotations: Mapping[str, str]) -> dict[str, str]:
    hosts = {}
    default = annotations.get(f"{PREFIX}host", "")
    for environment in annotations.get(f"{PREFIX}environments", "").split(","):
        name = environment.strip()
        host = annotations.get(f"{PREFIX}host.{name}", default).replace("{env}", name)
        if name and host:
            hosts[name] = host
    return hosts
