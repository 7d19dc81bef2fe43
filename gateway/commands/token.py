"""`stagedoor token`: an access token for an address, for clients other than curl."""

from __future__ import annotations

import time
from pathlib import Path

import click

from gateway.commands.terminal import json_option, write_json


@click.command("token")
@click.argument("url")
@click.option("--at", "host", default="", help="The central host to take the token of, if several know the address.")
@click.option("--ca", "ca_file", type=click.Path(dir_okay=False, path_type=Path), help="PEM file of authorities.")
@json_option
def command(url: str, host: str, ca_file: Path | None, as_json: bool) -> None:
    """Print an access token that may be sent to URL, renewed where needed.

    It counts as you for as long as it lasts: hand it to a program by its stdin or a file, not by its arguments.
    """
    from gateway.laptop.keeping import Keeper
    from gateway.laptop.places import central_at, target_at
    from gateway.laptop.state import state_home
    from gateway.laptop.tokens import token_for

    _, target = target_at(url)
    at = central_at(host) if host else None
    ca = str(ca_file) if ca_file else ""
    found = token_for(Keeper(state_home()), target, at, ca, time.time)
    if as_json:
        until = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(found.access_until))
        write_json({"token": found.access, "expires": until, "host": str(found.place)})
    else:
        click.echo(found.access)
