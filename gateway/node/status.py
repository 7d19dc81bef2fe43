"""The state of a running node as its roles tell it, and what an operator should look at.

Control knows the workers and the issuers, the engine knows the catalog; each may be away, and what the other says is
shown all the same. Answers are read with care: a role of another version may say less, or something else.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from gateway.errors import StagedoorError
from gateway.link import Message
from gateway.node.asking import CONTROL, ENGINE, Away, ask, supervisor_of
from gateway.node.careful import amount_in, number_in, objects_in, text_in, texts_of
from gateway.node.device_status import DeviceStanding, standing_of
from gateway.node.findings import findings_of_catalog, findings_of_worker


class Worker(NamedTuple):
    """One door. None: it has not said yet."""

    slot: int
    pid: int
    base: str
    seq: int
    snapshot_age_s: int | None
    overlay_age_s: int | None
    connections: int | None
    audit_queued: int | None
    audit_failing: bool
    longest_stall_ms: float | None  # of the last minute
    heard_age_s: float | None
    clock_ahead_s: int | None  # of the machine's, which was set back

    @property
    def snapshot(self) -> str:
        return f"{self.base}.{self.seq}" if self.base else "none"


class Issuer(NamedTuple):
    """``age_s``: since the provider last confirmed the keys; None without keys."""

    name: str
    keys: int
    age_s: int | None
    fault: str


class Lost(NamedTuple):
    """Entities of a kind that are gone and held as they were; ``first`` names some."""

    kind: str
    gone: int
    first: tuple[str, ...]


class Followed(NamedTuple):
    """A Backstage catalog that is followed. Times are seconds; ``age_s`` None: never read. ``delay_s``: what the
    catalog itself took, after the last hint, to show what the hint was about; None: not known."""

    name: str
    url: str
    entities: int
    age_s: float | None
    wait_s: float
    took_ms: int
    full_took_ms: int
    delay_s: float | None
    fault: str
    fix: str


class Catalog(NamedTuple):
    """What the engine says. Ages are seconds, None: never."""

    pid: int
    base: str
    published_age_s: int | None
    read_age_s: int | None
    failure: str
    services: int
    errors: int
    warnings: int
    faults: tuple[str, ...]
    held: tuple[Lost, ...]
    mark: str  # of exactly these losses
    followed: tuple[Followed, ...]


class WithheldFeed(NamedTuple):
    """What somebody asked for and did not get. ``code`` and ``why`` are the engine's."""

    vendor: str
    device: str
    environment: str
    code: str
    why: str


