"""The command line `stagedoor`. Stdout is data, talk is on stderr; colour is for terminals alone.

Exit codes: 0 done, allowed · 1 refused, findings · 2 usage · 3 configuration · 4 cannot reach what it needs · 5 partly
done. Each command is a module of `gateway.commands`, imported when it is asked for, and imports what it needs when it
runs: `serve` must not carry the policy compiler in the supervisor's memory, and the lab is an extra that may not be
installed.
"""

from __future__ import annotations

import importlib
import platform
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed_version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import click

from gateway.commands.terminal import CONFIGURATION, UNREACHABLE, USUAL_PLACES, json_option, write_json
from gateway.errors import ConfigError, StagedoorError

# Name to the module whose `command` it is.
COMMANDS: Final[Mapping[str, str]] = {
    "audit": "gateway.commands.audit",
    "catalog": "gateway.commands.catalog",
    "check": "gateway.commands.check",
    "config": "gateway.commands.config",
    "doctor": "gateway.commands.doctor",
    "entity": "gateway.commands.entity",
    "explain": "gateway.commands.explain",
    "init": "gateway.commands.init",
    "lint": "gateway.commands.lint",
    "people": "gateway.commands.people",
    "status": "gateway.commands.status",
    "test": "gateway.commands.test",
    "what-can": "gateway.commands.what_can",
    "who-can": "gateway.commands.who_can",
    "why": "gateway.commands.why",
}


def complain(error: StagedoorError) -> int:
    """Say on stderr what is wrong; the exit code that goes with it."""
    for line in str(error).splitlines():
        click.echo(f"error: {line}", err=True)
    return CONFIGURATION if isinstance(error, ConfigError) else UNREACHABLE


class _Commands(click.Group):
    """Turns our errors into exit codes, and imports a command, or the lab, when it is asked for."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except StagedoorError as error:
            ctx.exit(complain(error))

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted([*super().list_commands(ctx), *COMMANDS, "lab"])

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name in COMMANDS:
            found: click.Command = importlib.import_module(COMMANDS[name]).command
            return found
        if name != "lab":
            return super().get_command(ctx, name)
        try:
            from gateway.lab.cli import lab
        except ImportError as error:
            raise click.UsageError(f"the lab needs `{error.name}`: install `stagedoor[lab]`") from error
        return lab


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """The identity-aware door in front of the services of a Backstage catalog."""


@main.command()
@click.option(
    "--config", "file", type=click.Path(dir_okay=False, path_type=Path), default=USUAL_PLACES[0], show_default=True
)
def serve(file: Path) -> None:
    """Run a node until SIGTERM or Ctrl-C."""
    from gateway import supervisor

    sys.exit(supervisor.serve(file))


@main.command()
@json_option
def version(as_json: bool) -> None:
    """Print the version, and whether the files that every request runs through are compiled."""
    try:
        number = installed_version("stagedoor")
    except PackageNotFoundError:  # run from a checkout that is not installed
        number = "unknown"
    hot = find_spec("gateway.door.downstream")
    door = "interpreted" if hot is None or str(hot.origin).endswith(".py") else "compiled"
    if as_json:
        write_json({"stagedoor": number, "python": platform.python_version(), "door": door})
    else:
        click.echo(f"stagedoor {number} (door {door})")


if __name__ == "__main__":
    main()
