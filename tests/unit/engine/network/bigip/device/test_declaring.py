"""How a declaration ended, told from what AS3 answered: from recorded answers, replayed over TLS, and from odd ones."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.engine.network.bigip.device.answers import Answer
from gateway.engine.network.bigip.device.client import Client
from gateway.engine.network.bigip.device.declaring import (
    Attempt,
    Verdict,
    check_version,
    deploy,
    dry_run,
    judged,
    wrapped,
)
from gateway.engine.network.bigip.target import _told
from gateway.engine.network.faults import Busy, DeviceFault, Rejected
from tests.support.declarations import AS3
from tests.support.scripted_device import DECLARE, PATIENT, FakeTime, ScriptedDevice, says, scripted, settings_of

NAME = "stagedoor_staging"
REQUEST = wrapped({"schemaVersion": "3.50.0", "id": "x"}, NAME, {"class": "Tenant"}, "")


async def stays() -> bool:
    return True


@asynccontextmanager
async def asked(folder: Path) -> AsyncIterator[tuple[ScriptedDevice, Client]]:
    async with scripted(folder) as device:
        client = Client(settings_of(folder, device), device.url, FakeTime().time(), PATIENT._replace(write=0.0))
        try:
            yield device, client
        finally:
            await client.close()


def recorded(name: str) -> Any:
    for file in ("as3_transcripts.json", "as3_transcripts_drift.json"):
        if not (AS3 / file).exists():
            pytest.skip(f"recorded exchanges are not at {AS3}: set AS3_DATA")
        for each in json.loads((AS3 / file).read_text()):
            if each["name"].startswith(name):
                return each["response"]
    raise AssertionError(f"no exchange is called {name}")


def deployed(folder: Path, name: str, tenant: str = NAME) -> Attempt:
    """The end of a declaration that is answered as AS3 answered then."""

    async def whole() -> Attempt:
        async with asked(folder) as (device, client):
            response = recorded(name)
            device.script("POST", DECLARE, says(response["status"], response["body"]))
            return await deploy(client, tenant, REQUEST, stays)

    return asyncio.run(whole())


@pytest.mark.parametrize(
    ("name", "tenant", "verdict", "words"),
    [
        ("deploy sync", NAME, Verdict.DONE, ""),
        ("deploy no change", "t1", Verdict.DONE, ""),
        ("dry-run create", NAME, Verdict.DONE, ""),
        ("optimistic lock mismatch", NAME, Verdict.OUTDATED, "does not match"),
        ("device failure", NAME, Verdict.FAILED, "Invalid Node, the IP address 198.51.100.7 already exists"),
        ("422 schema", NAME, Verdict.FAILED, "should be <= 3600"),
        ("422 dangling ref", NAME, Verdict.FAILED, "non-existent object missing"),
        ("unknown property", NAME, Verdict.FAILED, "virtualPortt"),
        ("schemaVersion too new", "t1", Verdict.FAILED, "3.99.0"),
        ("bad async", NAME, Verdict.FAILED, "async must be"),
        ("not json obj", NAME, Verdict.FAILED, "cannot parse JSON"),
        ("multi decl 207", NAME, Verdict.FAILED, ""),
    ],
    ids=lambda each: str(each),
)
def test_recorded_answers(tmp_path: Path, name: str, tenant: str, verdict: Verdict, words: str) -> None:
    attempt = deployed(tmp_path, name, tenant)
    assert attempt.verdict is verdict
    assert words in attempt.why


def test_the_recorded_lock_is_busy_and_nothing_else(tmp_path: Path) -> None:
    with pytest.raises(Busy, match="Configuration operation in progress"):
        deployed(tmp_path, "locked")


def test_the_recorded_task_is_followed_to_its_end(tmp_path: Path) -> None:
    async def whole() -> None:
        async with asked(tmp_path) as (device, client):
            device.script("POST", DECLARE, says(202, recorded("async")["body"]))
            looks = [recorded("task now"), recorded("task now"), recorded("task later")]
            device.script("GET", "/mgmt/shared/appsvcs/task/", *[says(each["status"], each["body"]) for each in looks])
            attempt = await deploy(client, NAME, REQUEST, stays)
            assert (attempt.verdict, attempt.task) == (Verdict.DONE, "ffe3bea1-e15e-4abe-8553-d4eea7dcfdf1")
            assert len(device.asked("GET /mgmt/shared/appsvcs/task/ffe3bea1-e15e-4abe-8553-d4eea7dcfdf1")) == 3

    asyncio.run(whole())


def test_a_task_that_met_the_lock_did_nothing(tmp_path: Path) -> None:
    async def whole() -> None:
        async with asked(tmp_path) as (device, client):
            device.script("POST", DECLARE, says(202, {"id": "t", "results": [{"code": 0, "message": "submitted"}]}))
            locked = {"code": 503, "message": "Error: Configuration operation in progress on device localhost"}
            device.tasks["t"] = [{"id": "t", "results": [{**locked, "tenant": NAME}]}]
            with pytest.raises(Busy):
                await deploy(client, NAME, REQUEST, stays)

    asyncio.run(whole())


@pytest.mark.parametrize(
    "body",
    [{"id": "../../../tm/sys"}, {"id": 7}, {}, [], {"id": ""}, {"id": "a" * 100}],
    ids=["path", "number", "none", "list", "empty", "long"],
)
def test_a_task_whose_id_is_none_is_followed_nowhere(tmp_path: Path, body: Any) -> None:
    async def whole() -> None:
        async with asked(tmp_path) as (device, client):
            device.script("POST", DECLARE, says(202, body))
            assert (await deploy(client, NAME, REQUEST, stays)).verdict is Verdict.UNKNOWN
            assert not device.asked("GET")

    asyncio.run(whole())


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        (Answer(200, {"results": [{"code": 200, "tenant": "other"}]}), Verdict.UNKNOWN),
        (Answer(200, {"results": [{"code": 200, "tenant": NAME}, {"code": 422, "tenant": "Common"}]}), Verdict.FAILED),
        (Answer(200, {"results": [{"code": 200, "tenant": NAME}, {"code": 500, "tenant": NAME}]}), Verdict.UNKNOWN),
        (Answer(200, {"results": [{"code": "200", "tenant": NAME}]}), Verdict.UNKNOWN),
        (Answer(200, {"results": [{"code": True, "tenant": NAME}]}), Verdict.UNKNOWN),
        (Answer(200, {"results": []}), Verdict.UNKNOWN),
        (Answer(207, {"items": [{"results": [{"code": 200, "tenant": NAME}]}, {"code": 422}]}), Verdict.FAILED),
        (Answer(200, {"code": 422, "message": "declaration is invalid"}), Verdict.FAILED),
        (Answer(200, None, "empty"), Verdict.UNKNOWN),
        (Answer(302, None, "empty"), Verdict.UNKNOWN),
    ],
)
def test_an_answer_that_says_less_than_success_is_none(tmp_path: Path, answer: Answer, verdict: Verdict) -> None:
    client = Client(settings_of(tmp_path), "https://127.0.0.1:1", FakeTime().time(), PATIENT)
    assert judged(client, NAME, answer).verdict is verdict


def test_recorded_dry_runs_are_told_in_sentences() -> None:
    for name, sentence in {
        "dry-run drift edit": "AS3 changes `/t1/app/p properties load-balancing-mode` from "
        "`least-connections-member` to `round-robin`.",
        "dry-run rogue object": "AS3 deletes `/t1/app/rogue`.",
        "dry-run in sync": "",
    }.items():
        response = recorded(name)
        assert _told("t1", Answer(200, response["body"])) == ((sentence,) if sentence else ())


def test_a_dry_run_that_is_refused_or_locked_says_so(tmp_path: Path) -> None:
    async def whole() -> None:
        async with asked(tmp_path) as (device, client):
            for name, fault in {"422 schema": Rejected, "locked": Busy}.items():
                response = recorded(name)
                device.script("POST", DECLARE, says(response["status"], response["body"]))
                with pytest.raises(fault):
                    await dry_run(client, NAME, REQUEST, stays)

    asyncio.run(whole())


def test_what_is_sent_is_one_tenant_and_never_complete() -> None:
    stored = {"class": "ADC", "schemaVersion": "3.50.0", "id": "x", "updateMode": "complete", "Common": {},
              "controls": {"archiveTimestamp": "now", "dryRun": True, "userAgent": "stagedoor/1"}}  # fmt: skip
    assert wrapped(stored, NAME, {"class": "Tenant"}, "KEY") == {
        "class": "AS3",
        "action": "deploy",
        "persist": True,
        "declaration": {
            "class": "ADC",
            "schemaVersion": "3.50.0",
            "id": "x",
            "updateMode": "selective",
            "controls": {"class": "Controls", "userAgent": "stagedoor/1"},
            NAME: {"class": "Tenant", "optimisticLockKey": "KEY"},
        },
    }


@pytest.mark.parametrize("said", [{"version": "3.49.9"}, {"version": None}, {}, [], {"version": "latest"}])
def test_an_as3_that_is_too_old_or_says_nothing_takes_none(tmp_path: Path, said: Any) -> None:
    async def whole() -> None:
        async with asked(tmp_path) as (device, client):
            device.script("GET", "/mgmt/shared/appsvcs/info", says(200, said))
            with pytest.raises(DeviceFault):
                await check_version(client, "3.50.0")
            await check_version(client, "3.50.0")

    asyncio.run(whole())


def test_a_unit_that_is_gone_for_good_ends_the_wait(tmp_path: Path) -> None:
    async def whole() -> None:
        async with asked(tmp_path) as (device, client):
            asked_for: list[bool] = []

            async def gone() -> bool:
                asked_for.append(True)
                return False

            device.script("POST", DECLARE, says(202, {"id": "t", "results": []}))
            device.script("GET", "/mgmt/shared/appsvcs/task/", *[says(503, text="<html>")] * 50)
            attempt = await deploy(client, NAME, REQUEST, gone)
            assert attempt.verdict is Verdict.UNKNOWN
            assert asked_for == [True]

    asyncio.run(whole())
