"""The controller as the engine's role makes it: with the folders of its settings, and the way to each device."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from gateway import config
from gateway.engine.network.connecting import connection_to
from gateway.engine.network.controller import Controller


def controller_of(settings: config.Settings, state_folder: Path, trouble: Callable[[], str]) -> Controller:
    """Made inside the role's loop."""
    return Controller(state_folder, audit_folder(settings, state_folder), connection_to, trouble=trouble)


def audit_folder(settings: config.Settings, state_folder: Path) -> Path:
    return Path(settings.audit.folder) if settings.audit.folder else state_folder / "audit"
