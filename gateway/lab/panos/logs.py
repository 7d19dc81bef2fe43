"""`type=log&log-type=config`: who wrote what, and audit comments. A search is a job that is done at once.

    query = term *( "and" term )      term = "(" field ( "eq" / "contains" ) value ")"

A query that reads otherwise finds nothing, rather than everything.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from gateway.lab.panos.admins import Admin
from gateway.lab.panos.answers import DIGITS, Answer, Declined, WebDeclined, element, nth, result
from gateway.lab.panos.device import Device, LogLine, Search

TERM: Final = re.compile(r"\s*\(\s*([\w-]+)\s+(eq|contains)\s+('(?:[^'\\]|\\.)*'|[^\s()]+)\s*\)\s*(?:and|$)")
MOST_LINES: Final = 5000


def answer(device: Device, _: Admin, parameters: Mapping[str, str]) -> Answer:
    """Raises `Declined` and `WebDeclined`."""
    if parameters.get("action") == "get":
        return _found(device, parameters.get("job-id", ""))
    if parameters.get("log-type") != "config":
        raise WebDeclined(400, "log-type config is what this device keeps")
    most, skip = _number(parameters, "nlogs", 20), _number(parameters, "skip", 0)
    forward = parameters.get("dir") == "forward"
    device.searches.append(Search(parameters.get("query", ""), min(most, MOST_LINES), skip, forward))
    job = str(len(device.searches))
    line = element("msg", None, element("line", f"query job enqueued with jobid {job}"))
    return result(line, element("job", job), code=19)


def _number(parameters: Mapping[str, str], name: str, otherwise: int) -> int:
    text = parameters.get(name, "")
    if text and not (text.isdecimal() and len(text) < DIGITS):
        raise WebDeclined(400, f"{name} takes a number")
    return int(text) if text else otherwise


def _found(device: Device, number: str) -> Answer:
    if not (place := nth(number, len(device.searches))):
        raise Declined(7, f"job {number} not found")
    search = device.searches[place - 1]
    lines = device.log if search.forward else reversed(device.log)
    hits = [said for said in map(_said, lines) if _matches(said, search.query)][search.skip :][: search.most]
    entries = (element("entry", None, *(element(name, text) for name, text in said.items())) for said in hits)
    logs = element("logs", None, *entries, count=str(len(hits)), progress="100")
    job = element("job", None, element("status", "FIN"), element("id", number))
    return result(job, element("log", None, logs), code=19)


def _said(line: LogLine) -> dict[str, str]:
    when = datetime.fromtimestamp(line.at, UTC).strftime("%Y/%m/%d %H:%M:%S")
    return {
        "type": "CONFIG",
        "subtype": "audit-comment" if line.command == "audit-comment" else "",
        "receive_time": when,
        "time_generated": when,
        "admin": line.admin,
        "cmd": line.command,
        "path": line.path,
        "comment": line.comment,
        "config_ver": "0",
        "result": "Succeeded",
    }


def _matches(said: Mapping[str, str], query: str) -> bool:
    at = 0
    while at < len(query.rstrip()):
        term = TERM.match(query, at)
        if term is None:
            return False
        field, how, value = term.groups()
        value = re.sub(r"\\(.)", r"\1", value[1:-1]) if value.startswith("'") else value
        held = said.get(field, "")
        if not (held == value if how == "eq" else value in held):
            return False
        at = term.end()
    return True
