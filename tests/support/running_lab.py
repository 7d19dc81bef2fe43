"""A lab of one's own for a test: a copy of the examples, free ports, a terminal, and the end of it all.

The lab runs on a pseudo-terminal in a session of its own, so that Ctrl-C can be typed as a person types it: the
kernel then sends SIGINT to the whole foreground process group.
"""

from __future__ import annotations

import http.client
import json
import os
import pty
import re
import select
import shutil
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gateway.lab.folder import LabFacts, LabFolder
from tests.support.ports import free_ports

PROJECT = Path(__file__).parents[2]
READY_S = 90.0  # the promise is ten; a shared machine may be slower than a person's
# The virtual servers', the provider's, those of the example applications, the admin listener's, the door's for the
# BIG-IP and its monitors, and last where its two units and the firewall are managed. The door's past the BIG-IP is any.
PORTS_IN_A_ROW = 16


class RunningLab:
    def __init__(self, folder: Path, first_port: int) -> None:
        self.folder = folder
        self.port = first_port
        self.upstreams = first_port + 2
        self.root = folder / ".lab"
        self.text = ""
        self._terminal, child_side = pty.openpty()
        command = [sys.executable, "-m", "gateway.cli", "lab", "run", "--port", str(self.port)]
        command += ["--folder", str(self.root), "--catalog", str(folder / "catalog")]
        command += ["--access-policy", str(folder / "access-policy.yaml"), "--upstreams", str(self.upstreams)]
        self.process = subprocess.Popen(
            command, stdin=child_side, stdout=child_side, stderr=child_side, cwd=folder,
            env={**os.environ, "PYTHONPATH": str(PROJECT), "TERM": "xterm"},
            start_new_session=True, preexec_fn=lambda: _take_terminal(child_side),
        )  # fmt: skip
        os.close(child_side)

    @property
    def catalog(self) -> Path:
        """The files that count: ports were shifted, so the lab works on a copy."""
        return self.root / "catalog"

    def wait_for(self, words: str, within_s: float = READY_S) -> str:
        """Everything the terminal has shown, once it shows ``words``."""
        deadline = time.monotonic() + within_s
        while words not in self.text:
            assert time.monotonic() < deadline, f"the lab did not say `{words}`:\n{self.text}\n{self.log()}"
            assert self.process.poll() is None or words in self.text, f"the lab ended:\n{self.text}\n{self.log()}"
            self._read(0.1)
        return self.text

    def type_ctrl_c(self) -> None:
        os.write(self._terminal, b"\x03")

    def wait_for_end(self, within_s: float) -> int:
        deadline = time.monotonic() + within_s
        while self.process.poll() is None and time.monotonic() < deadline:
            self._read(0.05)
        self._read(0.0)
        return self.process.wait(max(0.0, deadline - time.monotonic()) + 0.01)

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        """`stagedoor lab WORDS` for this lab."""
        return subprocess.run(
            [sys.executable, "-m", "gateway.cli", "lab", *words, "--folder", str(self.root)],
            capture_output=True, text=True, timeout=30, check=False, cwd=PROJECT,
        )  # fmt: skip

    def token(self, *words: str) -> str:
        return self.command("token", *words).stdout.strip()

    def get(
        self, host: str, path: str, token: str = "", method: str = "GET", *, port: int = 0,
        fields: Mapping[str, str] | None = None, body: str | None = None,
    ) -> tuple[int, bytes, Mapping[str, str]]:  # fmt: skip
        """Through virtual server and door, trusting the lab's authority and nobody else. ``port``: another one."""
        context = ssl.create_default_context(cafile=str(self.root / "certs" / "ca.pem"))
        connection = http.client.HTTPConnection(host, port or self.port)
        raw = socket.create_connection(("127.0.0.1", port or self.port), 10)
        connection.sock = context.wrap_socket(raw, server_hostname=host)
        sent = {**(fields or {}), **({"Authorization": f"Bearer {token}"} if token else {})}
        connection.request(method, path, body, headers=sent)
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        return answer.status, content, dict(answer.headers)

    @property
    def facts(self) -> LabFacts:
        return LabFolder(self.root).facts()

    def device(self, method: str, path: str, body: Any = None) -> Any:
        """Asks the emulated BIG-IP where it is managed: what is below `/_lab` needs no log-in."""
        return self._asked(self.facts.device, method, path, body)

    def firewall(self, method: str, path: str, body: Any = None) -> Any:
        """The same of the emulated firewall."""
        return self._asked(self.facts.firewall, method, path, body)

    def _asked(self, address: str, method: str, path: str, body: Any) -> Any:
        port = int(address.rpartition(":")[2])
        said = None if body is None else json.dumps(body)
        status, answer, _ = self.get("localhost", path, method=method, port=port, body=said)
        assert status == 200, answer
        return json.loads(answer)

    def stagedoor(self, *words: str) -> subprocess.CompletedProcess[str]:
        """`stagedoor WORDS` about this lab's node."""
        return subprocess.run(
            [sys.executable, "-m", "gateway.cli", *words, "--config", str(self.root / "stagedoor.yaml")],
            capture_output=True, text=True, timeout=60, check=False, cwd=PROJECT,
        )  # fmt: skip

    def log(self) -> str:
        return "\n".join(f"{path.name}:\n{path.read_text()[-4000:]}" for path in sorted(self.root.glob("logs/*.log")))

    def descendants(self) -> set[int]:
        """Every process that lives below the lab, by /proc."""
        parents: dict[int, int] = {}
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = stat.read_text().rpartition(")")[2].split()
            except OSError:
                continue
            parents[int(stat.parent.name)] = int(fields[1])
        found = {self.process.pid}
        while grown := {pid for pid, parent in parents.items() if parent in found} - found:
            found |= grown
        return found - {self.process.pid}

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.wait_for_end(8)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        os.close(self._terminal)

    def _read(self, within_s: float) -> None:
        readable, _, _ = select.select([self._terminal], [], [], within_s)
        if not readable:
            return
        try:
            self.text += re.sub(r"\x1b\[[0-9;]*m", "", os.read(self._terminal, 65536).decode("utf-8", "replace"))
        except OSError:  # the other side is closed
            time.sleep(within_s)


@contextmanager
def running_lab(folder: Path) -> Iterator[RunningLab]:
    shutil.copytree(PROJECT / "examples", folder, dirs_exist_ok=True)
    lab = RunningLab(folder, free_ports(PORTS_IN_A_ROW))
    try:
        lab.wait_for("Ctrl-C stops everything")
        yield lab
    finally:
        lab.close()


def _take_terminal(descriptor: int) -> None:
    import fcntl
    import termios

    arguments: Any = 0
    fcntl.ioctl(descriptor, termios.TIOCSCTTY, arguments)
