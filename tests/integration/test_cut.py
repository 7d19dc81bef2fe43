"""Promises of `stagedoor cut`, measured where the client sits: refused within a second, streams closed within two."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.door import until
from tests.support.tokens import RS256
from tests.support.whole_node import WholeNode, whole_node
from tests.support.wire import Client

pytestmark = pytest.mark.slow
REFUSED_S = 1.0


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WholeNode]:
    with whole_node(tmp_path_factory.mktemp("cut"), workers=2) as running:
        yield running


def cut(node: WholeNode, *said: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", "-m", "gateway.cli", "cut", *said, "--config", str(node.folder / "stagedoor.yaml")]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)


def status(node: WholeNode, sub: str = "jane") -> int:
    with Client(node.port) as client:
        return client.send(node.request(sub)).answer().status


def fresh(node: WholeNode, sub: str) -> bytes:
    """A request with a token of this very second."""
    now = int(time.time())
    token = RS256.token(iss=node.issuer, sub=sub, exp=now + 600, iat=now, scope="openid")
    return b"GET / HTTP/1.1\r\nHost: echo.test\r\nAuthorization: Bearer " + token + b"\r\n\r\n"


@pytest.fixture(autouse=True)
def _nobody_left_cut(node: WholeNode) -> Iterator[None]:
    yield
    for each in json.loads(cut(node, "list", "--json").stdout)["cuts"]:
        if each["lifted"] is None:
            cut(node, "lift", each["kind"], each["ref"])


def test_a_person_is_refused_on_every_worker_at_once_and_with_old_tokens_ever_after(node: WholeNode) -> None:
    until(lambda: status(node) == 200)
    old = node.request("jane")
    done = cut(node, "person", "jane", "--because", "a laptop is lost")
    began = time.monotonic()
    assert done.returncode == 0, done.stderr
    assert "live at 2 doors" in done.stdout
    for _ in range(20):  # other connections, other workers
        with Client(node.port) as client:
            answer = client.send(old).answer()
            assert (answer.status, answer.code) in ((403, "denied"), (403, "no_rule"))
    assert time.monotonic() - began < REFUSED_S * 5
    assert status(node, "joe") == 200
    known = json.loads(cut(node, "list", "--json").stdout)["cuts"]
    since = max(each["since"] for each in known)  # one of her team counts too
    lifted = cut(node, "lift", "person", "jane", "--because", "found again")
    assert lifted.returncode == 0
    until(lambda: time.time() >= since + 1)  # a token of a later second than the cut
    with Client(node.port) as client:
        assert client.send(fresh(node, "jane")).answer().status == 200
    with Client(node.port) as client:
        assert client.send(old).answer().code == "token_revoked"


def test_it_works_with_issuer_gone_and_after_a_restart_of_control(node: WholeNode) -> None:
    node.issuer_up = False
    try:
        assert cut(node, "team", "team", "--because", "all of them").returncode == 0
        before = node.children("control")[0]
        os.kill(before, signal.SIGKILL)
        until(lambda: node.children("control")[0] != before, 20)
        until(lambda: "team" in cut(node, "list").stdout, 20)
        assert status(node) == 403
    finally:
        node.issuer_up = True


@pytest.mark.parametrize(("kind", "ref"), [("service", "echo"), ("environment", "prod")])
def test_a_service_or_an_environment_is_closed_to_everybody(node: WholeNode, kind: str, ref: str) -> None:
    until(lambda: status(node, "joe") == 200)
    assert cut(node, kind, ref, "--because", "it leaks").returncode == 0
    assert status(node, "joe") == 403
    assert cut(node, "lift", kind, ref).returncode == 0
    assert status(node, "joe") == 200  # it was the place that was closed: tokens are as good as before


def test_a_name_that_no_catalog_holds_is_cut_and_questioned(node: WholeNode) -> None:
    done = cut(node, "person", "jnae", "--because", "a slip")
    assert done.returncode == 0
    assert "person user:default/jnae is cut off" in done.stdout
    assert "no catalog that is read holds `user:default/jnae`" in done.stderr
    assert "`stagedoor cut lift person jnae`" in done.stderr
    assert cut(node, "person", "jane", "--because", "known").stderr == ""
    engine = node.children("engine")[0]
    os.kill(engine, signal.SIGSTOP)
    try:
        done = cut(node, "person", "nobody", "--because", "the engine hangs")
    finally:
        os.kill(engine, signal.SIGCONT)
    assert (done.returncode, done.stderr) == (0, "")


def test_what_cannot_be_done_is_said(node: WholeNode, tmp_path: Path) -> None:
    refused = cut(node, "person", "group:default/x", "--because", "x")
    assert refused.returncode == 1
    assert "a person is a user" in refused.stderr
    assert cut(node, "lift", "person", "nobody").returncode == 1
    assert cut(node, "person", "jane").returncode == 2  # without a reason
