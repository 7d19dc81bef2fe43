"""`stagedoor login`: sign in on this machine, for `stagedoor curl` and `stagedoor token`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click

from gateway.commands.terminal import PARTLY, json_option, plain, write_json


@click.command("login")
@click.argument("host")
@click.option("--issuer", default="", help="Where to sign in, by its name, if the node has several.")
@click.option("--device", is_flag=True, help="Show a code to enter on another device, instead of opening a browser.")
@click.option("--no-browser", is_flag=True, help="Open nothing; show the address, or the code.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Where the browser comes back to. Default: any.")
@click.option("--ca", "ca_file", type=click.Path(dir_okay=False, path_type=Path), help="PEM file of authorities.")
@click.option("--no-keyring", is_flag=True, help="Keep the tokens in a file, though this system has a keyring.")
@json_option
def command(
    host: str, issuer: str, device: bool, no_browser: bool, port: int, ca_file: Path | None, no_keyring: bool,
    as_json: bool,
) -> None:  # fmt: skip
    """Sign in at Stagedoor's central HOST, for at most twelve hours.

    Opens a browser at the company's identity provider and waits until it comes back to this machine. Without a browser,
    a code is shown to be entered on another device. The tokens are kept in the system's keyring (with the extra
    `stagedoor[keyring]`), else in a file that only this user can read, and go to no host but those of this node.
    """
    from gateway.laptop.asking import Web
    from gateway.laptop.keeping import Keeper
    from gateway.laptop.places import central_at
    from gateway.laptop.signing_in import Wish, sign_in
    from gateway.laptop.state import state_home

    place = central_at(host)
    ca = str(ca_file.absolute()) if ca_file else ""
    web = Web(ca)
    keeper = Keeper(state_home(), keyring=not no_keyring)
    keeper.prepare()  # before somebody signs in for nothing
    found = sign_in(
        Wish(place, ca, issuer, device, port, not no_browser), web, lambda line: click.echo(plain_lines(line), err=True)
    )
    with keeper.lock(place):
        found = keeper.write(found, new=True)
    status, who = _known_as(web, place.origin, found.access)
    until = time.strftime("%H:%M", time.localtime(found.until))
    if as_json:
        write_json(
            {
                "host": str(place), "issuer": found.issuer, "ref": who if status == 200 else None, "kept": found.kept,
                "hosts": list(found.hosts), "until": _instant(found.until), "renewable": bool(found.refresh),
            }
        )  # fmt: skip
    else:
        name = f" as {who}" if status == 200 else ""
        kept = _kept(found.kept)
        click.echo(plain(f"Signed in at {place}{name}, until {until} at the latest. The tokens are in {kept}."))
        click.echo(plain(f"They are sent to {place} and {', '.join(found.hosts)} alone. Try: stagedoor curl URL"))
    if not found.refresh:
        click.echo("note: the issuer gave no refresh token, so this ends with the access token; "
                   "ask its operators about scope `offline_access`", err=True)  # fmt: skip
    if status != 200:
        click.echo(plain(f"warning: {who}"), err=True)
        click.get_current_context().exit(PARTLY)


def plain_lines(text: str) -> str:
    return "\n".join(map(plain, text.split("\n")))


def _known_as(web: Any, origin: str, token: str) -> tuple[int, str]:
    """Whom the node takes the token's bearer for; else the status and why it takes nobody."""
    from gateway.laptop.asking import Away

    try:
        answer = web.get(f"{origin}/.stagedoor/whoami", {"Authorization": f"Bearer {token}"})
    except Away as away:
        return 0, f"signed in, but whom the node knows you as cannot be asked: {away}"
    if answer.status == 200:
        return 200, str(answer.said.get("ref") or "somebody the catalog does not know")
    words = " ".join(str(answer.said[key]) for key in ("title", "detail", "todo") if answer.said.get(key))
    return answer.status, f"signed in, but the node does not take the token ({answer.status}): {words}"


def _kept(where: str) -> str:
    from gateway.laptop.keeping import KEYRING

    return "the system's keyring" if where == KEYRING else "a file that only you can read"


def _instant(at: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))
