"""Run the lab: lay the ground, start the company's programs, serve, and leave nothing behind.

The supervisor runs in this process, with the lab's control and engine in place of the plain ones. Its log and its
children's go to `.lab/logs/stagedoor.log`; the terminal is for people. Once a request would be answered, the
summary is printed. Ctrl-C reaches the supervisor, which drains for at most a second; whatever ends this process,
the children see their pipe close and end too.
"""

from __future__ import annotations

import http.client
import math
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from gateway import supervisor
from gateway.errors import StagedoorError
from gateway.lab import firewall
from gateway.lab.children import Children
from gateway.lab.directory import read_directory
from gateway.lab.folder import LabError
from gateway.lab.front import CENTRAL_HOST, emulator_arguments
from gateway.lab.ground import Ground, Wishes, lay
from gateway.lab.opening import open_up, write_firewall
from gateway.lab.summary import Summary

MODULES: Final = {**supervisor.ROLES, "control": "gateway.lab.control", "engine": "gateway.lab.engine"}
PATIENCE_S: Final = 20.0  # the promise is ten
LOG: Final = "stagedoor.log"


def run_lab(wishes: Wishes) -> int:
    """Until Ctrl-C; the exit code. Raises `LabError` when it cannot start."""
    started = time.monotonic()
    summary = Summary(sys.stdout)
    summary.begin()
    ground = lay(wishes)
    root = ["--folder", str(ground.folder.root), "--catalog", str(ground.catalog)]
    with Children(ground.folder.logs) as children:
        door = ground.facts.origin(CENTRAL_HOST)
        past = f"https://{CENTRAL_HOST}:{ground.ports.direct}"
        children.start("provider", [*root, "--port", str(ground.provider_port), "--door", door, "--past", past])
        children.start("upstreams", ["--port", str(ground.upstream_port)])
        children.start("bigip", emulator_arguments(ground.folder, ground.ports))
        children.start("panos", firewall.furnish(ground.folder, ground.facts, read_directory(ground.catalog).users))
        children.wait_until_ready()
        code = _serve(ground, summary, started)
    summary.end()
    return code


def _serve(ground: Ground, summary: Summary, started: float) -> int:
    ended = threading.Event()

    def on_up() -> None:
        threading.Thread(target=_announce, args=(ground, summary, started, ended), daemon=True).start()

    log = ground.folder.logs / LOG
    with _stderr_to(log):
        try:
            return supervisor.serve(ground.folder.settings_file, modules=MODULES, on_up=on_up)
        except StagedoorError as error:
            raise LabError(str(error)) from error
        finally:
            ended.set()


def _announce(ground: Ground, summary: Summary, started: float, ended: threading.Event) -> None:
    """Print the summary as soon as requests would be answered; once, what is missing when that takes long."""
    patience = started + PATIENCE_S
    while not ended.wait(0.05):
        answer = _readiness(ground.facts.admin)
        if "\nready" in answer and "FAIL" not in answer and "note" not in answer:
            answer = open_up(ground.folder, ground.ports)
            if not answer:
                summary.show(ground, time.monotonic() - started)
                write_firewall(ground.folder, ended)
                return
        if time.monotonic() > patience:
            patience = math.inf
            summary.stuck(ground, answer, _as_typed(ground.folder.logs / LOG))


def _readiness(address: str) -> str:
    host, _, port = address.rpartition(":")
    try:
        connection = http.client.HTTPConnection(host, int(port), timeout=1)
        connection.request("GET", "/readyz?verbose")
        return "\n" + connection.getresponse().read().decode()
    except (OSError, http.client.HTTPException):
        return ""


def _as_typed(path: Path) -> str:
    return os.path.relpath(path)


@contextmanager
def _stderr_to(log: Path) -> Iterator[None]:
    """Everything this process and its children say on stderr goes to a file; the terminal's comes back after."""
    sys.stderr.flush()
    terminal = os.dup(2)
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(file, 2)
    os.close(file)
    try:
        yield
    finally:
        os.dup2(terminal, 2)
        os.close(terminal)
