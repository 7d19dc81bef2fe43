"""A record as the door makes it, for tests that need any."""

from __future__ import annotations

from gateway.audit.record import Record, line_of

RECORD = Record(
    time_ms=1_795_300_000_123,
    request_id="d0-0000abcd",
    subject="user:default/jane",
    issuer="lab",
    sub="0b1c2d3e",
    client_id="lab-cli",
    method="GET",
    host="payments.prod.localhost",
    path="/refunds/8123",
    decision="permit",
    reason="owner",
    rule="r-abcdefghij",
    operation="GET /refunds/{id}",
    exposure="component:default/payments@prod",
    snapshot="abcdefghijkl.12",
    peer="127.0.0.1:51234",
    client="127.0.0.1",
    upstream="http://127.0.0.1:9001",
    status=200,
    bytes_in=0,
    bytes_out=1024,
    duration_us=843,
    key_id="key-1",
    trace="0af7651916cd43dd8448eb211c80319c",
)
LINE = line_of(RECORD)
