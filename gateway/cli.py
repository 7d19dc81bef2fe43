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

from gateway.commands.terminal import CONFIGURATION, FOUND, UNREACHABLE, USUAL_PLACES, json_option, write_json
from gateway.errors import ConfigError, StagedoorError, Unauthorized

READS_SETTINGS: Final = "pydantic"  # of the extra `server`
# Name to the module whose `command` it is.
COMMANDS: Final[Mapping[str, str]] = {
    "adopt": "gateway.commands.adopt",
    "apply": "gateway.commands.apply",
    "audit": "gateway.commands.audit",
    "bigip": "gateway.commands.bigip",
    "catalog": "gateway.commands.catalog",
    "check": "gateway.commands.check",
    "config": "gateway.commands.config",
    "curl": "gateway.commands.curl",
    "cut": "gateway.commands.cut",
    "doctor": "gateway.commands.doctor",
    "drift": "gateway.commands.drift",
    "entity": "gateway.commands.entity",
    "explain": "gateway.commands.explain",
    "feeds": "gateway.commands.feeds",
    "init": "gateway.commands.init",
    "inventory": "gateway.commands.inventory",
    "lint": "gateway.commands.lint",
    "login": "gateway.commands.login",
    "logout": "gateway.commands.logout",
    "path": "gateway.commands.path",
    "people": "gateway.commands.people",
    "pin": "gateway.commands.pin",
    "plan": "gateway.commands.plan",
    "review": "gateway.commands.review",
    "status": "gateway.commands.status",
    "test": "gateway.commands.test",
    "token": "gateway.commands.token",
    "what-can": "gateway.commands.what_can",
    "who-can": "gateway.commands.who_can",
    "why": "gateway.commands.why",
}


def complain(error: StagedoorError) -> int:
    """Say on stderr what is wrong; the exit code that goes with it."""
    for line in str(error).splitlines():
        click.echo(f"error: {line}", err=True)
    if isinstance(error, Unauthorized):
        return FOUND
    return CONFIGURATION if isinstance(error, ConfigError) else UNREACHABLE


class _Commands(click.Group):
    """Turns our errors into exit codes, and imports a command, or the lab, when it is asked for."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except StagedoorError as error:
            ctx.exit(complain(error))
        except ModuleNotFoundError as error:
            raise _not_installed(error, ctx.invoked_subcommand or "this") from error

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted([*super().list_commands(ctx), *COMMANDS, "lab"])

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        try:
            if name in COMMANDS:
                found: click.Command = importlib.import_module(COMMANDS[name]).command
                return found
            if name == "lab":
                from gateway.lab.cli import lab

                return lab
        except ModuleNotFoundError as error:
            return _without_its_extra(name, _not_installed(error, name))
        return super().get_command(ctx, name)


def _not_installed(error: ModuleNotFoundError, name: str) -> click.ClickException:
    """What to install for a command of an extra. Raises the error again where it is a fault of ours."""
    missing = (error.name or "").partition(".")[0]
    if name != "lab" and missing in ("", "gateway", "policy"):
        raise error
    extra = "`stagedoor[server,lab]`, which has `stagedoor[lab]`" if name == "lab" else "`stagedoor[server]`"
    return click.UsageError(f"`stagedoor {name}` needs `{missing}`, which is not installed: install {extra}")


def _without_its_extra(name: str, missing: click.ClickException) -> click.Command:
    """Stands where the command would: it is listed, and says what is missing when it is asked for."""

    @click.command(name, context_settings={"ignore_unknown_options": True}, help=f"Not installed: {missing.message}")
    @click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
    def command(arguments: tuple[str, ...]) -> None:
        raise missing

    return command


def _versions() -> tuple[str, str]:
    """The installed version, and whether the door is compiled."""
    try:
        number = installed_version("stagedoor")
    except PackageNotFoundError:  # run from a checkout that is not installed
        number = "unknown"
    hot = find_spec("gateway.door.downstream")
    return number, "interpreted" if hot is None or str(hot.origin).endswith(".py") else "compiled"


def _say_version(ctx: click.Context, option: click.Parameter, asked: bool) -> None:
    if asked and not ctx.resilient_parsing:
        click.echo("stagedoor {} (door {})".format(*_versions()))
        ctx.exit()


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_say_version, help="Same as `version`."
)
def main() -> None:
    """The identity-aware door in front of the services of a Backstage catalog."""


@main.command()
@click.option(
    "--config", "file", type=click.Path(dir_okay=False, path_type=Path), default=USUAL_PLACES[0], show_default=True
)
def serve(file: Path) -> None:
    """Run a node until SIGTERM or Ctrl-C."""
    from gateway import supervisor

    if find_spec(READS_SETTINGS) is None:  # its children would fail one after the other
        raise ModuleNotFoundError(name=READS_SETTINGS)
    sys.exit(supervisor.serve(file))


@main.command()
@json_option
def version(as_json: bool) -> None:
    """Print the version, and whether the files that every request runs through are compiled."""
    number, door = _versions()
    if as_json:
        write_json({"stagedoor": number, "python": platform.python_version(), "door": door})
    else:
        click.echo(f"stagedoor {number} (door {door})")


if __name__ == "__main__":
    main()
