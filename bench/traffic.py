"""Prepared requests: who asks which service for what, as raw bytes in the file `bench/load.c` reads.

Person n belongs to team n // 10, and team t owns every service whose number is t modulo 200. A token only asks
services its person's team owns, so that every request is permitted. Four of five requests name a path seen
before; the fifth carries a running number and is unlike any other.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

from bench.credentials import PEOPLE
from bench.ground import DOMAIN, WORK

TEAMS = 200
RUNNING = "#" * 8  # replaced by the generator
SOCKET = "/v1/reports/2026/11"  # a path that no other row asks for
UPGRADE = (
    "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",  # of RFC 6455, 1.3: the upstream knows its answer by heart
)  # fmt: skip


def host(service: int) -> str:
    return f"svc-{service:05}.{DOMAIN}"


def head(service: int, path: str, token: str, added: Sequence[str] = ()) -> bytes:
    """One GET as a browser-like program behind a load balancer sends it: nine fields, and those ``added``."""
    fields = (
        f"Host: {host(service)}",
        "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0",
        "Accept: application/json, text/plain, */*",
        "Accept-Language: en-GB,en;q=0.9,de;q=0.8",
        "Accept-Encoding: gzip, deflate, br",
        f"Authorization: Bearer {token}",
        "Cache-Control: no-cache",
        "X-Forwarded-For: 203.0.113.57",
        "X-Forwarded-Proto: https",
        *added,
    )
    return (f"GET {path} HTTP/1.1\r\n" + "\r\n".join(fields) + "\r\n\r\n").encode()


def _path(number: int) -> str:
    if number % 5 == 4:
        return f"/v1/orders/{RUNNING}"
    return ("/v1/orders?limit=20&sort=-created", "/v1/orders/48151623", "/v1/customers/1042", "/v1/status")[number % 5]


def service_of(who: int, number: int, services: int) -> int:
    """The ``number``-th service that person ``who`` may call."""
    owned = services // TEAMS
    return (who % PEOPLE) // 10 + TEAMS * (number % owned)


def write(name: str, tokens: Sequence[str], services: int, path: str = "", added: Sequence[str] = ()) -> Path:
    """A file that goes through all ``tokens`` in turn, in passes that differ in services, 4,000 requests or more."""
    target = WORK / f"{name}.requests"
    with target.open("wb") as out:
        for number in range(max(len(tokens), 4_000)):
            turn, who = divmod(number, len(tokens))
            request = head(service_of(who, turn + who, services), path or _path(number), tokens[who], added)
            out.write(struct.pack("=I", len(request)) + request)
    return target
