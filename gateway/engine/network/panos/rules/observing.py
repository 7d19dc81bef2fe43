"""One look at an environment's rules on the active unit: what runs, whose it is, and who is at work there.

A rule is ours if it has our name and tags and this installation made it: the device gives every rule an identity, and
those that we made are remembered in the state folder. A rule that looks like ours and is not known is somebody's copy,
or of a memory that was lost; either way a person says so before anything is touched.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, NamedTuple

from gateway.engine.network.history.ledger import Applied, Ledger
from gateway.engine.network.panos.commit.change import of_others
from gateway.engine.network.panos.commit.lagging import Lag, lag_of
from gateway.engine.network.panos.device.client import Client
from gateway.engine.network.panos.device.locks import locks_of, pending_of, whoami
from gateway.engine.network.panos.device.state import Availability
from gateway.engine.network.panos.rules.block import Block, Fault, Sighted
from gateway.engine.network.panos.rules.wording import about
from gateway.engine.network.plans.phrases import count, some
from gateway.engine.network.plans.plan import Observed

FOLDER: Final = "rules"
_DIGITS: Final = 32
_TOLD: Final = 3


class Memory:
    """The identities of the rules of one environment that this installation made; "" of one that it is about to make.
    Blocks on the disk."""

    def __init__(self, state_folder: Path, device: str, environment: str) -> None:
        self._ledger = Ledger(state_folder, FOLDER)
        self._where = device, environment

    def read(self) -> dict[str, str]:
        held = self._ledger.read(*self._where)
        return dict(held.content) if held is not None and isinstance(held.content, dict) else {}

    def write(self, identities: Mapping[str, str]) -> None:
        """Raises `OSError`."""
        self._ledger.write(*self._where, Applied(dict(identities), "", "", "", 0.0, ""))


class Look(NamedTuple):
    observed: Observed
    sighted: Sighted


async def look_at(
    client: Client, availability: Availability, block: Block, memory: Memory, *, foreign: bool = False
) -> Look:
    """Nothing is written. ``foreign``: with what the rules of others say. Raises `DeviceFault`."""
    sighted = await block.sighted(client, "running", foreign=foreign)
    known = await asyncio.to_thread(memory.read)
    unknown = [name for name, uuid in sighted.uuids.items() if known.get(name, None) not in ("", uuid)]
    work = await _at_work(client, block, sighted)
    lag = await lag_of(client, block.device, block.tag, sighted.content["rules"])
    content = None if sighted.is_empty else sighted.content
    mark = await asyncio.to_thread(_fingerprint, sighted, unknown, lag.behind) if content or lag.behind else ""
    return Look(
        Observed(
            fingerprint=mark,
            content=content,
            ours=not unknown,
            unit=client.unit,
            sync=availability.sync,
            remarks=tuple(_remarks(sighted, lag)),
            stops=(*sighted.faults, *_doubts(sighted.alike), *work.locks, *work.edits),
            entities=await asyncio.to_thread(_entities, sighted),
            parts={
                "unknown": unknown,
                "alike": sighted.alike,
                "extra": [name for name in sighted.extra if name not in sighted.alike],
                "astray": sighted.astray,
                "anchors": [*(why for why, _ in sighted.faults), *_awake(sighted)],
                "locks": [*(why for why, _ in work.locks), *work.kept],
                "behind": lag.behind,
                "pending": [*(why for why, _ in work.edits), *work.own],
            },
        ),
        sighted,
    )


class _Work(NamedTuple):
    """``locks`` and ``edits`` of others stop us; what we have left in the candidate ourselves, ``own``, and locks that
    our administrator holds, ``kept``, do not: the next apply takes back what a dead one left."""

    locks: list[Fault]
    edits: list[Fault]
    own: list[str]
    kept: list[str]


async def _at_work(client: Client, block: Block, sighted: Sighted) -> _Work:
    me = await whoami(client)
    scopes = (block.place.scope, "shared")
    held = await locks_of(client)
    locks = [lock for lock in held if lock.admin != me and lock.scope in scopes]
    pending = await pending_of(client)
    change = await asyncio.to_thread(block.change, None, sighted.content) if pending else None
    others = of_others(pending, change.ours, me) if change is not None else ()
    mine = sum(each.owner == me for each in pending)
    return _Work(
        [(f"there is a {lock}", "ask its holder to release it") for lock in locks],
        [(f"`{each.owner}` has edited `{each.xpath}` and not committed it", "ask them to") for each in others[:_TOLD]],
        [f"{count(mine, 'edit')} of our own administrator lie in the candidate, not committed"] if mine else [],
        [f"there is a {lock}, our own: a change is under way, or died" for lock in held if lock.admin == me],
    )


def _doubts(alike: Iterable[str]) -> list[Fault]:
    found = tuple(alike)
    if not found:
        return []
    if len(found) > 1:
        return [(f"{some(found)} have names of ours and not our tags", "give them the tags back, or other names")]
    return [(f"{some(found)} has a name of ours and not our tags", "give it the tags back, or another name")]


def _awake(sighted: Sighted) -> list[str]:
    return [f"the rule `{name}` only marks a place, and is not disabled: it decides itself" for name in sighted.awake]


def _remarks(sighted: Sighted, lag: Lag) -> Iterable[str]:
    yield from _awake(sighted)
    if lag.away:
        yield f"{count(len(lag.away), 'firewall')} of the group cannot be asked what they have: {some(lag.away)}"
    by_why: dict[str, list[str]] = {}
    for serial, why in lag.mute.items():
        by_why.setdefault(why, []).append(serial)
    for why, serials in by_why.items():
        said = "does not say what it has" if len(serials) == 1 else "do not say what they have"
        yield f"{count(len(serials), 'firewall')} of the group {said}, {some(serials)}: {why}"
    if sighted.extra:
        yield f"{count(len(sighted.extra), 'rule')} of others lie amid ours and stay there: {some(sighted.extra)}"


def _fingerprint(sighted: Sighted, unknown: list[str], behind: Iterable[str]) -> str:
    digest = sha256()
    for said in (*_pieces(sighted.content), sighted.uuids, unknown, *behind):
        digest.update(json.dumps(said, sort_keys=True).encode() + b"\n")
    return digest.hexdigest()[:_DIGITS]


def _pieces(content: Mapping[str, Any]) -> Iterator[Any]:
    """A text of all at once would hold up everybody else meanwhile."""
    for kind, said in sorted(content.items()):
        yield kind
        yield from said.items() if isinstance(said, dict) else said


def _entities(sighted: Sighted) -> tuple[str, ...]:
    told = (about(rule, sighted.content["environment"]).ref for rule in sighted.content["rules"])
    return tuple(sorted(set(filter(None, told))))
