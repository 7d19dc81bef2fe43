"""`stagedoor why`: what a rule says, and every statement it comes from, with file and line."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from gateway.commands.terminal import (
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
    from gateway.origins import Origin

_SHOWN: Final = 10  # exposures


@click.command("why")
@click.argument("rule")
@config_option
@json_option
def command(rule: str, file: Path | None, as_json: bool) -> None:
    """Say what a rule means and what it comes from.

    RULE is an id such as `r-unqxknivvc`, as audit records, refusals and `explain` show it. Exits with 1 when no rule
    has this id now: the files were changed since, or the record is of another node.
    """
    from gateway.engine.offline import compile_offline
    from gateway.errors import ConfigError
    from gateway.origins import origin_of

    compiled = compile_offline(settings_at(file, with_named_files=False))
    mention(compiled.faults)
    if not compiled.table.ready:
        raise ConfigError("there are no rules: the access policy has faults")
    origin = origin_of(compiled, rule.strip().lower())
    if origin is None:
        if as_json:
            write_json({"rule": rule, "known": False})
        click.echo(f"no rule is called `{plain(rule)}` now; the files may have changed since it was recorded", err=True)
        sys.exit(FOUND)
    write_json(_as_json(origin)) if as_json else _show(origin)


def _as_json(origin: Origin) -> dict[str, Any]:
    from gateway.questions import source_as_json

    return {
        "rule": origin.rule.id,
        "known": True,
        "effect": "permit" if origin.rule.is_permit else "deny",
        "reason": origin.rule.reason,
        "sentence": origin.sentence,
        "because": origin.rule.because,
        "subject": origin.rule.subject,
        "environment": origin.rule.environment,
        "exposures": list(origin.exposures),
        "statements": [{"says": each.says, "source": source_as_json(each.source)} for each in origin.statements],
    }


def _show(origin: Origin) -> None:
    from rich.text import Text

    screen, rule = console(), origin.rule
    style = "bold green" if rule.is_permit else "bold red"
    screen.print(Text(rule.id, style=style), Text(plain(origin.sentence)))
    if rule.because:
        screen.print(Text("  because   ", style="dim") + Text(plain(rule.because)))
    for position, each in enumerate(origin.statements):
        place = place_of(each.source)
        name = "" if position else "comes from"
        screen.print(
            Text(f"  {name:<11}", style="dim") + Text(plain(each.says)) + Text(f"  {plain(place)}", style="dim")
        )
    shown = ", ".join(origin.exposures[:_SHOWN])
    more = f" and {len(origin.exposures) - _SHOWN:,} more" if len(origin.exposures) > _SHOWN else ""
    screen.print(Text("  holds on   ", style="dim") + Text(plain(shown + more or "nothing that is published")))
