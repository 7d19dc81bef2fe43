"""Cookies and tickets: whoever has no key makes none, and none counts anywhere but where it was made for."""

from __future__ import annotations

from base64 import b64encode, urlsafe_b64encode
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.identity.session import (
    COOKIE,
    COOKIE_LIMIT,
    OVER,
    TARGET_LIMIT,
    SessionCookie,
    SessionFacts,
    SessionKeys,
    Ticket,
    facts_message,
    is_local_target,
    open_cookie,
    open_ticket,
    proof_of,
    read_facts,
    read_keys,
    seal_cookie,
    seal_ticket,
)

NOW = 1_800_000_000
ONE, TWO = ("k1", b"1" * 32), ("k2", b"2" * 32)
KEYS = SessionKeys([ONE])
NONCE = b"n" * 12
SID = "s-" + "0123456789abcdef" * 2
GOOD = SessionCookie(SID, "sso", "U-1017", NOW - 60, ("pwd", "otp"), NOW + 3600)
TICKET = Ticket("abcdefgh" + "x" * 14, "shop.test:8443", "/a?b=c", proof_of("value"), NOW, ("mfa",), 300)


def value(cookie: SessionCookie = GOOD, host: str = "shop.test", keys: SessionKeys = KEYS) -> bytes:
    return seal_cookie(cookie, host, keys, NONCE).encode("ascii")


# === cookies ===


def test_a_cookie_says_what_was_sealed_into_it() -> None:
    assert open_cookie(value(), "shop.test", KEYS, NOW) == GOOD
    assert open_cookie(value(host="Shop.TEST"), "shop.test", KEYS, NOW) == GOOD
    assert value().startswith(b"1.k1.")
    assert COOKIE == "__Host-stagedoor"


@pytest.mark.parametrize("host", ["other.test", "shop.test:8443", "", "shop.test.", "xshop.test"])
def test_a_cookie_counts_on_its_host_alone(host: str) -> None:
    assert open_cookie(value(), host, KEYS, NOW) is None


def test_a_cookie_ends_to_the_second() -> None:
    assert open_cookie(value(), "shop.test", KEYS, GOOD.until - 1) == GOOD
    assert open_cookie(value(), "shop.test", KEYS, GOOD.until) is None


def test_every_octet_of_a_cookie_is_held_by_its_seal() -> None:
    whole = value()
    for at in range(len(whole)):
        for other in (b"A", b"B", b"-", b".", b"="):
            if whole[at : at + 1] != other:
                changed = whole[:at] + other + whole[at + 1 :]
                assert open_cookie(changed, "shop.test", KEYS, NOW) is None, at
        assert open_cookie(whole[:at], "shop.test", KEYS, NOW) is None


@given(st.binary(max_size=300))
def test_what_somebody_makes_up_opens_nothing(junk: bytes) -> None:
    assert open_cookie(junk, "shop.test", KEYS, NOW) is None
    assert open_cookie(b"1.k1." + urlsafe_b64encode(junk).rstrip(b"="), "shop.test", KEYS, NOW) is None
    assert open_ticket(b"1.k1." + urlsafe_b64encode(junk).rstrip(b"="), KEYS, NOW) is None


@given(
    st.text(max_size=400), st.text(max_size=400), st.lists(st.text("abcz0_-", min_size=1, max_size=80), max_size=60),
    st.integers(0, 2**40), st.integers(NOW + 1, 2**40),
)  # fmt: skip
def test_a_cookie_has_a_bound_whatever_a_provider_says(
    issuer: str, subject: str, amr: list[str], auth_time: int, until: int
) -> None:
    issuer, subject = (text.encode("utf-8", "ignore").decode() for text in (issuer, subject))
    sealed = value(SessionCookie(SID, issuer, subject, auth_time, tuple(amr), until))
    assert len(sealed) < COOKIE_LIMIT - 100
    opened = open_cookie(sealed, "shop.test", KEYS, NOW)
    assert opened is not None
    assert (opened.sid, opened.auth_time, opened.until) == (SID, auth_time, until)
    assert opened.subject == subject or opened.subject.startswith("sha256:")


@pytest.mark.parametrize("sid", ["", "s-", "s-0", SID.upper(), SID + "0", "x-" + SID[2:], SID + "\n"])
def test_what_is_no_session_is_not_sealed(sid: str) -> None:
    with pytest.raises(ValueError, match="session id"):
        value(replace(GOOD, sid=sid))


# === keys ===


def test_the_first_key_seals_and_all_open() -> None:
    old, ring, later = SessionKeys([ONE]), SessionKeys([TWO, ONE]), SessionKeys([TWO])
    assert open_cookie(value(keys=old), "shop.test", ring, NOW) == GOOD
    assert value(keys=ring).startswith(b"1.k2.")
    assert open_cookie(value(keys=ring), "shop.test", later, NOW) == GOOD
    assert open_cookie(value(keys=old), "shop.test", later, NOW) is None
    impostor = SessionKeys([("k1", TWO[1])])
    assert open_cookie(value(keys=impostor), "shop.test", KEYS, NOW) is None


