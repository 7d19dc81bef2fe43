"""A virtual server that passes traffic: client → emulated virtual server → member, as its profiles say at that moment.

With an http profile messages are read (`http_flow`) and passed on byte for byte; `X-Forwarded-For` is inserted as a
further line, what the client sent stays. TLS ends here and begins anew. After a 101, and without an http profile, bytes
go both ways until one side ends. Who gets nothing (no such virtual server, none of its members well, an answer that is
too large, a member whose certificate does not hold, a message whose end can be read in two ways) is reset, as by a
device. Members are those of the active unit of the group; only loopback is asked.

Not here: HTTP/2, persistence, client certificates of clients.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from typing import Final

from gateway.lab.bigip.collections import VIRTUAL
from gateway.lab.bigip.http_flow import READ_AHEAD, Head, Incoming, Unanswered, length_of, read_head
from gateway.lab.bigip.passing_on import Sight, Visit, answered, limit, redirect, reset, send_body, sent, tunnel
from gateway.lab.bigip.played_rules import Played, played, profiles_of
from gateway.lab.bigip.prober import Prober
from gateway.lab.bigip.secrecy import Secrecy
from gateway.lab.bigip.server_side import Client, Connection, ServerSide
from gateway.lab.bigip.unit import Unit

LOG: Final = logging.getLogger(__name__)
IDLE_S: Final = 300.0
REST_S: Final = 2.0  # for the rest of a body whose answer came early


class VirtualServer:
    """``path``: of the virtual server on the active unit, which may come and go."""

    def __init__(self, unit: Unit, path: str, prober: Prober | None = None) -> None:
        self._unit = unit
        self.path = path
        self._secrecy = Secrecy()
        self.members = ServerSide(prober)
        self.requests = 0
        self._told: set[str] = set()

    def close(self) -> None:
        self.members.close()

    def sight(self) -> Sight | None:
        """None where there is no such virtual server, or it is disabled."""
        unit = self._unit.active
        virtual = unit.tree.find(VIRTUAL, self.path)
        if virtual is None or virtual.get("disabled"):
            return None
        return Sight(unit, virtual, profiles_of(unit.tree, virtual), played(unit.tree, virtual))

    def client_tls(self) -> ssl.SSLContext | None:
        """What its client-ssl profile shows; None where it shows nothing of its own."""
        sight = self.sight()
        profile = sight.profiles.get("client-ssl") if sight else None
        return self._secrecy.towards_client(sight.unit, profile) if sight and profile else None

    # === one client ===

    async def serve(self, reader: Incoming, writer: asyncio.StreamWriter) -> None:
        """Until either side is done."""
        address, port = writer.get_extra_info("peername")[:2]
        visit = Visit(Client(address, port, writer.get_extra_info("sockname")[:2]), reader, writer)
        try:
            while await self._exchanged(visit):
                pass
            writer.close()
        except (Unanswered, OSError, ValueError, asyncio.IncompleteReadError) as error:
            LOG.info("%s resets a client: %s", self.path, error)
            reset(writer)
        finally:
            reader.on_end = None
            if visit.own is not None:
                visit.own.end()
            if not writer.is_closing():
                writer.transport.abort()

    async def _exchanged(self, visit: Visit) -> bool:
        """One request and its answer; whether another may follow."""
        sight = self.sight()
        if sight is None:
            raise Unanswered("there is no such virtual server, or it is disabled")
        if "http" not in sight.profiles and not sight.rules.redirects:
            await self._pass_bytes(visit, sight)
            return False
        try:
            async with asyncio.timeout(IDLE_S):
                head = await read_head(visit.reader, limit(sight, "maxHeaderSize", READ_AHEAD))
        except TimeoutError:
            return False
        if head is None:
            return False
        self.requests += 1
        sight = self.sight() or sight
        self._tell(sight.rules)
        if sight.rules.redirects:
            return await redirect(visit, head)
        return await self._passed_on(visit, sight, head)

    def _tell(self, rules: Played) -> None:
        for sentence in rules.missed:
            if sentence not in self._told:
                self._told.add(sentence)
                LOG.warning("%s: %s", self.path, sentence)

    async def _passed_on(self, visit: Visit, sight: Sight, head: Head) -> bool:
        length = length_of(head, otherwise=0)
        connection = await self._connection(visit, sight)
        member = connection.key[0]
        self.members.count(member, 1)
        visit.reader.on_end = connection.end  # who waits for nobody's answer frees the member
        try:
            connection.writer.write(sent(head, sight, visit.client).written())
            upload = asyncio.get_running_loop().create_task(send_body(visit.reader, connection, length))
            try:
                reusable, stays = await answered(visit, sight, head, connection)
                if not upload.done() and length:
                    await asyncio.wait({upload}, timeout=REST_S)
                whole = upload.done() and upload.exception() is None and upload.result()
            finally:
                upload.cancel()
                await asyncio.gather(upload, return_exceptions=True)
        except BaseException:
            connection.end()
            visit.own = None
            raise
        finally:
            visit.reader.on_end = None
            self.members.count(member, -1)
        self._let_go(visit, sight, connection, good=whole and reusable)
        return whole and stays and head.keeps_alive() and (sight.shares or reusable)

    def _let_go(self, visit: Visit, sight: Sight, connection: Connection, *, good: bool) -> None:
        if not good:
            connection.end()
            visit.own = None
        elif sight.shares:
            self.members.keep(connection)
        else:
            visit.own = connection

    async def _connection(self, visit: Visit, sight: Sight) -> Connection:
        if visit.own is not None:
            if not visit.own.is_usable():
                raise Unanswered("the member has ended the connection")
            return visit.own
        secure = sight.profiles.get("server-ssl")
        context = self._secrecy.towards_member(sight.unit, secure) if secure else None
        member = self.members.choose(sight.unit, sight.virtual)
        proxied = visit.client if sight.rules.proxy_line else None
        return await self.members.connection(member, secure, context, proxied)

    async def _pass_bytes(self, visit: Visit, sight: Sight) -> None:
        """Without an http profile."""
        self._tell(sight.rules)
        connection = await self._connection(visit, sight)
        try:
            await tunnel(visit, connection)
        finally:
            connection.end()
