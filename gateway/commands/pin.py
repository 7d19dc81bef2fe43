"""`stagedoor pin`: which account signs in as which User of the catalog, and the word that it may be another one."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import click

from gateway.terminal import config_option, json_option, plain, state_folder_at, state_option, write_json

_BECAUSE = "Why: the next one who reads it decides by that."


@click.group("pin")
def command() -> None:
    """See and change which account at an identity provider signs in as which User.

    The first account that signs in as a User is pinned to it; another one that `match` finds to be the same User is
    turned away until it is confirmed here. Needs the node's own user or root.
    """


@command.command("list")
@click.argument("user", default="")
@config_option
@state_option
@json_option
def listed(user: str, file: Path | None, folder: Path | None, as_json: bool) -> None:
    """Show who is pinned, and who was turned away lately (by this node)."""
    said = _asked({"t": "pins", "user": user}, state_folder_at(file, folder), "pins_are")
    found: dict[str, list[dict[str, Any]]] = {name: said[name] for name in ("pins", "turned_away")}
    if as_json:
        write_json(found)
        return
    if not any(found.values()):
        click.echo("Nobody is pinned: nobody has signed in yet.")
    for each in found["pins"]:
        by = f", confirmed by {each['by']}" if each["by"] else ""
        where = f"`{each['subject']}` at {each['issuer']}, since {_instant(each['since'])}"
        click.echo(plain(f"{each['user']}  is {where}{by}"))
    for each in found["turned_away"]:
        where = f"`{each['subject']}` at {each['issuer']}, at {_instant(each['at'])}"
        click.echo(plain(f"{each['user']}  turned away: {where}"))


@command.command("confirm")
@click.argument("user")
@click.option("--issuer", required=True, help="Its name in the configuration.")
@click.option("--subject", required=True, help="`sub` of the account, as `stagedoor pin list` shows it.")
@click.option("--because", required=True, help=_BECAUSE)
@config_option
@state_option
@json_option
def confirm(
    user: str, issuer: str, subject: str, because: str, file: Path | None, folder: Path | None, as_json: bool
) -> None:
    """From now on this account signs in as the User, and no other; sessions of another one end."""
    question = {"t": "confirm_pin", "user": user, "issuer": issuer, "subject": subject, "because": because}
    done = _asked(question, state_folder_at(file, folder), "pin_done")
    ended = f"; sessions of another account ended: {done['ended']}" if done["ended"] else ""
    _told(done, f"{done['user']} is `{subject}` at {issuer} from now on{ended}", as_json)


@command.command("remove")
@click.argument("user")
@click.option("--issuer", required=True, help="Its name in the configuration.")
@click.option("--because", required=True, help=_BECAUSE)
@config_option
@state_option
@json_option
def remove(user: str, issuer: str, because: str, file: Path | None, folder: Path | None, as_json: bool) -> None:
    """Forget a pin: the next account that signs in as the User is pinned."""
    question = {"t": "unpin", "user": user, "issuer": issuer, "because": because}
    done = _asked(question, state_folder_at(file, folder), "pin_done")
    _told(done, f"{done['user']} is pinned to nobody at {issuer}: the next one who signs in is", as_json)


def _asked(question: dict[str, Any], folder: Path, answer: str) -> dict[str, Any]:
    from gateway.errors import Declined
    from gateway.node.asking import CONTROL, ask

    said = ask(folder, CONTROL, question, answer, "pin_refused", within_s=10.0)
    if said["t"] == "pin_refused":
        raise Declined(str(said["why"]))
    return said


def _told(done: dict[str, Any], sentence: str, as_json: bool) -> None:
    if as_json:
        write_json({key: done[key] for key in ("user", "issuer", "subject", "ended")})
    else:
        click.echo(plain(sentence))
    sys.exit(0)


def _instant(at: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))
