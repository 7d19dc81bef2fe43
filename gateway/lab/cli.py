"""`stagedoor lab`: run the lab, mint a token, rotate the provider's keys.

What these commands print on stdout is data: `lab token` prints a token and nothing else, so that it can stand
inside a `curl` call. Talking about it happens on stderr. Nothing heavy is imported before it is needed, because a
token command runs once per call.
"""

from __future__ import annotations

import http.client
import json
import re
from pathlib import Path
from typing import Any, Final, NoReturn
from urllib.parse import urlsplit

import click

from gateway.lab.folder import LabError, LabFolder

CANNOT_REACH: Final = 4
CONFIGURATION: Final = 3
_UNITS: Final = {"s": 1, "m": 60, "h": 3600}

folder_option = click.option(
    "--folder", type=click.Path(file_okay=False, path_type=Path), default=Path(".lab"), show_default=True,
    help="Where the lab keeps everything it writes.",
)  # fmt: skip


@click.group("lab")
def command() -> None:
    """A company on one machine: provider, catalog, applications, and Stagedoor in front."""


@command.command()
@click.option("--port", default=8443, show_default=True, type=click.IntRange(1, 65535), help="Where the door listens.")
@folder_option
@click.option(
    "--catalog", default=Path("examples/catalog"), show_default=True, type=click.Path(file_okay=False, path_type=Path)
)
@click.option(
    "--access-policy", default=Path("examples/access-policy.yaml"), show_default=True, type=click.Path(path_type=Path)
)
@click.option(
    "--upstreams", default=18101, show_default=True, type=click.IntRange(1, 65533),
    help="First of three ports for the example applications; another one works on a copy of the catalog.",
)  # fmt: skip
def run(port: int, folder: Path, catalog: Path, access_policy: Path, upstreams: int) -> None:
    """Run the lab until Ctrl-C."""
    from gateway.lab.ground import Wishes
    from gateway.lab.running import run_lab

    try:
        code = run_lab(Wishes(port, folder, catalog, access_policy, upstreams))
    except LabError as error:
        _fail(str(error), CANNOT_REACH)
    raise SystemExit(code)


class _Seconds(click.ParamType[int]):
    """`90s`, `15m`, `1h`; negative for a token that has already expired."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        match = re.fullmatch(r"(-?\d{1,6})([smh]?)", str(value))
        if match is None or int(match[1]) == 0:
            self.fail(f"`{value}` is no duration; write `90s`, `15m` or `1h`", param, ctx)
        return int(match[1]) * _UNITS[match[2] or "s"]


@command.command()
@click.option("--user", default="", help="A person of the catalog, or anybody else: then the token matches nobody.")
@click.option("--client", default="", help="An OAuth client instead of a person: `orders`, `payments`.")
@click.option("--scope", default="", help="Scopes, separated by blanks. A token with scopes is bounded by them.")
@click.option("--ttl", default="1h", type=_Seconds(), show_default=True, help="Lifetime; `-5m` is five minutes over.")
@click.option("--alg", default="RS256", type=click.Choice(["RS256", "ES256"]), show_default=True)
@click.option("--no-mfa", is_flag=True, help="A sign-in with a password alone.")
@click.option("--api", is_flag=True, help="For Stagedoor's own API instead of the applications.")
@folder_option
def token(user: str, client: str, scope: str, ttl: int, alg: str, no_mfa: bool, api: bool, folder: Path) -> None:
    """Print a token of the lab's provider."""
    if bool(user) == bool(client):
        raise click.UsageError("say who: either --user jane or --client orders")
    wish = {"user": user, "client": client, "scope": scope, "ttl_s": ttl, "alg": alg, "mfa": not no_mfa, "api": api}
    answer = _ask(folder, "/admin/mint", wish)
    if not answer["known"]:
        click.echo(
            f"note: the catalog knows nobody named `{user or client}`; the token is good and matches no one", err=True
        )
    click.echo(answer["token"])


@command.command("rotate-keys")
@folder_option
def rotate_keys(folder: Path) -> None:
    """New signing keys; the ones before stay valid until the next rotation."""
    for kid in _ask(folder, "/admin/rotate", {})["current"]:
        click.echo(kid)


def _ask(folder: Path, path: str, wish: dict[str, Any]) -> dict[str, Any]:
    """One request to the provider's admin endpoints. Its address is 127.0.0.1: no proxy is ever asked."""
    try:
        place = LabFolder(folder)
        address = urlsplit(place.facts().provider)
        connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=10)
        headers = {"Authorization": f"Bearer {place.secret()}", "Content-Type": "application/json"}
        connection.request("POST", path, json.dumps(wish), headers)
        response = connection.getresponse()
        answer: dict[str, Any] = json.loads(response.read())
    except LabError as error:
        _fail(str(error), CANNOT_REACH)
    except (OSError, http.client.HTTPException, ValueError):
        _fail("the lab does not answer: start it with `make run` in another terminal and try again", CANNOT_REACH)
    if response.status != 200:
        _fail(f"the provider refused: {answer.get('error', response.status)}", CANNOT_REACH)
    return answer


def _fail(text: str, code: int) -> NoReturn:
    click.echo(f"error: {text}", err=True)
    raise SystemExit(code)
