"""Promises about a door's word for a caller: it is read as it was said, by whom it was for, about that request, now."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.identity.assertion import (
    LIFETIME_S,
    LONGEST_LIFETIME_S,
    SKEW_S,
    TYPE,
    Assertion,
    Request,
    SharedKey,
    Unproved,
    audiences_of,
    opened,
    sealed,
)
from policy.facts import ANONYMOUS, Principal
from tests.support.tokens import EDDSA, RS256, base64url

NOW = 1_800_000_000
SERVICE = "component:stagedoor/stagedoor"
KEY = SharedKey("k1", b"k" * 32)
REQUEST = Request("GET", "door.test:8443", "/.stagedoor/api/v1/explain?url=https%3A%2F%2Fx", "1a-b-c")
JANE = Principal(
    "person", "user:default/jane", frozenset({"user:default/jane", "group:default/a", "all-people", "everyone"}),
    amr=frozenset({"mfa"}), acr="2", auth_time=NOW - 60, issuer="main", subject="0u1", client_id="cli",
    actors=(Principal("workload", "component:default/bot", frozenset({"component:default/bot"}), client_id="bot"),),
)  # fmt: skip
SAID = Assertion(JANE, "token", ("stagedoor", "api"), REQUEST)


def parts_of(principal: Principal) -> dict[str, object]:
    names = ("kind", "ref", "subjects", "issuer", "subject", "client_id", "amr", "acr", "auth_time")
    return {name: getattr(principal, name) for name in names}


def forged(key: SharedKey = KEY, header: Any = None, **claims: object) -> bytes:
    """An assertion with other claims, under a good signature of ``key``; a claim set to ``...`` is left out."""
    head, body, _ = sealed(SAID, SERVICE, KEY, NOW).split(b".")
    said = json.loads(_raw(body)) | claims
    said = {name: value for name, value in said.items() if value is not ...}
    spelled = [json.dumps(header or json.loads(_raw(head))), json.dumps(said)]
    message = b".".join(base64url(each.encode()) for each in spelled)
    return message + b"." + base64url(key.sign(message))


def _raw(segment: bytes) -> bytes:
    from base64 import urlsafe_b64decode

    return urlsafe_b64decode(segment + b"=" * (-len(segment) % 4))


def read(text: bytes, *, audience: str = SERVICE, request: Request = REQUEST, now: int = NOW) -> Assertion | Unproved:
    return opened(text, audience, KEY, request, now)


def why(text: bytes, **about: Any) -> str:
    said = read(text, **about)
    assert isinstance(said, Unproved)
    return said.why


@pytest.mark.parametrize("principal", [JANE, ANONYMOUS], ids=["person", "nobody"])
def test_what_a_door_says_is_read_as_it_was_said(principal: Principal) -> None:
    said = read(sealed(SAID._replace(principal=principal), SERVICE, KEY, NOW))
    assert isinstance(said, Assertion)
    assert parts_of(said.principal) == parts_of(principal)
    assert [parts_of(each) for each in said.principal.actors] == [parts_of(each) for each in principal.actors]
    assert said[1:] == SAID[1:]


def test_two_thousand_teams_fit() -> None:
    teams = frozenset(f"group:{'n' * 63}/{number:063}" for number in range(2000))
    said = read(sealed(SAID._replace(principal=Principal("person", "user:default/x", teams)), SERVICE, KEY, NOW))
    assert isinstance(said, Assertion)
    assert said.principal.subjects == teams


@pytest.mark.parametrize(
    "other",
    [
        REQUEST._replace(method="POST"),
        REQUEST._replace(authority="other.test"),
        REQUEST._replace(target="/.stagedoor/api/v1/lint"),
        REQUEST._replace(target=REQUEST.target + "&user=root"),
        REQUEST._replace(id="1a-b-d"),
    ],
)
def test_it_belongs_to_one_request(other: Request) -> None:
    assert why(sealed(SAID, SERVICE, KEY, NOW), request=other) == "it belongs to another request"


def test_it_is_for_one_service() -> None:
    text = sealed(SAID, SERVICE, KEY, NOW)
    assert why(text, audience="component:default/other") == "it is for another service"
    assert why(forged(iss="somebody")) == "it is for another service"
    assert why(forged(aud=[SERVICE])) == "it is for another service"


@pytest.mark.parametrize("now", [NOW + LIFETIME_S, NOW - SKEW_S - 1, NOW + 10**6])
def test_it_is_of_this_moment(now: int) -> None:
    assert why(sealed(SAID, SERVICE, KEY, NOW), now=now) == "it is not of this moment"


@pytest.mark.parametrize("now", [NOW - SKEW_S, NOW, NOW + LIFETIME_S - 1])
def test_it_lasts_for_its_time(now: int) -> None:
    assert isinstance(read(sealed(SAID, SERVICE, KEY, NOW), now=now), Assertion)


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": NOW + LONGEST_LIFETIME_S + 1},
        {"exp": NOW},
        {"exp": float(NOW + 5)},
        {"exp": True},
        {"iat": str(NOW)},
        {"iat": ...},
        {"exp": ...},
    ],
)
def test_it_never_lasts_longer_than_a_minute_whatever_it_says(claims: dict[str, Any]) -> None:
    assert why(forged(**claims)) == "it does not say how long it lasts"


@pytest.mark.parametrize(
    "claims",
    [
        {"who": None},
        {"who": "user:default/root"},
        {"who": {"kind": "root"}},
        {"shown": "cookie"},
        {"token_aud": "stagedoor"},
        {"token_aud": [1]},
        {"token_aud": ...},
    ],
)
def test_a_caller_is_whole_or_none(claims: dict[str, Any]) -> None:
    assert why(forged(**claims)) == "it does not say who is asking"


@pytest.mark.parametrize(
    "name", ["kind", "ref", "subjects", "issuer", "sub", "client_id", "amr", "acr", "auth_time", "actors"]
)
@pytest.mark.parametrize("value", [None, 7.5, {"a": 1}])
def test_every_part_of_a_caller_has_its_type(name: str, value: object) -> None:
    who = json.loads(_raw(sealed(SAID, SERVICE, KEY, NOW).split(b".")[1]))["who"]
    assert why(forged(who={**who, name: value})) == "it does not say who is asking"
    assert why(forged(who={**who, "actors": [{**who, name: value}]})) == "it does not say who is asking"


def test_another_key_of_the_same_name_proves_nothing() -> None:
    assert why(forged(SharedKey("k1", b"x" * 32))) == "its signature is wrong"


def test_a_key_of_another_name_is_told_apart() -> None:
    said = read(sealed(SAID, SERVICE, SharedKey("k0", b"x" * 32), NOW))
    assert said == Unproved("it is signed with another key", stale=True)


@pytest.mark.parametrize(
    "header",
    [
        {"alg": "none", "typ": TYPE, "kid": "k1"},
        {"alg": "RS256", "typ": TYPE, "kid": "k1"},
        {"alg": "HS256", "typ": "at+jwt", "kid": "k1"},
        {"alg": "HS256", "kid": "k1"},
        {"alg": "HS256", "typ": TYPE, "kid": "k1", "crit": ["b64"]},
        {"alg": "HS256", "typ": TYPE, "kid": "k1", "jwk": {"kty": "oct", "k": "AA"}},
    ],
)
def test_a_header_is_the_one_there_is(header: dict[str, object]) -> None:
    assert why(forged(header=header)) == "its header is another one"


@pytest.mark.parametrize(
    "text", [b"", b".", b"..", b"a.b.c", b"a.b.c.d", b"\xff.\xff.\xff", b"e30=.e30=.e30=", b"e30.e30.", b"x" * 600_000]
)
def test_junk_is_no_assertion(text: bytes) -> None:
    assert isinstance(read(text), Unproved)


def test_every_changed_byte_is_seen() -> None:
    text = sealed(SAID, SERVICE, KEY, NOW)
    for position in range(len(text)):
        changed = text[:position] + bytes([text[position] ^ 1]) + text[position + 1 :]
        assert isinstance(read(changed), Unproved), position


def test_an_issuers_token_is_no_assertion() -> None:
    assert isinstance(read(RS256.token(iss="stagedoor", aud=SERVICE)), Unproved)


def test_a_short_key_is_none() -> None:
    with pytest.raises(ValueError, match="shorter than 32"):
        SharedKey("k1", b"k" * 31)


@pytest.mark.parametrize(
    ("token", "audiences"),
    [
        (RS256.token(aud="stagedoor"), ("stagedoor",)),
        (EDDSA.token(aud=["api", "stagedoor"]), ("api", "stagedoor")),
        (RS256.token(aud=...), ()),
        (RS256.token(aud=["api", 1]), ()),
        (RS256.token(aud={"stagedoor": 1}), ()),
        (b"opaque-token", ()),
        (b"a.stagedoor.c", ()),
    ],
)
def test_the_audiences_of_a_token_are_its_own(token: bytes, audiences: tuple[str, ...]) -> None:
    assert audiences_of(token) == audiences


def test_where_a_request_comes_from_is_read_as_it_was_said() -> None:
    said = SAID._replace(client="2001:db8::9", certificate=("dns:bigip.test", "spiffe://test/b"))
    for text, expected in ((sealed(said, SERVICE, KEY, NOW), said), (forged(client=..., certificate=...), SAID)):
        found = read(text)
        assert isinstance(found, Assertion)
        assert (found.client, found.certificate) == (expected.client, expected.certificate)


@pytest.mark.parametrize("claims", [{"client": 7}, {"client": None}, {"certificate": "dns:x"}, {"certificate": [7]}])
def test_where_a_request_comes_from_is_text_or_nothing_is_believed(claims: dict[str, Any]) -> None:
    assert why(forged(**claims)) == "it does not say where the request comes from"
