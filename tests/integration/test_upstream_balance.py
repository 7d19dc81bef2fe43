"""Endpoints that fail are put aside, never too many and never for long; requests are sent again where that is safe,
and not so often that a dying upstream is asked for everything twice."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from gateway import counters
from gateway.config import Environment, Timeouts
from gateway.door.balance import ANSWER_FAILURES, RETRY_FLOOR
from gateway.door.endpoint import Endpoint
from policy.facts import Catalog, Exposure, Team
from tests.integration.conftest import request
from tests.integration.test_upstream_faults import LATE, is_sent_more, then
from tests.support.door import LoopThread, RunningDoor, running_door, settings_for, until
from tests.support.faulty import Line, answer, faulty
from tests.support.ports import free_port
from tests.support.small_catalog import (
    NOWHERE,
    person,
    publish,
    publish_small_catalog,
    service,
    small_catalog,
)
from tests.support.upstream import OK, Upstream
from tests.support.wire import Client, Got

ECHO = "component:default/echo@prod"
BUSY = b"HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy"


def refusing() -> tuple[socket.socket, str]:
    """A port that refuses connections, and stays ours: bound, not listening."""
    sock = socket.socket()
    sock.bind(("127.0.0.1", free_port()))
    return sock, f"http://127.0.0.1:{sock.getsockname()[1]}"


@contextlib.contextmanager
def door_before(state: Path, *urls: str, options: tuple[str, ...] = (), **changes: Any) -> Iterator[RunningDoor]:
    def publish_all(folder: Path) -> None:
        publish(folder, catalog(urls, options))

    with running_door(state, publish=publish_all, settings=settings_for(state, **changes)) as running:
        yield running


def catalog(urls: tuple[str, ...], options: tuple[str, ...] = ()) -> Catalog:
    made = small_catalog(*urls)
    services = {ref: replace(each, options=frozenset(options)) for ref, each in made.services.items()}
    return replace(made, services=services)


def ask(client: Client, target: str = "/", method: str = "GET", body: bytes = b"", host: str = "echo.test") -> Got:
    return client.send(request(target, method=method, body=body, host=host)).answer(method)


def endpoints(door: RunningDoor, key: str = ECHO) -> list[Endpoint]:
    return door.thread.call(lambda: list(door.door.pool.routes[key].endpoints))


def count(door: RunningDoor, cell: int) -> int:
    return door.door.values[cell]


def events(captured: pytest.CaptureFixture[bytes], *names: str) -> list[dict[str, Any]]:
    lines = captured.readouterr().err.splitlines()
    return [event for line in lines if line.startswith(b"{") and (event := orjson.loads(line))["event"] in names]


# === ejection ===


def test_an_endpoint_that_cannot_be_reached_costs_one_attempt_and_comes_back_by_one_trial(
    tmp_path: Path, upstream: Upstream, rest: LoopThread, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    held, url = refusing()
    with door_before(tmp_path / "state", url, upstream.url) as door, Client(door.port) as client:
        for _ in range(40):
            assert ask(client, method="POST", body=b"x").status == 200
        assert count(door, counters.UPSTREAM_CONNECTS_FAILED) == 1
        assert count(door, counters.UPSTREAM_EJECTIONS) == 1
        (event,) = events(capfdbinary, "endpoint_ejected")
        assert (event["endpoint"], event["exposure"], event["seconds"]) == (url, ECHO, 2.0)
        assert "refused" in event["why"].lower()
        until(lambda: count(door, counters.UPSTREAM_EJECTED) == 1)

        port = held.getsockname()[1]
        held.close()
        back = Upstream(rest).start(port)
        try:
            until(lambda: ask(client).status == 200 and back.seen)
            assert count(door, counters.UPSTREAM_CONNECTS_FAILED) == 1
            assert [event["endpoint"] for event in events(capfdbinary, "endpoint_recovered")] == [url]
            until(lambda: count(door, counters.UPSTREAM_EJECTED) == 0)
        finally:
            back.stop()


def test_failures_in_a_row_eject_and_failures_between_good_answers_do_not(
    tmp_path: Path, upstream: Upstream, second: Upstream, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    turns = iter(range(1000))
    second.answer = lambda seen: BUSY if next(turns) % ANSWER_FAILURES else OK
    with door_before(tmp_path / "state", upstream.url, second.url) as door, Client(door.port) as client:
        for _ in range(100):
            ask(client)
        assert count(door, counters.UPSTREAM_EJECTIONS) == 0
        second.answer = lambda seen: BUSY
        statuses = [ask(client).status for _ in range(100)]
        assert statuses.count(503) <= ANSWER_FAILURES
        assert set(statuses[-50:]) == {200}
        (event,) = events(capfdbinary, "endpoint_ejected")
        assert (event["endpoint"], event["why"]) == (second.url, "answers 503")


def test_an_application_s_own_errors_eject_nobody(tmp_path: Path, upstream: Upstream, second: Upstream) -> None:
    second.answer = upstream.answer = lambda seen: b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n"
    with door_before(tmp_path / "state", upstream.url, second.url) as door, Client(door.port) as client:
        assert {ask(client).status for _ in range(60)} == {500}
        assert count(door, counters.UPSTREAM_EJECTIONS) == 0


def test_answers_that_do_not_come_in_time_eject(tmp_path: Path, upstream: Upstream, second: Upstream) -> None:
    second.answer = lambda seen: b""
    timeouts = Timeouts(response_s=0.1, drain_finish_s=1)
    with (
        door_before(tmp_path / "state", upstream.url, second.url, timeouts=timeouts) as door,
        Client(door.port) as client,
    ):
        statuses = [ask(client).status for _ in range(40)]
        assert statuses.count(504) == ANSWER_FAILURES
        assert count(door, counters.UPSTREAM_EJECTIONS) == 1


def test_at_most_half_of_the_endpoints_are_ejected_and_the_rest_is_tried_in_turn(
    tmp_path: Path, upstream: Upstream
) -> None:
    dead = [refusing() for _ in range(3)]
    urls = [url for _, url in dead]
    with door_before(tmp_path / "state", *urls, upstream.url) as door, Client(door.port) as client:
        for _ in range(60):
            assert ask(client, method="POST", body=b"x").status == 200
        assert sum(each.health.ejected for each in endpoints(door)) == 2
        assert len(upstream.seen) == 60
    for sock, _ in dead:
        sock.close()


def test_when_all_fail_all_are_tried(tmp_path: Path, upstream: Upstream, second: Upstream) -> None:
    upstream.answer = second.answer = lambda seen: BUSY
    with door_before(tmp_path / "state", upstream.url, second.url) as door, Client(door.port) as client:
        assert {ask(client).status for _ in range(40)} == {503}
        assert sum(each.health.ejected for each in endpoints(door)) == 1
        for each in endpoints(door):
            door.thread.call(lambda each=each: each.health.eject(door.door.tick_s))  # type: ignore[misc]  # this turn's
        upstream.answer = second.answer = lambda seen: OK
        assert ask(client).status == 200


def test_while_nobody_answers_the_log_is_quiet_and_the_first_that_does_is_taken_back(
    tmp_path: Path, rest: LoopThread, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    dead = [refusing() for _ in range(2)]
    with door_before(tmp_path / "state", *(url for _, url in dead)) as door, Client(door.port) as client:
        for _ in range(50):
            assert ask(client).code == "upstream_connect"
        assert len(events(capfdbinary, "endpoint_ejected", "endpoint_failing")) == 2
        (out,) = (each.url for each in endpoints(door) if each.health.ejected)
        for sock, url in dead:
            sock.close()
            if url == out:
                back = Upstream(rest).start(int(url.rpartition(":")[2]))
        try:
            assert ask(client).status == 200
            assert not any(each.health.ejected for each in endpoints(door) if each.url == out)
        finally:
            back.stop()


def test_the_only_endpoint_is_never_ejected(
    tmp_path: Path, upstream: Upstream, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    upstream.answer = lambda seen: BUSY
    with door_before(tmp_path / "state", upstream.url) as door, Client(door.port) as client:
        assert {ask(client).body for _ in range(4 * ANSWER_FAILURES)} == {b"busy"}
        upstream.answer = lambda seen: OK
        assert ask(client).status == 200
        assert count(door, counters.UPSTREAM_EJECTIONS) == 0
        said = events(capfdbinary, "endpoint_failing", "endpoint_recovered")
        assert [event["event"] for event in said] == ["endpoint_failing", "endpoint_recovered"]


def test_a_trial_is_one_request(tmp_path: Path, upstream: Upstream, second: Upstream) -> None:
    with door_before(tmp_path / "state", upstream.url, second.url) as door, contextlib.ExitStack() as clients:
        ask(clients.enter_context(Client(door.port)))
        (endpoint,) = (each for each in endpoints(door) if each.url == second.url)

        def due() -> None:
            for _ in range(ANSWER_FAILURES):
                endpoint.failed("said by the test")
            endpoint.health.until_s = door.door.tick_s

        door.thread.call(due)
        second.gate = threading.Event()
        before = len(upstream.seen) + len(second.seen)
        second.seen.clear()
        waiting = [clients.enter_context(Client(door.port)).send(request()) for _ in range(20)]
        until(lambda: len(upstream.seen) + len(second.seen) >= before + 19)
        assert len(second.seen) == 1
        assert endpoint.health.ejected
        second.gate.set()
        assert {client.answer().status for client in waiting} == {200}
        assert not endpoint.health.ejected


def test_two_services_and_two_environments_at_one_url_share_no_verdict(tmp_path: Path, upstream: Upstream) -> None:
    held, url = refusing()
    urls = (url, upstream.url)
    state = tmp_path / "state"

    def publish_both(folder: Path) -> None:
        exposures = (
            Exposure("prod", "echo.test", "/", urls, NOWHERE), Exposure("dev", "echo-dev.test", "/", urls, NOWHERE),
        )  # fmt: skip
        echo = service("echo", urls, "everyone", exposures=exposures)
        app = service("app", urls, "everyone")
        jane = person("jane", "group:default/team")
        team = Team("group:default/team", "team", (), {}, NOWHERE)
        environments = dict.fromkeys(("prod", "dev"), {"owners": ["all"]})
        publish(
            folder, Catalog({jane.ref: jane}, {team.ref: team}, {each.ref: each for each in (echo, app)}),
            {"version": 1, "environments": environments}, ("prod", "dev"),
        )  # fmt: skip

    loopback = {name: Environment(name, (".test",), ("127.0.0.0/8",)) for name in ("prod", "dev")}
    settings = settings_for(state, environments=loopback)
    with running_door(state, publish=publish_both, settings=settings) as door, Client(door.port) as client:
        for host in ("echo.test", "echo-dev.test", "app.test"):
            before = count(door, counters.UPSTREAM_EJECTIONS)
            for _ in range(20):
                assert ask(client, method="POST", body=b"x", host=host).status == 200
            assert count(door, counters.UPSTREAM_EJECTIONS) == before + 1, "it had to find out by itself"
    held.close()


# === sending again ===


def fails_when_reused(line: Line) -> None:
    """Each connection serves one request and dies of the next."""
    line.send(answer(line.request()))
    line.request()


@pytest.mark.parametrize(
    ("method", "options", "again"),
    [
        ("GET", (), True), ("HEAD", (), True), ("OPTIONS", (), True),
        ("POST", (), False), ("PUT", (), False), ("PATCH", (), False), ("DELETE", (), False),
        ("POST", ("retry-idempotent",), False), ("PATCH", ("retry-idempotent",), False),
        ("PUT", ("retry-idempotent",), True), ("DELETE", ("retry-idempotent",), True),
    ],
)  # fmt: skip
def test_what_is_sent_again_after_a_reused_connection_failed(
    tmp_path: Path, method: str, options: tuple[str, ...], again: bool
) -> None:
    with (
        faulty(fails_when_reused) as upstream,
        door_before(tmp_path / "state", upstream.url, options=options) as door,
        Client(door.port) as client,
    ):
        assert ask(client).status == 200
        got = ask(client, "/second", method)
        assert got.status == (200 if again else 502)
        assert upstream.lines == (2 if again else 1)
        assert count(door, counters.UPSTREAM_RETRIES) == again


@pytest.mark.parametrize("method", ["PUT", "GET"])
def test_what_was_sent_with_a_body_is_not_sent_again(tmp_path: Path, method: str) -> None:
    with (
        faulty(fails_when_reused) as upstream,
        door_before(tmp_path / "state", upstream.url, options=("retry-idempotent",)) as door,
        Client(door.port) as client,
    ):
        assert ask(client).status == 200
        assert ask(client, method=method, body=b"x").code == "upstream_closed"
        assert upstream.lines == 1


def test_a_put_whose_body_waits_to_be_asked_for_is_sent_again_and_asked_for_once(tmp_path: Path) -> None:
    def dies_of_a_head(line: Line) -> None:
        line.send(answer(line.request()))
        line.head()

    with (
        faulty(dies_of_a_head) as upstream,
        door_before(tmp_path / "state", upstream.url, options=("retry-idempotent",)) as door,
        Client(door.port) as client,
    ):
        assert ask(client).status == 200
        client.send(request("/put", method="PUT", lines=b"Expect: 100-continue\r\nContent-Length: 4\r\n"))
        until(lambda: upstream.lines == 2)
        client.send(b"body")
        raw = b""
        while not raw.endswith(b"/put"):
            raw += client.sock.recv(4096)
        assert raw.count(b"100 Continue") == 1


def test_once_is_once(tmp_path: Path) -> None:
    """The second connection is fresh, and what fails there is told."""
    with (
        faulty(fails_when_reused, then(Line.request)) as upstream,
        door_before(tmp_path / "state", upstream.url) as door,
        Client(door.port) as client,
    ):
        assert ask(client).status == 200
        assert ask(client).code == "upstream_closed"
        assert upstream.lines == 2


def test_a_late_408_on_a_fresh_connection_is_the_upstreams_answer(tmp_path: Path) -> None:
    with (
        faulty(then(is_sent_more, lambda line: line.send(LATE))) as upstream,
        door_before(tmp_path / "state", upstream.url) as door,
        Client(door.port) as client,
    ):
        assert ask(client).status == 408


def test_a_dying_upstream_is_not_asked_for_everything_twice(tmp_path: Path) -> None:
    with (
        faulty(*[fails_when_reused] * 1000) as upstream,
        door_before(tmp_path / "state", upstream.url) as door,
        Client(door.port) as client,
    ):
        asked = 4 * RETRY_FLOOR
        statuses = [ask(client).status for _ in range(asked)]
        assert count(door, counters.UPSTREAM_RETRIES) == RETRY_FLOOR
        assert count(door, counters.UPSTREAM_RETRIES_WITHHELD) == statuses.count(502) > 0
        assert upstream.lines < asked


def test_an_unreachable_endpoint_is_no_matter_of_the_budget(tmp_path: Path, upstream: Upstream) -> None:
    """Nothing was sent to it, so nothing is sent twice: every request goes to another endpoint."""
    dead = [refusing() for _ in range(4)]
    urls = [url for _, url in dead]
    with door_before(tmp_path / "state", *urls, upstream.url) as door, Client(door.port) as client:
        for _ in range(3 * RETRY_FLOOR):
            assert ask(client, method="POST", body=b"x").status == 200
        assert count(door, counters.UPSTREAM_CONNECTS_FAILED) > RETRY_FLOOR
        assert count(door, counters.UPSTREAM_RETRIES) == 0
    for sock, _ in dead:
        sock.close()


def test_the_catalog_losing_endpoints_leaves_no_exposure_with_the_ejected_alone(
    tmp_path: Path, upstream: Upstream
) -> None:
    held, url = refusing()
    with door_before(tmp_path / "state", url, upstream.url) as door, Client(door.port) as client:
        for _ in range(10):
            assert ask(client).status == 200
        publish_small_catalog(door.state, url)
        door.follow_base()
        assert ask(client).code == "upstream_connect"
        assert [each.health.ejected for each in endpoints(door)] == [False]
    held.close()
