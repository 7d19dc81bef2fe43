"""The middle of a long answer: read into one buffer of the worker and sent on from there, without a copy of its own.

The event loop hands ordinary protocols a new object for every read, a quarter of a MiB each when an upstream sends
fast: memory that is taken, filled and dropped for nothing, and that a heap in use for hours gives from ever other
places. While a body of known length has much to come and no parser is needed, the connection is read by `Bulk`
instead, which asks for the same bytes of memory each time. What a slow client did not take at once still lies in that
buffer; then the buffer is left to it, and the worker makes another.

On the list of hot files: a large answer runs through it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from gateway.door.upstream import Upstream

BULK_BYTES: Final = 256 * 1024  # still to come, from which it is worth while
READ_BYTES: Final = 128 * 1024  # at once
COPIED_BYTES: Final = 16 * 1024  # a piece this small is copied: the buffer is not left to a client for its sake


class Buffer:
    """What a worker's long answers are read into, one read after the other."""

    __slots__ = ("view",)

    def __init__(self) -> None:
        self.view = memoryview(bytearray(READ_BYTES))

    def leave(self) -> None:
        """Somebody still writes from it: it is theirs from now on."""
        self.view = memoryview(bytearray(READ_BYTES))


class Bulk:
    """An `asyncio.BufferedProtocol` by shape, in its connection's place for as long as one body lasts."""

    __slots__ = ("buffer", "upstream")

    def __init__(self, upstream: Upstream, buffer: Buffer) -> None:
        self.upstream = upstream
        self.buffer = buffer

    def get_buffer(self, sizehint: int) -> memoryview:
        return self.buffer.view

    def buffer_updated(self, size: int) -> None:
        view = self.buffer.view
        if self.upstream.bulk_arrived(bytes(view[:size]) if size < COPIED_BYTES else view[:size], size):
            self.buffer.leave()

    # === the rest of a protocol is the connection's own ===

    def connection_made(self, transport: object) -> None:
        """Never called: the connection is made before it is taken over."""

    def eof_received(self) -> bool:
        return self.upstream.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self.upstream.connection_lost(exc)

    def pause_writing(self) -> None:
        self.upstream.pause_writing()

    def resume_writing(self) -> None:
        self.upstream.resume_writing()
