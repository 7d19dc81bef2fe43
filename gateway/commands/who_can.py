"""`stagedoor who-can`: everybody who may make a request, by which rule, and what more they must show."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

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

if TYPE_CHECKING:
    from gateway.questions.pasted_url import Address

_SHOWN: Final = 20  # of one rule's people, unless all are asked for
_A_PAGE: Final = 10_000  # of one rule's people, over the API


@click.command("who-can")
@click.argument("method")
@click.argument("url")
@click.option("--all", "everyone", is_flag=True, help="List everybody, also those who may because everyone may.")
@config_option
@central_options
@json_option
def command(
    method: str,
    url: str,
    everyone: bool,
    file: Path | None,
    central: str | None,
    token_file: Path | None,
    ca_file: Path | None,
    as_json: bool,
) -> None:
    """Say who may make a request: people, programs, everyone, the public.

    Each with the rule that lets them, the team through which it means them, and what their sign-in or token must show.
    Reads the files and asks the table the door asks, or with --url a running node. Exits with 1 when nobody may.
    """
    from gateway.http1.head import METHODS
    from gateway.questions.pasted_url import address_of

    node = central_at(central, token_file, ca_file, file)
    if method.upper().encode() not in METHODS:
        raise click.UsageError(f"`{method}` is no method a door forwards; use one of {', '.join(METHODS.values())}")
    try:
        address = address_of(url)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    if node is not None:
        found, sentence = _told(node, {"method": method.upper(), "url": url, "all": everyone}), ""
    else:
        found, sentence = _found_in_files(file, method.upper(), address, everyone)
    write_json(found) if as_json else _show(found, sentence, everyone)
    sys.exit(0 if found["allowed"] or found["public"] else FOUND)


def _found_in_files(file: Path | None, method: str, address: Address, everyone: bool) -> tuple[dict[str, Any], str]:
    """The answer, and why the request leads to no service where it does not."""
    from gateway.engine.offline import compile_offline
    from gateway.errors import ConfigError
    from gateway.questions import explain
    from gateway.questions.rights import who_can_as_json
    from policy.questions import WhoCan, who_can

    compiled = compile_offline(settings_at(file, with_named_files=False))
    mention(compiled.faults)
    if not compiled.table.ready:
        raise ConfigError("nothing can be decided: the access policy has faults")
    match = explain.matched(compiled.table, method, address, "")
    refused = match if isinstance(match, explain.Answer) else None
    found = WhoCan("", (), None, (), ())
    if not isinstance(match, explain.Answer):
        found = who_can(compiled.table, match, method, int(time.time()))
    reason, sentence = (refused.reason, refused.sentence) if refused else ("", "")
    return {"reason": reason, **who_can_as_json(found, compiled.why, everyone=everyone)}, sentence


def _told(node: Central, question: dict[str, Any]) -> dict[str, Any]:
    """The answer of a node; it gives many members in several pages."""
    found: dict[str, Any] = {}
    for page in node.pages("who-can", {**question, "members": _A_PAGE}):
        if not found:
            found = page
            continue
        for kind in ("allowed", "denied"):
            if [each["rule"] for each in found[kind]] != [each["rule"] for each in page[kind]]:
                raise Unanswered(f"the policy of `{node.url}` changed while it was answering; ask again")
            for entry, more in zip(found[kind], page[kind], strict=True):
                entry["members"] += more["members"]
    return found


def _show(found: dict[str, Any], sentence: str, everyone: bool) -> None:
    from rich.text import Text

    from gateway.errors import FAULTS

    screen = console()
    reason = found["reason"]
    if reason:
        said = sentence or (FAULTS[reason].title if reason in FAULTS else "")
        screen.print(Text("nobody", style="bold red"), Text(plain(f"{reason}: {said}")))
        return
    for asked in found["operations"]:
        needed = " or ".join(" and ".join(each) for each in asked["scopes"] or ())
        said = "names an unknown security scheme" if asked["scopes"] is None else f"needs {needed}" if needed else ""
        named = Text(plain(f"{asked['name']} of {found['exposure']}"))
        screen.print(*([named, Text(plain(said), style="dim")] if said else [named]))
    public = found["public"]
    if not found["allowed"] and not public:
        said = "no rule lets anybody" if found["operations"] else "the service does not offer this operation"
        screen.print(Text("nobody", style="bold red"), Text(said))
    if public:
        screen.print(Text("anyone", style="bold green"), Text(plain(public["sentence"])))
        _show_rule(public, "")
    for entry in found["allowed"]:
        if public is None or entry["rule"] != public["rule"]:
            _show_entry(entry, True, everyone)
    for entry in found["denied"] if found["operations"] or found["allowed"] else ():
        _show_entry(entry, False, everyone)


def _show_entry(entry: dict[str, Any], may: bool, everyone: bool) -> None:
    from rich.text import Text

    from policy.probe import needs_in_words

    screen = console()
    screen.print(Text(_crowd(entry, may), style="bold green" if may else "bold red"), Text(plain(entry["sentence"])))
    needs = [f"scope {' and '.join(entry['scopes'])}"] if entry["scopes"] else []
    needs += [needs_in_words(tuple(entry["needs"]))] if entry["needs"] else []
    _show_rule(entry, ", ".join(needs))
    if not entry["everybody"] or everyone:
        _show_members(entry["members"], None if everyone else _SHOWN)


def _show_rule(entry: dict[str, Any], needs: str) -> None:
    from rich.text import Text

    rule = f"{entry['rule']}  {place_in(entry['source'])}"
    for name, value in {"rule": rule, "because": entry["because"], "must show": needs}.items():
        if value:
            console().print(Text(f"  {name:<10}", style="dim") + Text(plain(value)))


def _show_members(members: Sequence[dict[str, Any]], most: int | None) -> None:
    from rich.text import Text

    from policy.explain import short_name

    screen = console()
    for member in members[:most]:
        through = f"  through {', '.join(map(short_name, member['teams']))}" if member["teams"] else ""
        screen.print(Text(f"    {plain(member['ref'])}") + Text(plain(through), style="dim"))
    if most is not None and len(members) > most:
        screen.print(Text(f"    and {len(members) - most:,} more: --all lists them", style="dim"))


def _crowd(entry: dict[str, Any], may: bool) -> str:
    number = entry["count"]
    one, many = ("person", "people") if entry["kind"] == "person" else ("program", "programs")
    if entry["everybody"]:
        return f"all {many} not named here ({number:,})"
    counted = f"{number:,} {one if number == 1 else many}"
    return counted if may else f"denied to {counted}"
