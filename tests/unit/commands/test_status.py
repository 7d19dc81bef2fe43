"""`stagedoor status` on a screen: what nobody knows is a dash, what is wrong stands below, nothing moves the cursor."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from gateway.link import Message
from gateway.node import status
from gateway.node.asking import CONTROL, Away, Refusing
from tests.support.commands import run, told
from tests.unit.node.test_status import CONTROLS, ENGINES, WORKER


@dataclass
class Roles:
    """What each role answers, or why it does not."""

    control: Message | Exception = field(default_factory=lambda: dict(CONTROLS))
    engine: Message | Exception = field(default_factory=lambda: dict(ENGINES))

    def ask(self, _folder: Path, name: str, *_: Any, **__: Any) -> Message:
        answer = self.control if name == CONTROL else self.engine
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture
def roles(monkeypatch: pytest.MonkeyPatch) -> Roles:
    made = Roles()
    monkeypatch.setattr(status, "ask", made.ask)
    return made


def shown(code: int = 0) -> Result:
    result = run("status", "--state", "anywhere")
    assert result.exit_code == code, result.output
    return result


def test_columns_stand_below_their_heads(roles: Roles) -> None:
    roles.control = CONTROLS | {"roles": [WORKER, WORKER | {"slot": 1, "pid": 123456, "connections": 20000}]}
    heads, *rows = [line for line in shown().stdout.splitlines() if line.startswith(("worker", "0 ", "1 "))]
    for name, first, second in (("pid", "11", "123456"), ("snapshot", "abc.3", "abc.3"), ("connections", "5", "20000")):
        at = heads.index(name)
        assert rows[0][at:].split()[0] == first
        assert rows[1][at:].split()[0] == second


def test_what_is_not_known_yet_is_a_dash(roles: Roles) -> None:
    roles.control = {"t": "status", "node": "starting", "workers": 1, "roles": [{"role": "door", "slot": 0, "pid": 5}]}
    roles.engine = {"t": "status"}
    lines = shown().stdout.splitlines()
    assert lines[0].split()[:2] == ["node", "starting"]
    (row,) = [line for line in lines if line.startswith("0 ")]
    assert row.split() == ["0", "5", "none", "-", "-", "-", "-", "-"]
    assert any("nothing published, read never" in line for line in lines)


def test_ages_have_one_unit(roles: Roles) -> None:
    roles.engine = ENGINES | {"published_age_s": 3 * 86400 + 5, "read_age_s": 119}
    assert "published 3d ago, read 119s ago" in shown().stdout
    roles.engine = ENGINES | {"published_age_s": 7300, "read_age_s": 121}
    assert "published 2h ago, read 2m ago" in shown().stdout


def test_an_audit_trail_that_fails_cannot_be_overlooked(roles: Roles) -> None:
    roles.control = CONTROLS | {"roles": [WORKER | {"audit_queued": 9000, "audit_failing": True}]}
    result = shown()
    assert "9000 FAILING" in result.stdout
    assert "! worker 0 (pid 11) cannot write its audit trail" in result.stdout


@pytest.mark.parametrize("role", ["control", "engine"])
def test_a_part_of_a_node_is_shown_and_the_exit_code_says_that_it_is_a_part(roles: Roles, role: str) -> None:
    setattr(roles, role, Refusing(f"{role} did not answer"))
    assert f"! {role} is away: {role} did not answer" in shown(code=5).stdout
    said = told("status", "--state", "anywhere", code=5)
    assert said["away"] == {role: f"{role} did not answer"}


def test_an_answer_with_control_characters_moves_no_cursor(roles: Roles) -> None:
    roles.control = CONTROLS | {"node": "\x1b[2Jup", "issuers": [{"name": "\x9bidp", "keys": 1, "fault": "a\rb"}]}
    roles.engine = ENGINES | {"errors": 1, "faults": ["\x1b]0;title\x07"], "held": {"\x1b[1m": {"count": 1}}}
    text = shown().stdout
    assert not [letter for letter in text if not letter.isprintable() and letter != "\n"]


def test_a_node_that_is_another_users_is_not_called_away(roles: Roles) -> None:
    roles.control = roles.engine = Refusing("`state/control.sock` is another user's")
    result = shown(code=4)
    assert "another user's" in result.stderr
    roles.control = roles.engine = Away("nobody")
    assert "the node is not running" in shown(code=4).stderr
