"""Which published keys may verify tokens, and that a ring never mixes issuers."""

import json
import math
from typing import Any

import pytest

from gateway.identity.jwks import (
    ALGORITHMS,
    DOCUMENT_LIMIT_BYTES,
    KEYS_LIMIT,
    Key,
    KeyRing,
    key_id,
    read_jwks,
    read_keys,
)
from tests.support.tokens import EDDSA, ES256, RS256, Signer, base64url, jwks

ALL = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")


def changed(signer: Signer, **changes: object) -> dict[str, Any]:
    return {name: value for name, value in {**signer.jwk, **changes}.items() if value is not ...}


def only_fault(jwk: object) -> str:
    keys, faults = read_keys([jwk], ALL)
    assert keys == ()
    (fault,) = faults
    return fault


def test_no_symmetric_algorithm_exists_here() -> None:
    """`none` and HMAC cannot be chosen because nothing could verify them."""
    assert set(ALGORITHMS) == set(ALL)


@pytest.mark.parametrize(
    ("signer", "changes", "algorithms"),
    [
        (RS256, {"alg": ...}, {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}),
        (RS256, {}, {"RS256"}),
        (RS256, {"alg": "PS384"}, {"PS384"}),
        (ES256, {"alg": ...}, {"ES256"}),
        (Signer("p384", "ES384", "k"), {}, {"ES384"}),
        (Signer("p521", "ES512", "k"), {}, {"ES512"}),
        (EDDSA, {"alg": ...}, {"EdDSA"}),
        (RS256, {"use": ..., "key_ops": ..., "alg": ...}, {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}),
        (RS256, {"crv": "P-256", "alg": "RS256"}, {"RS256"}),
    ],
)
def test_a_key_verifies_what_its_type_fits(signer: Signer, changes: dict[str, object], algorithms: set[str]) -> None:
    keys, faults = read_keys([changed(signer, **changes)], ALL)
    assert faults == []
    assert [key.algorithms for key in keys] == [algorithms]
    assert keys[0].kid == signer.kid


@pytest.mark.parametrize("signer", [RS256, ES256, EDDSA], ids=lambda signer: signer.alg)
def test_a_key_verifies_its_own_signatures_only(signer: Signer) -> None:
    (key,), _ = read_keys([signer.jwk], ALL)
    signature = signer.signature(b"message")
    assert key.verify(signer.alg, b"message", signature)
    assert not key.verify(signer.alg, b"massage", signature)
    assert not key.verify(signer.alg, b"message", b"")
    assert not key.verify("RS512", b"message", signature)


