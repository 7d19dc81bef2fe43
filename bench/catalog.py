"""The catalog the door decides from: 10,000 services with 20 operations each, 200 teams, 2,000 people.

Written as Backstage YAML, so that the gateway reads, compiles and publishes it as it would any other. Services
share 100 API definitions; each exposure still has its own 20 operations in the compiled table. `write` with
another ``edition`` changes a path in every definition, which makes every exposure of the next base a new one.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from bench.credentials import PEOPLE, person
from bench.ground import UPSTREAM, WORK
from bench.traffic import TEAMS, host

APIS = 100
FOLDER = WORK / "catalog"
PREFIX = "stagedoor.dev/"

_OPERATIONS = (
    ("/orders", "get post"), ("/orders/{id}", "get put patch delete"), ("/orders/{id}/lines", "get post"),
    ("/orders/{id}/lines/{line}", "get delete"), ("/customers", "get post"), ("/customers/{id}", "get put"),
    ("/customers/{id}/orders", "get"), ("/status", "get"), ("/large", "get"), ("/reports/{year}/{month}", "get"),
    ("/search", "post"),
)  # fmt: skip


def _definition(number: int, edition: int) -> str:
    lines = ["openapi: 3.0.3", f"info: {{title: API {number}, version: '1'}}", "servers: [{url: /v1}]", "paths:"]
    for path, methods in (*_OPERATIONS, (f"/edition-{edition}", "get post")):
        lines.append(f"  {path}:")
        lines += [f"    {method}: {{responses: {{'200': {{description: ok}}}}}}" for method in methods.split()]
    return "\n".join(f"    {line}" for line in lines)


def _api(number: int, edition: int) -> str:
    return (
        "apiVersion: backstage.io/v1alpha1\nkind: API\n"
        f"metadata: {{name: api-{number:03}}}\n"
        f"spec:\n  type: openapi\n  lifecycle: production\n  owner: team-{number:03}\n  definition: |\n"
        f"{_definition(number, edition)}\n"
    )


def _service(number: int) -> str:
    return (
        "apiVersion: backstage.io/v1alpha1\nkind: Component\n"
        f"metadata:\n  name: svc-{number:05}\n  annotations:\n"
        f"    {PREFIX}environments: prod\n    {PREFIX}host: {host(number)}\n"
        f"    {PREFIX}upstream: http://127.0.0.1:{UPSTREAM}\n"
        f"spec: {{type: service, lifecycle: production, owner: team-{number % TEAMS:03},"
        f" system: sys-{number % TEAMS:03}, providesApis: [api-{number % APIS:03}]}}\n"
    )


def _team(number: int) -> str:
    return (
        "apiVersion: backstage.io/v1alpha1\nkind: Group\n"
        f"metadata: {{name: team-{number:03}}}\nspec: {{type: team, children: []}}\n---\n"
        "apiVersion: backstage.io/v1alpha1\nkind: System\n"
        f"metadata: {{name: sys-{number:03}}}\nspec: {{owner: team-{number:03}}}\n"
    )


def _person(number: int) -> str:
    name = person(number)
    return (
        "apiVersion: backstage.io/v1alpha1\nkind: User\n"
        f"metadata: {{name: {name}}}\n"
        f"spec: {{profile: {{displayName: Person {number}, email: {name}@example.com}},"
        f" memberOf: [team-{number // 10:03}]}}\n"
    )


ACCESS_POLICY = """\
version: 1
environments:
  prod: {owners: [all], consumers: [declared], everyone: [read]}
rules:
  - deny: group:default/team-199
    to: {service: component:default/svc-00000}
    in: [prod]
    because: The last team never calls the first service.
"""


def _save(name: str, documents: list[str]) -> None:
    """Whole or not at all: the engine watches this folder."""
    new = FOLDER / f"{name}.new"
    new.write_text("---\n".join(documents))
    new.rename(FOLDER / f"{name}.yaml")


def write(services: int, edition: int = 0) -> Path:
    """The folder of catalog files; the access policy lies beside it."""
    if not edition:
        shutil.rmtree(FOLDER, ignore_errors=True)
        FOLDER.mkdir(parents=True)
        (WORK / "access.yaml").write_text(ACCESS_POLICY)
        _save("teams", [_team(number) for number in range(TEAMS)])
        _save("people", [_person(number) for number in range(PEOPLE)])
        for first in range(0, services, 500):
            _save(f"services-{first:05}", [_service(number) for number in range(first, min(first + 500, services))])
    _save("apis", [_api(number, edition) for number in range(APIS)])
    return FOLDER
