"""How a connection ends that must not look as if it had ended well, and what is left of one that broke."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from typing import Final

RESET: Final = struct.pack("ii", 1, 0)  # SO_LINGER {on, 0 s}: close answers with RST
LEFT_BYTES: Final = 64 * 1024


def reset(transport: asyncio.Transport) -> None:
    """End now, with a reset. What was written and not yet taken is dropped, here and in the kernel."""
    _prepare(transport)
    transport.abort()


def break_off(transport: asyncio.Transport) -> None:
    """End with a reset once what was written has left."""
    if not transport.is_closing():
        _prepare(transport)
        transport.close()


def left_of(transport: asyncio.Transport) -> bytes:
    """What has arrived and was not read of a connection that broke under a write. b"" over TLS, whose state is gone."""
    raw = transport.get_extra_info("socket")
    if raw is None or transport.get_extra_info("ssl_object") is not None:
        return b""
    try:
        return os.read(raw.fileno(), LEFT_BYTES)
    except OSError:
        return b""


def _prepare(transport: asyncio.Transport) -> None:
    raw = transport.get_extra_info("socket")
    if raw is not None:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
