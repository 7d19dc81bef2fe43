"""A whole node with its real roles: what survives the death, the swap and the absence of each part."""

from __future__ import annotations

import json
import os
import shutil
import signal
import struct
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from bench.load import load_program, upstream_program
from gateway.audit.chain import verify_paths
from tests.support.door import until
from tests.support.ports import free_port
from tests.support.processors import Processors
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
    until(lambda: node.children(role)[0] != before)
    until(node.ready)
    assert status(node) == 200
    node.publish(access="owners")
    until(lambda: status(node, sub="joe") == 403)


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
        until(node.ready)
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
        until(lambda: status(node) == 200)
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
            until(lambda: node.ready() and status(node) == 200)
        assert not node.events("crashed")
        assert status(node, sub=None) == 401


@pytest.mark.slow
def test_a_state_folder_that_is_emptied_under_a_running_node_is_filled_again(node: WholeNode) -> None:
    state = node.folder / "state"
    for each in state.iterdir():
        shutil.rmtree(each) if each.is_dir() else each.unlink()
    for pid in node.children("door").values():  # who comes now finds nobody but by what is there again
        os.kill(pid, signal.SIGKILL)
    until(lambda: len(node.events("socket_made_again")) == 3)
    until(lambda: {status(node) for _ in range(8)} == {200}, 30)
    node.publish(access="owners")
    until(lambda: {status(node, sub="joe") for _ in range(8)} == {403}, 10)
    until((state / "engine.journal").exists)
    assert status(node, sub=None) == 401
    assert not node.events("crashed")


class Newcomers:
    """New connections at a constant rate, one request each, by the bench's load generator.

    A fault is anything but a whole 2xx, a connection that is refused or reset, an end that is not clean.
    """

    def __init__(self, node: WholeNode, rate: int) -> None:
        request = node.request(lines=b"Connection: close\r\n")
        prepared = node.folder / "newcomers.requests"
        prepared.write_bytes(struct.pack("=I", len(request)) + request)
        options = {"port": node.port, "requests": prepared, "rate": rate, "connections": 1024, "seconds": 86_400}
        command = [str(load_program()), "--fresh"]
        for name, value in options.items():
            command += [f"--{name}", str(value)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "start\n"

    def stop(self) -> dict[str, Any]:
        """What they met."""
        self._process.terminate()
        told, faults = self._process.communicate(timeout=20)
        assert (self._process.returncode, faults) == (0, "")
        said: dict[str, Any] = json.loads(told.splitlines()[-1])
        return said


@contextmanager
def quick_service() -> Iterator[str]:
    """The bench's upstream: a Python one would take the core that the node needs."""
    port = free_port()
    process = subprocess.Popen([str(upstream_program()), str(port)])
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(20)


@pytest.mark.slow
@pytest.mark.skipif(not (shutil.which("gcc") or shutil.which("cc")), reason="the load generator and its upstream are C")
@pytest.mark.timeout(240)
def test_twenty_planned_worker_restarts_and_reloads_under_load_lose_no_connection(tmp_path: Path) -> None:
    """At 2,000 new connections a second, which one peer may only bring as a load balancer does; at fewer by the part
    of the processors that others had."""
    processors = Processors()
    with quick_service() as service, whole_node(tmp_path, service=service, trusted="[127.0.0.0/8]") as node:
        until(lambda: {status(node) for _ in range(20)} == {200})  # of both workers
        newcomers = Newcomers(node, 2_100)
        try:
            for turn in range(10):  # two workers each
                node.process.send_signal(signal.SIGUSR2)
                until(lambda turn=turn: len(node.events("child_started")) >= 4 + 2 * (turn + 1), 30)  # type: ignore[misc]  # this turn's
                node.process.send_signal(signal.SIGHUP)
                until(lambda turn=turn: len(node.events("child_ended")) >= 2 * (turn + 1), 30)  # type: ignore[misc]  # this turn's
        finally:
            met = newcomers.stop()
    part = processors.part()
    print(f"{met['requests']} connections, {met['rps']:.0f} a second, p99 {met['p99_ms']:.0f} ms, {part:.0%} of cores")
    assert met["faults"] == 0
    assert set(met["statuses"]) == {"200"}
    assert met["rps"] >= 2_000 * part, f"the load was {met['rps']:.0f} connections a second"


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
            until(lambda: node.events("draining"))
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
    until(lambda: 'outcome="identity_required"} 1' in node.metrics())
