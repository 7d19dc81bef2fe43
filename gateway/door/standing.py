"""The permit of an open tunnel, and all it was decided from: the same question can be asked again at any time.

A request is decided once and soon over; a tunnel may be open for days, while people change teams, tokens end and keys
are withdrawn. So it keeps who asked, how the request came and what it named, and nothing else of it: no field, no
query, and no token, but for one that has to be shown to its issuer again and again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gateway.audit.line import asked_piece, behind, decided_piece, line, of_tunnel, snapshot_piece, way_piece
from gateway.door.callers import Caller
from gateway.door.client_certificates import certificate_of, circumstances
from gateway.door.pool import is_shut, service_of, upgrades_of
from gateway.http1.target import Target, is_accepted
from policy.facts import UNSEEN, Permit, Refusal
from policy.reasons import DENIED, OPERATION_UNKNOWN

if TYPE_CHECKING:
    from gateway.config import Issuer
    from gateway.door.exchange import Exchange
    from gateway.identity.client_certificates import ClientCertificate
    from gateway.snapshot import Snapshot
    from policy.table import Match

METHOD: Final = "GET"
STATUS: Final = 101
STANDS: Final = Refusal("")
NOT_OFFERED: Final = Refusal(OPERATION_UNKNOWN)


class Standing:
    """One tunnel's. It changes with each decision: `permit` and `version` are those of the last one that stood."""

    __slots__ = (
        "door", "caller", "issuer", "token", "certificate", "listening", "address", "peer", "host", "target",
        "exposure", "protocol", "permit", "version", "request_id", "who", "way", "trace", "time_ms",
    )  # fmt: skip

    def __init__(self, exchange: Exchange, match: Match, permit: Permit) -> None:
        door = self.door = exchange.door
        head, client, endpoint = exchange.head, exchange.client, exchange.endpoint
        # who asked, and how
        self.issuer: Issuer | None = None
        self.token = b""
        self.become(exchange.caller, head.bearer)
        self.certificate: ClientCertificate | None = certificate_of(client, head)
        self.listening = client.listening
        self.peer = client.peer
        self.address = exchange.client_address
        # what was asked, and what was decided
        self.host = head.host
        self.target = Target(b"", head.target.path, head.target.segments, head.target.odd)
        self.exposure = match.exposure.key
        self.protocol = head.tunnel
        self.permit = permit
        self.version = exchange.version
        # what the record repeats
        self.request_id = exchange.request_id
        self.who = exchange.caller.record
        self.way = way_piece(self.peer.address, self.address, endpoint.url if endpoint is not None else "")
        self.trace = head.traceparent[3:35]
        self.time_ms = (exchange.began_ns + door.wall_offset_ns) // 1_000_000

    def become(self, caller: Caller, token: bytes) -> None:
        """Take the caller that the token speaks for now. It is kept if its issuer has to be asked about it again."""
        self.caller = caller
        self.issuer = self.door.callers.issuer_of(caller)
        self.token = token if caller.asked_again else b""

    # === the same question ===

    def decide(self, snapshot: Snapshot) -> Refusal:
        """The refusal that the same request would meet now, `STANDS` if none.

        A path that leads to another service by now is not the one that was permitted. Of a token whose issuer has
        other settings than it had, only the token could tell whether they accept it: without it, they do not.
        """
        match = snapshot.table.match(self.host, self.target.segments)
        if isinstance(match, Refusal):
            return match
        exposure = match.exposure
        if exposure.key != self.exposure or not is_accepted(self.target, exposure.options):
            return NOT_OFFERED
        if self.protocol not in upgrades_of(service_of(self.door.settings, exposure)):
            return NOT_OFFERED
        doubt = self._doubt(exposure.environment, snapshot)
        if doubt:
            return Refusal(doubt)
        return self._judge(match, snapshot)

    def _doubt(self, environment: str, snapshot: Snapshot) -> str:
        """Why the caller is nobody any more, as a reason; "" if they are who they were, with the rights of now."""
        callers = self.door.callers
        caller = self.caller
        if caller.session:
            found = self.door.sessions.again(caller, environment, snapshot)
            if isinstance(found, str):
                return found
            self.caller = found
            return ""
        if caller.verified is not None:
            issuer = callers.issuer_of(caller)
            if issuer is not self.issuer and issuer != self.issuer:
                return "token_issuer"
            self.issuer = issuer
            return callers.doubt(caller, snapshot)
        if caller is not callers.anonymous:
            certificate = self._certificate()
            self.caller = callers.anonymous if certificate is None else callers.certified(certificate, snapshot)
        return ""

    def _judge(self, match: Match, snapshot: Snapshot) -> Refusal:
        caller = self.caller
        if snapshot.denied and not snapshot.denied.isdisjoint(caller.subjects):
            return Refusal(DENIED)
        if snapshot.shut and is_shut(snapshot.shut, match.exposure):
            return Refusal(DENIED)
        if snapshot.not_before and caller.is_cut(snapshot.not_before):
            return Refusal("token_revoked")
        door = self.door
        call = UNSEEN
        if match.exposure.asks_how:
            call = circumstances(self.address, self._certificate(), caller, door.callers, snapshot)
        verdict = snapshot.table.decide(match, METHOD, caller.principal, door.now, call)
        if isinstance(verdict, Refusal):
            return verdict
        self.permit = verdict
        self.version = snapshot.version
        return STANDS

    def _certificate(self) -> ClientCertificate | None:
        """The client's certificate, as long as it counts with its listener."""
        certificate, certificates = self.certificate, self.listening.certificates
        if certificate is None or certificates is None or not certificates.counts(certificate, self.door.now):
            return None
        return certificate

    # === the record ===

    def record(self, refused: Refusal, ended_by: str, bytes_in: int, bytes_out: int, spent_us: int) -> bytes:
        """The tunnel's second record: the decision that stood at the end, or the refusal that ended it."""
        permit = self.permit
        if refused.reason:
            decided = decided_piece(
                "refusal", refused.reason, refused.rule, refused.operation or permit.operation, self.exposure
            )  # fmt: skip
            snapshot = snapshot_piece(self.door.snapshot.version)
        else:
            decided = decided_piece("permit", permit.reason, permit.rule, permit.operation, self.exposure)
            snapshot = snapshot_piece(self.version)
        asked = asked_piece(METHOD, self.host)
        record = line(
            self.time_ms, self.request_id, self.who, asked, self.target.path, decided, snapshot, self.way, STATUS,
            bytes_in, bytes_out, spent_us, self.trace,
        )  # fmt: skip
        if self.peer.hop:
            record = behind(record, self.peer.hop)
        return of_tunnel(record, ended_by)
