"""What the commands share: where a configuration is looked for, and what may reach a terminal."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from gateway.terminal import configuration_at, from_here, plain, state_folder_at


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain text, ünïcödé", "plain text, ünïcödé"),
        ("\x1b[2J", "\\x1b[2J"),
        ("a\rb\nc\x07", "a\\rb\\nc\\x07"),
        ("\u202eevil", "\\u202eevil"),
        ("\x9b31m", "\\x9b31m"),
    ],
)
def test_nothing_that_is_shown_moves_a_cursor_or_turns_the_line(text: str, shown: str) -> None:
    assert plain(text) == shown


def test_the_usual_places_are_looked_at_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert configuration_at(None) == Path("stagedoor.yaml")
    (tmp_path / ".lab").mkdir()
    (tmp_path / ".lab" / "stagedoor.yaml").touch()
    assert configuration_at(None) == Path(".lab/stagedoor.yaml")
    (tmp_path / "stagedoor.yaml").touch()
    assert configuration_at(None) == Path("stagedoor.yaml")
    assert configuration_at(Path("other.yaml")) == Path("other.yaml")


def test_a_path_is_shown_as_a_person_would_type_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert from_here(str(tmp_path / "a" / "b.yaml")) == "a/b.yaml"
    assert from_here("/etc/stagedoor.yaml") == "/etc/stagedoor.yaml"


def test_a_state_folder_is_said_once(tmp_path: Path) -> None:
    assert state_folder_at(None, tmp_path) == tmp_path
    with pytest.raises(click.UsageError):
        state_folder_at(tmp_path / "stagedoor.yaml", tmp_path)
