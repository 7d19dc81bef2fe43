"""Scripts of other origins: what a browser is told, what a service sees, and that nobody learns which paths exist."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.door.exchange import RETIRE_REQUESTS
from policy.facts import Catalog, Operation
from tests.integration.conftest import request
from tests.support.door import RunningDoor, running_door, settings_for
from tests.support.small_catalog import publish, service, small_catalog
from tests.support.upstream import Upstream
from tests.support.wire import Client, Got

SHOP = "https://shop.example.com"
OPEN = (
    b"HTTP/1.1 200 OK\r\nAccess-Control-Allow-Origin: *\r\nAccess-Control-Allow-Credentials: true\r\nVary: Accept\r\n"
    b"Content-Length: 2\r\n\r\nok"
)


def catalog(upstream: str) -> Catalog:
    """`listed` lists the shop, `own` answers for itself, `echo` says nothing."""
    small = small_catalog(upstream)
    operations = (Operation("GET", "/things/{id}"), Operation("PUT", "/things/{id}"))
    said = {"operations": operations, "has_definition": True}
    more = [
        service("listed", (upstream,), "everyone", cors=(SHOP,), **said),
        service("own", (upstream,), "everyone", cors=("upstream",), **said),
    ]
    return Catalog(small.people, small.teams, {**small.services, **{each.ref: each for each in more}})


@pytest.fixture
def door(tmp_path: Path, upstream: Upstream) -> Iterator[RunningDoor]:
    where = f"http://127.0.0.1:{upstream.port}"
    folder = tmp_path / "state"
    with running_door(
        folder, publish=lambda into: publish(into, catalog(where)), settings=settings_for(folder)
    ) as running:
        yield running


def preflight(host: str, path: str = "/things/7", method: str = "PUT", origin: str = SHOP, lines: bytes = b"") -> bytes:
    asked = (
        f"OPTIONS {path} HTTP/1.1\r\nHost: {host}\r\nOrigin: {origin}\r\n"
        f"Access-Control-Request-Method: {method}\r\nAccess-Control-Request-Headers: authorization,content-type\r\n"
    )
    return asked.encode() + lines + b"\r\n"


def ask(door: RunningDoor, data: bytes, method: str = "OPTIONS") -> Got:
    with Client(door.port) as client:
        return client.send(data).answer(method)


def test_the_door_answers_the_preflight_of_a_listed_origin(door: RunningDoor, upstream: Upstream) -> None:
    got = ask(door, preflight("listed.test"))
    assert got.status == 204
    assert got.headers["access-control-allow-origin"] == SHOP
    assert got.headers["access-control-allow-methods"] == "PUT"
    assert got.headers["access-control-allow-headers"] == "authorization,content-type"
    assert got.headers["vary"] == "Origin"
    assert "access-control-allow-credentials" not in got.headers
    assert "date" in got.headers
    assert upstream.connections == 0
    (record,) = door.records(1)
    assert (record["decision"], record["reason"], record["status"]) == ("permit", "own_endpoint", 204)


def test_a_preflight_ends_a_connection_that_served_long_enough(door: RunningDoor) -> None:
    with Client(door.port) as client:
        assert "connection" not in client.send(preflight("listed.test")).answer("OPTIONS").headers
        (connection,) = door.door.connections()
        door.thread.call(lambda: setattr(connection, "requests", RETIRE_REQUESTS - 1))
        assert client.send(preflight("listed.test")).answer("OPTIONS").headers["connection"] == "close"
        assert client.ended()


def test_a_preflight_tells_nobody_which_paths_exist(door: RunningDoor) -> None:
    there, nowhere = (ask(door, preflight("listed.test", path)) for path in ("/things/7", "/nowhere"))
    for headers in (there.headers, nowhere.headers):
        del headers["x-request-id"]
    assert (there.status, there.headers, there.body) == (nowhere.status, nowhere.headers, nowhere.body)


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("echo.test", SHOP),  # a service that says nothing
        ("listed.test", "https://shop.example.com.evil.test"),
        ("listed.test", "http://shop.example.com"),
        ("listed.test", "null"),
        ("listed.test", "upstream"),
    ],
)
def test_a_preflight_of_anybody_else_is_a_request_without_identity(
    door: RunningDoor, upstream: Upstream, host: str, origin: str
) -> None:
    got = ask(door, preflight(host, origin=origin))
    assert (got.status, got.code) == (401, "identity_required")
    assert "access-control-allow-origin" not in got.headers
    assert upstream.connections == 0


def test_a_script_of_a_listed_origin_may_read_answers_and_the_doors_word_replaces_the_services(
    door: RunningDoor, upstream: Upstream
) -> None:
    upstream.answer = lambda seen: OPEN
    got = ask(door, request("/things/7", host="listed.test", lines=f"Origin: {SHOP}\r\n".encode()), "GET")
    assert (got.status, got.body) == (200, b"ok")
    assert got.headers["access-control-allow-origin"] == SHOP
    assert "access-control-allow-credentials" not in got.headers


def test_a_script_of_a_listed_origin_may_read_why_it_was_refused(door: RunningDoor) -> None:
    got = ask(door, request("/things/7", host="listed.test", sub=None, lines=f"Origin: {SHOP}\r\n".encode()), "GET")
    assert (got.status, got.code) == (401, "identity_required")
    assert got.headers["access-control-allow-origin"] == SHOP


def test_a_script_of_another_origin_gets_what_the_service_says_of_it(door: RunningDoor, upstream: Upstream) -> None:
    """Without a list of its own the door has no opinion: the service's fields pass."""
    upstream.answer = lambda seen: OPEN
    got = ask(door, request("/things/7", host="echo.test", lines=b"Origin: https://a.test\r\n"), "GET")
    assert got.headers["access-control-allow-origin"] == "*"


def test_a_service_that_answers_for_itself_sees_the_preflight_without_credentials(
    door: RunningDoor, upstream: Upstream
) -> None:
    upstream.answer = lambda seen: b"HTTP/1.1 204 No Content\r\nAccess-Control-Allow-Origin: https://own.test\r\n\r\n"
    got = ask(door, preflight("own.test", lines=b"Authorization: Bearer x.y.z\r\nCookie: a=b\r\n"))
    assert (got.status, got.headers["access-control-allow-origin"]) == (204, "https://own.test")
    (seen,) = upstream.seen
    assert seen.header("access-control-request-method") == "PUT"
    names = {name for name, _ in seen.headers}
    assert not {"authorization", "cookie", "x-stagedoor-user"} & names
    (record,) = door.records(1)
    assert (record["reason"], record["operation"], record["subject"]) == ("public", "OPTIONS /things/{id}", "")


@pytest.mark.parametrize(("path", "method"), [("/nowhere", "PUT"), ("/things/7", "DELETE")])
def test_it_is_not_asked_about_operations_that_it_does_not_have(
    door: RunningDoor, upstream: Upstream, path: str, method: str
) -> None:
    assert ask(door, preflight("own.test", path, method)).code == "identity_required"
    assert upstream.connections == 0


def test_a_preflight_with_a_body_is_none(door: RunningDoor, upstream: Upstream) -> None:
    got = ask(door, preflight("own.test", lines=b"Content-Length: 3\r\n") + b"abc")
    assert (got.status, got.code) == (401, "identity_required")
    assert upstream.connections == 0


def test_two_methods_asked_about_are_no_preflight(door: RunningDoor) -> None:
    got = ask(door, preflight("listed.test", lines=b"Access-Control-Request-Method: DELETE\r\n"))
    assert got.code == "identity_required"
