"""Promises about what a worker tells of who came: never a token, once for each, and no more than there is room for."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway import config
from gateway.control.sightings import seen_in
from gateway.door.sightings import AT_ONCE, GROUP_LETTERS, GROUPS, WAITING, WAITING_BYTES, Sightings
from gateway.identity.issuers import IssuerTable
from gateway.identity.jwks import KeyRing, read_keys
from gateway.identity.tokens import Verified, verify
from policy.facts import Principal
from tests.support.tokens import NOW, RS256, jwks

ISSUER = config.Issuer(
    "test",
    "https://idp.test",
    ("api",),
    match=(
        config.MatchField("uid", "annotations.idp.test/id"),
        config.MatchField("realm.id", "annotations.idp.test/realm"),
        config.MatchField("email", "spec.profile.email", ("corp.test",)),
    ),
    groups=config.Groups("groups", (config.MatchField("groups", "metadata.name"),)),
    workload_when={"gty": "client-credentials"},
)
TABLE = IssuerTable.from_settings([ISSUER])
KEYS = KeyRing().with_issuer("test", read_keys(json.loads(jwks(RS256))["keys"], ISSUER.algorithms)[0], NOW)
JANE = Principal("person", "user:default/jane", frozenset({"user:default/jane"}))


def made() -> Sightings:
    sightings = Sightings()
    sightings.configure(TABLE)
    return sightings


def came(sightings: Sightings, sub: str = "s-1", who: Principal = JANE, at: int = NOW, **said: Any) -> bytes:
    """A token as the door verifies it."""
    token = RS256.token(sub=sub, **said)
    verified = verify(token, TABLE, KEYS, NOW)
    assert isinstance(verified, Verified)
    sightings.note(verified, who, token, at)
    return token


def entries(sightings: Sightings) -> list[dict[str, Any]]:
    message = sightings.take()
    found: Any = message["seen"] if message is not None else []
    return list(found)


def test_an_entry_holds_what_match_asks_about_and_how_a_reader_knows_the_person() -> None:
    sightings = made()
    email: dict[str, Any] = {"email": "Jane@Corp.test", "email_verified": True}
    came(sightings, uid="u-1", realm={"id": "r-1"}, name="Jane", preferred_username="jane", groups=["a", "b"], **email)
    (entry,) = entries(sightings)
    assert entry == {
        "issuer": "test",
        "subject": "s-1",
        "claims": {
            "email": "Jane@Corp.test", "name": "Jane", "preferred_username": "jane", "uid": "u-1", "realm.id": "r-1",
        },
        "email_verified": True,
        "groups": ["a", "b"],
        "more_groups": 0,
        "ref": "user:default/jane",
        "refusal": "",
        "at": NOW,
    }  # fmt: skip
    assert seen_in(entry) is not None, "control takes what doors tell"


def test_an_address_that_is_not_believed_is_told_as_it_stands() -> None:
    sightings = made()
    stranger = Principal("anonymous", refusal="identity_unknown")
    came(sightings, who=stranger, email="jane@corp.test", email_verified="true", groups=...)
    (entry,) = entries(sightings)
    assert (entry["claims"]["email"], entry["email_verified"], entry["groups"]) == ("jane@corp.test", False, None)
    assert (entry["ref"], entry["refusal"]) == ("", "identity_unknown")


def test_neither_a_token_nor_its_signature_is_kept_or_told() -> None:
    sightings = made()
    token = came(sightings)
    signature = token.rpartition(b".")[2]
    (waiting,) = sightings._waiting.values()
    assert signature not in waiting[3]
    assert signature.decode() not in json.dumps(sightings.take())


def test_what_an_issuer_answered_about_an_opaque_token_is_told_alike() -> None:
    sightings = made()
    token = RS256.token(uid="u-1")
    verified = verify(token, TABLE, KEYS, NOW)
    assert isinstance(verified, Verified)
    sightings.note(verified, JANE, json.dumps({"active": True, "sub": "jane", "name": "Jane"}).encode(), NOW)
    (entry,) = entries(sightings)
    assert entry["claims"] == {"name": "Jane", "uid": "u-1"}, "what was signed stays told"


def test_programs_are_not_told_of() -> None:
    sightings = made()
    came(sightings, gty="client-credentials")
    assert sightings.take() is None


def test_a_subject_is_told_once_by_the_last_token_before_control_takes_it() -> None:
    sightings = made()
    came(sightings, uid="u-1", at=NOW)
    came(sightings, uid="u-2", at=NOW + 5)
    (entry,) = entries(sightings)
    assert (entry["claims"]["uid"], entry["at"]) == ("u-2", NOW + 5)
    assert sightings.take() is None, "and not again until another token comes"


@pytest.mark.parametrize("value", ["\x1b[2J", "a\nb", "x" * 256, 7, ["a"], {"a": "b"}])
def test_what_is_no_short_clean_text_is_left_out(value: Any) -> None:
    sightings = made()
    came(sightings, name=value, preferred_username=value)
    (entry,) = entries(sightings)
    assert entry["claims"] == {}


def test_groups_are_cut_by_number_and_letters_and_the_rest_is_counted() -> None:
    sightings = made()
    came(sightings, "many", groups=[f"g{number}" for number in range(GROUPS + 9)])
    came(sightings, "long", groups=["x" * 220] * 50)
    many, long = entries(sightings)
    assert (len(many["groups"]), many["more_groups"]) == (GROUPS, 9)
    assert sum(map(len, long["groups"])) <= GROUP_LETTERS
    assert (len(long["groups"]) + long["more_groups"], long["more_groups"] > 0) == (50, True)


def test_many_subjects_wait_their_turn_and_those_without_room_are_counted() -> None:
    """Nobody who makes up subjects can make a worker hold, or send in one second, more than it says."""
    sightings = made()
    token = RS256.token(sub="s")
    verified = verify(token, TABLE, KEYS, NOW)
    assert isinstance(verified, Verified)
    for number in range(WAITING + 30):
        verified.subject = f"s-{number}"
        sightings.note(verified, JANE, token, NOW)
    message = sightings.take()
    assert message is not None
    assert (len(message["seen"]), message["left_out"]) == (AT_ONCE, 30)  # type: ignore[arg-type]  # a list of entries
    rest = 0
    while message := sightings.take():
        rest += len(message["seen"])  # type: ignore[arg-type]  # a list of entries
        assert message["left_out"] == 0
    assert rest == WAITING - AT_ONCE
    assert (sightings._waiting, sightings._bytes) == ({}, 0)


def test_giant_tokens_fill_the_room_by_bytes() -> None:
    sightings = made()
    token = RS256.token(padding="x" * 11_000)
    verified = verify(token, TABLE, KEYS, NOW)
    assert isinstance(verified, Verified)
    for number in range(400):
        verified.subject = f"s-{number}"
        sightings.note(verified, JANE, token, NOW)
    assert sum(len(each[3]) for each in sightings._waiting.values()) == sightings._bytes <= WAITING_BYTES
    message = sightings.take()
    assert message is not None
    assert message["left_out"] == 400 - len(message["seen"]) - len(sightings._waiting)  # type: ignore[arg-type]  # a list of entries


def test_other_settings_forget_what_waits() -> None:
    sightings = made()
    came(sightings)
    sightings.configure(TABLE)
    assert (sightings.take(), sightings._bytes) == (None, 0)
