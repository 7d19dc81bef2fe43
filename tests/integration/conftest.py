"""Fixtures: a door on real sockets in front of scripted upstreams, with a small catalog compiled for real."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.door import LoopThread, RunningDoor, running_door, settings_for
from tests.support.small_catalog import publish_small_catalog
from tests.support.tokens import RS256, Signer
from tests.support.upstream import Upstream


@pytest.fixture(scope="module")
def rest() -> Iterator[LoopThread]:
    thread = LoopThread("upstreams")
    yield thread
    thread.close()


@pytest.fixture
def upstream(rest: LoopThread) -> Iterator[Upstream]:
    made = Upstream(rest).start()
    yield made
    made.stop()
    assert made.faults == [], "the door sent something a strict server refuses"


@pytest.fixture
def second(rest: LoopThread) -> Iterator[Upstream]:
    """Another upstream beside the first."""
    made = Upstream(rest).start()
    yield made
    made.stop()
    assert made.faults == [], "the door sent something a strict server refuses"


@pytest.fixture
def door(tmp_path: Path, upstream: Upstream) -> Iterator[RunningDoor]:
    state = tmp_path / "state"
    with running_door(
        state, publish=lambda folder: publish_small_catalog(folder, upstream.url), settings=settings_for(state)
    ) as running:
        yield running


@pytest.fixture(scope="module")
def golden_upstream(rest: LoopThread) -> Iterator[Upstream]:
    made = Upstream(rest).start()
    yield made
    made.stop()
    assert made.faults == []


@pytest.fixture(scope="module")
def golden_door(tmp_path_factory: pytest.TempPathFactory, golden_upstream: Upstream) -> Iterator[RunningDoor]:
    state = tmp_path_factory.mktemp("golden") / "state"
    with running_door(
        state, publish=lambda folder: publish_small_catalog(folder, golden_upstream.url), settings=settings_for(state)
    ) as running:
        yield running


def token(sub: str = "jane", signer: Signer = RS256, **changes: object) -> bytes:
    """A token of the test issuer that is good now."""
    now = int(time.time())
    claims: dict[str, Any] = {"sub": sub, "exp": now + 600, "iat": now - 5, "scope": "openid", **changes}
    return signer.token(**claims)


def request(
    target: str = "/", *, method: str = "GET", sub: str | None = "jane", host: str = "echo.test", lines: bytes = b"",
    body: bytes = b"",
) -> bytes:  # fmt: skip
    """The bytes of a request by ``sub`` (None: without identity)."""
    identity = b"Authorization: Bearer " + token(sub) + b"\r\n" if sub else b""
    framing = b"Content-Length: %d\r\n" % len(body) if body else b""
    head = f"{method} {target} HTTP/1.1\r\nHost: {host}\r\n".encode()
    return head + identity + framing + lines + b"\r\n" + body
