"""One catalog, every source, equal facts.

`files` reads it from YAML. `stitched` takes the same entities with the relations that Backstage's catalog would have
stitched (both directions on both sides, `spec` left as it is), which is what a source over its API hands to the
shared reader. `catalog` reads them over that API, from a socket. A source that gives other facts than these would let
the way it reads decide who may do what.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway.engine.sources.assembly import Assembler, Bounds
from gateway.engine.sources.backstage import BackstageSource
from gateway.engine.sources.entities import Entity, read_entity
from gateway.engine.sources.openapi import Definition, read_definition
from gateway.engine.sources.pulls import Pull
from policy.facts import Catalog, Exposure, Operation, Person, Service, Source, Team
from tests.support.catalogs import PREFIX, api, entity, environments, openapi, people, pull, service, write
from tests.support.fake_catalog import FakeCatalog, fake_catalog, ref_of, relations_of, said

Documents = list[dict[str, Any]]
Read = Callable[[Path, Documents], dict[str, Entity]]


def from_files(folder: Path, documents: Documents) -> dict[str, Entity]:
    for number, document in enumerate(documents):
        write(folder, f"{number:03d}.yaml", document)
    found = pull(folder)
    assert found.faults == []
    return found.entities


def from_stitched(folder: Path, documents: Documents) -> dict[str, Entity]:
    relations = relations_of(documents)
    entities = {}
    for document in documents:
        ref = ref_of(document)
        reading = read_entity(document, lambda path: Source("api"), PREFIX, relations[ref], define)
        assert reading.faults == ()
        if reading.entity is not None:
            entities[ref] = reading.entity
    return entities


def from_catalog(folder: Path, documents: Documents) -> dict[str, Entity]:
    """Over the API, from a socket, definitions by ref and all."""

    async def reading(catalog: FakeCatalog) -> Pull:
        with ThreadPoolExecutor(2) as worker:
            source = BackstageSource(said(catalog, folder), PREFIX, worker, lambda: None)
            await source.read()
            await source.close()
            return source.pull

    with fake_catalog(*documents) as catalog:
        found = asyncio.run(reading(catalog))
    assert found.faults == []
    return found.entities


def define(definition: object, ref: str) -> Definition:
    return read_definition(str(definition), ref, "api", 1)


@pytest.fixture(params=[from_files, from_stitched, from_catalog], ids=["files", "stitched", "catalog"])
def read(request: pytest.FixtureRequest) -> Read:
    found: Read = request.param
    return found


def facts(folder: Path, read: Read, documents: Documents) -> Catalog:
    """Without places: where something was said is the source's own."""
    found = Assembler(Bounds(environments("dev", "prod"))).facts(read(folder, documents), {}).catalog
    nowhere = Source("")
    return Catalog(
        {ref: replace(each, source=nowhere) for ref, each in found.people.items()},
        {ref: replace(each, source=nowhere) for ref, each in found.teams.items()},
        {ref: without_places(each) for ref, each in found.services.items()},
    )


def without_places(found: Service) -> Service:
    nowhere = Source("")
    return replace(
        found,
        source=nowhere,
        exposures=tuple(replace(each, source=nowhere) for each in found.exposures),
        operations=tuple(replace(each, source=nowhere) for each in found.operations),
    )


def names(refs: Iterable[str]) -> list[str]:
    return [ref.rpartition("/")[2] for ref in refs]


def test_a_whole_catalog(tmp_path: Path, read: Read) -> None:
    documents = [
        entity("Group", "company", children=["platform"]),
        entity("Group", "platform", parent="company", members=["bob"]),
        entity("Group", "team", parent="platform"),
        entity("User", "jane", memberOf=["team"], profile={"displayName": "Jane", "email": "jane@example.com"}),
        entity("User", "bob", memberOf=["team", "gone"]),
        entity("Domain", "money", owner="company"),
        entity("System", "payments", owner="team", domain="money"),
        api("charges", openapi("POST /charges", base="/v1", scopes={"POST /charges": ["charges:write"]})),
        service("pay", system="payments", providesApis=["charges"], access="consumers", allow_consumers="shop"),
        service("shop", consumesApis=["charges"], client_id="shop-client"),
    ]
    found = facts(tmp_path, read, documents)
    assert found.people["user:default/jane"] == Person(
        "user:default/jane", "Jane", ("group:default/team",),
        {"metadata.name": "jane", "spec.profile.email": "jane@example.com"}, Source(""),
    )  # fmt: skip
    assert names(found.people["user:default/bob"].member_of) == ["gone", "platform", "team"]
    assert found.teams["group:default/platform"] == Team(
        "group:default/platform", "platform", ("group:default/company",), {"metadata.name": "platform"}, Source("")
    )
    assert found.services["component:default/pay"] == Service(
        ref="component:default/pay", title="pay", type="", owner="group:default/team", system="system:default/payments",
        domain="domain:default/money", tags=(), access="consumers", allow_groups=(),
        allow_consumers=("component:default/shop",), provides=("api:default/charges",), consumes=(), client_ids={},
        exposures=(Exposure("prod", "pay.example.com", "/", ("http://10.0.0.1:8080",), Source("")),),
        operations=(
            Operation("POST", "/v1/charges", (frozenset({"charges:write"}),), "api:default/charges", source=Source("")),
        ),
        has_definition=True,
        annotations={
            "environments": "prod", "host": "pay.example.com", "upstream": "http://10.0.0.1:8080",
            "access": "consumers", "allow-consumers": "shop",
        },
        source=Source(""),
    )  # fmt: skip
    shop = found.services["component:default/shop"]
    assert (shop.consumes, shop.client_ids) == (("api:default/charges",), {"": "shop-client"})


def test_bare_refs_mean_the_own_namespace(tmp_path: Path, read: Read) -> None:
    documents = [*people("team"), service("staging/x", providesApis=["a"]), api("a", openapi("GET /secret"))]
    found = facts(tmp_path, read, documents).services["component:staging/x"]
    assert found.owner == ""
    assert found.provides == ("api:staging/a",)
    assert found.operations == ()
    assert found.has_definition


def test_case_never_tells_two_entities_apart(tmp_path: Path, read: Read) -> None:
    documents = [entity("Group", "Team"), entity("User", "Jane", memberOf=["TEAM"]), service("A", owner="tEAM")]
    found = facts(tmp_path, read, documents)
    assert found.people["user:default/jane"].member_of == ("group:default/team",)
    assert found.services["component:default/a"].owner == "group:default/team"


def test_a_consumer_is_known_only_from_its_own_side(tmp_path: Path, read: Read) -> None:
    documents = [*people("team"), service("a", providesApis=["a"]), api("a", openapi("GET /x")), service("b")]
    found = facts(tmp_path, read, documents)
    assert found.services["component:default/b"].consumes == ()


def test_orphans_are_absent(tmp_path: Path, read: Read) -> None:
    orphan = entity("Group", "team")
    orphan["metadata"]["annotations"] = {"backstage.io/orphan": "true"}
    found = facts(tmp_path, read, [orphan, entity("User", "jane", memberOf=["team"]), service("a")])
    assert found.teams == {}
    assert found.services["component:default/a"].owner == ""


def test_what_an_environment_is_never_comes_from_the_lifecycle(tmp_path: Path, read: Read) -> None:
    document = service("a", environments=None)
    document["spec"]["lifecycle"] = "production"
    assert facts(tmp_path, read, [*people("team"), document]).services["component:default/a"].exposures == ()
