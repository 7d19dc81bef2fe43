"""What the kernel may hold of an answer between a service and its client.

A worker stops reading from a service as soon as the client takes no more, but both sockets have buffers of their own.
Left to itself, Linux lets them grow: to 4 MiB for a client and to 6 MiB or more for a service, whoever is slow. A few
hundred clients that read nothing then fill the memory that all TCP connections of the machine share (`tcp_mem`), and
packets of everybody are dropped. So both are bounded, each where it costs nothing:

* towards a client, by what has not been sent yet. What is on its way counts beside that, so a distant client that
  reads fast is as fast as before. It is said to the listening socket once, and connections inherit it;
* from a service, by a buffer in which an answer of 1 MiB fits. A smaller one makes the service wait in between, and
  an answer of that size dearer by half.
"""

from __future__ import annotations

import asyncio
import socket
from functools import cache
from typing import Final

UNSENT_BYTES: Final = 256 * 1024
WINDOW_BYTES: Final = 1024 * 1024  # the kernel takes twice as much, for what it keeps beside the bytes


def bound_unsent(listening: socket.socket) -> None:
    """For every connection that is accepted from it."""
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_BYTES)


def bound_window(transport: asyncio.BaseTransport) -> None:
    """For a connection that was just made to a service, over TLS or not."""
    if is_window_allowed():
        raw = transport.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, WINDOW_BYTES)


@cache
def is_window_allowed() -> bool:
    """Whether the system allows a program so much (`net.core.rmem_max`). With less, a fixed buffer would be worse than
    one that grows."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, WINDOW_BYTES)
        return probe.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) >= WINDOW_BYTES * 2
