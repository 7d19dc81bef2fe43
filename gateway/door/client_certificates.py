"""Client certificates at the door: which one a request came with, and what that says about it.

On a `direct` listener nothing stands in between, so the certificate of the connection's handshake is its client's, for
every request on it. Elsewhere a connection's certificate is the hop's and says nothing about clients; there the one
configured field is read, from trusted peers alone, per request, because a load balancer mixes clients on a connection.

A certificate counts only while it is valid and while those who signed it are still the listener's authorities: what
an open connection showed once is looked at again with each request that needs it.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Final

from gateway import telemetry
from gateway.config import Listener
from gateway.identity.client_certificates import Authorities, ClientCertificate
from policy.facts import Circumstances

if TYPE_CHECKING:
    from gateway.door.callers import Caller, Callers
    from gateway.door.downstream import Downstream
    from gateway.door.peer import Peer
    from gateway.http1.request import Head
    from gateway.snapshot import Snapshot

REMEMBERED: Final = 4096
SAID_EVERY_S: Final = 60  # a peer that passes on what does not count is named once in this time


class ClientCertificates:
    """What one listener knows of its clients' certificates."""

    def __init__(self, listener: Listener) -> None:
        """Raises `OSError` or `ValueError` when there are no authorities to be read."""
        self._listener = listener
        self._authorities = Authorities(Path(listener.tls.client_ca if listener.tls is not None else "").read_bytes())
        self._passed_on: OrderedDict[bytes, ClientCertificate | None] = OrderedDict()
        self._said_at = 0

    def of_connection(self, transport: asyncio.BaseTransport) -> ClientCertificate | None:
        """The certificate of the handshake, where it is the client's own."""
        connection = transport.get_extra_info("ssl_object") if self._listener.direct else None
        der = connection.getpeercert(binary_form=True) if connection is not None else None
        return self._authorities.read(der) if der else None

    def of_request(self, peer: Peer, field: bytes, now: int) -> ClientCertificate | None:
        """The client's certificate, as far as it may be believed at ``now``."""
        found = self._verified(field, now) if field and peer.trusted else peer.certificate
        return found if found is not None and self.counts(found, now) else None

    def counts(self, found: ClientCertificate, now: int) -> bool:
        """Whether a certificate that was verified before is to be believed at ``now``."""
        return found.authorities == self._authorities.digest and found.begins <= now < found.ends

    def _verified(self, field: bytes, now: int) -> ClientCertificate | None:
        digest = sha256(field).digest()
        if digest in self._passed_on:
            return self._passed_on[digest]
        found = self._authorities.verify(field, now)
        if isinstance(found, str):
            if now - self._said_at >= SAID_EVERY_S:
                self._said_at = now
                telemetry.log("client_certificate_refused", level="warning", listener=self._listener.name, why=found)
            return None
        if len(self._passed_on) >= REMEMBERED:
            self._passed_on.popitem(last=False)
        self._passed_on[digest] = found
        return found


def certificate_of(client: Downstream, head: Head) -> ClientCertificate | None:
    certificates = client.listening.certificates
    if certificates is None:
        return None
    return certificates.of_request(client.peer, head.client_certificate, client.door.now)


def circumstances_of(client: Downstream, head: Head, caller: Caller, snapshot: Snapshot) -> Circumstances:
    """How a request came: from where, and whether with a certificate that is the caller's."""
    address = client.listening.address_of(client.peer, head)
    return circumstances(address, certificate_of(client, head), caller, client.door.callers, snapshot)


def circumstances(
    address: str, certificate: ClientCertificate | None, caller: Caller, callers: Callers, snapshot: Snapshot
) -> Circumstances:
    """A certificate of another program beside a token is no sign of strength: it is what a stolen token looks like."""
    if certificate is None:
        return Circumstances(address)
    named = callers.certified(certificate, snapshot).principal
    parties = {caller.principal.ref, *(actor.ref for actor in caller.principal.actors)}
    return Circumstances(address, named.ref in parties or named.refusal == "identity_unknown")
