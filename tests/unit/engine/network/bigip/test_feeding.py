"""What a BIG-IP reads by itself: the very declaration, and data groups in the form of external files."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from gateway.config.devices import Readers
from gateway.engine.network.bigip.as3.declaration import declaration_of
from gateway.engine.network.bigip.connection import connection_to_bigip
from gateway.engine.network.bigip.feeding import documents_of, recipe_of
from gateway.engine.network.desired import Desired
from gateway.engine.network.documents import JSON, LINES
from gateway.engine.network.faults import DeviceFault
from tests.support.declarations import VERSION, desired, device, environment, place

LINE = re.compile(r'"[^"\\]+" := "[^"\\]*",')
AT = environment()


def sent(wish: Desired) -> dict[str, Any]:
    return declaration_of(wish, device(AT), AT, {})


def records(text: str) -> dict[str, str]:
    """As a device reads it: at the first separator."""
    found = {}
    for line in text.splitlines():
        assert LINE.fullmatch(line), line
        key, value = line.removesuffix(",").split(" := ", 1)
        found[key.strip('"')] = value.strip('"')
    return found


def test_the_declaration_is_the_one_that_is_sent_and_its_data_groups_are_the_records_in_it() -> None:
    declaration = sent(desired(place("b"), place("a")))
    made = documents_of(declaration)
    assert sorted(made) == ["as3.json", "data-groups/hosts.txt", "data-groups/policy.txt"]
    assert (made["as3.json"].media_type, made["data-groups/hosts.txt"].media_type) == (JSON, LINES)
    assert json.loads(made["as3.json"].text) == declaration
    declared = declaration["stagedoor_prod"]["Shared"]
    for name in ("hosts", "policy"):
        given = {each["key"]: each["value"] for each in declared[name]["records"]}
        assert records(made[f"data-groups/{name}.txt"].text) == given


@pytest.mark.parametrize("path", ["/a:=b", "/a := b", '/a"b', "/a\\b", "/a\nb", "/a',}", "/ä"])
def test_no_text_of_the_catalog_ends_a_key_early_or_begins_another_line(path: str) -> None:
    made = documents_of(sent(desired(place("a", path=path), place("b", path="/a_b"))))
    text = made["data-groups/hosts.txt"].text
    found = records(text)
    assert len(found) == 2
    assert text.count(":=") == 2
    assert "b.example.com/a_b" in found


def test_two_texts_that_hold_the_separator_stay_two() -> None:
    made = documents_of(sent(desired(place("a", path="/x:=y"), place("a", path="/x:=z"))))
    assert len(records(made["data-groups/hosts.txt"].text)) == 2


def test_without_records_there_is_no_document() -> None:
    with pytest.raises(DeviceFault, match="empty"):
        documents_of(sent(Desired("prod", VERSION, ())))


def test_what_the_linter_or_the_schema_refuses_is_a_fault() -> None:
    recipe = recipe_of(device(AT), sent)
    content = recipe.content(desired(place("a")))
    assert not recipe.faults(content)
    content["stagedoor_prod"]["Shared"]["pool"]["members"] = []
    assert recipe.faults(content)


def test_a_device_without_readers_has_nothing_to_read(tmp_path: Path) -> None:
    assert connection_to_bigip(device(AT), tmp_path).feeds == {}
    read = connection_to_bigip(device(AT, readers=Readers(("198.51.100.0/24",))), tmp_path).feeds
    assert list(read) == ["prod"]
