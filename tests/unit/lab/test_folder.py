"""Promises about `.lab/`: secrets are private, files are whole, and nothing is guessed when nothing is there."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.lab.folder import LabError, LabFacts, LabFolder, write_private

FACTS = LabFacts(8443, "http://127.0.0.1:18100", "127.0.0.1:18109", "c", "a", "stagedoor", "ca")


def test_the_secret_is_made_once_and_private(tmp_path: Path) -> None:
    folder = LabFolder(tmp_path)
    secret = folder.secret()
    assert LabFolder(tmp_path).secret() == secret
    assert len(secret) > 40
    assert all(path.stat().st_mode & 0o077 == 0 for path in tmp_path.rglob("*") if path.is_file())


def test_facts_come_back(tmp_path: Path) -> None:
    folder = LabFolder(tmp_path)
    folder.write_facts(FACTS)
    assert folder.facts() == FACTS


@pytest.mark.parametrize("content", [None, "", "{", "{}", '{"port": 1, "more": 2}'])
def test_facts_that_are_none_say_how_to_start_the_lab(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "facts.json").write_text(content)
    with pytest.raises(LabError, match="make run"):
        LabFolder(tmp_path).facts()


def test_a_private_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_private(path, "one")
    write_private(path, "two")
    assert path.read_text() == "two"
    assert [each.name for each in tmp_path.iterdir()] == ["file"]
