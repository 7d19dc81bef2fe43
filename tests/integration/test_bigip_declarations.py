"""What we would send, taken by a device that knows AS3's own answers: every golden declaration is accepted, and the
second time changes nothing."""

from __future__ import annotations

import asyncio
import json
from base64 import b64encode
from pathlib import Path
from typing import Any

import aiohttp

from tests.support.bigip import RunningDevice, running_device
from tests.support.declarations import FOLDER, LINE, made_of

CASES = sorted(FOLDER.glob("*.case"))
# What the golden files refer to, by what a device has from the beginning.
THERE = {
    "/Common/clients": "/Common/clientssl",
    "/Common/doors.crt": "/Common/default.crt",
    "/Common/bigip.": "/Common/default.",
}
MADE = (
    ("ltm/rule", {"name": "log", "partition": "Common", "apiAnonymous": "when RULE_INIT { }"}),
    ("apm/profile/access", {"name": "people", "partition": "Common"}),
    ("apm/policy/access-policy", {"name": "claims", "partition": "Common", "type": "per-rq-policy"}),
)


class Asked:
    def __init__(self, device: RunningDevice, session: aiohttp.ClientSession) -> None:
        self._device, self._session, self._tls = device, session, device.client_tls()
        self._said = {"Authorization": f"Basic {b64encode(f'{device.username}:{device.password}'.encode()).decode()}"}

    async def __call__(self, method: str, path: str, body: object = None) -> Any:
        url = f"{self._device.url}/mgmt/{path}"
        async with self._session.request(method, url, json=body, headers=self._said, ssl=self._tls) as answer:
            assert answer.status == 200, await answer.text()
            return await answer.json()


def declared(path: Path) -> Any:
    text = json.dumps(made_of(path.read_text().partition(LINE)[0]))
    for ours, theirs in THERE.items():
        text = text.replace(ours, theirs)
    return json.loads(text)


def test_every_golden_declaration_is_taken_and_the_second_time_changes_nothing(tmp_path: Path) -> None:
    async def run() -> None:
        async with running_device(tmp_path) as device, aiohttp.ClientSession() as session:
            ask = Asked(device, session)
            for kind, made in MADE:
                await ask("POST", f"tm/{kind}", made)
            for path in CASES:
                declaration = declared(path)
                for expected in ("success", "no change"):
                    answer = await ask("POST", "shared/appsvcs/declare", declaration)
                    assert [each["message"] for each in answer["results"]] == [expected], path.stem
                await _is_there(ask, declaration)

    asyncio.run(run())


async def _is_there(ask: Asked, declaration: dict[str, Any]) -> None:
    """Data groups and virtual servers, as the device's own interface tells of them."""
    (tenant,) = [name for name, each in declaration.items() if isinstance(each, dict) and each["class"] == "Tenant"]
    of_tenant = f"$filter=partition+eq+{tenant}"
    groups = (await ask("GET", f"tm/ltm/data-group/internal?{of_tenant}"))["items"]
    records = {each["name"]: each.get("records", []) for each in groups}
    wanted = declaration[tenant]["Shared"]["hosts"]["records"]
    assert [(each["name"], each["data"]) for each in records["hosts"]] == [
        (each["key"], each["value"]) for each in wanted
    ]
    virtual = {each["fullPath"] for each in (await ask("GET", f"tm/ltm/virtual?{of_tenant}")).get("items", ())}
    assert virtual == {
        f"/{tenant}/{name}/{key}"
        for name, application in declaration[tenant].items()
        if isinstance(application, dict)
        for key, held in application.items()
        if isinstance(held, dict) and held["class"].startswith("Service_")
    }
