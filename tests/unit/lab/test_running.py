"""Promises about `make run`: it is ready soon, answers on loopback alone, changes its mind within two seconds, and
leaves nothing behind."""

from __future__ import annotations

import json
import os
import socket
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.lab import firewall
from gateway.lab.calls import ALLOWED, EDIT_FROM, EDIT_TO, EDITED, REFUSED
from gateway.lab.directory import read_directory
from gateway.lab.firewall_view import PAYMENTS
from gateway.lab.front import VIRTUAL_ADDRESSES
from gateway.lab.ground import MEMBER_BESIDE
from tests.support.processors import slowdown
from tests.support.running_lab import PORTS_IN_A_ROW, RunningLab, running_lab

MINUTE_S = 90.0  # a publish that changes nothing on the device but the policy version is noted once a minute
PATIENCE_S = 30.0  # of a machine that stands still now and then

pytestmark = pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="looks at processes through Linux's /proc")


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningLab]:
    with running_lab(tmp_path_factory.mktemp("lab")) as running:
        yield running


def test_the_summary_says_what_a_person_needs(lab: RunningLab) -> None:
    for words in (f"https://localhost:{lab.port}/", "jane", "curl --cacert", EDIT_FROM, "python3 -c", "Ctrl-C"):
        assert words in lab.text


def test_one_call_is_allowed_and_one_is_refused(lab: RunningLab) -> None:
    jane, priya = lab.token("--user", "jane"), lab.token("--user", "priya")
    status, body, _ = lab.get(ALLOWED.url_host, ALLOWED.path, jane)
    assert status == 200
    assert json.loads(body)["received"]["headers"]["X-Stagedoor-User"] == "user:default/jane"
    status, body, _ = lab.get(REFUSED.url_host, REFUSED.path, priya)
    assert (status, json.loads(body)["code"]) == (403, "no_rule")


def test_an_edit_is_a_rule_within_two_seconds(lab: RunningLab) -> None:
    priya = lab.token("--user", "priya")
    file = lab.catalog / EDITED
    before = file.read_text()
    try:
        file.write_text(before.replace(EDIT_FROM, EDIT_TO))
        assert _within(2.0, lambda: lab.get(REFUSED.url_host, REFUSED.path, priya)[0] == 200)
    finally:
        file.write_text(before)
    assert _within(2.0, lambda: lab.get(REFUSED.url_host, REFUSED.path, priya)[0] == 403)


def test_requests_travel_through_a_virtual_server_and_its_word_about_the_client_counts(lab: RunningLab) -> None:
    """Through the BIG-IP and past it the services are told who came; what a client writes into its request is not."""
    jane, forged = lab.token("--user", "jane"), {"X-Forwarded-For": "203.0.113.9"}
    before = virtual(lab, "prod")["requests"]
    status, body, _ = lab.get(ALLOWED.url_host, ALLOWED.path, jane, fields=forged)
    assert (status, virtual(lab, "prod")["requests"]) == (200, before + 1)
    status, past, _ = lab.get(ALLOWED.url_host, ALLOWED.path, jane, fields=forged, port=lab.facts.direct)
    assert (status, virtual(lab, "prod")["requests"]) == (200, before + 1)
    for answer in (body, past):
        assert json.loads(answer)["received"]["headers"]["X-Forwarded-For"] == "127.0.0.1"
    assert lab.get("payments.dev.localhost", ALLOWED.path, jane)[0] == 200
    assert virtual(lab, "dev")["requests"] > 0


def test_nobody_but_the_bigip_comes_in_where_the_bigip_does(lab: RunningLab) -> None:
    """The door's listener for it wants a certificate."""
    with pytest.raises(OSError, match="certificate required|reset|EOF|closed"):
        lab.get(ALLOWED.url_host, ALLOWED.path, port=lab.upstreams + MEMBER_BESIDE)


def test_the_firewall_lets_people_come_by_their_team_and_nobody_round_the_door(lab: RunningLab) -> None:
    """Its rules wait for a person, and the lab is the first one. Before them the way round was open."""
    assert _within(PATIENCE_S, lambda: not passes(lab, "jane", PAYMENTS, lab.upstreams))
    assert passes(lab, "door", PAYMENTS, lab.upstreams)
    assert passes(lab, "jane", firewall.VIRTUAL_ADDRESS, 443)
    _, address, port = firewall.DATABASE
    assert (passes(lab, "tomas", address, port), passes(lab, "jane", address, port)) == (True, False)


