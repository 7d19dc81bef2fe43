"""The command line `stagedoor`. Stdout is data, talk is on stderr; colour is for terminals alone.

Exit codes: 0 done, allowed · 1 refused, findings · 2 usage · 3 configuration · 4 cannot reach what it needs.
Each command imports what it needs when it runs: `serve` must not carry the policy compiler in the supervisor's
memory, and the lab is an extra that may not be installed.
"""

from __future__ import annotations

import platform
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
import orjson
from rich.console import Console
from rich.text import Text

from gateway.errors import ConfigError, StagedoorError

if TYPE_CHECKING:
    from gateway.audit.chain import Report
    from gateway.config import Settings
    from gateway.explain import Answer
    from policy.reading import Fault

FOUND: Final = 1
USAGE: Final = 2
CONFIGURATION: Final = 3
UNREACHABLE: Final = 4
# Where a configuration is looked for when none is named: here, else the lab that was run here.
USUAL_PLACES: Final = (Path("stagedoor.yaml"), Path(".lab/stagedoor.yaml"))
FAULTS_SHOWN: Final = 20


def complain(error: StagedoorError) -> int:
    """Say on stderr what is wrong; the exit code that goes with it."""
    for line in str(error).splitlines():
        click.echo(f"error: {line}", err=True)
    return CONFIGURATION if isinstance(error, ConfigError) else UNREACHABLE


class _Commands(click.Group):
    """Turns our errors into exit codes, and imports the lab when it is asked for."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except StagedoorError as error:
            ctx.exit(complain(error))

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted([*super().list_commands(ctx), "lab"])

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
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


json_option = click.option("--json", "as_json", is_flag=True, help="The stable form for programs.")


def _write_json(value: object) -> None:
    click.echo(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode())


# === serve ===


@main.command()
@click.option(
    "--config", "file", type=click.Path(dir_okay=False, path_type=Path), default=USUAL_PLACES[0], show_default=True
)
def serve(file: Path) -> None:
    """Run a node until SIGTERM or Ctrl-C."""
    from gateway import supervisor

    sys.exit(supervisor.serve(file))


# === explain ===


@main.command()
@click.argument("method")
@click.argument("url")
@click.option("--user", help="A person: `jane`, or a full ref.")
@click.option("--client", help="A program: its OAuth client id.")
@click.option("--anonymous", is_flag=True, help="Nobody: no token at all.")
@click.option("--scope", "scopes", multiple=True, help="A scope in the token, which then bounds what it may do.")
@click.option("--mfa", is_flag=True, help="The sign-in used a second factor.")
@click.option(
    "--config", "file", type=click.Path(dir_okay=False, path_type=Path),
    help="Default: `stagedoor.yaml`, else the lab's.",
)  # fmt: skip
@json_option
def explain(
    method: str,
    url: str,
    user: str | None,
    client: str | None,
    anonymous: bool,
    scopes: Sequence[str],
    mfa: bool,
    file: Path | None,
    as_json: bool,
) -> None:
    """Say whether a call is allowed, why, and what to do if it is not.

    Reads the files and asks the table the door asks; a running node is neither needed nor touched.
    """
    from gateway import explain as question
    from gateway.engine.sync import compile_offline
    from gateway.http1.head import METHODS

    if sum((user is not None, client is not None, anonymous)) != 1:
        raise click.UsageError("say who calls, once: --user jane, --client orders or --anonymous")
    if method.upper().encode() not in METHODS:
        raise click.UsageError(f"`{method}` is no method a door forwards; use one of {', '.join(METHODS.values())}")
    caller = question.Caller(
        "anonymous" if anonymous else "user" if user is not None else "client",
        user or client or "",
        frozenset(word for scope in scopes for word in scope.split()),
        mfa,
    )
    try:
        address = question.address_of(url)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    table, why, faults = compile_offline(_settings(file, with_named_files=False))
    _mention(faults)
    answer = question.decide(table, why, caller, method.upper(), address)
    _write_json(answer.as_json()) if as_json else _show(answer)
    sys.exit(0 if answer.allowed else FOUND)


def _settings(file: Path | None, *, with_named_files: bool = True) -> Settings:
    from gateway import config_load

    if file is None:
        file = next((place for place in USUAL_PLACES if place.exists()), USUAL_PLACES[0])
    return config_load.load(file, with_named_files=with_named_files)


def _mention(faults: Sequence[Fault]) -> None:
    """The decision stands on what could be read; what could not is said beside it."""
    for fault in faults[:FAULTS_SHOWN]:
        click.echo(f"{fault.severity}: {fault}", err=True)
    if len(faults) > FAULTS_SHOWN:
        click.echo(f"note: {len(faults) - FAULTS_SHOWN} more faults are not shown", err=True)


def _from_here(file: str) -> str:
    """A path as a person would type it: relative below the current folder, whole elsewhere."""
    path = Path(file)
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else file


def _show(answer: Answer) -> None:
    console = Console(highlight=False, soft_wrap=True)
    if answer.allowed:
        console.print(Text("allowed", style="bold green"), Text(answer.reason))
    else:
        console.print(Text("refused", style="bold red"), Text(f"{answer.reason} ({answer.status})"))
    console.print(Text(answer.sentence))
    file = _from_here(answer.source.file)
    source = f"{file}:{answer.source.line}" if answer.source.line else file
    lines = {
        "caller": answer.caller,
        "exposure": answer.exposure,
        "operation": answer.operation,
        "rule": answer.rule,
        "source": source,
        "because": answer.because,
        "needs": ", ".join(answer.need),
        "to do": answer.todo,
    }
    for name, value in lines.items():
        if value:
            console.print(Text(f"  {name:<10}", style="dim") + Text(value))


# === audit ===


@main.group()
def audit() -> None:
    """The audit trail."""


@audit.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@json_option
def verify(paths: Sequence[Path], as_json: bool) -> None:
    """Check that audit files are whole and unchanged. PATHS are segment files or folders."""
    from gateway.audit.chain import verify_paths

    report = verify_paths(paths)
    _write_json(_report_as_json(report)) if as_json else _show_report(report)
    sys.exit(0 if report.ok else FOUND)


def _report_as_json(report: Report) -> dict[str, Any]:
    return {
        "ok": report.ok,
        "chains": [
            {"name": chain.name, "records": chain.records, "head": chain.head._asdict()} for chain in report.chains
        ],
        "findings": [finding._asdict() for finding in report.findings],
        "notes": [note._asdict() for note in report.notes],
    }


def _show_report(report: Report) -> None:
    console = Console(highlight=False, soft_wrap=True)
    for finding in report.findings:
        console.print(Text("finding", style="bold red"), Text(str(finding)))
    for note in report.notes:
        console.print(Text("note", style="dim"), Text(str(note)))
    for chain in report.chains:
        good = not chain.findings
        verdict = Text("whole", style="green") if good else Text("damaged", style="bold red")
        console.print(Text(f"{chain.name}: {chain.records} records,"), verdict)


# === version ===


@main.command()
@json_option
def version(as_json: bool) -> None:
    """Print the version."""
    try:
        number = installed_version("stagedoor")
    except PackageNotFoundError:  # run from a checkout that is not installed
        number = "unknown"
    if as_json:
        _write_json({"stagedoor": number, "python": platform.python_version()})
    else:
        click.echo(f"stagedoor {number}")


if __name__ == "__main__":
    main()
