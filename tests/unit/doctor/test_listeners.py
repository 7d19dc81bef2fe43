"""Listeners: certificates that clients will accept, addresses that are free or this node's own."""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway import config
from gateway.doctor.lines import Line
from gateway.doctor.listeners import addresses, certificates
from gateway.node.asking import supervisor_of
from gateway.supervisor.sockets import LOCK_FILE
from tests.support.catalogs import settings
from tests.support.certificates import make
from tests.support.ports import free_port


def certificate_line(folder: Path, *names: str, bigip: bool = False, days_left: int = 60) -> Line:
    certificate, key = make(folder, "door", *names, days_left=days_left)
    tls = config.ListenerTls(str(certificate), str(key))
    listener = config.Listener("main", "0.0.0.0:8443", tls, bigip=bigip)
    (line,) = certificates(settings(folder, listeners=(listener,), central_host="door.localhost"))
    return line


@pytest.mark.parametrize(
    ("names", "days_left", "bigip", "verdict", "said"),
    [
        (["door.localhost"], 60, False, "OK", "in 60 days"),
        (["*.localhost"], 60, False, "OK", "in 60 days"),
        (["door.localhost"], 20, False, "WARN", "in 20 days"),
        (["door.localhost"], -1, False, "FAIL", "ended on"),
        (["other.localhost"], 60, False, "WARN", "does not name the central host `door.localhost`"),
        (["other.localhost"], 60, True, "OK", "in 60 days"),
    ],
)
def test_a_certificate_is_judged_by_its_dates_and_names(
    tmp_path: Path, names: list[str], days_left: int, bigip: bool, verdict: str, said: str
) -> None:
    line = certificate_line(tmp_path, *names, bigip=bigip, days_left=days_left)
    assert (line.check, line.subject, line.verdict) == ("tls", "listener main", verdict)
    assert said in line.found
    assert bool(line.fix) is (verdict != "OK")


@pytest.mark.parametrize(
    ("address", "verdict"), [("127.0.0.1:8080", "OK"), ("[::1]:8080", "OK"), ("0.0.0.0:8080", "WARN")]
)
def test_plain_http_is_for_loopback(tmp_path: Path, address: str, verdict: str) -> None:
    (line,) = certificates(settings(tmp_path, listeners=(config.Listener("main", address),)))
    assert line.verdict == verdict


def test_a_certificate_that_cannot_be_read_fails(tmp_path: Path) -> None:
    (tmp_path / "door.pem").write_text("hello")
    for file in ("door.pem", "absent.pem"):
        tls = config.ListenerTls(str(tmp_path / file), "door.key")
        (line,) = certificates(settings(tmp_path, listeners=(config.Listener("main", "127.0.0.1:1", tls),)))
        assert line.verdict == "FAIL"
        assert file in line.found


# === addresses ===


def address_line(folder: Path, port: int) -> Line:
    listener = config.Listener("main", f"127.0.0.1:{port}")
    first, admin = addresses(settings(folder, listeners=(listener,), admin_address=f"127.0.0.1:{free_port()}"))
    assert admin.subject == "listener admin"
    return first


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def held(tmp_path: Path) -> Iterator[Path]:
    """A folder whose state is this process's, as a supervisor's is."""
    state = Path(settings(tmp_path).state_folder)
    state.mkdir()
    with (state / LOCK_FILE).open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.write(f"{os.getpid()}\n".encode())
        lock.flush()
        yield tmp_path


def test_a_free_address_is_well(tmp_path: Path) -> None:
    assert address_line(tmp_path, free_port()).verdict == "OK"


def test_an_address_of_another_program_fails_and_says_how_to_find_it(tmp_path: Path, taken: int) -> None:
    line = address_line(tmp_path, taken)
    assert line.verdict == "FAIL"
    assert "in use by another program" in line.found
    assert "ss -ltnp" in line.fix


def test_an_address_that_this_node_holds_is_well(held: Path, taken: int) -> None:
    line = address_line(held, taken)
    assert line.verdict == "OK"
    assert f"held by this node (pid {os.getpid()})" in line.found


def test_a_free_address_of_a_running_node_wants_a_restart(held: Path) -> None:
    line = address_line(held, free_port())
    assert line.verdict == "WARN"
    assert "restart" in line.fix


def test_an_address_that_is_nowhere_fails(tmp_path: Path) -> None:
    listener = config.Listener("main", "192.0.2.1:8443")
    line = addresses(settings(tmp_path, listeners=(listener,), admin_address=f"127.0.0.1:{free_port()}"))[0]
    assert (line.verdict, "no interface of this machine" in line.found) == ("FAIL", True)


def test_a_node_runs_while_its_lock_is_held(held: Path, tmp_path: Path) -> None:
    state = Path(settings(held).state_folder)
    assert supervisor_of(state) == os.getpid()
    assert supervisor_of(tmp_path / "absent") is None


def test_a_lock_file_of_a_node_that_ended_says_nothing(tmp_path: Path) -> None:
    (tmp_path / LOCK_FILE).write_text(f"{os.getpid()}\n")
    assert supervisor_of(tmp_path) is None
