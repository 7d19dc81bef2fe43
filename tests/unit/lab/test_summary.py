"""Promises about the summary: commands stand whole on one line, and without a terminal there is no colour."""

from __future__ import annotations

import io
import shlex
from pathlib import Path

from gateway.lab.calls import ALLOWED, REFUSED
from gateway.lab.folder import LabFacts, LabFolder
from gateway.lab.front import Ports
from gateway.lab.ground import Ground
from gateway.lab.summary import Summary, python_line
from tests.support.running_lab import PROJECT

FACTS = LabFacts(
    9443, "http://127.0.0.1:18100", "127.0.0.1:18109", "c", "a", ".venv/bin/stagedoor", ".lab/certs/ca.pem", 9444,
    "https://127.0.0.1:18112",
)  # fmt: skip


def shown(tmp_path: Path) -> str:
    out = io.StringIO()
    ports = Ports(9443, 9444, 18110, 18111, (18112, 18113), 18114)
    Summary(out).show(Ground(LabFolder(tmp_path), FACTS, PROJECT / "examples/catalog", 18100, 18101, ports), 2.34)
    return out.getvalue()


def test_commands_stand_whole_on_their_lines(tmp_path: Path) -> None:
    lines = [line.strip() for line in shown(tmp_path).splitlines()]
    for command in (ALLOWED.command(FACTS), REFUSED.command(FACTS), python_line(FACTS)):
        assert command in lines


def test_what_became_of_an_entry_is_asked_by_a_command_that_stands_there(tmp_path: Path) -> None:
    assert "`.venv/bin/stagedoor entity --config " in shown(tmp_path)
    assert "/stagedoor.yaml` says what became of each entry" in shown(tmp_path)


def test_the_way_past_the_bigip_stands_there(tmp_path: Path) -> None:
    assert "past it: https://localhost:9444/" in shown(tmp_path)


def test_no_colour_without_a_terminal(tmp_path: Path) -> None:
    assert "\x1b" not in shown(tmp_path)


def test_it_is_short(tmp_path: Path) -> None:
    assert len(shown(tmp_path).splitlines()) <= 26


def test_the_python_line_is_python() -> None:
    words = shlex.split(python_line(FACTS))
    assert words[:2] == ["python3", "-c"]
    compile(words[2], "summary", "exec")
