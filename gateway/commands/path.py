"""`stagedoor path`: a person's way to a service, hop by hop, each open or with the sentence why not."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import click

from gateway.commands.central import central_at, central_options
from gateway.commands.engine import answer_of
from gateway.terminal import (
    FOUND,
    PARTLY,
    config_option,
    console,
    json_option,
    plain,
    state_folder_at,
    state_option,
    write_json,
)

if TYPE_CHECKING:
    from gateway.questions.hops import Way
    from gateway.questions.pasted_url import Address

HOPS_S: Final = 20.0
_INSTEAD: Final = "`stagedoor explain` answers for the door, from the files"
_STYLES: Final = {"open": "bold green", "stops": "bold red", "unknown": "bold yellow"}


@click.command("path")
@click.argument("user")
@click.argument("target", metavar="URL")
@click.option("--method", default="GET", show_default=True, help="Of the request.")
@click.option("--mfa", is_flag=True, help="The sign-in used a second factor.")
@config_option
@state_option
@central_options
@json_option
def command(
    user: str, target: str, method: str, mfa: bool, file: Path | None, folder: Path | None, central: str | None,
    token_file: Path | None, ca_file: Path | None, as_json: bool,
) -> None:  # fmt: skip
    """Say hop by hop whether a person comes to a service: name, virtual server, firewalls, door, upstream.

    USER is a person, `jane` or a full ref. The running node is asked: its engine for the network, what its doors serve
    for the door; with --url over its central host. Nothing is changed, and no device is asked anew. Exits with 1 where
    a hop stops, with 5 where none does and one is not known.
    """
    from gateway.http1.head import METHODS
    from gateway.questions.pasted_url import address_of

    node = central_at(central, token_file, ca_file, file)
    if method.upper().encode() not in METHODS:
        raise click.UsageError(f"`{method}` is no method a door forwards; use one of {', '.join(METHODS.values())}")
    try:
        address = address_of(target)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    if node is not None:
        way = node.ask("path", {"url": target, "method": method.upper(), "user": user, "mfa": mfa})
    else:
        asked = _asked(state_folder_at(file, folder), user, method.upper(), address, mfa)
        way = asked.way.as_json(asked.person, method.upper(), target)
    write_json(way) if as_json else _show(way)
    sys.exit({"open": 0, "stops": FOUND}.get(way["state"], PARTLY))


class _Asked(NamedTuple):
    """``person``: as the door calls them."""

    person: str
    way: Way


def _asked(state: Path, user: str, method: str, address: Address, mfa: bool) -> _Asked:
    """Of the node whose state folder this is: the door's hop by the base that it serves. Raises `StagedoorError`."""
    from gateway.errors import ConfigError
    from gateway.questions.explain import Caller, decide
    from gateway.questions.hops import door_hop, way_of
    from gateway.snapshot import BaseLoader

    loader = BaseLoader(state, with_why=True)
    if not loader.load().ready:
        answer_of(state, {"t": "inventory", "service": ""}, HOPS_S, _INSTEAD)
        raise ConfigError(f"the node has published nothing{': ' + loader.fault if loader.fault else ' yet'}")
    answer = decide(loader.table, loader.why, Caller("user", user, mfa=mfa), method, address)
    service, _, environment = answer.exposure.rpartition("@")
    question = {
        "t": "path_hops", "person": answer.caller, "host": address.host, "service": service, "environment": environment,
    }  # fmt: skip
    return _Asked(answer.caller, way_of(answer_of(state, question, HOPS_S, _INSTEAD), door_hop(answer, address.host)))


def _show(way: dict[str, Any]) -> None:
    from rich.text import Text

    from gateway.questions.hops import TITLES

    screen = console()
    screen.print(
        Text(plain(f"{way['person']} {way['method']} {way['url']}"), style="bold"), Text(plain(way["sentence"]))
    )
    width = max(map(len, TITLES.values()))
    for hop in way["hops"]:
        title = TITLES.get(hop["kind"], hop["kind"])
        word = Text(f"{hop['state']:<8}", style=_STYLES.get(hop["state"], ""))
        screen.print(Text(f"  {title:<{width}}  ") + word + Text(plain(hop["at"]), style="dim"))
        screen.print(Text(f"  {'':<{width}}  {plain(hop['sentence'])}"))
        if hop["todo"] and hop["state"] != "open":
            screen.print(Text(f"  {'':<{width}}  {plain(hop['todo'])}", style="dim"))
