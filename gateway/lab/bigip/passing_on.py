"""One request and its answer between a client and a member: what is added, taken away and passed on.

With OneConnect the two connections have nothing to do with each other, so what one side says of its connection stops
here; without it they live and end together, and nothing is touched.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from dataclasses import dataclass
from typing import Final

from gateway.lab.bigip.http_flow import (
    READ_AHEAD,
    UNTIL_CLOSE,
    Head,
    Incoming,
    Unanswered,
    answer_length,
    pass_body,
    read_head,
    status_of,
)
from gateway.lab.bigip.played_rules import Played
from gateway.lab.bigip.refusals import Json
from gateway.lab.bigip.server_side import Client, Connection
from gateway.lab.bigip.unit import Unit

HOP_BY_HOP: Final = (b"connection", b"keep-alive", b"proxy-connection")
MOST_FIELDS: Final = 64


@dataclass(frozen=True)
class Sight:
    """A virtual server at the moment of a request."""

    unit: Unit
    virtual: Json
    profiles: dict[str, Json]
    rules: Played

    @property
    def shares(self) -> bool:
        return "one-connect" in self.profiles


@dataclass
class Visit:
    """A client's connection, and the member's that belongs to it alone where connections are not shared."""

    client: Client
    reader: Incoming
    writer: asyncio.StreamWriter
    own: Connection | None = None


def reset(writer: asyncio.StreamWriter) -> None:
    """What was sent is no whole answer, and looks like none."""
    plain = writer.get_extra_info("socket")
    if plain is not None and not writer.is_closing():
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def limit(sight: Sight, name: str, otherwise: int) -> int:
    return int(sight.profiles.get("http", {}).get("enforcement", {}).get(name, otherwise))


def sent(head: Head, sight: Sight, client: Client) -> Head:
    """What the member gets: the client's fields, those of the profile after them."""
    upgrades = b"upgrade" in head.words(b"connection")
    dropped = () if upgrades or not sight.shares else HOP_BY_HOP
    fields = [(name, value) for name, value in head.fields if name.lower() not in dropped]
    if sight.shares and not upgrades and b"close" in head.words(b"connection"):
        fields.append((b"Xonnection", b"close"))
    if sight.profiles.get("http", {}).get("insertXforwardedFor") == "enabled":
        fields.append((b"X-Forwarded-For", client.address.encode()))
    return Head(head.start, tuple(fields))


async def send_body(reader: Incoming, connection: Connection, length: int) -> bool:
    """The body of a request; whether the member took all of it. What it does not take is read and dropped."""
    try:
        await connection.writer.drain()
        await pass_body(reader, connection.writer, length)
    except OSError:
        while await reader.read(READ_AHEAD):
            pass
        return False
    except Unanswered:
        connection.end()  # the member would wait for the rest
        raise
    return True


async def answered(visit: Visit, sight: Sight, head: Head, connection: Connection) -> tuple[bool, bool]:
    """Whether the member's connection may carry another request, and the client's another answer."""
    method = head.start.partition(b" ")[0]
    while True:
        answer = await read_head(connection.reader, limit(sight, "maxHeaderSize", 32768))
        if answer is None:
            raise Unanswered("a member ended the connection without an answer")
        if len(answer.fields) > limit(sight, "maxHeaderCount", MOST_FIELDS):
            raise Unanswered(f"the answer has {len(answer.fields)} fields")
        status = status_of(answer)
        if status == 101:
            visit.writer.write(answer.written())
            await tunnel(visit, connection)
            return False, False
        if status >= 200:
            break
        visit.writer.write(answer.written())
        await visit.writer.drain()
    length = answer_length(answer, method)
    stays = length != UNTIL_CLOSE and head.keeps_alive()
    visit.writer.write(_given(answer, shares=sight.shares, stays=stays).written())
    await pass_body(connection.reader, visit.writer, length)
    await visit.writer.drain()
    return length != UNTIL_CLOSE and answer.keeps_alive(), stays


def _given(answer: Head, *, shares: bool, stays: bool) -> Head:
    """With OneConnect the two connections have nothing to do with each other."""
    if not shares:
        return answer
    fields = [(name, value) for name, value in answer.fields if name.lower() not in HOP_BY_HOP]
    if not stays:
        fields.append((b"Connection", b"close"))
    elif b"HTTP/1.0" in answer.start:
        fields.append((b"Connection", b"keep-alive"))
    return Head(answer.start, tuple(fields))


async def redirect(visit: Visit, head: Head) -> bool:
    """As AS3's rule does: to HTTPS, the rest as it was asked for."""
    host = next(iter(head.all(b"host")), b"").partition(b":")[0]
    path = [*head.start.split(b" "), b"/"][1]
    fields = ((b"Location", b"https://" + host + path), (b"Connection", b"close"), (b"Content-Length", b"0"))
    visit.writer.write(Head(b"HTTP/1.0 302 Found", fields).written())
    await visit.writer.drain()
    return False


async def tunnel(visit: Visit, connection: Connection) -> None:
    """Both ways, until either side ends."""
    visit.reader.on_end = connection.end
    loop = asyncio.get_running_loop()
    pair = (
        loop.create_task(pass_body(visit.reader, connection.writer, UNTIL_CLOSE)),
        loop.create_task(pass_body(connection.reader, visit.writer, UNTIL_CLOSE)),
    )
    try:
        await asyncio.wait(pair, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for one in pair:
            one.cancel()
        await asyncio.gather(*pair, return_exceptions=True)
