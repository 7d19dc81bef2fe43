"""Addresses and the state folder: one node holds them, and whoever comes second is told so and what to do."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gateway.errors import ConfigError, StateError
from gateway.supervisor import sockets
from gateway.supervisor.sockets import AddressError, Wanted, address_of, lock_state, open_sockets


def close(opened: dict[str, tuple[socket.socket, ...]]) -> None:
    for slots in opened.values():
        for sock in slots:
            sock.close()


def wanted(address: str) -> list[Wanted]:
    return [Wanted("main", address, "listeners[0].address")]


def test_each_slot_has_its_own_queue_on_one_address() -> None:
    opened = open_sockets(wanted("127.0.0.1:0"), 3, {})
    slots = opened["main"]
    assert len({sock.fileno() for sock in slots}) == 3
    assert len({address_of(sock) for sock in slots}) == 1
    for sock in slots:
        assert not sock.getblocking()
        assert not sock.get_inheritable()
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    close(opened)


@pytest.mark.skipif(not socket.has_ipv6, reason="no IPv6 here")
def test_an_ipv6_address_means_itself() -> None:
    opened = open_sockets(wanted("[::1]:0"), 1, {})
    assert address_of(opened["main"][0]).startswith("[::1]:")
    close(opened)


def test_a_passed_socket_that_no_listener_takes_is_refused_with_the_names_there_are() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as passed,
        pytest.raises(ConfigError, match=r"called `office`.*\(`main`\).*FileDescriptorName"),
    ):
        open_sockets(wanted("127.0.0.1:0"), 1, {"office": passed})


def test_a_second_node_of_the_same_user_does_not_share_an_address_by_accident() -> None:
    """SO_REUSEPORT alone would let it in and give it half of the connections."""
    first = open_sockets(wanted("127.0.0.1:0"), 2, {})
    address = address_of(first["main"][0])
    with pytest.raises(AddressError, match=r"is in use by another program: .*`listeners\[0\]\.address`"):
        open_sockets(wanted(address), 2, {})
    close(first)


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("192.0.2.1:8443", "belongs to no interface of this machine"),
        ("127.0.0.1:99999", "cannot be listened on"),
        ("nonsense", "cannot be listened on"),
    ],
)
def test_an_address_that_cannot_be_is_named_with_its_setting(address: str, said: str) -> None:
    with pytest.raises(AddressError) as refused:
        open_sockets(wanted(address), 1, {})
    assert said in str(refused.value)
    assert f"`{address}`" in str(refused.value)
    assert "`listeners[0].address`" in str(refused.value)


def test_a_privileged_port_asks_for_the_capability() -> None:
    said = sockets._explained(wanted("127.0.0.1:443")[0], PermissionError(13, "Permission denied"))
    assert "CAP_NET_BIND_SERVICE" in said
    assert "1024" in said


def test_a_socket_passed_by_systemd_is_shared_by_all_slots() -> None:
    with socket.create_server(("127.0.0.1", 0)) as passed:
        opened = open_sockets(wanted("127.0.0.1:1"), 3, {"main": passed})
        assert opened == {"main": (passed, passed, passed)}


def test_the_state_folder_belongs_to_one_node(tmp_path: Path) -> None:
    lock = lock_state(tmp_path)
    with pytest.raises(StateError, match=rf"belongs to a running node \(pid {os.getpid()}\)"):
        lock_state(tmp_path)
    os.close(lock)
    os.close(lock_state(tmp_path))


ORPHAN = """
import sys
print("holding", flush=True)
sys.stdin.read()
"""


def test_a_new_node_waits_for_the_children_of_a_killed_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = lock_state(tmp_path)
    (tmp_path / "node.lock").write_text("999999999\n")  # no such process: its supervisor is dead
    waited: list[float] = []
    with subprocess.Popen(
        [sys.executable, "-c", ORPHAN], pass_fds=(lock,), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as orphan:
        assert orphan.stdin is not None
        assert orphan.stdout is not None
        assert orphan.stdout.readline() == b"holding\n"
        os.close(lock)

        def orphan_ends(seconds: float) -> None:
            waited.append(seconds)
            orphan.communicate()

        monkeypatch.setattr(time, "sleep", orphan_ends)
        os.close(lock_state(tmp_path))
    assert len(waited) == 1
    assert (tmp_path / "node.lock").read_text() == f"{os.getpid()}\n"


def test_waiting_for_a_dead_nodes_children_has_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sockets, "ORPHANS_END_S", 0.1)
    lock = lock_state(tmp_path)
    (tmp_path / "node.lock").write_text("999999999\n")
    with pytest.raises(StateError, match="belongs to a running node"):
        lock_state(tmp_path)
    os.close(lock)
