"""What systemd passes over the environment, and what it is told."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.supervisor.systemd import Systemd, environment_of_children


def test_without_a_service_manager_nothing_happens() -> None:
    systemd = Systemd({}, 1)
    systemd.notify("READY=1")
    assert systemd.sockets() == {}
    assert not systemd.journal


def test_it_is_told_on_its_socket(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        Systemd({"NOTIFY_SOCKET": str(tmp_path / "notify")}, 1).notify("READY=1", "STATUS=up")
        assert manager.recv(100) == b"READY=1\nSTATUS=up"
    Systemd({"NOTIFY_SOCKET": str(tmp_path / "notify")}, 1).notify("READY=1")  # it went away: no error


def test_an_abstract_address_is_understood() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(f"\0stagedoor-{os.getpid()}")
        Systemd({"NOTIFY_SOCKET": f"@stagedoor-{os.getpid()}"}, 1).notify("STOPPING=1")
        assert manager.recv(100) == b"STOPPING=1"


ACTIVATED = """
import os, socket, sys
os.dup2(int(sys.argv[1]), 3)
from gateway.supervisor.systemd import Systemd
environ = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1", "LISTEN_FDNAMES": "main"}
(name, sock), = Systemd(environ, os.getpid()).sockets().items()
print(name, sock.getsockname()[1], sock.getblocking(), sock.get_inheritable())
"""


def test_passed_sockets_have_their_listeners_names() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        said = subprocess.run(
            [sys.executable, "-c", ACTIVATED, str(listening.fileno())],
            pass_fds=(listening.fileno(),), stdout=subprocess.PIPE, check=True,
        ).stdout  # fmt: skip
        assert said.decode().split() == ["main", str(listening.getsockname()[1]), "False", "False"]


def test_sockets_meant_for_another_process_are_left_alone() -> None:
    assert Systemd({"LISTEN_PID": "2", "LISTEN_FDS": "1", "LISTEN_FDNAMES": "main"}, 1).sockets() == {}


def test_children_do_not_hear_what_was_said_to_the_supervisor(monkeypatch: pytest.MonkeyPatch) -> None:
    for word in ("NOTIFY_SOCKET", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"):
        monkeypatch.setenv(word, "1")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(("/elsewhere", "/here")))
    environ = environment_of_children("/here")
    assert not {"NOTIFY_SOCKET", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"} & environ.keys()
    assert environ["PYTHONPATH"] == os.pathsep.join(("/here", "/elsewhere"))
