"""Promises about cuts: told at once, remembered before that, never lost by a store, lifted by nobody but a lift."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, cast

import pytest

from gateway.control.cuts import FILE, LIFTED_KEPT_S, CutRefused, Cuts, checked
from gateway.control.overlay import Overlay
from gateway.control.store import Act, Cut, Notice, Store, StoreUnavailable

NOW = 1_800_000_000


class Kept:
    """A store as another node sees it: what is in it, whether it is there, and who listens."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, str], Cut] = {}
        self.acts: list[Act] = []
        self.away = False
        self.listeners: list[Callable[[Notice], None]] = []

    def subscribe(self, callback: Callable[[Notice], None]) -> None:
        self.listeners.append(callback)

    async def cuts(self) -> list[Cut]:
        if self.away:
            raise StoreUnavailable("it is away")
        return list(self.rows.values())

    async def put_cut(self, cut: Cut, act: Act) -> None:
        if self.away:
            raise StoreUnavailable("it is away")
        self.rows[cut.kind, cut.ref] = cut
        self.acts.append(act)

    async def lift_cut(self, kind: str, ref: str, act: Act) -> bool:
        if self.away:
            raise StoreUnavailable("it is away")
        row = self.rows.get((kind, ref))
        if row is None:
            return False
        self.rows[kind, ref] = Cut(row.kind, row.ref, row.not_before, row.because, row.by, act.at)
        self.acts.append(act)
        return True


class Node:
    def __init__(self, folder: Path, store: Kept, clock: list[int]) -> None:
        folder.mkdir(exist_ok=True)
        self.told: list[dict[str, Any]] = []
        self.overlay = Overlay(folder, self.told.append)
        self.cuts = Cuts(folder, self.overlay, cast("Store", store), lambda: float(clock[0]))

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(5):
            while not holds():
                await asyncio.sleep(0.001)


def played(folder: Path, story: Callable[[Kept, Callable[[str], Node], list[int]], Awaitable[None]]) -> None:
    store, clock, nodes = Kept(), [NOW], []

    def node(name: str) -> Node:
        made = Node(folder / name, store, clock)
        made.cuts.start()
        nodes.append(made)
        return made

    async def whole() -> None:
        try:
            await story(store, node, clock)
        finally:
            for each in nodes:
                each.cuts.close()

    asyncio.run(whole())


def test_a_cut_is_told_to_the_doors_at_once_by_what_it_is(tmp_path: Path) -> None:
    async def story(_store: Kept, node: Callable[[str], Node], _clock: list[int]) -> None:
        one = node("one")
        for kind, ref in (
            ("person", "jane"), ("team", "group:default/books"), ("workload", "other/robot"), ("service", "echo"),
            ("environment", "prod"),
        ):  # fmt: skip
            one.cuts.cut(kind, ref, "a laptop is lost", "root")
        told = one.told[-1]
        assert told["denied"] == ["component:other/robot", "group:default/books", "user:default/jane"]
        assert told["not_before"] == dict.fromkeys(told["denied"], NOW + 1)
        assert told["shut"] == ["@prod", "component:default/echo"]

    played(tmp_path, story)


def test_it_works_and_is_remembered_while_the_store_is_away_which_hears_of_it_later(tmp_path: Path) -> None:
    async def story(store: Kept, node: Callable[[str], Node], _clock: list[int]) -> None:
        store.away = True
        before = node("one")
        before.cuts.cut("person", "jane", "a laptop is lost", "root")
        before.cuts.close()
        again = node("one")  # control started again
        assert again.overlay.denied == ["user:default/jane"]
        store.away = False
        store.listeners[-1](Notice("resync", ()))
        await again.until(lambda: ("person", "user:default/jane") in store.rows)
        assert [(each.verb, each.about, each.because) for each in store.acts] == [
            ("cut person", "user:default/jane", "a laptop is lost")
        ]

    played(tmp_path, story)


def test_another_node_hears_of_it_and_of_the_lift(tmp_path: Path) -> None:
    async def story(store: Kept, node: Callable[[str], Node], clock: list[int]) -> None:
        one, two = node("one"), node("two")
        one.cuts.cut("person", "jane", "a laptop is lost", "root")
        await one.until(lambda: bool(store.rows))
        store.listeners[1](Notice("cuts", ("person:user:default/jane",)))
        await two.until(lambda: two.overlay.denied == ["user:default/jane"])
        clock[0] += 60
        two.cuts.lift("person", "jane", "found again", "eve")
        await two.until(lambda: store.rows["person", "user:default/jane"].lifted is not None)
        store.listeners[0](Notice("cuts", ("person:user:default/jane",)))
        await one.until(lambda: one.overlay.denied == [])
        assert one.overlay.not_before == {"user:default/jane": NOW + 1}  # old tokens stay refused

    played(tmp_path, story)


def test_a_store_that_forgot_a_cut_is_told_anew_and_nobody_is_let_in(tmp_path: Path) -> None:
    async def story(store: Kept, node: Callable[[str], Node], _clock: list[int]) -> None:
        one = node("one")
        one.cuts.cut("person", "jane", "a laptop is lost", "root")
        await one.until(lambda: bool(store.rows))
        store.rows.clear()
        store.listeners[0](Notice("resync", ()))
        await one.until(lambda: bool(store.rows))
        assert one.overlay.denied == ["user:default/jane"]

    played(tmp_path, story)


