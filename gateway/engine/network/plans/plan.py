"""A plan: the steps from what a device says to what the network should be, each in one sentence.

A plan is a value that people read, keep in a file, approve and apply later. It names the state of the device it was
made from (`fingerprint`), so that it is refused once somebody else has changed the device. Removals come first.
Vendor-neutral; how a step is carried out is its device's adapter's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, Protocol

from gateway.engine.network.desired import Desired

MOVED: Final = "virtualAddresses"  # ends the object of a step that changes an address


class Kind(StrEnum):
    """In the order in which they are carried out."""

    REMOVE = "remove"
    CHANGE = "change"
    ADD = "add"


@dataclass(frozen=True, slots=True)
class Step:
    """One difference. ``before`` and ``after`` are JSON values, None where there is nothing. A removal with an
    ``after`` hands on what it is about: the first of ``entities`` loses it, the next has it from then on. An addition
    with a ``before`` says whose ``entity`` answered there until now, and keeps what lies around it."""

    kind: Kind
    object: str  # where on the device: "/stagedoor_prod/Shared/hosts pay.example.com"
    sentence: str  # "Adds pay.example.com (component:default/payments) to the hosts of prod; nobody is cut off."
    entities: tuple[str, ...] = ()  # catalog entries that it comes from
    hosts: tuple[str, ...] = ()  # whose callers notice it
    before: Any = None
    after: Any = None
    caution: str = ""  # why a reader should look twice; "" for what happens every day

    @property
    def moves(self) -> bool:
        """Whether callers find what it is about at another address from then on."""
        return self.kind is not Kind.ADD and self.object.endswith(f" {MOVED}")

    @property
    def hands_on(self) -> bool:
        """Whether somebody else has what it takes away."""
        return self.kind is Kind.REMOVE and self.after is not None

    @property
    def taken_from(self) -> str:
        """Of an addition below or amid what another service has: that service; else ""."""
        is_amid = self.kind is Kind.ADD and isinstance(self.before, Mapping)
        return str(self.before.get("entity", "")) if is_amid else ""

    @property
    def losers(self) -> tuple[str, ...]:
        """Of a removal: the services that lose by it."""
        return self.entities[:1] if self.hands_on else self.entities


class Difference(StrEnum):
    """What kind of drift was found."""

    EDITED = "edited"
    MISSING = "missing"
    FOREIGN = "foreign"  # an object in our tenant that we did not make
    DRAINED = "drained"  # an operator took a member out: kept
    REPLACED = "replaced"  # another writer declared over ours
    GONE = "gone"  # the whole tenant
    EXPIRING = "expiring"  # a certificate
    VERSION = "version"  # the device names another policy version than the doors serve
    MOVED = "moved"  # a rule of ours has another place, or what it lies by has
    EXTRA = "extra"  # a rule of others amid ours: left alone
    LOCKED = "locked"  # somebody else keeps us from writing
    UNCOMMITTED = "uncommitted"  # edits of ours, or on what is ours, that nobody has committed


@dataclass(frozen=True, slots=True)
class Drift:
    """Three values: what the catalog wants, what was applied last, what the device says now."""

    difference: Difference
    object: str
    sentence: str
    intent: Any = None
    applied: Any = None
    device: Any = None


@dataclass(frozen=True, slots=True)
class Observed:
    """What a device says about one environment. ``content`` is None where it has nothing of ours."""

    fingerprint: str  # changes whenever the content or its owner does; "" where there is nothing
    content: Any = None
    ours: bool = True  # False: something is there that does not carry our mark, and is not touched
    unit: str = ""  # the unit that was asked, the active one
    sync: str = ""  # of its device group, in the device's words
    remarks: tuple[str, ...] = ()  # what the reader of a plan should know: "2 members are drained by an operator"
    stops: tuple[tuple[str, str], ...] = ()  # why nothing may be written now, whoever asks, and what to do about it
    drained: tuple[str, ...] = ()  # members that an operator took out, to be kept so
    entities: tuple[str, ...] = ()  # catalog entries that it has something of
    parts: Mapping[str, Any] = field(default_factory=dict)  # objects as they are, by path, for drift


@dataclass(frozen=True, slots=True)
class Plan:
    """``content`` is what will be sent when every step is agreed to."""

    device: str
    environment: str
    made: str  # RFC 3339
    version: str  # of the policy, which the doors serve
    fingerprint: str  # of the state that it was made from
    steps: tuple[Step, ...]
    content: Any = None
    remarks: tuple[str, ...] = ()
    adopts: bool = False  # whether it may replace what does not carry our mark


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an apply ended. ``changed``: the device is not as it was before, whether that was wanted or not."""

    done: bool
    changed: bool
    sentence: str
    task: str = ""  # the device's id of what it did
    fingerprint: str = ""  # of the state afterwards


class Target(Protocol):
    """One environment on one device group. Raises `DeviceFault` (see `faults.py`) where the device cannot be
    reached, refuses, or answers what is no answer."""

    device: str
    environment: str

    async def observe(self) -> Observed: ...

    def plan(self, desired: Desired, observed: Observed, made: str) -> Plan:
        """No input or output, no clock. Of what is not ours too: then it says what would become of it."""
        ...

    def steps(self, content: Any, observed: Observed) -> tuple[Step, ...]:
        """What sending this content would do: the very steps that `plan` gives for it."""
        ...

    async def dry_run(self, plan: Plan) -> tuple[str, ...]:
        """What the device itself says that the plan would do, in sentences. It may leave traces on the device."""
        ...

    async def apply(self, plan: Plan, by: str = "") -> Outcome:
        """``by``: who wants it, for a device that keeps a history of its own. Refused unless the device still is as it
        was observed, and carries our mark, has nothing yet, or the plan ``adopts``. Verified by reading back; undone
        when it failed half-way and the device's content changed."""
        ...

    def drift(self, desired: Desired, applied: Any, observed: Observed) -> tuple[Drift, ...]:
        """``applied``: the `Plan.content` that was applied last, None if never."""
        ...
