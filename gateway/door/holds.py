"""Why a client's connection is not being read: one bit each, reading goes on when none is set."""

from __future__ import annotations

from typing import Final

HOLD_PIPELINE: Final = 1  # a later request is waiting for an earlier answer
HOLD_UPSTREAM: Final = 2  # the upstream takes the body more slowly than the client sends it
HOLD_BODY: Final = 4  # body bytes are waiting for an upstream connection
HOLD_PACE: Final = 8  # its caller asks too much: the next request is read after a pause
HOLD_EARLY: Final = 16  # enough has come behind a request that may become a tunnel
HOLD_TURN: Final = 32  # much came at once: the other connections have their turn
HOLD_END: Final = 64  # enough was dropped of what nobody reads: the answer is given time to arrive

#: After a piece this large the event loop would read on, up to 32 times, before it turns to others.
FULL_READ: Final = 128 * 1024