def test_the_later_word_counts(tmp_path: Path) -> None:
    async def story(store: Kept, node: Callable[[str], Node], clock: list[int]) -> None:
        lifted = Cut("person", "user:default/jane", NOW - 100, "before", "eve", NOW - 50)
        store.rows["person", "user:default/jane"] = lifted
        store.away = True
        one = node("one")
        one.cuts.cut("person", "jane", "again", "root")
        store.away = False
        store.listeners[0](Notice("resync", ()))
        await one.until(lambda: store.rows["person", "user:default/jane"].lifted is None)
        assert one.overlay.denied == ["user:default/jane"]
        clock[0] += LIFTED_KEPT_S * 2

    played(tmp_path, story)


def test_what_was_lifted_long_ago_is_forgotten(tmp_path: Path) -> None:
    async def story(store: Kept, node: Callable[[str], Node], clock: list[int]) -> None:
        one = node("one")
        one.cuts.cut("person", "jane", "a laptop is lost", "root")
        one.cuts.lift("person", "jane", "", "root")
        await one.until(lambda: bool(store.acts))
        clock[0] += LIFTED_KEPT_S + 10
        store.rows.clear()
        store.listeners[0](Notice("resync", ()))
        await one.until(lambda: not one.cuts.listed)
        assert one.overlay.not_before == {}

    played(tmp_path, story)


@pytest.mark.parametrize("text", ["{", "[]", '{"version": 2}', '{"version": 1, "cuts": [{"kind": "person"}]}'])
def test_a_file_that_cannot_be_read_lets_nobody_in_again(tmp_path: Path, text: str) -> None:
    async def story(_store: Kept, node: Callable[[str], Node], _clock: list[int]) -> None:
        node("one").cuts.cut("person", "jane", "a laptop is lost", "root")
        (tmp_path / "one" / FILE).write_text(text)
        again = node("one")
        assert again.overlay.denied == ["user:default/jane"]
        with pytest.raises(CutRefused, match="cannot be read"):
            again.cuts.lift("person", "jane", "", "root")

    played(tmp_path, story)


def test_the_file_is_its_owners_alone_and_says_why(tmp_path: Path) -> None:
    async def story(_store: Kept, node: Callable[[str], Node], _clock: list[int]) -> None:
        node("one").cuts.cut("person", "jane", "a laptop is lost", "root")
        path = tmp_path / "one" / FILE
        assert path.stat().st_mode & 0o777 == 0o600
        assert json.loads(path.read_bytes())["cuts"][0]["because"] == "a laptop is lost"

    played(tmp_path, story)


@pytest.mark.parametrize(
    ("kind", "ref", "named"),
    [
        ("person", "Jane", "user:default/jane"), ("person", "user:Ops/jane.doe", "user:ops/jane.doe"),
        ("team", "books", "group:default/books"), ("environment", "PROD", "prod"),
    ],
)  # fmt: skip
def test_names_are_spelled_as_everywhere_else(kind: str, ref: str, named: str) -> None:
    assert checked(kind, ref) == (kind, named)


@pytest.mark.parametrize(
    ("kind", "ref"),
    [("person", "group:default/x"), ("person", ""), ("person", "a b"), ("planet", "x"), ("team", "x" * 300),
     ("environment", ""), ("person", "jäne"), ("person", "user:default/")],
)  # fmt: skip
def test_what_is_no_name_is_refused(kind: str, ref: str) -> None:
    with pytest.raises(CutRefused):
        checked(kind, ref)


def test_a_cut_says_why(tmp_path: Path) -> None:
    async def story(_store: Kept, node: Callable[[str], Node], _clock: list[int]) -> None:
        with pytest.raises(CutRefused, match="because"):
            node("one").cuts.cut("person", "jane", "  ", "root")
        with pytest.raises(CutRefused, match="not cut off"):
            node("two").cuts.lift("person", "jane", "", "root")

    played(tmp_path, story)


def test_of_what_two_nodes_say_in_one_second_the_later_word_is_heard(tmp_path: Path) -> None:
    """Cut at one, lifted and cut again at the other, before the clock has moved: each is heard by the one."""

    async def story(store: Kept, node: Callable[[str], Node], clock: list[int]) -> None:
        one, two = node("one"), node("two")

        async def is_heard(act: Callable[..., Cut], by: Node, denied: list[str]) -> None:
            said = act("person", "jane", "a word", "eve")
            await by.until(lambda: store.rows.get(("person", said.ref)) == said)
            for listener in store.listeners:
                listener(Notice("cuts", ()))
            await one.until(lambda: one.overlay.denied == denied)
            await two.until(lambda: two.overlay.denied == denied)

        await is_heard(one.cuts.cut, one, ["user:default/jane"])
        await is_heard(two.cuts.lift, two, [])
        await is_heard(two.cuts.cut, two, ["user:default/jane"])
        await is_heard(one.cuts.lift, one, [])

    played(tmp_path, story)
