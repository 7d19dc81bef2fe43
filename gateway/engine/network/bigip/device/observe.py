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

from gateway.config.devices import BigipEnvironment
from gateway.engine.network.bigip.as3.names import MARK
from gateway.engine.network.bigip.as3.records import entities_of
from gateway.engine.network.bigip.device.answers import is_no_tenant
from gateway.engine.network.bigip.device.client import Client
from gateway.engine.network.bigip.device.icontrol import COLLECTIONS, STATES, found
from gateway.engine.network.bigip.device.lock_key import MEMBER, lock_key_of
from gateway.engine.network.bigip.device.references import references_of
from gateway.engine.network.bigip.device.units import IN_STEP, sync_of
from gateway.engine.network.bigip.drains import drains_of
from gateway.engine.network.bigip.objects import Parts
from gateway.engine.network.faults import Busy, Unreachable
from gateway.engine.network.plans.phrases import clean, count
from gateway.engine.network.plans.plan import Observed

T = TypeVar("T")

DECLARE: Final = "/mgmt/shared/appsvcs/declare"
TOLD: Final = 10  # drained members that are named
PAGED: Final = frozenset(("virtual",))  # what there is one of, or two, for each service with an address of its own
PAGE: Final = 1000  # objects: some 6 MB with all that a virtual server shows
PAGES: Final = 16
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
    """Of one collection, page by page where it grows with the catalog. What a page answered is let go at once: a
    hostile answer is large, and there are nine collections."""
    parts: Parts = {}
    totals: set[int] = set()
    for page in range(PAGES if path in PAGED else 1):
        answer = await client.read(_collection(path, name, page))
        if not isinstance(answer, dict):
            raise Unreachable(f"{client.where} answers for `{path}` with what is no collection")
        shown = found(path, answer)
        known = len(parts)
        parts |= shown
        if type(total := answer.get("totalItems")) is int:
            totals.add(total)
        if path not in PAGED or len(shown) != PAGE or len(parts) == known:  # all, or no pages
            if path in PAGED and not totals <= {len(parts)}:  # each page says how many there were just then
                among = " or ".join(map(str, sorted(totals)))
                raise Busy(f"{client.where} changed while its `{path}` were read: {len(parts)} of {among} were shown")
            return {at: part for at, part in parts.items() if at.startswith(f"/{name}/")}
    raise Unreachable(f"{client.where} has more than {PAGES * PAGE} `{path}` in `{name}`, more than are read")


def fingerprint_of(name: str, declaration: Mapping[str, Any] | None, lock_key: str, parts: Parts) -> str:
    """Empty where there is nothing; else 64 hexadecimal digits. The declaration's id is not in it: it is that of
    whoever declared anything last, in any tenant."""
    if declaration is None and not parts:
        return ""
    configured = {
        path: {key: value for key, value in part.items() if key not in STATES} for path, part in parts.items()
    }
    return sha256(orjson.dumps([name, lock_key, configured], option=orjson.OPT_SORT_KEYS)).hexdigest()


def _collection(path: str, name: str, page: int) -> str:
    more = "expandSubcollections=true&" if COLLECTIONS[path] else ""
    part = f"&$top={PAGE}&$skip={page * PAGE}" if path in PAGED else ""
    return f"/mgmt/tm/ltm/{path}?{more}$filter=partition+eq+{name}{part}"


async def together(*reads: Awaitable[Any]) -> list[Any]:
    """All of them at once. The first fault is raised when all have ended: none is left behind."""
    ended = await asyncio.gather(*reads, return_exceptions=True)
    for each in ended:
        if isinstance(each, BaseException):
            raise each
    return ended
