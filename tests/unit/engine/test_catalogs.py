"""The engine with Backstage catalogs, over real sockets on both sides: what they show is in force at a door in time,
and what they do wrong is held, told and survived."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import uvloop

from gateway import config
from gateway.config.sources import Backstage, Origins
from gateway.engine.catalogs import Remembered, Sources
from gateway.engine.journal import Journal
from gateway.engine.offline import compile_offline
from gateway.engine.sources.files import FileSource
from policy.facts import Principal, Refusal
from tests.support.catalogs import api, entity, openapi, people, service, settings, write
from tests.support.fake_catalog import FakeCatalog, fake_catalog, said
from tests.unit.engine.test_desk import Asker
from tests.unit.engine.test_sync import Door, Stage, running

POLL_S = 0.5
IN_FORCE_S = POLL_S + 1.0  # the promise: one poll and a second, from visible in the catalog to the table of a door

Scene = Callable[[Stage, Door], Coroutine[Any, Any, None]]


@pytest.fixture
def catalog() -> Iterator[FakeCatalog]:
    documents = [*people("team"), service("a", providesApis=["a"]), api("a", openapi("GET /a"))]
    with fake_catalog(*documents, *(service(f"s-{number}") for number in range(20))) as made:
        yield made


def play(scene: Scene, folder: Path, *catalogs: Backstage, **more: Any) -> None:
    async def run() -> None:
        changes = config.Catalog(backstage=tuple(catalogs), **more)
        async with running(folder, catalog=changes) as (stage, door):
            await scene(stage, door)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())


async def status(stage: Stage, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    asker = Asker(stage.state)
    asker.client.start()
    try:
        await asker.heard.get()
        return await asker.until(holds)
    finally:
        asker.client.close()


def reason(door: Door, name: str, person: str = "user:default/jane", path: str = "") -> str:
    match = door.loader.table.match(f"{name}.example.com", (path,))
    if isinstance(match, Refusal):
        return match.reason
    table = door.loader.table
    return table.decide(match, "GET", Principal("person", person, table.subjects_of(person)), 0).reason


def test_what_the_catalog_shows_is_in_force_within_a_poll_and_a_second(catalog: FakeCatalog, tmp_path: Path) -> None:
    async def scene(stage: Stage, door: Door) -> None:
        await door.until(lambda: "a" in door.services())
        assert reason(door, "a", path="a") == "owner"
        catalog.put(service("new"))
        assert await door.until(lambda: "new" in door.services()) < IN_FORCE_S
        catalog.put(entity("User", "jane", memberOf=[]))
        assert await door.until(lambda: reason(door, "a", path="a") == "no_rule") < IN_FORCE_S
        catalog.remove("component:default/new")
        assert await door.until(lambda: "new" not in door.services()) < IN_FORCE_S
        catalog.put(api("a", openapi("GET /a", "GET /b")), entity("User", "jane", memberOf=["team"]))
        assert await door.until(lambda: reason(door, "a", path="b") == "owner") < IN_FORCE_S

    play(scene, tmp_path, said(catalog, tmp_path, poll_s=POLL_S))


def test_a_blind_token_takes_nothing_away_and_is_told(catalog: FakeCatalog, tmp_path: Path) -> None:
    async def scene(stage: Stage, door: Door) -> None:
        await door.until(lambda: len(door.services()) == 21)
        catalog.blind = True
        told = await status(stage, lambda told: bool(told["held"]))
        held = {kind: each["count"] for kind, each in told["held"].items()}
        assert held == {"component": 21, "api": 1, "group": 1, "user": 1}
        assert any("holds no entity" in fault for fault in told["faults"])
        assert len(door.services()) == 21
        assert reason(door, "a", path="a") == "owner"
        catalog.blind = False
        await status(stage, lambda told: not told["held"] and not told["faults"])

    play(scene, tmp_path, said(catalog, tmp_path))


def test_a_half_filled_catalog_takes_nothing_away(catalog: FakeCatalog, tmp_path: Path) -> None:
    """A Backstage that started with an empty database answers well and grows."""

    async def scene(stage: Stage, door: Door) -> None:
        await door.until(lambda: len(door.services()) == 21)
        whole = dict(catalog.entities)
        for share in (0, 5, 12, 20):
            catalog.entities = dict(list(whole.items())[:share])
            told = await status(stage, lambda told: bool(told["held"].get("component")))
            assert told["base"] == door.loader.base
            assert len(door.services()) == 21
        catalog.entities = whole
        await status(stage, lambda told: not told["held"])
        assert len(door.services()) == 21

    play(scene, tmp_path, said(catalog, tmp_path))


def test_a_large_loss_that_an_operator_accepts_is_gone(catalog: FakeCatalog, tmp_path: Path) -> None:
    async def scene(stage: Stage, door: Door) -> None:
        await door.until(lambda: len(door.services()) == 21)
        catalog.remove(*(f"component:default/s-{number}" for number in range(20)))
        told = await status(stage, lambda told: bool(told["held"]))
        asker = Asker(stage.state)
        asker.client.start()
        await asker.heard.get()
        answer = await asker.ask(t="accept_losses", mark=told["mark"])
        asker.client.close()
        assert answer["accepted"] == {"component": 20}
        await door.until(lambda: door.services() == {"a"})

    play(scene, tmp_path, said(catalog, tmp_path))


def test_an_unreachable_catalog_changes_nothing_not_even_over_a_restart(catalog: FakeCatalog, tmp_path: Path) -> None:
    settings_of = said(catalog, tmp_path)

    async def first(stage: Stage, door: Door) -> None:
        await door.until(lambda: len(door.services()) == 21)
        catalog.status = 503
        told = await status(stage, lambda told: any("what was read before counts" in each for each in told["faults"]))
        assert told["catalogs"][0]["entities"] == 24
        assert "503" in told["catalogs"][0]["fault"]

    async def second(stage: Stage, door: Door) -> None:
        told = await status(
            stage, lambda told: any("not been read yet: it answered" in each for each in told["faults"])
        )
        await door.until(lambda: len(door.services()) == 21)
        assert told["held"] == {}
        catalog.status = 200
        catalog.put(service("later"))
        await door.until(lambda: "later" in door.services())

    play(first, tmp_path, settings_of)
    play(second, tmp_path, settings_of)


def test_at_the_very_first_nothing_is_published_before_every_catalog_was_read(
    catalog: FakeCatalog, tmp_path: Path
) -> None:
    """Who is read first would stand against who is read later, so a catalog could win by being quick."""

    async def scene(stage: Stage, door: Door) -> None:
        told = await status(stage, lambda told: told["catalogs"][1]["entities"] == 1)
        assert any("never read" in fault for fault in told["faults"])
        assert told["base"] == ""
        catalog.status = 200
        await door.until(lambda: "a" in door.services())
        exposure = door.loader.table.exposures["component:default/a@prod"]
        assert exposure.upstreams == ("http://10.0.0.1:8080",)

    catalog.status = 503
    with fake_catalog(service("a", upstream="http://10.6.6.6:80")) as quick:
        trusted = Origins(("main",), ("main",))
        play(scene, tmp_path, said(catalog, tmp_path), said(quick, tmp_path, "quick"), origins=trusted)


def test_files_and_catalogs_make_one_catalog_and_people_come_from_where_that_is_said(
    catalog: FakeCatalog, tmp_path: Path
) -> None:
    """A folder that anybody may write to makes services, and no people."""
    forged = entity("User", "mallory", memberOf=["team"])
    takeover = entity("Group", "team", members=["mallory", "joe"])
    write(tmp_path, "catalog/all.yaml", service("of-file"), forged, takeover, entity("User", "joe"))

    async def scene(stage: Stage, door: Door) -> None:
        await door.until(lambda: len(door.services()) == 22)
        assert reason(door, "of-file") == "owner"
        for person in ("mallory", "joe"):
            assert door.loader.table.subjects_of(f"user:default/{person}") == frozenset()
        told = await status(stage, lambda told: bool(told["faults"]))
        assert sum("not trusted with that" in fault for fault in told["faults"]) == 2

    trusted = Origins(("main",), ("main",))
    play(scene, tmp_path, said(catalog, tmp_path), files=(str(tmp_path / "catalog"),), origins=trusted)


def test_an_api_of_one_catalog_adds_nothing_to_a_service_of_another(catalog: FakeCatalog, tmp_path: Path) -> None:
    """`apiProvidedBy` is what the API's side says; whether it provides it says the service."""

    async def scene(stage: Stage, door: Door) -> None:
        await door.until(lambda: "a" in door.services())
        assert reason(door, "a", path="b") == "operation_unknown"

    evil = api("evil", openapi("GET /b"))
    with fake_catalog(evil, service("evil", providesApis=["evil"])) as other:
        plain = other.stitched

        def claiming() -> dict[str, Any]:
            found = plain()
            found["api:default/evil"]["relations"] = [
                {"type": "apiProvidedBy", "targetRef": "component:default/a"},
                {"type": "ownerOf", "targetRef": "component:default/a"},
            ]
            return found

        other.stitched = claiming  # type: ignore[method-assign]  # a catalog that lies about another one's service
        trusted = Origins(("main",), ("main",))
        play(scene, tmp_path, said(catalog, tmp_path), said(other, tmp_path, "other"), origins=trusted)


