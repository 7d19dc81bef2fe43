"""Whether the page that opens a connection is the host's own: the Origin field against the authority of the request.

A browser lets any page open a WebSocket to any host, and sends along what it holds for that host: a cookie, a client
certificate, its place in the network. The answer is the page's to read, so `Origin` is all that tells whose hand it
is (RFC 6455, 10.2). A bearer token needs no such proof, since no browser adds one by itself.
"""

from __future__ import annotations

from typing import Final

_DEFAULT_PORTS: Final = {b"http": b":80", b"https": b":443"}


def is_own_origin(origin: bytes, authority: bytes, scheme: bytes) -> bool:
    """Whether a page of ``origin`` was served by the host that ``authority`` (the Host field) names.

    ``scheme`` is the client's, as far as it is known here. A page that came without encryption is not this host's
    when the request comes with it, because anybody on its way could have written it; the other way round the
    encryption may have ended in front of us.
    """
    protocol, mark, host = origin.strip(b" \t").lower().partition(b"://")
    port = _DEFAULT_PORTS.get(protocol)
    if not mark or port is None or (protocol == b"http" and scheme == b"https"):
        return False
    return host.removesuffix(port) == authority.lower().removesuffix(port)
