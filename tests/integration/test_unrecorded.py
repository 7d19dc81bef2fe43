"""A node whose disk takes no more of its audit trail, as a load balancer in front of it sees it."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest

from tests.support.door import until
from tests.support.whole_node import WholeNode, whole_node
from tests.support.wire import Client

pytestmark = pytest.mark.slow
PROBE = b"GET /.stagedoor/bigip/health HTTP/1.0\r\n\r\n"
FULL = 1  # bytes that a file of the process may have


def health(node: WholeNode) -> tuple[int, str]:
    with Client(node.port, 20) as monitor:
        got = monitor.send(PROBE).answer()
    return got.status, got.body.decode().strip()


def asked(node: WholeNode) -> int:
    with Client(node.port, 20) as client:
        return client.send(node.request()).answer().status


def test_a_node_that_cannot_record_leaves_its_pool_until_it_can(tmp_path: Path) -> None:
    """Otherwise a load balancer goes on sending it a share of all requests, and each is answered with 503."""
    with whole_node(tmp_path, workers=1) as node:
        (pid,) = node.children("door").values()
        assert (asked(node), health(node)) == (200, (200, "stagedoor-state: up"))
        before = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (FULL, before[1]))
        assert asked(node) in (200, 503)  # until its record is due, it may still be answered
        until(lambda: health(node) == (503, "stagedoor-state: failing"), 60)
        assert asked(node) == 503
        resource.prlimit(pid, resource.RLIMIT_FSIZE, before)
        until(lambda: health(node) == (200, "stagedoor-state: up"), 60)
        assert asked(node) == 200
        (failing,) = node.events("failing")
        assert failing["why"] == "no door can write its audit trail"
