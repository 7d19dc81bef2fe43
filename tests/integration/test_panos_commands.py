"""A running engine, an emulated firewall, and a person at the command line: plan, apply, drift, adopt, review."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import uvloop
from click.testing import Result

from gateway.commands import adopt
from gateway.config.devices import Devices, Panos, PanosEnvironment
from gateway.egress import look_ups
from tests.support.catalogs import people, service, write
from tests.support.commands import run as run_command
from tests.support.network import applies_in
from tests.support.panos import RULES, WAIT_S, Api, RunningFirewall, rule
from tests.support.panos_rules import BACK, FRONT, Standing, serving_firewall, standing
from tests.unit.engine.test_desk import Asker
from tests.unit.engine.test_sync import running

pytestmark = pytest.mark.slow

PROD = PanosEnvironment(
    "prod", "plan", front=FRONT, back=BACK, virtual_addresses=("198.51.100.10",), doors=("198.51.100.21",),
    networks=("10.0.0.0/8",),
)  # fmt: skip


class Scene:
    def __init__(self, folder: Path, at: Standing) -> None:
        self.folder, self.at = folder, at

    async def command(self, *arguments: str, typed: str | None = None) -> Result:
        said = [str(self.folder / each) if each.endswith(".plan") else each for each in arguments]
        return await asyncio.to_thread(run_command, *said, "--state", str(self.folder / "state"), typed=typed)

    async def by_hand(self, act: Callable[[Api], Any]) -> None:
        def acted() -> None:
            act(self.at.api)
            self.at.api.committed()

        await asyncio.to_thread(acted)


@asynccontextmanager
async def engine(folder: Path, at: Standing, *others: Panos) -> AsyncIterator[Scene]:
    devices = Devices(panos=(replace(at.device, environments=(PROD,)), *others))
    async with running(folder, devices=devices) as (stage, _):
        asker = Asker(stage.state)
        asker.client.start()
        await asker.heard.get()
        scene = Scene(folder, at)
        try:
            async with asyncio.timeout(WAIT_S):
                while "nothing is published yet" in (await scene.command("drift", "--device", "edge")).output:
                    await asyncio.sleep(0.05)
            yield scene
        finally:
            asker.client.close()


@pytest.fixture(autouse=True)
def _nobody_knows_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def look_up(_host: str) -> list[str]:
        raise OSError(-2, "Name or service not known")

    monkeypatch.setattr(look_ups, "system_look_up", look_up)


def scene_of(tmp_path: Path, scene: Callable[[Scene], Coroutine[Any, Any, None]], hung: str = "") -> None:
    """``hung``: the address of one more firewall, with two environments."""
    write(tmp_path, "catalog/org.yaml", *people("team"))
    write(tmp_path, "catalog/a.yaml", service("a"))

    async def run(firewall: RunningFirewall) -> None:
        at = await asyncio.to_thread(standing, firewall, tmp_path)
        others = []
        if hung:
            both = (PROD, replace(PROD, environment="test", networks=("10.9.0.0/16",)))
            others.append(replace(at.device, name="hung", units=(hung,), environments=both))
        async with engine(tmp_path, at, *others) as lab:
            await scene(lab)

    with serving_firewall(tmp_path) as firewall, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run(firewall))


def test_a_person_plans_reads_and_applies(tmp_path: Path) -> None:
    async def scene(lab: Scene) -> None:
        found = await lab.command("plan", "--device", "edge", "--out", "edge.plan")
        assert found.exit_code == 1 and "Adds the rule `sd-front-prod-" in found.output, found.output
        script = await lab.command("plan", "--format", "set")
        assert "move rulebase security rules sd-front-prod-" in script.output
        assert (await lab.command("plan", "--format", "tmsh")).exit_code == 2
        done = await lab.command("apply", "edge.plan", "--ticket", "CHG-1")
        assert done.exit_code == 0 and "prod on edge: done" in done.output, done.output
        assert (await lab.command("plan")).exit_code == (await lab.command("drift")).exit_code == 0
        assert [re.sub(r"(-[0-9a-f]{8})+\Z", "", name) for name in lab.at.names()[2:-2]] == [
            "sd-front-prod", "sd-back-prod-a", "sd-closing-prod"
        ]  # fmt: skip

    scene_of(tmp_path, scene)
    assert [each["result"] for each in applies_in(tmp_path / "state" / "audit") if "result" in each] == ["done"]


def test_another_hand_is_told_and_reviewed(tmp_path: Path) -> None:
    async def scene(lab: Scene) -> None:
        await lab.command("plan", "--out", "edge.plan")
        await lab.command("apply", "edge.plan")
        assert (await lab.command("review")).exit_code == 0
        await lab.by_hand(lambda api: api.written(RULES, rule("temp-any")))
        await lab.by_hand(
            lambda api: api.config("move", f"{RULES}/entry[@name='temp-any']", where="after", dst="sd-begin")
        )
        drift = await lab.command("drift")
        assert drift.exit_code == 1 and "extra" in drift.output, drift.output
        review = await lab.command("review")
        assert review.exit_code == 1 and "people go round the doors" in review.output, review.output

    scene_of(tmp_path, scene)


def test_rules_of_a_lost_memory_are_taken_over_by_a_person_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adopt, "_is_attended", lambda: True)

    async def scene(lab: Scene) -> None:
        await lab.command("plan", "--out", "edge.plan")
        await lab.command("apply", "edge.plan")
        (memory,) = (tmp_path / "state" / "rules").iterdir()
        memory.unlink()
        await lab.command("plan", "--out", "again.plan")
        refused = await lab.command("apply", "again.plan")
        assert refused.exit_code == 1 and "stagedoor adopt" in refused.output, refused.output
        taken = await lab.command("adopt", "--device", "edge", "--env", "prod", typed="y\n")
        assert taken.exit_code == 0, taken.output
        assert (await lab.command("plan")).exit_code == 0

    scene_of(tmp_path, scene)


def test_nothing_is_planned_of_tags_before_control_was_heard(tmp_path: Path) -> None:
    async def scene(lab: Scene) -> None:
        found = await lab.command("plan", "--tags")
        assert found.exit_code == 4 and "not known yet" in found.output, found.output
        assert (await lab.command("plan", "--tags", "--env", "prod")).exit_code == 2

    scene_of(tmp_path, scene)


WAITED_S = 15.0


def test_a_firewall_that_hangs_is_named_soon_and_holds_up_no_other(tmp_path: Path) -> None:
    """As a process that was stopped: the kernel takes its connections, and nobody answers."""

    async def scene(lab: Scene) -> None:
        loop = asyncio.get_running_loop()
        for command in ("plan", "review"):
            began = loop.time()
            found = await lab.command(command)
            assert loop.time() - began < WAITED_S
            assert "prod on edge" in found.output, found.output
            for environment in ("prod", "test"):
                assert f"error: {environment} on hung:" in found.output, found.output
            assert found.exit_code == 5

    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(64)
        scene_of(tmp_path, scene, f"https://127.0.0.1:{listening.getsockname()[1]}")
