"""A whole node with an invariant: one edit breaks it, publishes another service and takes a right away."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.door import until
from tests.support.whole_node import ACCESS, CATALOG, WholeNode, whole_node
from tests.support.wire import Client

NEVER = "never: user:joe any of echo in prod\n"


def status(node: WholeNode, sub: str, host: str = "echo.test") -> int:
    with Client(node.port) as client:
        return client.send(node.request(sub=sub).replace(b"echo.test", host.encode())).answer().status


def asked(node: WholeNode, *words: str, code: int | None = 0) -> Any:
    """What a command answers; ``code`` None: whatever its exit code is."""
    command = [sys.executable, "-P", "-m", "gateway.cli", *words, "--json"]
    ran = subprocess.run(command, cwd=node.folder, capture_output=True, text=True, timeout=30, check=False)
    assert code is None or ran.returncode == code, ran.stderr
    return json.loads(ran.stdout)


def told(node: WholeNode) -> list[str]:
    """The faults of the node that name the invariant."""
    return [each for each in asked(node, "status")["catalog"]["faults"] if "never: user:joe" in each]


@pytest.mark.slow
def test_what_breaks_an_invariant_is_held_at_the_door_while_all_else_is_in_force(tmp_path: Path) -> None:
    with whole_node(tmp_path, workers=1) as node:  # of two, one may follow a moment later
        node.publish("owners")
        until(lambda: (status(node, "jane"), status(node, "joe")) == (200, 403))
        # Only now: said while everybody may, the invariant would take away from joe alone, and that looks the same.
        (tmp_path / "access.yaml").write_text(ACCESS + NEVER)
        until(lambda: asked(node, "test", "--running", code=None)["counts"]["passed"] == 1)
        text = CATALOG.format(upstream=node.service, access="everyone").replace("memberOf: [team]", "memberOf: []")
        other = text[text.rindex("---") :].replace("echo", "other")
        draft = tmp_path / "draft"
        draft.write_text(text + other)
        draft.rename(tmp_path / "catalog" / "all.yaml")
        until(lambda: status(node, "joe", "other.test") == 200)
        assert status(node, "joe") == 403, "the change of echo is held"
        assert status(node, "jane") == 403, "jane left the team, and that is in force"
        (fault,) = told(node)
        assert "`component:default/echo@prod` would let `user:default/joe`" in fault
        assert "rule r-" in fault
        assert asked(node, "entity", "component:default/echo", code=1)["state"] == "held"
        assert asked(node, "test", "--running")["counts"] == {"passed": 1, "failed": 0, "void": 0}
        (broken,) = asked(node, "test", code=1)["results"]
        assert (broken["status"], broken["findings"][0]["exposure"]) == ("failed", "component:default/echo@prod")
        node.publish("owners")
        until(lambda: (status(node, "jane"), status(node, "joe")) == (200, 403))
        until(lambda: not told(node))
