"""The entry of a child: one role's module and nothing else, its own signals, its exit code."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from gateway import app
from gateway.child import NodeState
from gateway.config import Catalog, Settings
from tests.support.node import ROOT

ROLE = """
import signal, sys
from gateway.errors import ConfigError, StagedoorError
from gateway.telemetry import log

def run(ctx):
    match ctx.settings.central_host:
        case "modules":
            log("modules", loaded=sorted(sys.modules))
        case "context":
            log("context", role=ctx.role, slot=ctx.slot, folder=str(ctx.state_folder), state=ctx.node.name,
                ports={name: sock.getsockname()[1] for name, sock in ctx.sockets.items()})
        case "signals":
            for number in (signal.SIGINT, signal.SIGHUP, signal.SIGUSR2, signal.SIGTERM):
                signal.raise_signal(number)
            log("alive", blocked=len(signal.pthread_sigmask(signal.SIG_BLOCK, ())))
        case "configuration":
            raise ConfigError("certificate `x` is no certificate")
        case "unavailable":
            raise StagedoorError("port is taken")
        case "bug":
            raise RuntimeError("a bug")
"""


class Started:
    """One child, started as the supervisor starts it, that ran to its end."""

    def __init__(self, folder: Path, what: str) -> None:
        (folder / "one_role.py").write_text(ROLE)
        settings = Settings(
            listeners=(), issuers=(), environments={}, catalog=Catalog(), access_policy="",
            state_folder=str(folder / "state"), central_host=what, log_format="json",
        )  # fmt: skip
        self.frame = app.write_frame(settings)
        node = NodeState.create()
        ours, theirs = socket.socketpair()
        with socket.create_server(("127.0.0.1", 0)) as listening:
            self.port = listening.getsockname()[1]
            argv = ["-P", "-m", "gateway.app", "door", "--module", "one_role", "--slot", "2"]
            argv += ["--settings", str(self.frame), "--node", str(node.fd), "--parent", str(theirs.fileno())]
            argv += ["--socket", f"main={listening.fileno()}"]
            self.ended = subprocess.run(
                [sys.executable, *argv],
                env=os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{folder}"},
                pass_fds=(node.fd, theirs.fileno(), listening.fileno()), stderr=subprocess.PIPE, check=False,
            )  # fmt: skip
        theirs.close()
        with ours:
            self.said = ours.recv(100)
        os.close(node.fd)

    def event(self, name: str) -> dict[str, object]:
        (found,) = [event for event in map(json.loads, self.ended.stderr.splitlines()) if event["event"] == name]
        return dict(found)


def test_a_role_gets_what_it_was_started_with(tmp_path: Path) -> None:
    started = Started(tmp_path, "context")
    event = started.event("context")
    assert (event["role"], event["slot"], event["state"]) == ("door", 2, "starting")
    assert event["folder"] == str(tmp_path / "state")
    assert event["ports"] == {"main": started.port}
    assert started.ended.returncode == 0


def test_only_the_roles_module_is_loaded(tmp_path: Path) -> None:
    """What a door must never carry is not brought in by what starts it."""
    loaded = Started(tmp_path, "modules").event("modules")["loaded"]
    assert isinstance(loaded, list)
    assert "one_role" in loaded
    for unwanted in ("pydantic", "yaml", "sqlalchemy", "jinja2", "aiohttp", "click", "rich", "prometheus_client"):
        assert unwanted not in loaded
    assert not [name for name in loaded if name.startswith(("gateway.control", "gateway.engine", "gateway.door"))]


def test_signals_to_the_group_are_not_for_a_child_and_sigterm_asks_the_supervisor(tmp_path: Path) -> None:
    started = Started(tmp_path, "signals")
    assert started.event("alive")["blocked"] == 0
    assert started.said == b"restart\n"


@pytest.mark.parametrize(
    ("what", "code", "event", "why"),
    [
        ("configuration", 3, "configuration_refused", "certificate `x` is no certificate"),
        ("unavailable", 4, "unavailable", "port is taken"),
        ("bug", 1, "crashed", "RuntimeError('a bug')"),
    ],
)
def test_an_end_says_why_in_its_code_and_its_log(tmp_path: Path, what: str, code: int, event: str, why: str) -> None:
    started = Started(tmp_path, what)
    assert started.ended.returncode == code
    assert started.event(event)["why"] == why


def test_a_child_starts_with_its_signals_blocked_and_opens_them(tmp_path: Path) -> None:
    """As the supervisor starts it: what arrives before the child has its dispositions is not lost and kills nobody."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    try:
        started = Started(tmp_path, "signals")
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM, signal.SIGINT})
    assert started.event("alive")["blocked"] == 0