def test_a_hint_is_followed_at_once_and_the_catalogs_own_delay_is_shown_apart(
    catalog: FakeCatalog, tmp_path: Path
) -> None:
    async def scene(stage: Stage, door: Door) -> None:
        await door.until(lambda: "a" in door.services())
        catalog.put(service("new"))
        asker = Asker(stage.state)
        asker.client.start()
        await asker.heard.get()
        began = time.monotonic()
        asker.client.send({"t": "read_catalogs", "name": ""})
        asker.client.send({"t": "read_catalogs", "name": "nobody"})
        await door.until(lambda: "new" in door.services())
        # Of a poll of a minute; the least time between readings that were asked for is a second.
        assert time.monotonic() - began < 2.0
        told = await asker.until(lambda told: told["catalogs"][0]["delay_s"] is not None)
        assert told["catalogs"][0]["delay_s"] < 2.0
        asker.client.close()

    play(scene, tmp_path, said(catalog, tmp_path, poll_s=60.0, full_s=60.0))


def test_a_catalog_that_stays_is_not_read_again_by_a_reload_and_one_that_leaves_is_left(
    catalog: FakeCatalog, tmp_path: Path
) -> None:
    async def scene(stage: Stage, door: Door) -> None:
        await door.until(lambda: "a" in door.services())
        pages = sum("annotations" in call for call in catalog.calls)
        write(tmp_path, "catalog/all.yaml", service("of-file"))
        with_files = config.Catalog(
            files=(str(tmp_path / "catalog"),), backstage=(said(catalog, tmp_path, full_s=600.0),),
            origins=Origins(("main",), ("main",)),
        )  # fmt: skip
        (stage.state / "new.frame").write_bytes(config.encode(settings(tmp_path, catalog=with_files)))
        stage.parent.send(b"settings new.frame\n")
        await door.until(lambda: "of-file" in door.services())
        assert sum("annotations" in call for call in catalog.calls) == pages
        files = config.Catalog(files=(str(tmp_path / "catalog"),))
        (stage.state / "less.frame").write_bytes(config.encode(settings(tmp_path, catalog=files)))
        stage.parent.send(b"settings less.frame\n")
        await status(stage, lambda told: told["catalogs"] == [])
        told = await status(stage, lambda told: bool(told["held"]))  # a source that leaves is a large loss as well
        assert told["held"]["component"]["count"] == 21

    play(scene, tmp_path, said(catalog, tmp_path, full_s=600.0))


