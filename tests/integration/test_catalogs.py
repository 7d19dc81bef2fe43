"""A whole node that reads its catalog over Backstage's API: from the catalog's answer to an HTTP answer at the door."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.door import until
from tests.support.fake_catalog import FakeCatalog, fake_catalog
from tests.support.processors import slowdown
from tests.support.whole_node import WholeNode, whole_node
from tests.support.wire import Client

pytestmark = pytest.mark.slow

POLL_S = 1.0


class Followed:
    """A node that was moved from a folder to a catalog with the same entities in it."""

    def __init__(self, node: WholeNode, catalog: FakeCatalog) -> None:
        self.node = node
        self.catalog = catalog
        token = node.folder / "token"
        token.write_text(catalog.token)
        token.chmod(0o600)
        file = node.folder / "stagedoor.yaml"
        settings = yaml.safe_load(file.read_text())
        backstage = {"name": "main", "url": catalog.url, "token_file": "token", "poll": f"{POLL_S:g}s"}
        settings["catalog"] = {"backstage": [backstage]}
        file.write_text(yaml.safe_dump(settings))
        node.process.send_signal(signal.SIGHUP)
        until(lambda: 'stagedoor_catalog_reachable{catalog="main"} 1.0' in node.metrics(), 20)

    def status(self, sub: str) -> int:
        with Client(self.node.port) as client:
            return client.send(self.node.request(sub=sub)).answer().status

    def told(self, *words: str, code: int = 0) -> Any:
        """What a command says of the running node."""
        command = [
            sys.executable,
            "-P",
            "-m",
            "gateway.cli",
            *words,
            "--json",
            "--state",
            str(self.node.folder / "state"),
        ]
        ran = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
        assert ran.returncode == code, ran.stderr
        return json.loads(ran.stdout)

    def change(self, name: str, **spec: Any) -> None:
        document = self.catalog.entities[name]
        self.catalog.put({**document, "spec": {**document["spec"], **spec}})


@pytest.fixture
def followed(tmp_path: Path) -> Iterator[Followed]:
    with whole_node(tmp_path) as node:
        documents = list(yaml.safe_load_all((tmp_path / "catalog" / "all.yaml").read_text()))
        with fake_catalog(*documents) as catalog:
            yield Followed(node, catalog)


def test_a_change_of_the_catalog_is_enforced_at_the_door_within_a_poll_and_a_second(followed: Followed) -> None:
    """A service is narrowed, a person leaves the team, the service is unpublished."""
    assert (followed.status("jane"), followed.status("joe")) == (200, 200)
    echo = followed.catalog.entities["component:default/echo"]
    annotations = {**echo["metadata"]["annotations"], "stagedoor.dev/access": "owners"}
    steps: tuple[tuple[Callable[[], None], str, int], ...] = (
        (
            lambda: followed.catalog.put({**echo, "metadata": {**echo["metadata"], "annotations": annotations}}),
            "joe",
            403,
        ),
        (lambda: followed.change("user:default/jane", memberOf=[]), "jane", 403),
        (lambda: followed.change("user:default/joe", memberOf=["team"]), "joe", 200),
    )
    for change, person, expected in steps:
        change()
        changed = time.monotonic()
        until(lambda: followed.status(person) == expected)  # noqa: B023 - waited for here
        assert time.monotonic() - changed < POLL_S + slowdown(), "one poll, and a second of an idle machine"


def test_a_blind_token_changes_nothing_at_the_door_and_is_told(followed: Followed) -> None:
    followed.catalog.blind = True
    until(lambda: followed.told("status")["catalog"]["held"])
    said = followed.told("status")
    assert (followed.status("jane"), followed.status("joe")) == (200, 200)
    assert any("losses are held" in finding for finding in said["findings"])
    assert any("holds no entity" in fault for fault in said["catalog"]["faults"])


def test_a_catalog_that_is_away_changes_nothing_and_shows_in_status_and_metrics(followed: Followed) -> None:
    followed.catalog.status = 503
    until(lambda: 'stagedoor_catalog_reachable{catalog="main"} 0.0' in followed.node.metrics(), 20)
    assert (followed.status("jane"), followed.node.ready()) == (200, True)
    said = followed.told("status")
    assert any("catalog main is away" in finding for finding in said["findings"])
    assert said["catalog"]["followed"][0]["entities"] == 4


def test_the_catalogs_own_delay_is_shown_apart(followed: Followed) -> None:
    """From the hint until the catalog shows the change is the catalog's; what follows is the node's."""
    assert followed.told("catalog", "sync") == {"catalogs": ["main"]}
    looks = len(followed.catalog.calls)
    until(lambda: len(followed.catalog.calls) > looks + 1)  # it has looked, and there was nothing yet
    assert followed.told("status")["catalog"]["followed"][0]["delay_s"] is None
    followed.change("user:default/joe", memberOf=["team"])
    until(lambda: "stagedoor_catalog_delay_seconds{" in followed.node.metrics())
    assert followed.told("status")["catalog"]["followed"][0]["delay_s"] > 0


def test_the_token_reaches_no_log_and_no_frame(followed: Followed) -> None:
    followed.catalog.token = "another"
    until(lambda: any("401" in str(event) for event in followed.node.events("catalog_away")))
    secret = (followed.node.folder / "token").read_text()
    for file in [followed.node.folder / "log", *(followed.node.folder / "state").rglob("*")]:
        if file.is_file():
            assert secret.encode() not in file.read_bytes(), file
