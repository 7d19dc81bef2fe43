"""A whole node with its real roles: what survives the death, the swap and the absence of each part."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.audit.chain import verify_paths
from tests.support.door import until
from tests.support.tokens import ES256, RS256, Signer
from tests.support.whole_node import WholeNode, whole_node
from tests.support.wire import Client


@pytest.fixture
def node(tmp_path: Path) -> Iterator[WholeNode]:
    with whole_node(tmp_path) as running:
        yield running


def status(node: WholeNode, **request: object) -> int:
    with Client(node.port) as client:
        return client.send(node.request(**request)).answer().status  # type: ignore[arg-type]  # passed on


def test_a_node_started_by_its_configuration_serves_and_an_edit_of_the_catalog_counts_within_two_seconds(
    node: WholeNode,
) -> None:
    assert status(node, sub="joe") == 200
    assert status(node, sub=None) == 401
    node.publish(access="owners")
    edited = time.monotonic()
    until(lambda: status(node, sub="joe") == 403, 2)
    assert time.monotonic() - edited < 2
    assert status(node, sub="jane") == 200


def test_a_running_door_has_loaded_nothing_heavy(node: WholeNode) -> None:
    """`/proc/PID/maps` lists every compiled module a process has loaded; the pure ones come with these."""
    pid = node.children("door")[0]
    maps = Path(f"/proc/{pid}/maps").read_text()
    assert "httptools" in maps, "the check sees what a door does load"
    assert not [name for name in ("pydantic_core", "sqlalchemy", "jinja2", "markupsafe", "aiohttp") if name in maps]


@pytest.mark.slow
@pytest.mark.parametrize("role", ["door", "control", "engine"])
def test_a_killed_role_comes_back_and_the_others_go_on(node: WholeNode, role: str) -> None:
    assert status(node) == 200
    before = node.children(role)[0]
    os.kill(before, signal.SIGKILL)
    if role != "door":
        assert status(node) == 200  # doors need neither for what they know
    until(lambda: node.children(role)[0] != before, 10)
    until(node.ready, 15)
    assert status(node) == 200
    node.publish(access="owners")
    until(lambda: status(node, sub="joe") == 403, 10)


@pytest.mark.slow
def test_a_rotation_costs_no_request_and_an_absent_issuer_costs_nothing_that_is_known(node: WholeNode) -> None:
    assert status(node) == 200
    node.signers = (ES256, RS256)
    assert [status(node, signer=ES256), status(node, signer=RS256)] == [200, 200]
    node.issuer_up = False
    assert [status(node, signer=ES256), status(node, sub="joe")] == [200, 200]


@pytest.mark.slow
def test_the_last_good_base_and_the_last_good_keys_serve_at_the_start_with_everything_away(tmp_path: Path) -> None:
    with whole_node(tmp_path) as node:
        assert status(node) == 200
        (node.folder / "catalog" / "all.yaml").rename(node.folder / "gone.yaml")
        node.issuer_up = False
        for role in ("engine", "control", "door"):
            for pid in node.children(role).values():
                os.kill(pid, signal.SIGKILL)
        until(lambda: all(count == 2 for count in Counter(
            (event["child"], event["child_slot"]) for event in node.events("child_started")
        ).values()), 15)  # fmt: skip
        until(node.ready, 15)
        assert status(node) == 200


@pytest.mark.slow
def test_rotations_in_a_row_cost_no_request(node: WholeNode) -> None:
    assert status(node) == 200
    for kid in ("second", "third", "fourth"):
        new = Signer("p256", "ES256", kid)
        node.signers = (new,)
        assert status(node, signer=new) == 200


@pytest.mark.slow
def test_a_damaged_state_folder_is_made_whole_and_ends_no_role_for_good(tmp_path: Path) -> None:
    with whole_node(tmp_path) as node:
        state = node.folder / "state"
        until(lambda: status(node) == 200, 5)
        for roles in (("door",), ("engine", "control", "door")):  # the others alive, and none
            for file in [*state.glob("frames/*"), *state.glob("settings-*.frame"), state / "manifest"]:
                file.write_bytes(file.read_bytes()[:-3])
            for file in (state / "overlay.json", state / "engine.journal"):
                file.write_bytes(b"damaged")
            gone = {role: node.children(role) for role in roles}
            for pids in gone.values():
                for pid in pids.values():
                    os.kill(pid, signal.SIGKILL)
            until(lambda gone=gone: all(  # type: ignore[misc]  # this turn's
                set(node.children(role).values()).isdisjoint(pids.values()) for role, pids in gone.items()
            ), 15)  # fmt: skip
            until(lambda: node.ready() and status(node) == 200, 15)
        assert not node.events("crashed")
        assert status(node, sub=None) == 401


class Hammer:
    """New connections at a steady rate, one request each, from a few threads; counts what came of them."""

    def __init__(self, node: WholeNode, rate: int, threads: int = 4) -> None:
        self.outcomes: Counter[str] = Counter()
        self._request = node.request(lines=b"Connection: close\r\n")
        self._port = node.port
        self._pause_s = threads / rate
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._run) for _ in range(threads)]
        self.began = time.monotonic()
        for thread in self._threads:
            thread.start()

    def _run(self) -> None:
        due = time.monotonic()
        while not self._stop.is_set():
            due += self._pause_s
            time.sleep(max(0.0, due - time.monotonic()))
            outcome = self._once()
            with self._lock:
                self.outcomes[outcome] += 1

    def _once(self) -> str:
        try:
            with socket.create_connection(("127.0.0.1", self._port), 10) as sock:
                sock.sendall(self._request)
                return read_to_end_strictly(sock)[9:12].decode() or "nothing"
        except OSError as error:
            return type(error).__name__

    def stop(self) -> float:
        """Connections per second that were really made."""
        self._stop.set()
        for thread in self._threads:
            thread.join()
        return sum(self.outcomes.values()) / (time.monotonic() - self.began)


def read_to_end_strictly(sock: socket.socket) -> bytes:
    """Like `read_to_end`, but a reset is an error."""
    received = b""
    while piece := sock.recv(65536):
        received += piece
    return received


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_twenty_planned_worker_restarts_and_reloads_under_load_lose_no_connection(node: WholeNode) -> None:
    hammer = Hammer(node, 2000)
    for turn in range(10):  # two workers each
        node.process.send_signal(signal.SIGUSR2)
        until(lambda turn=turn: len(node.events("child_started")) >= 4 + 2 * (turn + 1), 30)  # type: ignore[misc]  # this turn's
        node.process.send_signal(signal.SIGHUP)
        until(lambda turn=turn: len(node.events("child_ended")) >= 2 * (turn + 1), 30)  # type: ignore[misc]  # this turn's
    rate = hammer.stop()
    assert set(hammer.outcomes) == {"200"}, hammer.outcomes
    assert rate > 500, f"the load was {rate:.0f} connections a second"


@pytest.mark.slow
def test_sigterm_drains_and_the_audit_trail_verifies_with_one_record_per_request(tmp_path: Path) -> None:
    with whole_node(tmp_path) as node:
        for n in range(20):
            assert status(node, target=f"/{n}") == 200
        slow = threading.Event()
        node.upstream.gate = slow
        with Client(node.port) as client:
            client.send(node.request(target="/last"))
            node.upstream.wait_for(21)
            node.process.send_signal(signal.SIGTERM)
            until(lambda: node.events("draining"), 5)
            slow.set()
            got = client.answer()
            assert (got.status, got.headers["connection"]) == (200, "close")
        assert node.process.wait(20) == 0
    report = verify_paths(sorted((tmp_path / "state" / "audit").glob("*.jsonl")))
    assert report.ok, report.findings
    lines = [line for path in (tmp_path / "state" / "audit").glob("*.jsonl") for line in path.read_bytes().splitlines()]
    assert sum(b'"request_id"' in line for line in lines) == 21


def test_metrics_count_what_was_answered(node: WholeNode) -> None:
    assert [status(node), status(node, sub=None)] == [200, 401]
    until(lambda: 'outcome="identity_required"} 1' in node.metrics(), 5)
