"""What an exchange leaves in the audit trail: one line, made of pieces that repeat (`audit.line`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gateway.audit.line import asked_piece, behind, decided_piece, line, of_tunnel, snapshot_piece, way_piece

if TYPE_CHECKING:
    from gateway.door.exchange import Exchange
    from policy.facts import Permit

SWITCHED: Final = 101  # only ever the status of an exchange that became a tunnel


def record_of(exchange: Exchange, reason: str, spent_us: int) -> bytes:
    """The record's line without its number."""
    head = exchange.head
    permit = exchange.permit
    endpoint = exchange.endpoint
    peer = exchange.client.peer
    if permit is not None and endpoint is not None:
        repeated = exchange.route.repeated
        asked = repeated.asked(exchange.method, head.host)
        decided = repeated.permitted(reason, permit.rule, permit.operation)
        client = exchange.client_address
        url = endpoint.url
    else:
        asked = asked_piece(exchange.method, head.host)
        decided = _decided(exchange, reason, permit)
        client = exchange.client.listening.address_of(peer, head)
        url = "" if endpoint is None else endpoint.url
    record = line(
        (exchange.began_ns + exchange.door.wall_offset_ns) // 1_000_000,
        exchange.request_id,
        exchange.caller.record,
        asked,
        head.target.path,
        decided,
        snapshot_piece(exchange.version),
        way_piece(peer.address, client, url),
        exchange.status,
        exchange.bytes_in,
        exchange.bytes_out,
        spent_us,
        head.traceparent[3:35],
    )
    if peer.hop:
        record = behind(record, peer.hop)
    return of_tunnel(record, "opened") if exchange.status == SWITCHED else record


def _decided(exchange: Exchange, reason: str, permit: Permit | None) -> bytes:
    match = exchange.match
    verdict = permit or exchange.refused
    return decided_piece(
        "refusal" if permit is None else "permit",
        reason,
        verdict.rule,
        verdict.operation,
        match.exposure.key if match is not None else "",
    )
