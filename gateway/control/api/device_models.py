"""How network devices are answered, for the API and for the pages: bounded values in no vendor's words.

What the engine says is read through these models: a field that is missing or of another kind makes no answer.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from gateway.control.api.routes import Answer

Instant = Annotated[str | None, Field(description="RFC 3339, UTC; null: never.")]
Value = Annotated[str | None, Field(description="As JSON text, shortened; null: nothing.")]


class WaitingAnswer(Answer):
    """Of the plan that waits."""

    steps: int
    removals: int = Field(description="Services and objects that it takes away.")
    cautions: int = Field(description="Steps to look at twice.")
    first: list[str] = Field(description="The sentences of its first steps.")
    since: Instant
    holds: list[str] = Field(description="Why the engine does not apply it by itself: guards, windows, a freeze.")


class StandingAnswer(Answer):
    """One environment on one device."""

    device: str
    environment: str
    mode: str = Field(description="`observe`, `plan` or `enforce`.")
    state: str = Field(
        description="`in-step`, `waiting`, `applying`, `fault`, `unread`, `no-wish`, `standby`: another node looks."
    )
    sentence: str
    fault: str
    looked: Instant
    synced: Instant = Field(description="When it was last as the catalog wants it.")
    waiting: WaitingAnswer
    drift: int
    drifts: list[str] = Field(description="The first of them, in sentences.")
    version: str = Field(description="Of the policy that the doors serve.")
    version_off: bool = Field(description="The device names another one.")
    applied: Instant
    applied_by: str = Field(description="`found`: the device was as wanted already.")
    applied_ticket: str
    applied_version: str
    applying: str = Field(description="By whom, while an apply runs.")
    unit: str = Field(description="The active unit, which was asked.")
    sync: str = Field(description="Of the device group, in the device's words.")
    remarks: list[str]


class DevicesAnswer(Answer):
    told: Instant = Field(description="When the engine of this node last said so.")
    engine_away: bool = Field(description="It does not answer now: this is what it said then.")
    total: int
    devices: list[StandingAnswer]


class StepAnswer(Answer):
    number: int
    kind: Literal["remove", "change", "add"]
    object: str
    sentence: str
    caution: str = Field(description="Why to look twice; empty: an everyday step.")
    entities: list[str]
    hosts: list[str] = Field(description="Whose callers notice it, beside those in the sentence.")
    more_hosts: int
    before: Value
    after: Value


class KindsAnswer(Answer):
    remove: int
    change: int
    add: int


class PlanAnswer(Answer):
    made: str
    version: str
    fingerprint: str = Field(description="Of the device's state that it was made from.")
    total: int
    kinds: KindsAnswer
    cautions: int
    remarks: list[str]
    steps: list[StepAnswer] = Field(description="As many as are shown; those with a caution are never left out first.")


class DifferenceAnswer(Answer):
    difference: str = Field(
        description="`edited`, `missing`, `foreign`, `drained`, `replaced`, `gone`, `expiring`, `version`."
    )
    object: str
    sentence: str
    intent: Value
    applied: Value
    device: Value
    todo: str
    command: str = Field(description="What begins to mend it; empty: nothing is to be run.")


class DriftAnswer(Answer):
    total: int
    counts: dict[str, int]
    differences: list[DifferenceAnswer]


class HindranceAnswer(Answer):
    code: str
    why: str
    todo: str


class PlaceAnswer(Answer):
    host: str
    path: str
    entity: str
    title: str
    owner: str


class VirtualServerAnswer(Answer):
    object: str
    address: str
    port: int
    hosts: int = Field(description="How many places clients meet there.")
    places: list[PlaceAnswer]


class FrontsAnswer(Answer):
    total: int = Field(description="Places of the environment.")
    servers: int
    virtual_servers: list[VirtualServerAnswer]


class HostCheckAnswer(Answer):
    host: str
    address: str
    port: int
    dns: Literal["right", "astray", "unchecked"]
    leads_to: list[str]
    certificate: Literal["covers", "ends-soon", "over", "lacks", "unseen", "unchecked"]
    ends: str = Field(description="Of the certificate that covers it, `2026-12-24`.")
    sentence: str = Field(description="What is wrong; empty: nothing.")


class ChecksAnswer(Answer):
    checked: str
    total: int
    well: int
    unchecked: int
    remarks: list[str]
    hosts: list[HostCheckAnswer] = Field(description="Those with something to say first.")


class ApplyAnswer(Answer):
    time: str
    begun: str
    by: str
    ticket: str
    plan: str = Field(description="Digest of the plan.")
    version: str
    steps: int
    removed: list[str]
    removals_approved: bool
    adopts: bool
    result: str = Field(description="`done`, `partly`, `failed`, …; empty: it runs, or its end was never recorded.")
    why: str
    task: str


class CommandsAnswer(Answer):
    plan: str
    apply: str
    drift: str
    adopt: str = Field("", description="Where what is there does not carry our mark.")


class DeviceAnswer(Answer):
    """``plan``, ``drift`` and ``fronts``: null before the first look."""

    told: Instant
    engine_away: bool
    device: StandingAnswer
    asks: list[HindranceAnswer] = Field(description="What stands against an apply by a person.")
    plan: PlanAnswer | None
    drift: DriftAnswer | None
    fronts: FrontsAnswer | None
    checks: ChecksAnswer | None = Field(description="Null: clients meet nothing there, or it is not known yet.")
    applies: list[ApplyAnswer] = Field(description="By this node, the newest first.")
    commands: CommandsAnswer
