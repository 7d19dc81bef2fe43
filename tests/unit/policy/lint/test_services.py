"""Checks of the catalog that the golden cases cannot spell."""

from __future__ import annotations

from policy.derive import derive
from policy.facts import Operation, Source
from policy.lint.ground import Api, Ground
from policy.lint.services import lint_services
from policy.statements import AccessPolicy, EnvironmentPolicy
from tests.support.policy_worlds import ENVIRONMENTS, catalog, person, service, team

POLICY = AccessPolicy({"prod": EnvironmentPolicy("prod", ("all",))})


def test_a_definition_that_could_not_be_read_is_not_said_to_ask_for_nothing() -> None:
    facts = catalog(team("owners"), person("jane", "owners"), service("a", Operation("GET", "/a", api="api:default/a")))
    published = derive(facts, POLICY, ENVIRONMENTS).published
    operations = facts.services["component:default/a"].operations
    for is_read, expected in ((True, ["definition_without_security"]), (False, [])):
        api = Api("api:default/a", "openapi", (), operations, is_read, Source("a.yaml", 1))
        ground = Ground(facts, POLICY, published, {api.ref: api})
        assert [each.kind for each in lint_services(ground)] == expected
