"""bigd: asks the members of pools whether they are well, as the pool's monitor says, and tells the device.

What an answer means is a table (documented): `recv` found → up; only `recv-disable` found → up, but no new clients;
neither → down, though only after `timeout`. The search is a regular expression over the raw answer, head included.
bigd appends CRLFCRLF to whatever it was told to send. Members outside loopback are left alone.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from gateway.lab.bigip.collections import POOL
from gateway.lab.bigip.properties import address_of
from gateway.lab.bigip.refusals import Json
from gateway.lab.bigip.tree import Tree
from gateway.lab.bigip.unit import Unit

APPENDED: Final = b"\r\n\r\n"
LOOKED_AT: Final = 5120  # bytes of an answer
LOOK_S: Final = 0.2  # how soon a changed pool is noticed
SELF_IP: Final = ("127.0.0.2", 0)  # the unit's own address: none of the clients comes from there
ESCAPE: Final = re.compile(r"\\(?:x(?P<hex>[0-9a-fA-F]{2})|(?P<octal>[0-7]{3})|(?P<letter>.))", re.DOTALL)
LETTERS: Final = {"r": "\r", "n": "\n", "t": "\t"}


class Found(StrEnum):
    UP = "up"
    DRAINING = "draining"
    NOTHING = ""


@dataclass(frozen=True)
class Monitor:
    """Seconds, bytes; ``tls`` for HTTPS monitors, which check no certificate."""

    send: bytes
    recv: str
    recv_disable: str
    interval: float
    timeout: float
    reverse: bool = False
    tls: bool = False
    port: int = 0  # another than the member's own


def monitor_of(collection: str, values: Json) -> Monitor:
    port = str(values.get("destination", "")).rpartition(":")[2]
    return Monitor(
        send=unescaped(str(values.get("send", ""))).encode("latin-1", "replace"),
        recv=str(values.get("recv", "")),
        recv_disable=str(values.get("recvDisable", "")),
        interval=float(values.get("interval", 5)),
        timeout=float(values.get("timeout", 16)),
        reverse=values.get("reverse") == "enabled",
        tls=collection == "ltm/monitor/https",
        port=int(port) if port.isdigit() else 0,
    )


def unescaped(text: str) -> str:
    r"""``\r \n \t \xHH \NNN \\ \'`` as the characters they stand for."""

    def character(found: re.Match[str]) -> str:
        if found["hex"]:
            return chr(int(found["hex"], 16))
        if found["octal"]:
            return chr(int(found["octal"], 8) % 256)
        return LETTERS.get(found["letter"], found["letter"])

    return ESCAPE.sub(character, text)


def verdict(monitor: Monitor, answer: bytes) -> Found:
    """What an answer says at once. `recv-disable` does not count where `reverse` is on."""
    text = answer[:LOOKED_AT].decode("latin-1")
    matched = bool(answer) and re.search(monitor.recv, text) is not None
    if monitor.reverse:
        return Found.NOTHING if matched or not answer else Found.UP
    if matched:
        return Found.UP
    if answer and monitor.recv_disable and re.search(monitor.recv_disable, text):
        return Found.DRAINING
    return Found.NOTHING


async def probe(monitor: Monitor, host: str, port: int) -> Found:
    """One question. Waits no longer than until the next is due."""
    answer = b""
    try:
        async with asyncio.timeout(monitor.interval):
            own = SELF_IP if "." in host else None
            reader, writer = await asyncio.open_connection(
                host, port, ssl=_unchecked() if monitor.tls else None, local_addr=own
            )
            try:
                writer.write(monitor.send + APPENDED)
                while len(answer) < LOOKED_AT and verdict(monitor, answer) is not Found.UP:
                    piece = await reader.read(LOOKED_AT)
                    if not piece:
                        break
                    answer += piece
            finally:
                writer.close()
    except (OSError, TimeoutError):
        pass
    return verdict(monitor, answer)


def _unchecked() -> ssl.SSLContext:
    """As bigd without a profile of its own: no server name, no check."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


class Prober:
    """Watches every member of every pool that has a monitor. ``clock``: seconds, monotonic.

    ``states`` is by pool and member: up, draining or down; checking before the first answer.
    """

    def __init__(self, unit: Unit, clock: Callable[[], float]) -> None:
        self._unit = unit
        self._clock = clock
        self._watching: dict[tuple[str, str, Monitor], asyncio.Task[None]] = {}
        self.states: dict[tuple[str, str], str] = {}

    async def run(self) -> None:
        """Until cancelled."""
        loop = asyncio.get_running_loop()
        try:
            while True:
                due = _due(self._unit.active.tree)
                for key in [key for key in self._watching if key not in due]:
                    self._watching.pop(key).cancel()
                    self.states.pop(key[:2], None)
                    for unit in self._unit.units:
                        unit.found.pop(key[1].rpartition("/")[2], None)
                for key in due:
                    if key not in self._watching:
                        self._watching[key] = loop.create_task(self._watch(*key))
                await asyncio.sleep(LOOK_S)
        finally:
            for task in self._watching.values():
                task.cancel()
            await asyncio.gather(*self._watching.values(), return_exceptions=True)

    async def _watch(self, pool: str, member: str, monitor: Monitor) -> None:
        host, own_port = _endpoint(member)
        port = monitor.port or own_port
        self._tell(pool, member, "checking")
        good = self._clock()
        while True:
            began = self._clock()
            found = await probe(monitor, host, port)
            if found is not Found.NOTHING:
                good = self._clock()
                self._tell(pool, member, found.value)
            elif self._clock() - good >= monitor.timeout:
                self._tell(pool, member, "down")
            await asyncio.sleep(max(0.0, monitor.interval - (self._clock() - began)))

    def _tell(self, pool: str, member: str, state: str) -> None:
        self.states[pool, member] = state
        for unit in self._unit.units:
            unit.found[member.rpartition("/")[2]] = "up" if state == Found.DRAINING else state


def _due(tree: Tree) -> set[tuple[str, str, Monitor]]:
    """Pool, member and monitor; of several monitors the first."""
    found: set[tuple[str, str, Monitor]] = set()
    for pool in tree.objects(POOL):
        paths = re.findall(r"/[^\s{}]+", str(pool.get("monitor", "")))
        for collection in ("ltm/monitor/http", "ltm/monitor/https", "ltm/monitor/tcp"):
            values = tree.find(collection, paths[0]) if paths else None
            if values is None:
                continue
            monitor = monitor_of(collection, values)
            for member in pool.get("members", []):
                if is_loopback(_endpoint(member["fullPath"])[0]):
                    found.add((pool["fullPath"], member["fullPath"], monitor))
    return found


def _endpoint(member: str) -> tuple[str, int]:
    name = member.rpartition("/")[2]
    host = address_of(name)
    return host, int(name[len(host) + 1 :])


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
