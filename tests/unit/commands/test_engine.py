"""Without a running node, commands that need one say where nobody listens and what to do, and end with 4."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from gateway.cli import main

PATH = ("path", "jane", "https://payments.test/")
INVENTORY = ("inventory", "payments")


@pytest.mark.parametrize(
    ("words", "instead"), [(PATH, "`stagedoor explain` answers"), (INVENTORY, "`stagedoor entity` says")]
)
@pytest.mark.parametrize("there", [True, False])
def test_a_node_that_does_not_run_is_said_with_what_to_do(
    tmp_path: Path, words: tuple[str, ...], instead: str, there: bool
) -> None:
    folder = tmp_path if there else tmp_path / "nowhere"
    done = CliRunner().invoke(main, [*words, "--state", str(folder)])
    assert done.exit_code == 4
    assert done.stdout == ""
    for said in (f"nobody listens at `{folder}/engine.sock`", "`stagedoor serve`", "--state", "--url", instead):
        assert said in done.stderr, said


@pytest.mark.parametrize("words", [PATH, INVENTORY])
def test_a_configuration_that_is_not_there_is_said(tmp_path: Path, words: tuple[str, ...]) -> None:
    done = CliRunner().invoke(main, [*words, "--config", str(tmp_path / "stagedoor.yaml")])
    assert done.exit_code == 3
    assert "cannot read" in done.stderr


def test_a_bad_link_is_said_before_a_node_is_looked_for(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["path", "jane", "https://pay%00.x/", "--state", str(tmp_path)])
    assert done.exit_code == 2
    assert "is no host that a door answers" in done.stderr
