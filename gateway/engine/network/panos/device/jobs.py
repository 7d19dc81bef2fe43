"""Work that a firewall does in its own time: commits, validations, pushes.

An answer says as which job something was taken, or that there was nothing to do. A job is looked at until it ended, at
a pace that does not slow it down and with an end. Done is not well: the job's own result counts, and that of every
device it was for; one that has none when the job ends is unknown.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple
from xml.etree.ElementTree import Element, SubElement

from gateway.engine.network.faults import Busy, Unknown, Unreachable
from gateway.engine.network.panos.device.answers import Answer
from gateway.engine.network.panos.device.client import Client
from gateway.engine.network.panos.device.locks import asked
from gateway.engine.network.panos.device.state import command
from gateway.engine.network.transport.patience import Polls

FIRST_S, MOST_S = 2.0, 5.0  # asked more often, a job gets slower
LINES: Final = 20
LATE_S: Final = 60.0  # that a device of a push may still be without a result when the job has ended
_NOTHING: Final = ("there are no changes to commit", "would be the same as the previous commit")
_NUMBER: Final = re.compile(r"[0-9]{1,12}\Z")


class DeviceResult(NamedTuple):
    """Of a push. ``result``: OK, FAIL, or PEND."""

    serial: str
    name: str
    result: str
    lines: tuple[str, ...] = ()


class Job(NamedTuple):
    """``result``: OK or FAIL."""

    number: str
    result: str
    lines: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    devices: tuple[DeviceResult, ...] = ()

    @property
    def is_well(self) -> bool:
        return self.result == "OK" and all(each.result == "OK" for each in self.devices)

    @property
    def why(self) -> str:
        """What went wrong, in the device's words."""
        failed = [f"{each.name or each.serial}: {_some(each.lines) or each.result}" for each in self.devices
                  if each.result != "OK"]  # fmt: skip
        return "; ".join(failed) or _some(self.lines) or f"job {self.number} says {self.result or 'nothing'}"


def _some(lines: tuple[str, ...]) -> str:
    return ", ".join(f"`{line}`" for line in lines[:3])


class Taken(NamedTuple):
    """``job`` is "" where there was nothing to do."""

    job: str


def taken(client: Client, answer: Answer) -> Taken:
    """As which job something was taken. Raises `Unknown`."""
    found = None if answer.result is None else answer.result.findtext("job")
    if found is not None and _NUMBER.match(found.strip()):
        return Taken(found.strip())
    said = " ".join(answer.messages).lower()
    if any(each in said for each in _NOTHING):
        return Taken("")
    raise Unknown(f"{client.where} does not say as which job it took it: {client.words(answer)}")


async def ended(client: Client, number: str) -> Job:
    """Raises `Unknown` where nobody can tell how it ended, `Rejected`."""
    polls = Polls(client.time, client.limits.task, FIRST_S, MOST_S)
    late: Polls | None = None
    last: Job | None = None
    why = f"has not ended job {number} within {client.limits.task:g} s"
    while await (late or polls).pause():
        try:
            found = await _job(client, number)
        except (Busy, Unreachable) as fault:
            why = f"could not be asked about job {number}: {fault}"
            continue
        if found is None:
            raise Unknown(f"{client.where} knows job {number} no more")
        if (found.findtext("status") or "").strip() == "FIN":
            last = _read(client, number, found)
            if not any(each.result == "PEND" for each in last.devices):
                return last
            late = late or Polls(client.time, LATE_S, FIRST_S, MOST_S)
    if last is not None:
        return last
    raise Unknown(f"{client.where} {why}")


async def under_way(client: Client, target: str = "") -> tuple[str, ...]:
    """Commits and the like that have not ended, as a reader may know them. Raises `DeviceFault`."""
    answer = await client.read(asked(command("show", "jobs", "all"), target=target))
    return tuple(
        f"{_said(client, each, 'type')} job {_said(client, each, 'id')} of `{_said(client, each, 'user')}`"
        for each in ([] if answer.result is None else answer.result.findall("job"))
        if (each.findtext("status") or "").strip() != "FIN"
    )


async def found(client: Client, me: str, description: str) -> str:
    """The number of our commit with this description, "" where there is none. Raises `DeviceFault`."""
    answer = await client.read(asked(command("show", "jobs", "all")))
    for each in [] if answer.result is None else answer.result.findall("job"):
        said = (each.findtext("user") or "").strip(), (each.findtext("description") or "").strip()
        if said == (me, description) and _NUMBER.match(number := (each.findtext("id") or "").strip()):
            return number
    return ""


async def _job(client: Client, number: str) -> Element | None:
    root = command("show", "jobs")
    SubElement(root[0], "id").text = number
    answer = await client.read(asked(root))
    return None if answer.result is None else answer.result.find("job")


def _read(client: Client, number: str, job: Element) -> Job:
    devices = tuple(
        DeviceResult(
            _said(client, each, "serial-no"), _said(client, each, "devicename"), _said(client, each, "result"),
            _lines(client, each.find("details")),
        )
        for each in job.findall("devices/entry")
    )  # fmt: skip
    lines, warnings = _lines(client, job.find("details")), _lines(client, job.find("warnings"))
    return Job(number, _said(client, job, "result"), lines, warnings, devices)


def _lines(client: Client, holder: Element | None) -> tuple[str, ...]:
    """One line or many, plain or nested."""
    if holder is None:
        return ()
    texts = [" ".join("".join(each.itertext()).split()) for each in holder.iter("line")]
    if not texts:
        texts = [" ".join("".join(holder.itertext()).split())]
    return tuple(client.shown(text) for text in texts[:LINES] if text)


def _said(client: Client, element: Element, name: str) -> str:
    return client.shown((element.findtext(name) or "").strip())
