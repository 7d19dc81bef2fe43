"""Promises about the lab's children: one that does not start is named with its log, and all end together."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.lab.children import Children
from gateway.lab.folder import LabError
from tests.support.ports import free_ports


def test_a_child_that_fails_is_named(tmp_path: Path) -> None:
    with Children(tmp_path) as children:
        children.start("upstreams", ["--port", "none"])
        with pytest.raises(LabError, match=r"gateway\.lab\.upstreams"):
            children.wait_until_ready()
    assert "invalid int value" in (tmp_path / "upstreams.log").read_text()


def test_all_have_ended_when_the_context_ends(tmp_path: Path) -> None:
    with Children(tmp_path) as children:
        children.start("upstreams", ["--port", str(free_ports(3))])
        children.wait_until_ready()
        (running,) = children._running
        assert running.poll() is None
    assert running.poll() == 0
