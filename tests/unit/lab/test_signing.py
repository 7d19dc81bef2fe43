"""Promises about the provider's keys: a rotation overlaps, and the JWKS never holds a private part."""

from __future__ import annotations

import json
from pathlib import Path

import jwt

from gateway.identity.jwks import Key, read_jwks
from gateway.lab.signing import ALGORITHMS, SigningKeys


def verifies(keys: SigningKeys, token: str) -> bool:
    published, faults = read_jwks(json.dumps(keys.jwks()).encode(), ALGORITHMS)
    assert faults == []
    header = jwt.get_unverified_header(token)
    key: Key | None = next((key for key in published if key.kid == header["kid"]), None)
    if key is None:
        return False
    signed, _, signature = token.rpartition(".")
    return key.verify(header["alg"], signed.encode(), jwt.utils.base64url_decode(signature))


def test_both_algorithms_sign_and_verify(tmp_path: Path) -> None:
    keys = SigningKeys(tmp_path / "keys.json")
    for algorithm in ALGORITHMS:
        assert verifies(keys, keys.sign({"sub": "u"}, algorithm))


def test_a_token_of_the_key_before_still_verifies_and_the_one_before_that_does_not(tmp_path: Path) -> None:
    keys = SigningKeys(tmp_path / "keys.json")
    for algorithm in ALGORITHMS:
        token = keys.sign({"sub": "u"}, algorithm)
        keys.rotate()
        assert verifies(keys, token)
        keys.rotate()
        assert not verifies(keys, token)


def test_keys_survive_a_restart(tmp_path: Path) -> None:
    before = SigningKeys(tmp_path / "keys.json")
    before.rotate()
    assert SigningKeys(tmp_path / "keys.json").jwks() == before.jwks()


def test_the_file_is_private_and_the_key_set_is_public(tmp_path: Path) -> None:
    keys = SigningKeys(tmp_path / "keys.json")
    assert (tmp_path / "keys.json").stat().st_mode & 0o777 == 0o600
    assert all({"d", "p", "q"}.isdisjoint(key) for key in keys.jwks()["keys"])
