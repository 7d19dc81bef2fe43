"""`stagedoor apply`: carry out a plan that was kept, unless the device has changed since."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click
import orjson

from gateway.commands.devices import APPLY_S, Devices, devices_of
from gateway.errors import StagedoorError
from gateway.terminal import FOUND, PARTLY, config_option, json_option, plain, state_option, write_json


@click.command("apply")
@click.argument("plan", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--approve-removals", is_flag=True, help="More services than usual go, and that is meant.")
@click.option("--ticket", default="", help="Of the change, for the audit trail.")
@config_option
@state_option
@json_option
def command(
    plan: Path, approve_removals: bool, ticket: str, file: Path | None, folder: Path | None, as_json: bool
) -> None:
    """Carry out the plan in the file PLAN, which `stagedoor plan --out` made.

    Refused when the device is not as it was then, when the file was touched, and when something else stands against
    it; everything that does is named. The running node carries it out, one change at a time for each device. It is
    read back, and leaves two events in the audit trail.
    """
    said = _read(plan)
    with devices_of(file, folder) as devices:
        answer = carry_out(devices, said, approve_removals=approve_removals, ticket=ticket)
    tell(answer, said, as_json)


def carry_out(devices: Devices, plan: Any, *, approve_removals: bool, ticket: str) -> dict[str, Any]:
    """Ends the command when it is refused."""
    question = {"t": "device_apply", "plan": plan, "approve_removals": approve_removals, "ticket": ticket}
    return devices.ask(question, APPLY_S)


def tell(answer: dict[str, Any], plan: Any, as_json: bool) -> None:
    """How it ended; ends the command with the code for that."""
    if as_json:
        write_json({name: said for name, said in answer.items() if name != "t"})
    else:
        word = "done" if answer["done"] else "NOT done, and the device changed" if answer["changed"] else "not done"
        click.echo(plain(f"{plan['environment'] or 'tags'} on {plan['device']}: {word}: {answer['why']}"))
        task = f", task {answer['task']}" if answer["task"] else ""
        click.echo(plain(f"plan {answer['plan_digest']}{task}, by {answer['by']}"))
    if not answer["is_latest"]:
        click.echo("note: the catalog has moved on since this plan was made: `stagedoor plan` shows the rest", err=True)
    sys.exit(0 if answer["done"] else PARTLY if answer["changed"] else FOUND)


def _read(path: Path) -> Any:
    try:
        said = orjson.loads(path.read_bytes())
    except OSError as fault:
        raise StagedoorError(f"`{path}` cannot be read: {fault.strerror}") from None
    except orjson.JSONDecodeError as fault:
        why = f"`{path}` is no plan: it is no JSON ({fault}); `stagedoor plan --out FILE` makes one"
        raise click.UsageError(why) from None
    if isinstance(said, dict) and said.get("adopts"):
        why = f"`{path}` takes over what is not ours, and no file says yes to that: `stagedoor adopt` shows it and asks"
        raise click.UsageError(why)
    return said
