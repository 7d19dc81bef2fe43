"""`stagedoor what-can`: every operation that a person, a team or a program may call, by environment and service."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from gateway.commands.terminal import (
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
    from gateway.explain import WhyFrames
    from policy.offers import Offer
    from policy.probe import Asker
    from policy.table import Table

_SHOWN: Final = 12  # operations of one rule, unless all are asked for


@click.command("what-can")
@click.argument("name", metavar="USER")
@click.option("--environment", default="", help="There alone.")
@click.option("--service", default="", help="Of this component alone: `payments`, or a full ref.")
@click.option("--all", "everything", is_flag=True, help="List every operation, however many there are.")
@config_option
@json_option
def command(name: str, environment: str, service: str, everything: bool, file: Path | None, as_json: bool) -> None:
    """Say what somebody may call, environment by environment, and by which rule.

    USER is a person (`jane`), or a ref: `user:default/jane`, `component:default/orders` for a program, and
    `group:default/payments` for any member of a team. Reads the files and asks the table the door asks. Exits with 1
    when there is nothing.
    """
    from gateway.engine.offline import compile_offline
    from gateway.errors import ConfigError
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
    found = [(asker, list(what_can(table, asker, exposures, now))) for asker in askers]
    if as_json:
        write_json({"callers": [_as_json(asker, offers, compiled.why) for asker, offers in found]})
    else:
        _show(found, compiled.why, everything)
    sys.exit(0 if any(offers for _, offers in found) else FOUND)


def _as_json(asker: Asker, offers: list[Offer], why: WhyFrames) -> dict[str, Any]:
    from gateway.questions import offer_as_json

    return {"caller": asker.ref, "kind": asker.kind, "exposures": [offer_as_json(each, why) for each in offers]}


def _nobody(table: Table, name: str) -> str:
    """Whom the name may have meant; a component without a client id calls as nobody."""
    from policy.offers import names_like
    from policy.reading import did_you_mean

    if name.lower().startswith("component:") and any(each.service == name.lower() for each in table.exposures.values()):
        return f"`{name}` has no `client-id`: it cannot call as itself"
    hint = did_you_mean(name, names_like(table, name))
    return f"the catalog knows no `{name}`" + (f": {hint}" if hint else "")


def _show(found: list[tuple[Asker, list[Offer]]], why: WhyFrames, everything: bool) -> None:
    from rich.text import Text

    screen = console()
    for asker, offers in found:
        total = sum(len(names) for offer in offers for _, names in offer.ways)
        counted = f"{total:,} operations in {len(offers):,} exposures" if offers else "nothing"
        screen.print(Text(plain(asker.ref), style="bold"), Text(counted))
        environment = ""
        for offer in offers:
            if offer.exposure.environment != environment:
                environment = offer.exposure.environment
                screen.print(Text(plain(environment), style="bold green"))
            _show_offer(offer, why, everything)


def _show_offer(offer: Offer, why: WhyFrames, everything: bool) -> None:
    from rich.text import Text

    from gateway.questions import why_of
    from policy.probe import needs_in_words

    screen, exposure = console(), offer.exposure
    screen.print(
        Text(plain(f"  {exposure.service}"), style="bold"),
        Text(plain(f"https://{exposure.host}{exposure.prefix}"), style="dim"),
    )
    for way, names in offer.ways:
        told = why_of(why, exposure.key, way.permit.rule)
        shown = [f"scope {' and '.join(way.scopes)}"] if way.scopes else []
        shown += [needs_in_words(way.needs)] if way.needs else []
        screen.print(Text(f"    {way.permit.rule}", style="green"), Text(plain(told.sentence)))
        if shown:
            screen.print(Text("      must show: ", style="dim") + Text(plain(", ".join(shown))))
        if len(names) == offer.total > 1 and not everything:
            screen.print(Text(f"      all {offer.total} operations"))
            continue
        for name in names if everything else names[:_SHOWN]:
            screen.print(Text(plain(f"      {name}")))
        if len(names) > _SHOWN and not everything:
            screen.print(Text(f"      and {len(names) - _SHOWN:,} more: --all lists them", style="dim"))