@pytest.mark.slow
def test_a_cut_takes_a_person_from_the_firewall_and_its_lifting_brings_them_back(lab: RunningLab) -> None:
    _, address, port = firewall.DATABASE
    assert _within(PATIENCE_S, lambda: passes(lab, "tomas", address, port))
    assert lab.stagedoor("cut", "person", "tomas", "--because", "a test").returncode == 0
    assert _within(2.0, lambda: not passes(lab, "tomas", address, port))
    assert lab.stagedoor("cut", "lift", "person", "tomas").returncode == 0
    assert _within(2.0, lambda: passes(lab, "tomas", address, port))


def passes(lab: RunningLab, who: str, destination: str, port: int) -> bool:
    """Of a packet that counts as no hit."""
    seats = {name: address for address, name in firewall.seats(read_directory(lab.catalog).users).items()}
    source = {**seats, "door": firewall.DOOR}[who]
    zones = {"from_zone": firewall.zone_of(source), "to_zone": firewall.zone_of(destination)}
    packet = {"source": source, "destination": destination, "port": port, "count": False, **zones}
    return bool(lab.firewall("POST", "/_lab/packet", packet)["allowed"])


@pytest.mark.slow
def test_the_device_follows_the_catalog_and_production_waits_for_a_person(lab: RunningLab, tmp_path: Path) -> None:
    file, host = lab.catalog / EDITED, REFUSED.url_host
    before, dev, prod = file.read_text(), record(lab, "payments.dev.localhost"), record(lab, host)
    try:
        file.write_text(before.replace(EDIT_FROM, EDIT_TO))
        assert _within(PATIENCE_S, lambda: record(lab, "payments.dev.localhost") != dev)
        assert _within(PATIENCE_S, lambda: "prod on lab: 2 steps" in lab.stagedoor("plan", "--env", "prod").stdout)
        assert record(lab, host) == prod
        plan = tmp_path / "prod.plan"
        lab.stagedoor("plan", "--device", "lab", "--env", "prod", "--out", str(plan))
        applied = lab.stagedoor("apply", str(plan))
        assert applied.returncode == 0, applied.stdout + applied.stderr
        assert record(lab, host) != prod
    finally:
        file.write_text(before)
    assert _within(PATIENCE_S, lambda: record(lab, "payments.dev.localhost") == dev)


@pytest.mark.slow
def test_knobs_break_the_device_and_stagedoor_says_so(lab: RunningLab) -> None:
    """Access is the door's: what is wrong with the device's management, or its standby, stops no request."""
    jane, member = lab.token("--user", "jane"), f"127.0.0.1:{lab.upstreams + MEMBER_BESIDE}"
    assert _within(MINUTE_S, lambda: environments(lab, "lab", "enforce", "in-step") == {"dev", "staging"})
    try:
        lab.device("PATCH", "/_lab/faults", {"members": {member: "down"}})
        with pytest.raises(OSError):
            lab.get(ALLOWED.url_host, ALLOWED.path, jane)
        lab.device("PATCH", "/_lab/faults", {"members": {}, "restarting": True})
        assert lab.get(ALLOWED.url_host, ALLOWED.path, jane)[0] == 200
        assert _within(PATIENCE_S, lambda: "503" in lab.stagedoor("plan", "--env", "dev").stderr)
    finally:
        lab.device("DELETE", "/_lab/faults")
    assert lab.device("POST", "/_lab/failover")["active"] == "bigip-b.lab.test"
    assert lab.get(ALLOWED.url_host, ALLOWED.path, jane)[0] == 200
    assert _within(PATIENCE_S, lambda: lab.stagedoor("plan", "--env", "dev").returncode == 0)


def environments(lab: RunningLab, device: str, mode: str, state: str) -> set[str]:
    """Of a device, those that stand so."""
    told = json.loads(lab.stagedoor("status", "--json").stdout)["devices"]
    wanted = (device, mode, state)
    return {each["environment"] for each in told if (each["device"], each["mode"], each["state"]) == wanted}


