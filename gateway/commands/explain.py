"""`stagedoor explain`: whether a call is allowed, why, and what to do if it is not."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gateway.commands.central import central_at, central_options
from gateway.terminal import (
    FOUND,
    config_option,
    console,
    json_option,
    mention,
    place_of,
    plain,
    settings_at,
    write_json,
)

if TYPE_CHECKING:
    from gateway.questions.explain import Answer, Caller
    from gateway.questions.pasted_url import Address


@click.command("explain")
@click.argument("method")
@click.argument("url")
@click.option("--user", help="A person: `jane`, or a full ref.")
@click.option("--client", help="A program: its `client-id` in the catalog.")
@click.option("--anonymous", is_flag=True, help="Nobody: no token at all.")
@click.option("--scope", "scopes", multiple=True, help="A scope in the token, which then bounds what it may do.")
@click.option("--mfa", is_flag=True, help="The sign-in used a second factor.")
@click.option("--issuer", default="", help="Whose token it is: the issuer's name in the configuration.")
@click.option("--from", "source", default="", metavar="ADDRESS", help="The address the call comes from.")
@click.option("--certificate", is_flag=True, help="The call comes with a verified client certificate.")
@config_option
@central_options
@json_option
def command(
    method: str,
    url: str,
    user: str | None,
    client: str | None,
    anonymous: bool,
    scopes: Sequence[str],
    mfa: bool,
    issuer: str,
    source: str,
    certificate: bool,
    file: Path | None,
    central: str | None,
    token_file: Path | None,
    ca_file: Path | None,
    as_json: bool,
) -> None:
    """Say whether a call is allowed, why, and what to do if it is not.

    Reads the files and asks the table the door asks; a running node is neither needed nor touched. With --url the node
    is asked, and who calls is whoever the token is of unless it is said.
    """
    from gateway.http1.head import METHODS
    from gateway.questions import explain as question
    from gateway.questions.pasted_url import address_of
    from policy.facts import Circumstances

    node = central_at(central, token_file, ca_file, file)
    said = sum((user is not None, client is not None, anonymous))
    if said > 1 or (node is None and not said):
        raise click.UsageError("say who calls, once: --user jane, --client orders or --anonymous")
    if method.upper().encode() not in METHODS:
        raise click.UsageError(f"`{method}` is no method a door forwards; use one of {', '.join(METHODS.values())}")
    caller = question.Caller(
        "anonymous" if anonymous else "user" if user is not None else "client",
        user or client or "",
        frozenset(word for scope in scopes for word in scope.split()),
        mfa,
        issuer,
        Circumstances(source, certificate),
    )
    try:
        address = address_of(url)
        ip_address(source or "::")
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    if node is not None:
        asked = {
            "method": method.upper(), "url": url, "user": user, "client": client, "anonymous": anonymous,
            "scope": tuple(scopes), "mfa": mfa, "issuer": issuer, "from": source, "certificate": certificate,
        }  # fmt: skip
        answer = question.Answer.from_json(node.ask("explain", asked))
    else:
        answer = _decided_on_files(file, caller, method.upper(), address)
    write_json(answer.as_json()) if as_json else _show(answer)
    sys.exit(0 if answer.allowed else FOUND)


def _decided_on_files(file: Path | None, caller: Caller, method: str, address: Address) -> Answer:
    from gateway.engine.offline import compile_offline
    from gateway.questions import explain as question

    settings = settings_at(file, with_named_files=False)
    issuer = caller.issuer
    if issuer and issuer not in (names := [each.name for each in settings.issuers]):
        raise click.UsageError(f"no issuer is called `{issuer}`; configured are {', '.join(names) or 'none'}")
    compiled = compile_offline(settings)
    mention(compiled.faults)
    return question.decide(compiled.table, compiled.why, caller, method, address)


def _show(answer: Answer) -> None:
    from rich.text import Text

    screen = console()
    if answer.allowed:
        screen.print(Text("allowed", style="bold green"), Text(plain(answer.reason)))
    else:
        screen.print(Text("refused", style="bold red"), Text(plain(f"{answer.reason} ({answer.status})")))
    screen.print(Text(plain(answer.sentence)))
    lines = {
        "caller": answer.caller,
        "exposure": answer.exposure,
        "operation": answer.operation,
        "rule": answer.rule,
        "source": place_of(answer.source),
        "because": answer.because,
        "needs": ", ".join(answer.need),
        "to do": answer.todo,
    }
    for name, value in lines.items():
        if value:
            screen.print(Text(f"  {name:<10}", style="dim") + Text(plain(value)))
