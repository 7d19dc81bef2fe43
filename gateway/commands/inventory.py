"""`stagedoor inventory`: everything that was made of one service, and who lags behind."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import click

from gateway.commands.central import central_at, central_options
from gateway.commands.engine import answer_of
from gateway.node.lags import lagging
from gateway.terminal import (
    FOUND,
    config_option,
    json_option,
    plain,
    state_folder_at,
    state_option,
    write_json,
)

MADE_S: Final = 30.0
_INSTEAD: Final = "`stagedoor entity` says what the files make of it"
_SHOWN: Final = 20  # rules and addresses of one environment


@click.command("inventory")
@click.argument("service")
@config_option
@state_option
@central_options
@json_option
def command(
    service: str, file: Path | None, folder: Path | None, central: str | None, token_file: Path | None,
    ca_file: Path | None, as_json: bool,
) -> None:  # fmt: skip
    """Show what a service became: hosts, virtual servers, firewall rules and tags, door rules and people, versions.

    SERVICE is a component, `payments` or a full ref. The running node is asked; with --url over its central host. Exits
    with 1 when a door or a device lags behind what is published, or a firewall has not what it should.
    """
    from policy.reading import ref_of

    node = central_at(central, token_file, ca_file, file)
    ref = ref_of(service, "component")
    if node is not None:
        found = node.ask(f"inventory/{ref}", {})
    else:
        found = _asked(state_folder_at(file, folder), ref)
    write_json(found) if as_json else click.echo("\n".join(map(plain, _lines(found))))
    sys.exit(FOUND if lagging(found) else 0)


def _asked(state: Path, ref: str) -> dict[str, Any]:
    """Raises `StagedoorError`."""
    from gateway.node.status import status_of

    answer = answer_of(state, {"t": "inventory", "service": ref}, MADE_S, _INSTEAD)
    if answer.get("service") is None:
        raise click.UsageError(f"no service `{plain(ref)}` is published: `stagedoor entity {plain(ref)}` says why")
    base = answer["base"]
    workers = status_of(state).workers
    doors = [{"slot": each.slot, "base": each.base, "lags": each.base != base} for each in workers]
    return {"service": answer["service"], "base": base, "doors": doors, "environments": answer["environments"]}


# === for a reader ===


def _lines(found: dict[str, Any]) -> Iterator[str]:
    service = found["service"]
    yield f"{service['ref']}  {service['title']}"
    for name in ("owner", "system", "domain"):
        if service[name]:
            yield f"  {name:<10} {service[name]}"
    serving = ", ".join(f"{each['slot']}: {each['base'] or '-'}" for each in found["doors"]) or "none"
    yield f"  {'published':<10} {found['base']}; doors {serving}"
    for at in found["environments"]:
        yield from _of_environment(at)
    lags = lagging(found)
    yield from ("", *(f"! {each}" for each in lags)) if lags else ("", "nobody lags behind")


def _of_environment(at: dict[str, Any]) -> Iterator[str]:
    yield ""
    yield f"{at['environment']}  {at['url']}"
    if at["is_closed"]:
        yield "  closed     `stagedoor cut list` says why"
    for each in at["upstreams"]:
        up = {True: "answers its checks", False: "does not answer its checks"}.get(each["up"], "not checked")
        yield f"  upstream   {each['url']}, {up}"
    for each in at["virtual_servers"]:
        yield f"  server     {each['sentence']}"
    for each in at["firewalls"]:
        users = f", {_people(each['users'])}" if each["tags"] else ", anybody" if _is_open(each) else ""
        yield f"  firewall   {each['device']}, {each['leg']}: {each['rule'] or 'no rule'}{users}"
        if each["why"]:
            yield f"             {each['why']}"
    for each in at["addresses"][:_SHOWN]:
        state = {"open": "", "stops": " (not there yet)"}.get(each["state"], " (not known)")
        yield f"  address    {each['address']} on {each['device']}: {', '.join(each['tags']) or 'no tag'}{state}"
    for each in at["doubts"]:
        yield f"  names      {each}"
    for each in at["rules"][:_SHOWN]:
        people = f"  ({_people(each['people'])})" if each["people"] else ""
        yield f"  door       {each['rule']}  {each['sentence']}{people}"
    for each in at["devices"]:
        since = ", nothing since then changes it" if each["applied_version"] and not _is_new(each) else ""
        yield f"  device     {each['device']}: {each['state']}, policy {each['applied_version'] or '-'}{since}"
    for name in ("rules", "addresses"):
        if (more := len(at[name]) - _SHOWN + at[f"more_{name}"]) > 0:
            yield f"  and {more:,} more {name}: --json has {'all' if not at[f'more_{name}'] else f'{len(at[name])}'}"


def _is_open(leg: dict[str, Any]) -> bool:
    """Whether clients whom the firewall does not know may come."""
    return bool(leg["rule"]) and leg["leg"] != "back"


def _is_new(device: dict[str, Any]) -> bool:
    """Whether there is nothing to say of the version that it has: it is the doors', or who lags is told of it."""
    return bool(device["lags"]) or device["applied_version"] == device["version"]


def _people(number: int) -> str:
    return f"{number:,} {'person' if number == 1 else 'people'}"
