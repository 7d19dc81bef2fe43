"""The tree as the house tests see it: modules, their imports, their functions, read with `ast` and never run."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
PACKAGES = ("policy", "gateway")


class Import(NamedTuple):
    """One imported module: of this project by its full name, of others by what the statement says."""

    module: str
    line: int
    typing_only: bool


class Module(NamedTuple):
    name: str  # "gateway.http1.head"; a package's own file carries the package's name
    path: Path
    tree: ast.Module
    text: str

    def __str__(self) -> str:
        return str(self.path.relative_to(ROOT))

    @property
    def is_package(self) -> bool:
        return self.path.name == "__init__.py"

    @property
    def functions(self) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
        for node in ast.walk(self.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield node


@cache
def modules() -> dict[str, Module]:
    """Every module of the two packages by name."""
    found = {}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            words = path.relative_to(ROOT).with_suffix("").parts
            name = ".".join(words[:-1] if words[-1] == "__init__" else words)
            text = path.read_text()
            found[name] = Module(name, path, ast.parse(text, str(path)), text)
    return found


@cache
def imports_of(name: str) -> tuple[Import, ...]:
    """Every import of a module, those inside functions too: a late import is a dependency like any other."""
    return tuple(_walk(modules()[name].tree, typing_only=False))


def _walk(node: ast.AST, *, typing_only: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            for alias in child.names:
                yield Import(alias.name, child.lineno, typing_only)
        elif isinstance(child, ast.ImportFrom):
            for alias in child.names:
                whole = f"{child.module}.{alias.name}"
                yield Import(whole if whole in modules() else child.module or "", child.lineno, typing_only)
        else:
            only = typing_only or (isinstance(child, ast.If) and ast.unparse(child.test).endswith("TYPE_CHECKING"))
            yield from _walk(child, typing_only=only)


def refuse(faults: Iterable[str]) -> None:
    """Fails with all of them, a line each; a rule about every module is one test, not a thousand."""
    found = "\n".join(faults)
    assert not found, found


def is_within(module: str, prefix: str) -> bool:
    return module == prefix or module.startswith(prefix + ".")


@cache
def project_files() -> tuple[Path, ...]:
    """Every file that is or may be committed."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, check=True, text=True,
    )  # fmt: skip
    return tuple(path for name in sorted(set(listed.stdout.split("\0"))) if name and (path := ROOT / name).is_file())


@cache
def project_texts() -> dict[Path, str]:
    """Those of them that are text."""
    texts = {}
    for path in project_files():
        content = path.read_bytes()
        if b"\0" not in content[:8192]:
            texts[path] = content.decode("utf-8", "replace")
    return texts
