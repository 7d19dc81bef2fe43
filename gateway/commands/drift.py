"""`stagedoor drift`: where a device is not what was applied to it, in three values."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import click
import orjson

from gateway.commands.devices import device_option, devices_of, environment_option
from gateway.terminal import FOUND, PARTLY, config_option, json_option, plain, state_option, write_json

_LONG: Final = 200


@click.command("drift")
@device_option
@environment_option
@config_option
@state_option
@json_option
def command(device: str, environment: str, file: Path | None, folder: Path | None, as_json: bool) -> None:
    """Show where a device differs from what was applied to it, and change nothing.

    Three values each: what the catalog wants, what was applied last, what the device says now. What an operator
    drained is shown and kept. Exits with 1 when anything differs.
    """
    with devices_of(file, folder) as devices:
        answers, is_part = devices.ask_each(devices.named(device, environment), {"t": "device_drift"})
    if as_json:
        write_json({"devices": [{name: said for name, said in each.items() if name != "t"} for each in answers]})
    for answer in () if as_json else answers:
        for line in _lines(answer):
            click.echo(plain(line))
    sys.exit(PARTLY if is_part else FOUND if any(answer["drift"] for answer in answers) else 0)


def _lines(answer: dict[str, Any]) -> Iterator[str]:
    drift, name = answer["drift"], f"{answer['environment']} on {answer['device']}"
    steps = answer["steps"]
    waits = f"; {steps} step{'' if steps == 1 else 's'} of a plan wait (`stagedoor plan`)" if steps else ""
    yield f"{name}: {f'{len(drift)} differ' if drift else 'nothing differs'}{waits}"
    for each in drift:
        yield f"  {each['difference']:<9} {each['sentence']}"
        yield from (
            f"    {title:<15} {_short(each[key])}"
            for key, title in (("intent", "catalog wants"), ("applied", "applied last"), ("device", "device says"))
            if each[key] is not None
        )


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else orjson.dumps(value).decode()
    return text if len(text) <= _LONG else text[:_LONG] + " …"
