"""`stagedoor people`: the people and groups of identity providers beside those of the catalog."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from gateway.terminal import (
    FOUND,
    PARTLY,
    config_option,
    console,
    json_option,
    mention,
    plain,
    settings_at,
    write_json,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.config import Issuer, Settings
    from gateway.control.sightings import Remembered, Seen
    from gateway.engine.offline import Compilation
    from gateway.people.lists import GroupsBy, ProviderList
    from gateway.people.report import IssuerMap

SAVE_S: Final = 30.0  # control writes what it knows before it answers


@click.group("people")
def command() -> None:
    """Compare the people of the identity providers with those of the catalog."""


@command.command("report")
@click.option("--issuer", "name", default="", help="Of this issuer alone.")
@click.option(
    "--from", "files", multiple=True, type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A list that the identity provider exported: CSV, JSON lines, or a JSON document as of SCIM.",
)  # fmt: skip
@click.option(
    "--groups-by", type=click.Choice(["id", "name"]), default=None,
    help="How its tokens list groups, where the list has both. Default: `id` for Entra ID, else `name`.",
)  # fmt: skip
@click.option("--details", is_flag=True, help="List everybody, every operation, and who is matched.")
@config_option
@json_option
def report(
    name: str, files: tuple[Path, ...], groups_by: GroupsBy | None, details: bool, file: Path | None, as_json: bool
) -> None:
    """Compare identity providers with the catalog: who is matched, who is only here or there, and what is nearly right.

    Tells, too, what rights would change with another `membership`, and if a near miss were mended. Takes what the
    doors of the running node have seen, as its user or root, and lists with --from, of which one is enough. Exits with
    1 when there are differences, with 5 when a part could not be read.
    """
    from gateway.engine.offline import compile_offline
    from gateway.errors import ConfigError

    settings = settings_at(file, with_named_files=False)
    issuers = _chosen(settings, name, bool(files))
    state, remembered, whole = _remembered(settings, needed=not files)
    compiled = compile_offline(settings)
    mention(compiled.faults)
    if not compiled.table.ready:
        raise ConfigError("nothing can be compared: the access policy has faults")
    maps = []
    for issuer in issuers:
        lists = [_list(each, issuer, groups_by) for each in files]
        whole = whole and not any(each.faults for each in lists)
        maps.append(_map(issuer, settings, remembered, lists, compiled))
    if as_json:
        write_json(_as_json(maps, state, remembered, files, compiled))
    else:
        _show(maps, remembered, compiled, details)
    sys.exit(PARTLY if not whole else FOUND if any(each.differs for each in maps) else 0)


def _chosen(settings: Settings, name: str, listed: bool) -> list[Issuer]:
    from gateway.people.report import knows_people
    from policy.reading import did_you_mean

    issuers = [each for each in settings.issuers if knows_people(each)]
    names = [each.name for each in issuers]
    if name and name not in names:
        hint = did_you_mean(name, names) or f"there are {', '.join(names) or 'none'}"
        raise click.UsageError(f"no issuer of people is called `{name}`: {hint}")
    if not issuers:
        raise click.UsageError("no issuer of the configuration gives tokens to people")
    if listed and not name and len(issuers) > 1:
        raise click.UsageError(f"say with --issuer whose list it is: {', '.join(names)}")
    return [each for each in issuers if name in ("", each.name)]


def _remembered(settings: Settings, *, needed: bool) -> tuple[str, Remembered | None, bool]:
    """Whether the node runs, what was seen, and whether that is all. Raises `Away` when nothing else is there."""
    from gateway.control.sightings import FILE, SightingsFault, read_sightings
    from gateway.node.asking import CONTROL, Away, Refusing, ask

    folder, state, whole = Path(settings.state_folder), "running", True
    try:
        answer = ask(folder, CONTROL, {"t": "save_sightings"}, "sightings_saved", within_s=SAVE_S)
        if fault := answer.get("fault"):
            whole = False
            click.echo(f"error: what was seen lately could not be written: {plain(str(fault))}", err=True)
    except Away:
        state = "stopped"
    except Refusing as fault:
        if needed:
            raise
        click.echo(f"note: {plain(str(fault))}; the lists are compared alone", err=True)
        return "refusing", None, True
    remembered = None
    try:
        remembered = read_sightings(folder / FILE)
    except FileNotFoundError:
        if needed and state == "stopped":
            raise Away("the node is not running, and nobody was seen: start it, or give a list with --from") from None
    except (OSError, SightingsFault) as fault:
        whole = False
        click.echo(f"error: what was seen cannot be read: {plain(str(fault))}", err=True)
    if remembered is not None and state == "stopped":
        click.echo("note: the node is not running; this is what was seen until it ended", err=True)
    return state, remembered, whole


def _list(file: Path, issuer: Issuer, groups_by: GroupsBy | None) -> ProviderList:
    """With every line that cannot be used named on stderr."""
    from gateway.people.lists import read_list
    from gateway.people.report import keys_of

    found = read_list(file, keys_of(issuer), groups_by or ("id" if issuer.preset == "entra" else "name"))
    for fault in found.faults:
        click.echo(f"error: {plain(str(fault))}", err=True)
    if any("email" in row.claims and row.email_verified is None for row in found.rows):
        click.echo(f"note: `{plain(str(file))}` does not say `email_verified`: addresses count as verified", err=True)
    return found


def _map(
    issuer: Issuer,
    settings: Settings,
    remembered: Remembered | None,
    lists: Sequence[ProviderList],
    compiled: Compilation,
) -> IssuerMap:
    from gateway.people.report import keys_of, map_of
    from gateway.people.subjects import told_of

    now = int(time.time())
    seen: list[Seen] = []
    if remembered is not None and remembered.issuers.get(issuer.name) == issuer.issuer:
        oldest = now - settings.sightings_s
        seen = [each for each in remembered.seen if each.issuer == issuer.name and each.at >= oldest]
    rows = [row for each in lists for row in each.rows]
    told = told_of(seen, rows, keys_of(issuer))
    groups = [group for each in lists for group in each.groups]
    return map_of(issuer, settings.issuers, told, groups, compiled, now)


def _as_json(
    maps: Sequence[IssuerMap],
    state: str,
    remembered: Remembered | None,
    files: Sequence[Path],
    compiled: Compilation,
) -> dict[str, Any]:
    from gateway.people.stable import issuer_as_json, stamp

    return {
        "node": state,
        "since": stamp(remembered.since) if remembered else None,
        "saved_at": stamp(remembered.saved_at) if remembered else None,
        "left_out": remembered.left_out if remembered else 0,
        "lists": [str(each) for each in files],
        "issuers": [issuer_as_json(each, compiled.why) for each in maps],
        "differs": any(each.differs for each in maps),
    }


def _show(maps: Sequence[IssuerMap], remembered: Remembered | None, compiled: Compilation, details: bool) -> None:
    from rich.text import Text

    from gateway.people.screen import lines_of

    screen = console()
    for number, found in enumerate(maps):
        if number:
            screen.print()
        for line in lines_of(found, remembered.since if remembered else 0, compiled.why, details=details):
            screen.print(Text(plain(line.text), style=line.style))
    if remembered is not None and remembered.left_out:
        screen.print()
        said = f"{remembered.left_out:,} came when there was no room to remember them; their next token tells again"
        screen.print(Text(f"  note    {said}", style="yellow"))
