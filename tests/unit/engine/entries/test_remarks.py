"""What owners say beside rules is told back to them, and never as if it were in force."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.engine.entries.remarks import remarks
from policy.facts import Instance
from tests.support.policy_worlds import service

OF_PAY = "component:default/pay"


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({}, []),
        ({"longest_s": 14400, "approvers": ("group:default/a", "user:default/b")},
         ["temporary access: at most 4h, approved by `group:default/a` or `user:default/b`; nothing grants it"]),
        ({"virtual_addresses": {"prod": "10.0.0.9", "dev": "10.0.0.8"}},
         ["its own address on BIG-IP in dev: 10.0.0.8", "its own address on BIG-IP in prod: 10.0.0.9"]),
        ({"addresses": {"prod": ("10.0.0.0/28", "10.0.1.1")}}, ["where it really runs in prod: 10.0.0.0/28, 10.0.1.1"]),
        ({"instance": Instance(OF_PAY, "prod", agreed=True)},
         ["it is `component:default/pay` in prod: rules about that are about this, too"]),
        ({"instance": Instance(OF_PAY, "prod", agreed=False)},
         ["it is `component:default/pay` in prod: only what is denied there is denied here"]),
    ],
)  # fmt: skip
def test_a_remark_is_a_note_that_holds_nothing(said: dict[str, Any], told: list[str]) -> None:
    found = list(remarks(service("x", **said)))
    assert [each.says for each in found] == told
    assert all((each.severity, each.holds) == ("note", False) for each in found)
