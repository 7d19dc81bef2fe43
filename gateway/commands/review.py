"""`stagedoor review`: what a reviewer of a firewall's rules should know."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from gateway.commands.devices import device_option, devices_of, environment_option
from gateway.terminal import FOUND, PARTLY, config_option, json_option, plain, state_option, write_json


@click.command("review")
@device_option
@environment_option
@config_option
@state_option
@json_option
def command(device: str, environment: str, file: Path | None, folder: Path | None, as_json: bool) -> None:
    """Show which firewall rules of ours nobody needs, and which of others stand in their way.

    Asks firewalls what met each of our rules, and reads the rules around them. Changes nothing. Exits with 1 when there
    is something to look at.
    """
    with devices_of(file, folder) as devices:
        firewalls = {name for name, _ in devices.tagged(device)}
        found = [each for each in devices.named(device, environment) if each[0] in firewalls]
        answers, is_part = devices.ask_each(found, {"t": "device_review"})
    if as_json:
        write_json({"reviews": [{name: said for name, said in each.items() if name != "t"} for each in answers]})
    else:
        for answer in answers:
            where = f"{answer['environment']} on {answer['device']}"
            click.echo(plain(f"{where}: {len(answer['findings']) or 'nothing'} to look at"))
            for each in answer["findings"]:
                owner = f" ({each['owner'] or 'nobody'}, {each['entity']})" if each["entity"] else ""
                click.echo(plain(f"  - {each['matter']}: {each['sentence']}{owner}"))
    sys.exit(PARTLY if is_part else FOUND if any(answer["findings"] for answer in answers) else 0)
