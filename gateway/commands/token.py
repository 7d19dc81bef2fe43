"""`stagedoor token`: an access token for an address, for clients other than curl."""

from __future__ import annotations

import time
from pathlib import Path

import click

from gateway.terminal import json_option, write_json


@click.command("token")
@click.argument("url")
@click.option("--at", "host", default="", help="The central host to take the token of, if several know the address.")
@click.option("--ca", "ca_file", type=click.Path(dir_okay=False, path_type=Path), help="PEM file of authorities.")
@click.option("--challenge", default="", help="The `WWW-Authenticate` of a refusal: first sign in as it asks.")
@json_option
def command(url: str, host: str, ca_file: Path | None, challenge: str, as_json: bool) -> None:
    """Print an access token that may be sent to URL, renewed where needed.

    It counts as you for as long as it lasts: hand it to a program by its stdin or a file, not by its arguments. If URL
    answers with 401 and a `WWW-Authenticate` that has `insufficient_user_authentication` in it, `--challenge` takes it,
    has you sign in as strongly or as recently as it says, and prints the new token.
    """
    from gateway.commands.login import again
    from gateway.laptop.keeping import Keeper
    from gateway.laptop.places import central_at, target_at
    from gateway.laptop.state import state_home
    from gateway.laptop.stronger import wanted_by
    from gateway.laptop.tokens import token_for

    _, target = target_at(url)
    at = central_at(host) if host else None
    ca = str(ca_file) if ca_file else ""
    found = token_for(Keeper(state_home()), target, at, ca, time.time)
    wanted = wanted_by(challenge, found.mfa_acr_values) if challenge else None
    if challenge and wanted is None:
        raise click.UsageError("`--challenge` asks for no other sign-in: it has to be the whole value of a "
                               "`WWW-Authenticate` with `insufficient_user_authentication`")  # fmt: skip
    if wanted is not None:
        found = again(found, wanted, ca)
    if as_json:
        until = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(found.access_until))
        write_json({"token": found.access, "expires": until, "host": str(found.place)})
    else:
        click.echo(found.access)