@pytest.mark.parametrize("name", ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"])
def test_an_rsa_signature_counts_whole_and_for_its_own_algorithm_alone(name: str) -> None:
    (key,), _ = read_keys([changed(RS256, alg=...)], ALL)
    signature = Signer("rsa", name, "rsa-1").signature(b"message")
    assert [other for other in sorted(key.algorithms) if key.verify(other, b"message", signature)] == [name]
    altered = [b"", signature[1:], signature + b"\0", bytes([signature[0] ^ 1]) + signature[1:], bytes(len(signature))]
    assert not [wrong for wrong in altered if key.verify(name, b"message", wrong)]
    assert not key.verify(name, b"messagf", signature)


def test_a_signature_without_its_leading_zero_is_none() -> None:
    """RFC 8017 section 8.1.2, step 1: OpenSSL reads the same number, so one token would have two spellings."""
    (key,), _ = read_keys([changed(RS256, alg=...)], ALL)
    signer = Signer("rsa", "PS256", "rsa-1")  # its salt is random: one signature of 256 begins so
    signature = next(made for _ in range(20_000) if (made := signer.signature(b"message"))[0] == 0)
    assert key.verify("PS256", b"message", signature)
    assert not key.verify("PS256", b"message", signature[1:])


def test_algorithms_the_issuer_may_not_use_are_taken_away() -> None:
    (key,), faults = read_keys([changed(RS256, alg=...)], ("PS256", "ES256"))
    assert key.algorithms == {"PS256"}
    assert faults == []
    assert read_keys([RS256.jwk], ("ES256",))[0] == ()


@pytest.mark.parametrize(
    ("jwk", "why"),
    [
        pytest.param("text", "not a JSON object", id="text"),
        pytest.param(None, "not a JSON object", id="null"),
        pytest.param({}, "`kty`", id="empty"),
        pytest.param({"kty": "oct", "k": "c2VjcmV0"}, "`kty`", id="symmetric"),
        pytest.param({"kty": "oct", "k": ""}, "`kty`", id="empty_secret"),
        pytest.param({"kty": ["RSA"]}, "`kty`", id="kty_list"),
        pytest.param(changed(RS256, d="AQAB"), "private part", id="private"),
        pytest.param(changed(RS256, k="AQAB"), "private part", id="secret_beside_public"),
        pytest.param(changed(RS256, use="enc"), "`use`", id="for_encryption"),
        pytest.param(changed(RS256, use=["sig"]), "`use`", id="use_list"),
        pytest.param(changed(RS256, use=None), "`use`", id="use_null"),
        pytest.param(changed(RS256, key_ops=["encrypt"]), "`key_ops`", id="operations_without_verify"),
        pytest.param(changed(RS256, key_ops=[]), "`key_ops`", id="no_operations"),
        pytest.param(changed(RS256, key_ops="verify"), "`key_ops`", id="operations_text"),
        pytest.param(changed(RS256, alg="ES256"), "`alg`", id="algorithm_of_another_type"),
        pytest.param(changed(RS256, alg="HS256"), "`alg`", id="rsa_key_as_secret"),
        pytest.param(changed(RS256, alg="RSA-OAEP"), "`alg`", id="encryption_algorithm"),
        pytest.param(changed(RS256, alg=1), "`alg`", id="algorithm_number"),
        pytest.param(changed(ES256, crv="P-384"), "`alg`", id="other_curve"),
        pytest.param(changed(ES256, crv="P-384", alg=...), "make no key", id="coordinates_of_another_curve"),
        pytest.param(changed(ES256, crv="secp256k1", alg=...), "curve", id="curve_unsupported"),
        pytest.param(changed(ES256, crv=7, alg=...), "curve", id="curve_number"),
        pytest.param(changed(ES256, crv=..., alg=...), "curve", id="curve_absent"),
        pytest.param(changed(EDDSA, crv="X25519", alg=...), "curve", id="key_agreement_curve"),
        pytest.param(changed(EDDSA, crv="Ed448", alg=...), "curve", id="ed448"),
        pytest.param(changed(EDDSA, x="AAAA"), "make no key", id="short_point"),
        pytest.param(changed(ES256, y=ES256.jwk["x"]), "make no key", id="point_off_the_curve"),
        pytest.param(changed(ES256, y=...), "incomplete", id="no_y"),
        pytest.param(changed(RS256, n=...), "incomplete", id="no_modulus"),
        pytest.param(changed(RS256, n=12), "incomplete", id="modulus_number"),
        pytest.param(changed(RS256, n=RS256.jwk["n"] + "="), "base64url", id="padded_modulus"),
        pytest.param(changed(RS256, n=""), "base64url", id="empty_modulus"),
        pytest.param(changed(RS256, n="é"), "make no key", id="modulus_not_ascii"),
        pytest.param(changed(RS256, n="\ud800"), "make no key", id="modulus_surrogate"),
        pytest.param(changed(RS256, n="A" * 4096), "make no key", id="modulus_too_large"),
        pytest.param(changed(RS256, e="AQABAQAB"), "exponent", id="exponent_too_large"),
        pytest.param(changed(RS256, e="AA"), "make no key", id="exponent_zero"),
        pytest.param(changed(RS256, e="AQ"), "make no key", id="exponent_one"),
        pytest.param(changed(Signer("rsa-1024", "RS256", "k")), "1024 bits", id="rsa_1024"),
        pytest.param(changed(RS256, kid="k" * 256), "`kid`", id="kid_long"),
        pytest.param(changed(RS256, kid="a\r\nb"), "`kid`", id="kid_with_line_end"),
        pytest.param(changed(RS256, kid=1), "`kid`", id="kid_number"),
        pytest.param(changed(RS256, kid=None), "`kid`", id="kid_null"),
    ],
)
def test_a_key_that_must_not_verify_is_left_out_and_named(jwk: object, why: str) -> None:
    fault = only_fault(jwk)
    assert why in fault
    assert fault.startswith("key ")


def test_a_key_of_the_roca_generator_is_left_out() -> None:
    """CVE-2017-15361: such a modulus is a power of 65537 modulo every small prime, and can be factored."""
    primes = math.prod((11, 13, 17, 19, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151, 157))
    modulus = 65537 + primes * (2**2047 // primes + 2 & ~1)
    n = base64url(modulus.to_bytes(256, "big")).decode()
    assert "CVE-2017-15361" in only_fault(changed(RS256, n=n))


def test_one_bad_key_spoils_no_other() -> None:
    keys, faults = read_jwks(json.dumps({"keys": [{"kty": "oct"}, RS256.jwk, 7, ES256.jwk]}).encode(), ALL)
    assert [key.kid for key in keys] == ["rsa-1", "ec-1"]
    assert len(faults) == 2
    assert "number 1" in faults[0]
    assert "number 3" in faults[1]


def test_two_keys_under_one_name_are_none() -> None:
    """A token could mean either, so neither verifies; the same key twice is one."""
    other = {**Signer("rsa-2", "RS256", "rsa-1").jwk}
    keys, faults = read_keys([RS256.jwk, other, ES256.jwk, ES256.jwk], ALL)
    assert [key.kid for key in keys] == ["ec-1"]
    assert faults == ["all keys named `rsa-1` are left out: the name is given to different keys"]


def test_an_encryption_key_does_not_take_a_signing_keys_name() -> None:
    other = {**Signer("rsa-2", "RS256", "rsa-1").jwk, "use": "enc"}
    keys, _ = read_keys([other, RS256.jwk], ALL)
    assert [key.kid for key in keys] == ["rsa-1"]


@pytest.mark.parametrize(
    "document",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"<html>", id="html"),
        pytest.param(b"[]", id="list"),
        pytest.param(b"{}", id="no_keys"),
        pytest.param(b'{"keys":{}}', id="keys_object"),
        pytest.param(b'{"keys":[],"keys":[]}', id="keys_twice"),
        pytest.param(b" " * (DOCUMENT_LIMIT_BYTES + 1), id="too_large"),
    ],
)
def test_a_document_that_is_no_key_set_has_no_keys_and_a_fault(document: bytes) -> None:
    keys, faults = read_jwks(document, ALL)
    assert keys == ()
    assert len(faults) == 1


