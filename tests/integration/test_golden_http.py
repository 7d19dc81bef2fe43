"""The golden heads once more, as bytes on a socket: what is refused in the parser's unit is refused by the door.

Each refused file is sent whole and byte by byte. The upstream must not see one request, the answer's status and
code must be the file's, and the connection must end where the file says so.
"""

from __future__ import annotations

import socket

import pytest

from tests.integration.conftest import token
from tests.support.door import RunningDoor
from tests.support.http_golden import Golden, goldens
from tests.support.upstream import Upstream
from tests.support.wire import Client


@pytest.mark.parametrize("drip", [False, True], ids=["whole", "byte by byte"])
@pytest.mark.parametrize("case", goldens("refused"), ids=lambda case: case.name)
def test_refused_heads_are_refused_on_the_wire(
    golden_door: RunningDoor, golden_upstream: Upstream, case: Golden, drip: bool
) -> None:
    if drip and len(case.raw) > 4096:
        pytest.skip("a large head dripped byte by byte says nothing more than its beginning does")
    raw = case.raw
    if case.name.startswith("chunk-"):  # the body of a permitted request: the head alone must not decide
        first, rest = raw.split(b"\r\n", 1)
        raw = first + b"\r\nAuthorization: Bearer " + token() + b"\r\n" + rest
    before = len(golden_upstream.seen)
    with Client(golden_door.port) as client:
        if drip:
            client.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for byte in raw:
                try:
                    client.send(bytes((byte,)))
                except OSError:
                    break  # refused before its last byte, as it may
        else:
            client.send(raw)
        if case.name.startswith("pipelined-"):  # the good one in front has its own answer
            assert client.answer().code == "identity_required"
        got = client.answer("HEAD" if case.raw.startswith(b"HEAD ") else "GET")
        assert (got.status, got.code) == (case.status, case.code)
        if case.closes:
            assert got.headers.get("connection") == "close"
    assert len(golden_upstream.seen) == before
