"""What a connection's other end is: facts about the hop, for the connection's whole life.

Identity belongs to requests, never here, but where the hop is the client. Behind the PROXY protocol the peer is whom
the header names: that address counts and is judged as if it had connected itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from gateway.identity.client_certificates import ClientCertificate


class Peer(NamedTuple):
    """One per address and listener, shared by its connections."""

    address: str
    trusted: bool
    forwarded: bytes  # the X-Forwarded-* lines of a peer whose own are not read
    network: str  # by which its connections are counted
    certificate: ClientCertificate | None = None  # on a `direct` listener, where the peer is the client
    hop: str = ""  # the load balancer's own address, where its PROXY header named the peer
