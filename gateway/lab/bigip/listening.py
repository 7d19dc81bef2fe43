"""Where clients come: loopback addresses at which virtual servers are met.

A client meets the virtual server whose destination it connected to. Names that all lead to one loopback address, as
`*.localhost` does, would never meet more than one; so `Names` stands in for DNS there and goes by the name that the
client says in TLS.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Final

from gateway.lab.bigip.collections import VIRTUAL
from gateway.lab.bigip.data_plane import VirtualServer
from gateway.lab.bigip.http_flow import READ_AHEAD, Incoming, Unanswered
from gateway.lab.bigip.passing_on import reset
from gateway.lab.bigip.prober import Prober
from gateway.lab.bigip.server_side import ServerSide
from gateway.lab.bigip.unit import Unit
from gateway.lab.child import LOOPBACK

ASKED_NAME: Final = "asked_name"  # attribute of a TLS object: what the client called the server
BACKLOG: Final = 512
Address = tuple[str, int]


class Traffic:
    """The virtual servers of the active unit by destination, as long as somebody asks for them. ``tls``: shown where
    a client SSL profile has no certificate of its own."""

    def __init__(self, unit: Unit, prober: Prober | None, tls: ssl.SSLContext | None = None) -> None:
        self.unit = unit
        self._prober = prober
        self._tls = tls
        self._known: dict[str, VirtualServer] = {}

    def close(self) -> None:
        for virtual in self._known.values():
            virtual.close()

    def at(self, address: Address) -> VirtualServer | None:
        """The virtual server with this destination."""
        for held in self.unit.active.tree.objects(VIRTUAL):
            if str(held.get("destination", "")).rpartition("/")[2] == f"{address[0]}:{address[1]}":
                return self.named(held["fullPath"])
        return None

    def named(self, path: str) -> VirtualServer:
        if path not in self._known:
            self._known[path] = VirtualServer(self.unit, path, self._prober)
        return self._known[path]

    def watched(self, path: str) -> tuple[int, ServerSide] | None:
        """Requests so far, and the connections to members; None where nobody ever came."""
        virtual = self._known.get(path)
        return (virtual.requests, virtual.members) if virtual else None

    def shown_by(self, choose: Callable[[str], VirtualServer | None]) -> ssl.SSLContext:
        """A context that shows each client the certificate of the virtual server that ``choose`` finds for its name."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)

        def began(asked: ssl.SSLObject, name: str | None, _context: ssl.SSLContext) -> int | None:
            setattr(asked, ASKED_NAME, name or "")
            virtual = choose(name or "")
            try:
                shown = (virtual.client_tls() or self._tls) if virtual else None
            except Unanswered:
                shown = None
            if shown is None:
                return ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
            asked.context = shown
            return None

        context.sni_callback = began
        return context


class Names:
    """``leads``: suffix of a name → address of a virtual server; "" is every other name. The longest counts."""

    def __init__(self, leads: Mapping[str, Address]) -> None:
        self._leads = sorted(leads.items(), key=lambda pair: -len(pair[0]))

    def address(self, name: str) -> Address | None:
        return next((address for suffix, address in self._leads if name.lower().endswith(suffix)), None)


def asked_name(writer: asyncio.StreamWriter) -> str:
    return str(getattr(writer.get_extra_info("ssl_object"), ASKED_NAME, ""))


# === listeners ===


@asynccontextmanager
async def at_address(traffic: Traffic, address: Address) -> AsyncIterator[int]:
    """Takes clients of whatever virtual server has this destination."""
    tls = traffic.shown_by(lambda _name: traffic.at(address))
    async with listening(lambda _writer: traffic.at(address), address, tls) as port:
        yield port


@asynccontextmanager
async def of_path(traffic: Traffic, path: str, address: Address) -> AsyncIterator[int]:
    """Takes clients of one virtual server, whatever its destination."""
    virtual = traffic.named(path)
    async with listening(lambda _writer: virtual, address, traffic.shown_by(lambda _name: virtual)) as port:
        yield port


@asynccontextmanager
async def by_name(traffic: Traffic, address: Address, names: Names) -> AsyncIterator[int]:
    """Takes clients of several virtual servers at one address, each by the name it asked for."""

    def choose(name: str) -> VirtualServer | None:
        leads = names.address(name)
        return traffic.at(leads) if leads else None

    async with listening(lambda writer: choose(asked_name(writer)), address, traffic.shown_by(choose)) as port:
        yield port


@asynccontextmanager
async def passing_traffic(
    unit: Unit, path: str, port: int = 0, tls: ssl.SSLContext | None = None, prober: Prober | None = None
) -> AsyncIterator[int]:
    """Listens for one virtual server on a loopback port, which it yields."""
    virtual = VirtualServer(unit, path, prober)
    try:
        async with listening(lambda _: virtual, (LOOPBACK, port), tls) as listened:
            yield listened
    finally:
        virtual.close()


@asynccontextmanager
async def listening(
    choose: Callable[[asyncio.StreamWriter], VirtualServer | None],
    address: Address,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[int]:
    """Takes clients; yields the port. ``choose``: the virtual server for a connection, None resets it."""
    visits: set[asyncio.Task[None]] = set()
    loop = asyncio.get_running_loop()

    async def visited(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        virtual = choose(writer)
        if virtual is None or not isinstance(reader, Incoming):
            reset(writer)
            return
        await virtual.serve(reader, writer)

    def began(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        visit = loop.create_task(visited(reader, writer))
        visits.add(visit)
        visit.add_done_callback(visits.discard)

    def protocol() -> asyncio.StreamReaderProtocol:
        return asyncio.StreamReaderProtocol(Incoming(limit=READ_AHEAD, loop=loop), began, loop=loop)

    server = await loop.create_server(protocol, *address, ssl=tls, backlog=BACKLOG)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for visit in visits:
            visit.cancel()
        await asyncio.gather(*visits, return_exceptions=True)
