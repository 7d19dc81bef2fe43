"""One firewall, or one Panorama: its configuration, its people, its jobs, its clock and its knobs, in one place.

What a request asks for is done elsewhere; here is what it is done to. A Panorama is a device with others under it and
without a vsys of its own.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final
from xml.etree.ElementTree import Element, tostring

from gateway.lab.panos import oracle
from gateway.lab.panos.accounts import account
from gateway.lab.panos.admins import DEFAULT, Admin, Admins
from gateway.lab.panos.answers import Declined
from gateway.lab.panos.configuration import Configuration, Entry, stock
from gateway.lab.panos.faults import Knobs
from gateway.lab.panos.groups import Members
from gateway.lab.panos.jobs import Jobs
from gateway.lab.panos.lists import Lists
from gateway.lab.panos.locks import SHARED, Locks
from gateway.lab.panos.pairs import Pair
from gateway.lab.panos.tags import CAPACITIES
from gateway.lab.panos.userid import Identities, Manners

RULE: Final = re.compile(r".*/rules/entry\[@name='[^']*'\]")  # the rule that a path lies in
VERSION: Final = "11.1.6"
MODEL: Final = "PA-VM-300"


@dataclass
class Hits:
    """Of one rule. Times are epoch seconds, 0 for never."""

    created: int
    modified: int
    count: int = 0
    first: int = 0
    last: int = 0
    reset: int = 0


@dataclass(frozen=True)
class Comment:
    """An audit comment, until the commit that takes it along and after it."""

    admin: str
    text: str
    at: float


@dataclass(frozen=True)
class Search:
    """Of the log: how many lines at most, from the newest unless ``forward``."""

    query: str
    most: int
    skip: int
    forward: bool


@dataclass(frozen=True)
class LogLine:
    admin: str
    command: str
    path: str
    at: float
    comment: str = ""


class Device:
    """``clock``: epoch seconds. ``vsys``: the names of its virtual systems."""

    def __init__(
        self,
        hostname: str = "firewall-a.lab.test",
        *,
        serial: str = "007051000000001",
        vsys: Iterable[str] = ("vsys1",),
        model: str = MODEL,
        version: str = VERSION,
        panorama: bool = False,
        pair: Pair | None = None,
        admins: tuple[Admin, ...] = DEFAULT,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.hostname, self.serial, self.model, self.version = hostname, serial, model, version
        self.address = "127.0.0.1"
        self.panorama = panorama
        self.managed: dict[str, Device] = {}
        self.vsys = () if panorama else tuple(vsys)
        self._clock = clock
        self.knobs = Knobs()
        self.admins = Admins(admins, self.now, lambda: self.knobs.key_lifetime_s, self._configured_admin)
        self.configuration = Configuration(
            stock(list(self.vsys), panorama=panorama), self.now, lambda: self.knobs.renames_follow
        )
        self.jobs = Jobs(self.now, lambda: self.knobs.hold_jobs)
        self.saved: dict[str, Element] = {}  # configurations by the name of their file
        self.config_locks, self.commit_locks = Locks("Config"), Locks("Commit")
        self.identities = {name: Identities(self.now, self.capacity, self.manners) for name in self.vsys or (SHARED,)}
        self.lists = Lists(self.now, lambda: self.knobs.list_capacity)
        self.hits: dict[str, Hits] = {}  # by uuid
        self.comments: dict[str, Comment] = {}  # by the rule's path: not yet committed
        self.comment_history: list[tuple[str, Comment]] = []
        self.log: list[LogLine] = []
        self.searches: list[Search] = []  # of the log
        self.reports: list[tuple[str, int, int]] = []  # name, seconds, and until when
        self.pair = pair
        if pair is not None:
            pair.devices.append(self)
        self._note_rules(None)
        self._come_up()

    def _come_up(self) -> None:
        """A device commits what it finds when it starts, which is the first job there is."""
        self.jobs.add("", "AutoCom", 0.0, lambda job: None)
        self.log.append(LogLine("admin", "commit", "", self.now()))

    def now(self) -> float:
        return self._clock() + self.knobs.clock_skew_s

    def capacity(self) -> int:
        return self.knobs.capacity or CAPACITIES.get(self.model, 1_000)

    def manners(self) -> Manners:
        return Manners(self.knobs.duplicate_is_error, self.knobs.duplicate_refreshes)

    def _configured_admin(self, name: str, password: str) -> Admin | None:
        return account(self.configuration.candidate, name, password)

    def settle(self) -> None:
        """Jobs and the peer, up to the present."""
        self.jobs.settle()
        if self.pair is not None:
            self.pair.settle(self)

    # === scopes ===

    def identities_of(self, vsys: str) -> Identities:
        """Omitted means the first vsys. Raises `Declined` (17)."""
        return self.identities[self.vsys_named(vsys)]

    def vsys_named(self, vsys: str) -> str:
        if not self.vsys:
            return SHARED
        if vsys in ("", SHARED):
            return self.vsys[0]
        if vsys not in self.vsys:
            raise Declined(17, f"{vsys} is invalid vsys")
        return vsys

    def scope_named(self, vsys: str) -> str:
        """Of a lock: a vsys, a device group, or shared. Raises `Declined` (17)."""
        groups = {
            entry.get("name") for entry in self.configuration.candidate.findall("./devices/entry/device-group/entry")
        }
        if vsys in ("", SHARED):
            return SHARED
        if vsys not in self.vsys and vsys not in groups:
            raise Declined(17, f"{vsys} is invalid vsys")
        return vsys

    # === configuration ===

    def refuse_write(self, admin: Admin, scope: str) -> None:
        """Raises `Declined` for the passive peer, and for what somebody else has locked."""
        if self.pair is not None:
            self.pair.refuse_passive(self)
        lock = self.config_locks.of_others(admin.name, scope)
        if lock is not None:
            raise Declined(14, f"Configuration is locked by {lock.admin}")

    def committed(self, admin: str, entries: Iterable[Entry], before: Element) -> None:
        """After something became running."""
        self.lists.adopt(self.configuration.running)
        self._note_rules(before)
        changed = {found[0] for entry in entries for path in entry.paths if (found := RULE.match(path))}
        for path in [path for path in self.comments if path in changed]:
            comment = self.comments.pop(path)
            self.comment_history.append((path, comment))
            self.log.append(LogLine(comment.admin, "audit-comment", path, self.now(), comment.text))
        self.log.append(LogLine(admin, "commit", "", self.now()))
        self.config_locks.release(admin)
        self.commit_locks.release(admin)
        if self.pair is not None:
            self.pair.committed(self)

    def _note_rules(self, before: Element | None) -> None:
        old = {} if before is None else {uuid: tostring(rule) for uuid, rule in _rules(before)}
        now = int(self.now())
        for uuid, rule in _rules(self.configuration.running):
            if uuid not in self.hits:
                self.hits[uuid] = Hits(now, now)
            elif uuid in old and old[uuid] != tostring(rule):
                self.hits[uuid].modified = now

    def reboot(self) -> None:
        """Running comes up; the candidate, jobs, locks and what is not persistent are gone."""
        self.jobs.lose()
        self.configuration.revert()
        self.config_locks, self.commit_locks = Locks("Config"), Locks("Commit")
        self.comments.clear()
        for identities in self.identities.values():
            identities.reboot()
        self._come_up()

    # === traffic ===

    def members(self, vsys: str) -> Members:
        names = self.knobs.hostnames

        def addresses(host: str) -> list[str]:
            return [one.strip() for one in names.get(host, "").split(",")]

        return Members(self.configuration.running, vsys, self.identities_of(vsys), self.lists.of, addresses)

    def evaluate(self, packet: oracle.Packet, vsys: str = "", *, count: bool = True) -> oracle.Verdict:
        """Raises `Declined`. ``count``: as traffic does, the rule's hits go up."""
        self.settle()
        name = self.vsys_named(vsys)
        user = self.identities[name].user_at(packet.source)
        verdict = oracle.evaluate(self.configuration.running, name, self.members(name), packet, user)
        if count and verdict.uuid in self.hits:
            hits, now = self.hits[verdict.uuid], int(self.now())
            hits.count, hits.first, hits.last = hits.count + 1, hits.first or now, now
        return verdict


def _rules(root: Element) -> list[tuple[str, Element]]:
    return [(uuid, rule) for rules in root.iter("rules") for rule in rules if (uuid := rule.get("uuid"))]
