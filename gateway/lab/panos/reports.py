"""`type=report`: reports of its own that a device makes of its traffic. No traffic is logged here, so all are empty.

A report is a job that is done at once, like a search of the log.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from gateway.lab.panos.admins import Admin
from gateway.lab.panos.answers import Answer, Declined, WebDeclined, element, nth, result
from gateway.lab.panos.device import Device

TITLES: Final = {
    "top-applications-summary": "Top applications",
    "top-attackers-summary": "Top attackers",
    "top-denied-applications-summary": "Top denied applications",
    "top-rules-summary": "Top rules",
    "top-users-summary": "Top users",
}
PERIODS: Final = {
    "last-15-minutes": 900, "last-hour": 3600, "last-6-hrs": 21_600, "last-12-hrs": 43_200, "last-24-hrs": 86_400,
    "last-7-days": 604_800, "last-30-days": 2_592_000,
}  # fmt: skip


def answer(device: Device, _: Admin, parameters: Mapping[str, str]) -> Answer:
    """Raises `Declined` and `WebDeclined`."""
    if parameters.get("action") == "get":
        return _made(device, parameters.get("job-id", ""))
    if parameters.get("reporttype") != "dynamic":
        raise WebDeclined(400, "reporttype dynamic is what this device has")
    name, period = parameters.get("reportname", ""), parameters.get("period", "last-24-hrs")
    if name not in TITLES or period not in PERIODS:
        raise Declined(17, f"report {name} of {period} unexpected here")
    device.reports.append((name, PERIODS[period], int(device.now())))
    job = str(len(device.reports))
    line = element("msg", None, element("line", f"Report job enqueued with jobid {job}"))
    return result(line, element("job", job), code=19)


def _made(device: Device, number: str) -> Answer:
    if not (place := nth(number, len(device.reports))):
        raise Declined(7, f"job {number} not found")
    name, seconds, end = device.reports[place - 1]
    start = end - seconds + 1
    said = {"start": _day(start), "start-epoch": str(start), "end": _day(end), "end-epoch": str(end)}
    report = element("report", None, name=TITLES[name], logtype="appstat", **said)
    return result(element("job", None, element("status", "FIN"), element("id", number)), report)


def _day(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y/%m/%d %H:%M:%S")
