"""Scenes of a tag worker: what is wished for in a line, and one firewall with its worker around a test."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any

from gateway.engine.network.panos import names
from gateway.engine.network.panos.membership import Membership
from tests.support.panos import Clock, running_firewall
from tests.support.tag_worker import Worked, working

PAY, OPS = names.team_tag("group:default/pay"), names.team_tag("group:default/ops")
GRANT = names.grant_tag("system:default/pay", "prod")
HOSTS = names.services_tag("system:default/pay", "prod")
MARK = names.WATERMARK


def run(scene: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(scene())


def wish(
    users: Mapping[str, set[str]] | None = None, addresses: Mapping[str, set[str]] | None = None, **more: Any
) -> Membership:
    return Membership(
        "v1", {key: frozenset(tags) for key, tags in (addresses or {}).items()},
        {key: frozenset(tags) for key, tags in (users or {}).items()}, **more,
    )  # fmt: skip


def alone(scene: Callable[[Worked], Coroutine[Any, Any, None]], tmp_path: Path, **changes: Any) -> None:
    async def whole() -> None:
        clock = Clock()
        async with (
            running_firewall(tmp_path, clock=clock) as firewall,
            working(tmp_path, firewall, clock=clock, **changes) as worked,
        ):
            await scene(worked)

    run(whole)
