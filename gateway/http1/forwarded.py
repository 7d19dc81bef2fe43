"""Who the client is, as far as trusted hops say, and how a service is told.

A service learns of the client, in `X-Forwarded-For`, exactly one address: the one that was established here, not the
list that somebody sent. It may trust that field if only the door can connect to it.

On the list of hot files: behind a load balancer every request asks.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from ipaddress import ip_address
from typing import Final

_ADDRESS_BYTES: Final = 64


def client_address(forwarded_for: bytes, peer: str, is_trusted: Callable[[str], bool]) -> str:
    """Who the client is, as far as trusted hops say. Call it for a trusted peer alone.

    The list is walked from the right, where the nearest hop wrote, past every address that is trusted itself; the
    first that is not is the client. An element that is no address ends the walk: what stands left of it was
    written by somebody who can't be told from the client. BIG-IP may add a port or a route domain (`%2`), IPv6 may
    stand in brackets.
    """
    client = peer
    for element in reversed(forwarded_for.split(b",")):
        address = _address_of(element)
        if not address:
            break
        client = address
        if not is_trusted(address):
            break
    return client


@lru_cache(maxsize=4096)  # BIG-IP speaks for the same clients again and again; 2 µs without
def _address_of(element: bytes) -> str:
    if len(element) > _ADDRESS_BYTES:
        return ""
    text = element.strip(b" \t").decode("latin-1")
    if text[:1] == "[":
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    text, routed, domain = text.partition("%")
    try:  # not the scope of a link-local address, which means nothing on another machine
        return "" if routed and not domain.isdecimal() else str(ip_address(text))
    except ValueError:
        return ""


def forwarded_block(client: str, proto: str) -> bytes:
    """The lines about the hop in front. Where the peer is not trusted they are the connection's for its life."""
    return b"X-Forwarded-For: %b\r\nX-Forwarded-Proto: %b\r\n" % (client.encode("ascii"), proto.encode("ascii"))
