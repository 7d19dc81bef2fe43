"""`stagedoor audit`: what can be asked of the audit trail on disk."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gateway.commands.terminal import FOUND, console, json_option, plain, write_json

if TYPE_CHECKING:
    from gateway.audit.chain import Report


@click.group("audit")
def command() -> None:
    """The audit trail."""


@command.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@json_option
def verify(paths: Sequence[Path], as_json: bool) -> None:
    """Check that audit files are whole and unchanged. PATHS are segment files or folders."""
    from gateway.audit.chain import verify_paths

    report = verify_paths(paths)
    write_json(_as_json(report)) if as_json else _show(report)
    sys.exit(0 if report.ok else FOUND)


def _as_json(report: Report) -> dict[str, Any]:
    return {
        "ok": report.ok,
        "chains": [
            {"name": chain.name, "records": chain.records, "head": chain.head._asdict()} for chain in report.chains
        ],
        "findings": [finding._asdict() for finding in report.findings],
        "notes": [note._asdict() for note in report.notes],
    }


def _show(report: Report) -> None:
    from rich.text import Text

    screen = console()
    for finding in report.findings:
        screen.print(Text("finding", style="bold red"), Text(plain(str(finding))))
    for note in report.notes:
        screen.print(Text("note", style="dim"), Text(plain(str(note))))
    for chain in report.chains:
        good = not chain.findings
        verdict = Text("whole", style="green") if good else Text("damaged", style="bold red")
        screen.print(Text(f"{plain(chain.name)}: {chain.records} records,"), verdict)
