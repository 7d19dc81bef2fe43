"""Promises about the assertion for services: others verify it with what the key set says, and nothing else passes."""

from __future__ import annotations

import json

import jwt
import pytest
from jwt import PyJWK

from gateway.door.assertions import USED_S, Assertions
from gateway.identity.upstream_assertion import TEAMS_LIMIT, claims_for, signers_of, signing
from policy.facts import ANONYMOUS, Principal

NOW = 1_800_000_000
HERE = "https://stagedoor.test"
SERVICE = "component:default/payments"
KEYS = [("new", b"n" * 32), ("old", b"o" * 32)]


def jane(*teams: str) -> Principal:
    subjects = frozenset({"user:default/jane", *teams})
    return Principal(
        "person", "user:default/jane", subjects, amr=frozenset({"mfa"}), auth_time=NOW - 60, issuer="idp",
        subject="u-1", client_id="door",
    )  # fmt: skip


JANE = jane("group:default/books")


def read(text: bytes, jwks: bytes) -> dict[str, object]:
    """As a service does, with PyJWT."""
    kid = jwt.get_unverified_header(text)["kid"]
    key = next(PyJWK(each) for each in json.loads(jwks)["keys"] if each["kid"] == kid)
    return dict(
        jwt.decode(
            text, key, algorithms=["ES256"], audience=SERVICE, issuer=HERE,
            options={"verify_exp": False, "verify_iat": False},
        )
    )  # fmt: skip


def made(keys: list[tuple[str, bytes]] = KEYS) -> Assertions:
    assertions = Assertions(lambda: HERE.removeprefix("https://"))
    assertions.take(keys)
    return assertions


def token(line: bytes) -> bytes:
    name, _, value = line.partition(b": ")
    assert name == b"X-Stagedoor-Assertion"
    assert value.endswith(b"\r\n")
    return value[:-2]


def test_another_library_verifies_it_with_the_key_set() -> None:
    assertions = made()
    said = read(token(assertions.line(JANE, SERVICE, NOW)), assertions.jwks)
    assert said == {
        "iss": HERE, "aud": SERVICE, "iat": NOW, "exp": NOW + 60, "sub": "user:default/jane", "kind": "person",
        "idp": "idp", "idp_sub": "u-1", "groups": ["group:default/books"], "client_id": "door",
        "auth_time": NOW - 60, "amr": ["mfa"],
    }  # fmt: skip


def test_the_newest_key_is_published_before_it_signs() -> None:
    signer = signing(signers_of(KEYS))
    assert signer is not None
    assert signer.kid == "a-old"
    assert [each["kid"] for each in json.loads(made().jwks)["keys"]] == ["a-new", "a-old"]
    alone = signing(signers_of(KEYS[:1]))
    assert alone is not None
    assert alone.kid == "a-new"


def test_nodes_with_the_same_keys_publish_the_same_set_and_no_secret() -> None:
    assert made().jwks == made().jwks
    assert all(set(each) == {"kty", "crv", "alg", "use", "kid", "x", "y"} for each in json.loads(made().jwks)["keys"])


def test_a_signature_of_another_key_or_for_another_service_does_not_pass() -> None:
    text = token(made().line(JANE, SERVICE, NOW))
    other = made([("new", b"x" * 32), ("old", b"y" * 32)])
    with pytest.raises(jwt.InvalidSignatureError):
        read(text, other.jwks)
    elsewhere = token(made().line(JANE, "component:default/other", NOW))
    with pytest.raises(jwt.InvalidAudienceError):
        read(elsewhere, made().jwks)


def test_a_line_is_kept_for_one_principal_and_one_service_for_most_of_its_life() -> None:
    assertions = made()
    first = assertions.line(JANE, SERVICE, NOW)
    assert assertions.line(JANE, SERVICE, NOW + USED_S - 1) is first
    assert assertions.line(JANE, SERVICE, NOW + USED_S) != first
    moved = token(assertions.line(jane(), SERVICE, NOW))
    assert read(moved, assertions.jwks)["groups"] == []
    assert assertions.line(JANE, "component:default/other", NOW) != first


def test_the_lines_kept_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.door.assertions.LIMIT", 3)
    assertions = made()
    for number in range(5):
        assertions.line(JANE, f"component:default/s{number}", NOW)
    assert len(assertions._kept) == 3


def test_nobody_is_asserted_and_without_keys_nothing_is() -> None:
    assert made().line(ANONYMOUS, SERVICE, NOW) == b""
    with pytest.raises(LookupError):
        Assertions(str).line(JANE, SERVICE, NOW)


def test_too_many_teams_are_left_out_and_counted() -> None:
    subjects = frozenset(f"group:default/t{number}" for number in range(TEAMS_LIMIT + 1))
    said = claims_for(Principal("person", "user:default/jane", subjects), SERVICE, HERE, NOW)
    assert "groups" not in said
    assert said["groups_omitted"] == TEAMS_LIMIT + 1


def test_who_acts_for_somebody_is_told_the_latest_outermost() -> None:
    robot, broker = (Principal("workload", f"component:default/{name}", frozenset()) for name in ("robot", "broker"))
    said = claims_for(Principal("person", "user:default/jane", frozenset(), actors=(robot, broker)), SERVICE, HERE, NOW)
    assert said["act"] == {"sub": "component:default/robot", "act": {"sub": "component:default/broker"}}
