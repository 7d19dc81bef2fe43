"""The promises of the supervisor, kept by a real one with tiny roles: nothing is lost when a role dies, is replaced
or drains, and nothing is left when the supervisor goes."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.node import Node, kill


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    with Node(tmp_path) as started:
        yield started.up()


def test_each_role_gets_its_sockets_and_no_other(node: Node) -> None:
    diary = node.diary()
    assert "door sockets main" in diary
    assert "control sockets admin" in diary
    assert "engine sockets " in diary


def test_a_killed_child_comes_back_and_the_others_go_on(node: Node) -> None:
    before = {role: node.newest(role) for role in ("engine", "control", "door")}
    for role in ("engine", "control", "door"):
        kill(before[role], signal.SIGKILL)
        node.wait_for(lambda role=role: node.newest(role) != before[role], f"a new {role}")  # type: ignore[misc]  # a default binds it
    with node.connect() as sock:
        assert node.ask(sock)[0] in node.alive()
    assert {event["ended_by"] for event in node.events("child_ended")} == {"SIGKILL"}
    assert node.newest("door", 1) in node.alive()


def test_a_child_that_a_signal_without_a_name_ended_comes_back_like_any_other(node: Node) -> None:
    before = node.newest("door")
    kill(before, signal.SIGRTMIN + 6)
    node.wait_for(lambda: node.newest("door") != before, "a new door")
    assert node.wait_for_event("child_ended")["ended_by"] == f"signal {signal.SIGRTMIN + 6}"


def test_pauses_double_for_a_child_that_ends_again_and_again(node: Node) -> None:
    (node.state / "crash-engine").write_text("1")
    kill(node.newest("engine"), signal.SIGKILL)
    node.wait_for(lambda: len([e for e in node.events("child_started") if e["child"] == "engine"]) >= 5, "5 engines")
    starts = [stamp(event) for event in node.events("child_started") if event["child"] == "engine"][1:]
    pauses = [later - earlier for earlier, later in zip(starts, starts[1:], strict=False)]
    assert pauses[0] >= 0.2
    assert pauses[1] >= 0.4
    assert pauses[2] >= 0.8
    with node.connect() as sock:
        assert node.ask(sock)[2] == "up"


def test_a_node_without_a_door_is_failing_until_one_serves_again(tmp_path: Path) -> None:
    with Node(tmp_path, workers=1) as node:
        node.up()
        (node.state / "mute-door").touch()
        kill(node.newest("door"), signal.SIGKILL)
        node.wait_for_event("failing")
        node.wait_for(lambda: len([line for line in node.diary() if line.startswith("door 0 started")]) == 2, "a door")
        (node.state / "mute-door").unlink()
        kill(node.newest("door"), signal.SIGKILL)
        node.wait_for_event("up", 2)


def test_a_node_is_failing_while_none_of_its_doors_can_write_its_trail(node: Node) -> None:
    """Such a door refuses everything: a monitor must not hear `up` from a node that has no other."""
    first, second = (node.state / f"unrecorded-{slot}" for slot in (0, 1))

    def says() -> str:
        with node.connect() as sock:
            return node.ask(sock)[2]

    first.touch()
    node.signal(signal.SIGUSR2)  # a door that was replaced finds the disk as it is
    node.wait_for_event("changed", 2)
    assert (says(), node.events("failing")) == ("up", []), "one of two still serves"
    second.touch()
    assert node.wait_for_event("failing")["why"] == "no door can write its audit trail"
    assert says() == "failing"
    first.unlink()
    node.wait_for_event("up", 2)
    assert says() == "up"


def test_a_successor_that_can_write_its_trail_ends_what_its_predecessor_could_not(tmp_path: Path) -> None:
    with Node(tmp_path, workers=1) as node:
        unwritable = node.state / "unrecorded-0"
        unwritable.touch()
        assert node.wait_for_event("failing")["why"] == "no door can write its audit trail", "from the start"
        kill(node.newest("door"), signal.SIGSTOP)  # it says nothing any more
        unwritable.unlink()
        node.signal(signal.SIGUSR2)
        node.wait_for_event("up")


def test_a_planned_restart_loses_no_connection(node: Node) -> None:
    """Connections hammer the node while all its workers are replaced several times: each one is answered."""
    counts = {"answered": 0, "lost": 0}
    over = threading.Event()

    def hammer() -> None:
        while not over.is_set():
            try:
                with node.connect() as sock:
                    node.ask(sock)
                counts["answered"] += 1
            except (OSError, AssertionError):
                counts["lost"] += 1

    threads = [threading.Thread(target=hammer) for _ in range(4)]
    for thread in threads:
        thread.start()
    for round_ in range(1, 6):
        node.signal(signal.SIGUSR2)
        node.wait_for_event("changed", 2 * round_)
    over.set()
    for thread in threads:
        thread.join()
    assert counts["lost"] == 0
    assert counts["answered"] > 50
    assert len([line for line in node.diary() if line.startswith("door 0 started")]) == 6


def test_the_successor_serves_before_the_predecessor_drains(node: Node) -> None:
    with node.connect() as kept:
        pid, _, _ = node.ask(kept)
        node.signal(signal.SIGUSR2)
        node.wait_for(lambda: f"door {slot_of(node, pid)} told drain" in node.diary(), "drain")
        diary = node.diary()
        started = [line for line in diary if line.startswith(f"door {slot_of(node, pid)} started")]
        assert len(started) == 2
        assert diary.index(started[1]) < diary.index(f"door {slot_of(node, pid)} told drain")
        assert node.ask(kept)[0] == pid  # the old one still answers who is connected to it


def test_a_successor_that_never_serves_leaves_the_predecessor_in_place(node: Node) -> None:
    old = node.newest("door", 0)
    (node.state / "crash-door").write_text("1")
    node.signal(signal.SIGUSR2)
    node.wait_for_event("change_failed", 2)
    (node.state / "crash-door").unlink()
    assert old in node.alive()
    assert "door 0 told drain" not in node.diary()
    with node.connect() as sock:
        assert node.ask(sock)[2] == "up"


@pytest.mark.parametrize("role", ["engine", "control", "door"])
def test_sigterm_to_one_child_is_a_planned_restart_of_it(node: Node, role: str) -> None:
    old = node.newest(role)
    kill(old, signal.SIGTERM)
    node.wait_for(lambda: node.newest(role) != old and old not in node.alive(), f"another {role}")
    node.wait_for_event("changed")
    assert {event["ended_by"] for event in node.events("child_ended")} == {"exit 0"}


def test_roles_that_may_not_meet_change_one_after_the_other(node: Node) -> None:
    old = node.newest("engine")
    kill(old, signal.SIGTERM)
    node.wait_for(lambda: node.newest("engine") != old, "another engine")
    diary = node.diary()
    assert diary.index(f"engine 0 ended {old}") < diary.index(f"engine 0 started {node.newest('engine')}")


# === ending ===


def test_sigterm_announces_then_drains_then_ends(tmp_path: Path) -> None:
    with Node(tmp_path, announce="400ms") as node:
        node.up()
        with node.connect() as kept:
            node.ask(kept)
            node.signal(signal.SIGTERM)
            node.wait_for_event("draining")
            with node.connect() as late:  # the listeners still accept while health says draining
                assert node.ask(late)[2] == "draining"
                assert "door 0 told drain" not in node.diary()
            node.wait_for(lambda: {"door 0 told drain", "door 1 told drain"} <= set(node.diary()), "drain")
            assert node.ask(kept)[2] == "draining"  # what runs is finished
        assert node.ended() == 0
        diary = node.diary()
        assert diary.index("control 0 told stop") > max(n for n, line in enumerate(diary) if line.startswith("door"))
        assert not node.alive()


def test_what_does_not_finish_is_stopped_at_the_deadline(tmp_path: Path) -> None:
    with Node(tmp_path, finish="300ms") as node:
        node.up()
        with node.connect() as kept:
            node.ask(kept)
            node.signal(signal.SIGTERM)
            assert node.ended() == 0
        assert not node.alive()
        assert not node.events("child_killed")


def test_a_deaf_child_is_killed_after_the_deadline(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "deaf-door").touch()
    with Node(tmp_path, finish="100ms", workers=1) as node:
        node.up()
        node.signal(signal.SIGTERM)
        assert node.ended() == 0
        assert node.events("child_killed")
        assert not node.alive()


def test_a_second_signal_waits_for_nobody(tmp_path: Path) -> None:
    with Node(tmp_path, announce="1m", finish="1m") as node:
        node.up()
        with node.connect() as kept:
            node.ask(kept)
            node.signal(signal.SIGTERM)
            node.wait_for_event("draining")
            node.signal(signal.SIGINT)
            assert node.ended() == 0
        assert not node.alive()


def test_ctrl_c_reaches_the_whole_group_and_the_supervisor_alone_acts(node: Node) -> None:
    with node.connect() as kept:
        pid, _, _ = node.ask(kept)
        assert node.supervisor is not None
        os.killpg(node.supervisor.pid, signal.SIGINT)
        node.wait_for(lambda: "door 0 told drain" in node.diary(), "drain")
        assert node.ask(kept)[0] == pid
    assert node.ended() == 0
    assert {event["ended_by"] for event in node.events("child_ended")} == {"exit 0"}
    assert not node.alive()


def test_ctrl_c_while_children_are_being_started_leaves_nothing(tmp_path: Path) -> None:
    with Node(tmp_path) as node:
        node.wait_for_event("child_started", 4)
        assert node.supervisor is not None
        os.killpg(node.supervisor.pid, signal.SIGINT)
        assert node.ended() == 0
        assert not node.alive()
        assert "Traceback" not in node.log()


def test_no_child_outlives_a_killed_supervisor(node: Node) -> None:
    pids = node.pids()
    assert len(pids) == 4
    node.signal(signal.SIGKILL)
    node.wait_for(lambda: not node.alive(), "the end of all children")


@pytest.mark.slow
def test_no_deaf_child_outlives_a_killed_supervisor(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    for role in ("engine", "control", "door"):
        (tmp_path / "state" / f"deaf-{role}").touch()
    with Node(tmp_path) as node:
        node.up()
        node.signal(signal.SIGKILL)
        node.wait_for(lambda: not node.alive(), "the end of all children")


# === reload ===


def test_a_reload_reaches_every_role(node: Node) -> None:
    node.configure(central_host="second.example.com")
    node.signal(signal.SIGHUP)
    node.wait_for_event("reloaded")
    told = {"engine 0 told settings", "control 0 told settings", "door 0 told settings", "door 1 told settings"}
    node.wait_for(lambda: told <= set(node.diary()), "settings everywhere")
    with node.connect() as sock:
        assert node.ask(sock)[1] == "second.example.com"


def test_a_child_started_after_a_reload_has_the_new_settings(node: Node) -> None:
    before = {path.name for path in node.state.glob("settings-*.frame")}
    node.configure(central_host="second.example.com")
    node.signal(signal.SIGHUP)
    name = node.wait_for_event("reloaded")["settings"]
    assert name not in before
    old = node.newest("door")
    kill(old, signal.SIGKILL)
    node.wait_for(lambda: node.newest("door") != old, "a new door")
    assert name in Path(f"/proc/{node.newest('door')}/cmdline").read_text()


def test_reloads_that_are_asked_for_while_one_waits_are_that_one(node: Node) -> None:
    for _ in range(20):
        node.signal(signal.SIGHUP)
        node.wait_for(lambda: not pending(node, signal.SIGHUP), "the signal's arrival")
    node.configure(central_host="second.example.com")
    node.signal(signal.SIGHUP)
    with node.connect() as sock:
        node.wait_for(lambda: node.ask(sock)[1] == "second.example.com", "the last configuration")
    assert len(node.events("reloaded")) < 15


@pytest.mark.parametrize(
    ("change", "said"),
    [
        pytest.param({"central_host": "not a host"}, "central_host", id="invalid"),
        pytest.param({"workers": 3}, "`workers`", id="workers"),
        pytest.param({"state": "elsewhere"}, "`state.folder`", id="state"),
        pytest.param({"port": 1}, "`listeners[].address`", id="address"),
    ],
)
def test_a_failed_reload_changes_nothing(node: Node, change: dict[str, object], said: str) -> None:
    node.configure(**change)
    node.signal(signal.SIGHUP)
    assert said in node.wait_for_event("reload_refused")["why"]
    assert not any("told settings" in line for line in node.diary())
    assert node.alive() == node.pids()


def test_a_vanished_configuration_changes_nothing(node: Node) -> None:
    (node.folder / "stagedoor.yaml").unlink()
    node.signal(signal.SIGHUP)
    assert "stagedoor.yaml" in node.wait_for_event("reload_refused")["why"]
    assert node.alive() == node.pids()


# === starting ===


def test_an_address_in_use_is_named_with_the_way_out(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with Node(tmp_path, port=port) as node:
            assert node.ended() == 4
            assert f"address `127.0.0.1:{port}` is in use" in node.log()
            assert "`listeners[0].address`" in node.log()
            assert not node.diary()


def test_a_second_node_on_the_same_state_folder_refuses_to_start(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    with Node(tmp_path / "one") as one:
        one.up()
        assert one.supervisor is not None
        with Node(tmp_path / "two", state=str(one.state)) as two:
            assert two.ended() == 4
            assert f"belongs to a running node (pid {one.supervisor.pid})" in two.log()
        with one.connect() as sock:
            assert one.ask(sock)[2] == "up"


def test_a_node_starts_again_right_after_its_supervisor_was_killed(tmp_path: Path) -> None:
    with Node(tmp_path) as node:
        node.up()
        first = node.pids()
        node.signal(signal.SIGKILL)
        assert node.supervisor is not None
        node.supervisor.wait()
        node.start()
        node.wait_for_event("up", 2)
        assert not first & node.alive()


def test_a_configuration_fault_is_told_and_nothing_starts(tmp_path: Path) -> None:
    with Node(tmp_path, central_host="not a host") as node:
        assert node.ended() == 3
        assert "stagedoor.yaml:" in node.log()
        assert not node.diary()


@pytest.mark.parametrize("code", [3, 4])
def test_a_role_that_cannot_start_at_all_ends_the_node_with_its_code(tmp_path: Path, code: int) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "crash-door").write_text(str(code))
    with Node(tmp_path) as node:
        assert node.ended() == code
        assert not node.alive()


@pytest.mark.parametrize("role", ["control", "engine"])
def test_that_holds_however_soon_the_doors_are_there(tmp_path: Path, role: str) -> None:
    """A database of a newer program is noticed by control, which takes longer to start than a door."""
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / f"crash-{role}").write_text("4")
    (tmp_path / "state" / f"late-{role}").touch()
    with Node(tmp_path) as node:
        assert node.ended() == 4
        assert not node.alive()


def stamp(event: dict[str, str]) -> float:
    from datetime import datetime

    return datetime.fromisoformat(event["time"]).timestamp()


def slot_of(node: Node, pid: int) -> int:
    (line,) = [line for line in node.diary() if line.endswith(f"started {pid}")]
    return int(line.split()[1])


def pending(node: Node, number: int) -> bool:
    """Whether the supervisor has not taken the signal yet."""
    assert node.supervisor is not None
    status = Path(f"/proc/{node.supervisor.pid}/status").read_text()
    return bool(int(status.partition("ShdPnd:\t")[2].split()[0], 16) >> (number - 1) & 1)
