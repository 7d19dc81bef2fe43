"""What the checks have in common: who is there, what production is called, how a list is told."""

from __future__ import annotations

import pytest

from policy.facts import ALL_PEOPLE, ALL_WORKLOADS, EVERYONE
from policy.lint.ground import Ground, is_production, listed
from policy.statements import ANYONE, AccessPolicy
from tests.support.policy_worlds import catalog, person, service, team


@pytest.mark.parametrize("name", ["prod", "Production", "prod2", "eu-prod", "live", "prd_west", "prod.eu"])
def test_production_is_known_by_its_usual_names(name: str) -> None:
    assert is_production(name)


@pytest.mark.parametrize("name", ["dev", "staging", "product", "reproduction", "preprod", "delivery"])
def test_nothing_else_is_production(name: str) -> None:
    assert not is_production(name)


def test_a_long_list_is_counted() -> None:
    assert listed("ab") == "`a`, `b`"
    assert listed("abcde") == "`a`, `b`, `c` and 2 more"


def test_a_circle_of_teams_ends_and_only_names_that_somebody_carries_are_inhabited() -> None:
    facts = catalog(
        team("a", "b"), team("b", "a"), team("empty", "a"), person("jane", "a", "gone"),
        service("caller", client_ids={"prod": "caller"}), service("mute", client_ids={"prod": ""}),
    )  # fmt: skip
    assert Ground(facts, AccessPolicy({}), (), {}).inhabited == {
        ALL_PEOPLE, ALL_WORKLOADS, EVERYONE, ANYONE, "group:default/a", "group:default/b", "user:default/jane",
        "component:default/caller",
    }  # fmt: skip
    assert Ground(catalog(), AccessPolicy({}), (), {}).inhabited == {ANYONE}


def test_a_program_is_there_where_its_client_id_holds() -> None:
    facts = catalog(service("all", client_ids={"": "a", "dev": ""}), service("one", client_ids={"prod": "b"}))
    ground = Ground(facts, AccessPolicy({}), (), {})
    where = {
        name: [at for at in ("", "dev", "prod") if ground.is_inhabited(f"component:default/{name}", at)]
        for name in ("all", "one", "gone")
    }
    assert where == {"all": ["", "prod"], "one": ["", "prod"], "gone": []}
