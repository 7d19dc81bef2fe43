"""One question to the engine of the running node, for commands that nothing but a running node can answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gateway.errors import StagedoorError
from gateway.node.asking import ENGINE, Away, ask


def answer_of(state: Path, asked: dict[str, Any], within_s: float, instead: str) -> dict[str, Any]:
    """``instead``: what answers part of it without a node. Raises `Away` with what to do, `StagedoorError`."""
    try:
        said = ask(state, ENGINE, {"t": "question", "id": 1, "asked": asked}, "answer", within_s=within_s)["answer"]
    except Away as away:
        todo = "start it (`stagedoor serve`), name the node's state folder (--state), or ask its central host (--url)"
        raise Away(f"{away}; {todo}; {instead}") from None
    if not isinstance(said, dict) or said.get("fault"):
        raise StagedoorError("the engine could not answer: its log says why")
    return said