class NodeStatus(NamedTuple):
    """``away``: why a role did not answer, by role."""

    node: str
    version: str
    control_pid: int
    supervisor_pid: int
    wanted: int
    seq: int
    live_seq: int
    workers: tuple[Worker, ...]
    issuers: tuple[Issuer, ...]
    catalog: Catalog | None
    away: Mapping[str, str]
    store_fault: str = ""  # why control cannot reach its database
    devices: tuple[DeviceStanding, ...] = ()
    feeds: tuple[WithheldFeed, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The stable form: every key is always there."""
        plain = self._asdict()
        plain["workers"] = [{"snapshot": each.snapshot, **each._asdict()} for each in self.workers]
        plain["issuers"] = [each._asdict() for each in self.issuers]
        plain["devices"] = [each._asdict() for each in self.devices]
        plain["feeds"] = [each._asdict() for each in self.feeds]
        plain["catalog"] = None
        if self.catalog is not None:
            plain["catalog"] = {
                **self.catalog._asdict(),
                "held": [each._asdict() for each in self.catalog.held],
                "followed": [each._asdict() for each in self.catalog.followed],
            }
        return {**plain, "findings": list(self.findings())}

    def findings(self) -> Iterator[str]:
        """What is not as it should be, each in a sentence."""
        yield from (f"{role} is away: {why}" for role, why in self.away.items())
        if "control" not in self.away:
            yield from self._node_findings()
        if self.store_fault:
            yield f"the store is away, nobody signs in or out: {self.store_fault}"
        for issuer in self.issuers:
            if not issuer.keys:
                yield f"issuer {issuer.name} has no keys, its tokens are refused: {issuer.fault or 'not read yet'}"
            elif issuer.fault:
                yield f"issuer {issuer.name} is away, the keys of {issuer.age_s} s ago hold: {issuer.fault}"
        if self.catalog is not None:
            yield from findings_of_catalog(self.catalog)
        yield from dict.fromkeys(finding for device in self.devices for finding in device.findings())
        for feed in self.feeds:
            yield f"the feed of {feed.environment} on {feed.device} is withheld: {feed.why} (`stagedoor feeds list`)"

    def _node_findings(self) -> Iterator[str]:
        if self.node != "up":
            yield f"the node is {self.node}"
        missing = sorted(set(range(self.wanted)) - {worker.slot for worker in self.workers})
        if missing:
            yield f"no worker in slot {', '.join(map(str, missing))}"
        for worker in self.workers:
            yield from (f"worker {worker.slot} (pid {worker.pid}) {said}" for said in findings_of_worker(worker))


def status_of(folder: Path) -> NodeStatus:
    """Of the node whose state folder this is. Raises `Away` when none runs there, `Refusing` when none answers us."""
    answers: dict[str, Message] = {}
    faults: dict[str, StagedoorError] = {}
    for role, name in (("control", CONTROL), ("engine", ENGINE)):
        try:
            answers[role] = ask(folder, name, {"t": "status"}, "status")
        except StagedoorError as fault:
            faults[role] = fault
    if not answers:
        if all(isinstance(fault, Away) for fault in faults.values()):
            if pid := supervisor_of(folder):
                raise Away(f"the node runs (pid {pid}), but control and engine do not: its log says why")
            raise Away(f"the node is not running: nobody listens in `{folder}`; start it with `stagedoor serve`")
        raise next(fault for fault in faults.values() if not isinstance(fault, Away))
    return _read(answers.get("control", {}), answers.get("engine"), {role: str(why) for role, why in faults.items()})


def catalog_of(folder: Path) -> Catalog:
    """What the engine alone says. Raises like `ask`."""
    return _catalog(ask(folder, ENGINE, {"t": "status"}, "status"))


# === answers ===


def _read(control: Message, engine: Message | None, away: Mapping[str, str]) -> NodeStatus:
    return NodeStatus(
        node=text_in(control, "node") or "unknown",
        version=text_in(control, "version"),
        control_pid=number_in(control, "pid") or 0,
        supervisor_pid=number_in(control, "supervisor_pid") or 0,
        wanted=number_in(control, "workers") or 0,
        seq=number_in(control, "seq") or 0,
        live_seq=number_in(control, "live_seq") or 0,
        workers=tuple(_worker(each) for each in objects_in(control, "roles") if each.get("role") == "door"),
        issuers=tuple(
            Issuer(
                text_in(each, "name"), number_in(each, "keys") or 0, number_in(each, "age_s"), text_in(each, "fault")
            )
            for each in objects_in(control, "issuers")
        ),
        catalog=None if engine is None else _catalog(engine),
        away=dict(away),
        store_fault=text_in(control, "store_fault"),
        devices=tuple(standing_of(each) for each in objects_in(engine or {}, "devices")),
        feeds=tuple(
            WithheldFeed(*(text_in(each, name) for name in WithheldFeed._fields))
            for each in objects_in(engine or {}, "feeds")
        ),
    )


def _worker(said: Message) -> Worker:
    return Worker(
        slot=number_in(said, "slot") or 0,
        pid=number_in(said, "pid") or 0,
        base=text_in(said, "base"),
        seq=number_in(said, "seq") or 0,
        snapshot_age_s=number_in(said, "snapshot_age_s"),
        overlay_age_s=number_in(said, "overlay_age_s"),
        connections=number_in(said, "connections"),
        audit_queued=number_in(said, "audit_queued"),
        audit_failing=said.get("audit_failing") is True,
        longest_stall_ms=amount_in(said, "longest_stall_ms"),
        heard_age_s=amount_in(said, "heard_age_s"),
        clock_ahead_s=number_in(said, "clock_ahead_s"),
    )


def _catalog(said: Message) -> Catalog:
    held = said.get("held")
    return Catalog(
        pid=number_in(said, "pid") or 0,
        base=text_in(said, "base"),
        published_age_s=number_in(said, "published_age_s"),
        read_age_s=number_in(said, "read_age_s"),
        failure=text_in(said, "failure"),
        services=number_in(said, "services") or 0,
        errors=number_in(said, "errors") or 0,
        warnings=number_in(said, "warnings") or 0,
        faults=texts_of(said.get("faults")),
        held=tuple(
            Lost(str(kind), number_in(each, "count") or 0, texts_of(each.get("first")))
            for kind, each in (held.items() if isinstance(held, dict) else ())
            if isinstance(each, dict)
        ),
        mark=text_in(said, "mark"),
        followed=tuple(_followed(each) for each in objects_in(said, "catalogs")),
    )


def _followed(said: Message) -> Followed:
    return Followed(
        name=text_in(said, "name"),
        url=text_in(said, "url"),
        entities=number_in(said, "entities") or 0,
        age_s=amount_in(said, "age_s"),
        wait_s=amount_in(said, "wait_s") or 0.0,
        took_ms=number_in(said, "took_ms") or 0,
        full_took_ms=number_in(said, "full_took_ms") or 0,
        delay_s=amount_in(said, "delay_s"),
        fault=text_in(said, "fault"),
        fix=text_in(said, "fix"),
    )
