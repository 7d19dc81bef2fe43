"""A name server on loopback, over UDP and TCP, that answers as a recursive one does, fails as one, or lies.

It shares the test's loop. ``records`` are what it knows; what is not among them does not exist.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any, Self

from dns import flags, message, rcode, rdatatype, rrset

Record = tuple[int, str, str]  # time to live, type, text
TRIES = 20  # for a port that both protocols have free
MOST_IN_A_DATAGRAM = 512


class NameServer:
    """``failing``: by name, or by name and type, how. ``silent``: names, or names and types, that are not answered for.
    ``lies``: made of a question, sent before the truth as datagrams from here; ``strays`` from another port;
    ``false_streams`` over TCP in its stead."""

    def __init__(self, address: str = "127.0.0.1", port: int = 0) -> None:
        self.address = address
        self.port = port
        self.records: dict[str, list[Record]] = {}
        self.failing: dict[str | tuple[str, str], rcode.Rcode] = {}
        self.silent: set[str | tuple[str, str]] = set()
        self.lies: list[Callable[[message.Message], bytes]] = []
        self.strays: list[Callable[[message.Message], bytes]] = []
        self.false_streams: list[Callable[[message.Message], bytes]] = []
        self.asked: list[tuple[str, str, str]] = []  # name, type, protocol

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        for _ in range(TRIES):
            self._udp, _ = await loop.create_datagram_endpoint(
                lambda: _Datagrams(self), local_addr=(self.address, self.port)
            )
            port = self._udp.get_extra_info("sockname")[1]
            try:
                self._tcp = await asyncio.start_server(self._stream, self.address, port)
            except OSError:
                self._udp.close()
                continue
            self.port = port
            return self
        raise AssertionError("no port is free for both protocols")

    async def __aexit__(self, *_: object) -> None:
        self._udp.close()
        self._tcp.close()
        await self._tcp.wait_closed()

    def answer(self, wire: bytes, protocol: str) -> message.Message | None:
        """None where it keeps silent."""
        question = message.from_wire(wire)
        name, kind = question.question[0].name, rdatatype.to_text(question.question[0].rdtype)
        text = name.to_text().rstrip(".")
        self.asked.append((text, kind, protocol))
        if text in self.silent or (text, kind) in self.silent:
            return None
        reply = message.make_response(question, recursion_available=True)
        failure = self.failing.get((text, kind), self.failing.get(text))
        if failure is not None:
            reply.set_rcode(failure)
            return reply
        seen: set[str] = set()
        while text not in seen:
            seen.add(text)
            if text not in self.records:
                reply.set_rcode(rcode.NXDOMAIN)
                break
            text = self._add(reply, text, kind)
        return reply

    def _add(self, reply: message.Message, name: str, kind: str) -> str:
        """What it knows of a name; where that leads on."""
        target = name
        for type_, ttl in dict.fromkeys((record[1], record[0]) for record in self.records[name]):
            texts = [record[2] for record in self.records[name] if record[:2] == (ttl, type_)]
            if type_ in (kind, "CNAME"):
                reply.answer.append(rrset.from_text_list(f"{name}.", ttl, "IN", type_, texts))
            if type_ == "CNAME":
                target = texts[0].rstrip(".")
        return target

    async def _stream(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            wire = await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))
            reply = self.answer(wire, "tcp")
            answers = [lie(message.from_wire(wire)) for lie in self.false_streams]
            for answer in answers or ([reply.to_wire(max_size=65535)] if reply is not None else []):
                writer.write(len(answer).to_bytes(2, "big") + answer)
                await writer.drain()
        finally:
            writer.close()


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, server: NameServer) -> None:
        self._server = server

    def connection_made(self, transport: Any) -> None:
        self._transport: asyncio.DatagramTransport = transport

    def datagram_received(self, wire: bytes, peer: Any) -> None:
        question = message.from_wire(wire)
        for lie in self._server.lies:
            self._transport.sendto(lie(question), peer)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as elsewhere:
            elsewhere.bind((self._server.address, 0))
            for lie in self._server.strays:
                elsewhere.sendto(lie(question), peer)
        if (reply := self._server.answer(wire, "udp")) is not None:
            self._transport.sendto(reply.to_wire(max_size=MOST_IN_A_DATAGRAM, prefer_truncation=True), peer)


def answering(address: str, *, name: str = "", shift: int = 0) -> Callable[[message.Message], bytes]:
    """A lie: ``address`` for the question, or for another ``name``, or under an id that is ``shift`` away."""

    def lie(question: message.Message) -> bytes:
        asked = question.question[0]
        other = message.make_query(name, asked.rdtype) if name else question
        reply = message.make_response(other)
        reply.flags |= flags.RA
        reply.id = (question.id + shift) % 65536
        if asked.rdtype == rdatatype.A:
            reply.answer.append(rrset.from_text_list(other.question[0].name, 60, "IN", "A", [address]))
        return reply.to_wire()

    return lie
