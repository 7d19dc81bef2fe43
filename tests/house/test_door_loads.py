"""What a door process loads: asked of a fresh interpreter, because a late or indirect import is one too."""

from __future__ import annotations

import subprocess
import sys

from tests.house.source import ROOT

NEVER = (
    "pydantic", "sqlalchemy", "alembic", "asyncpg", "aiosqlite", "jinja2", "aiohttp", "rich", "click", "watchfiles",
    "authlib", "h11", "gateway.lab", "gateway.control", "gateway.engine", "gateway.config_load",
)  # fmt: skip


def test_importing_the_door_loads_nothing_of_the_roles_that_answer_people() -> None:
    asked = "import sys, gateway.door.worker; print(*sys.modules)"
    answered = subprocess.run([sys.executable, "-c", asked], cwd=ROOT, capture_output=True, text=True, check=False)
    assert answered.returncode == 0, answered.stderr
    loaded = answered.stdout.split()
    assert "gateway.door.worker" in loaded
    assert [name for name in NEVER if name in loaded] == []
