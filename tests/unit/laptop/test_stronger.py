"""Which sign-in a refusal asks for, how an issuer is asked for it, and whether it was done."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.http1.pages import challenge
from gateway.laptop.places import Place
from gateway.laptop.stronger import NOTHING, Wanted, command_for, lacking, parameters_of, told, wanted_by

PLACE = Place("door.example.com", 8443)


@pytest.mark.parametrize(
    ("need", "wanted"),
    [
        (("mfa",), Wanted(("mfa",), -1, True)),
        (("mfa", "max_age=3600"), Wanted(("mfa",), 3600, True)),
        (("max_age=3600", "max_age=60"), Wanted((), 60, True)),
        (("network",), None),  # nothing that a sign-in mends
        (("certificate", "issuer=okta"), None),
    ],
)
def test_what_the_door_asks_for_is_read(need: tuple[str, ...], wanted: Wanted | None) -> None:
    assert wanted_by(challenge("requirement_unmet", need).decode()) == wanted


def test_an_issuer_hears_no_word_that_the_node_does_not_list() -> None:
    """Some choose the provider or the tenant by it."""
    challenge = 'Bearer error="insufficient_user_authentication", acr_values="idp:evil two mfa", max_age="0"'
    assert wanted_by(challenge, ("two",)) == Wanted(("two", "mfa"), 0, True)
    assert wanted_by(challenge) == Wanted(("mfa",), 0, True)


@pytest.mark.parametrize("code", ["identity_required", "token_expired", "scope_missing", "no_rule"])
def test_other_refusals_ask_for_no_sign_in(code: str) -> None:
    assert wanted_by(challenge(code, ("payments:read",)).decode()) is None


@pytest.mark.parametrize(
    "said",
    [
        "", "Bearer", 'Bearer error="insufficient_user_authentication"',
        'Bearer error="insufficient_user_authentication", acr_values="a\x1bb"',
        'Bearer error="insufficient_user_authentication", acr_values="' + "x" * 300 + '"',
        'Bearer error="insufficient_user_authentication", acr_values="' + "x " * 9 + '"',
        'Bearer error="insufficient_user_authentication", max_age="-1"',
        'Bearer error="insufficient_user_authentication", max_age="9999999999"',
        'Bearer error="insufficient_user_authentication", max_age="31622401"',
        'Bearer error="insufficient_user_authentication", max_age="٣"',
        'Bearer error="insufficient_user_authentication", acr_values="idp:evil tenant:x"',
        'Bearer error="insufficient_user_authentication", acr_values="a", acr_values="b"',
        'Bearer error="invalid_token", acr_values="mfa"',
    ],
)  # fmt: skip
def test_a_challenge_that_is_none_asks_for_nothing(said: str) -> None:
    assert wanted_by(said) is None


@pytest.mark.parametrize(
    ("wanted", "words", "asked"),
    [
        (NOTHING, ("gold",), {}),
        (Wanted(again=True), (), {"prompt": "login"}),
        (Wanted(("mfa",), -1, True), ("gold", "silver"), {"acr_values": "gold silver"}),
        (Wanted(("mfa",), -1, True), (), {"prompt": "login"}),  # no word for it: at least a sign-in anew
        (Wanted(("high", "mfa"), 60, True), ("gold",), {"acr_values": "high gold", "max_age": "60"}),
        (Wanted((), 3600, True), (), {"max_age": "3600"}),
        (Wanted((), 0, True), (), {"max_age": "0", "prompt": "login"}),
    ],
)
def test_an_issuer_is_asked_in_its_own_words(wanted: Wanted, words: tuple[str, ...], asked: dict[str, str]) -> None:
    assert parameters_of(wanted, words) == asked


def test_it_is_told_with_what_to_type() -> None:
    wanted = Wanted(("mfa", "high"), 3600, True)
    assert told(wanted) == "mfa, high, a sign-in in the last 1h"
    expected = "stagedoor login door.example.com:8443 --again --acr-values 'mfa high' --max-age 3600"
    assert command_for(PLACE, wanted) == expected


@pytest.mark.parametrize(
    ("said", "missing"),
    [
        ({"amr": ["pwd", "mfa"], "auth_time": "2026-11-22T12:00:00.000Z"}, NOTHING),
        ({"acr": "mfa", "auth_time": "2026-11-22T12:00:00.000Z"}, NOTHING),
        ({"amr": ["pwd"], "acr": None, "auth_time": "2026-11-22T12:00:00.000Z"}, Wanted(("mfa",))),
        ({"amr": ["mfa"], "auth_time": "2026-11-22T11:00:00.000Z"}, Wanted((), 60)),
        ({"amr": ["mfa"], "auth_time": None}, Wanted((), 60)),
        ({"amr": ["mfa"], "auth_time": "yesterday"}, Wanted((), 60)),
        ({"amr": "mfa", "auth_time": 5}, Wanted(("mfa",), 60)),
        ({}, Wanted(("mfa",), 60)),
    ],
)
def test_what_a_new_token_does_not_show_is_known(said: dict[str, Any], missing: Wanted) -> None:
    noon = 1_795_348_800.0  # 2026-11-22T12:00:00Z
    assert lacking(Wanted(("mfa",), 60, True), said, noon) == missing