# === what a node remembers of a catalog ===


def test_offline_what_the_node_remembers_stands_in_and_nothing_is_contacted(
    catalog: FakeCatalog, tmp_path: Path
) -> None:
    backstage = said(catalog, tmp_path)

    async def scene(stage: Stage, door: Door) -> None:
        await door.until(lambda: len(door.services()) == 21)

    play(scene, tmp_path, backstage)
    calls = len(catalog.calls)
    compiled = compile_offline(settings(tmp_path, catalog=config.Catalog(backstage=(backstage,))))
    assert (compiled.kinds["component"], compiled.faults) == (21, [])
    assert len(compiled.table.exposures) == 21
    assert len(catalog.calls) == calls


def test_offline_a_catalog_that_was_never_read_is_left_out_and_told(catalog: FakeCatalog, tmp_path: Path) -> None:
    said_of_it = settings(tmp_path, catalog=config.Catalog(backstage=(said(catalog, tmp_path),)))
    compiled = compile_offline(said_of_it)
    assert [fault.severity for fault in compiled.faults] == ["warning"]
    assert "is remembered" in compiled.faults[0].message
    assert catalog.calls == []
    assert not Path(said_of_it.state_folder).exists()


def test_what_is_remembered_of_one_catalog_is_not_taken_for_another(catalog: FakeCatalog, tmp_path: Path) -> None:
    entities = Journal(tmp_path).sections["entities"]
    remembered = Remembered(said(catalog, tmp_path), entities)
    assert remembered.pull.entities == {}
    assert Sources(config.Catalog(), [remembered]).pull() is remembered.pull


