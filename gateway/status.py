"""The state of a running node as its roles tell it, and what an operator should look at.

Control knows the workers and the issuers, the engine knows the catalog; each may be away, and what the other says is
shown all the same. Answers are read with care: a role of another version may say less, or something else.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from gateway.asking import CONTROL, ENGINE, Away, ask
from gateway.errors import StagedoorError
from gateway.link import Message

SILENT_S: Final = 5.0  # a worker speaks each second
OLD_S: Final = 900.0  # a catalog nobody could read for so long says little about today
STALE_S: Final = 15.0  # roles that are away longer than a restart takes


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

    def as_json(self) -> dict[str, Any]:
        """The stable form: every key is always there."""
        plain = self._asdict()
        plain["workers"] = [{"snapshot": each.snapshot, **each._asdict()} for each in self.workers]
        plain["issuers"] = [each._asdict() for each in self.issuers]
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
            yield from _catalog_findings(self.catalog)

    def _node_findings(self) -> Iterator[str]:
        if self.node != "up":
            yield f"the node is {self.node}"
        missing = sorted(set(range(self.wanted)) - {worker.slot for worker in self.workers})
        if missing:
            yield f"no worker in slot {', '.join(map(str, missing))}"
        for worker in self.workers:
            yield from (f"worker {worker.slot} (pid {worker.pid}) {said}" for said in _worker_findings(worker))


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
            raise Away(f"the node is not running: nobody listens in `{folder}`; start it with `stagedoor serve`")
        raise next(fault for fault in faults.values() if not isinstance(fault, Away))
    return _read(answers.get("control", {}), answers.get("engine"), {role: str(why) for role, why in faults.items()})


def catalog_of(folder: Path) -> Catalog:
    """What the engine alone says. Raises like `ask`."""
    return _catalog(ask(folder, ENGINE, {"t": "status"}, "status"))


def _worker_findings(worker: Worker) -> Iterator[str]:
    if worker.heard_age_s is not None and worker.heard_age_s > SILENT_S:
        yield f"has been silent for {worker.heard_age_s:.0f} s"
    if not worker.base:
        yield "has no policy, every request is `policy_unavailable`"
    if worker.audit_failing:
        yield "cannot write its audit trail"
    if (worker.snapshot_age_s or 0) > STALE_S:
        yield f"has not heard the engine for {worker.snapshot_age_s} s"
    if (worker.overlay_age_s or 0) > STALE_S:
        yield f"has not heard control for {worker.overlay_age_s} s"


def _catalog_findings(catalog: Catalog) -> Iterator[str]:
    if catalog.failure:
        yield f"the catalog could not be compiled: {catalog.failure}"
    if not catalog.base:
        yield "nothing is published yet"
    for each in catalog.followed:
        if each.fault:
            since = "it was never read" if each.age_s is None else f"what was read {each.age_s:.0f} s ago counts"
            yield f"catalog {each.name} is away, {since}: {each.fault}" + (f"; {each.fix}" if each.fix else "")
        elif each.age_s is not None and each.age_s > OLD_S:
            yield f"catalog {each.name} was last read {each.age_s:.0f} s ago"
    if catalog.errors:
        first = next(iter(catalog.faults), "")
        more = " … (`stagedoor check` lists all that is in the files)" if catalog.errors > 1 else ""
        yield f"the catalog has {catalog.errors} error{'s' if catalog.errors > 1 else ''}: {first}{more}"
    if catalog.held:
        counts = ", ".join(f"{lost.gone} of kind {lost.kind}" for lost in catalog.held)
        yield f"losses are held ({counts}): bring them back, or run `stagedoor catalog accept-losses`"


# === answers ===


def _read(control: Message, engine: Message | None, away: Mapping[str, str]) -> NodeStatus:
    return NodeStatus(
        node=_text(control, "node") or "unknown",
        version=_text(control, "version"),
        control_pid=_number(control, "pid") or 0,
        supervisor_pid=_number(control, "supervisor_pid") or 0,
        wanted=_number(control, "workers") or 0,
        seq=_number(control, "seq") or 0,
        live_seq=_number(control, "live_seq") or 0,
        workers=tuple(_worker(each) for each in _objects(control, "roles") if each.get("role") == "door"),
        issuers=tuple(
            Issuer(_text(each, "name"), _number(each, "keys") or 0, _number(each, "age_s"), _text(each, "fault"))
            for each in _objects(control, "issuers")
        ),
        catalog=None if engine is None else _catalog(engine),
        away=dict(away),
        store_fault=_text(control, "store_fault"),
    )


def _worker(said: Message) -> Worker:
    return Worker(
        slot=_number(said, "slot") or 0,
        pid=_number(said, "pid") or 0,
        base=_text(said, "base"),
        seq=_number(said, "seq") or 0,
        snapshot_age_s=_number(said, "snapshot_age_s"),
        overlay_age_s=_number(said, "overlay_age_s"),
        connections=_number(said, "connections"),
        audit_queued=_number(said, "audit_queued"),
        audit_failing=said.get("audit_failing") is True,
        longest_stall_ms=_amount(said, "longest_stall_ms"),
        heard_age_s=_amount(said, "heard_age_s"),
    )


def _catalog(said: Message) -> Catalog:
    held = said.get("held")
    return Catalog(
        pid=_number(said, "pid") or 0,
        base=_text(said, "base"),
        published_age_s=_number(said, "published_age_s"),
        read_age_s=_number(said, "read_age_s"),
        failure=_text(said, "failure"),
        services=_number(said, "services") or 0,
        errors=_number(said, "errors") or 0,
        warnings=_number(said, "warnings") or 0,
        faults=_texts(said.get("faults")),
        held=tuple(
            Lost(str(kind), _number(each, "count") or 0, _texts(each.get("first")))
            for kind, each in (held.items() if isinstance(held, dict) else ())
            if isinstance(each, dict)
        ),
        mark=_text(said, "mark"),
        followed=tuple(_followed(each) for each in _objects(said, "catalogs")),
    )


def _followed(said: Message) -> Followed:
    return Followed(
        name=_text(said, "name"),
        url=_text(said, "url"),
        entities=_number(said, "entities") or 0,
        age_s=_amount(said, "age_s"),
        wait_s=_amount(said, "wait_s") or 0.0,
        took_ms=_number(said, "took_ms") or 0,
        full_took_ms=_number(said, "full_took_ms") or 0,
        delay_s=_amount(said, "delay_s"),
        fault=_text(said, "fault"),
        fix=_text(said, "fix"),
    )


def _text(said: Message, name: str) -> str:
    value = said.get(name)
    return value if isinstance(value, str) else ""


def _number(said: Message, name: str) -> int | None:
    value = said.get(name)
    return value if type(value) is int else None


def _amount(said: Message, name: str) -> float | None:
    value = said.get(name)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _texts(said: object) -> tuple[str, ...]:
    return tuple(each for each in said if isinstance(each, str)) if isinstance(said, Sequence) else ()


def _objects(said: Message, name: str) -> list[Message]:
    value = said.get(name)
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []
