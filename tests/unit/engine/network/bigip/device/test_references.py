"""Certificates and APM objects that an environment names: what is wrong with them is said before anything is sent."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway.config.devices import ApmEntry
from gateway.engine.network.bigip.device.client import Client
from gateway.engine.network.bigip.device.references import references_of, uncovered
from tests.support.declarations import environment
from tests.support.scripted_device import NOW, PATIENT, FakeTime, says, scripted, settings_of

PROFILE = "/mgmt/tm/apm/profile/access/~Common~door"
POLICY = "/mgmt/tm/apm/policy/access-policy/~Common~door"
ITEMS = "/mgmt/tm/apm/policy/policy-item"
APM: dict[str, dict[str, Any]] = {
    PROFILE: {"name": "door", "accessPolicy": "/Common/door"},
    POLICY: {"name": "door", "items": [{"name": "door_claims"}]},
    ITEMS: {
        "items": [
            {"name": "door_claims", "rules": [
                {"expression": "expr {[mcget {session.oauth.scope.last.jwt.groups}] contains {prod}}"}]},
            {"name": "another", "rules": [{"expression": "expr {[mcget {session.oauth.scope.last.jwt.acr}] == 1}"}]},
        ]
    },
}  # fmt: skip
ABSENT = says(404, {"code": 404, "message": "01020036:3: The requested object was not found."})


def remarks_of(folder: Path, answers: dict[str, Any], asked: list[str] | None = None, **settings: Any) -> list[str]:
    """``asked`` gets the paths of all requests."""

    async def whole() -> list[str]:
        async with scripted(folder) as device:
            for path, body in answers.items():
                device.script("GET", path, says(200, body) if isinstance(body, dict) else body)
            client = Client(settings_of(folder, device), device.url, FakeTime().time(), PATIENT)
            parts = await references_of(client, environment(**settings))
            await client.close()
            if asked is not None:
                asked.extend(device.asked("GET "))
            return [part["remark"] for part in parts.values() if "remark" in part]

    return asyncio.run(whole())


def test_a_profile_whose_branches_test_the_claims_says_nothing(tmp_path: Path) -> None:
    assert remarks_of(tmp_path, APM, access_profile="/Common/door", required_claims=("groups",)) == []


def test_a_claim_that_no_branch_of_this_policy_tests_is_named(tmp_path: Path) -> None:
    said = remarks_of(tmp_path, APM, access_profile="/Common/door", required_claims=("groups", "acr", "group"))
    assert said == ["no branch of access policy `/Common/door` tests `acr`, `group`"]


def test_what_is_not_on_the_device_is_named_with_its_setting(tmp_path: Path) -> None:
    answers = {PROFILE: ABSENT, POLICY: ABSENT, "/mgmt/tm/ltm/profile/client-ssl/~Common~clients": ABSENT}
    said = remarks_of(tmp_path, answers, access_profile="/Common/door", per_request_policy="/Common/door")
    assert said == [
        "`/Common/clients` (`client_tls`) is not on the device",
        "`/Common/door` (`per_request_policy`) is not on the device",
    ]


@pytest.mark.parametrize(("days", "said"), [(29, "ends in 29 days"), (1, "ends in 1 day"), (-2, "ended 2 days ago")])
def test_a_certificate_that_ends_soon_or_has_ended(tmp_path: Path, days: int, said: str) -> None:
    answer = {"expirationDate": NOW + days * 86_400 + 60}
    assert remarks_of(tmp_path, {"/mgmt/tm/sys/file/ssl-cert/~Common~doors.crt": answer}) == [
        f"certificate `/Common/doors.crt` (`trust_ca`) {said}"
    ]


def test_hosts_that_no_certificate_carries_are_named() -> None:
    part = {"setting": "client_tls", "names": ["shop.example.com", "*.apps.example.com"]}
    hosts = ["shop.example.com", "a.apps.example.com", "pay.example.com", "b.a.apps.example.com"]
    said = uncovered(hosts, {"/Common/clients.crt": part})
    assert "`b.a.apps.example.com`, `pay.example.com`" in said
    assert "2 hosts" in said
    assert uncovered(hosts[:2], {"/Common/clients.crt": part}) == ""
    assert uncovered(hosts, {"/Common/clients.crt": {"setting": "client_tls"}}) == "", "a device may not say"


def test_names_that_are_no_text_are_no_names_of_this_policy(tmp_path: Path) -> None:
    odd = {"items": [{"name": ["door_claims"], "rules": []}, {"name": {"a": 1}, "rules": 7}, *APM[ITEMS]["items"]]}
    answers = {**APM, ITEMS: odd}
    assert remarks_of(tmp_path, answers, access_profile="/Common/door", required_claims=("groups",)) == []


# === the mapping of APM ===

HR = ApmEntry((), ("group:default/hr",), (), "/Common/hr", "/Common/hr-rq", (("groups", ("hr", "pay")), ("acr", ())))
PROFILES, POLICIES = "/mgmt/tm/apm/profile/access", "/mgmt/tm/apm/policy/access-policy"


def mapped(*expressions: str, kind: str = "per-rq-policy") -> dict[str, Any]:
    """A device with the profiles `door` and `hr`, whose per-request policy has these branches."""
    return {
        PROFILES: {"items": [
            {"fullPath": "/Common/door", "accessPolicy": "/Common/door"},
            {"fullPath": "/Common/hr", "accessPolicy": "/Common/hr"},
        ]},
        POLICIES: {"items": [
            {"fullPath": "/Common/door", "items": [{"name": "door_claims"}]},
            {"fullPath": "/Common/hr", "items": []},
            {"fullPath": "/Common/hr-rq", "type": kind, "items": [{"name": "hr_branch"}]},
        ]},
        ITEMS: {"items": [*APM[ITEMS]["items"],
                          {"name": "hr_branch", "rules": [{"expression": each} for each in expressions]}]},
    }  # fmt: skip


GROUPS = "expr {[mcget {session.oauth.scope.last.jwt.groups}] contains {%s}}"
ACR = "expr {[mcget {session.oauth.scope.last.jwt.acr}] == 2}"


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        (mapped(GROUPS % "hr", GROUPS % "pay", ACR), []),
        (mapped(GROUPS % "hr", ACR), ["compares `groups` with `pay`"]),
        (mapped(GROUPS % "hr", GROUPS % "payroll", ACR), ["compares `groups` with `pay`"]),
        (mapped(GROUPS % "hr", f"{ACR} || {{pay}}"), ["compares `groups` with `pay`"]),
        (mapped(GROUPS % "hr", GROUPS % "pay"), ["tests `acr`"]),
        (mapped(), ["tests `groups`, `acr`"]),
        (mapped(GROUPS % "hr", GROUPS % "pay", ACR, kind="access-policy"), ["is no per-request policy"]),
        ({**mapped(), PROFILES: {"items": mapped()[PROFILES]["items"][:1]}},
         ["`/Common/hr` (`access_profile`) is not"]),
        ({**mapped(), POLICIES: {"items": []}}, ["`/Common/hr-rq` (`per_request_policy`) is not", "tests `groups`"]),
        ({PROFILES: {}, f"{POLICIES}/~Common~hr-rq": ABSENT},
         ["`/Common/door` (`access_profile`)", "`/Common/hr`", "/hr-rq`"]),
    ],
    ids=["all", "a value less", "longer value", "elsewhere", "a claim less", "none", "kind", "profile", "policy",
         "empty"],
)  # fmt: skip
def test_each_profile_of_the_mapping_has_the_branches_that_it_says(
    tmp_path: Path, answers: dict[str, Any], said: list[str]
) -> None:
    found = remarks_of(tmp_path, answers, access_profile="/Common/door", apm=(HR,))
    assert len(found) == len(said), found
    assert all(any(each in remark for remark in found) for each in said), found


def test_branches_of_another_partition_are_nobodys_here(tmp_path: Path) -> None:
    """Items of two policies may be called alike; and however many partitions a device names, they are read at once."""
    answers = mapped(GROUPS % "hr", GROUPS % "pay", ACR)
    for item in answers[ITEMS]["items"]:
        item["partition"] = "Common"
    foreign = {"name": "hr_branch", "partition": "other", "rules": [{"expression": GROUPS % "pay"}]}
    answers[ITEMS] = {"items": [*answers[ITEMS]["items"][:2], foreign]}
    answers[PROFILES]["items"][1]["accessPolicy"] = "/other/hr"
    answers[POLICIES]["items"][1]["fullPath"] = "/other/hr"
    asked: list[str] = []
    (found,) = remarks_of(tmp_path, answers, asked, access_profile="/Common/door", apm=(HR,))
    assert "access policy `/other/hr` and `/Common/hr-rq` tests `groups`, `acr`" in found
    assert len([path for path in asked if ITEMS in path]) == 1


def test_many_profiles_are_asked_for_in_three_requests(tmp_path: Path) -> None:
    many = tuple(replace(HR, access_profile=f"/Common/p{number}") for number in range(50))
    profiles = [{"fullPath": each.access_profile, "accessPolicy": "/Common/hr"} for each in many]
    asked: list[str] = []
    found = remarks_of(tmp_path, {**mapped(), PROFILES: {"items": profiles}}, asked, apm=many)
    assert len(found) == 50
    assert len([path for path in asked if "/apm/" in path]) == 3
