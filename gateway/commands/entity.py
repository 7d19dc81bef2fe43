"""`stagedoor entity`: what became of an entry of the catalog, and whom to ask."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from gateway.terminal import (
    FOUND,
    age,
    config_option,
    console,
    from_here,
    json_option,
    plain,
    state_folder_at,
    write_json,
)

if TYPE_CHECKING:
    from rich.text import Text

_STATES: Final = ("published", "held", "refused", "not_seen")
_WORDS: Final = {"not_seen": "not seen"}
_STYLES: Final = {"published": "bold green", "held": "bold yellow", "refused": "bold red", "not_seen": "bold magenta"}
_SHOWN: Final = 50  # lines of a list, on a terminal
_NOTES: Final = 20  # of an entity or an exposure

Said = Mapping[str, Any]


@click.command("entity")
@click.argument("ref", required=False, default="")
@click.option("--state", "wanted", type=click.Choice(_STATES), help="Only those, of the list.")
@click.option("--all", "everyone", is_flag=True, help="List those that are published, too.")
@config_option
@click.option(
    "--state-folder", "folder", type=click.Path(file_okay=False, path_type=Path),
    help="The node's state folder, instead of a configuration that names it.",
)  # fmt: skip
@json_option
def command(
    ref: str, wanted: str | None, everyone: bool, file: Path | None, folder: Path | None, as_json: bool
) -> None:
    """Say what became of an entry of the catalog: published, held, refused or not seen, why, and whom to ask.

    REF is `component:default/payments`, or `payments` for that. Without REF, counts by state and everybody who is not
    published. Asks the running node. Exits with 0 when what was asked for is published (of a list: when everything
    is), else with 1.
    """
    state = state_folder_at(file, folder)
    if not ref:
        sys.exit(_list(state, wanted or "", everyone, as_json))
    if wanted or everyone:
        raise click.UsageError("--state and --all are for the list: leave REF out")
    sys.exit(_one(state, ref, as_json))


# === one ===


def _one(folder: Path, ref: str, as_json: bool) -> int:
    from gateway.node.asking import ENGINE, Refusing, ask

    answer = ask(folder, ENGINE, {"t": "entity", "ref": ref}, "entity")
    _require_an_answer(answer)
    found = answer.get("entity")
    notices = [str(each) for each in answer.get("notices", ())]
    if not isinstance(found, dict):
        if notices:
            raise Refusing(notices[0])
        raise click.UsageError(f"`{plain(ref)}` is no entity ref: write `component:default/payments` or `payments`")
    said = {**found, "notices": notices}
    write_json(said) if as_json else _show(said)
    return 0 if said["state"] == "published" else FOUND


def _show(said: Said) -> None:
    from rich.text import Text

    screen = console()
    since = _since(said)
    screen.print(Text(plain(said["ref"]), style="bold"), _word(said["state"]), Text(since, style="dim"))
    screen.print(Text(plain(f"  {said['sentence']} {said['suggestion']}".rstrip())))
    width = max((len(each["environment"]) for each in said["exposures"]), default=0)
    for each in said["exposures"]:
        where = Text(f"  {plain(each['environment']):<{width}}  ")
        url = ("asks for " if each["state"] == "refused" and each["url"] else "") + each["url"]
        screen.print(where + _word(each["state"], pad=9 if url else 0), Text(plain(url), style="dim"))
        for line in _notes(each["notes"], "    "):
            screen.print(line)
    for line in _notes(said["notes"], "  "):
        screen.print(line)
    for each in said["needs"]:
        what = Text(f"  its {plain(each['relation'])} {plain(each['ref'])} is ", style="dim")
        screen.print(what + _word(each["state"]) + Text(f": {plain(each['sentence'])}", style="dim"))
    for name, about in _about(said):
        screen.print(Text(f"  {name:<9} ", style="dim") + Text(plain(about)))


def _notes(notes: list[Said], indent: str) -> Iterator[Text]:
    from rich.text import Text

    for note in notes[:_NOTES]:
        sign, style = {"error": ("✗", "red"), "warning": ("!", "yellow")}.get(note["severity"], ("·", "dim"))
        place = _place(note["source"])
        yield (
            Text(indent)
            + Text(f"{sign} ", style=style)
            + Text(plain(note["says"]))
            + Text(f"  {plain(place)}", style="dim")
        )
        if note["todo"]:
            yield Text(f"{indent}  {plain(note['todo'])}", style="dim")
    if len(notes) > _NOTES:
        yield Text(f"{indent}  {len(notes) - _NOTES:,} more: --json has all", style="dim")


def _about(said: Said) -> Iterator[tuple[str, str]]:
    if place := _place(said["source"]):
        yield "said at", f"{place}, {said['location']}" if said["location"] else place
    for position, contact in enumerate(said["contacts"]):
        yield "" if position else "ask", _contact(contact)
    for position, catalog in enumerate(said["catalogs"]):
        age = f"read {_age(catalog['read_at'])} ago" if catalog["read_at"] else "never read"
        fault = f", cannot be read now: {catalog['fault']}" if catalog["fault"] else ""
        yield "" if position else "catalog", f"{catalog['name']}, {age}{fault}"
    for notice in said["notices"]:
        yield "note", notice


def _contact(contact: Said) -> str:
    """`Payments <payments@example.com> group:default/payments: Jane Okafor <jane@example.com>`"""
    if contact["ref"] == "administrators":
        return "Stagedoor's administrators; the settings name none"
    people = [_named(each) for each in contact["members"]]
    more = contact["people"] - len(people)
    if more > 0:
        people.append(f"{more} more")
    ref = f" {contact['ref']}" if contact["title"] and contact["ref"].startswith("group:") else ""
    who = _named(contact) + ref + (" (administers Stagedoor)" if contact["administers"] else "")
    return who + (f": {', '.join(people)}" if people else "")


def _named(contact: Said) -> str:
    mail = f" <{contact['mail']}>" if contact["mail"] else ""
    return f"{contact['title'] or contact['ref']}{mail}"


def _place(source: Said) -> str:
    file = from_here(source["file"]) if source["file"] else ""
    return f"{file}:{source['line']}" if source["line"] else file


# === many ===


def _list(folder: Path, wanted: str, everyone: bool, as_json: bool) -> int:
    counts, found, notices = _all(folder, wanted)
    if not (wanted or everyone):
        found = [each for each in found if each["state"] != "published"]
    if as_json:
        write_json({"counts": counts, "entities": found, "notices": notices})
    else:
        _show_list(counts, found, notices)
    return 0 if counts["published"] == sum(counts.values()) else FOUND


def _all(folder: Path, wanted: str) -> tuple[dict[str, int], list[Said], list[str]]:
    """Page by page, as they are now."""
    from gateway.node.asking import ENGINE, ask

    found: list[Said] = []
    after = ""
    while True:
        answer = ask(folder, ENGINE, {"t": "entities", "state": wanted, "after": after}, "entities")
        _require_an_answer(answer)
        found += answer["entities"]
        after = answer["next"]
        if not after:
            return {state: int(answer["counts"].get(state, 0)) for state in _STATES}, found, answer["notices"]


def _require_an_answer(answer: Said) -> None:
    from gateway.node.asking import Refusing

    if answer.get("fault"):
        raise Refusing("the engine could not answer: its log says why")


def _show_list(counts: Mapping[str, int], found: list[Said], notices: list[str]) -> None:
    from rich.text import Text

    screen = console()
    head = Text(", ").join(
        Text(f"{counts[state]:,} ") + _word(state) for state in _STATES if counts[state] or state == "published"
    )
    screen.print(head)
    width = max((len(each["ref"]) for each in found[:_SHOWN]), default=0)
    for each in found[:_SHOWN]:
        ref = Text(f"  {plain(each['ref']):<{width}}  ")
        screen.print(ref + _word(each["state"], pad=9) + Text(f"  {plain(each['sentence'])}", style="dim"))
    if len(found) > _SHOWN:
        click.echo(f"{len(found) - _SHOWN:,} more are not shown: --json has all", err=True)
    for notice in notices:
        click.echo(f"note: {plain(notice)}", err=True)


# === words ===


def _word(state: str, pad: int = 0) -> Text:
    from rich.text import Text

    return Text(f"{plain(_WORDS.get(state, state)):<{pad}}", style=_STYLES.get(state, ""))


def _since(said: Said) -> str:
    if not said["since"]:
        return ""
    return f"since {_age(said['since'])} ({plain(said['since'])}), base {plain(said['base'])}"


def _age(instant: str) -> str:
    return age(max(0, int(time.time() - datetime.fromisoformat(instant).timestamp())))
