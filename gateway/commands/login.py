"""`stagedoor login`: sign in on this machine, for `stagedoor curl` and `stagedoor token`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gateway.terminal import PARTLY, json_option, plain, write_json

if TYPE_CHECKING:
    from gateway.laptop.asking import Web
    from gateway.laptop.keeping import SignIn
    from gateway.laptop.places import Place
    from gateway.laptop.stronger import Wanted


@click.command("login")
@click.argument("host")
@click.option("--issuer", default="", help="Where to sign in, by its name, if the node has several.")
@click.option("--device", is_flag=True, help="Show a code to enter on another device, instead of opening a browser.")
@click.option("--no-browser", is_flag=True, help="Open nothing; show the address, or the code.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Where the browser comes back to. Default: any.")
@click.option("--ca", "ca_file", type=click.Path(dir_okay=False, path_type=Path), help="PEM file of authorities.")
@click.option("--no-keyring", is_flag=True, help="Keep the tokens in a file, though this system has a keyring.")
@click.option("--again", is_flag=True, help="Anew, in the way of the sign-in that is there: no other option is needed.")
@click.option("--acr-values", default="", help="How strong, as a refusal says it: `mfa`. With --again.")
@click.option("--max-age", type=click.IntRange(0), help="How many seconds ago at most. With --again.")
@json_option
def command(
    host: str, issuer: str, device: bool, no_browser: bool, port: int, ca_file: Path | None, no_keyring: bool,
    again: bool, acr_values: str, max_age: int | None, as_json: bool,
) -> None:  # fmt: skip
    """Sign in at Stagedoor's central HOST, for at most twelve hours.

    Opens a browser at the company's identity provider and waits until it comes back to this machine. Without a browser,
    a code is shown to be entered on another device. The tokens are kept in the system's keyring (with the extra
    `stagedoor[keyring]`), else in a file that only this user can read, and go to no host but those of this node.
    """
    from gateway.laptop.asking import Web
    from gateway.laptop.keeping import KEYRING, Keeper
    from gateway.laptop.places import central_at
    from gateway.laptop.signing_in import Wish, sign_in
    from gateway.laptop.state import state_home
    from gateway.laptop.tokens import read

    place = central_at(host)
    wanted = _wanted(again, acr_values, max_age)
    ca = str(ca_file.absolute()) if ca_file else ""
    keeper = Keeper(state_home())
    earlier = read(keeper, place, int(time.time())) if wanted.again else None
    if earlier is not None:
        issuer, ca, device = issuer or earlier.name, ca or earlier.ca, device or earlier.by_device
        port, no_keyring = port or earlier.comes_back_to, no_keyring or earlier.kept != KEYRING
    keeper = Keeper(state_home(), keyring=not no_keyring)
    keeper.prepare()  # before somebody signs in for nothing
    web = Web(ca)
    found = sign_in(
        Wish(place, ca, issuer, device, port, not no_browser, wanted), web,
        lambda line: click.echo(plain_lines(line), err=True),
    )  # fmt: skip
    with keeper.lock(place):
        found = keeper.write(found, new=True)
    click.get_current_context().exit(_told(found, wanted, web, as_json))


def _wanted(again: bool, acr_values: str, max_age: int | None) -> Wanted:
    from gateway.laptop.places import is_word
    from gateway.laptop.stronger import NOTHING, Wanted

    words = tuple(acr_values.split())
    if not again and (words or max_age is not None):
        raise click.UsageError("`--acr-values` and `--max-age` are for another sign-in: add `--again`")
    if not all(map(is_word, words)):
        raise click.UsageError("`--acr-values` takes names as a refusal says them, separated by spaces")
    return Wanted(words, -1 if max_age is None else max_age, True) if again else NOTHING


def _told(found: SignIn, wanted: Wanted, web: Web, as_json: bool) -> int:
    """Say what became of it; the exit code."""
    from gateway.laptop.stronger import lacking, told

    place = found.place
    status, said, who = _known_as(web, place, found.access)
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
        return PARTLY
    missing = lacking(wanted, said, time.time())
    if missing.acr_values or missing.max_age >= 0:
        click.echo(plain(f"warning: signed in, and the token does not show what was asked for ({told(missing)}): "
                         "the issuer did not do it, or does not say so in access tokens; ask Stagedoor's operators"),
                   err=True)  # fmt: skip
        return PARTLY
    return 0


def again(earlier: SignIn, wanted: Wanted, ca: str) -> SignIn:
    """Another sign-in in the way of an earlier one, for the command that needs it; talk is on stderr."""
    from gateway.laptop.asking import Web
    from gateway.laptop.signing_in import sign_in_again
    from gateway.laptop.state import state_home

    found = sign_in_again(state_home(), earlier, wanted, ca, lambda line: click.echo(plain_lines(line), err=True))
    status, _, who = _known_as(Web(ca or found.ca), found.place, found.access)
    told = f"Signed in at {found.place} as {who}." if status == 200 else f"warning: {who}"
    click.echo(plain(told), err=True)
    return found


def plain_lines(text: str) -> str:
    return "\n".join(map(plain, text.split("\n")))


def _known_as(web: Web, place: Place, token: str) -> tuple[int, dict[str, Any], str]:
    """What the node says of the token's bearer, and who that is; else the status and why it takes nobody."""
    from gateway.laptop.asking import Away
    from gateway.laptop.signing_in import known_as

    try:
        answer = known_as(place, token, web)
    except Away as away:
        return 0, {}, f"signed in, but whom the node knows you as cannot be asked: {away}"
    if answer.status == 200:
        return 200, answer.said, str(answer.said.get("ref") or "somebody the catalog does not know")
    words = " ".join(str(answer.said[key]) for key in ("title", "detail", "todo") if answer.said.get(key))
    return answer.status, {}, f"signed in, but the node does not take the token ({answer.status}): {words}"


def _kept(where: str) -> str:
    from gateway.laptop.keeping import KEYRING

    return "the system's keyring" if where == KEYRING else "a file that only you can read"


def _instant(at: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))
