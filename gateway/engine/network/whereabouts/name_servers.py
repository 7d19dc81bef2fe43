"""What DNS answers for a name: all its addresses, for how long, and whether silence means that there are none.

The system's look-up says neither how long an answer holds nor why there is none, so its name servers
(`/etc/resolv.conf`, read again each minute) are asked themselves, for both kinds of address at once. Of a chain of
aliases the shortest time to live counts. "There is none" is an answer; a server that fails, is silent, answers with a
loop of aliases or with more than `MOST_BYTES` has given none, and the next one is asked.

dnspython minds the protocol: a socket and an id of its own for each question, answers from elsewhere and to other
questions passed over, TCP where a datagram was too short. It reads at 0.04 ms a record, which is why size is bounded,
and why long answers are read one after the other, with a rest after each: who writes them holds nobody else up.
"""

from __future__ import annotations

import asyncio
import errno
import time
from io import StringIO
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final, NamedTuple

from dns.asyncresolver import Resolver
from dns.exception import DNSException
from dns.message import Message, QueryMessage, from_wire
from dns.name import Name, from_text
from dns.nameserver import Do53Nameserver
from dns.query import BadResponse
from dns.resolver import NXDOMAIN

from gateway.egress.addresses import plain

RESOLV_CONF: Final = Path("/etc/resolv.conf")
READ_AGAIN_S: Final = 60.0
LIFETIME_S: Final = 4.0  # of a question, whatever number of servers it is put to
MOST_BYTES: Final = 8192  # of an answer over TCP: 290 addresses of IPv6
REST: Final = 3  # times what it took to read a long answer
LEAST_TRY_S: Final = 1.0  # that one server is waited for
KINDS: Final = {4: "A", 6: "AAAA"}
BOTH: Final = frozenset(KINDS)


class Heard(NamedTuple):
    """``ttl_s``: how long the answer holds, if it has addresses. ``silent``: the versions of IP for which no server had
    an answer. Without addresses and silence there is no such name, or none with an address."""

    addresses: frozenset[str] = frozenset()
    ttl_s: int = 0
    silent: frozenset[int] = frozenset()


NO_SUCH_NAME: Final = Heard()
SILENCE: Final = Heard(silent=BOTH)


class NameServers:
    """For one loop. ``port`` is the servers'."""

    def __init__(self, resolv_conf: Path | None = None, port: int = 53) -> None:
        self._resolv_conf = resolv_conf or RESOLV_CONF
        self._port = port
        self._resolver: Resolver | None = None
        self._read_again_s = float("-inf")
        self._one = asyncio.Lock()  # long answer at a time

    async def ask(self, host: str) -> Heard:
        try:
            name, resolver = from_text(host, origin=None), self._configured()
        except DNSException:  # a label too long, an empty one
            return NO_SUCH_NAME
        if resolver is None:
            return SILENCE
        answers = await asyncio.gather(*(_asked(resolver, name, version) for version in KINDS))
        found = [each for each in answers if each.addresses]
        return Heard(
            frozenset().union(*(each.addresses for each in found)),
            min((each.ttl_s for each in found), default=0),
            frozenset().union(*(each.silent for each in answers)),
        )

    def _configured(self) -> Resolver | None:
        """None where the system names no servers, which is no fault: its look-up may know other means."""
        now_s = asyncio.get_running_loop().time()
        if now_s >= self._read_again_s:
            self._read_again_s = now_s + READ_AGAIN_S
            self._resolver = self._read()
        return self._resolver

    def _read(self) -> Resolver | None:
        """Lines that mean nothing are passed over, as the system does."""
        try:
            lines = self._resolv_conf.read_text("utf-8", "replace").splitlines()
            resolver = Resolver(StringIO("\n".join(filter(_is_read, lines))))
        except (DNSException, OSError, ValueError):
            return None
        resolver.nameservers = [_Server(str(each), self._port, self._one) for each in resolver.nameservers]
        each_s = LIFETIME_S / len(resolver.nameservers)  # else the last would never be asked
        resolver.timeout = max(min(resolver.timeout, each_s), min(LEAST_TRY_S, each_s))
        return resolver


def _is_read(line: str) -> bool:
    try:
        Resolver(StringIO(f"nameserver 127.0.0.1\n{line}"))
    except (DNSException, ValueError):
        return False
    return True


async def _asked(resolver: Resolver, name: Name, version: int) -> Heard:
    try:
        answer = await resolver.resolve(
            name, KINDS[version], raise_on_no_answer=False, lifetime=LIFETIME_S, search=True
        )  # fmt: skip
    except NXDOMAIN:
        return NO_SUCH_NAME
    except (DNSException, OSError):
        return Heard(silent=frozenset((version,)))
    addresses = frozenset(str(plain(ip_address(record.to_text()))) for record in answer.rrset or ())
    return Heard(addresses, int(answer.chaining_result.minimum_ttl)) if addresses else NO_SUCH_NAME


class _Server(Do53Nameserver):
    """One whose answers over TCP are bounded."""

    def __init__(self, address: str, port: int, one: asyncio.Lock) -> None:
        super().__init__(address, port)
        self._one = one

    async def async_query(self, request: QueryMessage, *args: Any, **options: Any) -> Message:
        if options["max_size"]:
            async with asyncio.timeout(options["timeout"]):
                return await self._over_tcp(request)
        return await super().async_query(request, *args, **options)

    async def _over_tcp(self, request: QueryMessage) -> Message:
        reader, writer = await asyncio.open_connection(self.address, self.port)
        try:
            writer.write(request.to_wire(prepend_length=True))
            size = int.from_bytes(await reader.readexactly(2), "big")
            if size > MOST_BYTES:
                raise OSError(errno.EMSGSIZE, f"an answer of {size} bytes")
            wire = await reader.readexactly(size)
        finally:
            writer.close()
        async with self._one:
            begun_s = time.perf_counter()
            answer = from_wire(wire)
            await asyncio.sleep(REST * (time.perf_counter() - begun_s))
        if not request.is_response(answer):
            raise BadResponse
        return answer
