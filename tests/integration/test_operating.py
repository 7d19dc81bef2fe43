"""The operator's commands against a whole node: what they say is what is, and what they do is done."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.commands import run, told
from tests.support.door import until
from tests.support.node import ROOT, is_alive
from tests.support.ports import free_port
from tests.support.whole_node import WholeNode, whole_node
from tests.support.wire import Client


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WholeNode]:
    with whole_node(tmp_path_factory.mktemp("node")) as running:
        yield running


def status(node: WholeNode, code: int = 0) -> Any:
    return told("status", "--state", node.folder / "state", code=code)


def settled(node: WholeNode) -> Any:
    """The status once every worker has counted and nothing is to be looked at."""
    until(
        lambda: (
            not (said := status(node))["findings"] and all(each["heard_age_s"] is not None for each in said["workers"])
        )
    )
    return status(node)


def asked(node: WholeNode) -> int:
    with Client(node.port) as client:
        return client.send(node.request()).answer().status


# === status ===


def test_status_shows_the_node_its_workers_issuers_and_catalog(node: WholeNode) -> None:
    with Client(node.port) as client:
        assert client.send(node.request()).answer().status == 200
        until(lambda: sum(each["connections"] or 0 for each in settled(node)["workers"]) == 1)
        said = status(node)
    assert (said["node"], said["wanted"], said["away"]) == ("up", 2, {})
    assert said["supervisor_pid"] == node.process.pid
    assert {each["slot"]: each["pid"] for each in said["workers"]} == node.children("door")
    assert {said["control_pid"], said["catalog"]["pid"]} == {
        *node.children("control").values(), *node.children("engine").values(),
    }  # fmt: skip
    base = said["catalog"]["base"]
    assert {each["snapshot"] for each in said["workers"]} == {f"{base}.{said['seq']}"}
    assert said["live_seq"] == said["seq"]
    for worker in said["workers"]:
        assert (worker["snapshot_age_s"], worker["overlay_age_s"], worker["audit_failing"]) == (0, 0, False)
        assert worker["audit_queued"] >= 0
        assert worker["longest_stall_ms"] >= 0
    (issuer,) = said["issuers"]
    assert (issuer["name"], issuer["keys"], issuer["fault"]) == ("idp", 1, "")
    assert issuer["age_s"] in range(60)
    assert (said["catalog"]["services"], said["catalog"]["held"], said["catalog"]["errors"]) == (1, [], 0)


def test_status_is_one_screen_without_colour(node: WholeNode) -> None:
    settled(node)
    result = run("status", "--config", node.folder / "stagedoor.yaml")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert len(lines) <= 24
    assert max(map(len, lines)) <= 120
    assert "\x1b" not in result.stdout
    assert [line for line in lines if line.startswith("!")] == []
    assert lines[0].startswith("node       up")


def test_a_node_that_does_not_run_is_said_so(tmp_path: Path) -> None:
    result = run("status", "--state", tmp_path)
    assert result.exit_code == 4
    assert result.stdout == ""
    assert f"error: the node is not running: nobody listens in `{tmp_path}`" in result.stderr
    assert run("catalog", "accept-losses", "--state", tmp_path).exit_code == 4


# === doctor ===


def test_the_doctor_knows_the_running_nodes_addresses_and_limits_as_its_own(node: WholeNode) -> None:
    report = told("doctor", "--config", node.folder / "stagedoor.yaml")
    by_check: dict[str, list[dict[str, str]]] = {}
    for line in report["lines"]:
        by_check.setdefault(line["check"], []).append(line)
    assert [line["found"].partition(" is ")[2] for line in by_check["ports"]] == [
        f"held by this node (pid {node.process.pid})"
    ] * 2
    assert "a worker of the running node" in by_check["descriptors"][0]["found"]
    assert by_check["upstream"][0]["found"] == "1 endpoint of 1 well"
    assert by_check["issuer"][0]["verdict"] == by_check["clock"][0]["verdict"] == "OK"
    assert [line for line in report["lines"] if line["verdict"] == "FAIL"] == []


# === accept-losses ===


@pytest.mark.slow
def test_losses_are_held_shown_and_let_go_by_the_command_that_the_message_names(tmp_path: Path) -> None:
    with whole_node(tmp_path, workers=1) as node:
        state = node.folder / "state"
        assert told("catalog", "accept-losses", "--state", state)["accepted"] == {}
        (node.folder / "catalog" / "all.yaml").unlink()
        until(lambda: status(node)["catalog"]["held"])
        assert {lost["kind"]: lost["gone"] for lost in status(node)["catalog"]["held"]} == {
            "component": 1, "group": 1, "user": 2,
        }  # fmt: skip
        (advice,) = [each for each in status(node)["findings"] if "accept-losses" in each]
        assert "`stagedoor catalog accept-losses`" in advice
        assert asked(node) == 200, "what is held is served as it was"

        unattended = run("catalog", "accept-losses", "--state", state)
        assert (unattended.exit_code, "--yes" in unattended.stderr) == (2, True)
        assert asked(node) == 200

        accepted = told("catalog", "accept-losses", "--yes", "--state", state)
        assert accepted["accepted"] == {"component": 1, "group": 1, "user": 2}
        assert accepted["held"] == {}
        until(lambda: asked(node) == 404)
        assert status(node)["catalog"]["base"] == accepted["base"]
        (event,) = node.events("losses_accepted")
        assert (event["peer_uid"], event["held"]) == (os.getuid(), {"component": 1, "group": 1, "user": 2})


# === what breaks ===


@pytest.mark.slow
@pytest.mark.parametrize("role", ["control", "engine"])
def test_a_role_that_hangs_is_away_and_the_rest_is_shown(tmp_path: Path, role: str) -> None:
    with whole_node(tmp_path, workers=1) as node:
        settled(node)
        pid = node.children(role)[0]
        os.kill(pid, signal.SIGSTOP)
        try:
            said = status(node, code=5)
            assert list(said["away"]) == [role]
            assert "did not answer" in said["away"][role]
            assert (said["catalog"] is None) is (role == "engine")
            assert bool(said["workers"]) is (role == "engine")
        finally:
            os.kill(pid, signal.SIGCONT)
        until(lambda: not settled(node)["findings"], 30)


@pytest.mark.slow
def test_a_worker_that_hangs_and_an_issuer_that_is_away_are_findings(tmp_path: Path) -> None:
    with whole_node(tmp_path) as node:
        settled(node)
        pid = node.children("door")[0]
        os.kill(pid, signal.SIGSTOP)
        try:
            until(lambda: any(f"(pid {pid}) has been silent" in each for each in status(node)["findings"]))
        finally:
            os.kill(pid, signal.SIGCONT)


# === from nothing ===


@pytest.mark.slow
def test_from_nothing_to_a_running_node_in_three_commands(tmp_path: Path) -> None:
    """As a new user does it, in processes of their own; the fourth command sees what the third one runs."""
    command = [sys.executable, "-P", "-m", "gateway.cli"]
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}

    def do(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*command, *words], cwd=tmp_path, env=environ, capture_output=True, text=True, check=False, timeout=60
        )

    (tmp_path / "catalog").mkdir()
    (tmp_path / "catalog" / "team.yaml").write_text(
        "apiVersion: backstage.io/v1alpha1\nkind: Group\nmetadata: {name: team}\nspec: {type: team, children: []}\n"
    )
    listen, issuer = f"127.0.0.1:{free_port()}", f"http://127.0.0.1:{free_port()}"
    made = do("init", "--yes", "--host", "apps.example.com", "--issuer", issuer, "--listen", listen)
    assert made.returncode == 0, made.stderr
    with (tmp_path / "stagedoor.yaml").open("a") as file:
        file.write(f'\nadmin: {{address: "127.0.0.1:{free_port()}"}}\nworkers: 1\n')  # other tests have the usual one
    assert do("check").returncode == 0
    with (tmp_path / "log").open("wb") as log:
        node = subprocess.Popen([*command, "serve"], cwd=tmp_path, env=environ, stdout=log, stderr=log)
    try:
        until(lambda: (said := do("status", "--json")).returncode == 0 and json.loads(said.stdout)["node"] == "up", 30)
        node.send_signal(signal.SIGTERM)
        assert node.wait(40) == 0
    finally:
        if node.poll() is None:
            node.kill()
            node.wait(5)
    ended = do("status")
    assert (ended.returncode, "the node is not running" in ended.stderr) == (4, True)
    assert not is_alive(node.pid)
    assert time.time() - (tmp_path / "stagedoor.yaml").stat().st_mtime < 300
