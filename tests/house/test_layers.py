"""The layer rule, on every import of every module. Each ban says what would be lost without it.

From the inside out: policy → pure → shared → roles → outer. A module imports from its own layer and from inner
ones. A module that is in no list fails here: its author decides where it belongs.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import pytest

from tests.house.source import Module, imports_of, is_within, modules, refuse

LAYERS: dict[str, tuple[str, ...]] = {
    "policy": ("policy",),
    "pure": (
        "gateway",  # the package's own file: a docstring
        "gateway.errors",
        "gateway.config",
        "gateway.user_names",
        "gateway.node.lags",
        "gateway.questions.pasted_url",
        "gateway.documents",
        "gateway.egress.addresses",
        "gateway.secret_files",
        "gateway.session_key_files",
        "gateway.http1",
        "gateway.identity",
        "gateway.audit",  # the package's own file
        "gateway.audit.line",
        "gateway.audit.record",
        "gateway.audit.blocks",
        "gateway.audit.chain",
    ),
    "configuration": ("gateway.config_load",),
    "shared": (
        "gateway.frames",
        "gateway.snapshot",
        "gateway.view",
        "gateway.certificates",
        "gateway.egress",
        "gateway.link",
        "gateway.socket_file",
        "gateway.node.careful",
        "gateway.child",
        "gateway.counters",
        "gateway.questions",
        "gateway.telemetry",
        "gateway.audit.disk",
        "gateway.audit.segment",
        "gateway.audit.trail",
        "gateway.audit.writer",
    ),
    "roles": (
        "gateway.egress.client_names",
        "gateway.door",
        "gateway.control",
        "gateway.engine",
    ),
    "outer": (
        "gateway.app",
        "gateway.authoring",
        "gateway.cli",
        "gateway.commands",
        "gateway.doctor",
        "gateway.laptop",
        "gateway.node",
        "gateway.people",
        "gateway.supervisor",
        "gateway.terminal",
        "gateway.lab",
    ),
}
ORDER = tuple(LAYERS)


class Ban(NamedTuple):
    """`importers` (layers, or modules by their full name) never import `banned`."""

    importers: tuple[str, ...]
    banned: tuple[str, ...]
    because: str

    def applies_to(self, name: str) -> bool:
        return layer_of(name) in self.importers or any(
            is_within(name, prefix) for prefix in self.importers if prefix not in LAYERS
        )


BANS = (
    Ban(
        ("policy",),
        ("asyncio", "socket", "ssl", "select", "selectors", "threading", "subprocess", "multiprocessing", "signal",
         "time", "os", "io", "pathlib", "shutil", "tempfile", "random", "secrets", "logging",
         "http.client", "http.server", "urllib.request"),
        "policy is facts in, verdicts out: a clock or a file inside it would make a decision unrepeatable",
    ),
    Ban(
        ("pure",),
        ("asyncio", "uvloop", "socket", "ssl", "select", "selectors", "threading", "subprocess", "multiprocessing",
         "signal", "time", "random", "secrets", "logging", "http.client", "http.server", "urllib.request",
         "aiohttp"),
        "the pure layer is tested with bytes and values: clock, keys and randomness are arguments, and nothing waits",
    ),
    Ban(
        ("policy", "pure", "shared", "gateway.door"),
        ("pydantic", "sqlalchemy", "alembic", "asyncpg", "aiosqlite", "jinja2", "aiohttp", "rich", "click",
         "watchfiles", "authlib", "dns"),
        "a door process stays small and starts fast: these belong to the roles that answer people",
    ),
    Ban(
        ("gateway.door",),
        ("gateway.control", "gateway.engine", "gateway.documents", "yaml"),
        "the proxied byte depends on no other role: they talk over sockets, and each may die alone",
    ),
    Ban(("gateway.control",), ("gateway.door", "gateway.engine"), "a sign-in never waits for catalog or proxy code"),
    Ban(("gateway.engine",), ("gateway.door", "gateway.control"), "the slow role is cut off from the ones that answer"),
    Ban(
        ("policy", "pure", "shared", "gateway.door", "gateway.supervisor", "gateway.lab"),
        LAYERS["configuration"],
        "reading the configuration loads pydantic and YAML; everyone else gets the frame that came of it",
    ),
    Ban(
        ("policy", "pure", "configuration", "shared", "roles", "gateway.app", "gateway.supervisor"),
        ("gateway.lab",),
        "the lab is for one machine and loopback: nothing that serves people may lean on it",
    ),
    Ban(("policy", "gateway"), ("h11",), "the strict second parser is the tests' oracle: never on the hot path"),
    Ban(("policy", "gateway"), ("tests", "bench", "certs"), "the product runs without its tests and scripts"),
    Ban(("policy", "gateway"), ("pickle", "shelve"), "loading one runs code; frames are marshal of plain values"),
)  # fmt: skip


def layer_of(name: str) -> str | None:
    """The layer with the longest entry that covers the module; a package's own file is matched exactly."""
    best, found = "", None
    for layer, prefixes in LAYERS.items():
        for prefix in prefixes:
            exact_only = prefix in ("gateway", "gateway.audit")
            covers = name == prefix if exact_only else is_within(name, prefix)
            if covers and len(prefix) > len(best):
                best, found = prefix, layer
    return found


