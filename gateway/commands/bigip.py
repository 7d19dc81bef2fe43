"""`stagedoor bigip`: what a BIG-IP would be told, for pipelines that bring it there themselves."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from gateway.errors import ConfigError
from gateway.terminal import FOUND, PARTLY, config_option, json_option, mention, plain, settings_at, write_json

if TYPE_CHECKING:
    from gateway.config.devices import Bigip, BigipEnvironment
    from gateway.engine.network.bigip.as3.rendering import Rendered

Form = Literal["as3", "json", "tmsh"]


@click.group("bigip")
def command() -> None:
    """Write what a BIG-IP would be told, for pipelines."""


@command.command("render")
@click.argument("environment")
@click.option("--device", default="", help="Of which device. Default: the only one that serves the environment.")
@click.option(
    "--format", "form", type=click.Choice(["as3", "json", "tmsh"]), default="as3", show_default=True,
    help="`as3`: a declaration to POST; `tmsh`: a script that creates the same; `json`: the wish in no vendor's words.",
)  # fmt: skip
@click.option("--allow-empty", is_flag=True, help="Also where nothing is published, which removes every host.")
@config_option
@json_option
def render(environment: str, device: str, form: Form, allow_empty: bool, file: Path | None, as_json: bool) -> None:
    """Write what the BIG-IP of an environment would be told, from the files alone.

    Nothing is contacted. The declaration goes to `/mgmt/shared/appsvcs/declare/TENANT`. Exits with 1, writing nothing,
    when it must not be sent: a fault of the declaration, or nothing at all is published; with 5 when it may lack hosts
    that the doors serve, because the files have faults.
    """
    from gateway.engine.network.bigip.as3 import rendering

    settings = settings_at(file, with_named_files=False)
    chosen = _chosen(rendering.served(settings, environment), device, environment)
    rendered, faults = rendering.render(settings, *chosen, int(time.time()))
    errors = [fault for fault in faults if fault.severity == "error"]
    mention(errors)
    if not rendered.desired.version:
        raise ConfigError("the access policy cannot be used: `stagedoor check` says why")
    for remark in rendered.remarks:
        click.echo(f"note: {plain(remark)}", err=True)
    for said in rendered.faults:
        click.echo(f"error: {plain(said)}", err=True)
    if not rendered.desired.places and not allow_empty:
        click.echo(f"error: nothing is published in {plain(environment)}; --allow-empty writes that down", err=True)
        sys.exit(FOUND)
    if rendered.faults:
        sys.exit(FOUND)
    _write(rendered, "json" if as_json else form)
    if rendered.trouble:
        click.echo(f"warning: it may lack hosts that the doors serve: {plain(rendered.trouble)}", err=True)
        sys.exit(PARTLY)


def _chosen(
    served: list[tuple[Bigip, BigipEnvironment]], device: str, environment: str
) -> tuple[Bigip, BigipEnvironment]:
    names = ", ".join(each.name for each, _ in served)
    if not served:
        raise click.UsageError(f"no device serves `{environment}`: see `devices.bigip` of the configuration")
    if device:
        served = [each for each in served if each[0].name == device]
    if not served:
        raise click.UsageError(f"`{device}` does not serve `{environment}`; say --device, one of: {names}")
    if len(served) > 1:
        raise click.UsageError(f"several devices serve `{environment}`; say --device, one of: {names}")
    return served[0]


def _write(rendered: Rendered, form: Form) -> None:
    from gateway.engine.network.bigip.as3.tmsh import script_of

    match form:
        case "as3":
            click.echo(json.dumps(rendered.declaration, indent=2))
        case "tmsh":
            click.echo(script_of(rendered.declaration), nl=False)
        case "json":
            write_json(_wish(rendered))


def _wish(rendered: Rendered) -> dict[str, Any]:
    return {
        "device": rendered.device.name,
        "environment": rendered.desired.environment,
        "version": rendered.desired.version,
        "places": [
            {
                "host": place.host,
                "path": place.path,
                "entity": place.entity,
                "owner": place.owner,
                "address": rendered.addresses.get(place.entity, ""),
                "version": place.version,
            }
            for place in rendered.desired.places
        ],
    }
