"""`stagedoor curl`: curl, as whoever signed in on this machine."""

from __future__ import annotations

import sys
import time

import click

from gateway.commands.terminal import plain


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

    Exits with 1 when the door refuses, and says why and what to do; 4 when something cannot be reached.
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
    outcome = curling.run(curl, asked, url, found.access, asked.ca or found.ca)
    refusal = outcome.refusal
    if refusal is not None:
        click.echo("", err=True)
        for line in refusal.lines:
            click.echo(f"error: {line}", err=True)
        if refusal.status == 401:
            click.echo(plain(f"error: To sign in again: stagedoor login {found.place}"), err=True)
    elif outcome.curl and outcome.code:
        click.echo(f"error: curl ended with {outcome.curl}", err=True)
    sys.exit(outcome.code)
