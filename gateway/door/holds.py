"""Why a client's connection is not being read: one bit each, reading goes on when none is set."""

HOLD_PIPELINE = 1  # a later request is waiting for an earlier answer
HOLD_UPSTREAM = 2  # the upstream takes the body more slowly than the client sends it
HOLD_BODY = 4  # body bytes are waiting for an upstream connection
