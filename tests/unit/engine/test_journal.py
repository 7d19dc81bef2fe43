"""The engine's memory survives restarts and crashes, and its loss is only the loss of memory."""

from __future__ import annotations

import marshal
from pathlib import Path
from typing import Any

import pytest

from gateway.engine import journal
from gateway.engine.journal import Journal, plain, rebuilt
from gateway.engine.sources.entities import Edge, Entity
from gateway.engine.sources.openapi import Definition
from policy.facts import Exposure, Operation, Source
from policy.reading import Fault

SOURCE = Source("f.yaml", 3, "api:default/a")
DEFINITION = Definition(
    (Operation("GET", "/a", (frozenset({"r"}),), "api:default/a", source=SOURCE),), (Fault(SOURCE, "m"),)
)
ENTITY = Entity(
    "api:default/a", "api", "A", "openapi", ("x",), {"host": "h"}, {"metadata.name": "a"},
    (Edge("api:default/a", "ownedBy", "group:default/t"),), DEFINITION, SOURCE, {"host": 4}, "digest",
)  # fmt: skip
EXPOSURE = Exposure("prod", "a.example.com", "/", ("http://10.0.0.1",), SOURCE)


def everything(**changes: Any) -> dict[str, dict[str, Any]]:
    return {
        "entities": {ENTITY.ref: ENTITY}, "routes": {"component:default/a": (EXPOSURE,)},
        "incumbents": {"a.example.com /": "component:default/a@prod"}, "rules": {"k": ("r-1",)},
        "access": {"a.yaml": b"version: 1"}, "states": {ENTITY.ref: ("published", 1, "base", "digest")},
        "held": {"user ": ("user:default/a",)}, **changes,
    }  # fmt: skip


def test_facts_survive_their_plain_form() -> None:
    for value in (ENTITY, EXPOSURE, (EXPOSURE,), {"a": DEFINITION}, ("r-1",), b"text"):
        assert rebuilt(plain(value)) == value


def test_what_was_recorded_is_remembered_by_the_next_process(tmp_path: Path) -> None:
    first = Journal(tmp_path)
    assert first.record(everything())
    assert first.record(everything(rules={"k": ("r-2",), "l": ()}, routes={}))
    second = Journal(tmp_path)
    assert second.sections == everything(rules={"k": ("r-2",), "l": ()}, routes={})
    assert second.fault == ""


def test_nothing_new_is_nothing_written(tmp_path: Path) -> None:
    first = Journal(tmp_path)
    first.record(everything())
    size = (tmp_path / journal.NAME).stat().st_size
    assert not first.record(everything())
    assert (tmp_path / journal.NAME).stat().st_size == size


def test_a_record_cut_off_by_a_crash_is_dropped_and_written_over(tmp_path: Path) -> None:
    Journal(tmp_path).record(everything())
    file = tmp_path / journal.NAME
    whole = file.read_bytes()
    Journal(tmp_path).record(everything(rules={"k": ("r-2",)}))
    file.write_bytes(file.read_bytes()[:-3])
    crashed = Journal(tmp_path)
    assert "cut off" in crashed.fault
    assert crashed.sections == everything()
    crashed.record(everything(rules={"k": ("r-3",)}))
    assert file.read_bytes().startswith(whole)
    assert Journal(tmp_path).sections["rules"] == {"k": ("r-3",)}


def test_an_unknown_version_is_not_read(tmp_path: Path) -> None:
    (tmp_path / journal.NAME).write_bytes(b"SDjr\x09whatever")
    unread = Journal(tmp_path)
    assert "unknown form or version" in unread.fault
    assert not any(unread.sections.values())
    unread.record(everything())
    assert Journal(tmp_path).sections == everything()


def test_it_is_rewritten_before_it_grows_without_bound(tmp_path: Path) -> None:
    held = Journal(tmp_path)
    for number in range(60):
        held.record(everything(access={"a.yaml": b"x" * 100_000 + str(number).encode()}))
    assert (tmp_path / journal.NAME).stat().st_size < 2_000_000
    assert Journal(tmp_path).sections == held.sections


def test_the_file_is_private(tmp_path: Path) -> None:
    Journal(tmp_path).record(everything())
    assert (tmp_path / journal.NAME).stat().st_mode & 0o077 == 0


def test_what_could_not_be_written_is_tried_again(tmp_path: Path) -> None:
    held = Journal(tmp_path)
    held.record(everything())
    (tmp_path / journal.NAME).rename(tmp_path / "away")
    (tmp_path / journal.NAME).mkdir()
    with pytest.raises(OSError, match="Is a directory"):
        held.record(everything(rules={"k": ("r-2",)}))
    (tmp_path / journal.NAME).rmdir()
    (tmp_path / "away").rename(tmp_path / journal.NAME)
    assert held.record(everything(rules={"k": ("r-2",)}))
    assert Journal(tmp_path).sections["rules"] == {"k": ("r-2",)}


@pytest.mark.parametrize("left", [None, b"", b"short"])
def test_a_file_that_was_removed_or_cut_is_written_anew_with_everything(tmp_path: Path, left: bytes | None) -> None:
    held = Journal(tmp_path)
    held.record(everything())
    (tmp_path / journal.NAME).unlink()
    if left is not None:
        (tmp_path / journal.NAME).write_bytes(left)
    assert held.record(everything(rules={"k": ("r-2",)}))
    again = Journal(tmp_path)
    assert again.fault == ""
    assert again.sections == everything(rules={"k": ("r-2",)})


def test_what_another_version_remembered_is_forgotten_and_never_a_crash(tmp_path: Path) -> None:
    strange: list[Any] = [
        [("entities", "a", ["Entity", "too", "few"])],
        [("entities", "a", ["Unheard", 1])],
        [("entities", "a", ENTITY.ref)],
        [("routes", "a", (1,))],
        [("incumbents", "a", 5)],
        [("rules", "a", "text")],
        [("access", "a", "text")],
        [("states", "a", ("published", "then", "", ""))],
        [("held", "a", (1,))],
        [("unheard", "a", "text")],
        [("entities", "a")],
        "text",
        None,
    ]
    for body in strange:
        content = marshal.dumps(body, 2)
        (tmp_path / journal.NAME).write_bytes(
            journal.HEAD + len(content).to_bytes(4, "big") + journal._digest(content) + content
        )
        found = Journal(tmp_path)
        assert found.fault, body
        assert not any(found.sections.values()), body
        assert found.record(everything())
        assert Journal(tmp_path).sections == everything()


def test_a_file_that_cannot_be_read_is_forgotten_too(tmp_path: Path) -> None:
    (tmp_path / journal.NAME).mkdir()
    assert Journal(tmp_path).fault


def test_the_same_in_other_objects_is_what_the_next_is_compared_with(tmp_path: Path) -> None:
    """Or each record after a restart would compare all that is remembered word by word."""
    Journal(tmp_path).record(everything())
    journal = Journal(tmp_path)
    again = everything()
    assert not journal.record(again)
    assert all(journal.sections[name] is again[name] for name in again)
