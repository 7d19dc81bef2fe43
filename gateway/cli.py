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
from difflib import get_close_matches
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed_version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import click

from gateway.errors import ConfigError, Declined, StagedoorError, Unauthorized
from gateway.terminal import CONFIGURATION, FOUND, UNREACHABLE, USUAL_PLACES, json_option, write_json

READS_SETTINGS: Final = "pydantic"  # of the extra `server`
LONGEST_SENTENCE: Final = 200
# What `--help` lists, by what somebody wants. A command is that of the module `gateway.commands.NAME`, or stands below.
SECTIONS: Final[Mapping[str, tuple[str, ...]]] = {
    "Try it": ("lab",),
    "Run a node": ("init", "check", "doctor", "serve", "status", "config", "version"),
    "Ask the policy": ("explain", "who-can", "what-can", "why", "lint", "test"),
    "Follow an entry, a person, a call": ("entity", "people", "path", "inventory"),
    "Act on the running node": ("cut", "pin", "catalog", "audit"),
    "Network devices": ("plan", "apply", "drift", "review", "adopt", "feeds", "bigip"),
    "On your own machine": ("login", "logout", "curl", "token"),
}
HERE: Final = frozenset(("serve", "version"))
MODULES: Final = {
    name: f"gateway.commands.{name.replace('-', '_')}"
    for names in SECTIONS.values()
    for name in names
    if name not in HERE
} | {"lab": "gateway.lab.cli"}


def complain(error: StagedoorError) -> int:
    """Say on stderr what is wrong; the exit code that goes with it."""
    for line in str(error).splitlines():
        click.echo(f"error: {line}", err=True)
    if isinstance(error, Unauthorized | Declined):
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
        return [name for names in SECTIONS.values() for name in names]

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in MODULES:
            return super().get_command(ctx, name)
        try:
            found: click.Command = importlib.import_module(MODULES[name]).command
        except ModuleNotFoundError as error:
            return _without_its_extra(name, _not_installed(error, name))
        return found

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        name = args[0]
        if name.startswith("-") or self.get_command(ctx, name) is not None:
            return super().resolve_command(ctx, args)
        near = get_close_matches(name, self.list_commands(ctx), 1)
        meant = f"did you mean `{near[0]}`" if near else "`stagedoor --help` lists them"
        raise click.UsageError(f"there is no command `{name}`; {meant}", ctx)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """By section, each with its whole first sentence: a command whose line is cut off explains nothing."""
        width = max(map(len, self.list_commands(ctx)))
        for title, names in SECTIONS.items():
            with formatter.section(title):
                lines = [(name.ljust(width), _first_sentence(self.get_command(ctx, name))) for name in names]
                formatter.write_dl(lines)


def _first_sentence(command: click.Command | None) -> str:
    return command.get_short_help_str(LONGEST_SENTENCE) if command is not None else ""


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
