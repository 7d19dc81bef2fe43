"""`stagedoor lint`: what is allowed and perhaps not meant, for people and for pipelines."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

import click

from gateway.terminal import config_option, console, json_option, place_of, plain, settings_at, write_json

if TYPE_CHECKING:
    from policy.lint.findings import Finding, Severity

FINDINGS: Final = 1
NOT_RUN: Final = 2
_STYLES: Final = {"error": "bold red", "warning": "yellow", "note": "cyan"}


@click.command("lint")
@click.option(
    "--fail-on",
    type=click.Choice(["note", "warning", "error", "never"]),
    default="warning",
    show_default=True,
    help="From which severity on findings fail.",
)
@click.option("--sarif", "as_sarif", is_flag=True, help="SARIF 2.1.0, which code hosts show beside the line.")
@click.option("--waived", "with_waived", is_flag=True, help="Show what is waived, too.")
@config_option
@json_option
def command(fail_on: str, as_sarif: bool, with_waived: bool, file: Path | None, as_json: bool) -> None:
    """Find what catalog and access policy allow and perhaps do not mean.

    Too broad, about nothing, unreachable, without an owner, without security. Each finding has an id, a place and a
    fix; `waive` in the access policy accepts one for a time. Faults are `stagedoor check`'s: this wants files that can
    be used. Exits with 0 when nothing counts, 1 when something does, 2 when it could not run.
    """
    from gateway.errors import StagedoorError
    from policy.lint.findings import reaches

    if as_json and as_sarif:
        raise click.UsageError("say either --json or --sarif")
    try:
        found = _findings(file)
    except StagedoorError as error:
        for line in str(error).splitlines():
            click.echo(f"error: {line}", err=True)
        sys.exit(NOT_RUN)
    if as_sarif:
        _write_sarif(found)
    elif as_json:
        _write_json(found, fail_on)
    else:
        _show(found, with_waived)
    failing = fail_on != "never" and any(reaches(each, cast("Severity", fail_on)) for each in found)
    sys.exit(FINDINGS if failing else 0)


def _findings(file: Path | None) -> Sequence[Finding]:
    """Raises `ConfigError` when the configuration or the access policy cannot be used."""
    from gateway.engine.linting import ground_of
    from gateway.engine.offline import compile_offline
    from gateway.errors import ConfigError
    from policy.lint.checks import lint

    compiled = compile_offline(settings_at(file, with_named_files=False))
    if compiled.access.policy is None:
        raise ConfigError("\n".join(plain(str(fault)) for fault in compiled.access.faults if fault.severity == "error"))
    today = datetime.fromtimestamp(time.time(), UTC).date().isoformat()
    return lint(ground_of(compiled, compiled.access.policy), today)


def _write_sarif(found: Sequence[Finding]) -> None:
    from importlib.metadata import PackageNotFoundError, version

    from gateway.engine.linting import sarif_of

    try:
        number = version("stagedoor")
    except PackageNotFoundError:  # run from a checkout that is not installed
        number = "0"
    write_json(sarif_of(found, number, Path.cwd()))


def _write_json(found: Sequence[Finding], fail_on: str) -> None:
    from gateway.engine.linting import counts_of, findings_as_json

    write_json({"fail_on": fail_on, "counts": dict(counts_of(found)), "findings": findings_as_json(found)})


def _show(found: Sequence[Finding], with_waived: bool) -> None:
    from rich.text import Text

    from gateway.engine.linting import counts_of

    screen = console()
    for each in found:
        if each.waived is not None and not with_waived:
            continue
        severity = "waived" if each.waived is not None else each.severity
        place = Text(plain(place_of(each.source)), style="dim")
        screen.print(Text(f"{severity}:", style=_STYLES.get(severity, "dim")), Text(plain(each.sentence)))
        screen.print(Text("  at      ", style="dim") + place)
        screen.print(Text("  to do   ", style="dim") + Text(plain(each.fix)))
        screen.print(Text("  id      ", style="dim") + Text(f"{each.id}  {each.kind}"))
        if each.waived is not None:
            until = f"until {each.waived.until}: {each.waived.because}"
            screen.print(Text("  waived  ", style="dim") + Text(plain(until)))
    said = [
        f"{number:,} {name if number == 1 or name == 'waived' else name + 's'}"
        for name, number in counts_of(found).items()
        if number
    ]
    screen.print(Text(", ".join(said) if said else "nothing found"))
