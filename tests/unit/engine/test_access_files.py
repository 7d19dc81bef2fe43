"""The access policy's files: one, or a folder of parts; a fault names its own file and rejects the whole."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gateway.engine.access_files import read_access, read_access_texts

ONE = "version: 1\nenvironments:\n  prod: {owners: [all]}\n"
RULE = "- {deny: group:default/%s, because: No.}\n"


def test_one_file(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(ONE)
    read = read_access(str(tmp_path / "a.yaml"))
    assert read.faults == ()
    assert read.policy is not None
    assert list(read.policy.environments) == ["prod"]


def test_a_folder_is_one_document_in_the_order_of_names(tmp_path: Path) -> None:
    (tmp_path / "1.yaml").write_text(ONE + "rules:\n" + RULE % "a")
    (tmp_path / "2.yml").write_text("environments:\n  dev: {owners: [all]}\nrules:\n" + RULE % "b" + RULE % "c")
    (tmp_path / ".hidden.yaml").write_text("broken: [")
    (tmp_path / "notes.txt").write_text("broken: [")
    read = read_access(str(tmp_path))
    assert read.faults == ()
    assert read.policy is not None
    assert sorted(read.policy.environments) == ["dev", "prod"]
    assert [rule.subjects for rule in read.policy.rules] == [(f"group:default/{name}",) for name in "abc"]
    places = [(Path(rule.source.file).name, rule.source.line) for rule in read.policy.rules]
    assert places == [("1.yaml", 5), ("2.yml", 4), ("2.yml", 5)]


def test_a_key_that_two_files_give_is_a_fault_naming_both() -> None:
    read = read_access_texts({"1.yaml": ONE.encode(), "2.yaml": b"\nenvironments:\n  prod: {owners: [read]}\n"})
    assert read.policy is None
    (fault,) = read.faults
    assert (fault.source.file, fault.source.line) == ("2.yaml", 3)
    assert "1.yaml:3" in fault.message


def test_a_fault_in_any_part_rejects_the_whole_with_its_place() -> None:
    read = read_access_texts({"1.yaml": ONE.encode(), "2.yaml": b"rules:\n- {deny: group:default/a, becuase: No.}\n"})
    assert read.policy is None
    assert {(fault.source.file, fault.source.line) for fault in read.faults} == {("2.yaml", 2)}


def test_what_is_missing_empty_or_no_yaml_is_no_policy(tmp_path: Path) -> None:
    assert read_access(str(tmp_path / "missing.yaml")).policy is None
    assert read_access(str(tmp_path)).policy is None
    for text in (b"", b"rules: [", b"[]", b"a: 1\na: 2", b"\xff"):
        read = read_access_texts({"a.yaml": text})
        assert read.policy is None
        assert read.faults


def test_a_pipe_in_its_place_is_refused_at_once(tmp_path: Path) -> None:
    """Opening one waits for a writer that never comes."""
    os.mkfifo(tmp_path / "access.yaml")
    read = read_access(str(tmp_path / "access.yaml"))
    assert read.policy is None
    assert "no regular file" in read.faults[0].message


@pytest.mark.parametrize("cut", [b"", b"\n", b"# denies\n", b"---\n"])
def test_a_part_that_says_nothing_rejects_the_whole(cut: bytes) -> None:
    """A file that is cut off while it is saved would take the denies in it along."""
    read = read_access_texts({"1.yaml": ONE.encode(), "2.yaml": cut})
    assert read.policy is None
    assert [(fault.source.file, fault.message) for fault in read.faults] == [
        ("2.yaml", "file of the access policy is empty")
    ]


def test_the_digest_is_over_names_and_contents() -> None:
    digests = {
        read_access_texts(texts).digest
        for texts in (
            {"a": ONE.encode()},
            {"b": ONE.encode()},
            {"a": ONE.encode() + b"\n"},
            {"a": b"", "b": ONE.encode()},
        )
    }
    assert len(digests) == 4
