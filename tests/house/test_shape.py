"""The shape of the code: size, names, a docstring that gives the strategy, tests file for file, reasoned ignores."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.house.source import ROOT, Module, is_within, modules, project_texts, refuse

# The straight line a request takes. Calls cost there, so a file may be longer, and its docstring says that it is hot.
HOT = ("policy.table", "gateway.door.downstream", "gateway.door.upstream", "gateway.door.exchange")
MIRRORED = ("policy", "gateway.http1", "gateway.identity", "gateway.audit")
VAGUE = {"manager", "managers", "helper", "helpers", "util", "utils", "common", "misc"}
VAGUE_ALONE = {"data", "process", "handle", "do", "info"}


def test_a_module_opens_with_its_strategy() -> None:
    refuse(f"{module} has no docstring" for module in modules().values() if not ast.get_docstring(module.tree))


def test_a_module_fits_a_reading() -> None:
    sizes = [(module, module.text.count("\n"), 600 if name in HOT else 300) for name, module in modules().items()]
    refuse(
        f"{module} has {lines} lines, more than {limit}: split it by what it decides"
        for module, lines, limit in sizes if lines > limit
    )  # fmt: skip


@pytest.mark.parametrize("name", [name for name in HOT if name in modules()])
def test_a_long_module_says_that_it_is_hot(name: str) -> None:
    assert re.search(r"\bhot\b", ast.get_docstring(modules()[name].tree) or "", re.IGNORECASE)


def _long_functions() -> Iterator[str]:
    for name, module in modules().items():
        limit = 100 if name in HOT else 60
        for function in module.functions:
            lines = (function.end_lineno or 0) - function.lineno + 1
            if lines > limit:
                yield f"{module}:{function.lineno}: `{function.name}` has {lines} lines, more than {limit}"


def test_a_function_fits_a_screen() -> None:
    refuse(_long_functions())


def _words(name: str) -> set[str]:
    return {word.lower() for word in re.findall(r"[A-Z]?[a-z]+", name)}


def _names(module: Module) -> list[tuple[int, str]]:
    defined = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    found = [(node.lineno, node.name) for node in ast.walk(module.tree) if isinstance(node, defined)]
    return [*found, (1, module.path.stem)]


def test_names_are_the_words_of_the_field() -> None:
    refuse(
        f"{module}:{line}: `{said}` says nothing"
        for module in modules().values() for line, said in _names(module)
        if _words(said) & VAGUE or said.lower().strip("_") in VAGUE_ALONE
    )  # fmt: skip


def _mirrored() -> list[str]:
    """Modules with something to test; plain declarations are tested by what uses them."""
    return [
        name
        for name, module in modules().items()
        if any(is_within(name, package) for package in MIRRORED)
        and any(function.name != "__init__" for function in module.functions)
    ]


def _unit_tests_of(name: str) -> Path:
    words = name.split(".")
    folder = words[:-1] if words[0] == "policy" else words[1:-1]
    return Path("tests/unit", *folder, f"test_{words[-1]}.py")


def test_a_module_has_its_own_unit_tests() -> None:
    assert len(_mirrored()) > 50
    refuse(
        f"`{name}` is tested by no `{_unit_tests_of(name)}`"
        for name in _mirrored() if not (ROOT / _unit_tests_of(name)).exists()
    )  # fmt: skip


IGNORED = re.compile(
    r"#\s*(?P<kind>type: ignore|noqa)(?P<codes>\[[\w, -]+\]|: [A-Z]+\d+(?:, ?[A-Z]+\d+)*)?(?P<reason>.*)"
)


def _bare_ignores() -> Iterator[str]:
    for path, text in project_texts().items():
        if path.suffix != ".py" or path == Path(__file__):
            continue
        for number, line in enumerate(text.splitlines(), 1):
            found = IGNORED.search(line)
            if found is not None and not found["codes"]:
                yield f"{path.relative_to(ROOT)}:{number}: `{found['kind']}` without a code"
            elif found is not None and len(found["reason"].strip(" #-")) < 8:
                yield f"{path.relative_to(ROOT)}:{number}: `{found['kind']}` without a reason"


def test_an_ignore_names_its_code_and_its_reason() -> None:
    refuse(_bare_ignores())
