"""What somebody may call, operation by operation, as the plainest path of each asks."""

from __future__ import annotations

from policy.facts import Operation
from policy.offers import askers_of, leaves_of, names_like, path_of, what_can
from policy.paths import template_of
from policy.statements import AccessPolicy, EnvironmentPolicy, Requirement
from policy.table import Table
from tests.support.policy_worlds import catalog, exposure, person, service, team, world

PROD = EnvironmentPolicy("prod", ("all",), everyone=("read",), requirements=(Requirement("person", "mfa"),))
SCOPE = (frozenset({"s:r"}),)


def table_of(*operations: Operation, **changes: object) -> Table:
    facts = catalog(
        team("owners"), team("above"), team("below", "above"), person("jane", "owners"), person("joe", "below"),
        service("a", *operations, access="everyone", **changes),
        service("b", exposures=(exposure("b", "dev"), exposure("b")), client_ids={"prod": "b-prod", "dev": "b-dev"}),
    )  # fmt: skip
    return world(facts, AccessPolicy({"prod": PROD, "dev": EnvironmentPolicy("dev", ("all",))}))[1]


def offered(table: Table, name: str) -> dict[str, list[str]]:
    (asker,) = askers_of(table, name)
    return {
        offer.exposure.key: [operation for _, names in offer.ways for operation in names]
        for offer in what_can(table, asker, table.exposures.values(), 1000)
    }


def test_operations_come_by_what_must_be_shown_and_in_order_of_paths() -> None:
    table = table_of(Operation("GET", "/z"), Operation("POST", "/a"), Operation("GET", "/a", SCOPE))
    (asker,) = askers_of(table, "joe")
    (offer,) = what_can(table, asker, [table.exposures["component:default/a@prod"]], 1000)
    assert [(way.scopes, way.needs, names) for way, names in offer.ways] == [
        (("s:r",), ("mfa",), ("GET /a",)),
        ((), ("mfa",), ("GET /z",)),
    ]
    assert offer.total == 3
    assert offered(table, "jane")["component:default/a@prod"] == ["GET /a", "POST /a", "GET /z"]


def test_a_variable_is_asked_with_a_value_that_comes_near_no_sibling() -> None:
    """Every text that a careless filler would be taken for is a literal here, and one of them is closed to all."""
    literals = [Operation("GET", f"/{text}", unresolved=True) for text in ("vvv", "v", "www", "x", "value", "VVV")]
    table = table_of(Operation("GET", "/{id}"), Operation("GET", "/v{id}", unresolved=True), *literals)
    assert offered(table, "joe")["component:default/a@prod"] == ["GET /{id}"]


def test_every_leaf_of_a_tree_is_found_once() -> None:
    templates = ["/", "/a", "/a/{x}", "/a/{x}.json", "/b/**", "/**"]
    table = table_of(*(Operation("GET", each) for each in templates))
    tree = table.exposures["component:default/a@prod"].rules().tree
    assert sorted(leaf[0] for leaf in leaves_of(tree)) == sorted(templates)
    assert path_of(template_of("/a/{x}.json"), "v") == ("a", "v.json")
    assert path_of(template_of("/b/**"), "v") == ("b", "v")


def test_a_name_means_a_person_a_team_or_a_program() -> None:
    table = table_of(Operation("GET", "/a"))
    assert [each.ref for each in askers_of(table, "Jane")] == ["user:default/jane"]
    (below,) = askers_of(table, "group:default/below")
    assert {"group:default/below", "group:default/above", "all-people", "everyone"} == below.subjects
    programs = [each.ref for each in askers_of(table, "component:default/b")]
    assert programs == ["component:default/b@dev", "component:default/b@prod"]
    for nobody in ("nobody", "group:default/gone", "component:default/a", "system:default/x", "", "anyone"):
        assert askers_of(table, nobody) == []


def test_a_program_of_one_environment_is_offered_nothing_of_another() -> None:
    table = table_of(Operation("GET", "/a"))
    dev, prod = askers_of(table, "component:default/b")
    assert [each.exposure.key for each in what_can(table, dev, table.exposures.values(), 1000)] == []
    assert [each.exposure.key for each in what_can(table, prod, table.exposures.values(), 1000)] == [
        "component:default/a@prod"
    ]


def test_names_to_compare_with_are_of_the_same_kind() -> None:
    table = table_of(Operation("GET", "/a"))
    assert sorted(names_like(table, "jnae")) == ["user:default/jane", "user:default/joe"]
    assert sorted(names_like(table, "group:x")) == [
        "group:default/above",
        "group:default/below",
        "group:default/owners",
    ]
    assert set(names_like(table, "component:x")) == {"component:default/b"}
