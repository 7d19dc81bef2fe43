"""Promises about the lab's engine: the start page's files are public there, after a reload too."""

from __future__ import annotations

from pathlib import Path
from typing import cast

from gateway import config
from gateway.lab.engine import PUBLIC, LabContext, opened
from gateway.link import NodeState, ParentChannel


def settings() -> config.Settings:
    return config.Settings((), (), {}, config.Catalog(), "", "")


def test_only_reading_the_page_is_public() -> None:
    assert opened(settings()).central_public == PUBLIC
    assert all(operation.startswith("GET ") for operation in PUBLIC)


def test_a_reload_keeps_the_page_public(tmp_path: Path) -> None:
    (tmp_path / "settings").write_bytes(config.encode(settings()))
    nobody = cast(ParentChannel, None)
    context = LabContext("engine", 0, settings(), tmp_path, {}, nobody, cast(NodeState, None))
    assert context.read_settings("settings").central_public == PUBLIC
