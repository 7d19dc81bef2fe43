"""What the engine's checks find, at the doors: who is down is passed over, unless all are; nobody is believed for
long who does not say it again."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from gateway import counters
from tests.integration.test_upstream_balance import ECHO, ask, count, door_before
from tests.support.door import RunningDoor, until
from tests.support.upstream import OK, Seen, Upstream
from tests.support.whole_node import WholeNode, whole_node
from tests.support.wire import Client

DOWN = b"HTTP/1.1 503 Down\r\nContent-Length: 0\r\n\r\n"


def tell(door: RunningDoor, number: int, *down: str, for_s: float = 60.0) -> None:
    """As the engine does; returns once the door has taken it."""
    message = {"t": "endpoints", "n": number, "down": [[ECHO, url, for_s] for url in down]}
    door.thread.call(lambda: door.door.following.from_engine(message))


def asked(upstream: Upstream) -> int:
    return len(upstream.seen)


def test_an_endpoint_that_is_down_is_passed_over_until_it_is_up(
    tmp_path: Path, upstream: Upstream, second: Upstream
) -> None:
    with door_before(tmp_path / "state", upstream.url, second.url) as door, Client(door.port) as client:
        tell(door, 1, second.url)
        for _ in range(20):
            assert ask(client).status == 200
        assert (asked(upstream), asked(second)) == (20, 0)
        until(lambda: count(door, counters.UPSTREAM_DOWN) == 1)
        tell(door, 2, upstream.url)
        for _ in range(20):
            assert ask(client).status == 200
        assert (asked(upstream), asked(second)) == (20, 20)
        tell(door, 3, upstream.url, second.url)
        until(lambda: ask(client).status == 200 and asked(upstream) > 20)
        tell(door, 4)
        until(lambda: count(door, counters.UPSTREAM_DOWN) == 0)
        assert door.door.following._hello()["endpoints"] == 4


def test_what_was_said_is_forgotten_when_nobody_says_it_again(
    tmp_path: Path, upstream: Upstream, second: Upstream
) -> None:
    with door_before(tmp_path / "state", upstream.url, second.url) as door, Client(door.port) as client:
        tell(door, 1, second.url, for_s=0.3)
        assert ask(client).status == 200
        assert asked(second) == 0
        until(lambda: ask(client).status == 200 and asked(second))
        until(lambda: not door.door.pool.routes[ECHO].troubled)


def test_a_reload_forgets_nothing_of_it(tmp_path: Path, upstream: Upstream, second: Upstream) -> None:
    with door_before(tmp_path / "state", upstream.url, second.url) as door, Client(door.port) as client:
        tell(door, 1, second.url)
        door.thread.call(lambda: door.door.pool.configure(door.door.settings))
        for _ in range(20):
            assert ask(client).status == 200
        assert asked(second) == 0


@pytest.mark.slow
def test_a_whole_node_checks_what_its_operator_wants_and_outlives_a_hanging_engine(tmp_path: Path) -> None:
    with whole_node(tmp_path) as node:
        sick = True

        def answer(seen: Seen) -> bytes:
            return DOWN if sick and seen.target == "/healthz" else OK

        second = Upstream(node.upstream.thread, answer).start()
        try:
            publish_two(node, second.url)
            configure(node)
            until(lambda: [event["endpoint"] for event in node.events("endpoint_down")] == [second.url], 20)
            assert node.events("endpoint_down")[0]["why"] == "answers 503"
            until(lambda: "stagedoor_upstream_down 1.0" in node.metrics(), 20)
            assert served(node, second, 40) == 0

            engine = node.children("engine")[0]
            os.kill(engine, signal.SIGSTOP)
            try:
                until(lambda: served(node, second, 4), 20)
            finally:
                os.kill(engine, signal.SIGCONT)
            until(lambda: served(node, second, 10) == 0, 20)

            sick = False
            until(lambda: [event["endpoint"] for event in node.events("endpoint_up")] == [second.url], 20)
            until(lambda: served(node, second, 4), 20)
        finally:
            second.stop()


def publish_two(node: WholeNode, url: str) -> None:
    file = node.folder / "catalog" / "all.yaml"
    draft = node.folder / "draft"
    draft.write_text(file.read_text().replace(node.upstream.url, f"{node.upstream.url}, {url}"))
    draft.rename(file)


def configure(node: WholeNode) -> None:
    """Ask for checks, and reload."""
    file = node.folder / "stagedoor.yaml"
    services = "services: {component:default/echo: {check: {path: /healthz, interval: 200ms}}}"
    file.write_text(file.read_text().replace("upstreams: [127.0.0.0/8]", f"upstreams: [127.0.0.0/8], {services}"))
    node.process.send_signal(signal.SIGHUP)
    until(lambda: node.events("reloaded"), 20)


def served(node: WholeNode, upstream: Upstream, requests: int) -> int:
    """How many of so many requests came to the upstream."""
    before = sum(seen.target != "/healthz" for seen in upstream.seen)
    for _ in range(requests):
        with Client(node.port) as client:
            assert client.send(node.request()).answer().status == 200
    return sum(seen.target != "/healthz" for seen in upstream.seen) - before
