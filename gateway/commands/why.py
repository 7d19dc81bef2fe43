"""`stagedoor why`: what a rule says, and every statement it comes from, with file and line."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Final

import click

from gateway.commands.central import Central, Unanswered, central_at, central_options
from gateway.terminal import (
    FOUND,
    config_option,
    console,
    json_option,
    mention,
    place_in,
    plain,
    settings_at,
    write_json,
)

_SHOWN: Final = 10  # exposures


@click.command("why")
@click.argument("rule")
@config_option
@central_options
@json_option
def command(
    rule: str,
    file: Path | None,
    central: str | None,
    token_file: Path | None,
    ca_file: Path | None,
    as_json: bool,
) -> None:
    """Say what a rule means and what it comes from.

    RULE is an id such as `r-unqxknivvc`, as audit records, refusals and `explain` show it. Exits with 1 when no rule
    has this id now: the files were changed since, or the record is of another node. With --url a running node is asked.
    """
    node = central_at(central, token_file, ca_file, file)
    name = rule.strip().lower()
    origin = _told(node, name) if node is not None else _found_in_files(file, name)
    if origin is None:
        if as_json:
            write_json({"rule": rule, "known": False})
        click.echo(f"no rule is called `{plain(rule)}` now; the files may have changed since it was recorded", err=True)
        sys.exit(FOUND)
    write_json(origin) if as_json else _show(origin)


def _found_in_files(file: Path | None, rule: str) -> dict[str, Any] | None:
    from gateway.engine.offline import compile_offline
    from gateway.engine.origins import origin_of
    from gateway.errors import ConfigError

    compiled = compile_offline(settings_at(file, with_named_files=False))
    mention(compiled.faults)
    if not compiled.table.ready:
        raise ConfigError("there are no rules: the access policy has faults")
    origin = origin_of(compiled, rule)
    return origin.as_json() if origin is not None else None


def _told(node: Central, rule: str) -> dict[str, Any] | None:
    try:
        return node.ask("why", {"rule": rule})
    except Unanswered as unanswered:
        if unanswered.code == "rule_unknown":
            return None
        raise


def _show(origin: dict[str, Any]) -> None:
    from rich.text import Text

    screen = console()
    style = "bold green" if origin["effect"] == "permit" else "bold red"
    screen.print(Text(plain(origin["rule"]), style=style), Text(plain(origin["sentence"])))
    for what, names in origin["counted"].items():
        told = (" and " if what == "services" else ", ").join(names)
        screen.print(Text(f"  {what:<11}", style="dim") + Text(plain(told)))
    if origin["because"]:
        screen.print(Text("  because   ", style="dim") + Text(plain(origin["because"])))
    for position, each in enumerate(origin["statements"]):
        place = place_in(each["source"])
        name = "" if position else "comes from"
        screen.print(
            Text(f"  {name:<11}", style="dim") + Text(plain(each["says"])) + Text(f"  {plain(place)}", style="dim")
        )
    holding = origin["exposures"]
    shown = ", ".join(holding[:_SHOWN])
    more = f" and {len(holding) - _SHOWN:,} more" if len(holding) > _SHOWN else ""
    screen.print(Text("  holds on   ", style="dim") + Text(plain(shown + more or "nothing that is published")))
