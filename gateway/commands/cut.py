"""`stagedoor cut`: refuse somebody, or close something, at once and everywhere; and take it back."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any, Final

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

CATALOG_S: Final = 2.0
_WHAT = {
    "person": "a person: every session, token and tunnel of theirs",
    "workload": "a program, by its Component",
    "team": "everybody in a team and below it",
    "service": "a service: nobody reaches it",
    "environment": "an environment: nobody reaches anything in it",
}


@click.group("cut")
def command() -> None:
    """Cut somebody off, or close something, at once; and take it back.

    In force at every door of the node before this returns, with the identity provider, the database and the catalog
    away too, and after a restart. Needs the node's own user or root. What was issued before a cut stays refused when
    the cut is lifted: people sign in again, programs get new tokens.
    """


def _act(kind: str, about: str) -> click.Command:
    @click.command(kind, help=f"Cut off {about}.")
    @click.argument("ref")
    @click.option("--because", required=True, help="Why: the next one who reads it decides by that.")
    @config_option
    @state_option
    @json_option
    def cut(ref: str, because: str, file: Path | None, folder: Path | None, as_json: bool) -> None:
        _told({"t": "cut", "kind": kind, "ref": ref, "because": because}, state_folder_at(file, folder), as_json)

    return cut


for _kind, _about in _WHAT.items():
    command.add_command(_act(_kind, _about))


@command.command("lift")
@click.argument("kind", type=click.Choice(list(_WHAT)))
@click.argument("ref")
@click.option("--because", default="", help="Why.")
@config_option
@state_option
@json_option
def lift(kind: str, ref: str, because: str, file: Path | None, folder: Path | None, as_json: bool) -> None:
    """Take a cut back."""
    _told({"t": "lift_cut", "kind": kind, "ref": ref, "because": because}, state_folder_at(file, folder), as_json)


@command.command("list")
@config_option
@state_option
@json_option
def listed(file: Path | None, folder: Path | None, as_json: bool) -> None:
    """Show who and what is cut off, since when, by whom and why. Exits with 1 when something is."""
    from gateway.node.asking import CONTROL, ask

    cuts: list[dict[str, Any]] = ask(state_folder_at(file, folder), CONTROL, {"t": "cuts"}, "cuts_are")["cuts"]
    in_force = [each for each in cuts if each["lifted"] is None]
    if as_json:
        write_json({"cuts": cuts})
    elif not cuts:
        click.echo("Nobody and nothing is cut off.")
    for each in () if as_json else cuts:
        state = "cut off" if each["lifted"] is None else f"lifted {_instant(each['lifted'])}, old tokens refused"
        about = f"{each['kind']:<12} {each['ref']}  {state}, since {_instant(each['since'])}, by {each['by']}"
        click.echo(plain(about))
        click.echo(plain(f"{'':<12} {each['because']}"))
    sys.exit(FOUND if in_force else 0)


def _told(question: dict[str, Any], folder: Path, as_json: bool) -> None:
    from gateway.errors import Declined
    from gateway.node.asking import CONTROL, ask

    answer = ask(folder, CONTROL, question, "cut_done", "cut_refused", within_s=10.0)
    if answer["t"] == "cut_refused":
        raise Declined(str(answer["why"]))
    if as_json:
        write_json({key: answer[key] for key in ("cut", "live", "doors", "took_ms")})
    else:
        cut = answer["cut"]
        done = "is cut off" if cut["lifted"] is None else "is cut off no more; what was issued before stays refused"
        where = f"live at {answer['doors']} door{'' if answer['doors'] == 1 else 's'} after {answer['took_ms']} ms"
        if not answer["live"]:
            where = f"NOT yet acknowledged by all of {answer['doors']} doors: `stagedoor status` shows which"
        click.echo(plain(f"{cut['kind']} {cut['ref']} {done}: {where}"))
    if question["t"] == "cut" and _in_no_catalog(folder, str(answer["cut"]["ref"])):
        again = f"`stagedoor cut lift {question['kind']} {question['ref']}` takes it back"
        click.echo(
            plain(f"note: no catalog that is read holds `{answer['cut']['ref']}`: is it the right name? {again}"),
            err=True,
        )
    sys.exit(0 if answer["live"] else PARTLY)


def _in_no_catalog(folder: Path, ref: str) -> bool:
    """As far as the engine says so now: a cut does not wait for it, and holds without it."""
    from gateway.errors import StagedoorError
    from gateway.node.asking import ENGINE, ask

    if ":" not in ref:  # an environment
        return False
    try:
        found = ask(folder, ENGINE, {"t": "entity", "ref": ref}, "entity", within_s=CATALOG_S).get("entity")
    except StagedoorError:
        return False
    return isinstance(found, dict) and found.get("state") == "not_seen"


def _instant(at: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))
