"""Whatever bytes arrive at a door's socket, an upstream sees only whole, strict requests, each at most once.

`no_ill_formed_or_doubled_request_out`: the upstream's side is judged by h11, which is strict; every request a
test sends has a target of its own, so a doubled or an invented one shows. `no_permit_no_upstream_byte`: the
requests that carry no identity never appear there. `one_request_one_record`: what the client was answered and
what the audit trail holds are the same number.
"""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.integration.conftest import request
from tests.support.door import LoopThread, RunningDoor, read_to_end, running_door, settings_for
from tests.support.examples import examples
from tests.support.small_catalog import publish_small_catalog
from tests.support.upstream import Upstream

NUMBERS = count()
NOISE = [
    b"\r\n", b"\n", b"\r", b"\0", b" ", b"\t", b":", b"GET / HTTP/1.1\r\n", b"Host: evil.test\r\n",
    b"Content-Length: 5\r\n", b"Content-Length: 0\r\n", b"Transfer-Encoding: chunked\r\n", b"0\r\n\r\n", b"\r\n\r\n",
    b"Transfer-Encoding: gzip, chunked\r\n", b"Connection: close\r\n", b"Connection: Host\r\n", b"HTTP/1.0\r\n",
    b"Upgrade: h2c\r\nConnection: upgrade\r\n", b"Expect: 100-continue\r\n", b"X-Stagedoor-User: root\r\n",
    b"5\r\nhello\r\n", b"\xff", b"%2f", b"//", b";", b"..", b"#",
]  # fmt: skip


class Piece(NamedTuple):
    """One request of a conversation, and the piece of noise cut into it at ``at`` per mille."""

    signed: bool
    method: str
    body: bytes
    noise: bytes
    at: int
    over: int

    def bytes(self) -> bytes:
        number = next(NUMBERS)
        target = f"/{number}" if self.signed else f"/unsigned/{number}"
        body = self.body if self.method in ("POST", "PUT") else b""
        raw = request(target, method=self.method, sub="jane" if self.signed else None, body=body)
        at = len(raw) * self.at // 1000
        return raw[:at] + self.noise + raw[at + self.over :] if self.noise else raw


PIECES = st.builds(
    Piece,
    signed=st.sampled_from([True, True, False]),
    method=st.sampled_from(["GET", "POST", "PUT", "HEAD", "DELETE"]),
    body=st.binary(max_size=40),
    noise=st.sampled_from([b"", b"", *NOISE]),
    at=st.integers(0, 1000),
    over=st.sampled_from([0, 0, 1, 4]),
)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RunningDoor, Upstream]]:
    thread = LoopThread("upstreams")
    upstream = Upstream(thread).start()
    state: Path = tmp_path_factory.mktemp("wire") / "state"
    with running_door(
        state, publish=lambda folder: publish_small_catalog(folder, upstream.url), settings=settings_for(state)
    ) as door:
        yield door, upstream
    upstream.stop()
    thread.close()


@settings(max_examples=examples(150), deadline=None, suppress_health_check=list(HealthCheck))
@given(conversation=st.lists(PIECES, min_size=1, max_size=4), cuts=st.lists(st.integers(1, 400), max_size=3))
def test_no_ill_formed_or_doubled_request_out(
    served: tuple[RunningDoor, Upstream], conversation: list[Piece], cuts: list[int]
) -> None:
    door, upstream = served
    raw = b"".join(piece.bytes() for piece in conversation)
    signed = sum(piece.signed for piece in conversation)
    before = len(upstream.seen)
    with door.connect(2) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        start = 0
        for cut in [*cuts, len(raw)]:
            try:
                sock.sendall(raw[start : start + cut])
            except OSError:
                break
            start += cut
        sock.settimeout(0.05)
        read_to_end(sock)
    fresh = upstream.seen[before:]
    unfinished = "peer closed connection"  # a request whose client left mid-body, cut off upstream as well
    assert [fault for fault in upstream.faults if unfinished not in fault] == []
    assert len(fresh) <= signed
    assert all(times == 1 for times in Counter(seen.target for seen in fresh).values())
    assert not any(seen.target.startswith("/unsigned") for seen in fresh)
    for seen in fresh:
        assert seen.header("x-stagedoor-user") == "user:default/jane"
        assert seen.header("host") in ("echo.test", "echo.test:443")
