"""Lists of a firewall, short and long: whatever way they are read, the same is found."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

import pytest

from gateway.engine.network.faults import Rejected
from gateway.engine.network.panos import names
from gateway.engine.network.panos.rules import entries
from gateway.engine.network.panos.rules.codec import RULES
from gateway.engine.network.panos.rules.entries import Entries, Lists
from gateway.lab.panos import configuration
from gateway.lab.panos.tree import Change
from gateway.lab.panos.xpath import Found
from tests.support.panos import RULES as XPATH
from tests.support.panos import Clock, rule, running_firewall
from tests.support.panos_change import Scene, scene_of

OURS = [f"sd-front-pay-0000000{number}" for number in range(5)]
OTHERS = [f"allow-{number}" for number in range(9)]


@asynccontextmanager
async def long_list(folder: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[Scene, Lists]]:
    """A firewall with more rules of others than are read whole twice, which was read once."""
    monkeypatch.setattr(entries, "MANY", 5)
    monkeypatch.setattr(entries, "NAMED", 2)
    clock = Clock()
    async with running_firewall(folder, clock=clock) as firewall, scene_of(folder, clock, firewall) as scene:
        put(scene, "set", *(rule(name) for name in [*OTHERS[:4], *OURS, *OTHERS[4:]]))
        lists = Lists()
        await read(scene, lists)
        scene.calls.clear()
        yield scene, lists


def put(scene: Scene, action: str, *rules: str) -> None:
    device = scene.device.configuration
    device.write("admin", [Change(action, XPATH, each) for each in rules])
    device.replace(device.candidate)


async def read(scene: Scene, lists: Lists, *, whole: bool = False) -> Entries:
    return await lists.read(scene.units.clients[0], "running", XPATH, RULES, names.is_ours, whole=whole)


def run(scene: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(scene())


def test_of_a_long_list_only_names_are_asked_for_and_what_may_be_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        async with long_list(tmp_path, monkeypatch) as (scene, lists):
            found, whole = await read(scene, lists), await read(scene, lists, whole=True)
            named = [" or ".join(f"@name='{name}'" for name in some) for some in (OURS[:2], OURS[2:4], OURS[4:])]
            assert [call["xpath"].removeprefix(XPATH) for call in scene.calls] == [
                "/entry/@name", *(f"/entry[{each}]" for each in named), "",
            ]  # fmt: skip
            assert (found.order, found.fields, found.uuids) == (whole.order, whole.fields, whole.uuids)
            assert list(found.fields) == OURS and all(found.uuids.values())
            assert len(found.order) == 2 + len(OURS) + len(OTHERS)

    run(main)


def test_a_short_list_is_asked_for_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with long_list(tmp_path, monkeypatch) as (scene, _):
            monkeypatch.setattr(entries, "MANY", 100)
            lists = Lists()
            for _ in range(2):
                assert list((await read(scene, lists)).fields) == OURS
            assert [call["xpath"] for call in scene.calls] == [XPATH, XPATH]

    run(main)


@pytest.mark.parametrize("unread", ["rules/entry/@name", "rules/entry[@name"], ids=["names", "by name"])
def test_a_firewall_that_cannot_read_such_paths_is_asked_for_everything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unread: str
) -> None:
    """It says that nothing is there, with success: that must not look like rules that are gone."""

    async def main() -> None:
        hits = configuration._hits
        async with long_list(tmp_path, monkeypatch) as (scene, lists):

            def reading(root: Element, path: str) -> list[Found]:
                return [] if unread in path else hits(root, path)

            monkeypatch.setattr(configuration, "_hits", reading)
            assert list((await read(scene, lists)).fields) == OURS
            assert scene.calls[-1]["xpath"] == XPATH

    run(main)


def test_a_rule_that_goes_between_two_answers_is_gone_and_the_others_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        async with long_list(tmp_path, monkeypatch) as (scene, lists):

            def before_call(number: int, _: dict[str, str]) -> None:
                if number == 3:
                    path = f"{XPATH}/entry[@name='{OURS[2]}']"
                    scene.device.configuration.write("admin", [Change("delete", path)])
                    scene.device.configuration.replace(scene.device.configuration.candidate)

            scene.before_call = before_call
            found = await read(scene, lists)
            assert list(found.fields) == [name for name in OURS if name != OURS[2]]
            assert OURS[2] not in found.order

    run(main)


@pytest.mark.parametrize("call", [1, 2, 3, 4])
def test_rules_that_change_places_while_they_are_read_are_read_in_one_of_their_orders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: int
) -> None:
    """An order that never was would be another set of rules."""

    async def main() -> None:
        async with long_list(tmp_path, monkeypatch) as (scene, lists):

            def before_call(number: int, _: dict[str, str]) -> None:
                if number == call:
                    path = f"{XPATH}/entry[@name='{OURS[1]}']"
                    scene.device.configuration.write("admin", [Change("move", path, where="before", dst=OURS[0])])
                    scene.device.configuration.replace(scene.device.configuration.candidate)

            scene.before_call = before_call
            found = await read(scene, lists)
            swapped = [OURS[1], OURS[0], *OURS[2:]]
            assert list(found.fields) in (OURS, swapped)
            assert [name for name in found.order if name in OURS] == list(found.fields)

    run(main)


def test_a_rule_of_another_name_meanwhile_is_not_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with long_list(tmp_path, monkeypatch) as (scene, lists):
            renamed = "sd-front-pay-0000000f"

            def before_call(number: int, _: dict[str, str]) -> None:
                if number == 4:
                    path = f"{XPATH}/entry[@name='{OURS[4]}']"
                    scene.device.configuration.write("admin", [Change("rename", path, newname=renamed)])
                    scene.device.configuration.replace(scene.device.configuration.candidate)

            scene.before_call = before_call
            assert list((await read(scene, lists)).fields) == [*OURS[:4], renamed]

    run(main)


def test_a_list_that_has_one_of_ours_twice_is_not_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which of them counts nobody can tell."""

    async def main() -> None:
        hits = configuration._hits
        async with long_list(tmp_path, monkeypatch) as (scene, lists):

            def reading(root: Element, path: str) -> list[Found]:
                found = hits(root, path)
                if path == XPATH:
                    rules = deepcopy(found[0].node)
                    rules.append(deepcopy(next(each for each in rules if each.get("name") == OURS[0])))
                    return [Found((*found[0].place[:-1], rules))]
                return [*found, found[1]] if path.endswith("@name") else found

            monkeypatch.setattr(configuration, "_hits", reading)
            with pytest.raises(Rejected, match=f"lists `{OURS[0]}` twice"):
                await read(scene, lists, whole=True)

    run(main)


def test_a_very_long_list_of_names_holds_nobody_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whose a name is, is asked where the answer is read, not where everybody waits."""
    asked: set[int] = set()

    def wants(name: str) -> bool:
        asked.add(threading.get_ident())
        return names.is_ours(name)

    async def main() -> None:
        async with long_list(tmp_path, monkeypatch) as (scene, lists):
            found = await lists.read(scene.units.clients[0], "running", XPATH, RULES, wants)
            assert list(found.fields) == OURS and len(scene.calls) > 1
            assert threading.get_ident() not in asked

    run(main)
