"""How `plan`, `apply`, `drift` and `adopt` ask about devices: the running node's engine, which lets one thing at a time
happen to a device, or the files alone where no node runs. And what their answers have in common.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Coroutine, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from gateway.errors import StagedoorError, StateError
from gateway.terminal import FOUND, PARTLY, plain, settings_at, state_folder_at

if TYPE_CHECKING:
    from gateway.engine.network.answers.requests import Requests
    from gateway.link import Message

COMPILE_S: Final = 30.0  # an engine that compiles a whole company answers late
READ_S: Final = 120.0  # a device in trouble is asked for some time before it is given up
VAIN_S: Final = 3.0  # for a device that gave no answer
APPLY_S: Final = 5400.0  # a firewall may validate, commit and push for twenty minutes each, and then the way back

Result = TypeVar("Result")

device_option = click.option("--device", default="", help="Of which device. Default: the only one, or all.")
environment_option = click.option("--env", "environment", default="", help="Of which environment. Default: all.")


class NotDone(StagedoorError):
    """Refused, or nobody knows whether it was done."""

    def __init__(self, why: str, exit_code: int) -> None:
        super().__init__(why)
        self.exit_code = exit_code


class _Away(StagedoorError):
    """The device gives no answer."""


class Devices:
    """Where the questions go: ``here`` is there when no node runs."""

    def __init__(self, state: Path, here: Requests | None = None, runner: asyncio.Runner | None = None) -> None:
        self._state = state
        self._here = here
        self._runner = runner

    def ask(self, question: Message, within_s: float = READ_S) -> Message:
        """The answer. Ends the command where it is a fault, with the exit code that goes with it."""
        try:
            return _judged(self._run(self._asked(question, within_s)))
        except NotDone as fault:
            for line in str(fault).splitlines():
                click.echo(f"error: {line}", err=True)
            sys.exit(fault.exit_code)

    def ask_each(
        self, found: list[tuple[str, str]], question: Message, within_s: float = READ_S
    ) -> tuple[list[Message], bool]:
        """The answers for all devices and environments, and whether some did not answer: those are told on stderr. All
        devices are asked at once. Raises `StagedoorError` when none answered."""
        answers, faults = self._run(self._asked_all(found, question, within_s))
        if not answers:
            raise StagedoorError("\n".join(faults))
        for fault_text in faults:
            click.echo(f"error: {fault_text}", err=True)
        return answers, bool(faults)

    async def _asked_all(
        self, found: list[tuple[str, str]], question: Message, within_s: float
    ) -> tuple[list[Message], list[str]]:
        """Answers, and faults."""
        devices = dict.fromkeys(device for device, _ in found)
        each = [self._asked_one(device, found, question, within_s) for device in devices]
        held = [one for of_device in await asyncio.gather(*each) for one in of_device]
        return [one for one in held if not isinstance(one, str)], [one for one in held if isinstance(one, str)]

    async def _asked_one(
        self, device: str, found: list[tuple[str, str]], question: Message, within_s: float
    ) -> list[Message | str]:
        """An answer or a fault for each environment. One that was waited for in vain is not
        asked about the next."""
        held: list[Message | str] = []
        clock, away = asyncio.get_running_loop().time, ""
        for environment in [environment for name, environment in found if name == device]:
            began_s = clock()
            try:
                if away:
                    raise StagedoorError(away)
                asked = {**question, "device": device, "environment": environment}
                held.append(_judged(await self._asked(asked, within_s)))
            except StagedoorError as fault:
                held.append(f"{environment or 'tags'} on {device}: {fault}")
                if isinstance(fault, _Away) and clock() - began_s > VAIN_S:
                    away = str(fault)
        return held

    def named(self, device: str, environment: str) -> list[tuple[str, str]]:
        """The devices and environments that are meant. Ends the command when there are none."""
        standings = self.ask({"t": "devices"})["devices"]
        known = [(str(each["device"]), str(each["environment"])) for each in standings]
        found = [each for each in known if device in ("", each[0]) and environment in ("", each[1])]
        if not found:
            there = ", ".join(f"{name} in {where}" for name, where in known)
            wanted = (f" `{device}`" if device else "") + (f" in `{environment}`" if environment else "")
            raise click.UsageError(
                f"there is no device{wanted}; there is: {there}" if there else "no device is set: see `devices`"
            )
        return found

    def tagged(self, device: str) -> list[tuple[str, str]]:
        """The firewalls that are meant, each as a whole. Ends the command when there are none."""
        standings = self.ask({"t": "devices"})["devices"]
        known = sorted({str(each["device"]) for each in standings if each.get("tags") is not None})
        found = [(name, "") for name in known if device in ("", name)]
        if not found:
            there = ", ".join(known) or "none"
            raise click.UsageError(f"there is no firewall `{device or 'at all'}`; there is: {there}")
        return found

    def _run(self, asking: Coroutine[Any, Any, Result]) -> Result:
        return self._runner.run(asking) if self._runner is not None else asyncio.run(asking)

    async def _asked(self, question: Message, within_s: float) -> Message:
        if self._here is not None:
            from gateway.engine.network.alone import OWN

            return await self._here.answer(question, OWN)
        from gateway.engine.network.answers.requests import ANSWER
        from gateway.node.asking import ENGINE, asked

        return await asked(self._state, ENGINE, question, ANSWER, within_s=within_s)


def _judged(answer: Message) -> Message:
    """The answer, where it is no fault."""
    from gateway.engine.network.answers import requests

    why = "\n".join(map(plain, str(answer.get("why", "")).splitlines()))
    match answer.get("fault"):
        case None:
            return answer
        case requests.UNKNOWN_DEVICE:
            raise click.UsageError(why)
        case requests.REFUSED:
            raise NotDone(why, FOUND)
        case requests.PARTLY:
            raise NotDone(why, PARTLY)
        case requests.UNREACHABLE:
            raise _Away(why)
        case _:
            raise StagedoorError(why)


@contextmanager
def devices_of(file: Path | None, folder: Path | None) -> Iterator[Devices]:
    """Those of the node that runs, else of the configuration. Raises `StagedoorError`."""
    state = state_folder_at(file, folder)
    if _is_listening(state):
        yield Devices(state)
        return
    if folder is not None:
        raise StagedoorError(f"no node runs in `{folder}`; without one, say --config instead of --state")
    with ExitStack() as stack:
        settings = settings_at(file)
        stack.enter_context(_state_held(state))
        runner = stack.enter_context(asyncio.Runner())
        from gateway.engine.network.alone import requests_alone

        alone = requests_alone(settings)
        here = runner.run(alone.__aenter__())
        stack.callback(lambda: runner.run(alone.__aexit__(None, None, None)))
        click.echo("note: no node runs here, the files are asked", err=True)
        yield Devices(state, here, runner)


def _is_listening(state: Path) -> bool:
    from gateway.node.asking import ENGINE, Away, ask

    try:
        ask(state, ENGINE, {"t": "status"}, "status", within_s=COMPILE_S)
    except Away:
        return False
    return True


@contextmanager
def _state_held(state: Path) -> Iterator[None]:
    from gateway.supervisor.sockets import lock_state

    try:
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = lock_state(state)
    except StateError as fault:
        raise StagedoorError(f"the node runs and its engine does not answer, so nothing is asked: {fault}") from None
    except OSError as fault:
        raise StagedoorError(f"state folder `{state}` cannot be used: {fault.strerror}") from None
    try:
        yield
    finally:
        os.close(descriptor)


# === how a plan reads ===

_HEADS: Final = {"remove": "removes", "change": "changes", "add": "adds"}
_HOSTS: Final = 5


def plan_lines(answer: dict[str, Any]) -> Iterator[str]:
    """A plan for a reader: removals first, one sentence for each step, then what stands in its way. Whatever a device
    put into it, each is one line for a terminal."""
    yield from map(plain, _plan_lines(answer))


def _plan_lines(answer: dict[str, Any]) -> Iterator[str]:
    plan = answer["plan"]
    steps = plan["steps"]
    yield f"{plan['environment'] or 'tags'} on {plan['device']}: {_counted(steps)}"
    state = plan["fingerprint"][:12] or "with nothing of ours"
    yield f"policy {plan['version'] or '-'}, made {plan['made']}, the device being {state}"
    number = 0
    for kind, head in _HEADS.items():
        of_kind = [step for step in steps if step["kind"] == kind]
        if of_kind:
            yield from ("", head)
        for step in of_kind:
            number += 1
            yield from _step_lines(number, step)
    for title, lines in (
        ("the device's own dry run", answer["dry_run"]),
        ("to know", plan["remarks"]),
        ("drift", [f"{each['difference']}: {each['sentence']}" for each in answer["drift"]]),
        ("before it can be applied", [f"{each['why']}: {each['todo']}" for each in answer["hindrances"]]),
    ):
        if lines and (steps or title != "before it can be applied"):
            yield from ("", title)
            yield from (f"  - {line}" for line in lines)
    ordered = [step for kind in _HEADS for step in steps if step["kind"] == kind]
    if numbers := [number for number, step in enumerate(ordered, start=1) if step["caution"]]:
        yield from ("", f"look twice at {len(numbers)} of {len(steps)} steps: {_ranges(numbers)}")


def _ranges(numbers: list[int]) -> str:
    """``3, 7-9, 12``"""
    told: list[list[int]] = []
    for number in numbers:
        if told and number == told[-1][-1] + 1:
            told[-1].append(number)
        else:
            told.append([number])
    return ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in told)


def _counted(steps: list[dict[str, Any]]) -> str:
    if not steps:
        return "nothing to do"
    counts = [f"{sum(step['kind'] == kind for step in steps)} {head}" for kind, head in _HEADS.items()]
    cautions = sum(bool(step["caution"]) for step in steps)
    look = f"; {cautions} to look at twice (!)" if cautions else ""
    return f"{len(steps)} step{'' if len(steps) == 1 else 's'} ({', '.join(counts)}){look}"


def _step_lines(number: int, step: dict[str, Any]) -> Iterator[str]:
    sentence = step["sentence"]
    yield f"{number:>4}. {sentence}"
    said = {word.strip("`,.;:()").partition("/")[0] for word in sentence.split()}
    hosts = [host for host in step["hosts"] if host not in said]
    if hosts and f"all {len(step['hosts'])} hosts of " not in sentence:
        more = f" and {len(hosts) - _HOSTS} more" if len(hosts) > _HOSTS else ""
        yield f"      affects {', '.join(hosts[:_HOSTS])}{more}"
    if step["caution"]:
        yield f"      ! {step['caution']}"
