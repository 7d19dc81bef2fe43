"""Declared, pinned and used: every package has its reason, its pin and an import; nothing else is imported."""

from __future__ import annotations

import re
import sys
import tomllib
from importlib.metadata import packages_distributions

import pytest

from tests.house.source import ROOT, Import, imports_of, is_within, modules

TEXT = (ROOT / "pyproject.toml").read_text()
PROJECT = tomllib.loads(TEXT)["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def required(requirements: list[str]) -> set[str]:
    return {canonical(re.split(r"[<>=!~\[; ]", requirement)[0]) for requirement in requirements}


BASE = required(PROJECT["dependencies"])
RUNTIME = BASE | required(EXTRAS["server"]) | required(EXTRAS["keyring"]) | required(EXTRAS["as3"])
PINS = {
    canonical(line.partition("==")[0])
    for line in (ROOT / "constraints.txt").read_text().splitlines()
    if "==" in line and not line.startswith("#")
}


def imported(*, by_lab: bool) -> set[str]:
    """Distributions that the packages import."""
    names = packages_distributions()
    tops = {
        found.module.partition(".")[0]
        for name in modules()
        if is_within(name, "gateway.lab") == by_lab
        for found in imports_of(name)
    }
    foreign = tops - set(sys.stdlib_module_names) - {"gateway", "policy"}
    return {canonical(distribution) for top in foreign for distribution in names.get(top, [f"unknown {top}"])}


def test_the_gateway_imports_only_what_it_declares() -> None:
    assert imported(by_lab=False) <= RUNTIME


def test_the_lab_imports_only_what_it_declares() -> None:
    assert imported(by_lab=True) <= RUNTIME | required(EXTRAS["lab"])


def test_every_declared_package_is_imported() -> None:
    assert imported(by_lab=False) >= RUNTIME
    assert required(EXTRAS["lab"]) <= imported(by_lab=True)


@pytest.mark.parametrize("extra", ["", *EXTRAS])
def test_every_declared_package_is_pinned(extra: str) -> None:
    assert required(EXTRAS[extra] if extra else PROJECT["dependencies"]) <= PINS


@pytest.mark.parametrize("name", ["dependencies", "server", "keyring", "as3"])
def test_every_runtime_package_says_why(name: str) -> None:
    lines = TEXT.partition(f"\n{name} = [\n")[2].partition("\n]")[0].splitlines()
    assert len(lines) == len(EXTRAS[name] if name in EXTRAS else PROJECT["dependencies"]) > 0
    assert [line for line in lines if not re.search(r"# \w.{10,}", line)] == []


LAPTOP = tuple(f"gateway.commands.{name}" for name in ("login", "logout", "token", "curl"))


def needed(name: str) -> list[Import]:
    """What a module imports; of one that other commands share, what it imports when it is loaded."""
    own = name in LAPTOP or is_within(name, "gateway.laptop")
    later = {
        line for each in modules()[name].functions for line in range(each.lineno, (each.end_lineno or 0) + 1)
    }  # fmt: skip
    return [each for each in imports_of(name) if not each.typing_only and (own or each.line not in later)]


def reached(names: tuple[str, ...]) -> set[str]:
    """Every module of ours that these import, one after the other."""
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            imported_by = [name.rpartition(".")[0], *(each.module for each in needed(name))]
            waiting += [each for each in imported_by if each in modules()]
    return found


def test_the_command_line_of_a_laptop_needs_no_extra() -> None:
    """`pip install stagedoor` is enough for it, and `keyring` alone may be there or not."""
    names = packages_distributions()
    foreign: dict[str, str] = {}
    for name in reached(("gateway.cli", *LAPTOP)):
        for each in needed(name):
            top = each.module.partition(".")[0]
            if top not in sys.stdlib_module_names and top not in ("gateway", "policy"):
                foreign[canonical(names.get(top, [f"unknown {top}"])[0])] = f"{modules()[name]}:{each.line}"
    assert "click" in foreign
    assert "orjson" in foreign
    assert {each for each in foreign if each not in BASE} == {"keyring"}, foreign
