"""Selectors: every key must agree, one of its values is enough."""

from __future__ import annotations

import pytest

from policy.facts import Operation
from policy.statements import Selector, facts_of
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
