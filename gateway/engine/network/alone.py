"""The same questions about devices where no node runs: everything is read from files, and the state folder is held
meanwhile, so that no node starts in the middle of a write.

The wish is what a node would publish from the files as they are now; of a catalog that is read over its API, what the
node remembers stands in. Removals are held whenever any of that is in doubt.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from gateway import config
from gateway.engine.network.answers.requests import Requests
from gateway.engine.network.connecting import connection_to
from gateway.engine.network.controller import Controller
from gateway.engine.network.news import News
from gateway.engine.network.role import audit_folder
from gateway.engine.offline import Compilation, compile_offline
from gateway.engine.overheard import Overheard
from gateway.engine.sources.pulls import file_of
from gateway.link import PeerCredentials
from policy.builtin import BUILTIN_SERVICE
from policy.directory import directory_frames

OWN: PeerCredentials = PeerCredentials(os.getpid(), os.getuid(), os.getgid())


@asynccontextmanager
async def requests_alone(settings: config.Settings) -> AsyncIterator[Requests]:
    """Ask it as `OWN`. Whoever calls holds the state folder."""
    compilation = compile_offline(settings)
    state = Path(settings.state_folder)
    trouble = trouble_of(settings, compilation)
    controller = Controller(
        state, audit_folder(settings, state), connection_to, trouble=lambda: trouble, follows=False
    )  # fmt: skip
    controller.adopt(settings)
    services = len({each.service.ref for each in compilation.published} - {BUILTIN_SERVICE.ref})
    controller.follow(_news(compilation, services))
    if (overlay := Overheard(state, lambda _: None).overlay) is not None:
        controller.hear(overlay)
    await controller.spread()
    try:
        yield Requests(controller)
    finally:
        await controller.close()


def _news(compilation: Compilation, services: int) -> News:
    frames = directory_frames(compilation.catalog, (), ())
    return News(compilation.base, compilation.published, services, compilation.catalog, frames)


def trouble_of(settings: config.Settings, compilation: Compilation) -> str:
    """Why what was compiled may lack what a node serves; "" when it lacks nothing."""
    if compilation.access.policy is None:
        return "the access policy cannot be used: `stagedoor check` says why"
    known = {entity.source.file for entity in compilation.entities.values()}
    for each in settings.catalog.backstage:
        if file_of(each.name) not in known:
            return f"nothing of catalog {each.name} is remembered here: let the node read it once"
    broken = [fault for fault in compilation.catalog_faults if fault.severity == "error"]
    return f"the catalog has faults (`stagedoor check`): {broken[0]}" if broken else ""
