"""`stagedoor who-can`: everybody who may make a request, by which rule, and what more they must show."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

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
    from gateway.explain import Answer, WhyFrames
    from policy.questions import Entry, Member, WhoCan

_SHOWN: Final = 20  # of one rule's people, unless all are asked for


@click.command("who-can")
@click.argument("method")
@click.argument("url")
@click.option("--all", "everyone", is_flag=True, help="List everybody, also those who may because everyone may.")
@config_option
@json_option
def command(method: str, url: str, everyone: bool, file: Path | None, as_json: bool) -> None:
    """Say who may make a request: people, programs, everyone, the public.

    Each with the rule that lets them, the team through which it means them, and what their sign-in or token must show.
    Reads the files and asks the table the door asks. Exits with 1 when nobody may.
    """
    from gateway import explain
    from gateway.engine.offline import compile_offline
    from gateway.errors import ConfigError
    from gateway.http1.head import METHODS
    from gateway.questions import who_can_as_json
    from policy.questions import WhoCan, who_can

    if method.upper().encode() not in METHODS:
        raise click.UsageError(f"`{method}` is no method a door forwards; use one of {', '.join(METHODS.values())}")
    try:
        address = explain.address_of(url)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    compiled = compile_offline(settings_at(file, with_named_files=False))
    mention(compiled.faults)
    if not compiled.table.ready:
        raise ConfigError("nothing can be decided: the access policy has faults")
    match = explain.matched(compiled.table, method.upper(), address, "")
    refused = match if isinstance(match, explain.Answer) else None
    found = WhoCan("", (), None, (), ())
    if not isinstance(match, explain.Answer):
        found = who_can(compiled.table, match, method.upper(), int(time.time()))
    if as_json:
        reason = refused.reason if refused else ""
        write_json({"reason": reason, **who_can_as_json(found, compiled.why, everyone=everyone)})
    else:
        _show(found, compiled.why, refused, everyone)
    sys.exit(0 if found.allowed or found.public else FOUND)


def _show(found: WhoCan, why: WhyFrames, refused: Answer | None, everyone: bool) -> None:
    from rich.text import Text

    from gateway.questions import why_of
    from policy.probe import Way

    screen = console()
    if refused is not None:
        screen.print(Text("nobody", style="bold red"), Text(f"{refused.reason}: {plain(refused.sentence)}"))
        return
    for asked in found.operations:
        needed = " or ".join(" and ".join(each) for each in asked.scopes or ())
        said = "names an unknown security scheme" if asked.scopes is None else f"needs {needed}" if needed else ""
        screen.print(Text(plain(f"{asked.name} of {found.exposure}")), Text(plain(said), style="dim"))
    if not found.allowed and not found.public:
        said = "no rule lets anybody" if found.operations else "the service does not offer this operation"
        screen.print(Text("nobody", style="bold red"), Text(said))
    if found.public:
        told = why_of(why, found.exposure, found.public.rule)
        screen.print(Text("anyone", style="bold green"), Text(plain(told.sentence)), Text("also without signing in"))
    for entry in found.allowed:
        if isinstance(entry.answer, Way) and entry.answer.permit == found.public:
            continue
        _show_entry(entry, why, found.exposure, everyone)
    for entry in found.denied if found.operations or found.allowed else ():
        _show_entry(entry, why, found.exposure, everyone)


def _show_entry(entry: Entry, why: WhyFrames, exposure: str, everyone: bool) -> None:
    from rich.text import Text

    from gateway.questions import why_of
    from policy.probe import Way, needs_in_words

    screen = console()
    way = entry.answer if isinstance(entry.answer, Way) else None
    rule = entry.answer.permit.rule if isinstance(entry.answer, Way) else entry.answer.rule
    told = why_of(why, exposure, rule)
    screen.print(Text(_crowd(entry), style="bold green" if way else "bold red"), Text(plain(told.sentence)))
    needs = [f"scope {' and '.join(way.scopes)}"] if way and way.scopes else []
    needs += [needs_in_words(way.needs)] if way and way.needs else []
    lines = {"rule": f"{rule}  {place_of(told.source)}", "because": told.because, "must show": ", ".join(needs)}
    for name, value in lines.items():
        if value:
            screen.print(Text(f"  {name:<10}", style="dim") + Text(plain(value)))
    if not entry.everybody or everyone:
        _show_members(entry.members, None if everyone else _SHOWN)


def _show_members(members: Sequence[Member], most: int | None) -> None:
    from rich.text import Text

    from policy.explain import short_name

    screen = console()
    for member in members[:most]:
        through = f"  through {', '.join(map(short_name, member.teams))}" if member.teams else ""
        screen.print(Text(f"    {plain(member.ref)}") + Text(plain(through), style="dim"))
    if most is not None and len(members) > most:
        screen.print(Text(f"    and {len(members) - most:,} more: --all lists them", style="dim"))


def _crowd(entry: Entry) -> str:
    from policy.probe import Way

    number = len(entry.members)
    one, many = ("person", "people") if entry.kind == "person" else ("program", "programs")
    if entry.everybody:
        return f"all {many} not named here ({number:,})"
    counted = f"{number:,} {one if number == 1 else many}"
    return counted if isinstance(entry.answer, Way) else f"denied to {counted}"
