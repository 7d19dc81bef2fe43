"""Where this user's programs keep what outlives them (XDG Base Directory Specification)."""

from __future__ import annotations

import os
from pathlib import Path


def state_home() -> Path:
    """`$XDG_STATE_HOME`, if that is an absolute path, as the specification wants it."""
    said = os.environ.get("XDG_STATE_HOME", "")  # noqa: TID251 - of a person's desktop, no setting of a node
    return Path(said) if said.startswith("/") else Path.home() / ".local" / "state"