def virtual(lab: RunningLab, environment: str) -> dict[str, Any]:
    path = f"/stagedoor_{environment}/Shared/vs"
    found: list[dict[str, Any]] = lab.device("GET", "/_lab/traffic")["virtuals"]
    return next(each for each in found if each["path"] == path)


def record(lab: RunningLab, host: str) -> str:
    """What the device's data groups say of a host."""
    groups = lab.device("GET", "/_lab/traffic")["data_groups"]
    return next((str(value) for group in groups for name, value in group["records"] if name == host), "")


def test_a_rotation_refuses_nobody(lab: RunningLab) -> None:
    before = lab.token("--user", "jane")
    kids = lab.command("rotate-keys").stdout.split()
    assert len(kids) == 2
    for token in (before, lab.token("--user", "jane"), lab.token("--user", "jane", "--alg", "ES256")):
        assert lab.get(ALLOWED.url_host, ALLOWED.path, token)[0] == 200


def test_a_token_command_prints_a_token_and_nothing_else(lab: RunningLab) -> None:
    known = lab.command("token", "--user", "jane")
    assert known.stdout.count(".") == 2
    assert known.stdout.count("\n") == 1
    assert known.stderr == ""
    assert "nobody" in lab.command("token", "--user", "zoe").stderr


def test_every_listening_socket_is_on_loopback(lab: RunningLab) -> None:
    inodes = set()
    for pid in {lab.process.pid, *lab.descendants()}:
        for link in Path(f"/proc/{pid}/fd").iterdir():
            target = os.readlink(link)
            if target.startswith("socket:["):
                inodes.add(target[8:-1])
    local = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and fields[9] in inodes:
                local.add(fields[1].partition(":")[0])
    addresses = {"127.0.0.1", *VIRTUAL_ADDRESSES.values()}
    assert local == {socket.inet_aton(each)[::-1].hex().upper() for each in addresses}


def test_the_start_page_is_public_and_its_neighbours_are_not(lab: RunningLab) -> None:
    status, body, headers = lab.get("localhost", "/")
    assert status == 200
    assert b"Jane Okafor" in body
    assert "script-src 'self'" in headers["Content-Security-Policy"]
    assert lab.get("localhost", "/lab/start.js")[0] == 200
    assert lab.get("localhost", "/elsewhere")[0] == 401


def test_a_port_that_is_taken_is_said_with_a_way_out(lab: RunningLab, tmp_path: Path) -> None:
    command = lab.command("run", "--port", str(lab.port), "--catalog", str(lab.folder / "catalog"))
    assert command.returncode == 4
    assert f"port {lab.port} on 127.0.0.1 is taken" in command.stderr
    assert "make run PORT=" in command.stderr


@pytest.mark.slow
def test_ctrl_c_leaves_no_process_no_port_and_a_sane_terminal(tmp_path: Path) -> None:
    with running_lab(tmp_path) as own:
        before = termios.tcgetattr(own._terminal)
        children = own.descendants()
        assert len(children) >= 6
        with socket.create_connection(("127.0.0.1", own.port)):  # somebody is still connected
            shared = slowdown()
            began = time.monotonic()
            own.type_ctrl_c()
            assert own.wait_for_end(MINUTE_S) == 0
            took = time.monotonic() - began
            assert took < 5.0 * max(shared, slowdown()), f"{took:.1f} s"
        assert termios.tcgetattr(own._terminal) == before
        assert not [pid for pid in children if Path(f"/proc/{pid}").exists()]
        for port in range(own.port, own.port + PORTS_IN_A_ROW):
            with socket.create_server(("127.0.0.1", port)):
                pass
        for address in VIRTUAL_ADDRESSES.values():
            with socket.create_server((address, own.port)):
                pass
        written = {path.name for path in tmp_path.iterdir()}
        assert written == {".lab", *(path.name for path in (Path(__file__).parents[3] / "examples").iterdir())}


@pytest.mark.slow
def test_a_killed_lab_leaves_no_process(tmp_path: Path) -> None:
    with running_lab(tmp_path) as own:
        children = own.descendants()
        limit_s = 5.0 * slowdown()
        own.process.kill()
        own.process.wait()
        assert _within(limit_s, lambda: not [pid for pid in children if Path(f"/proc/{pid}").exists()])


def _within(limit_s: float, condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        if condition():
            return True
    return False
