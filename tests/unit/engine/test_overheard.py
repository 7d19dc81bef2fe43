"""What the engine makes of control's overlay: all of it or nothing, and the last one while control is away."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import orjson
import pytest

from gateway.control.overlay import Overlay as ControlsOverlay
from gateway.engine.catalogs import Reports
from gateway.engine.overheard import Overheard, Overlay, overlay_in
from gateway.link import Link, LinkServer, Message
from policy.facts import Grant

HARNESS_S = 60.0
GRANT: dict[str, Any] = {
    "id": "g1", "subject": "user:default/jane", "service": "component:default/pay", "environment": "prod",
    "operations": ["POST /refunds"], "scopes": ["write"], "starts": 100, "ends": 200, "because": "incident",
    "approver": "user:default/joe",
}  # fmt: skip
MESSAGE: dict[str, Any] = {
    "t": "overlay", "seq": 7, "keys": {}, "denied": ["user:default/mallory"], "grants": [GRANT],
    "ended": [], "ended_from": 0, "not_before": {"user:default/mallory": 90}, "shut": ["@prod"],
}  # fmt: skip


def test_an_overlay_is_read_whole() -> None:
    grant = Grant(
        "g1", "user:default/jane", "component:default/pay", "prod", ("POST /refunds",), frozenset({"write"}), 100, 200,
        "incident", "user:default/joe",
    )  # fmt: skip
    assert overlay_in(MESSAGE) == Overlay(
        7, frozenset({"user:default/mallory"}), frozenset({"@prod"}), {"user:default/mallory": 90}, (grant,)
    )


@pytest.mark.parametrize(
    "part",
    [
        {"seq": -1}, {"seq": None}, {"seq": True}, {"denied": "user:default/mallory"}, {"denied": [1]}, {"shut": {}},
        {"not_before": []}, {"not_before": {"user:default/x": "now"}}, {"grants": {}},
    ],
    ids=str,
)  # fmt: skip
def test_half_of_an_overlay_is_none(part: dict[str, Any], tmp_path: Path) -> None:
    heard: list[Overlay] = []
    overheard = Overheard(tmp_path, heard.append)
    overheard.take(MESSAGE)
    overheard.take({**MESSAGE, "seq": 8, "denied": [], **part})
    assert [each.seq for each in heard] == [7]
    assert overheard.overlay == heard[0]


@pytest.mark.parametrize(
    "part", [{"ends": "never"}, {"ends": -1}, {"starts": None}, {"subject": None}, {"operations": "all"}], ids=str
)
def test_a_grant_that_cannot_be_read_is_none(part: dict[str, Any]) -> None:
    found = overlay_in({**MESSAGE, "grants": [{**GRANT, **part}, "open sesame", GRANT]})
    assert found is not None
    assert [each.id for each in found.grants] == ["g1"]


def test_what_control_says_of_other_things_is_no_overlay(tmp_path: Path) -> None:
    heard: list[Overlay] = []
    overheard = Overheard(tmp_path, heard.append)
    overheard.take({**MESSAGE, "t": "session_keys"})
    assert (heard, overheard.overlay) == ([], None)


def test_the_same_again_is_no_news(tmp_path: Path) -> None:
    heard: list[Overlay] = []
    overheard = Overheard(tmp_path, heard.append)
    overheard.take(MESSAGE)
    overheard.take(dict(MESSAGE))
    assert len(heard) == 1


def test_without_control_the_overlay_that_it_kept_counts(tmp_path: Path) -> None:
    controls = ControlsOverlay(tmp_path, lambda message: None)
    controls.put_cuts(["user:default/mallory"], {"user:default/mallory": 90}, ["@prod"])
    overlay = Overheard(tmp_path, lambda _: None).overlay
    assert overlay is not None
    assert (overlay.denied, overlay.shut) == (frozenset({"user:default/mallory"}), frozenset({"@prod"}))


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"version": 2, "seq": 1}', b'{"version": 1, "seq": "x"}'], ids=str)
def test_a_file_that_cannot_be_read_says_nothing(body: bytes, tmp_path: Path) -> None:
    (tmp_path / "overlay.json").write_bytes(body)
    assert Overheard(tmp_path, lambda _: None).overlay is None


def test_nothing_known_is_not_nobody_cut_off(tmp_path: Path) -> None:
    assert Overheard(tmp_path, lambda _: None).overlay is None


def test_without_control_grants_run_on_and_none_begins(tmp_path: Path) -> None:
    heard: list[Overlay] = []
    overheard = Overheard(tmp_path, heard.append, lambda: 150)
    later = {**MESSAGE, "grants": [GRANT, {**GRANT, "id": "g2", "starts": 151}]}
    overheard.take(later)
    overheard.linked(False)
    overheard.take(later)
    assert [[grant.id for grant in each.grants] for each in heard] == [["g1", "g2"], ["g1"], ["g1", "g2"]]
    assert {each.denied for each in heard} == {frozenset({"user:default/mallory"})}


def test_what_had_not_begun_when_control_was_last_heard_is_not_remembered(tmp_path: Path) -> None:
    grants = [GRANT, {**GRANT, "id": "g2", "starts": 151}]
    (tmp_path / "overlay.json").write_bytes(orjson.dumps({**MESSAGE, "grants": grants, "version": 1}))
    overlay = Overheard(tmp_path, lambda _: None, lambda: 150).overlay
    assert overlay is not None
    assert [grant.id for grant in overlay.grants] == ["g1"]


def test_the_overlay_comes_over_the_link_that_reports_go_out_on(tmp_path: Path) -> None:
    async def scene() -> Overlay:
        loop = asyncio.get_running_loop()
        heard: asyncio.Future[Overlay] = loop.create_future()

        def greet(link: Link, _: Message) -> None:
            link.send(MESSAGE)

        server = LinkServer(tmp_path / "control.sock", greet, lambda _: None)
        await server.start()
        reports = Reports(tmp_path, list, list, Overheard(tmp_path, heard.set_result).take)
        reports.start()
        try:
            async with asyncio.timeout(HARNESS_S):
                return await heard
        finally:
            reports.close()
            server.close()

    assert asyncio.run(scene()).denied == {"user:default/mallory"}
