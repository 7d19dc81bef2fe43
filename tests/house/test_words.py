"""What no committed file may hold: places of one machine, secrets, words that only its authors understand."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.house.source import ROOT, project_files, project_texts

FORBIDDEN = {
    "a place on one machine": re.compile(r"(?<![\w.])/(?:work|root|home/\w+|Users/\w+)/(?!\.?\.\.)"),
    "a package registry": re.compile(r"pypi\.org|pythonhosted\.org|registry\.npmjs\.org|--index-url|--extra-index-url"),
    "how the work was organised": re.compile(
        r"\bsession[ -]\d|\bissue ?#?\d|\bDESIGN\.md|\bCONTRACT\.md|\bbuilder [A-I]\b|\bsub-?agent|\bthe brief\b",
        re.IGNORECASE,
    ),
    "a promise instead of code": re.compile(r"\b(?:TODO|FIXME|XXX|HACK)\b"),
    "a private key": re.compile(r"-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----\s*[A-Za-z0-9+/]{20}"),
    "an unfinished merge": re.compile(r"^(?:<{7}|>{7}) ", re.MULTILINE),
}
EXEMPT = {Path(__file__), ROOT / "LICENSE"}


@pytest.mark.parametrize("what", FORBIDDEN)
def test_no_file_holds(what: str) -> None:
    found = [
        f"{path.relative_to(ROOT)}:{text.count(chr(10), 0, match.start()) + 1}: `{match[0]}`"
        for path, text in project_texts().items()
        if path not in EXEMPT
        for match in FORBIDDEN[what].finditer(text)
    ]
    assert not found, f"{what}:\n" + "\n".join(found)


def test_no_key_file_is_committed() -> None:
    assert not [path for path in project_files() if path.suffix in (".key", ".p12", ".pfx")]


def test_no_large_file_is_committed() -> None:
    assert not [path for path in project_files() if path.stat().st_size > 1024 * 1024]


@pytest.mark.parametrize("suffix", [".py", ".md", ".yaml", ".toml", ".txt"])
def test_text_ends_with_one_line_feed_and_has_no_carriage_return(suffix: str) -> None:
    for path, text in project_texts().items():
        if path.suffix == suffix and "golden" not in path.parts and text:
            assert text.endswith("\n"), path
            assert not text.endswith("\n\n"), path
            assert "\r" not in text, path
