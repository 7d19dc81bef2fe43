"""The member's side of a virtual server: which member, over which connection, and what is said on it first.

With a OneConnect profile a connection is let go of after each answer and carries the next request of whoever comes, and
each request chooses a member. Without one a client's connection has one member and one connection of its own, also
after that member was disabled: what exists goes on. Connections come from the unit's own address, as with SNAT.
"""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass
from typing import Any, Final

from gateway.lab.bigip.collections import POOL
from gateway.lab.bigip.http_flow import READ_AHEAD, Incoming, Unanswered
from gateway.lab.bigip.prober import SELF_IP, Prober, is_loopback
from gateway.lab.bigip.properties import address_of
from gateway.lab.bigip.refusals import Json
from gateway.lab.bigip.secrecy import name_of
from gateway.lab.bigip.unit import Unit

CONNECT_S: Final = 10.0
MOST_IDLE: Final = 200  # connections kept for one member
MemberKey = tuple[str, ssl.SSLContext | None, bytes]  # member, TLS, PROXY line


@dataclass(frozen=True)
class Client:
    """``address`` and ``port``: where the client comes from; ``local``: what it connected to."""

    address: str
    port: int
    local: tuple[str, int]


@dataclass(frozen=True)
class Connection:
    """To a member."""

    key: MemberKey
    reader: Incoming
    writer: asyncio.StreamWriter

    def is_usable(self) -> bool:
        return not self.reader.at_eof() and not self.writer.is_closing() and self.reader.exception() is None

    def end(self) -> None:
        self.reader.on_end = None
        self.writer.transport.abort()


class ServerSide:
    """Of one virtual server. ``busy`` counts the connections that carry something, by member."""

    def __init__(self, prober: Prober | None) -> None:
        self._prober = prober
        self._turn = 0
        self._idle: dict[MemberKey, list[Connection]] = {}
        self.busy: dict[str, int] = {}

    def close(self) -> None:
        for idle in self._idle.values():
            for connection in idle:
                connection.end()
        self._idle.clear()

    # === which member ===

    def choose(self, unit: Unit, virtual: Json) -> str:
        """The next of those that take new clients. Raises `Unanswered` when there is none."""
        pool = unit.tree.find(POOL, str(virtual.get("pool", "")))
        if pool is None:
            raise Unanswered("it has no pool")
        shown = unit.presenter.parts(POOL, pool, "members")
        ready = [one for one in shown if self._takes_clients(pool["fullPath"], one)]
        if not ready:
            raise Unanswered("no member of its pool takes clients")
        self._turn += 1
        return str(ready[self._turn % len(ready)]["name"])

    def _takes_clients(self, pool: str, member: Json) -> bool:
        found = self._prober.states.get((pool, member["fullPath"]), "up") if self._prober else "up"
        well = member["state"] in ("up", "unchecked") and member["session"] != "user-disabled"
        return well and found != "draining" and is_loopback(member["address"])

    # === connections ===

    async def connection(
        self, member: str, secure: Json | None, context: ssl.SSLContext | None, client: Client | None
    ) -> Connection:
        """A kept one, or another. ``client``: whose address a PROXY line says, None without one."""
        line = b"" if client is None else proxy_line(client)
        idle = self._idle.get((member, context, b""), []) if client is None else []
        while idle:
            kept = idle.pop()
            if kept.is_usable():
                kept.reader.on_end = None
                return kept
            kept.end()
        host = address_of(member)
        port = int(member[len(host) + 1 :])
        try:
            async with asyncio.timeout(CONNECT_S):
                reader, writer = await _opened(host, port)
                writer.write(line)
                if context is not None and secure is not None:
                    await writer.start_tls(context, server_hostname=name_of(secure) or "")
        except TimeoutError:
            raise Unanswered(f"{member} does not answer") from None
        return Connection((member, context, line), reader, writer)

    def keep(self, connection: Connection) -> None:
        """For whoever comes next."""
        idle = self._idle.setdefault(connection.key, [])
        if len(idle) >= MOST_IDLE or not connection.is_usable():
            connection.end()
            return
        idle.append(connection)
        connection.reader.on_end = lambda: self._forget(connection)

    def _forget(self, connection: Connection) -> None:
        idle = self._idle.get(connection.key, [])
        if connection in idle:
            idle.remove(connection)
        connection.end()

    def count(self, member: str, by: int) -> None:
        self.busy[member] = self.busy.get(member, 0) + by

    def idle_at(self, member: str) -> int:
        return sum(len(idle) for key, idle in self._idle.items() if key[0] == member)


async def _opened(host: str, port: int) -> tuple[Incoming, asyncio.StreamWriter]:
    loop = asyncio.get_running_loop()
    reader = Incoming(limit=READ_AHEAD, loop=loop)
    own: dict[str, Any] = {"local_addr": SELF_IP} if "." in host else {}
    transport, protocol = await loop.create_connection(
        lambda: asyncio.StreamReaderProtocol(reader, loop=loop), host, port, **own
    )
    return reader, asyncio.StreamWriter(transport, protocol, reader, loop)


def proxy_line(client: Client) -> bytes:
    """Version 1 of the PROXY protocol, as the rule that is played writes it."""
    family = "TCP6" if ":" in client.address else "TCP4"
    ports = f"{client.port} {client.local[1]}"
    return f"PROXY {family} {client.address} {client.local[0]} {ports}\r\n".encode()
