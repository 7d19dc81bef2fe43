"""A whole node in a folder: the real supervisor as a process of its own, with tiny roles in place of the real ones.

The node's own log (JSON lines) and the roles' diary are read as they grow; a test waits for a line instead of for
a time.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.support.ports import free_port

ROOT = Path(__file__).parents[2]
PATIENCE_S = 15.0
ROLES = ("engine", "control", "door")

SERVE = """
import sys
from pathlib import Path
from gateway.cli import complain
from gateway.errors import StagedoorError
from gateway.supervisor import serve
modules = dict.fromkeys(("engine", "control", "door"), "tests.support.roles")
try:
    sys.exit(serve(Path(sys.argv[1]), modules=modules))
except StagedoorError as error:
    sys.exit(complain(error))
"""

CONFIG = """\
workers: {workers}
listeners: [{{name: main, address: "127.0.0.1:{port}"}}]
admin: {{address: "127.0.0.1:{admin_port}"}}
central_host: {central_host}
environments: {{dev: {{hosts: [.apps.example.com], upstreams: [127.0.0.0/8]}}}}
catalog: {{files: [catalog.yaml]}}
access_policy: access.yaml
state: {{folder: {state}}}
timeouts: {{drain: {{announce: {announce}, finish: {finish}}}}}
log: {{format: json}}
"""


class Node:
    """Started on entry, killed with all its children on exit, whatever the test did."""

    def __init__(self, folder: Path, **settings: object) -> None:
        self.folder = folder
        self.state = folder / "state"
        self.settings: dict[str, object] = {
            "workers": 2, "port": free_port(), "admin_port": free_port(), "central_host": "first.example.com",
            "state": "state", "announce": "0s", "finish": "5s",
        } | settings  # fmt: skip
        self.state.mkdir(exist_ok=True)
        for name in ("catalog.yaml", "access.yaml"):
            (folder / name).touch()
        self.configure()
        self._log = folder / "log"
        self.supervisor: subprocess.Popen[bytes] | None = None

    def configure(self, **settings: object) -> None:
        self.settings |= settings
        (self.folder / "stagedoor.yaml").write_text(CONFIG.format(**self.settings))

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.supervisor is not None:
            self.supervisor.kill()
            self.supervisor.wait()
        for pid in self.pids():
            kill(pid, signal.SIGKILL)

    def start(self) -> None:
        with self._log.open("ab") as log:
            self.supervisor = subprocess.Popen(
                [sys.executable, "-c", SERVE, str(self.folder / "stagedoor.yaml")],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=ROOT, start_new_session=True,
            )  # fmt: skip

    def up(self) -> Self:
        """Every door serves, and the other roles have come to life too."""
        self.wait_for_event("up")
        roles = {(event["child"], event["child_slot"]) for event in self.events("child_started")}
        self.wait_for(lambda: len(self.pids()) >= len(roles), "the start of all roles")
        return self

    # === what happened ===

    @property
    def port(self) -> int:
        return int(str(self.settings["port"]))

    def events(self, name: str = "") -> list[dict[str, Any]]:
        lines = self._log.read_text().splitlines()
        found = [json.loads(line) for line in lines if line.startswith("{")]
        return [event for event in found if name in ("", event["event"])]

    def log(self) -> str:
        return self._log.read_text()

    def diary(self) -> list[str]:
        file = self.state / "diary"
        return file.read_text().splitlines() if file.exists() else []

    def pids(self) -> set[int]:
        """Of all children there ever were."""
        return {int(line.split()[3]) for line in self.diary() if " started " in line}

    def alive(self) -> set[int]:
        return {pid for pid in self.pids() if is_alive(pid)}

    def newest(self, role: str, slot: int = 0) -> int:
        return [int(line.split()[3]) for line in self.diary() if line.startswith(f"{role} {slot} started")][-1]

    # === doing and waiting ===

    def signal(self, number: int) -> None:
        assert self.supervisor is not None
        self.supervisor.send_signal(number)

    def wait_for(self, condition: Callable[[], object], what: str) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < deadline, f"{what} did not happen\n{self.log()}\n{self.diary()}"
            time.sleep(0.01)

    def wait_for_event(self, name: str, count: int = 1) -> dict[str, Any]:
        self.wait_for(lambda: len(self.events(name)) >= count, f"{count} x `{name}`")
        return self.events(name)[count - 1]

    def ended(self) -> int:
        """The exit code of the supervisor."""
        assert self.supervisor is not None
        return self.supervisor.wait(timeout=PATIENCE_S)

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE_S)

    def ask(self, sock: socket.socket, word: str = "x") -> tuple[int, str, str]:
        """What the tiny door says: its pid, the settings it holds, the node's state."""
        sock.sendall(word.encode() + b"\n")
        said = b""
        while not said.endswith(b"\n"):
            piece = sock.recv(4096)
            assert piece, f"connection ended after {said!r}"
            said += piece
        echoed, pid, settings, state = said.decode().split()
        assert echoed == word
        return int(pid), settings, state


def kill(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def is_alive(pid: int) -> bool:
    """A zombie has ended: whether it was reaped is its parent's business."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"
