"""Names on a device: no two components share one, whatever they are called and whoever wants them to."""

from __future__ import annotations

import itertools
import re
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.engine.network.bigip.as3 import names

_APPLICATION = re.compile(r"[A-Za-z]([0-9A-Za-z_.-]{0,188}[0-9A-Za-z_.])?\Z")
_REF = st.from_regex(r"component:[a-z0-9-]{1,20}/[a-z0-9][a-zA-Z0-9_.\-]{0,30}", fullmatch=True)


@given(st.sets(st.one_of(_REF, st.text(max_size=200)), max_size=40))
def test_every_component_has_a_name_of_its_own_that_as3_takes(refs: set[str]) -> None:
    found = [names.application_name(ref) for ref in refs]
    assert len({name.lower() for name in found}) == len(refs)
    assert all(_APPLICATION.match(name) and len(name) <= 64 and name != names.SHARED for name in found)


def test_names_that_other_controllers_confuse_are_told_apart() -> None:
    refs = [f"component:{space}/a{mark}b" for space in ("default", "other") for mark in "-_."]
    assert len(set(map(names.application_name, refs))) == len(refs)


def test_a_name_says_nothing_of_who_else_is_there_and_cannot_be_met_by_trying() -> None:
    """Eight digits were found in minutes; 96 bits are not."""
    name = names.application_name("component:default/pay")
    assert name == f"pay_{sha256(b'component:default/pay').hexdigest()[:24]}"


@given(st.lists(st.text(max_size=400), min_size=2, max_size=2, unique=True))
def test_two_texts_are_never_made_one(texts: list[str]) -> None:
    for plain in (names.safe, names.word, names.label):
        one, two = map(plain, texts)
        assert one != two or "-" in texts  # a word that is missing is said as `-`


def test_what_pretends_to_be_a_cut_text_is_no_cut_text() -> None:
    cut = names.safe("a$b")
    assert names.safe(cut) != cut


@pytest.mark.parametrize(
    ("text", "expected"),
    [("component:default/pay", "component:default/pay"), ("*.example.com", "*.example.com"), ("", "")],
)
def test_plain_text_stays_as_it_is(text: str, expected: str) -> None:
    assert names.safe(text) == expected
    assert names.word("") == "-"


def test_an_environment_has_one_tenant() -> None:
    assert names.tenant_name("stagedoor", "pre-prod") == "stagedoor_pre-prod"


def test_nobody_finds_two_texts_that_are_called_the_same() -> None:
    """Two paths whose hashes begin alike are soon found: were they one record, the whole environment would stand."""
    begun: dict[str, str] = {}
    for number in itertools.count():
        text = f"evil.example.com/{'a' * 240}/{number}"
        other = begun.setdefault(sha256(text.encode()).hexdigest()[:8], text)
        if other != text:
            break
    for plain in (names.safe, names.word, names.label):
        assert plain(text) != plain(other)
    assert len(names.word(text).rpartition("~")[2]) == 32
    assert len(names.label(text)) == names.LABEL_LENGTH
