"""`stagedoor plan`: what would be changed on the network devices, step by step, and why it is not changed yet."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import Any, Final, Literal

import click
import orjson

from gateway.commands.devices import APPLY_S, READ_S, device_option, devices_of, environment_option, plan_lines
from gateway.errors import StagedoorError
from gateway.terminal import FOUND, PARTLY, config_option, json_option, state_option, write_json

Form = Literal["text", "json", "as3", "tmsh", "set"]
_SCRIPTS: Final = ("as3", "tmsh", "set")


@click.command("plan")
@device_option
@environment_option
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Keep the plan in this file, for `apply`.")
@click.option(
    "--format", "form", type=click.Choice(["text", "json", "as3", "tmsh", "set"]), default="text", show_default=True,
    help="`as3`: the declaration that would be sent; `tmsh`: the same as a script; `set`: what a person would type in.",
)  # fmt: skip
@click.option("--tags", is_flag=True, help="Of firewalls: who and what carries which tags, instead of rules.")
@click.option("--deep", is_flag=True, help="Have the device itself say what it would do. It may leave traces there.")
@config_option
@state_option
@json_option
def command(
    device: str, environment: str, out: Path | None, form: Form, tags: bool, deep: bool, file: Path | None,
    folder: Path | None, as_json: bool,
) -> None:  # fmt: skip
    """Show what would be changed on a device, and change nothing.

    Compares what the doors serve with what the device says now: removals first, one sentence for each step. Asks the
    running node, or reads the files where none runs. Exits with 1 when there are differences.
    """
    if tags and (environment or deep or form in _SCRIPTS):
        raise click.UsageError("`--tags` is about a whole firewall: neither --env nor --deep nor a script goes with it")
    with devices_of(file, folder) as devices:
        known = devices.tagged(device) if tags else devices.named(device, environment)
        found = _found(known, is_one=out is not None or form in _SCRIPTS)
        within_s = APPLY_S if deep else READ_S
        answers, is_part = devices.ask_each(found, {"t": "device_plan", "deep": deep, "tags": tags}, within_s)
    if out is not None:
        _keep(answers[0]["plan"], out)
    if as_json or form == "json":
        write_json({"plans": [{name: said for name, said in each.items() if name != "t"} for each in answers]})
    elif form == "as3":
        write_json(answers[0]["plan"]["content"])
    elif form in ("tmsh", "set"):
        click.echo(_script(answers[0]["plan"], form), nl=False)
    else:
        for number, answer in enumerate(answers):
            for line in (*([""] if number else []), *plan_lines(answer)):
                click.echo(line)
    sys.exit(PARTLY if is_part else FOUND if any(answer["plan"]["steps"] for answer in answers) else 0)


def _script(plan: dict[str, Any], form: Form) -> str:
    from gateway.engine.network.bigip.as3 import tmsh
    from gateway.engine.network.panos.rules import set_format

    try:
        return tmsh.script_of(plan["content"]) if form == "tmsh" else set_format.script_of(plan)
    except (KeyError, TypeError, ValueError, AttributeError):
        kind = "a BIG-IP" if form == "tmsh" else "a firewall"
        raise click.UsageError(f"`{plan['device']}` is not {kind}: `--format {form}` does not fit it") from None


def _found(found: list[tuple[str, str]], *, is_one: bool) -> list[tuple[str, str]]:
    if is_one and len(found) > 1:
        there = ", ".join(f"--device {name}" + (f" --env {where}" if where else "") for name, where in found)
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
