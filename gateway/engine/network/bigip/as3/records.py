"""Whose host is whose, as a tenant's declaration has it in its data groups `hosts` and `policy`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from gateway.engine.network.bigip.as3.names import HOSTS, POLICY, SHARED

NOBODY: Final = "-"


class Record(NamedTuple):
    """``owner`` is "" where nobody owns it; ``version`` is of what is decided at that place."""

    entity: str
    owner: str = ""
    version: str = ""


def record_of(value: object) -> Record:
    """From the value `entity owner version`. Anything else is an entity of that name: shown, never trusted."""
    words = str(value).split(" ")
    if len(words) != 3:
        return Record(str(value))
    entity, owner, version = words
    return Record(entity, "" if owner == NOBODY else owner, version)


def records_in(group: object) -> dict[str, str]:
    """Key -> value of a declared data group; none where it is none."""
    records = group.get("records") if isinstance(group, dict) else None
    return {
        str(each.get("key", "")): str(each.get("value", ""))
        for each in (records if isinstance(records, list) else ())
        if isinstance(each, dict)
    }


def hosts_in(tenant: Mapping[str, Any]) -> dict[str, Record]:
    """Place (`host` or `host/path`) -> its record."""
    shared = tenant.get(SHARED)
    group = shared.get(HOSTS) if isinstance(shared, dict) else None
    return {place: record_of(value) for place, value in records_in(group).items()}


def policy_in(tenant: Mapping[str, Any], environment: str) -> str:
    """The base id that the device names, "" for none."""
    shared = tenant.get(SHARED)
    return records_in(shared.get(POLICY) if isinstance(shared, dict) else None).get(environment, "")


def entities_of(tenant: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(sorted({record.entity for record in hosts_in(tenant).values()}))


def stamp(service: Mapping[str, Any], name: str) -> str:
    """One of our marks in an object's metadata, `entity`, `owner` or `policy`."""
    metadata = service.get("metadata")
    said = metadata.get(f"stagedoor.{name}") if isinstance(metadata, dict) else None
    value = said.get("value") if isinstance(said, dict) else None
    return value if isinstance(value, str) else ""
