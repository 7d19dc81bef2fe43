"""Entities to facts: relations followed, owners found, and that losing something never opens anything."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.engine.sources.assembly import Assembler, Bounds, Facts
from gateway.engine.sources.entities import Entity, read_entity
from gateway.engine.sources.openapi import broken, no_definition, read_definition
from policy.facts import Exposure, Source
from tests.support.catalogs import PREFIX, api, entity, environments, openapi, people, service

BOUNDS = Bounds(environments("dev", "prod"), "door.example.com")


def entities_of(*documents: dict[str, Any]) -> dict[str, Entity]:
    found = {}
    for document in documents:

        def define(definition: object, ref: str, document: dict[str, Any] = document) -> Any:
            kind = document["spec"]["type"]
            if kind != "openapi":
                return no_definition(kind)
            if definition == "broken":
                return broken(Source("f.yaml", 1, ref), "definition is broken")
            return read_definition(str(definition), ref, "f.yaml", 1)

        reading = read_entity(document, lambda path: Source("f.yaml", 1), PREFIX, define=define)
        assert reading.entity is not None, reading.faults
        found[reading.entity.ref] = reading.entity
    return found


def facts(
    *documents: dict[str, Any],
    routes: Mapping[str, tuple[Exposure, ...]] | None = None,
    assembler: Assembler | None = None,
) -> Facts:
    return (assembler or Assembler(BOUNDS)).facts(entities_of(*documents), routes or {})


def test_a_service_has_everything_the_catalog_says_about_it() -> None:
    found = facts(
        *people("team"),
        service("a", providesApis=["a"], consumesApis=["b"], system="s", access="consumers"),
        api("a", openapi("GET /x")),
        entity("System", "s", domain="d"),
    ).catalog.services["component:default/a"]
    assert (found.owner, found.system, found.domain) == ("group:default/team", "system:default/s", "domain:default/d")
    assert (found.provides, found.consumes) == (("api:default/a",), ("api:default/b",))
    assert [(each.method, each.template, each.api) for each in found.operations] == [("GET", "/x", "api:default/a")]
    assert found.has_definition


def test_members_and_parents_come_from_either_side() -> None:
    found = facts(
        entity("Group", "a", children=["b"], members=["jane"]), entity("Group", "b"), entity("User", "jane")
    ).catalog
    assert found.people["user:default/jane"].member_of == ("group:default/a",)
    assert found.teams["group:default/b"].parents == ("group:default/a",)


def test_an_owner_that_dangles_owns_nothing_and_is_named() -> None:
    found = facts(service("staging/a", owner="team"), *people("team"))
    assert found.catalog.services["component:staging/a"].owner == ""
    (fault,) = found.faults
    assert "group:staging/team" in fault.message
    assert "own namespace" in fault.suggestion


def test_a_person_is_no_owner() -> None:
    found = facts(service("a", owner="user:jane"), entity("User", "jane"))
    assert found.catalog.services["component:default/a"].owner == ""


def test_a_system_that_is_not_described_still_counts_for_deny_rules() -> None:
    found = facts(service("a", system="s"), *people("team")).catalog.services["component:default/a"]
    assert found.system == "system:default/s"


def test_a_definition_that_is_missing_or_broken_never_opens_every_path() -> None:
    found = facts(
        *people("team"), service("a", providesApis=["gone"]), service("b", providesApis=["b"]), api("b", "broken")
    )
    for ref in ("component:default/a", "component:default/b"):
        assert found.catalog.services[ref].has_definition
        assert found.catalog.services[ref].operations == ()


def test_an_api_without_operations_of_ours_leaves_the_service_guarded_as_a_whole() -> None:
    found = facts(*people("team"), service("a", providesApis=["g"]), api("g", "type Query", type="graphql"))
    assert not found.catalog.services["component:default/a"].has_definition
    assert "no OpenAPI" in found.faults[0].message


def test_a_broken_exposure_keeps_its_last_good_route_within_todays_bounds() -> None:
    last = Exposure("prod", "a.example.com", "/", ("http://10.0.0.1:8080",))
    outside = Exposure("prod", "a.evil.com", "/", ("http://10.0.0.1:8080",))
    own = Exposure("prod", "door.example.com", "/", ("http://10.0.0.1:8080",))
    documents = (*people("team"), service("a", host="a b"))
    for route, expected in ((last, (last,)), (outside, ()), (own, ())):
        found = facts(*documents, routes={"component:default/a": (route,)})
        assert found.catalog.services["component:default/a"].exposures == expected
        assert found.quarantined == {"component:default/a@prod"}


def test_public_marks_an_operation_of_the_definition_and_paths_add_to_it() -> None:
    found = facts(
        *people("team"),
        service("a", providesApis=["a"], public="GET /x", paths="GET /assets/**, GET /x"),
        api("a", openapi("GET /x", "GET /y")),
    ).catalog.services["component:default/a"]
    assert [(each.template, each.public, bool(each.api)) for each in found.operations] == [
        ("/x", True, True), ("/y", False, True), ("/assets/**", False, False),
    ]  # fmt: skip


def test_components_that_do_not_name_us_are_no_facts() -> None:
    assert facts(entity("Component", "a", owner="team"), *people("team")).catalog.services == {}


def test_what_did_not_change_is_the_very_same_object() -> None:
    assembler = Assembler(BOUNDS)
    documents = (*people("team"), service("a"), service("b"))
    first = facts(*documents, assembler=assembler).catalog
    second = facts(*documents[:-1], service("b", access="everyone"), assembler=assembler).catalog
    assert second.services["component:default/a"] is first.services["component:default/a"]
    assert second.people["user:default/jane"] is first.people["user:default/jane"]
    assert second.services["component:default/b"] is not first.services["component:default/b"]


def test_a_cycle_of_teams_is_only_data() -> None:
    found = facts(entity("Group", "a", parent="b"), entity("Group", "b", parent="a")).catalog
    assert found.teams["group:default/a"].parents == ("group:default/b",)


def test_an_instance_is_agreed_where_one_team_owns_both_and_follows_the_other_ones_owner() -> None:
    """What anybody may claim gives nothing; whoever takes the service over takes its instances' agreement away."""
    assembler = Assembler(BOUNDS)
    instance = service("a-prod", environment="prod", instance_of="a")
    theirs = service("b-prod", owner="other", environment="prod", instance_of="a")

    def agreed(*documents: dict[str, Any]) -> tuple[list[bool], list[str]]:
        found = facts(*people("team", "other"), instance, theirs, *documents, assembler=assembler)
        services = (found.catalog.services[f"component:default/{name}"] for name in ("a-prod", "b-prod"))
        told = [fault.message for fault in found.faults if "counts here" in fault.message]
        return [each.instance is not None and each.instance.agreed for each in services], told

    assert agreed(entity("Component", "a", owner="team"))[0] == [True, False]
    assert "another owner" in agreed(entity("Component", "a", owner="team"))[1][0]
    assert agreed(entity("Component", "a", owner="other"))[0] == [False, True]
    assert agreed()[0] == [False, False]
    assert ["unknown component" in each for each in agreed()[1]] == [True, True]


def test_a_public_operation_is_found_however_its_variables_are_called() -> None:
    described = api("a", openapi("GET /x/{id}", scopes={"GET /x/{id}": ["r"]}))
    found = facts(*people("team"), service("a", providesApis=["a"], public="GET /x/{name}"), described)
    (operation,) = found.catalog.services["component:default/a"].operations
    assert (operation.template, operation.public, operation.scopes) == ("/x/{id}", True, (frozenset({"r"}),))
