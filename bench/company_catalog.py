"""A made-up company as a Backstage catalog: the same one for the same size, of any size.

It has what real ones have and what makes a compiler work: domains and systems, teams in departments in divisions, four
people for each component, owners who open little and some who open everything, APIs that hundreds use and many that
nobody does, scopes, workloads with client ids, services in one environment and in three, defaults, roles, denies.
Definitions have twenty operations each. Nothing is read from the machine: every choice comes from one seed.

A component's documents depend on its own number and on the size only, so that one can be written anew alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

PREFIX = "stagedoor.dev/"
ENVIRONMENTS = ("dev", "staging", "prod")
DOMAIN = "corp.test"
PER_SYSTEM = 10  # components
PER_DOMAIN = 20  # systems
PER_TEAM = 10  # people
PER_ABOVE = 8  # teams of a department, departments of a division
OPERATIONS = 20

Document = dict[str, Any]

_NOUNS = ("orders", "invoices", "customers", "parcels", "accounts", "reports", "prices", "claims", "slots", "events")
_METHODS = ("get", "post", "get", "put", "delete", "get", "post", "get")


class Company(NamedTuple):
    """``upstream``: where every service runs."""

    components: int
    upstream: str = "http://127.0.0.1:9"

    @property
    def people(self) -> int:
        return 4 * self.components

    @property
    def teams(self) -> int:
        return max(1, self.people // PER_TEAM)


def host(number: int, environment: str = "prod") -> str:
    return f"svc-{number:05}.{environment}.{DOMAIN}"


def person(number: int) -> str:
    return f"person-{number:06}"


def team_of(number: int) -> str:
    """The first team of a person."""
    return f"team-{number // PER_TEAM:05}"


def owner_of(company: Company, number: int) -> str:
    return f"team-{_luck('owner', number).randrange(company.teams):05}"


def _luck(what: str, number: int) -> Random:
    return Random(f"{what} {number}")


def entity(kind: str, name: str, spec: Document, **metadata: Any) -> Document:
    return {"apiVersion": "backstage.io/v1alpha1", "kind": kind, "metadata": {"name": name, **metadata}, "spec": spec}


# ---- services ----


def component(company: Company, number: int, edition: int = 0) -> list[Document]:
    """A component and the API it provides. Another ``edition`` opens it another way and has more operations."""
    luck = _luck("component", number)
    name = f"svc-{number:05}"
    is_website = luck.random() < 0.05
    everywhere = luck.random() < 0.1
    annotations = {
        "environments": ",".join(ENVIRONMENTS) if everywhere else "prod",
        "host": f"{name}.{{env}}.{DOMAIN}",
        "upstream": company.upstream,
        **_opened(company, luck, edition),
    }
    if luck.random() < 0.6:
        annotations["client-id"] = f"client-{number:05}"
    paths = [*(["GET /assets/**", "GET /"] if is_website else []), *([f"GET /edition-{edition}/**"] if edition else [])]
    if paths:
        annotations["paths"] = ", ".join(paths)
    spec: Document = {
        "type": "website" if is_website else "service",
        "lifecycle": "production",
        "owner": owner_of(company, number),
        "system": f"system-{number // PER_SYSTEM:04}",
        "consumesApis": sorted({f"api-{_popular(company, luck):05}" for _ in range(luck.randrange(6))}),
    }
    if not is_website:
        spec["providesApis"] = [f"api-{number:05}"]
    said = {PREFIX + key: text for key, text in annotations.items()}
    tags = sorted({luck.choice(("java", "go", "python", "pci", "batch", "public")) for _ in range(2)})
    described = [entity("Component", name, spec, annotations=said, tags=tags, title=f"Service {number}")]
    return described if is_website else [*described, _api(number, spec["owner"], edition)]


def _opened(company: Company, luck: Random, edition: int) -> dict[str, str]:
    """How far the owner opens it, and to whom besides."""
    access = luck.choices(("owners", "consumers", "everyone", ""), (40, 35, 15, 10))[0]
    if edition % 2:
        access = "everyone" if access != "everyone" else "owners"
    found = {"access": access} if access else {}
    if luck.random() < 0.15:
        found["allow-groups"] = ",".join(f"team-{luck.randrange(company.teams):05}" for _ in range(2))
    if access == "consumers":
        found["allow-consumers"] = ",".join(f"svc-{luck.randrange(company.components):05}" for _ in range(3))
    return found


def _popular(company: Company, luck: Random) -> int:
    """Few APIs are used by hundreds, most by one or two."""
    return int(company.components * luck.random() ** 3)


def _api(number: int, owner: str, edition: int) -> Document:
    text = yaml_of(definition(number, edition))
    return entity("API", f"api-{number:05}", {"type": "openapi", "owner": owner, "definition": text})


def definition(number: int, edition: int = 0) -> Document:
    """Twenty operations; half of the definitions ask for scopes."""
    luck = _luck("definition", number)
    scoped = luck.random() < 0.5
    nouns = [*luck.sample(_NOUNS, 2), f"things-of-{number}"]
    paths: dict[str, Document] = {}
    for each in range(OPERATIONS + (edition > 0)):
        noun = nouns[each % 3]
        path = (f"/{noun}", f"/{noun}/{{id}}", f"/{noun}/{{id}}/lines", f"/{noun}/{{id}}/lines/{{line}}")[each // 3 % 4]
        method = _METHODS[each % len(_METHODS)]
        if each == OPERATIONS:
            path = f"/edition-{edition}"
        while method in paths.get(path, {}):
            path += "/more"
        operation: Document = {"summary": f"{method.title()} {noun}", "responses": {"200": {"description": "ok"}}}
        if scoped:
            operation["security"] = [{"oauth": [f"{noun}:{'read' if method == 'get' else 'write'}"]}]
        paths.setdefault(path, {})[method] = operation
    schemes = {"oauth": {"type": "oauth2", "flows": {}}}
    about = {"title": f"API {number}", "version": "1"}
    return {
        "openapi": "3.0.3", "info": about, "servers": [{"url": "/v1"}], "paths": paths,
        "components": {"securitySchemes": schemes},
    }  # fmt: skip


# ---- people ----


def team(company: Company, number: int) -> list[Document]:
    """A team and its people, of whom one in ten is in a second team too."""
    name = f"team-{number:05}"
    spec = {"type": "team", "parent": f"department-{number // PER_ABOVE:04}", "children": []}
    return [entity("Group", name, spec), *(_user(company, number * PER_TEAM + each) for each in range(PER_TEAM))]


def _user(company: Company, number: int) -> Document:
    luck, name = _luck("person", number), person(number)
    teams = [team_of(number)]
    if luck.random() < 0.1:
        teams.append(f"team-{luck.randrange(company.teams):05}")
    if luck.random() < 0.05:
        teams.append("contractors")
    profile = {"displayName": f"Person {number}", "email": f"{name}@{DOMAIN}"}
    return entity("User", name, {"profile": profile, "memberOf": sorted(set(teams))})


def above(company: Company) -> Iterator[Document]:
    """Departments, divisions, the company itself, and who is no employee."""
    departments = -(-company.teams // PER_ABOVE)
    divisions = -(-departments // PER_ABOVE)
    for number in range(departments):
        parent = f"division-{number // PER_ABOVE:03}"
        yield entity("Group", f"department-{number:04}", {"type": "department", "parent": parent, "children": []})
    for number in range(divisions):
        yield entity("Group", f"division-{number:03}", {"type": "division", "parent": "company", "children": []})
    for name in ("company", "contractors"):
        yield entity("Group", name, {"type": "company", "children": []})


def landscape(company: Company) -> Iterator[Document]:
    """Systems and domains."""
    systems = -(-company.components // PER_SYSTEM)
    for number in range(systems):
        spec = {"owner": owner_of(company, number * PER_SYSTEM), "domain": f"domain-{number // PER_DOMAIN:02}"}
        yield entity("System", f"system-{number:04}", spec)
    for number in range(-(-systems // PER_DOMAIN)):
        yield entity("Domain", f"domain-{number:02}", {"owner": "company"})


# ---- all of it ----


def files(company: Company) -> Iterator[tuple[str, list[Document]]]:
    """Every file by name, as a company keeps them: one for each component, one for each team."""
    for number in range(company.components):
        yield component_file(number), component(company, number)
    for number in range(company.teams):
        yield team_file(number), team(company, number)
    yield "org/company.yaml", list(above(company))
    yield "landscape.yaml", list(landscape(company))


def component_file(number: int) -> str:
    return f"services/{number // 500:03}/svc-{number:05}.yaml"


def team_file(number: int) -> str:
    return f"org/{number // 500:03}/team-{number:05}.yaml"


def write(company: Company, folder: Path) -> None:
    """The catalog in FOLDER/catalog, the access policy beside it."""
    for name, documents in files(company):
        save(folder / "catalog" / name, documents)
    (folder / "access.yaml").write_text(access_policy(company))


def save(file: Path, documents: list[Document]) -> None:
    """Whole or not at all: an engine may be watching."""
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_name(f".{file.name}")
    draft.write_text("---\n".join(map(yaml_of, documents)))
    draft.rename(file)


def access_policy(company: Company, edition: int = 0) -> str:
    """What the platform team says; each ``edition`` adds a rule."""
    luck = _luck("policy", company.components)
    systems = -(-company.components // PER_SYSTEM)
    rules: list[Document] = [
        {"deny": "group:default/contractors", "to": {"tag": "pci"}, "because": "Contractors never see cards."},
        {"deny": "group:default/contractors", "in": ["prod"], "methods": ["DELETE"], "because": "Nor delete."},
        {"deny": f"user:default/{person(7)}", "because": "Left in anger."},
    ]
    rules += [
        {
            "allow": f"group:default/team-{luck.randrange(company.teams):05}",
            "to": {"system": f"system-{luck.randrange(systems):04}"},
            "in": ["prod"],
            "methods": ["GET", "HEAD"],
            "because": f"Support case {each}.",
        }
        for each in range(40 + edition)
    ]
    read = {"owners": ["all"], "consumers": ["declared"], "everyone": ["read"], "groups": ["read"]}
    return yaml_of(
        {
            "version": 1,
            "environments": {
                "dev": {**read, "consumers": ["all"], "consent": "any"},
                "staging": {**read, "consent": "same-system"},
                "prod": {**read, "people": {"require": ["mfa"]}},
            },
            "roles": {
                f"role-{n}": {"groups": [f"group:default/division-{n:03}"], "scopes": [f"{noun}:read"]}
                for n, noun in enumerate(_NOUNS[: max(1, company.teams // 64)])
            },
            "scopes": {"oversight": {"domain": "domain-00", "methods": ["GET", "HEAD"]}},
            "defaults": [{"for": {"type": "website"}, "access": "everyone", "in": ["dev", "staging"]}],
            "rules": rules,
        }
    )


def yaml_of(value: Any) -> str:
    """Block style, as people write it; a text of several lines as a block scalar."""
    return "\n".join(_lines(value)) + "\n"


def _lines(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            shown = json.dumps(key) if any(c in key for c in "{}:#*&!|>%@`") or key.isdigit() else key
            if isinstance(inner, str) and "\n" in inner:
                yield f"{shown}: |"
                yield from (f"  {line}" for line in inner.splitlines())
            elif isinstance(inner, dict | list) and inner:
                yield f"{shown}:"
                yield from (f"  {line}" for line in _lines(inner))
            else:
                yield f"{shown}: {json.dumps(inner)}"
    elif isinstance(value, list) and value:
        for inner in value:
            first, *rest = _lines(inner)
            yield f"- {first}"
            yield from (f"  {line}" for line in rest)
    else:
        yield json.dumps(value)
