"""`stagedoor test`: whether the tests and the invariants of the access policy hold."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from gateway.terminal import (
    FOUND,
    config_option,
    console,
    json_option,
    mention,
    place_of,
    plain,
    settings_at,
    write_json,
)

if TYPE_CHECKING:
    from gateway.authoring.testing import Finding, Result

_STYLES: Final = {"passed": "green", "failed": "bold red", "void": "yellow"}
_SHOWN: Final = 5  # exposures that break one invariant, unless all are asked for


@click.command("test")
@click.argument("files", nargs=-1, type=click.Path(dir_okay=False, exists=True, path_type=Path))
@click.option("--only", "names", multiple=True, metavar="TEXT", help="Those whose text holds this; may be repeated.")
@click.option("--running", is_flag=True, help="Ask the table that the node in the state folder serves.")
@click.option("--junit", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Write JUnit XML too.")
@click.option("--all", "everything", is_flag=True, help="Show what holds, and every exposure that breaks something.")
@config_option
@json_option
def command(
    files: Sequence[Path],
    names: Sequence[str],
    running: bool,
    junit: Path | None,
    everything: bool,
    file: Path | None,
    as_json: bool,
) -> None:
    """Decide the tests and the invariants of the access policy.

    They are its keys `tests`, `never` and `only`; FILES hold others, which are decided instead. Reads catalog and
    access policy from their files, compiles them and asks the table the door asks; with --running, the table that the
    doors serve now. Exits with 1 when one fails or says nothing, 3 when the files cannot be used.
    """
    from gateway.authoring import testing

    settings = settings_at(file, with_named_files=False)
    asked = testing.asked_of_node(settings, files) if running else testing.asked_offline(settings, files)
    mention([fault for fault in asked.faults if fault.severity == "error"])
    if names:
        asked = testing.only_named(asked, names)
        if not (asked.expectations or asked.invariants):
            said = " or ".join(f"`{plain(each)}`" for each in names)
            raise click.UsageError(f"{said} stands in no test and no invariant")
    began = time.monotonic()
    results = testing.results_of(asked, int(time.time()))
    if junit is not None:
        _write(junit, testing.junit_of(results, time.monotonic() - began))
    if as_json:
        write_json({"counts": testing.counts_of(results), "results": testing.results_as_json(results)})
    else:
        _show(results, everything)
    sys.exit(0 if all(each.status == "passed" for each in results) else FOUND)


def _write(file: Path, text: str) -> None:
    from gateway.errors import ConfigError

    try:
        file.write_text(text, encoding="utf-8")
    except OSError as fault:
        raise ConfigError(f"cannot write `{file}`: {fault.strerror}") from None


def _show(results: Sequence[Result], everything: bool) -> None:
    from rich.text import Text

    from gateway.authoring.testing import counts_of

    screen = console()
    if not results:
        screen.print(Text("no tests and no invariants: write `tests`, `never` or `only` into the access policy"))
        return
    for each in results:
        if each.status == "passed" and not everything:
            continue
        screen.print(Text(f"{each.status}:", style=_STYLES[each.status]), Text(plain(each.name)))
        if each.status != "passed":
            _show_failed(each, everything)
    counts = counts_of(results)
    said = [f"{number:,} {name}" for name, number in counts.items() if number or name == "passed"]
    screen.print(Text(", ".join(said)))


def _show_failed(result: Result, everything: bool) -> None:
    lines = {"at": place_of(result.source), "because": result.because}
    if result.void:
        lines |= {"void": result.void, "to do": result.todo}
    if result.kind == "test" and result.findings:
        lines |= {"expected": result.expected, "got": result.findings[0].decision}
    _show_lines(lines)
    shown = result.findings if everything else result.findings[:_SHOWN]
    for each in shown:
        _show_lines(_lines_of(each))
    if len(result.findings) > len(shown):
        _show_lines({"and": f"{len(result.findings) - len(shown):,} more exposures: --all lists them"})


def _lines_of(finding: Finding) -> dict[str, str]:
    where = f"{finding.operation} of {finding.exposure}" if finding.exposure else finding.operation
    rule = f"{finding.rule}  {place_of(finding.source)}" if finding.rule else ""
    return {"call": f"{finding.caller}: {where}", "by": finding.sentence if finding.rule else "", "rule": rule}


def _show_lines(lines: dict[str, str]) -> None:
    from rich.text import Text

    screen = console()
    for name, value in lines.items():
        if value:
            screen.print(Text(f"  {name:<10}", style="dim") + Text(plain(value)))
