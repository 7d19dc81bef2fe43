"""Opaque tokens at the door: only their issuer can tell, who waits shares a question, and in doubt nobody comes in."""

from __future__ import annotations

import json
import signal
import time
import urllib.request
from base64 import b64encode
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest

from gateway import config
from gateway.door.questions import WAITING_TOKENS
from gateway.identity.tokens import OPAQUE_LIMIT_BYTES
from tests.integration.conftest import token
from tests.support.door import ISSUER, RunningDoor, running_door, settings_for, until
from tests.support.small_catalog import publish_small_catalog
from tests.support.tokens import RS256, Signer, claims
from tests.support.upstream import Upstream
from tests.support.whole_node import whole_node
from tests.support.wire import Client, Got

TOKEN = "2YotnFZFEjr1zCsicMWpAA"


def asking(state: Path, tokens: Literal["opaque", "signed", "all"] = "opaque") -> config.Settings:
    introspection = config.Introspection("door", "/nowhere", tokens=tokens)
    return settings_for(state, issuers=(replace(ISSUER, introspection=introspection),))


def running(tmp_path: Path, upstream: Upstream, settings: config.Settings) -> Iterator[RunningDoor]:
    with running_door(
        tmp_path / "state", publish=lambda folder: publish_small_catalog(folder, upstream.url), settings=settings
    ) as made:
        yield made


@pytest.fixture
def door(tmp_path: Path, upstream: Upstream) -> Iterator[RunningDoor]:
    yield from running(tmp_path, upstream, asking(tmp_path / "state"))


@pytest.fixture
def careful_door(tmp_path: Path, upstream: Upstream) -> Iterator[RunningDoor]:
    """One whose issuer is asked about signed tokens."""
    yield from running(tmp_path, upstream, asking(tmp_path / "state", "signed"))


def word(**changes: object) -> str:
    now = int(time.time())
    return json.dumps(claims(**({"active": True, "exp": now + 600, "iat": now - 5, "scope": "openid"} | changes)))


def bearing(text: str | bytes = TOKEN, lines: bytes = b"") -> bytes:
    raw = text.encode() if isinstance(text, str) else text
    return b"GET / HTTP/1.1\r\nHost: echo.test\r\nAuthorization: Bearer " + raw + b"\r\n" + lines + b"\r\n"


def ask(door: RunningDoor, text: str | bytes = TOKEN) -> Got:
    with Client(door.port) as client:
        return client.send(bearing(text)).answer()


def test_a_token_that_its_issuer_vouches_for_comes_in_as_who_it_says(
    door: RunningDoor, upstream: Upstream, capfd: pytest.CaptureFixture[str]
) -> None:
    door.control.words[TOKEN] = (word(), 60)
    with Client(door.port) as client:
        for _ in range(3):
            assert client.send(bearing()).answer().status == 200
    assert [(each["issuer"], each["token"]) for each in door.control.asked] == [("test", TOKEN)]
    assert upstream.seen[0].header("x-stagedoor-user") == "user:default/jane"
    record = door.records(3)[0]
    assert (record["subject"], record["sub"], record["key_id"]) == ("user:default/jane", "jane", "")
    kept = b"".join(path.read_bytes() for path in door.state.rglob("*") if path.is_file())
    assert TOKEN.encode() not in kept
    assert TOKEN not in capfd.readouterr().err


def test_all_who_wait_for_one_token_share_one_question(door: RunningDoor) -> None:
    door.control.answers = False
    with ExitStack() as open_ones:
        clients = [open_ones.enter_context(Client(door.port)) for _ in range(20)]
        for client in clients:
            client.send(bearing())
        until(lambda: door.control.asked)
        door.control.words[TOKEN] = (word(), 60)
        door.control.answers = True
        door.thread.call(lambda: door.door.callers.introspected(1, word().encode(), int(time.time()) + 60,
                                                                door.door.snapshot))  # fmt: skip
        assert {client.answer().status for client in clients} == {200}
    assert len(door.control.asked) == 1