def test_an_empty_key_set_is_a_key_set() -> None:
    assert read_jwks(b'{"keys":[]}', ALL) == ((), [])


def test_the_number_of_keys_is_bounded() -> None:
    many = [changed(RS256, kid=f"k{number}") for number in range(KEYS_LIMIT + 20)]
    keys, faults = read_keys(many, ALL)
    assert len(keys) == KEYS_LIMIT
    assert faults == [f"keys after the first {KEYS_LIMIT} are left out"]


@pytest.mark.parametrize("signer", [RS256, ES256, EDDSA], ids=lambda signer: signer.alg)
def test_what_control_sends_on_makes_the_same_key(signer: Signer) -> None:
    """`Key.jwk` goes to the doors as JSON: nothing but the public key, and the same key again."""
    (key,), _ = read_keys([{**signer.jwk, "x5c": ["MIIB"], "issuer": "https://idp.test/{tenantid}"}], ALL)
    sent = json.loads(json.dumps(key.jwk))
    (again,), faults = read_keys([sent], ALL)
    assert faults == []
    assert (again.id, again.kid, again.algorithms, again.issuer) == (key.id, key.kid, key.algorithms, key.issuer)
    assert "x5c" not in sent


def test_another_key_under_an_old_name_has_another_id() -> None:
    (old,), _ = read_keys([RS256.jwk], ALL)
    (new,), _ = read_keys([Signer("rsa-2", "RS256", "rsa-1").jwk], ALL)
    assert old.kid == new.kid
    assert old.id != new.id


