"""Promises about the lab's children: loopback alone, and no life after their parent."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.lab.upstreams import ENDPOINTS
from tests.support.ports import free_ports


@pytest.fixture
def child() -> Iterator[tuple[subprocess.Popen[bytes], range]]:
    first = free_ports(len(ENDPOINTS))
    process = subprocess.Popen(
        [sys.executable, "-m", "gateway.lab.upstreams", "--port", str(first)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdin is not None
    with process:
        assert process.stdout.readline() == b"ready\n"
        yield process, range(first, first + len(ENDPOINTS))
        process.kill()


def listening(port: int) -> set[str]:
    """Local addresses in LISTEN state on a port, as the kernel writes them: little-endian hexadecimal."""
    found = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            local, state = line.split()[1], line.split()[3]
            address, _, hexadecimal = local.partition(":")
            if state == "0A" and int(hexadecimal, 16) == port:
                found.add(address)
    return found


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="needs Linux's /proc to see who listens")
def test_it_listens_on_loopback_alone(child: tuple[subprocess.Popen[bytes], range]) -> None:
    _, ports = child
    for port in ports:
        assert listening(port) == {"0100007F"}


def test_it_ends_when_its_parents_end_of_the_pipe_closes(child: tuple[subprocess.Popen[bytes], range]) -> None:
    process, _ = child
    assert process.stdin is not None
    process.stdin.close()
    assert process.wait(5) == 0


def test_ctrl_c_is_its_parents_business(child: tuple[subprocess.Popen[bytes], range]) -> None:
    process, ports = child
    process.send_signal(signal.SIGINT)
    with socket.create_connection(("127.0.0.1", ports[0])) as connection:
        connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert connection.recv(12) == b"HTTP/1.0 200"
    assert process.poll() is None
