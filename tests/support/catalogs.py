"""Backstage catalogs for tests: entities as the dictionaries that YAML gives, written to files, small or large."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from gateway import config
from gateway.engine.sources.files import FileSource
from gateway.engine.sources.pulls import Pull

PREFIX = "stagedoor.dev/"

ACCESS = """\
version: 1
environments:
  dev: {owners: [all], consumers: [all], everyone: [read]}
  prod: {owners: [read], consumers: [declared], everyone: [read], groups: [read]}
rules: []
"""


def entity(kind: str, name: str, *, annotations: Mapping[str, str] | None = None, **spec: Any) -> dict[str, Any]:
    """``name`` may be `namespace/name`; ``annotations`` are those below our prefix."""
    namespace, _, bare = name.rpartition("/")
    metadata: dict[str, Any] = {"name": bare}
    if namespace:
        metadata["namespace"] = namespace
    if annotations is not None:
        metadata["annotations"] = {PREFIX + key: text for key, text in annotations.items()}
    return {"apiVersion": "backstage.io/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec}


def service(name: str, *, owner: str | list[str] = "team", **more: Any) -> dict[str, Any]:
    """A Component exposed in prod at NAME.example.com. Keywords that are annotations (`-` as `_`) become them."""
    bare = name.rpartition("/")[2]
    annotations = {"environments": "prod", "host": f"{bare}.example.com", "upstream": "http://10.0.0.1:8080"}
    spec = {key: value for key, value in more.items() if key in ("system", "providesApis", "consumesApis", "type")}
    written = {key.replace("_", "-"): value for key, value in more.items() if key not in spec}
    annotations = {key: text for key, text in {**annotations, **written}.items() if text is not None}
    return entity("Component", name, annotations=annotations, owner=owner, **spec)


def api(name: str, definition: object, *, type: str = "openapi", owner: str = "team") -> dict[str, Any]:
    text = definition if isinstance(definition, str) or _is_include(definition) else json.dumps(definition)
    return entity("API", name, type=type, owner=owner, definition=text)


def _is_include(definition: object) -> bool:
    return isinstance(definition, dict) and any(key.startswith("$") for key in definition)


def openapi(*operations: str, base: str = "", scopes: Mapping[str, list[str]] | None = None) -> dict[str, Any]:
    """`GET /a` … as an OpenAPI 3 document; ``scopes``: what an operation needs."""
    paths: dict[str, Any] = {}
    for text in operations:
        method, _, path = text.partition(" ")
        needed = (scopes or {}).get(text)
        security = {} if needed is None else {"security": [{"oauth": needed}]}
        paths.setdefault(path, {})[method.lower()] = {"responses": {}, **security}
    schemes = {"oauth": {"type": "oauth2", "flows": {}}}
    servers = [{"url": base}] if base else []
    return {"openapi": "3.0.3", "servers": servers, "paths": paths, "components": {"securitySchemes": schemes}}


def people(*teams: str, member: str = "jane") -> list[dict[str, Any]]:
    """Teams, and one person who is in all of them."""
    groups = [entity("Group", team, type="team", children=[]) for team in teams]
    return [*groups, entity("User", member, memberOf=list(teams))]


def write(folder: Path, name: str, *documents: object) -> Path:
    """Entities, or texts as they are, as one file."""
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("---\n".join(each if isinstance(each, str) else yaml.safe_dump(each) for each in documents))
    return file


def pull(*patterns: Path | str) -> Pull:
    return FileSource([str(each) for each in patterns], PREFIX).pull()


def environments(*names: str) -> dict[str, config.Environment]:
    return {
        name: config.Environment(name, (".example.com",), ("10.0.0.0/8", ".internal")) for name in names or ("prod",)
    }


def settings(folder: Path, **changes: Any) -> config.Settings:
    """For a catalog in FOLDER/catalog and an access policy in FOLDER/access.yaml."""
    access = folder / "access.yaml"
    if not access.exists():
        access.write_text(ACCESS)
    said: dict[str, Any] = {
        "listeners": (),
        "issuers": (),
        "environments": environments("dev", "prod"),
        "catalog": config.Catalog(files=(str(folder / "catalog"),)),
        "access_policy": str(access),
        "state_folder": str(folder / "state"),
    }
    return config.Settings(**(said | changes))


def large(folder: Path, services: int, operations: int, *, per_file: int = 50) -> None:
    """Many services with definitions, teams and people, as a company has them."""
    teams = [f"team-{number}" for number in range(max(1, services // 20))]
    everyone = [entity("Group", team, type="team", children=[]) for team in teams]
    everyone += [
        entity("User", f"user-{number}", memberOf=[teams[number % len(teams)]]) for number in range(services * 2)
    ]
    _write_all(folder, "org", everyone, 1000)
    described: list[dict[str, Any]] = []
    for number in range(services):
        described += _service_of_many(number, teams[number % len(teams)], operations)
    _write_all(folder, "services", described, per_file * 2)


def _service_of_many(number: int, team: str, operations: int) -> Iterable[dict[str, Any]]:
    listed, scopes = [], {}
    for each in range(operations):
        text = f"{('GET', 'POST', 'PUT', 'DELETE')[each % 4]} /things-{each // 4}/{{id}}"
        listed.append(text)
        scopes[text] = [f"service-{number}:{'read' if each % 4 == 0 else 'write'}"]
    name = f"service-{number}"
    yield service(name, owner=team, providesApis=[name], access="everyone")
    yield api(name, openapi(*listed, base="/v1", scopes=scopes), owner=team)


def _write_all(folder: Path, name: str, entities: list[dict[str, Any]], per_file: int) -> None:
    for start in range(0, len(entities), per_file):
        file = folder / f"{name}-{start // per_file:05d}.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("".join(f"---\n{json.dumps(each)}\n" for each in entities[start : start + per_file]))
