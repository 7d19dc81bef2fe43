"""Which operations a request asks for."""

from __future__ import annotations

import pytest

from policy.facts import Operation
from policy.routes import required

DEFINED = tuple(
    Operation(text.split()[0], text.split()[1], api=api)
    for text, api in (
        ("GET /a", "p"), ("GET /a/me", "p"), ("DELETE /a/me", "p"), ("GET /a/{x}", "p"), ("POST /a/{x}", "p"),
        ("GET /twice", "p"), ("GET /twice", "q"), ("GET /f/{x}.pdf", "p"), ("GET /f/{x}", "p"), ("GET /f/**", "p"),
        ("HEAD /only", "p"), ("GET /only", "p"), ("GET /deep/{x}/{y}", "p"), ("GET /deep/k/l", "p"),
    )
)  # fmt: skip


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("GET /a", ["GET /a"]),
        ("GET /a/1", ["GET /a/{x}"]),
        ("GET /a/me", ["GET /a/me"]),
        ("GET /a/ME", ["GET /a/{x}", "GET /a/me"]),
        ("GET /a/me.json", ["GET /a/{x}", "GET /a/me"]),
        ("GET /a/me;v=1", ["GET /a/{x}", "GET /a/me"]),
        ("POST /a/me", ["POST /a/{x}", "DELETE /a/me", "GET /a/me"]),
        ("POST /a", []),
        ("GET /a/", []),
        ("HEAD /a/1", ["GET /a/{x}"]),
        ("HEAD /only", ["HEAD /only"]),
        ("HEAD /none", []),
        ("GET /twice", ["GET /twice", "GET /twice"]),
        ("GET /f/1.pdf", ["GET /f/{x}.pdf", "GET /f/{x}"]),
        ("GET /f/1", ["GET /f/{x}"]),
        ("GET /f", ["GET /f/**"]),
        ("GET /f/1/2", ["GET /f/**"]),
        ("GET /deep/K/l", ["GET /deep/{x}/{y}", "GET /deep/k/l"]),
    ],
)
def test_required(asked: str, expected: list[str]) -> None:
    """The best shape of the method, every definition of it, and the literal siblings an upstream may serve instead."""
    method, path = asked.split()
    found = required(DEFINED, tuple(path[1:].split("/")), method)
    assert [operation.name for operation in found][:1] == expected[:1]
    assert sorted(operation.name for operation in found) == sorted(expected)
