"""Checks of rules that no access policy that reads well would show."""

from __future__ import annotations

from dataclasses import replace

from policy.derive import derive
from policy.facts import Operation
from policy.lint.ground import Ground
from policy.lint.rules import lint_rules
from policy.rule import with_id
from policy.statements import AccessPolicy, EnvironmentPolicy
from tests.support.policy_worlds import ENVIRONMENTS, catalog, person, service, team


def test_a_sentence_that_its_names_make_too_long_or_double_is_found() -> None:
    """A name with spaces comes of no catalog, so what makes sentences is not trusted to keep them short."""
    facts = catalog(team("owners"), person("jane", "owners"), service("a", Operation("GET", "/a")))
    policy = AccessPolicy({"prod": EnvironmentPolicy("prod", ("all",))})
    (published,) = derive(facts, policy, ENVIRONMENTS).published
    for name in ("x " * 30, "payments and also ledger"):
        rule = with_id(replace(published.rules[0], subject=f"group:default/{name}"))
        ground = Ground(facts, policy, (replace(published, rules=(rule,)),), {})
        (found,) = lint_rules(ground)
        assert (found.kind, found.about) == ("sentence_too_long", rule.id)
    assert list(lint_rules(Ground(facts, policy, (published,), {}))) == []
