"""`stagedoor check`: the operator's files and the catalog, every fault at once, nothing started."""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from gateway.terminal import (
    CONFIGURATION,
    config_option,
    configuration_at,
    console,
    from_here,
    json_option,
    plain,
    write_json,
)

if TYPE_CHECKING:
    from gateway.authoring.checking import Checked, Part
    from policy.reading import Fault

_STYLES: Final = {"ok": "green", "warning": "yellow", "fault": "bold red", "skipped": "dim"}


@click.command("check")
@config_option
@json_option
def command(file: Path | None, as_json: bool) -> None:
    """Validate configuration, credentials, access policy and catalog.

    Exits with 3 when a node would refuse the configuration, its credentials or the access policy, or would show a
    certificate that is over. Faults in the catalog are shown; a node serves everything else all the same.
    """
    from gateway.authoring.checking import check_files

    checked = check_files(configuration_at(file), time.time())
    write_json(_as_json(checked)) if as_json else _show(checked)
    sys.exit(0 if checked.usable else CONFIGURATION)


def _as_json(checked: Checked) -> dict[str, Any]:
    return {
        "usable": checked.usable,
        "file": str(Path(checked.file).absolute()),
        "parts": [{"name": part.name, "verdict": part.verdict, "summary": part.summary} for part in checked.parts],
        "counts": dict(checked.counts),
        "certificates": [
            {"file": each.file, "names": sorted(each.names), "ends": int(each.ends)} for each in checked.certificates
        ],
        "faults": [_fault_as_json(part, fault) for part in checked.parts for fault in part.faults],
    }


def _fault_as_json(part: Part, fault: Fault) -> dict[str, Any]:
    return {
        "part": part.name,
        "severity": fault.severity,
        "file": fault.source.file,
        "line": fault.source.line,
        "entity": fault.source.entity,
        "message": fault.message,
        "suggestion": fault.suggestion,
    }


def _show(checked: Checked) -> None:
    from rich.text import Text

    screen = console()
    for part in checked.parts:
        screen.print(
            Text(f"{part.name:<15}"), Text(f"{part.verdict:<8}", style=_STYLES[part.verdict]), Text(part.summary)
        )
    if checked.faults:
        screen.print()
    for fault in checked.faults:
        here = replace(fault, source=replace(fault.source, file=from_here(fault.source.file)))
        style = "bold red" if fault.severity == "error" else "yellow"
        screen.print(Text(f"{fault.severity}:", style=style), Text(plain(str(here))))
    screen.print()
    file = from_here(str(Path(checked.file).absolute()))
    if not checked.usable:
        screen.print(Text("not usable:", style="bold red"), Text(f"mend the errors above before a node gets {file}"))
    else:
        screen.print(Text("usable:", style="bold green"), Text(f"a node would take {file}"))
