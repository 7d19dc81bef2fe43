"""Certificates and APM objects that an environment names: what is wrong with them is said before anything is sent."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from gateway.engine.network.bigip.client import Client
from gateway.engine.network.bigip.references import references_of, uncovered
from tests.support.declarations import environment
from tests.support.scripted_device import NOW, PATIENT, FakeTime, says, scripted, settings_of

PROFILE = "/mgmt/tm/apm/profile/access/~Common~door"
POLICY = "/mgmt/tm/apm/policy/access-policy/~Common~door"
ITEMS = "/mgmt/tm/apm/policy/policy-item"
APM = {
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


def remarks_of(folder: Path, answers: dict[str, Any], **settings: Any) -> list[str]:
    async def whole() -> list[str]:
        async with scripted(folder) as device:
            for path, body in answers.items():
                device.script("GET", path, says(200, body) if isinstance(body, dict) else body)
            client = Client(settings_of(folder, device), device.url, FakeTime().time(), PATIENT)
            parts = await references_of(client, environment(**settings))
            await client.close()
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