def test_without_keys_nothing_opens() -> None:
    nothing = SessionKeys(())
    assert not nothing
    assert bool(KEYS)
    assert open_cookie(value(), "shop.test", nothing, NOW) is None


@pytest.mark.parametrize(
    "key", [("k1", b"1" * 31), ("k1", b""), ("", b"1" * 32), ("a.b", b"1" * 32), ("k" * 17, b"1" * 32)]
)
def test_a_key_is_32_bytes_with_a_short_name(key: tuple[str, bytes]) -> None:
    with pytest.raises(ValueError, match="is none"):
        SessionKeys([key])
    assert read_keys({"keys": [[key[0], b64encode(key[1]).decode()]]}) is None


@pytest.mark.parametrize("keys", [None, 7, "x", [["k1"]], [["k1", "%%%"]], [["k1", None]], [[1, 2, 3]]])
def test_a_message_without_keys_makes_no_ring_that_opens(keys: object) -> None:
    assert not read_keys({"keys": keys})


def test_a_message_makes_the_ring_it_says() -> None:
    ring = read_keys({"keys": [[kid, b64encode(key).decode()] for kid, key in (TWO, ONE)]})
    assert ring is not None
    assert open_cookie(value(keys=SessionKeys([TWO])), "shop.test", ring, NOW) == GOOD


@pytest.mark.parametrize("nonce", [b"", b"n" * 11, b"n" * 13])
def test_a_nonce_has_its_length(nonce: bytes) -> None:
    with pytest.raises(ValueError, match="nonce"):
        seal_cookie(GOOD, "shop.test", KEYS, nonce)


# === tickets ===


def test_a_ticket_says_what_was_sealed_into_it_for_ten_minutes() -> None:
    text = seal_ticket(TICKET, KEYS, NONCE).encode()
    assert open_ticket(text, KEYS, NOW) == TICKET
    assert open_ticket(text, KEYS, NOW + 599) == TICKET
    assert open_ticket(text, KEYS, NOW - 5) == TICKET
    assert open_ticket(text, KEYS, NOW + 600) is None
    assert open_ticket(text, KEYS, NOW - 6) is None


def test_a_cookie_is_no_ticket_and_a_ticket_no_cookie() -> None:
    assert open_ticket(value(), KEYS, NOW) is None
    assert open_cookie(seal_ticket(TICKET, KEYS, NONCE).encode(), "shop.test", KEYS, NOW) is None


def test_a_ticket_with_a_long_target_leaves_it_behind() -> None:
    long = replace(TICKET, target="/" + "a" * TARGET_LIMIT)
    opened = open_ticket(seal_ticket(long, KEYS, NONCE).encode(), KEYS, NOW)
    assert opened is not None
    assert opened.target == "/"
    fits = replace(TICKET, target="/" + "a" * (TARGET_LIMIT - 1))
    assert open_ticket(seal_ticket(fits, KEYS, NONCE).encode(), KEYS, NOW) == fits


# === targets ===


@pytest.mark.parametrize("target", ["/", "/a", "/a?b=//c", "/a//b", "/%2f%2fevil", "/a:b@c", "/?https://x"])
def test_a_path_of_this_host_is_a_target(target: str) -> None:
    assert is_local_target(target)


@pytest.mark.parametrize(
    "target",
    ["", "a", "//", "//evil", "/\\evil", "\\", "\\\\evil", "/a\\b", "/\t/evil", "/ /evil", "/\n", "\n/a", " /a", "/é",
     "/a\x00", "/\x7f", "https://evil", "/a\u2028b"],
)  # fmt: skip
def test_whatever_a_browser_could_take_for_another_place_is_none(target: str) -> None:
    assert not is_local_target(target)


# === facts ===

FACTS = SessionFacts(SID, "", "sso", {"sub": "U-1017", "groups": ["a"]}, NOW, NOW + 3600, 1800, 60, 3, 5)


def test_facts_are_read_as_they_were_written() -> None:
    assert read_facts(facts_message(FACTS)) == FACTS
    for over in OVER:
        assert read_facts(facts_message(SessionFacts(SID, over))) == SessionFacts(SID, over)
    lacking = {name: said for name, said in facts_message(FACTS).items() if name != "rest"}
    assert read_facts(lacking) == replace(FACTS, rest=0)


@pytest.mark.parametrize(
    "changes",
    [
        {"sid": "s-1"}, {"sid": None}, {"sid": SID.upper()}, {"over": "gone"}, {"over": 7}, {"issuer": None},
        {"claims": []}, {"claims": {}}, {"claims": {"sub": ""}}, {"claims": {"sub": 7}}, {"until": -1},
        {"until": 2**40}, {"until": 1.5}, {"until": True}, {"until": None}, {"idle_s": "60"}, {"fresh_s": None},
        {"v": None}, {"signed_in": None}, {"rest": -1}, {"rest": "x"},
    ],
)  # fmt: skip
def test_facts_that_are_not_what_they_must_be_are_none(changes: dict[str, object]) -> None:
    assert read_facts({**facts_message(FACTS), **changes}) is None


@pytest.mark.parametrize("message", [None, [], "x", 7, {}])
def test_what_is_no_message_has_no_facts(message: object) -> None:
    assert read_facts(message) is None
