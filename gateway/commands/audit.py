"""`stagedoor audit`: what can be asked of the audit trail on disk."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gateway.errors import StagedoorError
from gateway.terminal import FOUND, config_option, console, json_option, plain, settings_at, write_json

if TYPE_CHECKING:
    from gateway.audit.chain import Report


@click.group("audit")
def command() -> None:
    """Check the audit trail on disk."""


@command.command()
@click.argument("paths", nargs=-1, type=click.Path(exists=True, path_type=Path))
@config_option
@json_option
def verify(paths: Sequence[Path], file: Path | None, as_json: bool) -> None:
    """Check that audit files are whole and unchanged.

    PATHS are segment files or folders; without any, it is the audit folder that the configuration names.
    """
    from gateway.audit.chain import verify_paths

    if paths and file is not None:
        raise click.UsageError("say either PATHS or --config")
    report = verify_paths(paths or [_folder_at(file)])
    write_json(_as_json(report)) if as_json else _show(report)
    sys.exit(0 if report.ok else FOUND)


def _folder_at(file: Path | None) -> Path:
    settings = settings_at(file, with_named_files=False)
    folder = Path(settings.audit.folder or Path(settings.state_folder) / "audit")
    if not folder.is_dir():
        raise StagedoorError(
            f"`{folder}` is not there: a node makes it when it starts; name the files, if they are elsewhere"
        )
    return folder


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
