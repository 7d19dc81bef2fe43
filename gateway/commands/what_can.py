"""`stagedoor what-can`: every operation that a person, a team or a program may call, by environment and service."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from gateway.commands.central import Central, central_at, central_options
from gateway.terminal import (
    FOUND,
    config_option,
    console,
    json_option,
    mention,
    plain,
    settings_at,
    write_json,
)

if TYPE_CHECKING:
    from policy.table import Table

_SHOWN: Final = 12  # operations of one rule, unless all are asked for
_A_PAGE: Final = 500  # exposures, over the API


@click.command("what-can")
@click.argument("name", metavar="[USER]", default="")
@click.option("--environment", default="", help="There alone.")
@click.option("--service", default="", help="Of this component alone: `payments`, or a full ref.")
@click.option("--all", "everything", is_flag=True, help="List every operation, however many there are.")
@config_option
@central_options
@json_option
def command(
    name: str,
    environment: str,
    service: str,
    everything: bool,
    file: Path | None,
    central: str | None,
    token_file: Path | None,
    ca_file: Path | None,
    as_json: bool,
) -> None:
    """Say what somebody may call, environment by environment, and by which rule.

    USER is a person (`jane`), or a ref: `component:orders` for a program, `group:payments` for any member of a team,
    `user:ext/jane` in another namespace. Reads the files and asks the table the door asks, or with --url a
    running node, where USER may be left out: whoever the token is of. Exits with 1 when there is nothing.
    """
    node = central_at(central, token_file, ca_file, file)
    if node is not None:
        found = _told(node, {"user": name, "environment": environment, "service": service})
    elif name:
        found = _found_in_files(file, name, environment, service)
    else:
        raise click.UsageError("say whom you ask about: a person such as `jane`, or a ref")
    write_json(found) if as_json else _show(found["callers"], everything)
    sys.exit(0 if any(each["exposures"] for each in found["callers"]) else FOUND)


def _found_in_files(file: Path | None, name: str, environment: str, service: str) -> dict[str, Any]:
    from gateway.engine.offline import compile_offline
    from gateway.errors import ConfigError
    from gateway.questions.rights import offer_as_json
    from policy.offers import askers_of, what_can
    from policy.reading import ref_of

    compiled = compile_offline(settings_at(file, with_named_files=False))
    mention(compiled.faults)
    table = compiled.table
    if not table.ready:
        raise ConfigError("nothing can be decided: the access policy has faults")
    askers = askers_of(table, name)
    if not askers:
        raise click.UsageError(_nobody(table, name))
    environments = sorted({each.environment for each in table.exposures.values()})
    if environment and environment not in environments:
        raise click.UsageError(f"nothing is published in `{environment}`, only in {', '.join(environments)}")
    wanted = ref_of(service, "component") if service else ""
    if wanted and wanted not in {each.service for each in table.exposures.values()}:
        raise click.UsageError(f"`{wanted}` is published nowhere")
    exposures = [
        each
        for each in sorted(table.exposures.values(), key=lambda each: (each.environment, each.service))
        if environment in ("", each.environment) and wanted in ("", each.service)
    ]
    now = int(time.time())
    return {
        "callers": [
            {
                "caller": asker.ref,
                "kind": asker.kind,
                "exposures": [offer_as_json(each, compiled.why) for each in what_can(table, asker, exposures, now)],
            }
            for asker in askers
        ]
    }


def _told(node: Central, question: dict[str, Any]) -> dict[str, Any]:
    """The answer of a node, which comes in pages."""
    callers: dict[str, dict[str, Any]] = {}
    for page in node.pages("what-can", {**question, "exposures": _A_PAGE}):
        for each in page["callers"]:
            known = callers.setdefault(each["caller"], {**each, "exposures": []})
            known["exposures"] += each["exposures"]
    return {"callers": list(callers.values())}


def _nobody(table: Table, name: str) -> str:
    """Whom the name may have meant; a component without a client id calls as nobody."""
    from policy.offers import names_like
    from policy.reading import did_you_mean, ref_of

    ref = ref_of(name, "user")
    if ref.startswith("component:") and any(each.service == ref for each in table.exposures.values()):
        return f"`{name}` has no `client-id`: it cannot call as itself"
    hint = did_you_mean(name, names_like(table, name))
    return f"the catalog knows no `{name}`" + (f": {hint}" if hint else "")


def _show(callers: list[dict[str, Any]], everything: bool) -> None:
    from rich.text import Text

    screen = console()
    for caller in callers:
        offers = caller["exposures"]
        total = sum(len(each["operations"]) for offer in offers for each in offer["allowed"])
        counted = f"{total:,} operations in {len(offers):,} exposures" if offers else "nothing"
        screen.print(Text(plain(caller["caller"]), style="bold"), Text(counted))
        environment = ""
        for offer in offers:
            if offer["environment"] != environment:
                environment = offer["environment"]
                screen.print(Text(plain(environment), style="bold green"))
            _show_offer(offer, everything)


def _show_offer(offer: dict[str, Any], everything: bool) -> None:
    from rich.text import Text

    from policy.probe import needs_in_words

    screen = console()
    screen.print(
        Text(plain(f"  {offer['service']}"), style="bold"),
        Text(plain(f"https://{offer['host']}{offer['prefix']}"), style="dim"),
    )
    for way in offer["allowed"]:
        names = way["operations"]
        shown = [f"scope {' and '.join(way['scopes'])}"] if way["scopes"] else []
        shown += [needs_in_words(tuple(way["needs"]))] if way["needs"] else []
        screen.print(Text(f"    {plain(way['rule'])}", style="green"), Text(plain(way["sentence"])))
        if shown:
            screen.print(Text("      must show: ", style="dim") + Text(plain(", ".join(shown))))
        if len(names) == offer["operations"] > 1 and not everything:
            screen.print(Text(f"      all {offer['operations']} operations"))
            continue
        for name in names if everything else names[:_SHOWN]:
            screen.print(Text(plain(f"      {name}")))
        if len(names) > _SHOWN and not everything:
            screen.print(Text(f"      and {len(names) - _SHOWN:,} more: --all lists them", style="dim"))
