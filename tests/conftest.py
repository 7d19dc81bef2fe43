"""What holds for all tests: which of them a run takes, how Hypothesis searches, and that nothing leaves loopback."""

from __future__ import annotations

import ipaddress
import os
import socket
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests.support.postgres import Postgres, running

TESTS = os.environ.get("TESTS", "plain")
EVERYTHING = TESTS in ("all", "nightly")

# The same examples on every machine; `all` searches further, and `make nightly` elsewhere each time.
# How fast a machine draws them is no finding.
UNTIMED: dict[str, Any] = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
LONG: dict[str, Any] = {"max_examples": 1000, "print_blob": True, **UNTIMED}
settings.register_profile("plain", max_examples=100, derandomize=True, **UNTIMED)
settings.register_profile("all", derandomize=True, **LONG)
settings.register_profile("nightly", **LONG)

MEMORY = Path("/dev/shm")
MEMORY_WANTED = 4 << 30


def pytest_configure(config: pytest.Config) -> None:
    if TESTS not in ("plain", "all", "nightly"):
        pytest.exit(f"TESTS is `plain`, `all` or `nightly`, and not `{TESTS}`", 4)
    settings.load_profile(TESTS)
    _use_memory()
    _refuse_stale_forms()


def _use_memory() -> None:
    """Hundreds of short-lived nodes and databases sync to disk all the time. What they promise about crashes is about
    processes, and a disk that stands still for a minute is no finding: where there is room, files live in memory."""
    if "TMPDIR" in os.environ or not os.access(MEMORY, os.W_OK):
        return
    room = os.statvfs(MEMORY)
    if room.f_bavail * room.f_frsize >= MEMORY_WANTED and not room.f_flag & os.ST_NOEXEC:
        os.environ["TMPDIR"], tempfile.tempdir = str(MEMORY), None


def _refuse_stale_forms() -> None:
    """A compiled form that is older than its file would be tested in the file's place, without a word."""
    root = Path(__file__).parents[1]
    for built in (root / "gateway").glob("compiled__mypyc*.so"):
        for name in tomllib.loads((root / "pyproject.toml").read_text())["tool"]["stagedoor"]["compiled"]:
            if built.stat().st_mtime < (root / name).stat().st_mtime:
                pytest.exit(f"`{name}` is newer than its compiled form: `make test`, or `make interpreted` first", 4)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves out `slow` and `browser` unless TESTS=all, and `bench` always; a run with -m of its own decides."""
    if config.option.markexpr:
        return
    unwanted = {"bench"} if EVERYTHING else {"bench", "browser", "slow"}
    left_out = [item for item in items if any(mark.name in unwanted for mark in item.iter_markers())]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in set(left_out)]


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A real server for this worker of the run; each test takes a database of its own."""
    with running() as server:
        yield server


@pytest.fixture(autouse=True, scope="session")
def _loopback_only() -> Iterator[None]:
    """A test that would reach out fails by name instead of depending on somebody's network."""
    plain = socket.socket.connect

    def connect(self: socket.socket, address: Any) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6):
            host = str(address[0]).partition("%")[0]
            assert host == "localhost" or ipaddress.ip_address(host).is_loopback, f"a test connects to `{host}`"
        plain(self, address)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", connect)
        yield
