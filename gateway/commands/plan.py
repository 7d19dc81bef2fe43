"""`stagedoor plan`: what would be changed on the network devices, step by step, and why it is not changed yet."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import Any, Literal

import click
import orjson

from gateway.commands.devices import Devices, device_option, devices_of, environment_option, plan_lines
from gateway.commands.terminal import FOUND, PARTLY, config_option, json_option, state_option, write_json
from gateway.errors import StagedoorError

Form = Literal["text", "json", "as3", "tmsh"]


@click.command("plan")
@device_option
@environment_option
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Keep the plan in this file, for `apply`.")
@click.option(
    "--format", "form", type=click.Choice(["text", "json", "as3", "tmsh"]), default="text", show_default=True,
    help="`as3`: the declaration that would be sent; `tmsh`: the same as a script.",
)  # fmt: skip
@click.option("--deep", is_flag=True, help="Have the device itself say what it would do. It may leave traces there.")
@config_option
@state_option
@json_option
def command(
    device: str, environment: str, out: Path | None, form: Form, deep: bool, file: Path | None, folder: Path | None,
    as_json: bool,
) -> None:  # fmt: skip
    """Show what would be changed on a device, and change nothing.

    Compares what the doors serve with what the device says now: removals first, one sentence for each step. Asks the
    running node, or reads the files where none runs. Exits with 1 when there are differences.
    """
    with devices_of(file, folder) as devices:
        found = _found(devices, device, environment, is_one=out is not None or form in ("as3", "tmsh"))
        answers, is_part = devices.ask_each(found, {"t": "device_plan", "deep": deep})
    if out is not None:
        _keep(answers[0]["plan"], out)
    if as_json or form == "json":
        write_json({"plans": [{name: said for name, said in each.items() if name != "t"} for each in answers]})
    elif form == "as3":
        write_json(answers[0]["plan"]["content"])
    elif form == "tmsh":
        from gateway.engine.network.bigip.as3.tmsh import script_of

        click.echo(script_of(answers[0]["plan"]["content"]), nl=False)
    else:
        for number, answer in enumerate(answers):
            for line in (*([""] if number else []), *plan_lines(answer)):
                click.echo(line)
    sys.exit(PARTLY if is_part else FOUND if any(answer["plan"]["steps"] for answer in answers) else 0)


def _found(devices: Devices, device: str, environment: str, *, is_one: bool) -> list[tuple[str, str]]:
    found = devices.named(device, environment)
    if is_one and len(found) > 1:
        there = ", ".join(f"--device {name} --env {where}" for name, where in found)
        raise click.UsageError(f"one plan at a time goes there: say one of {there}")
    return found


def _keep(plan: dict[str, Any], out: Path) -> None:
    """Whole or not at all: half a plan would be refused, and nobody would know why. Written to a file that nobody else
    can have made or opened before."""
    try:
        descriptor, draft = tempfile.mkstemp(prefix=f".{out.name}.", dir=out.parent)
    except OSError as fault:
        raise StagedoorError(f"`{out}` cannot be written: {fault.strerror}") from None
    try:
        with os.fdopen(descriptor, "wb") as kept:
            kept.write(orjson.dumps(plan, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
        Path(draft).rename(out)
    except OSError as fault:
        Path(draft).unlink(missing_ok=True)
        raise StagedoorError(f"`{out}` cannot be written: {fault.strerror}") from None
    click.echo(f"kept in {out}; `stagedoor apply {out}` carries it out", err=True)
