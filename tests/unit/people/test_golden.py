"""The whole report on a small company: what a person reads and what a program gets, held in golden files."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.people_golden import FOLDER, REPORTS, said


@pytest.mark.parametrize("name", REPORTS)
def test_the_report_is_the_golden_one(tmp_path: Path, name: str) -> None:
    assert said(tmp_path, name) == (FOLDER / name).read_text()


def test_the_screen_has_no_control_character_and_fits_one_page() -> None:
    text = (FOLDER / "report.txt").read_text()
    assert all(letter.isprintable() or letter == "\n" for letter in text)
    assert len(text.splitlines()) < 120