def ring_of(**issuers: list[Signer]) -> KeyRing:
    ring = KeyRing()
    for name, signers in issuers.items():
        ring = ring.with_issuer(name, read_jwks(jwks(*signers), ALL)[0], 100)
    return ring


def test_a_ring_finds_keys_by_issuer_and_name() -> None:
    ring = ring_of(idp=[RS256, ES256], other=[Signer("p256-2", "ES256", "ec-1")])
    own, others = ring.get("idp", "ec-1"), ring.get("other", "ec-1")
    assert own is not None
    assert others is not None
    assert own.id != others.id
    assert ring.get("other", "rsa-1") is None
    assert ring.get("nobody", "rsa-1") is None
    assert (ring.known("idp"), ring.known("nobody")) == (True, False)
    assert (ring.fetched_at("idp"), ring.fetched_at("nobody")) == (100, 0)


def test_a_token_without_kid_means_the_only_key_that_fits() -> None:
    nameless = [Key("", key.kty, key.algorithms, key.public, key.jwk, key.id) for key in read_jwks(jwks(RS256), ALL)[0]]
    ring = ring_of(one=[RS256, ES256], two=[RS256, Signer("rsa-2", "RS256", "rsa-2")]).with_issuer("bare", nameless, 1)
    one = ring.only("one", "RS256")
    assert one is not None
    assert one.kid == "rsa-1"
    assert ring.only("two", "RS256") is None
    assert ring.only("one", "EdDSA") is None
    assert ring.only("nobody", "RS256") is None
    assert ring.only("bare", "RS256") is nameless[0]
    assert ring.get("bare", "") is None


def test_a_ring_is_never_changed() -> None:
    before = ring_of(idp=[RS256])
    after = before.with_issuer("idp", read_jwks(jwks(ES256), ALL)[0], 200)
    assert before.get("idp", "rsa-1") is not None
    assert after.get("idp", "rsa-1") is None
    assert after.known("idp")
    assert not after.known("other")


def test_ids_say_which_keys_are_still_their_issuers() -> None:
    ring = ring_of(idp=[RS256], other=[RS256])
    key = ring.get("idp", "rsa-1")
    assert key is not None
    assert key_id("idp", key) in ring.ids
    assert len(ring.ids) == 2
    assert key_id("idp", key) not in ring.with_issuer("idp", (), 300).ids


def test_a_trust_bundles_keys_for_tokens_are_told_from_those_for_certificates() -> None:
    """SPIFFE bundles hold both (`jwt-svid`, `x509-svid`); elsewhere neither word means a key for signatures."""
    bundle = [
        {**RS256.jwk, "use": "jwt-svid"}, {**ES256.jwk, "use": "x509-svid"}, {**EDDSA.jwk, "use": ["jwt-svid"]},
    ]  # fmt: skip
    usable, faults = read_keys(bundle, ALL, frozenset({"sig", "jwt-svid"}))
    assert [key.kid for key in usable] == [RS256.kid]
    assert len(faults) == 2
    assert read_keys(bundle, ALL)[0] == ()
    assert read_keys([usable[0].jwk], ALL)[0][0].id == usable[0].id, "as a door gets it from control"
