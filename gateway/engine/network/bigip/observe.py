"""What the active unit says about one environment's tenant, read and never written: twelve requests, in a few moments.

Two things are read: the declaration that AS3 keeps, whose lock key tells whether another writer declared something
else, and the objects themselves, which operators edit by hand without AS3 knowing. The fingerprint covers both, but
not what monitors and operators make of members: a drain is no other configuration.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from itertools import islice
from typing import Any, Final, TypeVar

import orjson

from gateway.config_devices import BigipEnvironment
from gateway.engine.network.bigip.answers import is_no_tenant
from gateway.engine.network.bigip.client import Client
from gateway.engine.network.bigip.drains import drains_of
from gateway.engine.network.bigip.icontrol import COLLECTIONS, STATES, found
from gateway.engine.network.bigip.lock_key import MEMBER, lock_key_of
from gateway.engine.network.bigip.names import MARK
from gateway.engine.network.bigip.objects import Parts
from gateway.engine.network.bigip.phrases import clean, count
from gateway.engine.network.bigip.records import entities_of
from gateway.engine.network.bigip.references import references_of
from gateway.engine.network.bigip.units import IN_STEP, sync_of
from gateway.engine.network.faults import Unreachable
from gateway.engine.network.plan import Observed

T = TypeVar("T")

DECLARE: Final = "/mgmt/shared/appsvcs/declare"
TOLD: Final = 10  # drained members that are named
NAME_MOST: Final = 200  # characters of a name that a device made


@dataclass(frozen=True, slots=True)
class Sight:
    """``lock_key`` is "" where there is no tenant. ``declaration`` is whole, without the key."""

    observed: Observed
    lock_key: str = ""

    def tenant(self, name: str) -> dict[str, Any]:
        content = self.observed.content
        return content[name] if content is not None else {}


async def observe(client: Client, name: str, environment: BigipEnvironment) -> Sight:
    """Of the tenant ``name``. Raises `DeviceFault`."""
    declaration, parts, sync, references = await together(
        declaration_of(client, name), parts_of(client, name), sync_of(client), references_of(client, environment)
    )
    tenant = declaration[name] if declaration is not None else {}
    key = tenant.pop(MEMBER, None) if declaration is not None else ""
    lock_key = key if isinstance(key, str) else lock_key_of(tenant)
    drains = drains_of(parts)
    remarks = _remarks_on(drains)
    if sync.status and sync.status not in IN_STEP:
        remarks.append(f"the device group is not in step: `{sync.status}`")
    if declaration is None and parts:
        remarks.append(f"partition `{name}` holds {len(parts)} objects that AS3 did not make")
    remarks += [said["remark"] for said in references.values() if "remark" in said]
    observed = Observed(
        fingerprint=fingerprint_of(name, declaration, lock_key, parts),
        content=declaration,
        ours=tenant.get("label") == MARK if declaration is not None else not parts,
        unit=client.unit,
        sync=sync.status,
        remarks=tuple(remarks),
        drained=(*(clean(path, NAME_MOST) for path in islice(drains, TOLD)), *_more(drains)),
        entities=entities_of(tenant),
        parts=parts | references,
    )
    return Sight(observed, lock_key)


def _remarks_on(drains: Mapping[str, str]) -> list[str]:
    told = [
        f"`{clean(path, NAME_MOST)}` was drained by an operator (`{state}`) and stays so"
        for path, state in islice(drains.items(), TOLD)
    ]
    return [*told, *(f"{each}: drained by operators, and they stay so" for each in _more(drains))]


def _more(drains: Mapping[str, str]) -> list[str]:
    return [count(len(drains) - TOLD, "more member")] if len(drains) > TOLD else []


async def declaration_of(client: Client, name: str) -> dict[str, Any] | None:
    """What AS3 keeps, with the tenant's lock key; None where it keeps nothing. Raises `DeviceFault`."""
    said = await client.read(f"{DECLARE}/{name}?showHash=true", missing=is_no_tenant)
    if said is None:
        return None
    if not isinstance(said, dict) or not isinstance(said.get(name), dict):
        raise Unreachable(f"{client.where} answers for tenant `{name}` with what is no declaration of it")
    return said


async def parts_of(client: Client, name: str) -> Parts:
    """The objects in the partition. Raises `DeviceFault`."""
    parts: Parts = {}
    for each in await together(*(_parts_at(client, path, name) for path in COLLECTIONS)):
        parts |= each
    return parts


async def _parts_at(client: Client, path: str, name: str) -> Parts:
    """Of one collection. What it answered is let go at once: a hostile answer is large, and there are nine."""
    answer = await client.read(_collection(path, name))
    if not isinstance(answer, dict):
        raise Unreachable(f"{client.where} answers for `{path}` with what is no collection")
    return {at: part for at, part in found(path, answer).items() if at.startswith(f"/{name}/")}


def fingerprint_of(name: str, declaration: Mapping[str, Any] | None, lock_key: str, parts: Parts) -> str:
    """ "" where there is nothing; else 64 hexadecimal digits. The declaration's id is not in it: it is that of whoever
    declared anything last, in any tenant."""
    if declaration is None and not parts:
        return ""
    configured = {
        path: {key: value for key, value in part.items() if key not in STATES} for path, part in parts.items()
    }
    return sha256(orjson.dumps([name, lock_key, configured], option=orjson.OPT_SORT_KEYS)).hexdigest()


def _collection(path: str, name: str) -> str:
    more = "expandSubcollections=true&" if COLLECTIONS[path] else ""
    return f"/mgmt/tm/ltm/{path}?{more}$filter=partition+eq+{name}"


async def together(*reads: Awaitable[Any]) -> list[Any]:
    """All of them at once. The first fault is raised when all have ended: none is left behind."""
    ended = await asyncio.gather(*reads, return_exceptions=True)
    for each in ended:
        if isinstance(each, BaseException):
            raise each
    return ended
