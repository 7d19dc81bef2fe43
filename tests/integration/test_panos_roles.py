"""The two administrators of the documents, on a firewall: each may do its own work, and not the other's."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.engine.network.panos.device.units import Units
from gateway.engine.network.panos.ruleless import NOTHING, RulelessTarget
from gateway.engine.network.panos.tags.worker import TagWorker
from gateway.engine.network.panos.target import PanosTarget
from gateway.engine.network.panos.wishing import Wishing
from gateway.engine.network.plans.guards import Basis
from gateway.engine.network.transport.patience import Time
from tests.house.source import ROOT
from tests.support.panos import RULES, Api, in_thread, running
from tests.support.panos_company import LEGS, firewall
from tests.support.panos_oracle import Scene

TAGS, CHANGES = "stagedoor-tags", "stagedoor-rules"
PASSWORD = "of-the-documents"


def documented_roles() -> str:
    (block,) = re.findall(r"```xml\n(.*?)```", (ROOT / "docs" / "panos.md").read_text(), re.DOTALL)
    assert isinstance(block, str)
    return block


def hired(admin: Api) -> dict[str, Api]:
    """An administrator for each role, under its name and with a suffix, made as people make them."""
    admin.written("/config/shared/admin-role", documented_roles())
    made = {}
    phash = admin.op(f"<request><password-hash><password>{PASSWORD}</password></password-hash></request>").xml
    for role in (TAGS, CHANGES):
        name = f"{role}-1"
        permissions = f"<permissions><role-based><custom><profile>{role}</profile></custom></role-based></permissions>"
        entry = f"<entry name='{name}'><phash>{phash.findtext('result/phash')}</phash>{permissions}</entry>"
        admin.written("/config/mgt-config/users", entry)
        made[role] = Api(admin.firewall, name, PASSWORD)
    admin.committed()
    return made


@pytest.fixture
def administrators(tmp_path: Path) -> Iterator[dict[str, Api]]:
    with in_thread(tmp_path, Scene().device) as (device,):
        yield hired(Api(device))


def test_each_role_has_its_rights_and_no_others(administrators: dict[str, Api]) -> None:
    tag = "<register><entry ip='192.0.2.9'><tag><member>sd-x</member></tag></entry></register>"
    granted = {}
    for role, api in administrators.items():
        answers = {
            "op": api.op("<show><clock/></show>"),
            "config": api.config("get", RULES),
            "user-id": api.tell(tag),
            "commit": api("commit", cmd="<commit/>"),
            "log": api("log", **{"log-type": "config"}),
        }
        granted[role] = {right for right, came in answers.items() if came.code[0] == "success"}
        assert {came.code for right, came in answers.items() if right not in granted[role]} == {("unauth", "16")}
    assert granted == {TAGS: {"op", "user-id"}, CHANGES: {"op", "config", "commit"}}


def key_file(folder: Path, api: Api, role: str) -> str:
    file = folder / f"{role}.key"
    file.write_text(api.firewall.device.admins.keygen(f"{role}-1", PASSWORD))
    file.chmod(0o600)
    return str(file)


@asynccontextmanager
async def units_of_both(folder: Path, scene: Scene) -> AsyncIterator[tuple[Units, Units]]:
    async with running(folder, scene.device) as (device,):
        admins = await asyncio.to_thread(lambda: hired(Api(device)))
        settings = firewall(device.url, key_file(folder, admins[TAGS], TAGS), str(device.ca))
        rules = replace(settings, key_files=(key_file(folder, admins[CHANGES], CHANGES),), concurrent=1)
        time = Time(sleep=lambda _: asyncio.sleep(0))
        units, committing = Units(settings, time), Units(rules, time)
        try:
            yield units, committing
        finally:
            await units.close()
            await committing.close()


def test_the_two_together_can_do_all_that_stagedoor_does(tmp_path: Path) -> None:
    async def story() -> None:
        company = Scene()
        company.company.joins("jane", "money")
        company.company.opens("books", "money", system="books")
        async with units_of_both(tmp_path, company) as (units, committing):
            picture = company.happened()
            target = PanosTarget(committing, LEGS, lambda _: picture.fronts, tmp_path)
            outcome = await target.apply(target.plan(picture.desired, await target.observe(), ""))
            assert outcome.done, outcome.sentence
            assert company.device.configuration.journal == []
            tags = TagWorker(units, lambda: Basis(10), company.clock)
            wish = Wishing(units.device).membership(picture.facts, int(company.clock()))
            assert wish is not None
            tags.want(wish)
            await tags.turn()
            await tags.close()
        assert company.differences() == []
        assert company.meets("jane")

    asyncio.run(asyncio.wait_for(story(), 50))


def test_without_rules_the_administrator_of_the_tags_is_enough(tmp_path: Path) -> None:
    """And rules of before are taken away by the one that may."""
    ruleless = replace(LEGS, front=None, back=None, direct=None)

    async def story() -> None:
        company = Scene()
        company.company.opens("books", "money", system="books")
        async with units_of_both(tmp_path, company) as (units, committing):
            desired, fronts = company.happened().desired, company.happened().fronts
            target = PanosTarget(committing, LEGS, lambda _: fronts, tmp_path)
            await target.apply(target.plan(desired, await target.observe(), ""))
            assert (await target.observe()).content["rules"]
            told = RulelessTarget(units, ruleless, lambda _: fronts, tmp_path)
            assert await told.observe() == NOTHING
            assert told.plan(desired, NOTHING, "").steps == ()
            assert told.drift(desired, None, NOTHING) == ()
            leaving = RulelessTarget(committing, ruleless, lambda _: fronts, tmp_path)
            outcome = await leaving.apply(leaving.plan(desired, await leaving.observe(), ""))
            assert outcome.done, outcome.sentence
            assert await leaving.observe() == NOTHING

    asyncio.run(asyncio.wait_for(story(), 50))
