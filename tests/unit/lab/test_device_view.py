"""Promises about the BIG-IP on the start page: what the engine and the device say, escaped, and who is away is said."""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import jinja2

from gateway.lab import control as lab_control
from gateway.lab.bigip.objects import change, create
from gateway.lab.device_view import DeviceView
from gateway.lab.entries import coded
from gateway.lab.folder import LabFacts
from tests.support.bigip import running_device

FACTS = LabFacts(8443, "http://127.0.0.1:1", "127.0.0.1:2", "catalog", "access", "stagedoor", "ca.pem", 8444)
STANDING = {
    "device": "lab", "environment": "prod", "mode": "plan", "state": "waiting", "steps": 4,
    "first": ["<b>One</b>.", "Two.", "Three."], "fault": "", "applied_age_s": 10.0, "applied_by": "engine",
    "applied_version": "abc",
}  # fmt: skip


def rendered(cards: dict[str, Any]) -> str:
    folder = Path(lab_control.__file__).parent / "templates"
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder), autoescape=True, undefined=jinja2.StrictUndefined
    )
    environment.filters["coded"] = coded
    return environment.get_template("bigip.html").render(**cards)


def test_without_a_device_nothing_is_shown(tmp_path: Path) -> None:
    view = DeviceView(tmp_path / "state", FACTS, lambda: None, lambda: True)
    view.close()
    assert view.cards() == {"bigip": None}


def test_what_waits_stands_there_with_the_command_that_applies_it(tmp_path: Path) -> None:
    news: list[int] = []
    facts = replace(FACTS, device="https://127.0.0.1:1")
    view = DeviceView(tmp_path / "state", facts, lambda: news.append(1), lambda: True)
    for _ in range(2):
        view._hear({"t": "device_answer", "devices": [STANDING]})
    assert news == [1], "the same again is no news"
    text = rendered(view.cards())
    assert "The device does not answer at https://127.0.0.1:1" in text
    assert "&lt;b&gt;One&lt;/b&gt;." in text
    assert "And 1 more." in text
    prod = view.cards()["bigip"]["environments"][0]
    plan, apply = (each["command"] for each in prod["commands"])
    file = os.path.relpath(tmp_path / "prod.plan")
    assert plan.startswith(f"stagedoor plan --device lab --env prod --out {file} --config ")
    assert apply.startswith(f"stagedoor apply {file} --config ")
    assert plan in text and apply in text
    view._met(connected=False)
    assert view.cards()["bigip"]["environments"][0]["label"] == "not looked at yet"


def test_members_and_records_are_shown_as_the_device_has_them(tmp_path: Path) -> None:
    async def scene() -> None:
        async with running_device(tmp_path / ".lab") as device:
            (tmp_path / ".lab" / "bigip-certs").rename(tmp_path / ".lab" / "certs")
            tree = device.unit.tree
            create(tree, "auth/partition", {"name": "stagedoor_prod"})
            create(tree, "sys/folder", {"name": "/stagedoor_prod/Shared"})
            create(tree, "ltm/pool", {"name": "/stagedoor_prod/Shared/pool", "members": ["127.0.0.1:9"]})
            create(tree, "ltm/virtual",
                   {"name": "/stagedoor_prod/Shared/vs", "destination": "/stagedoor_prod/127.0.0.10:8443",
                    "pool": "/stagedoor_prod/Shared/pool", "profiles": ["/Common/http"]})  # fmt: skip
            record = {"name": "pay.test", "data": "component:default/pay group:default/money v1"}
            create(tree, "ltm/data-group/internal",
                   {"name": "/stagedoor_prod/Shared/hosts", "type": "string", "records": [record]})  # fmt: skip
            view = DeviceView(
                tmp_path / ".lab" / "state", replace(FACTS, device=device.url), lambda: None, lambda: False
            )
            view.start()
            while not view.cards()["bigip"]["answers"]:
                await view.look()
                await asyncio.sleep(0.01)
            prod = view.cards()["bigip"]["environments"][0]
            assert (prod["virtuals"][0]["destination"], prod["records"][0]["says"]) == (
                "127.0.0.10:8443",
                "pay of money",
            )
            assert 'class="verdict permit">unchecked' in rendered(view.cards())
            members = [{"name": "127.0.0.1:9", "session": "user-disabled"}]
            change(tree, "ltm/pool", "/stagedoor_prod/Shared/pool", {"members": members})
            while "disabled" not in rendered(view.cards()):
                await view.look()
                await asyncio.sleep(0.01)
            view.close()
            await asyncio.sleep(0)

    asyncio.run(asyncio.wait_for(scene(), 50))
