"""The engine and an emulated BIG-IP, over HTTPS: from a saved file to what is declared on the device, from a hand on
the device to its drift, and what a person at the command line does in between.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import median
from typing import Any

import aiohttp
import pytest
import uvloop
from click.testing import Result

from gateway.commands import adopt
from gateway.config.devices import Bigip, BigipEnvironment, Devices, Mode
from gateway.egress import look_ups
from gateway.link import Message
from tests.support.bigip import RunningDevice, running_device
from tests.support.catalogs import people, service, write
from tests.support.commands import run as run_command
from tests.support.network import applies_in
from tests.unit.engine.test_desk import Asker
from tests.unit.engine.test_sync import running

pytestmark = pytest.mark.slow

HARNESS_S = 50.0
SENT_S = 10.0  # the promise: from the published base to the declaration that the device has taken
TENANT = "stagedoor_prod"


class Scene:
    """A running engine and the device it keeps in step."""

    def __init__(self, folder: Path, device: RunningDevice, asker: Asker) -> None:
        self.folder, self.device, self._asker = folder, device, asker

    async def status(self) -> Message:
        status = await self._asker.ask(t="status")
        return {**status, **status["devices"][0]}

    async def until(self, holds: Callable[[Message], bool]) -> Message:
        async with asyncio.timeout(HARNESS_S):
            while not holds(status := await self.status()):
                await asyncio.sleep(0.02)
        return status

    async def command(self, *arguments: str, typed: str | None = None) -> Result:
        """What a person sees who asks the running node; files are in its folder."""
        said = [str(self.folder / each) if each.endswith(".plan") else each for each in arguments]
        return await asyncio.to_thread(run_command, *said, "--state", str(self.folder / "state"), typed=typed)

    async def call(self, method: str, path: str, body: object = None) -> Any:
        """As another client of the device."""
        tls = self.device.client_tls()
        login = {"Authorization": aiohttp.encode_basic_auth(self.device.username, self.device.password)}
        async with (
            aiohttp.ClientSession(headers=login) as session,
            session.request(method, self.device.url + path, json=body, ssl=tls) as answer,
        ):
            assert answer.status < 300, await answer.text()
            return await answer.json()

    async def declare_by_another_hand(self, **more: str) -> None:
        theirs = {"class": "Application", "theirs": {"class": "Pool", "members": []}}
        tenant = {"class": "Tenant", **more, "handmade": theirs}
        declaration = {"class": "ADC", "schemaVersion": "3.50.0", "id": "theirs", TENANT: tenant}
        await self.call("POST", f"/mgmt/shared/appsvcs/declare/{TENANT}", declaration)

    async def in_step(self) -> Message:
        """The device is as the published version wants it."""
        return await self.until(
            lambda said: said["state"] == "in-step" and said["applied_version"] == said["base"] == said["version"]
        )


def settings_of(folder: Path, device: RunningDevice, mode: Mode) -> Devices:
    password = folder / "bigip.password"
    password.write_text(device.password)
    password.chmod(0o600)
    prod = BigipEnvironment(
        "prod", mode, virtual_address="127.0.0.10", client_tls="/Common/clientssl",
        trust_ca="/Common/ca-bundle.crt", server_name="door.example.com",
    )  # fmt: skip
    bigip = Bigip(
        "dc1", (device.url,), device.username, str(password), str(device.ca), members=("192.0.2.21:8443",),
        environments=(prod,),
    )  # fmt: skip
    return Devices((bigip,))


@asynccontextmanager
async def engine(folder: Path, device: RunningDevice, mode: Mode = "enforce") -> AsyncIterator[Scene]:
    async with running(folder, devices=settings_of(folder, device, mode)) as (stage, _):
        asker = Asker(stage.state)
        asker.client.start()
        await asker.heard.get()
        try:
            yield Scene(folder, device, asker)
        finally:
            asker.client.close()


@pytest.fixture(autouse=True)
def _nobody_knows_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """A plan asks DNS for its hosts."""

    def look_up(_host: str) -> list[str]:
        raise OSError(-2, "Name or service not known")

    monkeypatch.setattr(look_ups, "system_look_up", look_up)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path, "catalog/org.yaml", *people("team"))
    write(tmp_path, "catalog/a.yaml", service("a"))
    return tmp_path


def run(scene: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(scene)


def writes(device: RunningDevice) -> int:
    return sum(call.startswith("POST /mgmt/shared/appsvcs/declare") for call in device.unit.calls)


def test_the_catalog_is_on_the_device_and_a_restart_changes_nothing(folder: Path) -> None:
    async def scene() -> None:
        async with running_device(folder) as device:
            async with engine(folder, device) as lab:
                await lab.in_step()
                before = writes(device)
                write(folder, "catalog/b.yaml", service("b"))
                await lab.until(lambda said: said["services"] == 2)
                await lab.in_step()
                assert writes(device) > before
            sent = writes(device)
            async with engine(folder, device) as lab:
                said = await lab.in_step()
                assert said["drift"] == 0
                assert said["unit"]
            assert writes(device) == sent

    run(scene())
    events = applies_in(folder / "state" / "audit")
    assert all(each["task"] for each in events if each["event"] == "device_apply_ended")


def test_a_changed_service_is_sent_in_time(folder: Path) -> None:
    """From the moment the doors have it; the settling, the look, the plan and the record of it lie in between."""

    async def scene() -> None:
        took = []
        async with running_device(folder) as device, engine(folder, device) as lab:
            await lab.in_step()
            for number in range(3):
                base = (await lab.status())["base"]
                write(folder, "catalog/b.yaml", service("b", host=f"b{number}.example.com"))
                await lab.until(lambda said, base=base: said["base"] != base)  # type: ignore[misc]  # a default binds it
                began, sent = time.monotonic(), writes(device)
                async with asyncio.timeout(HARNESS_S):
                    while writes(device) == sent:
                        await asyncio.sleep(0.01)
                took.append(time.monotonic() - began)
                await lab.in_step()
        assert median(took) < SENT_S, took

    run(scene())


def test_a_person_plans_and_applies_unless_somebody_else_was_there(folder: Path) -> None:
    async def scene() -> None:
        async with running_device(folder) as device, engine(folder, device, "plan") as lab:
            said = await lab.until(lambda said: said["state"] == "waiting")
            assert "the mode is `plan`" in said["waits"][0]
            planned = await lab.command("plan", "--env", "prod", "--out", "prod.plan")
            assert planned.exit_code == 1, planned.output
            assert "a.example.com" in planned.stdout
            script = await lab.command("plan", "--format", "tmsh")
            assert f"/{TENANT}/Shared/vs" in script.stdout
            applied = await lab.command("apply", "prod.plan", "--ticket", "CHG-7")
            assert applied.exit_code == 0, applied.output
            write(folder, "catalog/b.yaml", service("b"))
            await lab.until(lambda said: said["services"] == 2 and said["state"] == "waiting")
            assert (await lab.command("plan", "--out", "late.plan")).exit_code == 1
            await lab.declare_by_another_hand(label="stagedoor")
            refused = await lab.command("apply", "late.plan")
            assert refused.exit_code == 1, refused.output
            assert "plan again" in refused.stderr
            drift = await lab.command("drift")
            assert drift.exit_code == 1
            assert "replaced" in drift.stdout
            assert (await lab.command("plan", "--out", "new.plan")).exit_code == 1
            again = await lab.command("apply", "new.plan", "--approve-removals")
            assert again.exit_code == 0, again.output
            assert (await lab.command("plan")).exit_code == 0
            assert (await lab.command("drift")).exit_code == 0

    run(scene())
    ended = [each for each in applies_in(folder / "state" / "audit") if each["event"] == "device_apply_ended"]
    assert [(each["result"], each["ticket"]) for each in ended] == [("done", "CHG-7"), ("done", "")]


def test_a_member_that_an_operator_drained_stays_drained_through_an_apply(folder: Path) -> None:
    async def scene() -> None:
        async with running_device(folder) as device, engine(folder, device) as lab:
            await lab.in_step()
            member = f"/mgmt/tm/ltm/pool/~{TENANT}~Shared~pool/members/~Common~192.0.2.21:8443"
            await lab.call("PATCH", member, {"session": "user-disabled", "state": "user-down"})
            write(folder, "catalog/b.yaml", service("b"))
            await lab.until(lambda said: said["services"] == 2)
            await lab.in_step()
            assert (await lab.call("GET", member))["session"] == "user-disabled"
            drift = await lab.command("drift")
            assert "drained" in drift.stdout

    run(scene())


def test_a_tenant_of_somebody_else_is_left_alone_until_it_is_adopted(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adopt, "_is_attended", lambda: True)

    async def scene() -> None:
        async with running_device(folder) as device:
            async with engine(folder, device, "observe") as lab:
                await lab.declare_by_another_hand()
            sent = writes(device)
            async with engine(folder, device) as lab:
                said = await lab.until(lambda said: said["state"] == "waiting")
                assert "stagedoor adopt --device dc1 --env prod" in said["waits"][0]
                assert writes(device) == sent
                adopted = await lab.command("adopt", "--device", "dc1", "--env", "prod", typed="y\n")
                assert adopted.exit_code == 0, adopted.output
                assert "theirs" in adopted.stderr
                await lab.in_step()

    run(scene())
