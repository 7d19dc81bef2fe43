"""How a connection ends that must not look as if it had ended well."""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import Final

RESET: Final = struct.pack("ii", 1, 0)  # SO_LINGER {on, 0 s}: close answers with RST


def reset(transport: asyncio.Transport) -> None:
    """End now, with a reset. What was written and not yet taken is dropped, here and in the kernel."""
    _prepare(transport)
    transport.abort()


def break_off(transport: asyncio.Transport) -> None:
    """End with a reset once what was written has left."""
    if not transport.is_closing():
        _prepare(transport)
        transport.close()


def _prepare(transport: asyncio.Transport) -> None:
    raw = transport.get_extra_info("socket")
    if raw is not None:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
