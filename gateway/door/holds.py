"""Why a client's connection is not being read: one bit each, reading goes on when none is set."""

from __future__ import annotations

from typing import Final

HOLD_PIPELINE: Final = 1  # a later request is waiting for an earlier answer
HOLD_UPSTREAM: Final = 2  # the upstream takes the body more slowly than the client sends it
HOLD_BODY: Final = 4  # body bytes are waiting for an upstream connection
