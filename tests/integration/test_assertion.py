"""Promises to a service that asked for proof of who is asking: each request carries it, anybody can check it with the
keys of the host, nobody else's word passes, and without a key nothing is sent."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest
from jwt import PyJWK

from policy.facts import Catalog, Operation
from tests.integration.conftest import request
from tests.support.asserting import THINGS, Asked, asserting_door, catalog_of, running_upstream, told
from tests.support.door_sessions import CENTRAL, SessionWorld, session_door
from tests.support.upstream import Upstream
from tests.support.wire import Client, Got

POLICY = {"version": 1, "environments": {"prod": {"everyone": ["all"], "public": "declared"}}}


def catalog(upstream: Upstream) -> Catalog:
    """`proved` asked for it, `plain` did not."""
    services = {"plain": Asked("plain.test", frozenset()), "proved": Asked("proved.test")}
    return catalog_of(upstream.url, services, (THINGS, Operation("POST", "/hooks", public=True)))


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with running_upstream() as made:
        yield made


@pytest.fixture(scope="module")
def world(upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SessionWorld]:
    state = tmp_path_factory.mktemp("assertion") / "state"
    with asserting_door(state, catalog(upstream), upstream, POLICY) as made:
        yield made


def ask(world: SessionWorld, host: str, target: str = "/things", lines: bytes = b"", **more: Any) -> Got:
    with Client(world.door.port) as client:
        method = more.get("method", "GET")
        return client.send(request(target, host=host, lines=lines, **more)).answer(method)


def keys(world: SessionWorld, host: str = "proved.test") -> dict[str, Any]:
    got = ask(world, host, "/.stagedoor/jwks.json", sub=None)
    assert (got.status, got.headers["content-type"]) == (200, "application/jwk-set+json")
    assert got.headers["cache-control"] == "public, max-age=300"
    return {each["kid"]: PyJWK(each) for each in json.loads(got.body)["keys"]}


def read(world: SessionWorld, text: str) -> dict[str, Any]:
    key = keys(world)[jwt.get_unverified_header(text)["kid"]]
    said = jwt.decode(text, key, algorithms=["ES256"], audience="component:default/proved", issuer=f"https://{CENTRAL}")
    return dict(said)


def test_a_service_that_asked_can_check_who_is_asking(world: SessionWorld, upstream: Upstream) -> None:
    assert ask(world, "proved.test").status == 200
    (text,) = told(upstream.seen[-1])
    said = read(world, text)
    assert (said["sub"], said["kind"], said["idp"], said["idp_sub"]) == ("user:default/jane", "person", "test", "jane")
    assert 0 < said["exp"] - said["iat"] <= 60


def test_nobody_else_is_told(world: SessionWorld, upstream: Upstream) -> None:
    assert ask(world, "plain.test").status == 200
    assert told(upstream.seen[-1]) == []
    assert ask(world, "proved.test", "/hooks", method="POST", sub=None).status == 200
    assert told(upstream.seen[-1]) == []  # anonymous


@pytest.mark.parametrize("host", ["plain.test", "proved.test"])
def test_what_a_client_says_of_itself_is_not_sent_on(world: SessionWorld, upstream: Upstream, host: str) -> None:
    assert ask(world, host, lines=b"X-Stagedoor-Assertion: forged\r\nx_stagedoor.assertion: forged\r\n").status == 200
    assert "forged" not in str(upstream.seen[-1].headers)


def test_the_keys_are_at_every_host_and_for_everybody(world: SessionWorld) -> None:
    assert keys(world, "plain.test").keys() == keys(world).keys() == keys(world, CENTRAL).keys()


def test_without_a_key_the_service_is_not_asked(upstream: Upstream, tmp_path: Path) -> None:
    with session_door(tmp_path / "state", catalog(upstream), upstream.url, policy=POLICY) as world:
        world.door.thread.call(lambda: world.door.door.following.assertions.take([]))
        before = len(upstream.seen)
        got = ask(world, "proved.test")
        assert (got.status, got.code) == (503, "session_unavailable")
        assert len(upstream.seen) == before
        assert ask(world, "plain.test").status == 200
