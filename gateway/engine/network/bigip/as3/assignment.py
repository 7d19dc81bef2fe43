"""Which component has which virtual address, remembered in the state folder, one file per device and environment.

An address is somebody's for as long as they are there, and nobody's for 30 days after: DNS, caches and firewalls of
others outlive a catalog entry, and must not lead to somebody else. Who comes back within that time finds their own. An
address that an owner says (`virtual-address`) is theirs unless it is another component's, or was; who says it no more
but is still there has given it up, and another may say it at once. The rest come from the networks of the environment,
where `addresses: pool` says so, for as many as one tenant holds. Which one is a hash of the component's ref, so that
even a lost file gives most of them the same again; a damaged one is never taken for none.
"""

from __future__ import annotations

import json
import os
import threading
from collections import Counter
from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from hashlib import sha256
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Final
from urllib.parse import quote

from gateway import telemetry
from gateway.config.devices import Bigip, BigipEnvironment
from gateway.engine.network.bigip.as3.names import MOST_APPLICATIONS, application_name
from gateway.engine.network.desired import Desired
from gateway.engine.network.faults import DeviceFault

FOLDER: Final = "devices"
VERSION: Final = 1
REST_S: Final = 30 * 86_400
RESTING_MOST: Final = 4  # addresses of one component, the newest: who says another one each day takes them from nobody


@dataclass(slots=True)
class _Held:
    """``resting``: address → whose it was, and since when (epoch seconds) it is nobody's."""

    held: dict[str, str] = field(default_factory=dict)  # component ref → address
    resting: dict[str, tuple[str, int]] = field(default_factory=dict)


class Assignment:
    """Of one node: nobody else writes these files. May be asked from any thread, and blocks on the disk."""

    def __init__(self, state_folder: Path | str) -> None:
        self._folder = Path(state_folder) / FOLDER
        self._known: dict[Path, _Held] = {}
        self._told: dict[tuple[Path, str], list[str]] = {}  # who has no address, as the log has it
        self._lock = threading.Lock()

    def assign(
        self, device: Bigip, environment: BigipEnvironment, desired: Desired, now: int, *, keep: bool = True
    ) -> Mapping[str, str]:
        """Component ref → its own address; who is not named has none. On the disk when this returns, unless it is only
        asked (``keep``). ``now`` in epoch seconds. Raises `DeviceFault` when the file can be neither read nor written:
        addresses that were forgotten would be given to others."""
        path = self._folder / f"{quote(device.name, safe='')}@{quote(environment.environment, safe='')}.addresses"
        with self._lock:
            before = self._known.get(path) or _read(path)
            after = _next(before, environment, desired, now)
            if keep:
                if after != before:
                    _write(path, after)
                self._known[path] = after
            if keep:
                self._tell(path, device, environment, desired, after)
        return after.held

    def _tell(self, path: Path, device: Bigip, environment: BigipEnvironment, desired: Desired, after: _Held) -> None:
        """Once, until others are concerned."""
        present = {place.entity for place in desired.places}
        namesakes = namesakes_of(after.held.keys(), present)
        without = present - after.held.keys() - namesakes if environment.addresses == "pool" else set[str]()
        said = {"device_addresses_exhausted": sorted(without), "device_names_taken": sorted(namesakes)}
        for event, components in said.items():
            if components != self._told.get((path, event), []):
                self._told[path, event] = components
                if components:
                    telemetry.log(event, level="warning", device=device.name, environment=environment.environment,
                                  components=components[:20])  # fmt: skip


# ---- who has what ----


def _next(before: _Held, environment: BigipEnvironment, desired: Desired, now: int) -> _Held:
    networks = [ip_network(network) for network in environment.networks]
    said = _said(desired, environment, networks)
    present = {place.entity for place in desired.places}
    pooled = present - said.keys() if environment.addresses == "pool" else frozenset()
    after = _Held()
    for entity, address in before.held.items():
        fits = _lies_in(address, networks) and address != environment.virtual_address
        if fits and (said.get(entity) == address or entity in pooled):
            after.held[entity] = address
    taken = {address: entity for entity, address in after.held.items()}
    after.resting = _resting(before, after, now)
    namesakes = namesakes_of(after.held.keys(), present)
    said = {entity: address for entity, address in said.items() if entity not in namesakes}
    willing = present - pooled  # to give up what they do not say any more
    for entity, address in sorted(said.items()):
        whose, _ = after.resting.get(address, (entity, now))
        is_given_up = whose in willing and said.get(whose) != address
        if address not in taken and (whose == entity or is_given_up) and len(after.held) < MOST_APPLICATIONS:
            after.held[entity] = address
            taken[address] = entity
            after.resting.pop(address, None)
    _fill(after, sorted(pooled - after.held.keys() - namesakes), taken, environment, networks)
    return after


