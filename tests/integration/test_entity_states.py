"""What an owner hears of a running node that follows a catalog over its API, while that catalog misbehaves."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.integration.test_catalogs import Followed
from tests.support.door import until
from tests.support.fake_catalog import fake_catalog
from tests.support.whole_node import whole_node

pytestmark = pytest.mark.slow

ECHO = "component:default/echo"


class Owner(Followed):
    """Asks what became of their service."""

    def entity(self, *words: str) -> Any:
        command = [sys.executable, "-P", "-m", "gateway.cli", "entity", *words, "--json"]
        command += ["--state-folder", str(self.node.folder / "state")]
        ran = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
        said = json.loads(ran.stdout)
        assert ran.returncode == (0 if said.get("state") == "published" else 1), ran.stderr
        return said

    def hears(self, state: str, ref: str = ECHO) -> Any:
        until(lambda: self.entity(ref)["state"] == state)
        return self.entity(ref)


@pytest.fixture
def owner(tmp_path: Path) -> Iterator[Owner]:
    with whole_node(tmp_path) as node:
        documents = list(yaml.safe_load_all((tmp_path / "catalog" / "all.yaml").read_text()))
        with fake_catalog(*documents) as catalog:
            yield Owner(node, catalog)


def says(notes: list[dict[str, Any]]) -> str:
    return "\n".join(note["says"] for note in notes)


def test_what_the_catalog_could_not_process_is_held_with_its_own_words(owner: Owner) -> None:
    before = owner.hears("published")
    assert [each["name"] for each in before["catalogs"]] == ["main"]
    echo = owner.catalog.entities[ECHO]
    refused = {"type": "backstage.io/catalog-processing", "level": "error", "message": "spec.owner is missing"}
    owner.catalog.put({**echo, "status": {"items": [refused]}})
    held = owner.hears("held")
    assert "spec.owner is missing" in says(held["notes"])
    assert (held["since"] > before["since"], held["base"] != "") == (True, True)
    assert owner.status("jane") == 200
    owner.catalog.put(echo)
    assert owner.hears("published")["notes"] == []


def test_a_blind_token_holds_everything_and_sends_owners_to_the_administrators(owner: Owner) -> None:
    owner.hears("published")
    owner.catalog.blind = True
    held = owner.hears("held")
    assert says(held["notes"]).startswith("it is gone from catalog `main`")
    assert "administrators" in [ref for note in held["notes"] for ref in note["ask"]]
    assert [each["state"] for each in held["exposures"]] == ["held"]
    assert owner.hears("held", "user:default/jane")["kind"] == "user"
    assert owner.status("jane") == 200


def test_an_orphan_is_held_for_one_reading_and_then_counts_as_gone(owner: Owner) -> None:
    owner.catalog.put(
        {**owner.catalog.entities[ECHO], "metadata": {**owner.catalog.entities[ECHO]["metadata"], "name": "e2"}}
    )
    owner.hears("refused", "component:default/e2")  # it claims the same place
    one = owner.catalog.entities["component:default/e2"]
    annotations = {**one["metadata"]["annotations"], "backstage.io/orphan": "true"}
    owner.catalog.put({**one, "metadata": {**one["metadata"], "annotations": annotations}})
    until(lambda: "it is an orphan" in says(owner.entity("component:default/e2")["notes"]))
    until(lambda: owner.entity("component:default/e2")["exposures"] == [])


def test_how_old_an_answer_is_shows_when_the_catalog_is_away(owner: Owner) -> None:
    owner.hears("published")
    owner.catalog.status = 503
    until(lambda: owner.entity(ECHO)["catalogs"][0]["fault"], 20)
    said = owner.entity("component:default/ecco")
    assert (said["state"], said["suggestion"]) == ("not_seen", f"did you mean `{ECHO}`?")
    assert "503" in said["catalogs"][0]["fault"]
    assert said["catalogs"][0]["read_at"]
