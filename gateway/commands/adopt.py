"""`stagedoor adopt`: take over what is on a device under our name and does not carry our mark."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from gateway.commands.apply import carry_out, tell
from gateway.commands.devices import devices_of, plan_lines
from gateway.terminal import config_option, json_option, state_option


@click.command("adopt")
@click.option("--device", required=True, help="On which device.")
@click.option("--env", "environment", required=True, help="Of which environment.")
@click.option("--ticket", default="", help="Of the change, for the audit trail.")
@config_option
@state_option
@json_option
def command(device: str, environment: str, ticket: str, file: Path | None, folder: Path | None, as_json: bool) -> None:
    """Take over what is there for an environment and somebody else made: a tenant, rules of a firewall.

    Nothing that does not carry Stagedoor's mark is ever touched without this. It shows everything that would be owned,
    changed and removed, and asks; there is no way around the question. From then on it follows the catalog.
    """
    if not _is_attended():
        raise click.UsageError("nobody is there to ask, and nothing is taken over without a person's word")
    with devices_of(file, folder) as devices:
        question = {"t": "device_plan", "device": device, "environment": environment, "adopts": True}
        answer = devices.ask(question)
        if answer["ours"]:
            click.echo(f"{environment} on {device} carries our mark already, or has nothing yet: nothing to take over")
            return
        for line in plan_lines({**answer, "hindrances": []}):
            click.echo(line, err=True)
        click.echo("", err=True)
        click.confirm("Take all of this over, and remove what is named above?", abort=True, err=True)
        done = carry_out(devices, answer["plan"], approve_removals=True, ticket=ticket)
    tell(done, answer["plan"], as_json)


def _is_attended() -> bool:
    return sys.stdin.isatty()
