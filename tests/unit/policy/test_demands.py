"""Reading `require`: what is asked of programs, and every way to say it wrong."""

from __future__ import annotations

from typing import Any

import pytest

from policy.access import read_policy
from policy.facts import Source
from policy.statements import Requirement


def read(require: object, kind: str = "workloads") -> tuple[tuple[Requirement, ...], list[str]]:
    document: dict[str, Any] = {"version": 1, "environments": {"prod": {kind: {"require": require}}}}
    policy, faults = read_policy(document, lambda path: Source("policy.yaml", 1))
    return policy.environments["prod"].requirements, [f"{each.message}; {each.suggestion}" for each in faults]


@pytest.mark.parametrize(
    ("require", "expected"),
    [
        ("certificate", {("certificate", "")}),
        ([{"issuer": "ci"}], {("issuer", "ci")}),
        ([{"issuer": ["main", "ci", "main"]}], {("issuer", "ci,main")}),
        ([{"network": "10.0.0.0/8"}], {("network", "10.0.0.0/8")}),
        ([{"network": ["10.9.0.1", "10.0.0.0/255.0.0.0", "2001:DB8::/32"]}],
         {("network", "10.0.0.0/8,10.9.0.1/32,2001:db8::/32")}),
        ([{"issuer": "ci", "network": "10.0.0.0/8"}, "certificate"],
         {("issuer", "ci"), ("network", "10.0.0.0/8"), ("certificate", "")}),
        ([{"network": "10.0.0.0/8"}, {"network": "10.9.0.0/16"}],
         {("network", "10.0.0.0/8"), ("network", "10.9.0.0/16")}),
    ],
)  # fmt: skip
def test_what_may_be_asked_of_programs(require: object, expected: set[tuple[str, str]]) -> None:
    """Entries are all asked for; within one entry the names are alternatives, in one canonical order."""
    requirements, faults = read(require)
    assert faults == []
    assert set(requirements) == {Requirement("workload", name, argument) for name, argument in expected}  # type: ignore[arg-type]  # words of the type


@pytest.mark.parametrize(
    ("require", "fault"),
    [
        (["issuer"], "`issuer` must say which; write `{issuer: NAME}`"),
        (["network"], "`network` must say which; write `{network: 10.0.0.0/8}`"),
        (["certificat"], "`certificat` is nothing that can be asked of programs; did you mean `certificate`?"),
        (["mfa"], "`mfa` is nothing that can be asked of programs; "),
        ([{"issuer": []}], "`issuer` is empty; leave it out, or say what it asks for"),
        ([{"network": None}], "`network` is empty; leave it out, or say what it asks for"),
        ([{"issuer": "a,b"}], "`a,b` is no name of an issuer; "),
        ([{"issuer": "https://idp.test"}], "`https://idp.test` is no name of an issuer; "),
        ([{"network": "10.0.0.1/8"}], "`10.0.0.1/8` is no network; write `10.0.0.0/8`, host bits zero"),
        ([{"network": "office"}], "`office` is no network; write `10.0.0.0/8`, host bits zero"),
        ([{"certificate": "yes"}], "unknown key `certificate`; known here: `issuer`, `network`"),
        ([{}], "a requirement is empty; leave it out, or say what it asks for"),
        ([7], "entry 1 of `require` must be a mapping, not the number `7`; "),
    ],
)
def test_a_demand_that_cannot_be_read_is_a_fault(require: object, fault: str) -> None:
    """It was meant to narrow: left out in silence it would widen."""
    assert read(require)[1] == [fault]


def test_people_are_not_asked_for_what_programs_show() -> None:
    for asked, name in (("certificate", "certificate"), ({"network": "10.0.0.0/8"}, "network"), ("issuer", "issuer")):
        found, faults = read([asked], "people")
        assert (found, faults) == ((), [f"`{name}` is asked of programs; write it below `workloads`"])
    assert read(["mfaa"], "people")[1] == ["entry 1 of `require` must be one of `mfa`, not `mfaa`; did you mean `mfa`?"]
