"""`stagedoor logout`: end sign-ins of this machine, at the issuer too where it lets a client end one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from gateway.terminal import PARTLY, json_option, plain, write_json

if TYPE_CHECKING:
    from gateway.laptop.keeping import Keeper
    from gateway.laptop.places import Place


@click.command("logout")
@click.argument("host", required=False)
@click.option("--ca", "ca_file", type=click.Path(dir_okay=False, path_type=Path), help="PEM file of authorities.")
@json_option
def command(host: str | None, ca_file: Path | None, as_json: bool) -> None:
    """Forget the tokens for the central HOST, or all of them, and have the issuer take back what they renew.

    An access token that was copied elsewhere (`stagedoor token`) counts until it expires, mostly minutes.
    """
    from gateway.laptop.keeping import Keeper
    from gateway.laptop.places import central_at
    from gateway.laptop.state import state_home

    keeper = Keeper(state_home())
    at = central_at(host) if host else None
    places = [each for each in keeper.places() if at in (None, each)]
    ended = [{"host": str(place), "revoked": _ended(keeper, place, ca_file, as_json)} for place in places]
    if as_json:
        write_json({"ended": ended})
    elif not ended:
        click.echo(plain(f"You were not signed in at {at}." if at else "You were signed in nowhere."))
    if any(each["revoked"] is False for each in ended):
        click.get_current_context().exit(PARTLY)


def _ended(keeper: Keeper, place: Place, ca_file: Path | None, quiet: bool) -> bool | None:
    """Whether the issuer took the refresh token back; None where there was none, or it takes none back."""
    from gateway.errors import StagedoorError
    from gateway.laptop.asking import Web
    from gateway.laptop.tokens import provider_of

    revoked, why = None, ""
    with keeper.lock(place):
        try:
            found = keeper.read(place)
            if found is not None and found.refresh:
                ca = str(ca_file) if ca_file else found.ca
                revoked = provider_of(found, Web(ca)).revoke(found.refresh)
                why = "it takes none back" if revoked is None else "it refused"
        except StagedoorError as error:
            revoked, why = False, str(error)
        keeper.forget(place)
    if not quiet:
        click.echo(plain(f"Signed out at {place}."))
    if why and not revoked:
        text = f"note: the refresh token of `{place}` is forgotten here, and not revoked at the issuer: {why}"
        click.echo(plain(text), err=True)
    return revoked