def test_every_module_has_a_layer() -> None:
    refuse(f"decide the layer of `{name}` and add it to LAYERS" for name in modules() if not layer_of(name))


def _outward_imports() -> Iterator[str]:
    for name, module in modules().items():
        own = layer_of(name)
        assert own is not None
        for found in imports_of(name):
            if found.module in modules():
                layer = layer_of(found.module)
                assert layer is not None
                if ORDER.index(layer) > ORDER.index(own):
                    yield f"{module}:{found.line}: `{name}` ({own}) imports `{found.module}` ({layer})"


def test_imports_point_inwards() -> None:
    refuse(_outward_imports())


@pytest.mark.parametrize("ban", BANS, ids=lambda ban: f"{ban.importers[0]}-{ban.banned[0]}")
def test_bans_hold(ban: Ban) -> None:
    for name, module in modules().items():
        if not ban.applies_to(name):
            continue
        for found in imports_of(name):
            broken = [banned for banned in ban.banned if is_within(found.module, banned)]
            assert not broken, f"{module}:{found.line}: `{name}` imports `{found.module}`: {ban.because}"


def test_policy_imports_only_the_standard_library() -> None:
    known = {"policy", *sys.stdlib_module_names}
    refuse(
        f"{module}:{found.line}: `{found.module}`"
        for name, module in modules().items() if is_within(name, "policy")
        for found in imports_of(name) if found.module.partition(".")[0] not in known
    )  # fmt: skip


def test_only_the_store_speaks_sql() -> None:
    """Elsewhere it would be asked for what the store does not promise: on one database, in one transaction less."""
    drivers = ("sqlalchemy", "alembic", "asyncpg", "aiosqlite", "sqlite3")
    importers = {
        name
        for name in modules()
        for found in imports_of(name)
        if any(is_within(found.module, driver) for driver in drivers)
    }
    assert {name for name in importers if not is_within(name, "gateway.control.store")} == set()


def test_only_the_command_line_knows_the_lab() -> None:
    importers = {
        name
        for name in modules()
        if not is_within(name, "gateway.lab")
        for found in imports_of(name)
        if is_within(found.module, "gateway.lab")
    }
    assert importers <= {"gateway.cli"}


CLOCKS = ("now", "utcnow", "today", "time", "monotonic", "perf_counter", "time_ns")


def _clock_calls(module: Module) -> list[int]:
    """Lines that ask a clock: `datetime.now()`, `time.time()` and their like."""
    return [
        node.lineno
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in CLOCKS
        and ast.unparse(node.func.value).rpartition(".")[2] in ("datetime", "date", "time")
    ]


def test_the_inner_layers_ask_no_clock() -> None:
    inner = [module for name, module in modules().items() if layer_of(name) in ("policy", "pure")]
    assert len(inner) > 50
    refuse(f"{module}:{line}: take the time as an argument" for module in inner for line in _clock_calls(module))


def _circle(edges: Mapping[str, Iterable[str]]) -> str:
    """The first way found that comes back to where it was; "" when there is none."""
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> str:
        if name in trail:
            return " → ".join((*trail[trail.index(name) :], name))
        if name not in done:
            for following in edges[name]:
                if found := visit(following, (*trail, name)):
                    return found
            done.add(name)
        return ""

    return next((found for name in edges if (found := visit(name, ()))), "")


def test_no_import_cycles() -> None:
    edges = {
        name: sorted(
            {found.module for found in imports_of(name) if found.module in modules() and not found.typing_only} - {name}
        )
        for name in modules()
    }
    assert _circle(edges) == ""


@pytest.mark.parametrize("house", ["gateway", "gateway.engine", "gateway.engine.network"])
def test_rooms_form_no_circle(house: str) -> None:
    """Of packages side by side; a module that stands alone beside them is held by the test above."""
    rooms = [name for name, module in modules().items() if module.is_package and name.rpartition(".")[0] == house]
    edges = {room: set[str]() for room in rooms}
    for name in modules():
        used = {room for found in imports_of(name) for room in rooms if is_within(found.module, room)}
        for room in rooms:
            if is_within(name, room):
                edges[room] |= used - {room}
    assert len(rooms) > 2
    assert _circle(edges) == ""
