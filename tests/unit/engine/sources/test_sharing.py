"""What is read again and says the same is the object that is held already; what says anything else never is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from gateway.engine.sources.entities import Entity
from gateway.engine.sources.files import FileSource
from gateway.engine.sources.openapi import Definition
from gateway.engine.sources.sharing import Held
from policy.facts import Source
from policy.reading import Fault
from tests.support.catalogs import PREFIX, api, entity, openapi, service, write

DOCUMENTS = (api("a", openapi("GET /a", "POST /a/{id}")), service("shop", providesApis=["a"]), entity("Group", "team"))


def read(folder: Path, held: Held | None = None) -> dict[str, Entity]:
    return dict(FileSource((str(folder),), PREFIX, held).pull().entities)


@pytest.fixture
def before(tmp_path: Path) -> dict[str, Entity]:
    write(tmp_path, "catalog.yaml", *DOCUMENTS)
    return read(tmp_path)


def test_the_same_is_one_object(tmp_path: Path, before: dict[str, Entity]) -> None:
    again = read(tmp_path, Held(before))
    assert len(again) == len(DOCUMENTS)
    assert all(again[ref] is entity for ref, entity in before.items())
    assert read(tmp_path) == before
    assert not any(each is before[ref] for ref, each in read(tmp_path).items())


def test_what_changed_is_what_was_read(tmp_path: Path, before: dict[str, Entity]) -> None:
    write(tmp_path, "catalog.yaml", api("a", openapi("GET /a", "PUT /a/{id}")), *DOCUMENTS[1:])
    again = read(tmp_path, Held(before))
    assert again == read(tmp_path)
    assert [ref for ref in before if again[ref] is not before[ref]] == ["api:default/a"]


@pytest.mark.parametrize(
    "changes",
    [{"faults": (Fault(Source("f.yaml"), "m"),)}, {"broken": True}, {"kept": True}, {"schemes": ("http",)},
     {"openapi": False}],
)  # fmt: skip
def test_what_the_digest_leaves_out_of_a_definition_counts(
    changes: dict[str, object], before: dict[str, Entity]
) -> None:
    entity = before["api:default/a"]
    assert isinstance(entity.definition, Definition)
    other = replace(entity, definition=replace(entity.definition, **changes))  # type: ignore[arg-type]  # any field
    assert other.definition is not None
    assert Held(before).entity(other) is other
    assert Held(before).definition(entity.ref, other.definition) is other.definition
    assert Held(before).definition(entity.ref, replace(entity.definition)) is entity.definition


def test_what_was_not_there_is_what_was_read(before: dict[str, Entity]) -> None:
    new = replace(before["group:default/team"], ref="group:default/other")
    assert Held(before).entity(new) is new
    assert Held().entity(new) is new
