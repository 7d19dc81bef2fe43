"""The shape of the code: size, names, a docstring that gives the strategy, tests file for file, reasoned ignores."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.house.source import ROOT, Module, is_within, modules, project_texts

# The straight line a request takes. Calls cost there, so a file may be longer, and its docstring says that it is hot.
HOT = ("gateway.door.downstream", "gateway.door.upstream", "gateway.door.exchange", "policy.table")
MIRRORED = ("policy", "gateway.http1", "gateway.identity", "gateway.audit")
VAGUE = {"manager", "managers", "helper", "helpers", "util", "utils", "common", "misc"}
VAGUE_ALONE = {"data", "process", "handle", "do", "info"}


@pytest.mark.parametrize("name", modules())
def test_a_module_opens_with_its_strategy(name: str) -> None:
    assert ast.get_docstring(modules()[name].tree), f"{modules()[name]} has no docstring"


@pytest.mark.parametrize("name", modules())
def test_a_module_fits_a_reading(name: str) -> None:
    limit = 600 if name in HOT else 300
    lines = modules()[name].text.count("\n")
    assert lines <= limit, f"{modules()[name]} has {lines} lines, more than {limit}: split it by what it decides"


@pytest.mark.parametrize("name", [name for name in HOT if name in modules()])
def test_a_long_module_says_that_it_is_hot(name: str) -> None:
    assert re.search(r"\bhot\b", ast.get_docstring(modules()[name].tree) or "", re.IGNORECASE)


@pytest.mark.parametrize("name", modules())
def test_a_function_fits_a_screen(name: str) -> None:
    limit = 100 if name in HOT else 60
    for function in modules()[name].functions:
        lines = (function.end_lineno or 0) - function.lineno + 1
        where = f"{modules()[name]}:{function.lineno}"
        assert lines <= limit, f"{where}: `{function.name}` has {lines} lines, more than {limit}"


def _words(name: str) -> set[str]:
    return {word.lower() for word in re.findall(r"[A-Z]?[a-z]+", name)}


def _names(module: Module) -> list[tuple[int, str]]:
    defined = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    found = [(node.lineno, node.name) for node in ast.walk(module.tree) if isinstance(node, defined)]
    return [*found, (1, module.path.stem)]


@pytest.mark.parametrize("name", modules())
def test_names_are_the_words_of_the_field(name: str) -> None:
    for line, said in _names(modules()[name]):
        vague = _words(said) & VAGUE or ({said.lower().strip("_")} & VAGUE_ALONE)
        assert not vague, f"{modules()[name]}:{line}: `{said}` says nothing"


def _mirrored() -> list[str]:
    """Modules with something to test; plain declarations are tested by what uses them."""
    return [
        name
        for name, module in modules().items()
        if any(is_within(name, package) for package in MIRRORED) and any(
            function.name != "__init__" for function in module.functions
        )
    ]


@pytest.mark.parametrize("name", _mirrored())
def test_a_module_has_its_own_unit_tests(name: str) -> None:
    words = name.split(".")
    folder = words[:-1] if words[0] == "policy" else words[1:-1]
    expected = Path("tests/unit", *folder, f"test_{words[-1]}.py")
    assert (ROOT / expected).exists(), f"`{name}` is tested by no `{expected}`"


IGNORED = re.compile(
    r"#\s*(?P<kind>type: ignore|noqa)(?P<codes>\[[\w, -]+\]|: [A-Z]+\d+(?:, ?[A-Z]+\d+)*)?(?P<reason>.*)"
)


@pytest.mark.parametrize(
    "path", [path for path in project_texts() if path.suffix == ".py" and path != Path(__file__)], ids=str
)
def test_an_ignore_names_its_code_and_its_reason(path: Path) -> None:
    for number, line in enumerate(project_texts()[path].splitlines(), 1):
        found = IGNORED.search(line)
        if found is not None:
            where = f"{path.relative_to(ROOT)}:{number}"
            assert found["codes"], f"{where}: `{found['kind']}` without a code"
            assert len(found["reason"].strip(" #-")) >= 8, f"{where}: `{found['kind']}` without a reason"
