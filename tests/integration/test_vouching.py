"""What a door says of callers under a signature: to Stagedoor's own service, of each request, and to nobody else."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from gateway.config import Introspection
from gateway.identity.assertion import FIELD, Assertion, Request, SharedKey, Unproved, opened
from gateway.snapshot import FrameStore, Manifest, frame_body, write_manifest
from policy.access import read_policy
from policy.builtin import BUILTIN_SERVICE, Builtin
from policy.compile import compile_frames
from policy.derive import derive
from policy.facts import KeyField
from tests.support.door import ISSUER, LoopThread, RunningDoor, running_door, settings_for, until
from tests.support.small_catalog import NOWHERE, POLICY, small_catalog
from tests.support.tokens import RS256, claims
from tests.support.upstream import Upstream

KEY = b"k" * 32


class World(NamedTuple):
    door: RunningDoor
    upstream: Upstream

    def tell_key(self) -> None:
        message = {"t": "assertion_key", "kid": "k1", "secret": base64.b64encode(KEY).decode()}
        self.door.rest.call(lambda: self.door.control.server.broadcast(message))
        until(lambda: self.door.door.following.assertion_key is not None)

    def ask(self, host: str, target: str, *lines: bytes, token: bytes = b"") -> list[bytes]:
        """The assertion lines that the upstream got."""
        before = len(self.upstream.seen)
        identity = b"Authorization: Bearer " + token + b"\r\n" if token else b""
        head = f"GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n".encode()
        answer = self.door.exchange(head + identity + b"".join(line + b"\r\n" for line in lines) + b"\r\n")
        assert answer.startswith(b"HTTP/1.1 200"), answer
        assert len(self.upstream.seen) == before + 1
        return [value.encode() for name, value in self.upstream.seen[-1].headers if name == FIELD.lower()]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with world_of(tmp_path) as made:
        yield made


@contextmanager
def world_of(tmp_path: Path, **changes: Any) -> Iterator[World]:
    thread = LoopThread("upstream")
    upstream = Upstream(thread).start()

    def publish(folder: Path) -> None:
        builtin = Builtin("central.test", ("GET /open",), ("GET /mine",), upstream=upstream.url)
        catalog = small_catalog(upstream.url)
        access, faults = read_policy(POLICY, lambda path: NOWHERE)
        assert faults == []
        derived = derive(catalog, access, ("prod",), builtin)
        frames = compile_frames(catalog, derived, (KeyField("test", "person", "sub", "metadata.name"),))
        store = FrameStore(folder)
        names = {name: store.write(frame) for name, frame in frames.items()}
        base = blake2b(frame_body(sorted(names.items())), digest_size=6).hexdigest()
        write_manifest(folder, Manifest(base, "test", names))

    try:
        state = tmp_path / "state"
        settings = settings_for(state, **changes)
        central = replace(settings.environments["prod"], name="central")  # only for the scripted upstream's address
        settings = replace(settings, environments={**settings.environments, "central": central})
        with running_door(state, publish=publish, settings=settings) as door:
            yield World(door, upstream)
    finally:
        upstream.stop()
        thread.close()


def jane() -> bytes:
    now = int(time.time())
    return RS256.token(sub="jane", aud=["api", "stagedoor"], exp=now + 300, iat=now - 5, scope="openid")


def read(line: bytes, world: World, target: str) -> Assertion:
    request = Request("GET", "central.test", target, str(world.upstream.seen[-1].header("x-request-id")))
    said = opened(line, BUILTIN_SERVICE.ref, SharedKey("k1", KEY), request, world.door.door.now)
    assert isinstance(said, Assertion), said
    other = opened(line, BUILTIN_SERVICE.ref, SharedKey("k1", KEY), request._replace(id="other"), world.door.door.now)
    assert isinstance(other, Unproved)
    return said


def test_the_own_service_is_told_who_asks_of_each_request(world: World) -> None:
    world.tell_key()
    (line,) = world.ask("central.test", "/mine?a=%20b", token=jane())
    said = read(line, world, "/mine?a=%20b")
    assert (said.principal.ref, said.shown, said.audiences) == ("user:default/jane", "token", ("api", "stagedoor"))
    assert "everyone" in said.principal.subjects
    (again,) = world.ask("central.test", "/mine?a=%20b", token=jane())
    assert again != line
    (nobody,) = world.ask("central.test", "/open")
    said = read(nobody, world, "/open")
    assert (said.principal.kind, said.principal.subjects) == ("anonymous", frozenset())
    assert (said.shown, said.audiences) == ("nothing", ())


def test_an_opaque_token_names_no_audience_of_its_own(tmp_path: Path) -> None:
    """Its issuer may read the beginning alone: what stands behind it was verified by nobody."""
    asking = replace(ISSUER, introspection=Introspection("door", "/nowhere"))
    payload = base64.urlsafe_b64encode(b'{"aud":"stagedoor"}').rstrip(b"=").decode()
    token = f"opaque.{payload}.x"
    now = int(time.time())
    with world_of(tmp_path, issuers=(asking,)) as world:
        world.tell_key()
        word = {**claims(exp=now + 300, iat=now - 5, scope="openid"), "active": True}
        world.door.control.words[token] = (json.dumps(word), 60)
        (line,) = world.ask("central.test", "/mine", token=token.encode())
        said = read(line, world, "/mine")
        assert (said.principal.ref, said.shown, said.audiences) == ("user:default/jane", "token", ())


def test_what_a_client_says_of_itself_never_arrives(world: World) -> None:
    """Before the door has a key, too: then there is no assertion at all."""
    forged = FIELD.encode() + b": a.b.c"
    aliases = [forged, b"x_stagedoor_assertion: a.b.c", b"X-STAGEDOOR-ASSERTION: a.b.c"]
    assert world.ask("central.test", "/mine", *aliases, token=jane()) == []
    world.tell_key()
    (line,) = world.ask("central.test", "/mine", *aliases, token=jane())
    assert read(line, world, "/mine").principal.ref == "user:default/jane"
    assert "x_stagedoor_assertion" not in [name for name, _ in world.upstream.seen[-1].headers]


def test_no_other_service_is_told_anything_under_this_key(world: World) -> None:
    world.tell_key()
    assert world.ask("echo.test", "/", token=jane()) == []
    assert world.ask("echo.test", "/", FIELD.encode() + b": a.b.c", token=jane()) == []
