"""`stagedoor feeds`: what devices and pipelines read by themselves, and a person's word where it is withheld."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import click

from gateway.terminal import (
    FOUND,
    config_option,
    json_option,
    plain,
    state_folder_at,
    state_option,
    write_json,
)

MADE_S: Final = 60.0  # every environment is made and judged anew
ACCEPTABLE: Final = ("held", "doubtful", "forgotten")


class _Feed(NamedTuple):
    """As the engine tells it; ``code`` is "" where it is given."""

    vendor: str
    device: str
    environment: str
    code: str
    why: str
    mark: str
    documents: tuple[str, ...]
    lost: int
    first: tuple[str, ...]


@click.group("feeds")
def command() -> None:
    """Show what devices and pipelines read at the central host, or let a withheld feed go on."""


@command.command("list")
@config_option
@state_option
@json_option
def list_feeds(file: Path | None, folder: Path | None, as_json: bool) -> None:
    """Show every environment that somebody may read, and why one is withheld.

    Exits with 1 when one is. What is withheld is an error (503) to whoever reads it, so they keep what they have.
    """
    feeds = _asked(state_folder_at(file, folder))
    if as_json:
        write_json({"feeds": [each._asdict() for each in feeds]})
    else:
        _show(feeds)
    sys.exit(FOUND if any(each.code for each in feeds) else 0)


@command.command("accept")
@click.option("--device", required=True, help="The device whose feed is withheld.")
@click.option("--env", "environment", required=True, help="The environment.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@config_option
@state_option
@json_option
def accept(device: str, environment: str, yes: bool, file: Path | None, folder: Path | None, as_json: bool) -> None:
    """Say that what a withheld feed takes away is meant to go.

    This shows what would go, asks, and has exactly that given from then on. Refused when the catalog has changed by
    then, while it cannot be believed, and for what has a fault; it leaves an event in the audit trail.
    """
    from gateway.node.asking import ENGINE, ask

    state = state_folder_at(file, folder)
    found = [each for each in _asked(state) if (each.device, each.environment) == (device, environment)]
    if not found:
        raise click.UsageError(f"nobody may read `{environment}` of `{device}`: see `stagedoor feeds list`")
    feed = found[0]
    if not feed.code:
        _tell({"code": "", "why": "", "mark": feed.mark}, as_json, "it is given: there is nothing to accept")
        return
    if feed.code not in ACCEPTABLE:
        _tell({"code": feed.code, "why": feed.why, "mark": feed.mark}, as_json, f"not accepted: {feed.why}")
        sys.exit(FOUND)
    _confirm(feed, yes)
    question = {
        "t": "accept_feed", "vendor": feed.vendor, "device": device, "environment": environment, "mark": feed.mark
    }  # fmt: skip
    answer = ask(state, ENGINE, question, "accept_feed", within_s=MADE_S)
    code, why = str(answer.get("code", "unmade")), str(answer.get("why", ""))
    sentence = f"not given: {why}" if code else "accepted; it is given"
    _tell({"code": code, "why": why, "mark": feed.mark}, as_json, sentence)
    sys.exit(FOUND if code else 0)


def _asked(state: Path) -> list[_Feed]:
    from gateway.node.asking import ENGINE, ask
    from gateway.node.careful import number_in, objects_in, text_in, texts_of

    answer = ask(state, ENGINE, {"t": "feeds"}, "feeds", within_s=MADE_S)
    return [
        _Feed(
            text_in(said, "vendor"), text_in(said, "device"), text_in(said, "environment"), text_in(said, "code"),
            text_in(said, "why"), text_in(said, "mark"), texts_of(said.get("documents")), number_in(said, "lost") or 0,
            texts_of(said.get("first")),
        )
        for said in objects_in(answer, "feeds")
    ]  # fmt: skip


def _show(feeds: Sequence[_Feed]) -> None:
    if not feeds:
        click.echo("nobody may read anything: no device has `readers`")
    for each in feeds:
        state = f"withheld ({each.code})" if each.code else "given"
        click.echo(plain(f"{each.environment} on {each.device}: {state}"))
        if each.code:
            click.echo(plain(f"  {each.why}"))
        for name in each.documents:
            click.echo(plain(f"  /.stagedoor/feeds/{each.vendor}/{each.device}/{each.environment}/{name}"))


def _confirm(feed: _Feed, yes: bool) -> None:
    names = ", ".join(feed.first) + (", …" if feed.lost > len(feed.first) else "")
    click.echo(plain(f"{feed.environment} on {feed.device} is withheld ({feed.code}): {feed.why}"), err=True)
    if feed.lost:
        click.echo(plain(f"{feed.lost} would go: {names}"), err=True)
    if yes:
        return
    if not sys.stdin.isatty():
        raise click.UsageError("nobody is there to ask: say --yes to accept this")
    click.confirm("Give it?", abort=True, err=True)


def _tell(said: dict[str, Any], as_json: bool, sentence: str) -> None:
    write_json(said) if as_json else click.echo(plain(sentence))
