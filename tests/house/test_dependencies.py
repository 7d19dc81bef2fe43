"""Declared, pinned and used: every package has its reason, its pin and an import; nothing else is imported."""

from __future__ import annotations

import re
import sys
import tomllib
from importlib.metadata import packages_distributions

import pytest

from tests.house.source import ROOT, imports_of, is_within, modules

TEXT = (ROOT / "pyproject.toml").read_text()
PROJECT = tomllib.loads(TEXT)["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def required(requirements: list[str]) -> set[str]:
    return {canonical(re.split(r"[<>=!~\[; ]", requirement)[0]) for requirement in requirements}


RUNTIME = required(PROJECT["dependencies"])
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


def test_every_runtime_package_says_why() -> None:
    lines = TEXT.partition("\ndependencies = [\n")[2].partition("\n]")[0].splitlines()
    assert len(lines) == len(PROJECT["dependencies"])
    assert [line for line in lines if not re.search(r"# \w.{10,}", line)] == []
