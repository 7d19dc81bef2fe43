"""Promises about the entries on the start page: what the engine says, escaped, linked where something is published."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import jinja2
import uvloop

from gateway.lab import control as lab_control
from gateway.lab.entries import Entries, coded
from gateway.lab.folder import LabFacts
from tests.support.catalogs import people, service, write
from tests.unit.engine.test_sync import running

FACTS = LabFacts(8443, "http://127.0.0.1:1", "127.0.0.1:2", "catalog", "access", "stagedoor", "ca.pem")


def test_what_stands_in_backticks_is_code_and_the_rest_is_as_it_was() -> None:
    assert coded("host `<b>` is `x`") == [("host ", False), ("<b>", True), (" is ", False), ("x", True)]
    assert coded("one ` alone <script>") == [("one ` alone <script>", False)]


def test_what_others_wrote_is_escaped() -> None:
    templates = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(lab_control.__file__).parent / "templates"), autoescape=True
    )
    templates.filters["coded"] = coded
    note = {"environment": "", "severity": "error", "says": "`<b>` <i>", "todo": "", "source": "<u>"}
    card = {"id": "x", "ref": "<a>", "state": "held", "label": "held", "title": "<h1>", "sentence": "s", "places": [],
            "notes": [note], "more": 3, "asks": ["<em>"]}  # fmt: skip
    text = templates.get_template("entries.html").render(entries=[card], engine=True)
    assert "And 3 more" in text
    assert "<code>&lt;b&gt;</code> &lt;i&gt;" in text
    assert not [each for each in ("<i>", "<u>", "<a>", "<h1>", "<em>") if each in text]


def test_the_command_names_the_lab_unless_commands_find_it_by_themselves() -> None:
    assert Entries(Path(".lab/state").absolute(), FACTS, lambda: None).command == "stagedoor entity"
    elsewhere = Entries(Path("other/state").absolute(), FACTS, lambda: None).command
    assert elsewhere == "stagedoor entity --config other/stagedoor.yaml"


def test_what_the_engine_says_is_shown_with_the_worst_first_and_what_changes_is_news(tmp_path: Path) -> None:
    documents = (*people("team"), service("good", path="/v1"), service("bad", host="bad.evil"))
    said = write(tmp_path, "catalog/all.yaml", *documents).read_text().splitlines()
    line = next(number for number, each in enumerate(said, 1) if "bad.evil" in each)

    async def scene() -> None:
        async with running(tmp_path) as (stage, door):
            await door.until(lambda: bool(door.services()))
            news: asyncio.Queue[None] = asyncio.Queue()
            entries = Entries(stage.state, FACTS, lambda: news.put_nowait(None))
            assert entries.cards() == {"entries": [], "engine": False}
            entries.start()
            await _heard(entries, news)
            bad, good = entries.cards()["entries"]
            assert (bad["ref"], bad["state"], bad["places"]) == (
                "component:default/bad", "refused", [{"name": "prod", "state": "refused", "address": ""}],
            )  # fmt: skip
            assert bad["notes"][0]["source"].endswith(f"all.yaml:{line}")
            assert bad["asks"] == ["team (jane)", "Stagedoor's administrators"]
            assert (good["state"], good["asks"]) == ("published", [])
            assert good["places"][0]["address"] == "https://good.example.com:8443/v1"
            write(tmp_path, "catalog/all.yaml", *people("team"), service("good"), service("bad"))
            while any(each["state"] != "published" for each in entries.cards()["entries"]):
                await _heard(entries, news)
            entries.close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(scene())


async def _heard(entries: Entries, news: asyncio.Queue[Any]) -> None:
    async with asyncio.timeout(20):
        while True:
            entries.ask()
            try:
                async with asyncio.timeout(0.1):
                    await news.get()
            except TimeoutError:
                continue
            return
