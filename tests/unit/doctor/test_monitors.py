"""Monitors: what a load balancer would be answered, and listeners that none can ask."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from gateway import config
from gateway.config.devices import Bigip, Devices
from gateway.doctor import monitors
from gateway.doctor.lines import Line
from gateway.doctor.monitors import ASKED, concerns
from gateway.door.health import health_answer
from tests.support.catalogs import settings
from tests.support.ports import free_port

PLAIN = config.Listener("main", "0.0.0.0:8443", bigip=True)
HEALTH = config.Listener("health", "0.0.0.0:8081", health_only=True)
TLS = config.ListenerTls("door.pem", "door.key")


def lines(folder: Path, *listeners: config.Listener, health_port: int | None = None) -> list[Line]:
    devices = Devices()
    if health_port is not None:
        devices = Devices((Bigip("edge", ("https://192.0.2.1",), "admin", "password", health_port=health_port),))
    return list(monitors.monitors(settings(folder, listeners=listeners, devices=devices)))


@contextmanager
def answering(answer: bytes) -> Iterator[int]:
    """A port on every address where one client is answered so, whatever it asks."""
    with socket.create_server(("0.0.0.0", free_port())) as listening:
        asked: list[bytes] = []

        def serve() -> None:
            client, _ = listening.accept()
            with client:
                while not asked or not b"".join(asked).endswith(ASKED):
                    asked.append(client.recv(4096))
                client.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield listening.getsockname()[1]
        thread.join(30)
        assert b"".join(asked) == ASKED


@pytest.mark.parametrize(
    ("listener", "said"),
    [
        (replace(PLAIN, proxy_protocol=True), "a PROXY header"),
        (replace(PLAIN, tls=replace(TLS, client_ca="ca.pem")), "a client's certificate"),
    ],
)
def test_a_listener_that_no_monitor_can_speak_with_needs_another(
    tmp_path: Path, listener: config.Listener, said: str
) -> None:
    (alone,) = lines(tmp_path, listener)
    assert (alone.verdict, said in alone.found, "health_only" in alone.fix) == ("WARN", True, True)
    beside = lines(tmp_path, listener, HEALTH)
    assert [line.verdict for line in beside] == ["OK", "OK"]
    assert "monitors ask `health`" in beside[0].found


def test_a_node_that_does_not_run_is_not_asked(tmp_path: Path) -> None:
    (line,) = lines(tmp_path, PLAIN)
    assert (line.check, line.subject, line.verdict) == ("monitor", "listener main", "OK")
    assert "does not run" in line.found


@pytest.mark.parametrize(
    ("answer", "verdict", "said"),
    [
        (health_answer(1, head_only=False), "OK", "says `stagedoor-state: up`"),
        (health_answer(2, head_only=False), "WARN", "says `stagedoor-state: draining`"),
        (health_answer(3, head_only=False), "WARN", "says `stagedoor-state: failing`"),
        (b"HTTP/1.1 200 OK\r\n\r\nup", "FAIL", "answers something else"),
    ],
)
def test_a_running_node_is_asked_as_a_monitor_asks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: bytes, verdict: str, said: str
) -> None:
    monkeypatch.setattr(monitors, "supervisor_of", lambda state: 1)
    with answering(answer) as port:
        (line,) = lines(tmp_path, replace(PLAIN, address=f"0.0.0.0:{port}"))
    assert (line.verdict, said in line.found) == (verdict, True)
    assert bool(line.fix) is (verdict != "OK")


def test_a_running_node_that_does_not_answer_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(monitors, "supervisor_of", lambda state: 1)
    (line,) = lines(tmp_path, replace(PLAIN, address=f"127.0.0.1:{free_port()}"))
    assert (line.verdict, "does not answer" in line.found) == ("FAIL", True)


def test_the_port_that_a_device_asks_is_one_that_answers(tmp_path: Path) -> None:
    assert [line.verdict for line in lines(tmp_path, PLAIN, HEALTH, health_port=8081)] == ["OK", "OK", "OK"]
    assert lines(tmp_path, PLAIN, health_port=8081)[-1].verdict == "WARN"
    assert lines(tmp_path, replace(PLAIN, proxy_protocol=True), health_port=8443)[-1].verdict == "WARN"
    assert len(lines(tmp_path, PLAIN, health_port=0)) == 1


def test_without_a_load_balancer_nobody_is_expected_to_ask(tmp_path: Path) -> None:
    plain = settings(tmp_path, listeners=(config.Listener("main", "127.0.0.1:8443"),))
    assert not concerns(plain)
    assert concerns(replace(plain, listeners=(PLAIN,)))