def test_only_what_the_watch_names_is_looked_at_and_everything_when_it_is_vague(tmp_path: Path) -> None:
    write(tmp_path, "a.yaml", service("a"))
    sources = Sources(config.Catalog(files=(str(tmp_path),)))
    looked: list[frozenset[str] | None] = []
    assert sources._files is not None
    sources._files.pull = looked.append  # type: ignore[method-assign,assignment]  # only what it is asked for matters
    sources.pull()
    sources.touched(frozenset(("x",)))
    sources.touched(frozenset(("y",)))
    sources.pull()
    sources.touched(frozenset(("x",)))
    sources.touched(None)
    sources.pull()
    sources.pull()  # nobody said why
    assert looked == [None, frozenset(("x", "y")), None, None]


def test_what_was_touched_is_not_forgotten_by_a_reading_that_failed(tmp_path: Path) -> None:
    write(tmp_path, "a.yaml", service("a"))
    sources = Sources(config.Catalog(files=(str(tmp_path),)))
    sources.pull()
    sources.touched(frozenset((str(tmp_path / "a.yaml"),)))
    with patch("gateway.engine.sources.files.FileSource.pull", side_effect=MemoryError), pytest.raises(MemoryError):
        sources.pull()
    write(tmp_path, "b.yaml", service("b"))
    assert len(sources.pull().entities) == 2


def test_a_look_leaves_to_the_next_reading_only_what_differs(tmp_path: Path) -> None:
    write(tmp_path, "a.yaml", service("a"))
    write(tmp_path, "b.yaml", service("b"))
    sources = Sources(config.Catalog(files=(str(tmp_path),)))
    first = sources.pull()
    with patch("gateway.engine.sources.files.FileSource.pull", autospec=True, side_effect=FileSource.pull) as read:
        sources.look()
        assert sources.pull() is first
        write(tmp_path, "b.yaml", service("b", access="everyone"))
        sources.look()
        assert sources.pull() != first
        write(tmp_path, "c.yaml", service("c"))
        sources.look()
        assert len(sources.pull().entities) == 3
    assert [call.args[1] for call in read.call_args_list] == [frozenset(), {str(tmp_path / "b.yaml")}, None]


def test_a_look_that_fails_is_left_to_the_reading(tmp_path: Path) -> None:
    write(tmp_path, "a.yaml", service("a"))
    sources = Sources(config.Catalog(files=(str(tmp_path),)))
    sources.pull()
    write(tmp_path, "b.yaml", service("b"))
    with patch("gateway.engine.sources.files.FileSource.unread", side_effect=RecursionError):
        sources.look()
    assert len(sources.pull().entities) == 2
