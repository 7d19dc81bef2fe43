"""The documents exist, agree with the code where both say a thing, and their links lead somewhere."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from tests.house.source import ROOT, project_files

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
DOCUMENTS = (
    "README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "LICENSE", "docs/architecture.md",
    "docs/operations.md", "docs/policy-language.md", "docs/identity.md", "docs/reasons.md",
    "docs/decisions/README.md", "tests/README.md",
)  # fmt: skip
DECISIONS = sorted(path for path in (ROOT / "docs" / "decisions").glob("*.md") if path.name != "README.md")
PARTS = ("Context", "Decision", "Alternatives", "Drawbacks", "Evidence", "Status")
MARKDOWN = [path for path in project_files() if path.suffix == ".md"]


@pytest.mark.parametrize("document", DOCUMENTS)
def test_a_document_exists(document: str) -> None:
    assert (ROOT / document).is_file()


def test_the_newest_version_of_the_changelog_is_the_projects() -> None:
    versions = re.findall(r"^## \[([^\]]+)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert versions[0] == "Unreleased"
    assert versions[1] == PROJECT["version"]


@pytest.mark.parametrize("path", DECISIONS, ids=lambda path: path.stem)
def test_a_decision_is_short_and_complete(path: Path) -> None:
    lines = path.read_text().splitlines()
    assert re.fullmatch(r"\d{4}(-[a-z0-9]+)+", path.stem)
    assert lines[0].startswith(f"# {path.stem[:4]}: ")
    assert len(lines) <= 60
    assert tuple(line[3:] for line in lines if line.startswith("## ")) == PARTS


def test_decisions_are_numbered_without_gaps_and_listed() -> None:
    assert [int(path.stem[:4]) for path in DECISIONS] == list(range(1, len(DECISIONS) + 1))
    listed = (ROOT / "docs" / "decisions" / "README.md").read_text()
    assert [path.name for path in DECISIONS if f"({path.name})" not in listed] == []


def anchors_of(path: Path) -> set[str]:
    """The headings as hosts of Markdown call them: lower case, hyphens for spaces, nothing but words."""
    text = re.sub(r"^```.*?^```", "", path.read_text(), flags=re.MULTILINE | re.DOTALL)
    titles = re.findall(r"^#{1,6} (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.strip().lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("path", MARKDOWN, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_to_headings_that_are_there(path: Path) -> None:
    links = re.findall(r"\]\(([^)#\s:]*)#([^)\s]+)\)", path.read_text())
    wrong = [f"{to}#{name}" for to, name in links if name not in anchors_of(path.parent / to if to else path)]
    assert wrong == []


MADE_LATER = ("bench/.work/", "bench/results/")  # by the bench, when it runs


@pytest.mark.parametrize("path", MARKDOWN, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_and_named_files_exist(path: Path) -> None:
    text = path.read_text()
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text):
        if "://" not in target and not target.startswith("mailto:"):
            assert (path.parent / target).exists(), f"link to `{target}`"
    for named in re.findall(r"`((?:gateway|policy|tests|bench|certs|docs|examples)/[\w./-]*\w\.\w+)`", text):
        assert (ROOT / named).exists() or named.startswith(MADE_LATER), f"`{named}` is named"


def test_every_promise_against_an_attack_names_tests_that_exist() -> None:
    rows = re.findall(r"^\| .* \|$", (ROOT / "docs" / "security-promises.md").read_text(), re.MULTILINE)
    rows = [row for row in rows if not row.startswith(("| attack |", "| check |"))]
    assert len(rows) > 50
    for row in rows:
        named = re.findall(r"`([\w/]+\.py)::(test_\w+)`", row)
        assert named, f"no test holds: {row}"
        for file, name in named:
            path = ROOT / "tests" / file
            assert path.is_file(), file
            assert re.search(rf"^(?:async )?def {name}\(", path.read_text(), re.MULTILINE), f"{file}::{name}"


def test_make_help_lists_every_target_people_use() -> None:
    makefile = (ROOT / "Makefile").read_text()
    phony = set(re.findall(r"^\.PHONY: (\S+)", makefile, re.MULTILINE))
    described = set(re.findall(r"^([a-z-]+):.*## ", makefile, re.MULTILINE))
    assert phony == described