def test_an_issuer_that_changes_its_mind_is_believed_when_its_word_has_ended(door: RunningDoor) -> None:
    """Until then nobody is asked; a new word counts for the next request, whatever the last one was."""
    door.control.words[TOKEN] = (word(), 120)
    assert ask(door).status == 200
    door.control.words[TOKEN] = (word(active=False), 240)
    door.skip_to(door.control.word_ends - 60)
    assert ask(door).status == 200
    door.skip_to(door.control.word_ends)
    assert ask(door).code == "token_inactive"
    door.control.words[TOKEN] = (word(sub="joe"), 240)
    assert ask(door).status == 200
    assert len(door.control.asked) == 3
    assert [record["sub"] for record in door.records(4)] == ["jane", "jane", "", "joe"]


@pytest.mark.parametrize(
    ("answer", "status", "code"),
    [
        ({"active": False}, 401, "token_inactive"),
        ('{"active":false}', 401, "token_inactive"),
        ({"active": "true"}, 503, "issuer_unavailable"),
        ("<html>Sign in</html>", 503, "issuer_unavailable"),
        ('{"active":true,"active":true}', 503, "issuer_unavailable"),
        ("", 503, "issuer_unavailable"),
        ({"iss": "https://other.test"}, 401, "token_issuer"),
        ({"aud": "other"}, 401, "token_audience"),
        ({"aud": ...}, 401, "token_claims"),
        ({"exp": 1}, 401, "token_expired"),
        ({"sub": "nobody"}, 403, "identity_unknown"),
        ({"token_type": "DPoP"}, 401, "token_type"),
    ],
)
def test_a_word_that_does_not_vouch_lets_nobody_in(
    door: RunningDoor, upstream: Upstream, answer: str | dict[str, object], status: int, code: str
) -> None:
    door.control.words[TOKEN] = (answer if isinstance(answer, str) else word(**answer), 60)
    got = ask(door)
    assert (got.status, got.code) == (status, code)
    assert upstream.seen == []
    assert TOKEN.encode() not in got.body


def test_a_word_that_has_ended_on_the_way_is_none(door: RunningDoor) -> None:
    door.control.words[TOKEN] = (word(), 0)
    assert ask(door).code == "issuer_unavailable"


@pytest.mark.parametrize("size", [OPAQUE_LIMIT_BYTES + 1, 20_000])
def test_a_huge_token_is_refused_without_a_question(door: RunningDoor, size: int) -> None:
    assert ask(door, "x" * size).code == "token_malformed"
    assert ask(door, b"caf\xe9").code == "token_malformed"
    assert ask(door, b"a,b").code == "token_malformed"
    assert door.control.asked == []


def test_without_control_what_it_would_have_to_ask_is_unavailable_and_what_is_known_goes_on(door: RunningDoor) -> None:
    door.control.words[TOKEN] = (word(), 60)
    assert ask(door).status == 200
    door.rest.call(door.control.server.close)
    until(lambda: not door.thread.call(lambda: door.door.following._control.connected))
    assert ask(door).status == 200
    got = ask(door, "another-token")
    assert (got.status, got.code) == (503, "issuer_unavailable")
    assert got.headers["retry-after"]


def test_whoever_waits_while_control_goes_away_is_told_at_once(door: RunningDoor) -> None:
    door.control.answers = False
    with Client(door.port) as client:
        client.send(bearing())
        until(lambda: door.control.asked)
        door.rest.call(door.control.server.close)
        assert client.answer().code == "issuer_unavailable"


def test_a_question_nobody_answers_ends_by_itself(door: RunningDoor) -> None:
    door.control.answers = False
    began = time.monotonic()
    got = ask(door)
    assert got.code == "issuer_unavailable"
    assert time.monotonic() - began < 4
    door.control.answers = True
    door.control.words[TOKEN] = (word(), 60)
    assert ask(door).status == 200


def test_what_settings_before_a_reload_verified_is_not_believed_after_it(careful_door: RunningDoor) -> None:
    """A token waits for its issuer's word; meanwhile the audience it has is no longer ours."""
    door = careful_door
    door.control.answers = False
    with Client(door.port) as client:
        client.send(bearing(token()))
        until(lambda: door.control.asked)
        other = replace(door.door.settings.issuers[0], audiences=("other",))
        door.thread.call(lambda: door.door.callers.configure((other,)))
        assert client.answer().code == "issuer_unavailable"
        number = door.control.asked[0]["id"]
        answer = (word().encode(), int(time.time()) + 60)
        door.thread.call(lambda: door.door.callers.introspected(number, *answer, door.door.snapshot))
        assert client.send(bearing(token())).answer().code == "token_audience"


