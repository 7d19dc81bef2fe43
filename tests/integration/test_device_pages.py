"""Promises about the pages and the API of devices, through a whole node and an emulated BIG-IP: who may read them, that
they tell what the command line tells, and that they stay readable while the engine is away."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from gateway.control.api.device_models import DeviceAnswer, DevicesAnswer
from tests.support.central import HOST, Reply
from tests.support.central import _said as said
from tests.support.device_scene import PATIENCE_S, TENANT, DeviceScene, device_scene

pytestmark = pytest.mark.slow
PAGES = ("/portal/devices", "/portal/devices/dc1/prod")


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DeviceScene]:
    with device_scene(tmp_path_factory.mktemp("devices")) as running:
        yield running


def visit(scene: DeviceScene, who: str | None, path: str, **lines: str) -> Reply:
    sent = {"Host": HOST, "Accept": "text/html", **{name.replace("_", "-"): value for name, value in lines.items()}}
    if who is not None:
        sent["Authorization"] = f"Bearer {scene.central.token(who)}"
    connection = http.client.HTTPConnection("127.0.0.1", scene.central.node.port, timeout=PATIENCE_S)
    return said(connection, "GET", path, None, sent)


def text_of(page: Reply) -> str:
    return " ".join(re.sub(r"<[^>]*>", " ", page.text.decode()).split())


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize(("who", "status"), [(None, 401), ("olga", 403), ("pipeline-id", 403), ("root", 200)])
def test_the_pages_are_for_administrators_who_are_people(
    scene: DeviceScene, who: str | None, status: int, path: str
) -> None:
    page = visit(scene, who, path)
    assert page.status == status
    assert ("CHG-1041" in page.text.decode()) == (status == 200)


@pytest.mark.parametrize("operation", ["devices", "devices/dc1/prod"])
@pytest.mark.parametrize(("who", "status"), [(None, 401), ("olga", 403), ("pipeline-id", 200), ("root", 200)])
def test_the_api_is_for_administrators(scene: DeviceScene, who: str | None, status: int, operation: str) -> None:
    answer = scene.central.ask(operation, who)
    assert answer.status == status
    assert (TENANT in answer.text.decode()) == (status == 200)


def test_a_token_for_services_opens_nothing(scene: DeviceScene) -> None:
    bearer = {"Authorization": f"Bearer {scene.central.token('root', aud=['api'])}"}
    for path in (*PAGES, "/.stagedoor/api/v1/devices"):
        assert visit(scene, None, path, **bearer).status == 401


def test_whoever_acts_for_an_administrator_is_none(scene: DeviceScene) -> None:
    """A program with somebody's token on their behalf."""
    token = scene.central.token("root", act={"sub": "robot-id"})
    for path in (*PAGES, "/.stagedoor/api/v1/devices", "/.stagedoor/api/v1/devices/dc1/prod"):
        answer = visit(scene, None, path, Authorization=f"Bearer {token}")
        assert answer.status == 403, path
        assert b"CHG-1041" not in answer.text


def test_another_site_can_neither_frame_nor_read_a_page(scene: DeviceScene) -> None:
    page = visit(scene, "root", PAGES[1], Origin="https://elsewhere.test")
    assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
    assert "access-control-allow-origin" not in page.headers
    assert page.headers["cross-origin-resource-policy"] == "same-origin"
    assert page.headers["cache-control"] == "no-store"


def test_nothing_is_changed_from_a_page(scene: DeviceScene) -> None:
    page = visit(scene, "root", PAGES[1]).text.decode()
    assert re.findall(r"<form[^>]*action=\"([^\"]*)\"", page) == ["/.stagedoor/sign-out"]
    for method in ("POST", "PUT", "DELETE"):
        assert scene.central.ask("devices/dc1/prod", "root", method=method).status in (403, 404, 405)


def test_answers_are_as_they_are_described(scene: DeviceScene) -> None:
    listed = scene.central.ask("devices", "root").json
    DevicesAnswer.model_validate(listed)
    assert [(each["device"], each["environment"]) for each in listed["devices"]] == [("dc1", "prod"), ("dc2", "prod")]
    DeviceAnswer.model_validate(scene.view())
    described = scene.central.ask("openapi.json", "root").json["paths"]
    assert "/.stagedoor/api/v1/devices/{device}/{environment}" in described


