"""Jobs: one at a time, in the order they came, each as long as the knobs say, by the device's clock.

Nothing runs beside the requests: whoever looks brings the queue up to the present, so a test that moves the clock
moves the jobs. What a job does, it does at its end.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from xml.etree.ElementTree import Element

from gateway.lab.panos.answers import Declined, element, nth


@dataclass
class DeviceResult:
    """Of a push. Counts from ``since`` (epoch seconds) on; until then it is pending, though the job may be done."""

    serial: str
    name: str
    result: str
    lines: list[str]
    since: float = 0.0


@dataclass
class Job:
    """``work`` raises `Declined` for a failure; its lines become the details."""

    number: int
    user: str
    type: str
    queued_at: float
    takes_s: float
    work: Callable[[Job], None]
    description: str = ""
    begun_at: float | None = None
    ended_at: float | None = None
    result: str = "PEND"
    details: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    devices: list[DeviceResult] = field(default_factory=list)
    about: frozenset[int] = frozenset()  # of a commit: which lines of the journal

    @property
    def status(self) -> str:
        return "PEND" if self.begun_at is None else "ACT" if self.ended_at is None else "FIN"

    def finish(self, at: float) -> None:
        try:
            self.work(self)
        except Declined as refused:
            self.result = "FAIL"
            self.details += refused.lines
        else:
            self.result = "FAIL" if any(one.result == "FAIL" for one in self.devices) else "OK"
            self.details = self.details or ["Configuration committed successfully"]
        self.ended_at = at


class Jobs:
    """``hold``: nothing begins or ends while it says so."""

    def __init__(self, clock: Callable[[], float], hold: Callable[[], bool]) -> None:
        self._clock = clock
        self._hold = hold
        self._jobs: dict[int, Job] = {}
        self._last = 0

    def add(self, user: str, kind: str, takes_s: float, work: Callable[[Job], None], description: str = "") -> Job:
        self._last += 1
        job = self._jobs[self._last] = Job(self._last, user, kind, self._clock(), takes_s, work, description)
        self.settle()
        return job

    def settle(self) -> None:
        """Up to the present."""
        if self._hold():
            return
        now, free = self._clock(), 0.0
        for job in self._jobs.values():
            if job.ended_at is not None:
                free = max(free, job.ended_at)
                continue
            begins = max(job.queued_at, free) if job.begun_at is None else job.begun_at
            if begins > now:
                return
            job.begun_at = begins
            if begins + job.takes_s > now:
                return
            job.finish(begins + job.takes_s)
            free = begins + job.takes_s

    def is_waiting(self, about: frozenset[int]) -> bool:
        """Whether a commit of just these lines has not ended."""
        return any(job.ended_at is None and job.about == about for job in self._jobs.values() if about)

    def under_way(self) -> bool:
        self.settle()
        return any(job.ended_at is None for job in self._jobs.values())

    def lose(self) -> None:
        """A reboot: what was not done will not be."""
        for job in self._jobs.values():
            if job.ended_at is None:
                job.work = _interrupted
                job.begun_at = job.begun_at or self._clock()
                job.finish(self._clock())

    def shown(self, number: str) -> Element:
        """Raises `Declined` (7)."""
        self.settle()
        job = self._jobs.get(nth(number, self._last))
        if job is None:
            raise Declined(7, f"job {number} not found")
        return self._written(job)

    def listed(self, status: str = "") -> list[Element]:
        """The newest first."""
        self.settle()
        found = [job for job in self._jobs.values() if not status or job.status == status]
        return [self._written(job) for job in reversed(found)]

    def _written(self, job: Job) -> Element:
        done = job.ended_at is not None
        lines = element("details", None, *(element("line", line) for line in job.details))
        warnings = element("warnings", None, *(element("line", line) for line in job.warnings))
        written = element(
            "job",
            None,
            element("tenq", _day(job.queued_at)),
            element("tdeq", _time(job.begun_at)),
            element("id", str(job.number)),
            element("user", job.user),
            element("type", job.type),
            element("status", job.status),
            element("queued", "YES" if job.status == "PEND" else "NO"),
            element("stoppable", "no" if done else "yes"),
            element("result", job.result),
            element("tfin", _time(job.ended_at) if done else "Still Active"),
            element("description", job.description),
            element("positionInQ", "0"),
            element("progress", self._progress(job)),
            lines,
            warnings,
        )
        if job.devices:
            written.append(element("devices", None, *(self._device(one, job) for one in job.devices)))
        return written

    def _progress(self, job: Job) -> str:
        if job.ended_at is not None:
            return "100"
        if job.begun_at is None or not job.takes_s:
            return "0"
        return str(min(99, max(0, int(100 * (self._clock() - job.begun_at) / job.takes_s))))

    def _device(self, one: DeviceResult, job: Job) -> Element:
        known = job.ended_at is not None and self._clock() >= one.since
        lines = [element("line", line) for line in one.lines if known and one.result == "FAIL"]
        inside = element("msg", None, element("errors", None, *lines), element("warnings"))
        return element(
            "entry",
            None,
            element("serial-no", one.serial),
            element("devicename", one.name),
            element("result", one.result if known else "PEND"),
            element("status", {"OK": "commit succeeded", "FAIL": "commit failed"}[one.result] if known else "pending"),
            element("tstart", _time(job.begun_at)),
            element("tfin", _time(one.since if known else None)),
            element("details", None, inside),
        )


def _interrupted(_: Job) -> None:
    raise Declined(14, "Job was interrupted by a restart")


def _day(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y/%m/%d %H:%M:%S")


def _time(at: float | None) -> str:
    return "" if at is None else datetime.fromtimestamp(at, UTC).strftime("%H:%M:%S")