def namesakes_of(held: Set[str], present: Set[str]) -> set[str]:
    """Components whose application would be called like another's: who has an address keeps the name, else the first
    by ref has it. Somebody made that on purpose."""
    names: dict[str, str] = {}
    for entity in (*sorted(held), *sorted(present - held)):
        names.setdefault(application_name(entity), entity)
    return {entity for entity in present if names[application_name(entity)] != entity}


def _said(desired: Desired, environment: BigipEnvironment, networks: list[IPv4Network | IPv6Network]) -> dict[str, str]:
    """What owners say; the environment's own address needs no virtual server of its own."""
    return {
        place.entity: place.address
        for place in desired.places
        if place.address and place.address != environment.virtual_address and _lies_in(place.address, networks)
    }


def _resting(before: _Held, after: _Held, now: int) -> dict[str, tuple[str, int]]:
    resting = {address: (whose, since) for address, (whose, since) in before.resting.items() if since > now - REST_S}
    gone = {address: (entity, now) for entity, address in before.held.items() if entity not in after.held}
    kept: dict[str, tuple[str, int]] = {}
    times: Counter[str] = Counter()
    for address, (whose, since) in sorted((resting | gone).items(), key=lambda each: (-each[1][1], each[0])):
        times[whose] += 1
        if times[whose] <= RESTING_MOST:
            kept[address] = (whose, since)
    return dict(reversed(kept.items()))  # the newest last


def _fill(
    after: _Held,
    waiting: list[str],
    taken: dict[str, str],
    environment: BigipEnvironment,
    networks: list[IPv4Network | IPv6Network],
) -> None:
    """Give each who waits an address of the pool: their own of before, else a free one."""
    own = {whose: address for address, (whose, _) in after.resting.items() if _lies_in(address, networks)}
    for entity in waiting:
        if len(after.held) >= MOST_APPLICATIONS:
            return
        if (address := own.get(entity, "")) and address != environment.virtual_address:
            after.held[entity] = address
            del after.resting[address]
            taken[address] = entity
    ranges = [_usable(network) for network in networks]
    barred = {*taken, *after.resting, environment.virtual_address}
    for entity in waiting:
        if entity in after.held:
            continue
        if len(after.held) >= MOST_APPLICATIONS or not (address := _free(entity, ranges, barred)):
            break  # and none for those who wait behind
        after.held[entity] = address
        barred.add(address)


def _free(entity: str, ranges: list[tuple[int, int, int]], barred: Set[str]) -> str:
    total = sum(size for _, size, _ in ranges)
    start = int.from_bytes(sha256(entity.encode("utf-8", "surrogatepass")).digest()[:16], "big")
    for step in range(min(total, len(barred) + 1)):
        address = _address_at((start + step) % total, ranges)
        if address not in barred:
            return address
    return ""


def _address_at(index: int, ranges: list[tuple[int, int, int]]) -> str:
    for first, size, version in ranges:
        if index < size:
            return str((ip_address("::") if version == 6 else ip_address("0.0.0.0")) + (first + index))
        index -= size
    raise IndexError(index)


def _usable(network: IPv4Network | IPv6Network) -> tuple[int, int, int]:
    """First address as a number, how many, version: without those that mean the network itself, or all of it."""
    first, size = int(network.network_address), network.num_addresses
    if size > 2:
        first, size = first + 1, size - (2 if network.version == 4 else 1)
    return first, size, network.version


def _lies_in(address: str, networks: list[IPv4Network | IPv6Network]) -> bool:
    return any(ip_address(address) in network for network in networks)


# ---- the file ----


def _read(path: Path) -> _Held:
    try:
        head, _, body = path.read_bytes().partition(b"\n")
    except FileNotFoundError:
        return _Held()
    except OSError as error:
        raise DeviceFault(f"cannot read `{path}`: {str(error.strerror).lower()}") from None
    try:
        if head != _head(body):
            raise ValueError("it is damaged, or of another version")
        said = json.loads(body)
        resting = {address: (str(whose), int(since)) for address, (whose, since) in said["resting"].items()}
        return _Held(dict(said["held"]), resting)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        todo = "put back a copy of it; without the file, addresses are given out anew"
        raise DeviceFault(
            f"`{path}`, which holds who has which virtual address, cannot be used: {error}; {todo}"
        ) from None


def _write(path: Path, held: _Held) -> None:
    body = json.dumps({"held": held.held, "resting": held.resting}, sort_keys=True).encode()
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "wb") as out:
            out.write(_head(body) + b"\n" + body)
            out.flush()
            os.fsync(out.fileno())
        draft.rename(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise DeviceFault(f"cannot write `{path}`: {str(error.strerror).lower()}") from None


def _head(body: bytes) -> bytes:
    return f"stagedoor-addresses {VERSION} {sha256(body).hexdigest()[:32]}".encode()
