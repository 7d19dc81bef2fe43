"""The APM mapping: it decides what stands before a service with an address of its own, and never silently nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gateway.config.devices import ApmEntry
from gateway.engine.network.bigip.as3.apm import apm_of, remarks_on
from gateway.engine.network.bigip.as3.declaration import declaration_of
from gateway.engine.network.bigip.as3.lint import faults_of
from gateway.engine.network.bigip.as3.names import application_name
from gateway.engine.network.bigip.review.differences import steps_between
from tests.support.declarations import desired, device, environment, place

NAME = "stagedoor_prod"
HR = ApmEntry((), ("group:default/hr",), (), "/Common/hr", "/Common/hr-claims", (("groups", ("hr",)),), "apm.yaml:4")
PAY = ApmEntry(("component:default/pay",), (), (), "/Common/pay", place="apm.yaml:7")
BOTH = ApmEntry((), ("group:default/hr",), ("a.example.com", "b.example.com"), "/Common/both", place="apm.yaml:9")
AT = environment(access_profile="/Common/people", per_request_policy="/Common/claims", apm=(PAY, HR))
PAYROLL = place("payroll", owner="group:default/hr", address="10.200.0.9")
OWN = {PAYROLL.entity: "10.200.0.9"}


def made(at: Any, *places: Any, own: dict[str, str] | None = None) -> dict[str, Any]:
    declaration = declaration_of(desired(*places), device(at), at, OWN if own is None else own)
    assert faults_of(declaration) == []
    tenant: dict[str, Any] = declaration[NAME]
    return tenant


def test_a_service_of_its_own_address_has_what_the_mapping_says_and_the_shared_one_what_the_settings_say() -> None:
    tenant = made(AT, PAYROLL, place("shop"))
    own = tenant[application_name(PAYROLL.entity)]["vs"]
    assert (own["profileAccess"], own["policyPerRequestAccess"]) == (
        {"bigip": "/Common/hr"}, {"bigip": "/Common/hr-claims"},
    )  # fmt: skip
    shared = tenant["Shared"]["vs"]
    assert (shared["profileAccess"], shared["policyPerRequestAccess"]) == (
        {"bigip": "/Common/people"}, {"bigip": "/Common/claims"},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "entries", "profile"),
    [
        ({}, (PAY, HR), "/Common/hr"),
        ({"entity": "component:default/pay"}, (PAY, HR), "/Common/pay"),  # the first that fits
        ({"entity": "component:default/pay"}, (HR, PAY), "/Common/hr"),
        ({"owner": "group:other/hr"}, (PAY, HR), "/Common/people"),  # of another namespace
        ({"owner": ""}, (PAY, HR), "/Common/people"),
        ({"host": "a.example.com"}, (BOTH, HR), "/Common/both"),
        ({"host": "c.example.com"}, (BOTH, HR), "/Common/hr"),  # in all that the entry says
        ({"host": "a.example.com", "owner": "group:default/x"}, (BOTH, HR), "/Common/people"),
    ],
)
def test_who_an_entry_is_for(changes: dict[str, Any], entries: Any, profile: str) -> None:
    at = replace(AT, apm=entries)
    assert apm_of(at, [replace(PAYROLL, **changes)]).access_profile == profile


def test_a_policy_is_never_left_over_from_the_settings_beside_a_profile_of_the_mapping() -> None:
    found = apm_of(AT, [replace(PAYROLL, entity=PAY.services[0])])
    assert (found.access_profile, found.per_request_policy) == ("/Common/pay", "")


def test_the_step_says_which_policy_checks_whom() -> None:
    before = made(replace(AT, apm=()), PAYROLL)
    first, second = steps_between(NAME, "prod", before, made(AT, PAYROLL))
    sentences = {first.sentence, second.sentence}
    assert sentences == {
        "Checks the people who come to payroll.example.com by APM profile `/Common/hr` instead of `/Common/people`.",
        "Checks the requests of payroll.example.com by APM policy `/Common/hr-claims` instead of `/Common/claims`.",
    }
    assert all(step.caution for step in (first, second))


def test_what_the_mapping_says_for_nothing_or_in_vain_is_told() -> None:
    """Whoever reviewed the file believes that the profile stands there."""
    shop = place("shop", owner="group:default/hr")
    assert list(remarks_on(AT, desired(PAYROLL, shop), {PAYROLL.entity})) == [
        "`/Common/pay` (apm.yaml:7) is for no service that is published here",
        "`/Common/hr` (apm.yaml:4) does not stand before `component:default/shop`: at the shared address it is "
        "`/Common/people` that checks; give the service an address of its own",
    ]
    pay = replace(place("pay"), owner="group:default/hr")
    assert list(remarks_on(AT, desired(PAYROLL, pay), {PAYROLL.entity, pay.entity})) == []
    assert list(remarks_on(environment(), desired(shop), set())) == []
