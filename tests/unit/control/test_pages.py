"""Promises about what pages make of values that others wrote: text, whatever it holds."""

from __future__ import annotations

import pytest
from aiohttp.test_utils import make_mocked_request

from gateway.control.pages import Pages


def drawn(sentence: str) -> str:
    values = {"sentence": sentence, "todo": "", "code": "failed", "again": ""}
    text = Pages().page(make_mocked_request("GET", "/"), "failed.html", values).text
    assert text is not None
    return text


@pytest.mark.parametrize("hostile", ["<b>", "<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "{{ 7*7 }}"])
def test_markup_is_shown_and_not_obeyed(hostile: str) -> None:
    text = drawn(hostile)
    assert hostile not in text or hostile == "{{ 7*7 }}"
    assert "<script" not in text
    assert "<img src=x" not in text
    assert "49" not in text


@pytest.mark.parametrize("turning", ["\u202e", "\u2066", "\u200f", "\u061c", "\u2028", "\x00", "\x1b", "\x9b"])
def test_nothing_turns_the_direction_of_what_stands_around_it(turning: str) -> None:
    assert f"Pay{turning}ments" not in drawn(f"Pay{turning}ments")
    assert "Payments" in drawn(f"Pay{turning}ments")


def test_every_language_is_shown_as_it_is() -> None:
    for name in ("Zahlungsverkehr für Ägypten", "المدفوعات", "支払い", "\N{MAN}\u200d\N{WOMAN} family"):
        assert name in drawn(name)