def test_what_there_is_not_is_told_alike(scene: DeviceScene) -> None:
    for path in ("devices/dc1/nowhere", "devices/nobody/prod", "devices/..%00/prod", "devices/%3Cscript%3E/prod"):
        answer = scene.central.ask(path, "root")
        assert answer.status in (400, 404), path
    assert scene.central.ask("devices/nobody/prod", "root").json["code"] == "device_unknown"
    page = visit(scene, "root", "/portal/devices/%3Cscript%3E/prod")
    assert page.status == 404
    assert b"<script" not in page.text
    assert scene.central.ask("devices", "root", {"more": "1"}).status == 400


def test_the_page_tells_what_the_command_line_tells(scene: DeviceScene) -> None:
    planned = json.loads(scene.command("plan", "--device", "dc1", "--env", "prod", "--json").stdout)["plans"][0]
    page, view = text_of(visit(scene, "root", PAGES[1])), scene.view()
    assert view["plan"]["total"] == len(planned["plan"]["steps"]) > 25
    sentences = [each["sentence"] for each in planned["plan"]["steps"]]
    assert sorted(each["sentence"] for each in view["plan"]["steps"]) == sorted(sentences)
    cautions = [each["caution"] for each in view["plan"]["steps"] if each["caution"]]
    assert len(cautions) == view["plan"]["cautions"] == sum(bool(each["caution"]) for each in planned["plan"]["steps"])
    assert page.count("Look twice.") == len(cautions)
    assert "a ticket is required" in page
    assert "stagedoor apply prod.plan --ticket ID" in page
    assert {each["difference"] for each in view["drift"]["differences"]} >= {"edited", "drained", "foreign"}
    assert "CHG-1041" in page


def test_a_plan_says_what_clients_meet(scene: DeviceScene) -> None:
    """In the file that is kept for whoever approves it, too."""
    assert scene.command("plan", "--device", "dc1", "--env", "prod", "--out", "kept.plan").returncode == 1
    kept = json.loads((scene.central.node.folder / "kept.plan").read_bytes())
    said = " ".join(kept["remarks"])
    assert "hosts to their virtual server" in said or "was not checked in time" in said
    assert "no certificate covers 2 of 50 hosts: echo.test, ledger.test" in said
    assert "the certificate at 127.0.0.10:" in said


def test_the_owner_of_a_service_sees_where_clients_meet_it(scene: DeviceScene) -> None:
    page = visit(scene, "olga", "/portal/services/component:default/ledger-10")
    assert page.status == 200
    assert "On dc1 clients meet it at 127.0.0.10:" in text_of(page)
    assert "which is in step with the catalog." in text_of(page)
    assert "/portal/devices" not in page.text.decode()
    new = visit(scene, "olga", "/portal/services/component:default/orders-01")
    assert "1 step about it waits to be applied." in text_of(new)


def engine_of(scene: DeviceScene) -> int:
    return scene.central.node.children("engine")[0]


def test_while_the_engine_is_away_the_pages_show_what_it_said(scene: DeviceScene) -> None:
    """Its process stands still: it neither answers nor ends."""
    before: dict[str, Any] = dict(scene.view())
    visit(scene, "root", PAGES[0])
    os.kill(engine_of(scene), signal.SIGSTOP)
    try:
        scene.until(lambda: "does not answer" in text_of(visit(scene, "root", PAGES[0])))
        page = visit(scene, "root", PAGES[1])
        assert page.status == 200
        assert "The engine of this node does not answer. This is what it last said, on 20" in text_of(page)
        assert "handmade" in text_of(page)
        away = scene.view()
        assert away["engine_away"]
        assert away["plan"] == before["plan"]
        other = visit(scene, "root", "/portal/devices/dc2/prod")  # nobody has read it before
        assert other.status == 200
        assert "cannot be reached" in text_of(other)
    finally:
        os.kill(engine_of(scene), signal.SIGCONT)
    scene.until(lambda: not scene.view()["engine_away"])


def test_what_a_device_says_is_text(scene: DeviceScene) -> None:
    evil = "<script>alert(1)</script>\u202e\x07"
    status, answer = scene.call(
        "POST", "/mgmt/tm/ltm/pool",
        {"name": "evil", "partition": TENANT, "fullPath": f"/{TENANT}/evil", "description": evil},
    )  # fmt: skip
    assert status == 200, answer
    scene.until(lambda: scene.looked()["drift"] >= 4 and "evil" in str(scene.view()))
    page = visit(scene, "root", PAGES[1])
    assert page.status == 200
    assert b"<script" not in page.text
    assert "\u202e" not in page.text.decode()
    assert b"\x07" not in page.text
