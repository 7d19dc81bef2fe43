"""Names for aiohttp, looked up by somebody else: its clients connect to addresses that were judged, or asked for once,
and never ask by themselves.

Apart from `gateway.egress.resolve`, because doors look names up too and carry no HTTP client.
"""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable, Sequence

from aiohttp.abc import AbstractResolver, ResolveResult

LookUp = Callable[[str, int], Awaitable[Sequence[str]]]


class ClientNames(AbstractResolver):
    """``look_up`` says to which addresses a host and port lead, as texts. It is asked for every connect."""

    def __init__(self, look_up: LookUp) -> None:
        self._look_up = look_up

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        return [
            ResolveResult(
                hostname=host, host=address, port=port, proto=0, flags=socket.AI_NUMERICHOST,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
            )
            for address in await self._look_up(host, port)
        ]  # fmt: skip

    async def close(self) -> None:
        """Nothing is held."""
