"""How much memory a worker takes for each session that it has seen: `python -m tests.support.session_memory COUNT`.

A process of its own, because resident memory is measured: a door that serves nobody, beside a control that hears it, is
told of COUNT sessions, is shown the cookie of each once, and what it has grown by since, divided, is printed.
"""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import sys
import tempfile
import time
from pathlib import Path

from gateway.child import NodeState, ParentChannel, RoleContext
from gateway.door.callers import Caller
from gateway.door.room import resident_bytes
from gateway.door.worker import Door
from gateway.http1.request import Head
from gateway.http1.target import Target
from gateway.identity.session import NONCE_BYTES, SessionCookie, SessionKeys, facts_message, seal_cookie
from tests.support.door_sessions import KEY, facts, session_id, session_settings
from tests.support.small_catalog import publish_small_catalog

HOST = "echo.test"
AT_ONCE = 500  # sessions in one message


def shown(door: Door, number: int, ends: int) -> None:
    """A request with this session's cookie, as far as it is told who it is."""
    cookie = SessionCookie(session_id(number), "test", "jane", 0, ("pwd",), ends)
    head = Head("GET", Target(b"/", "/", ("",)), 11)
    head.host, head.authority = HOST, HOST.encode()
    head.session = seal_cookie(cookie, HOST, door.sessions.keys, os.urandom(NONCE_BYTES)).encode()
    found = door.sessions.find(head, "prod", door.snapshot)
    assert isinstance(found, Caller), found
    assert found.principal.ref == "user:default/jane"


def see(door: Door, first: int, count: int) -> None:
    said = [
        facts(
            number,
            claims={
                "email": f"firstname.lastname{number}@example.com", "email_verified": True, "amr": ["pwd", "otp"],
                "acr": "urn:example:strong", "groups": ["engineering", "payments", "on-call"],
            },
        )
        for number in range(first, first + count)
    ]  # fmt: skip
    for each in said:
        door.sessions.facts.ask(bytes.fromhex(each.sid[2:]), door.now)
    door.sessions.facts.take([facts_message(each) for each in said])
    ends = int(time.time()) + 3600
    for number in range(first, first + count):
        shown(door, number, ends)


def _heard(message: dict[str, object]) -> bool:
    """Control is there, and takes whom sessions were found to be."""
    return message["t"] == "found"


async def measure(count: int) -> float:
    """Bytes of resident memory for each session."""
    state = Path(tempfile.mkdtemp())
    publish_small_catalog(state, "http://127.0.0.1:9")
    parent, child = socket.socketpair()
    with parent, child:
        context = RoleContext(
            role="door", slot=0, settings=session_settings(state), state_folder=state, sockets={},
            parent=ParentChannel(child), node=NodeState.create(),
        )  # fmt: skip
        door = Door(context)
        door.sessions.keys = SessionKeys([("k1", KEY)])
        door.following.load_from_disk()
        door.following.ask_control = _heard  # type: ignore[method-assign]  # nothing waits for a control that is away
        see(door, 0, AT_ONCE)
        await asyncio.sleep(0)
        gc.collect()
        before = resident_bytes()
        for first in range(AT_ONCE, AT_ONCE + count, AT_ONCE):
            see(door, first, AT_ONCE)
            await asyncio.sleep(0)
        gc.collect()
        assert len(door.sessions.facts.held) == count + AT_ONCE
        return (resident_bytes() - before) / count


if __name__ == "__main__":
    print(round(asyncio.run(measure(int(sys.argv[1])))))
