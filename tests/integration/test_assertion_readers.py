"""Promises to whoever copies an example of docs/assertion.md: in each language it reads what a door says to its own
service, and refuses everything else that somebody could send in its place."""

from __future__ import annotations

import hmac
import time
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jwt
import orjson
import pytest

from gateway.identity.upstream_assertion import ServiceSigner, signers_of, signing
from tests.integration.conftest import request
from tests.support.asserting import Asked, asserting_door, catalog_of, running_upstream, told
from tests.support.assertion_readers import LANGUAGES, Reader, why_not
from tests.support.door import until
from tests.support.door_sessions import CENTRAL, SessionWorld
from tests.support.upstream import Upstream
from tests.support.wire import Client

POLICY = {"version": 1, "environments": {"prod": {"everyone": ["all"]}}}


# `payments`, at the name by which every machine knows itself, and another service with the same option
SERVICES = {"payments": Asked("localhost"), "orders": Asked("orders.test")}


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with running_upstream() as made:
        yield made


@pytest.fixture(scope="module")
def world(upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SessionWorld]:
    state = tmp_path_factory.mktemp("readers") / "state"
    with asserting_door(state, catalog_of(upstream.url, SERVICES), upstream, POLICY) as made:
        yield made


def told_to(world: SessionWorld, upstream: Upstream, host: str) -> str:
    """What the door says of Jane to the service at this host."""
    with Client(world.door.port) as client:
        assert client.send(request("/things", host=host)).answer("GET").status == 200
    (text,) = told(upstream.seen[-1])
    return text


def forged(world: SessionWorld, good: str) -> dict[str, str]:
    """What must not count, by what is wrong with it and nothing else."""
    signer = signing(signers_of(world.control.session_keys))
    assert signer is not None
    said: dict[str, Any] = jwt.decode(good, options={"verify_signature": False})
    stranger = ServiceSigner(signer.kid.removeprefix("a-"), b"x" * 32)
    assert jwt.decode(signer.sign(said), options={"verify_signature": False}) == said
    head, _, rest = good.partition(".")
    body, _, signature = rest.rpartition(".")
    unsigned = spelled({"alg": "none", "typ": "JWT", "kid": signer.kid})
    return {
        "another service's": signer.sign(said | {"aud": "component:default/orders"}).decode(),
        "another host's": signer.sign(said | {"iss": "https://stagedoor.example.org"}).decode(),
        "expired": signer.sign(said | {"iat": said["iat"] - 600, "exp": said["iat"] - 540}).decode(),
        "without an end": signer.sign({name: value for name, value in said.items() if name != "exp"}).decode(),
        "of a key that is not in the set": ServiceSigner("unknown", b"y" * 32).sign(said).decode(),
        "of another key under the same name": stranger.sign(said).decode(),
        "changed": f"{head}.{spelled(said | {'sub': 'user:default/root'})}.{signature}",
        "not signed": f"{unsigned}.{body}.",
        "not signed, with a signature": f"{unsigned}.{body}.{signature}",
        "signed with the public key": hmac_signed(signer, said),
        "nothing": "",
    }


def spelled(said: dict[str, Any]) -> str:
    return urlsafe_b64encode(orjson.dumps(said)).rstrip(b"=").decode()


def hmac_signed(signer: ServiceSigner, said: dict[str, Any]) -> str:
    """With what everybody can read as the secret: no library lets one do this by accident."""
    message = f"{spelled({'alg': 'HS256', 'typ': 'JWT', 'kid': signer.kid})}.{spelled(said)}"
    tag = hmac.digest(orjson.dumps(signer.jwk()), message.encode(), "sha256")
    return f"{message}.{urlsafe_b64encode(tag).rstrip(b'=').decode()}"


@pytest.mark.slow
@pytest.mark.timeout(180)  # of which Go may need half a minute
@pytest.mark.parametrize("language", LANGUAGES)
def test_the_example_believes_the_door_and_nobody_else(
    language: str, world: SessionWorld, upstream: Upstream, tmp_path: Path
) -> None:
    if why := why_not(language):
        pytest.skip(why)
    keys_at = f"http://localhost:{world.door.port}/.stagedoor/jwks.json"
    with Reader(language, tmp_path, keys_at, f"https://{CENTRAL}") as reader:
        assert reader.read(fresh(world, upstream)) == "user:default/jane"
        assert reader.read(told_to(world, upstream, "orders.test")).startswith("refused")
        for what, text in forged(world, fresh(world, upstream)).items():
            assert reader.read(text).startswith("refused"), what
        assert reader.read(fresh(world, upstream)) == "user:default/jane"  # it was not the key set that was away


def fresh(world: SessionWorld, upstream: Upstream) -> str:
    """With most of its minute to go: the door says the same again for as long as it counts."""

    def found() -> str:
        text = told_to(world, upstream, "localhost")
        return text if jwt.decode(text, options={"verify_signature": False})["exp"] - time.time() > 20 else ""

    until(lambda: bool(found()), 60)
    return found()
