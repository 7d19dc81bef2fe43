"""Promises about the suggested calls: they can be pasted into a shell as they are, and say the same everywhere."""

from __future__ import annotations

import shlex
from dataclasses import replace

import pytest

from gateway.lab.calls import ALLOWED, CALLS, Call
from gateway.lab.folder import LabFacts

FACTS = LabFacts(
    8443, "http://127.0.0.1:18100", "127.0.0.1:18109", "c", "a", ".venv/bin/stagedoor", ".lab/certs/ca.pem"
)


@pytest.mark.parametrize("call", CALLS, ids=lambda call: f"{call.who} {call.method} {call.url_host}{call.path}")
def test_a_command_is_whole_shell_words(call: Call) -> None:
    words = shlex.split(call.command(FACTS))
    assert words[:3] == ["curl", "--cacert", ".lab/certs/ca.pem"]
    assert words[-1] == f"https://{call.url_host}:8443{call.path}"


def test_the_token_stands_in_the_header() -> None:
    words = shlex.split(ALLOWED.command(FACTS))
    assert words[words.index("-H") + 1] == "Authorization: Bearer $(.venv/bin/stagedoor lab token --user jane)"


def test_nobody_brings_no_header() -> None:
    assert "-H" not in Call("nobody", "a.localhost", "/").command(FACTS)


def test_scopes_with_blanks_stay_one_word() -> None:
    call = replace(ALLOWED, scope="a:read b:write")
    assert shlex.split(call.token_command(FACTS))[-1] == "a:read b:write"


def test_a_method_without_a_body_is_named_and_one_with_a_body_is_implied() -> None:
    assert "-X POST" in Call("", "a.localhost", "/", "POST").command(FACTS)
    assert "-d '{}'" in Call("", "a.localhost", "/", "POST", body="{}").command(FACTS)


def test_the_usual_port_is_left_out() -> None:
    assert replace(FACTS, port=443).origin("localhost") == "https://localhost"
