"""Checks for every host of a plan, in a bounded time: DNS leads it to its virtual server, the certificate covers it.

Nothing here stops a plan. Hosts are looked at all at once beside the device itself, and what is not known when the
time is over is told as not checked; a look-up goes on meanwhile, so whoever asks next may have its answer. Answers are
kept for a minute: reading a plan again asks nobody again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple

from gateway.audit.record import timestamp
from gateway.certificates import SOON_S
from gateway.egress.look_ups import Names
from gateway.engine.network.fronts import (
    Entrance,
    Shown,
    astray,
    is_right,
    leads_to,
    shown_at,
    some,
    wanted_by,
)

CHECKS_S: Final = 2.0
FRESH_S: Final = 60.0
UNSEEN_S: Final = 5.0  # that a virtual server which showed nothing is left alone
MOST_HOSTS: Final = 2000  # that are looked at
LEADS_TO: Final = 8  # addresses of a host that are told
_RENEW: Final = "renew what the client SSL profile refers to"

Dns = Literal["right", "astray", "unchecked"]
Covered = Literal["covers", "ends-soon", "over", "lacks", "unseen", "unchecked"]


class HostCheck(NamedTuple):
    """What clients of one host meet. ``ends``: of the certificate that covers it, `2026-12-24`, "" for none.
    ``sentence``: "" when all is well."""

    host: str
    address: str
    port: int
    dns: Dns
    leads_to: tuple[str, ...]
    certificate: Covered
    ends: str
    sentence: str


class Checks(NamedTuple):
    """``hosts``: those with something to say first. ``remarks``: all of it, summed up for the reader of a plan."""

    checked: str  # RFC 3339
    total: int
    hosts: tuple[HostCheck, ...] = ()
    remarks: tuple[str, ...] = ()

    def as_json(self, most: int = MOST_HOSTS) -> dict[str, Any]:
        return {
            "checked": self.checked,
            "total": self.total,
            "well": sum(not each.sentence for each in self.hosts),
            "unchecked": sum("unchecked" in (each.dns, each.certificate) for each in self.hosts)
            + self.total - len(self.hosts),
            "remarks": list(self.remarks),
            "hosts": [{**each._asdict(), "leads_to": list(each.leads_to)} for each in self.hosts[:most]],
        }  # fmt: skip


class FrontChecks:
    """Made inside the running loop. ``now``: epoch seconds."""

    def __init__(self, now: Callable[[], float], names: Names | None = None) -> None:
        self._now = now
        self._names = names or Names(FRESH_S)
        self._seen: dict[tuple[str, str], tuple[Entrance, float, asyncio.Task[Shown]]] = {}
        self._running: dict[tuple[str, str], tuple[Entrance, asyncio.Task[Checks]]] = {}

    async def of(self, entrance: Entrance, others: Sequence[Entrance], within_s: float = CHECKS_S) -> Checks:
        """Of one environment on one device; who asks while it is being looked at waits for the same. ``others``: the
        same environment on all devices, this one too. Never raises for what DNS or a device answers."""
        key = (entrance.device, entrance.environment)
        running = self._running.get(key)
        if running is None or running[1].done() or running[0] != entrance:
            task = asyncio.get_running_loop().create_task(self._look(entrance, others, within_s))
            running = self._running[key] = (entrance, task)
        return await asyncio.shield(running[1])

    async def _look(self, entrance: Entrance, others: Sequence[Entrance], within_s: float) -> Checks:
        wanted = wanted_by(others)
        hosts = sorted(entrance.addresses)[:MOST_HOSTS]
        loop = asyncio.get_running_loop()
        asking = {host: loop.create_task(leads_to(host, self._names.addresses)) for host in hosts}
        shown = self._shown(entrance) if hosts else None
        everything = [*asking.values(), *([shown] if shown is not None else [])]
        try:
            if everything:
                await asyncio.wait(everything, timeout=within_s)
        finally:
            for task in asking.values():
                task.cancel()
        there = {host: task.result() for host, task in asking.items() if _is_good(task)}
        seen = shown.result() if shown is not None and _is_good(shown) else None
        now_s = self._now()
        checks = [_checked(host, entrance, wanted, there.get(host), seen, now_s) for host in hosts]
        checks.sort(key=lambda each: (not each.sentence, each.host))
        remarks = (*_of_names(entrance, wanted, there), *_of_certificates(entrance, hosts, seen, now_s))
        return Checks(timestamp(int(now_s * 1000)), len(entrance.addresses), tuple(checks), tuple(remarks))

    async def led(self, host: str, within_s: float = CHECKS_S) -> frozenset[str] | None:
        """Where one host leads to from here; None where that is not known in time."""
        try:
            async with asyncio.timeout(within_s):
                return await leads_to(host, self._names.addresses)
        except TimeoutError:
            return None

    def close(self) -> None:
        self._names.close()
        for _, running in self._running.values():
            running.cancel()
        for _, _, task in self._seen.values():
            task.cancel()
        self._seen = {}

    def _shown(self, entrance: Entrance) -> asyncio.Task[Shown]:
        """What its virtual server shows; one look serves all who ask within a minute."""
        loop, key = asyncio.get_running_loop(), (entrance.device, entrance.environment)
        held = self._seen.get(key)
        if held is not None:
            known, at_s, looking = held
            if known == entrance and (not looking.done() or loop.time() - at_s < _fresh_s(looking)):
                return looking
            looking.cancel()
        task = loop.create_task(shown_at(entrance))
        task.add_done_callback(lambda done: None if done.cancelled() else done.exception())
        self._seen[key] = (entrance, loop.time(), task)
        return task


def _fresh_s(seen: asyncio.Task[Shown]) -> float:
    return FRESH_S if _is_good(seen) and seen.result().certificates else UNSEEN_S


def _is_good(task: asyncio.Future[Any]) -> bool:
    return task.done() and not task.cancelled() and task.exception() is None


def _checked(
    host: str, entrance: Entrance, wanted: Mapping[str, frozenset[str]], there: frozenset[str] | None,
    seen: Shown | None, now_s: float,
) -> HostCheck:  # fmt: skip
    should = wanted.get(host, frozenset((entrance.addresses[host],)))
    dns: Dns = "unchecked" if there is None else "right" if is_right(host, there, should) else "astray"
    covered, ends, lacks = _covered(host, seen, now_s)
    told = tuple(sorted(there or ()))[:LEADS_TO]
    said = []
    if there is not None and dns == "astray":
        to = f"to {', '.join(told)}" if told else "nowhere"
        said.append(f"DNS leads it {to}, instead of to {' or '.join(sorted(should))}")
    if lacks:
        said.append(lacks)
    if not said and "unchecked" in (dns, covered):
        said.append("not checked in time")
    return HostCheck(host, entrance.addresses[host], entrance.port, dns, told, covered, ends, "; ".join(said))


def _covered(host: str, seen: Shown | None, now_s: float) -> tuple[Covered, str, str]:
    """How far the certificates cover a host, when the one that does ends, and what is wrong with that."""
    if seen is None:
        return "unchecked", "", ""
    if not seen.certificates:
        return "unseen", "", "its virtual server shows no certificate"
    covering = [each for each in seen.certificates if each.covers(host)]
    if not covering:
        return "lacks", "", "no certificate covers it"
    best = max(covering, key=lambda each: each.ends)
    if best.is_over(now_s):
        return "over", best.ends_on(), f"its certificate {best.dates(now_s)}"
    soon = best.ends - now_s < SOON_S
    return ("ends-soon" if soon else "covers"), best.ends_on(), f"its certificate {best.dates(now_s)}" if soon else ""


# === for the reader of a plan ===


def _of_names(
    entrance: Entrance, wanted: Mapping[str, frozenset[str]], there: Mapping[str, frozenset[str]]
) -> Sequence[str]:
    total = len(entrance.addresses)
    led = [
        astray(host, found, wanted[host])
        for host, found in sorted(there.items()) if not is_right(host, found, wanted[host])
    ]  # fmt: skip
    remarks = []
    if led:
        remarks.append(f"DNS does not lead {len(led)} of {total} hosts to their virtual server: {some(led)}")
    if unchecked := total - len(there):
        remarks.append(f"DNS of {unchecked} of {total} hosts was not checked in time")
    return remarks


def _of_certificates(entrance: Entrance, hosts: Sequence[str], seen: Shown | None, now_s: float) -> Sequence[str]:
    if not hosts:
        return ()
    if seen is None:
        return ("the certificate of the virtual server was not checked in time",)
    if not seen.certificates:
        return (f"no certificate is to be seen at {seen.why}",)
    remarks = []
    if missing := seen.missing(entrance.addresses):
        remarks.append(f"no certificate covers {len(missing)} of {len(entrance.addresses)} hosts: {some(missing)}")
    first = seen.first_to_end()
    if first.ends - now_s < SOON_S or first.is_over(now_s):
        remarks.append(f"the certificate at {first.file} {first.dates(now_s)}: {_RENEW}")
    return remarks
