"""Runs commands of `stagedoor` as a shell would: what they print, and the exit code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from gateway.cli import main


def run(*arguments: str | Path, typed: str | None = None) -> Result:
    """In this process, without a terminal. ``typed`` is what stdin holds."""
    return CliRunner().invoke(main, [str(argument) for argument in arguments], input=typed)


def told(*arguments: str | Path, code: int = 0) -> Any:
    """What a command says with `--json`."""
    result = run(*arguments, "--json")
    assert result.exit_code == code, result.output
    return json.loads(result.stdout)
