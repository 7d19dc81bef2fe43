"""A door tells control who came: once for each verified token, by whatever way it was verified, and nothing else."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest

from gateway import config
from tests.integration.conftest import token
from tests.support.door import ISSUER, RunningDoor, running_door, settings_for, until
from tests.support.small_catalog import publish_small_catalog
from tests.support.tokens import claims
from tests.support.upstream import Upstream
from tests.support.wire import Client

OPAQUE = "2YotnFZFEjr1zCsicMWpAA"


@contextmanager
def running(
    tmp_path: Path, upstream: Upstream, tokens: Literal["opaque", "signed", "all"] = "opaque", keep_s: float = 1e6
) -> Iterator[RunningDoor]:
    introspection = config.Introspection("door", "/nowhere", tokens=tokens)
    settings = settings_for(
        tmp_path / "state", issuers=(replace(ISSUER, introspection=introspection),), sightings_s=keep_s
    )
    with running_door(
        tmp_path / "state", publish=lambda folder: publish_small_catalog(folder, upstream.url), settings=settings
    ) as made:
        yield made


@pytest.fixture
def door(tmp_path: Path, upstream: Upstream) -> Iterator[RunningDoor]:
    with running(tmp_path, upstream) as made:
        yield made


def asked(door: RunningDoor, text: bytes, times: int = 1) -> list[int]:
    request = b"GET / HTTP/1.1\r\nHost: echo.test\r\nAuthorization: Bearer " + text + b"\r\n\r\n"
    with Client(door.port) as client:
        return [client.send(request).answer().status for _ in range(times)]


def told(door: RunningDoor, least: int) -> list[tuple[str, str, str]]:
    until(lambda: len(door.control.seen) >= least, 5)
    return [(each["subject"], each["ref"], each["refusal"]) for each in door.control.seen]


def test_a_token_is_told_at_its_first_sight_and_never_for_a_request(door: RunningDoor) -> None:
    assert set(asked(door, token(sub="jane"), 30)) == {200}
    assert told(door, 1) == [("jane", "user:default/jane", "")]
    publish_small_catalog(door.state, "http://127.0.0.1:9", jane_in_team=False)
    door.follow_base()
    asked(door, token(sub="nobody"))
    assert told(door, 2) == [("jane", "user:default/jane", ""), ("nobody", "", "identity_unknown")], (
        "a change of teams is no sight of a token"
    )


def test_a_broken_token_is_no_sight_of_anybody(door: RunningDoor) -> None:
    assert asked(door, token(sub="jane")[:-16] + b"A" * 16) == [401]
    assert asked(door, token(sub="jane", exp=5)) == [401]
    asked(door, token(sub="joe"))
    assert told(door, 1) == [("joe", "user:default/joe", "")]


def test_who_is_vouched_for_by_the_issuer_is_told_without_the_token(door: RunningDoor) -> None:
    now = int(time.time())
    said = claims(active=True, exp=now + 600, iat=now - 5, scope="openid", name="Jane", email="jane@corp.test")
    door.control.words[OPAQUE] = (json.dumps(said), 60)
    assert asked(door, OPAQUE.encode(), 3) == [200, 200, 200]
    assert told(door, 1) == [("jane", "user:default/jane", "")]
    (entry,) = door.control.seen
    assert entry["claims"] == {"sub": "jane", "name": "Jane", "email": "jane@corp.test"}
    assert OPAQUE not in json.dumps(door.control.seen)


def test_a_signed_token_that_the_issuer_is_asked_about_is_told_once(tmp_path: Path, upstream: Upstream) -> None:
    with running(tmp_path, upstream, "signed") as door:
        text = token(sub="jane")
        door.control.words[text.decode()] = (json.dumps({"active": True}), 60)
        assert asked(door, text, 3) == [200, 200, 200]
        assert told(door, 1) == [("jane", "user:default/jane", "")]
        assert door.control.seen[0]["claims"] == {"sub": "jane"}, "what was signed, where the issuer says nothing"


def test_without_retention_nobody_is_told_of(tmp_path: Path, upstream: Upstream) -> None:
    with running(tmp_path, upstream, keep_s=0) as door:
        assert asked(door, token(sub="jane")) == [200]
        until(lambda: not door.door.callers.sightings._waiting, 5)
        door.control.publish()  # whatever the door had said before is heard by now
        assert door.control.seen == []
