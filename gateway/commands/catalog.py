"""`stagedoor catalog`: acts on the catalog of a running node."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from gateway.terminal import (
    FOUND,
    PARTLY,
    config_option,
    json_option,
    plain,
    state_folder_at,
    state_option,
    write_json,
)

if TYPE_CHECKING:
    from gateway.node.status import Catalog

COMPILE_S: Final = 120.0  # the answer comes after a compile


@click.group("catalog")
def command() -> None:
    """Have the running node look at its catalogs now, or let go of losses that it holds."""


@command.command("accept-losses")
@config_option
@state_option
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
def accept_losses(file: Path | None, folder: Path | None, yes: bool, as_json: bool) -> None:
    """Say that what is gone from the catalog is really gone.

    When very many entities of a kind vanish at once, the engine keeps them as they were, because a wrong mount looks
    the same. This shows what is held, asks, and then lets all of it go: services are unpublished, people and teams lose
    what they had. Nothing happens when more is held by then than was shown.
    """
    from gateway.node.asking import ENGINE, ask
    from gateway.node.status import catalog_of

    state = state_folder_at(file, folder)
    catalog = catalog_of(state)
    if not catalog.held:
        nothing = {"accepted": {}, "held": {}, "base": catalog.base}
        _tell(nothing, as_json, "no loss is held: there is nothing to accept")
        return
    _confirm(catalog, yes)
    question = {"t": "accept_losses", "mark": catalog.mark}
    answer = ask(state, ENGINE, question, "losses_accepted", "losses_changed", within_s=COMPILE_S)
    if answer["t"] == "losses_changed":
        said = {"accepted": {}, "held": answer.get("held", {}), "base": catalog.base}
        _tell(said, as_json, "what is held has changed meanwhile: nothing was accepted, look again")
        sys.exit(FOUND)
    said = {name: answer.get(name) for name in ("accepted", "held", "base")}
    if failure := answer.get("failure"):
        _tell(said, as_json, f"accepted, but the round after it failed and is tried again: {failure}")
        sys.exit(PARTLY)
    _tell(said, as_json, f"accepted; {said['base']} is published")


@command.command("sync")
@click.argument("name", required=False, default="")
@config_option
@state_option
@json_option
def sync(name: str, file: Path | None, folder: Path | None, as_json: bool) -> None:
    """Have the node look at its Backstage catalogs now, or at the one called NAME.

    For who has just changed something and does not want to wait for the next look. It is answered before the look:
    what came of it is in `stagedoor status`. Files need none of this.
    """
    from gateway.node.asking import ENGINE, ask

    state = state_folder_at(file, folder)
    answer = ask(state, ENGINE, {"t": "read_catalogs", "name": name}, "catalogs_hurried")
    names = [str(each) for each in answer.get("catalogs", ())]
    if not names:
        which = f"no catalog called `{name}`" if name else "no Backstage catalog"
        raise click.UsageError(f"the node follows {which}")
    _tell({"catalogs": names}, as_json, f"looking at {', '.join(names)}")


def _confirm(catalog: Catalog, yes: bool) -> None:
    for lost in catalog.held:
        names = ", ".join(lost.first) + (", …" if lost.gone > len(lost.first) else "")
        click.echo(plain(f"{lost.gone} of kind {lost.kind} are gone: {names}"), err=True)
    if yes:
        return
    if not _is_attended():
        raise click.UsageError("nobody is there to ask: say --yes to accept these losses")
    click.confirm("Let all of this go?", abort=True, err=True)


def _is_attended() -> bool:
    return sys.stdin.isatty()


def _tell(said: dict[str, Any], as_json: bool, sentence: str) -> None:
    write_json(said) if as_json else click.echo(plain(sentence))
