"""Promises about published keys that belong to nobody: they verify nothing, and no sound key is taken for one."""

from __future__ import annotations

import math
from base64 import urlsafe_b64decode
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from gateway.identity.faulty_keys import fault_of
from gateway.identity.jwks import read_keys
from tests.support.tokens import EDDSA, RS256, Signer, base64url, private_key

ALL = ("RS256", "PS256", "EdDSA")
FIELD = 2**255 - 19
OF_ORDER_8 = "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"  # RFC 7748's field, libsodium's list


def spelled(number: int) -> bytes:
    return number.to_bytes(32, "little")


def left_out(signer: Signer, **changes: object) -> str:
    jwk: dict[str, Any] = {**signer.jwk, **changes}
    keys, faults = read_keys([jwk], ALL)
    assert keys == ()
    (fault,) = faults
    return fault


@pytest.mark.parametrize(
    ("octets", "why"),
    [
        pytest.param(bytes(32), "small order", id="zeros"),
        pytest.param(spelled(1), "small order", id="neutral"),
        pytest.param(spelled(FIELD - 1), "small order", id="order_2"),
        pytest.param(bytes(31) + b"\x80", "small order", id="order_4_odd"),
        pytest.param(bytes.fromhex(OF_ORDER_8), "small order", id="order_8"),
        pytest.param(
            spelled(FIELD - int.from_bytes(bytes.fromhex(OF_ORDER_8), "little")), "small order", id="order_8_too"
        ),
        pytest.param(spelled(FIELD), "no point", id="zero_spelled_otherwise"),
        pytest.param(spelled(FIELD + 1), "no point", id="neutral_spelled_otherwise"),
        pytest.param(spelled(1 + 2**255), "no point", id="neutral_with_a_sign"),
        pytest.param(spelled(2), "no point", id="off_the_curve"),
        pytest.param(b"\xff" * 32, "no point", id="ones"),
    ],
)
def test_an_ed25519_point_that_no_owner_chose_is_no_key(octets: bytes, why: str) -> None:
    assert why in left_out(EDDSA, x=base64url(octets).decode())


def test_under_the_neutral_point_anybody_signs_anything() -> None:
    """What is left out above, and why: the library takes the key, and one signature for every message."""
    key = Ed25519PublicKey.from_public_bytes(spelled(1))
    for message in (b"jane", b"root"):
        key.verify(spelled(1) + bytes(32), message)
    assert fault_of(key)


@pytest.mark.parametrize("factor", [2, 3, 751])
def test_a_modulus_with_a_small_factor_is_no_key(factor: int) -> None:
    n = int.from_bytes(urlsafe_b64decode(RS256.jwk["n"] + "=="), "big")
    modulus = n - n % factor
    assert "factors" in left_out(RS256, n=base64url(modulus.to_bytes(256, "big")).decode())


def test_a_modulus_of_one_prime_twice_is_no_key() -> None:
    p = private_key("rsa").private_numbers().p
    prime = p if p > math.isqrt(2**2047) else private_key("rsa").private_numbers().q
    assert "factors" in left_out(RS256, n=base64url((prime * prime).to_bytes(256, "big")).decode())


def test_sound_keys_are_sound() -> None:
    rfc8032 = (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "278117fc144c72340f67d0f2316e8386ceffbf2b2428c9c51fef7c597f1d426e",
    )  # section 7.1
    points = [bytes.fromhex(each) for each in rfc8032]
    points += [
        Ed25519PrivateKey.from_private_bytes(bytes([each]) * 32).public_key().public_bytes_raw() for each in range(64)
    ]
    assert [fault_of(Ed25519PublicKey.from_public_bytes(each)) for each in points] == [""] * len(points)
    for kind in ("rsa", "rsa-2", "p256"):
        assert fault_of(private_key(kind).public_key()) == ""