def test_questions_about_many_tokens_are_bounded(door: RunningDoor) -> None:
    """Tokens that somebody makes up cost a bounded number of questions; the rest is refused at once."""
    door.control.answers = False
    with ExitStack() as open_ones:
        for number in range(WAITING_TOKENS):
            open_ones.enter_context(Client(door.port)).send(bearing(f"made-up-{number}"))
        until(lambda: len(door.control.asked) == WAITING_TOKENS)
        began = time.monotonic()
        assert ask(door, "one-more").code == "issuer_unavailable"
        assert time.monotonic() - began < 1
    assert len(door.control.asked) == WAITING_TOKENS


# === signed tokens ===


def test_a_signed_token_counts_as_long_as_its_issuer_says(careful_door: RunningDoor, upstream: Upstream) -> None:
    door, good = careful_door, token()
    door.control.words[good.decode()] = ('{"active":true,"sub":"jane"}', 120)
    assert ask(door, good).status == 200
    door.control.words[good.decode()] = ('{"active":false}', 240)
    door.skip_to(door.control.word_ends - 60)
    assert ask(door, good).status == 200
    door.skip_to(door.control.word_ends)
    assert ask(door, good).code == "token_inactive"
    assert door.records(3)[0]["key_id"].startswith("test:rsa-1:")
    assert len(upstream.seen) == 2


def test_a_token_that_does_not_verify_is_shown_to_nobody(careful_door: RunningDoor) -> None:
    """An opaque one neither: this issuer is asked about what it signed."""
    forged = Signer("rsa-2", "RS256", "rsa-1")
    for bad in (token(signer=forged), token(aud="other"), token(exp=1), b"opaque", token(iss="https://other.test")):
        assert ask(careful_door, bad).status == 401
    assert careful_door.control.asked == []


def test_a_new_key_and_the_issuers_word_are_waited_for_one_after_the_other(careful_door: RunningDoor) -> None:
    door, rotated = careful_door, Signer("rsa-2", "RS256", "rsa-new")
    door.control.after_question = {"test": (RS256, rotated)}
    good = token(signer=rotated)
    door.control.words[good.decode()] = ('{"active":true}', 60)
    assert ask(door, good).status == 200
    assert (len(door.control.wanted), len(door.control.asked)) == (1, 1)


# === a whole node ===


@pytest.mark.slow
def test_a_node_asks_the_issuer_that_its_configuration_names(tmp_path: Path) -> None:
    """From a reload on: control asks with the client's secret, each worker is told, none of it is written down."""
    with whole_node(tmp_path) as node, ExitStack() as open_ones:
        ask_node = [open_ones.enter_context(Client(node.port)) for _ in range(4)]
        assert ask_node[0].send(bearing()).answer().code == "token_malformed"
        (tmp_path / "secret").write_text("s3cret-of-the-door\n")
        file = tmp_path / "stagedoor.yaml"
        asked = "introspection: {client_id: door, client_secret_file: secret, cache: 5s}"
        file.write_text(file.read_text().replace("audiences: [api],", f"audiences: [api], {asked},"))
        node.words[TOKEN] = json.loads(word(iss=node.issuer))
        node.process.send_signal(signal.SIGHUP)
        until(lambda: len(node.events("settings_taken")) == 2)
        for client in ask_node:
            assert client.send(bearing()).answer().status == 200
            assert client.send(bearing("made-up")).answer().code == "token_inactive"
        secret = "Basic " + b64encode(b"door:s3cret-of-the-door").decode()
        assert {credentials for credentials, _ in node.asked} == {secret}
        assert len(node.asked) == 2, "one question for both workers"

        node.words[TOKEN] = {"active": False}
        until(lambda: ask_node[0].send(bearing()).answer().status == 401)
        node.issuer_up = False
        until(lambda: ask_node[0].send(bearing("another")).answer().code == "issuer_unavailable")
        assert ask_node[0].send(node.request()).answer().status == 200, "signed tokens need no word"
        with urllib.request.urlopen(f"http://127.0.0.1:{node.admin}/readyz?verbose", timeout=5) as answer:
            assert b"[note] introspection idp: `" in answer.read()
        (failed,) = node.events("introspection_failed")
        assert failed["why"].endswith("answered 503")
    kept = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file() and path != tmp_path / "secret"}
    for path, content in kept.items():
        assert TOKEN.encode() not in content, path
        assert b"s3cret-of-the-door" not in content, path
