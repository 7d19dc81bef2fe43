"""Tables read from the emulated firewall: pages, spellings, what is ours, and what no page reaches."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

import pytest

from gateway.engine.network.faults import DeviceFault
from gateway.engine.network.panos import names
from gateway.engine.network.panos.device.client import Client
from gateway.engine.network.panos.device.userid import What
from gateway.engine.network.panos.tags import reading
from gateway.engine.network.panos.tags.reading import counts_to, read_one, read_table, spelled
from gateway.lab.panos import identity_shows
from gateway.lab.panos.faults import Upset
from tests.support.panos import Clock, RunningFirewall, running_firewall
from tests.support.scripted_device import FakeTime
from tests.support.tag_worker import LIMITS, settings_of

MARK, TAG, RARE = names.WATERMARK, names.services_tag("s", "prod"), names.services_tag("rare", "prod")


def reads(scene: Callable[[RunningFirewall, Client], Coroutine[Any, Any, None]], tmp_path: Path) -> None:
    async def whole() -> None:
        async with running_firewall(tmp_path, clock=Clock()) as firewall:
            client = Client(settings_of(tmp_path, firewall), firewall.url, FakeTime().time(), LIMITS)
            try:
                await scene(firewall, client)
            finally:
                await client.close()

    asyncio.run(whole())


def held(firewall: RunningFirewall, what: What, key: str, *tags: str) -> None:
    identities = firewall.device.identities_of("")
    table = identities.users if what is What.USER else identities.addresses
    for tag in tags:
        table.register(key, tag, 0, persistent=True, refresh=False)


@pytest.mark.parametrize("what", What)
@pytest.mark.parametrize("count", [0, 1, 499, 500, 501, 1300])
def test_every_page_is_read_and_none_twice_too_many(tmp_path: Path, what: What, count: int) -> None:
    async def scene(firewall: RunningFirewall, client: Client) -> None:
        keys = [f"10.0.{number // 250}.{number % 250}" for number in range(count)]
        for key in keys:
            held(firewall, what, key, TAG, MARK)
        table = await read_table(client, what, 2, {})
        assert sorted(table.tags) == sorted(keys)
        assert (table.keys, table.is_whole) == (count, True)
        assert len(firewall.front.calls) <= count // 500 + 3
        assert await counts_to(client, what, count)
        assert not await counts_to(client, what, count + 1)
        assert count == 0 or not await counts_to(client, what, count - 1)

    reads(scene, tmp_path)


def test_only_what_has_the_form_of_ours_is_kept_and_others_are_counted(tmp_path: Path) -> None:
    async def scene(firewall: RunningFirewall, client: Client) -> None:
        held(firewall, What.ADDRESS, "10.0.0.1", TAG.upper(), MARK, "web", "sd-mine")
        held(firewall, What.ADDRESS, "10.0.0.2", "web")
        held(firewall, What.ADDRESS, names.CANARY_ADDRESS, names.canary_tag("x"))
        firewall.knobs.host_masks = True
        table = await read_table(client, What.ADDRESS, 2, {})
        assert (table.tags, table.keys) == ({"10.0.0.1": frozenset({TAG, MARK})}, 2)
        assert await read_one(client, (What.ADDRESS, "10.0.0.1")) == {TAG, MARK}
        assert await read_one(client, (What.ADDRESS, "10.0.0.9")) == frozenset()

    reads(scene, tmp_path)


def test_beyond_the_last_page_tags_are_asked_for_the_rarest_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(identity_shows, "FURTHEST_ADDRESS", 1000)
    monkeypatch.setattr(reading, "FURTHEST", {What.ADDRESS: 1000, What.USER: 524_288})

    async def scene(firewall: RunningFirewall, client: Client) -> None:
        wanted = {}
        for number in range(1200):
            key, tags = f"10.0.{number // 250}.{number % 250}", (TAG, RARE) if number > 1100 else (TAG,)
            held(firewall, What.ADDRESS, key, *tags, MARK)
            wanted[key] = frozenset((*tags, MARK))
        table = await read_table(client, What.ADDRESS, 2, wanted)
        missed = {key for number, key in enumerate(wanted) if 1000 <= number <= 1100}
        assert not table.is_whole
        assert wanted.keys() - table.tags.keys() <= missed, "those with the rare tag were asked for by it"
        assert table.tags["10.0.4.199"] == {TAG, RARE, MARK}

    reads(scene, tmp_path)


def test_one_page_that_fails_fails_the_reading(tmp_path: Path) -> None:
    async def scene(firewall: RunningFirewall, client: Client) -> None:
        for number in range(1300):
            held(firewall, What.USER, f"u{number}", TAG, MARK)
        firewall.knobs.next = [Upset("op", "<start-point>501<", 1, message="x is unexpected", code=17)]
        with pytest.raises(DeviceFault, match="x is unexpected"):
            await read_table(client, What.USER, 2, {})

    reads(scene, tmp_path)


@pytest.mark.parametrize("lie", ["the same page again", "less than a page", "more than a page"])
def test_other_pages_than_were_asked_for_are_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lie: str
) -> None:
    honest = identity_shows._page

    def page(paged: Element, furthest: int) -> tuple[int, int]:
        start, limit = honest(paged, furthest)
        match lie:
            case "the same page again":
                return 1, limit
            case "less than a page":
                return start, 100
            case _:
                return start, 2 * limit

    async def scene(firewall: RunningFirewall, client: Client) -> None:
        for number in range(1300):
            held(firewall, What.USER, f"u{number}", TAG, MARK)
        monkeypatch.setattr(identity_shows, "_page", page)
        with pytest.raises(DeviceFault, match="page"):
            await read_table(client, What.USER, 2, {})
        assert len(firewall.front.calls) < 20

    reads(scene, tmp_path)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10.0.0.1/32", "10.0.0.1"), ("10.0.0.9/24", "10.0.0.0/24"), ("2001:DB8::0001", "2001:db8::1"),
        ("10.0.0.1-10.0.0.9", "10.0.0.1-10.0.0.9"), ("no-address", "no-address"), ("", ""),
    ],
)  # fmt: skip
def test_an_address_is_spelled_in_one_way(text: str, expected: str) -> None:
    assert spelled(text) == expected
