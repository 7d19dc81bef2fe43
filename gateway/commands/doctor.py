"""`stagedoor doctor`: everything around a node, examined at once, each finding with its fix."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from gateway.terminal import FOUND, config_option, console, json_option, plain, settings_at, write_json

if TYPE_CHECKING:
    from gateway.config import Settings
    from gateway.doctor.lines import Line

_STYLES: Final = {"OK": "green", "WARN": "bold yellow", "FAIL": "bold red"}


@click.command("doctor")
@config_option
@json_option
def command(file: Path | None, as_json: bool) -> None:
    """Examine what a node needs: names, certificates, issuers, clock, catalog, services, disk, limits, addresses.

    Run it as the node's user, on its machine, whether or not the node runs. Every WARN and FAIL comes with its fix.
    Exits with 1 when anything failed.
    """
    settings = settings_at(file, with_named_files=False)
    lines = asyncio.run(_examined(settings, (lambda told: None) if as_json else _show))
    counts = Counter(line.verdict for line in lines)
    if as_json:
        write_json(_as_json(lines))
    else:
        click.echo(f"\n{counts['OK']} ok, {counts['WARN']} to look at, {counts['FAIL']} failed")
    sys.exit(FOUND if counts["FAIL"] else 0)


async def _examined(settings: Settings, told: Callable[[Sequence[Line]], None]) -> list[Line]:
    from gateway.doctor.examination import examine

    found: list[Line] = []
    async for lines in examine(settings):
        told(lines)
        found += lines
    return found


def _as_json(lines: Sequence[Line]) -> dict[str, Any]:
    return {"ok": all(line.verdict != "FAIL" for line in lines), "lines": [line._asdict() for line in lines]}


def _show(lines: Sequence[Line]) -> None:
    from rich.text import Text

    screen = console()
    for line in lines:
        verdict = Text(f"{line.verdict:<5}", style=_STYLES[line.verdict])
        screen.print(verdict, Text(f"{line.check:<12}"), Text(plain(f"{line.subject}: {line.found}")))
        if line.fix:
            screen.print(Text(f"{'':<5} {'':<12} fix: {plain(line.fix)}", style="dim"))
