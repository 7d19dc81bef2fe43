"""The lab's engine role: the engine itself, with the start page's files open to everybody on the central host.

Outside the lab nothing on the central host is public; that is why no key of `stagedoor.yaml` can say this, and why
it is said in code that only the lab starts.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from gateway.config import Settings
from gateway.engine import sync
from gateway.link import RoleContext

PUBLIC: Final = ("GET /", "GET /lab/{name}")


class LabContext(RoleContext):
    """The role's context, whose settings always carry the public operations, after a reload too."""

    def read_settings(self, name: str) -> Settings:
        return opened(super().read_settings(name))


def opened(settings: Settings) -> Settings:
    return replace(settings, central_public=PUBLIC)


def run(ctx: RoleContext) -> None:
    sync.run(
        LabContext(
            role=ctx.role,
            slot=ctx.slot,
            settings=opened(ctx.settings),
            state_folder=ctx.state_folder,
            sockets=ctx.sockets,
            parent=ctx.parent,
            node=ctx.node,
        )
    )
