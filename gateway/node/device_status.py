"""How the network devices of a node stand, as its engine tells it, and what an operator should look at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from gateway.link import Message
from gateway.node.careful import amount_in, number_in, text_in, texts_of

SILENT_S: Final = 600.0  # a device is looked at each minute, and asked again within four where it is in trouble
# Of the tags of a firewall.
_TEXTS: Final = ("mode", "state", "version", "unit", "fault", "never_mapped_fault")
_AGES: Final = ("judged_age_s", "synced_age_s")
_COUNTS: Final = (
    "addresses", "users", "timed", "registered", "revocations", "losses", "renewals", "gains", "refused",
    "never_mapped", "wholes", "requests",
)  # fmt: skip
_LISTS: Final = ("waits", "refusals", "never_mapped_first", "remarks")


class DeviceStanding(NamedTuple):
    """One environment on one device. Ages are seconds, None: never. ``version``: what the doors serve;
    ``version_off``: the device names another one."""

    device: str
    environment: str
    mode: str
    state: str
    looked_age_s: float | None
    synced_age_s: float | None
    steps: int
    removes: int
    cautions: int
    first: tuple[str, ...]
    waiting_age_s: float | None
    waits: tuple[str, ...]
    fault: str
    drift: int
    drifts: tuple[str, ...]
    version: str
    version_off: bool
    applied_age_s: float | None
    applied_version: str
    applied_by: str
    applied_ticket: str
    applying: str
    unit: str
    sync: str
    remarks: tuple[str, ...]
    tags: Mapping[str, Any] | None  # of the whole firewall, None for what has none

    def findings(self) -> Iterator[str]:
        """What is not as it should be, each in a sentence."""
        name = f"{self.environment} on {self.device}"
        if self.fault:
            yield f"{name}: {self.fault}"
        elif self.state != "standby" and (self.looked_age_s or 0.0) > SILENT_S:
            yield f"{name} was last looked at {self.looked_age_s:.0f} s ago"
        if self.steps and self.waits and self.state == "waiting":
            yield f"{name}: {self.steps} step{'' if self.steps == 1 else 's'} wait: {self.waits[0]}"
        if self.drift:
            more = " …" if self.drift > 1 else ""
            first = f": {self.drifts[0]}{more}" if self.drifts else ""
            yield f"{name} differs from what was applied ({self.drift}){first} (`stagedoor drift`)"
        if self.tags is not None:
            yield from _of_tags(self.device, self.tags)


def _of_tags(device: str, tags: Mapping[str, Any]) -> Iterator[str]:
    """The same for each environment of a firewall."""
    if tags["fault"]:
        late = f" ({tags['revocations']} tags are still to be revoked)" if tags["revocations"] else ""
        yield f"tags of {device}: {tags['fault']}{late}"
    elif tags["waits"] and tags["state"] == "waiting":
        yield f"tags of {device}: {tags['waits'][0]} (`stagedoor plan --tags --device {device}`)"
    if tags["refused"]:
        first = f": {tags['refusals'][0]}" if tags["refusals"] else ""
        yield f"{device} did not take the tags of {tags['refused']} addresses or users{first}"


def standing_of(said: Message) -> DeviceStanding:
    return DeviceStanding(
        device=text_in(said, "device"),
        environment=text_in(said, "environment"),
        mode=text_in(said, "mode"),
        state=text_in(said, "state"),
        looked_age_s=amount_in(said, "looked_age_s"),
        synced_age_s=amount_in(said, "synced_age_s"),
        steps=number_in(said, "steps") or 0,
        removes=number_in(said, "removes") or 0,
        cautions=number_in(said, "cautions") or 0,
        first=texts_of(said.get("first")),
        waiting_age_s=amount_in(said, "waiting_age_s"),
        waits=texts_of(said.get("waits")),
        fault=text_in(said, "fault"),
        drift=number_in(said, "drift") or 0,
        drifts=texts_of(said.get("drifts")),
        version=text_in(said, "version"),
        version_off=said.get("version_off") is True,
        applied_age_s=amount_in(said, "applied_age_s"),
        applied_version=text_in(said, "applied_version"),
        applied_by=text_in(said, "applied_by"),
        applied_ticket=text_in(said, "applied_ticket"),
        applying=text_in(said, "applying"),
        unit=text_in(said, "unit"),
        sync=text_in(said, "sync"),
        remarks=texts_of(said.get("remarks")),
        tags=_tags_of(said.get("tags")),
    )


def _tags_of(said: object) -> Mapping[str, Any] | None:
    if not isinstance(said, dict):
        return None
    return {
        **{name: text_in(said, name) for name in _TEXTS}, **{name: amount_in(said, name) for name in _AGES},
        **{name: number_in(said, name) or 0 for name in _COUNTS},
        **{name: texts_of(said.get(name)) for name in _LISTS},
    }  # fmt: skip
