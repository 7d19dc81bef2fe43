"""What a child is given: lines from its parent, the shared state page, and no life after its parent's."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys

from gateway.child import DRAINING, STARTING, UP, NodeState, ParentChannel


def test_lines_arrive_whole_however_they_are_cut() -> None:
    async def test() -> list[tuple[str, list[str]]]:
        ours, theirs = socket.socketpair()
        channel = ParentChannel(theirs)
        heard: list[tuple[str, list[str]]] = []
        done = asyncio.Event()

        def told(word: str, rest: list[str]) -> None:
            heard.append((word, rest))
            if word == "stop":
                done.set()

        channel.on_line = told
        channel.start()
        for piece in (b"settings settings-abc.fr", b"ame\ndrain\nst", b"op\n"):
            ours.send(piece)
            await asyncio.sleep(0)
        async with asyncio.timeout(5):
            await done.wait()
        channel.close()
        ours.close()
        theirs.close()
        return heard

    assert asyncio.run(test()) == [("settings", ["settings-abc.frame"]), ("drain", []), ("stop", [])]


def test_end_of_file_reaches_the_role_as_stop() -> None:
    async def test() -> None:
        ours, theirs = socket.socketpair()
        channel = ParentChannel(theirs)
        stopped = asyncio.Event()
        channel.on_line = lambda word, rest: stopped.set() if word == "stop" else None
        channel.start()
        ours.close()
        async with asyncio.timeout(5):
            await stopped.wait()
        channel.ready()  # nobody hears it, and that is no error
        theirs.close()

    asyncio.run(test())


def test_lines_wait_until_the_role_listens() -> None:
    async def test() -> None:
        ours, theirs = socket.socketpair()
        ours.send(b"drain\n")
        channel = ParentChannel(theirs)
        heard = asyncio.Event()
        channel.on_line = lambda word, rest: heard.set()
        channel.start()
        async with asyncio.timeout(5):
            await heard.wait()
        channel.ready()
        assert ours.recv(100) == b"ready\n"
        channel.close()
        ours.close()
        theirs.close()

    asyncio.run(test())


def test_all_roles_see_one_state() -> None:
    ours = NodeState.create()
    theirs = NodeState(ours.fd)
    assert theirs.value == STARTING
    ours.value = UP
    assert (theirs.value, theirs.name) == (UP, "up")
    ours.value = DRAINING
    assert theirs.name == "draining"
    os.close(ours.fd)


HUNG = """
import socket, sys, time
from gateway import child
child.ORPHAN_S = 0.05
child.ParentChannel(socket.socket(fileno=int(sys.argv[1]))).watch()
print("watching", flush=True)
while True:
    time.sleep(60)  # an event loop that never turns again
"""


def test_a_role_that_hangs_ends_with_its_parent_all_the_same() -> None:
    ours, theirs = socket.socketpair()
    with subprocess.Popen(
        [sys.executable, "-c", HUNG, str(theirs.fileno())], pass_fds=(theirs.fileno(),), stdout=subprocess.PIPE
    ) as child:
        theirs.close()
        assert child.stdout is not None
        assert child.stdout.readline() == b"watching\n"
        ours.close()
        assert child.wait(timeout=10) == 1
