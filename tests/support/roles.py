"""Tiny roles that obey the real interface (`run(ctx)`), for tests of the processes around them.

`tests/unit/supervisor/test_supervisor.py` gives these functions' modules to the supervisor in place of door, control
and engine. What they do is chosen by small files in the state folder, so that a test can change it while the node
runs:

    crash-ROLE     end at once with the exit code the file holds
    late-ROLE      with that: not before the node is up
    deaf-ROLE      ignore every line, never end by oneself
    mute-door      never say `ready`
    unrecorded-N   door N cannot write its audit trail
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import time
from pathlib import Path

from gateway.link import UP, RoleContext


def run(ctx: RoleContext) -> None:
    marker = ctx.state_folder / f"crash-{ctx.role}"
    if marker.exists():
        while (ctx.state_folder / f"late-{ctx.role}").exists() and ctx.node.value != UP:
            time.sleep(0.01)
        sys.exit(int(marker.read_text()))
    asyncio.run(_serve(ctx))


async def _serve(ctx: RoleContext) -> None:
    await _Role(ctx).serve()


class _Role:
    """As a door: answers each line `X` on a connection with `X PID SETTINGS STATE`. As another role: only lives."""

    def __init__(self, ctx: RoleContext) -> None:
        self.ctx = ctx
        self.loop = asyncio.get_running_loop()
        self.ended = asyncio.Event()
        self.settings = "-"
        self.draining = False
        self.connections: set[asyncio.Task[None]] = set()  # from the moment of their acceptance
        self.deaf = (ctx.state_folder / f"deaf-{ctx.role}").exists()

    async def serve(self) -> None:
        folder, role = self.ctx.state_folder, self.ctx.role
        self.ctx.parent.on_line = self.told
        self.ctx.parent.start()
        if role == "door":
            for sock in self.ctx.sockets.values():
                self.loop.add_reader(sock, self.accept, sock)
        note(folder, f"{role} sockets {','.join(sorted(self.ctx.sockets))}")
        note(folder, f"{role} {self.ctx.slot} started {os.getpid()}")
        self.look_at_trail()
        if not (folder / f"mute-{role}").exists():
            self.ctx.parent.ready()
        await self.ended.wait()
        note(folder, f"{role} {self.ctx.slot} ended {os.getpid()}")

    def look_at_trail(self) -> None:
        if self.ctx.role == "door":
            self.ctx.parent.recorded(not (self.ctx.state_folder / f"unrecorded-{self.ctx.slot}").exists())
            self.loop.call_later(0.01, self.look_at_trail)

    def told(self, word: str, rest: list[str]) -> None:
        note(self.ctx.state_folder, f"{self.ctx.role} {self.ctx.slot} told {word}")
        if self.deaf:
            return
        if word == "settings":
            self.settings = self.ctx.read_settings(rest[0]).central_host
        elif word == "stop":
            self.ended.set()
        elif word == "drain":
            self.draining = True
            for sock in self.ctx.sockets.values():
                self.loop.remove_reader(sock)
            self.end_when_idle()

    def end_when_idle(self) -> None:
        if self.draining and not self.connections:
            self.ended.set()

    def accept(self, listening: socket.socket) -> None:
        try:
            sock, _ = listening.accept()
        except BlockingIOError:  # the other holder of this socket was faster
            return
        sock.setblocking(False)
        task = self.loop.create_task(self.echo(sock))
        self.connections.add(task)
        task.add_done_callback(self.forget)

    def forget(self, task: asyncio.Task[None]) -> None:
        self.connections.discard(task)
        self.end_when_idle()

    async def echo(self, sock: socket.socket) -> None:
        with sock:
            try:
                while line := await self.loop.sock_recv(sock, 4096):
                    said = f"{line.decode().strip()} {os.getpid()} {self.settings} {self.ctx.node.name}"
                    await self.loop.sock_sendall(sock, said.encode() + b"\n")
            except ConnectionError:
                return


def note(folder: Path, line: str) -> None:
    """One line in the node's diary: O_APPEND keeps the lines of all roles whole and in order."""
    fd = os.open(folder / "diary", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(fd, line.encode() + b"\n")
    finally:
        os.close(fd)
