"""`stagedoor curl`: curl, as whoever signed in on this machine."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import click

from gateway.terminal import plain

if TYPE_CHECKING:
    from gateway.laptop.curl_options import Asked
    from gateway.laptop.curling import Outcome
    from gateway.laptop.keeping import SignIn
    from gateway.laptop.stronger import Wanted


@click.command(
    "curl",
    context_settings={
        "ignore_unknown_options": True, "allow_interspersed_args": False, "help_option_names": ["--help"],
    },
    options_metavar="",
)  # fmt: skip
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="URL [CURL'S OPTIONS]")
def command(arguments: tuple[str, ...]) -> None:
    """Call URL with curl, as whoever signed in with `stagedoor login`.

    URL and curl's options stand in any order. Passed on are those that say what is sent and where the answer goes
    (`-X -H -d --json -F -T -G -o -O -i -I -s -S -f -L -v -w -m --retry --compressed --resolve -x` and their like).
    Refused are those by which the token could get elsewhere (`-k`, `--location-trusted`, `-K`, `--trace`). `-v` leaves
    the token out. `--ca FILE` names authorities, `--at HOST` chooses among sign-ins.

    Where the door wants a stronger or more recent sign-in, it says so; in a terminal you can sign in so at once, and
    the call is made again. Exits with 1 when the door refuses, and says why and what to do; 4 when something cannot be
    reached.
    """
    from gateway.laptop import curling
    from gateway.laptop.curl_options import read_options
    from gateway.laptop.keeping import Keeper
    from gateway.laptop.places import central_at, target_at
    from gateway.laptop.state import state_home
    from gateway.laptop.tokens import token_for

    asked = read_options(arguments)
    url, target = target_at(asked.url)
    curl = curling.curl_here(asked)
    found = token_for(Keeper(state_home()), target, central_at(asked.at) if asked.at else None, asked.ca, time.time)
    outcome = curling.run(curl, asked, url, found, asked.ca or found.ca)
    _tell(outcome, found)
    wanted = outcome.refusal.wanted if outcome.refusal is not None else None
    if wanted is not None and _signs_in_again(asked, found, wanted):
        found = token_for(Keeper(state_home()), target, found.place, asked.ca, time.time)
        if asked.can_be_made_again:
            outcome = curling.run(curl, asked, url, found, asked.ca or found.ca)
            _tell(outcome, found, twice=True)
        else:
            click.echo("Now make the call again: what it sent, or where its answer goes, is used up.", err=True)
    sys.exit(outcome.code)


def _tell(outcome: Outcome, found: SignIn, *, twice: bool = False) -> None:
    """Why the door refused, and what to do."""
    from gateway.laptop.stronger import command_for, told

    refusal = outcome.refusal
    if refusal is None:
        if outcome.curl and outcome.code:
            click.echo(f"error: curl ended with {outcome.curl}", err=True)
        return
    click.echo("", err=True)
    for line in refusal.lines:
        click.echo(f"error: {line}", err=True)
    if refusal.wanted is not None and twice:
        click.echo(plain(f"error: The new sign-in does not show it ({told(refusal.wanted)}): the issuer did not do it, "
                         "or does not say so in access tokens. Ask Stagedoor's operators."), err=True)  # fmt: skip
    elif refusal.wanted is not None:
        click.echo(plain(f"error: It asks for {told(refusal.wanted)}."), err=True)
        click.echo(plain(f"error: To sign in so: {command_for(found.place, refusal.wanted)}"), err=True)
    elif refusal.status == 401:
        click.echo(plain(f"error: To sign in again: stagedoor login {found.place} --again"), err=True)


def _signs_in_again(asked: Asked, found: SignIn, wanted: Wanted) -> bool:
    """Whether somebody is there, wants to, and has done it. Raises as `stagedoor login` does."""
    from gateway.commands.login import again

    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return False
    if not click.confirm("Sign in so now?", default=True, err=True):
        return False
    again(found, wanted, asked.ca)
    return True
