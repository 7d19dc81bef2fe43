"""Selectors: every key must agree, one of its values is enough."""

from __future__ import annotations

import pytest

from policy.facts import Instance, Operation
from policy.statements import Selector, claimed_facts_of, facts_of
from tests.support.policy_worlds import service

FACTS = facts_of(
    service(
        "pay",
        Operation("GET", "/", api="api:default/pay"),
        type="Service",
        system="system:default/pay",
        domain="domain:default/money",
        tags=("PCI", "old"),
    )
)


@pytest.mark.parametrize(
    ("terms", "expected"),
    [
        ((), True),
        ((("service", ("component:default/pay",)),), True),
        ((("system", ("system:default/x", "system:default/pay")),), True),
        ((("domain", ("domain:default/money",)), ("tag", ("pci",))), True),
        ((("domain", ("domain:default/money",)), ("tag", ("new",))), False),
        ((("type", ("service",)),), True),
        ((("api", ("api:default/pay",)),), True),
        ((("api", ("api:default/other",)),), False),
        ((("tag", ()),), False),
    ],
)
def test_selectors(terms: tuple[tuple[str, tuple[str, ...]], ...], expected: bool) -> None:
    assert Selector(terms).covers(FACTS) is expected


@pytest.mark.parametrize("agreed", [True, False])
def test_an_allow_is_about_an_instance_where_that_is_agreed_and_a_deny_in_any_case(agreed: bool) -> None:
    instance = service("pay-prod", instance=Instance("component:default/pay", "prod", agreed=agreed))
    of_pay = Selector((("service", ("component:default/pay",)),))
    facts = facts_of(instance)
    assert of_pay.covers(facts) is agreed
    assert of_pay.covers(claimed_facts_of(instance, facts))
    assert claimed_facts_of(service("x"), FACTS) is FACTS
