"""Tokens an attacker would try, by class, each with the exact code it is refused with.

The attacker may have: a good token of another person or time, the public keys, keys and an issuer of his own that
is configured too, and any bytes he likes. A token is signed with the issuer's real key where the class is about
what issuers must not be trusted to send either.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from gateway.config import Groups, Issuer, MatchField
from gateway.errors import FAULTS, Refused
from gateway.identity.issuers import IssuerTable
from gateway.identity.jwks import KeyRing, read_jwks
from gateway.identity.tokens import KeyWanted, Verified, verify
from tests.support.tokens import EDDSA, ES256, NOW, RS256, Signer, base64url, claims, jwks, private_key

ALGORITHMS = ("RS256", "ES256", "EdDSA")
MATCH = (MatchField("sub", "metadata.name"),)
IDP = Issuer("idp", "https://idp.test", ("api",), algorithms=ALGORITHMS, match=MATCH)
OTHER = Issuer("other", "https://other.test", ("api",), algorithms=("ES256",), match=MATCH)
PLAIN = Issuer("plain", "https://plain.test", ("api",), algorithms=("RS256",), token_types=("at+jwt",), match=MATCH)
ISSUERS = IssuerTable.from_settings([IDP, OTHER, PLAIN])

OTHERS_KEY = Signer("p256-2", "ES256", "ec-1")  # under the name of a key of idp
ATTACKER = Signer("rsa-2", "RS256", "rsa-1")
KEYS = (
    KeyRing()
    .with_issuer("idp", read_jwks(jwks(RS256, ES256, EDDSA), ALGORITHMS)[0], NOW)
    .with_issuer("other", read_jwks(jwks(OTHERS_KEY), ALGORITHMS)[0], NOW)
    .with_issuer("plain", read_jwks(jwks(RS256), ALGORITHMS)[0], NOW)
)

MALFORMED, ALGORITHM, CLAIMS = "token_malformed", "token_algorithm", "token_claims"
SIGNATURE, KEY, ISSUER, AUDIENCE, TYPE = (
    "token_signature",
    "token_key_unknown",
    "token_issuer",
    "token_audience",
    "token_type",
)
Case = tuple[str, bytes | Callable[[], bytes], str]


def code_of(token: bytes) -> str:
    verdict = verify(token, ISSUERS, KEYS, NOW)
    if isinstance(verdict, Verified):
        return "accepted"
    refused = verdict.refusal if isinstance(verdict, KeyWanted) else verdict
    assert isinstance(refused, Refused)
    assert refused.code in FAULTS
    return refused.code


def unsigned(header: object, signature: bytes = b"") -> bytes:
    parts = (json.dumps(part).encode() for part in (header, claims()))
    return b".".join((*map(base64url, parts), base64url(signature)))


def with_hmac(secret: bytes, alg: str = "HS256", **header: object) -> bytes:
    message = b".".join(
        base64url(json.dumps(part).encode()) for part in ({"alg": alg, "typ": "JWT", **header}, claims())
    )
    return message + b"." + base64url(hmac.new(secret, message, hashlib.sha256).digest())


def pem() -> bytes:
    return bytes(private_key("rsa").public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))


def der() -> bytes:
    return bytes(private_key("rsa").public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))


def segments(token: bytes) -> list[bytes]:
    return token.split(b".")


# === alg none, and every other way to say nothing signed it ===


def alg_none() -> Iterator[Case]:
    for alg in (
        "none",
        "None",
        "NONE",
        "nOnE",
        "none ",
        " none",
        "none\x00",
        "",
        "null",
        "ROT13",
        "rs256",
        "RS256 ",
        "Rs256",
    ):
        yield f"alg_{alg!r}", unsigned({"alg": alg, "typ": "JWT", "kid": "rsa-1"}), ALGORITHM
    for name, wrong in {"null": None, "number": 0, "true": True, "list": ["RS256"], "object": {"alg": "RS256"}}.items():
        yield f"alg_{name}", unsigned({"alg": wrong, "typ": "JWT", "kid": "rsa-1"}), MALFORMED
    yield "alg_absent", unsigned({"typ": "JWT", "kid": "rsa-1"}), MALFORMED
    yield "alg_none_with_a_real_signature", unsigned({"alg": "none"}, b"x" * 256), ALGORITHM
    yield "alg_rs256_without_signature", unsigned({"alg": "RS256", "typ": "JWT", "kid": "rsa-1"}), SIGNATURE
    yield "alg_es256_without_signature", unsigned({"alg": "ES256", "typ": "JWT", "kid": "ec-1"}), SIGNATURE
    yield "alg_eddsa_without_signature", unsigned({"alg": "EdDSA", "typ": "JWT", "kid": "ed-1"}), SIGNATURE
    zeros = unsigned({"alg": "ES256", "typ": "JWT", "kid": "ec-1"}, bytes(64))
    yield "alg_es256_signature_of_zeros", zeros, SIGNATURE
    order = (0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551).to_bytes(32, "big")
    yield (
        "alg_es256_signature_of_the_order",
        unsigned({"alg": "ES256", "typ": "JWT", "kid": "ec-1"}, order * 2),
        SIGNATURE,
    )


# === a public key as a shared secret, and keys under another algorithm ===


def confusion() -> Iterator[Case]:
    yield "hs256_with_the_public_pem", lambda: with_hmac(pem(), kid="rsa-1"), ALGORITHM
    yield "hs256_with_the_public_der", lambda: with_hmac(der(), kid="rsa-1"), ALGORITHM
    yield "hs256_with_the_jwk", lambda: with_hmac(json.dumps(RS256.jwk).encode(), kid="rsa-1"), ALGORITHM
    yield "hs256_with_the_modulus", lambda: with_hmac(RS256.jwk["n"].encode(), kid="rsa-1"), ALGORITHM
    yield "hs256_with_an_empty_secret", with_hmac(b"", kid="rsa-1"), ALGORITHM
    yield "hs384_without_kid", with_hmac(b"secret", alg="HS384"), ALGORITHM
    yield "hs512_without_kid", with_hmac(b"secret", alg="HS512"), ALGORITHM
    yield "es256k", Signer("k256", "ES256K", "ec-1").token(), ALGORITHM
    yield "rs512_not_listed", Signer("rsa", "RS512", "rsa-1").token(), ALGORITHM
    yield "ps256_not_listed", Signer("rsa", "PS256", "rsa-1").token(), ALGORITHM
    yield "es384_not_listed", Signer("p384", "ES384", "ec-1").token(), ALGORITHM
    yield "es256_says_an_rsa_key", ES256.token({"kid": "rsa-1"}), ALGORITHM
    yield "rs256_says_an_ec_key", RS256.token({"kid": "ec-1"}), ALGORITHM
    yield "eddsa_says_an_ec_key", EDDSA.token({"kid": "ec-1"}), ALGORITHM
    yield "es256_from_an_issuer_with_rs256_alone", ES256.token(iss="https://plain.test"), ALGORITHM
    for alg in ("RSA-OAEP", "dir", "A128KW", "PBES2-HS256+A128KW", "ECDH-ES"):
        yield f"encryption_algorithm_{alg}", RS256.token({"alg": alg}), ALGORITHM


# === keys that the token brings along or points to ===


def brought_keys() -> Iterator[Case]:
    own = ATTACKER.jwk
    yield "jwk_embedded", ATTACKER.token({"jwk": own}), SIGNATURE
    yield "jwk_embedded_and_no_kid", ATTACKER.token({"jwk": own, "kid": ...}), SIGNATURE
    yield "jwk_embedded_under_a_new_kid", ATTACKER.token({"jwk": {**own, "kid": "mine"}, "kid": "mine"}), KEY
    yield "jwk_symmetric", lambda: with_hmac(b"k", kid="rsa-1", jwk={"kty": "oct", "k": "aw"}), ALGORITHM
    for name in ("jku", "x5u"):
        for url in (
            "https://evil.test/keys",
            "file:///etc/passwd",
            "https://idp.test@evil.test/",
            "http://169.254.169.254/",
        ):
            yield f"{name}_{url}", ATTACKER.token({name: url}), SIGNATURE
    yield "jku_under_a_new_kid", ATTACKER.token({"jku": "https://evil.test/keys", "kid": "mine"}), KEY
    yield "x5c_embedded", ATTACKER.token({"x5c": ["MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8A"]}), SIGNATURE
    yield "x5t_of_something", ATTACKER.token({"x5t": "AAAA", "x5t#S256": "AAAA"}), SIGNATURE
    yield "key_of_the_attacker_under_a_good_name", ATTACKER.token(), SIGNATURE


# === the name of the key ===


def kid() -> Iterator[Case]:
    texts = {
        "path": "../../../../dev/null",
        "sql": "' UNION SELECT 'secret' --",
        "command": "rsa-1;id",
        "nul": "rsa-1\x00",
        "line_end": "rsa-1\r\nX: y",
        "other_case": "RSA-1",
        "space": "rsa-1 ",
        "wildcard": "*",
        "longest": "k" * 256,
        "thumbprint": "rsa-1:AAAA",
    }
    for name, text in texts.items():
        yield f"kid_{name}", RS256.token({"kid": text}), KEY
    yield "kid_surrogate", RS256.token({"kid": "\ud800"}), MALFORMED
    yield "kid_of_another_key_of_the_issuer", Signer("rsa", "RS256", "ed-1").token(), ALGORITHM
    wrong: dict[str, object] = {"null": None, "number": 1, "true": True, "list": ["rsa-1"], "object": {}, "empty": ""}
    for name, value in wrong.items():
        yield f"kid_{name}", RS256.token({"kid": value}), MALFORMED
    yield "kid_too_long", RS256.token({"kid": "k" * 257}), MALFORMED
    yield "kid_absent_with_the_attackers_key", ATTACKER.token({"kid": ...}), SIGNATURE


# === signature and encoding ===


def tampering() -> Iterator[Case]:
    good = RS256.token()
    header, payload, signature = segments(good)
    message = header + b"." + payload
    raw = RS256.signature(message)
    for name, tampered in {
        "last_bit": raw[:-1] + bytes((raw[-1] ^ 1,)),
        "first_bit": bytes((raw[0] ^ 0x80,)) + raw[1:],
        "cut": raw[:-3],
        "with_more": raw + b"\x00",
        "with_zero_before": b"\x00" + raw,
        "twice": raw + raw,
        "reversed": raw[::-1],
        "zeros": bytes(256),
    }.items():
        yield f"signature_{name}", message + b"." + base64url(tampered), SIGNATURE
    yield "signature_of_another_token", b".".join((header, payload, segments(RS256.token(sub="joe"))[2])), SIGNATURE
    yield "payload_of_another_token", b".".join((header, segments(RS256.token(sub="joe"))[1], signature)), SIGNATURE
    yield "header_of_another_token", b".".join((segments(RS256.token({"a": 1}))[0], payload, signature)), SIGNATURE
    yield "ecdsa_signature_as_der", _der_signature, SIGNATURE
    ec_message = b".".join(segments(ES256.token())[:2])
    ec_raw = ES256.signature(ec_message)
    for name, tampered in {
        "cut": ec_raw[:-1],
        "half": ec_raw[:32],
        "with_more": ec_raw + b"\x00",
        "zeros": bytes(64),
    }.items():
        yield f"ecdsa_signature_{name}", ec_message + b"." + base64url(tampered), SIGNATURE
    ed_message = b".".join(segments(EDDSA.token())[:2])
    for name, tampered in {
        "short": bytes(63),
        "zeros": bytes(64),
        "long": EDDSA.signature(ed_message) + b"\x00",
    }.items():
        yield f"eddsa_signature_{name}", ed_message + b"." + base64url(tampered), SIGNATURE
    for position, name in enumerate(("header", "payload", "signature")):
        for junk, what in (
            (b"=", "padded"),
            (b"==", "padded_twice"),
            (b"\n", "newline"),
            (b" ", "space"),
            (b"!", "junk"),
        ):
            parts = [header, payload, signature]
            parts[position] += junk
            yield f"{name}_{what}", b".".join(parts), MALFORMED
        parts = [header, payload, signature]
        parts[position] = parts[position][:3] + b"\xc3\xa9" + parts[position][3:]
        yield f"{name}_not_ascii", b".".join(parts), MALFORMED
        parts = [header, payload, signature]
        parts[position] = parts[position][:3] + b"+" + parts[position][4:]
        yield f"{name}_other_alphabet", b".".join(parts), MALFORMED
    yield "signature_spare_bits", lambda: _spare_bits(message), MALFORMED


def _der_signature() -> bytes:
    message = b".".join(segments(ES256.token())[:2])
    return message + b"." + base64url(private_key("p256").sign(message, ec.ECDSA(SHA256())))


def _spare_bits(message: bytes) -> bytes:
    """256 bytes end in a character with four unused bits; setting one spells the same bytes again."""
    signature = base64url(RS256.signature(message))
    alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return message + b"." + signature[:-1] + alphabet[alphabet.index(signature[-1]) + 1 :][:1]


# === what is hardly a token ===


def degenerate() -> Iterator[Case]:
    good = RS256.token()
    header, payload, signature = segments(good)
    shapes = {
        "empty": b"",
        "one_dot": b".",
        "two_dots": b"..",
        "three_dots": b"...",
        "many_dots": b"." * 16_000,
        "one_segment": header,
        "two_segments": header + b"." + payload,
        "four_segments": good + b".AAAA",
        "five_segments": b".".join((header, b"AA", b"AA", b"AA", b"AA")),
        "trailing_dot": good + b".",
        "leading_dot": b"." + good,
        "no_header": b"." + payload + b"." + signature,
        "no_payload": header + b".." + signature,
        "twice": good + b"." + good,
        "with_scheme": b"Bearer " + good,
        "two_tokens": good + b"," + good,
        "quoted": b'"' + good + b'"',
        "json_serialization": json.dumps({"payload": payload.decode(), "signature": signature.decode()}).encode(),
        "nul": b"\x00",
        "random": bytes(range(256)),
        "utf16": good.decode().encode("utf-16"),
        "too_large": good + b"A" * 16_384,
    }
    for name, token in shapes.items():
        yield name, token, MALFORMED
    yield "header_text", RS256.sign('"RS256"', claims()), MALFORMED
    yield "header_list", RS256.sign([RS256.header()], claims()), MALFORMED
    yield "header_null", RS256.sign(None, claims()), MALFORMED
    yield "header_empty_object", RS256.sign({}, claims()), MALFORMED
    for name, payload_of in {
        "text": '"jane"',
        "list": [claims()],
        "null": None,
        "number": 7,
        "empty": "",
        "jwt": good,
    }.items():
        yield f"payload_{name}", RS256.sign(RS256.header(), payload_of), MALFORMED
    nested = RS256.sign(RS256.header(cty="JWT"), RS256.token())
    yield "nested_token", nested, MALFORMED


# === time ===


def times() -> Iterator[Case]:
    wrong: dict[str, object] = {
        "text": str(NOW + 300),
        "text_date": "2027-01-15T08:00:00Z",
        "fraction": NOW + 300.5,
        "whole_fraction": float(NOW + 300),
        "huge": 1e308,
        "too_far": 2**40 + 1,
        "beyond_64_bits": 2**64,
        "negative": -1,
        "true": True,
        "null": None,
        "list": [NOW + 300],
        "object": {"seconds": NOW + 300},
        "empty": "",
    }
    for claim in ("exp", "iat", "nbf"):
        for name, value in wrong.items():
            yield f"{claim}_{name}", RS256.token(**dict[str, Any]({claim: value})), CLAIMS
    for name in ("NaN", "Infinity", "-Infinity"):
        text = json.dumps(claims(exp="?")).replace('"?"', name)
        yield f"exp_{name}", RS256.sign(RS256.header(), text), MALFORMED
    text = json.dumps(claims(exp="?")).replace('"?"', "9" * 5000)
    yield "exp_of_5000_digits", RS256.sign(RS256.header(), text), MALFORMED
    text = json.dumps(claims(exp="?")).replace('"?"', "1e999")
    yield "exp_overflow", RS256.sign(RS256.header(), text), MALFORMED
    yield "exp_absent", RS256.token(exp=...), CLAIMS
    yield "iat_absent", RS256.token(iat=...), CLAIMS
    yield "exp_past", RS256.token(exp=NOW - 60), "token_expired"
    yield "exp_zero", RS256.token(exp=0), "token_expired"
    yield "exp_in_milliseconds", RS256.token(exp=(NOW + 300) * 1000), CLAIMS
    yield "nbf_future", RS256.token(nbf=NOW + 3600), "token_not_yet_valid"
    yield "iat_future", RS256.token(iat=NOW + 3600), "token_not_yet_valid"
    yield "expired_and_signed_by_the_attacker", ATTACKER.token(exp=NOW - 60), "token_expired"


# === issuer, audience, subject ===


def names() -> Iterator[Case]:
    near = {
        "slash": "https://idp.test/",
        "port": "https://idp.test:443",
        "other_case": "https://IDP.test",
        "prefix": "https://idp.tes",
        "suffix": "https://idp.test.evil.test",
        "userinfo": "https://idp.test@evil.test",
        "plain_http": "http://idp.test",
        "space": "https://idp.test ",
        "name_of_the_settings": "idp",
        "unknown": "https://evil.test",
        "empty": "",
    }
    for name, iss in near.items():
        yield f"iss_{name}", RS256.token(iss=iss), ISSUER
    untyped: dict[str, object] = {"null": None, "number": 1, "list": ["https://idp.test"], "object": {}, "absent": ...}
    for name, value in untyped.items():
        yield f"iss_{name}", RS256.token(iss=value), CLAIMS
    yield "iss_of_another_configured_issuer", RS256.token(iss="https://other.test"), ALGORITHM
    yield "iss_signed_by_another_configured_issuer", OTHERS_KEY.token(), SIGNATURE
    yield "iss_other_signed_by_idp", ES256.token(iss="https://other.test"), SIGNATURE
    near_audiences: dict[str, object] = {
        "other": "other",
        "prefix": "ap",
        "suffix": "api2",
        "other_case": "API",
        "space": "api ",
        "joined": "api other",
        "empty": "",
        "list_of_others": ["other", "another"],
        "list_of_characters": ["a", "p", "i"],
        "wildcard": "*",
        "issuer": "https://idp.test",
    }
    for name, aud in near_audiences.items():
        yield f"aud_{name}", RS256.token(aud=aud), AUDIENCE
    wrong: dict[str, object] = {
        "absent": ...,
        "null": None,
        "number": 1,
        "true": True,
        "empty_list": [],
        "object": {"api": True},
        "list_with_number": ["api", 1],
        "list_with_null": ["api", None],
        "list_of_lists": [["api"]],
    }
    for name, aud in wrong.items():
        yield f"aud_{name}", RS256.token(aud=aud), CLAIMS
    subjects: dict[str, object] = {
        "absent": ...,
        "null": None,
        "empty": "",
        "number": 1,
        "list": ["jane"],
        "object": {"sub": "jane"},
        "too_long": "j" * 256,
        "line_end": "jane\r\nX-Stagedoor-User: root",
        "newline": "jane\n",
        "tab": "jane\t",
        "nul": "jane\x00root",
        "delete": "jane\x7f",
        "c1_control": "jane\x85",
        "line_separator": "jane\u2028",
    }
    for name, sub in subjects.items():
        yield f"sub_{name}", RS256.token(sub=sub), CLAIMS
    yield "sub_surrogate", RS256.token(sub="jane\ud800"), MALFORMED


# === tokens of another kind under the same key ===


def kinds() -> Iterator[Case]:
    for typ in (
        "id+jwt",
        "logout+jwt",
        "dpop+jwt",
        "secevent+jwt",
        "vnd.backstage.user",
        "JOSE",
        "JWE",
        "at+jwt2",
        "at jwt",
    ):
        yield f"typ_{typ}", RS256.token({"typ": typ}), TYPE
    yield "typ_absent", RS256.token({"typ": ...}), TYPE
    yield "typ_jwt_where_only_access_tokens_are_taken", RS256.token({"typ": "JWT"}, iss="https://plain.test"), TYPE
    wrong: dict[str, object] = {"null": None, "number": 1, "list": ["at+jwt"], "object": {}, "empty": ""}
    for name, value in wrong.items():
        yield f"typ_{name}", RS256.token({"typ": value}), MALFORMED
    jwt = {"typ": "JWT"}
    for claim in ("nonce", "at_hash", "c_hash", "s_hash"):
        yield f"id_token_with_{claim}", RS256.token(jwt, **{claim: "x"}), TYPE
    yield "id_token_by_token_use", RS256.token(jwt, token_use="id"), TYPE
    for said in ("ID", "Refresh", "Offline", "Logout", "refresh"):
        yield f"payload_type_{said}", RS256.token(jwt, typ=said), TYPE
    event: dict[str, object] = {"http://schemas.openid.net/event/backchannel-logout": {}}
    yield "logout_token", RS256.token(jwt, events=event, sid="s"), TYPE
    yield "security_event_token", RS256.token(jwt, events={"https://schemas.openid.net/secevent/caep": {}}), TYPE
    yield "dpop_proof_as_jwt", RS256.token(jwt, htm="GET", htu="https://api.test/"), TYPE
    yield "bound_to_a_dpop_key", RS256.token(cnf={"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}), TYPE
    yield "bound_to_a_certificate", RS256.token(cnf={"x5t#S256": "bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2"}), TYPE


# === members that change what the rest means, JSON with two readings, JSON that is too much ===


def meaning() -> Iterator[Case]:
    headers: dict[str, dict[str, object]] = {
        "crit": {"crit": ["exp"]},
        "crit_empty": {"crit": []},
        "crit_null": {"crit": None},
        "crit_unknown": {"crit": ["https://evil.test/x"], "https://evil.test/x": True},
        "crit_b64": {"crit": ["b64"], "b64": False},
        "b64_false": {"b64": False},
        "b64_true": {"b64": True},
        "zip": {"zip": "DEF"},
        "enc": {"enc": "A256GCM"},
        "jwe_dir": {"alg": "dir", "enc": "A256GCM"},
        "jwe_pbes2": {"alg": "PBES2-HS512+A256KW", "enc": "A256GCM", "p2c": 2**31, "p2s": "AAAA"},
    }
    for name, changes in headers.items():
        yield name, RS256.token(changes), MALFORMED


def json_readings() -> Iterator[Case]:
    header, payload = json.dumps(RS256.header()), json.dumps(claims())

    def twice(text: str, member: str) -> str:
        return text[:-1] + "," + member + "}"

    for name, member in {
        "alg": '"alg":"RS256"',
        "alg_none": '"alg":"none"',
        "alg_escaped": '"\\u0061lg":"none"',
        "kid": '"kid":"other"',
        "typ": '"typ":"JWT"',
    }.items():
        yield f"header_{name}_twice", RS256.sign(twice(header, member), claims()), MALFORMED
    for name, member in {
        "sub": '"sub":"root"',
        "sub_same": '"sub":"jane"',
        "sub_escaped": '"su\\u0062":"root"',
        "exp": f'"exp":{NOW + 9999}',
        "aud": '"aud":"api"',
        "iss": '"iss":"https://idp.test"',
        "groups": '"groups":["admins"]',
        "inner": '"x":{"a":1,"a":2}',
    }.items():
        yield f"claim_{name}_twice", RS256.sign(RS256.header(), twice(payload, member)), MALFORMED
    for name, text in {
        "trailing_comma": payload[:-1] + ",}",
        "comment": payload[:-1] + "/* x */}",
        "two_objects": payload + payload,
        "junk_after": payload + "\x00",
        "byte_order_mark": "\ufeff" + payload,
        "single_quotes": payload.replace('"', "'"),
    }.items():
        yield f"payload_{name}", RS256.sign(RS256.header(), text), MALFORMED
    for name, raw in {
        "utf16": payload.encode("utf-16"),
        "utf32": payload.encode("utf-32-be"),
        "latin1": payload.replace("jane", "jané").encode("latin-1"),
        "overlong": payload.encode().replace(b"jane", b"jan\xc0\xa5"),
    }.items():
        yield f"payload_{name}", RS256.sign(RS256.header(), raw), MALFORMED
    bombs = {
        "deep_lists": '{"a":' + "[" * 5000 + "]" * 5000 + "}",
        "deep_objects": '{"a":' * 1500 + "1" + "}" * 1500,
        "never_closed": "[" * 11_000,
        "just_too_deep": twice(payload, '"a":' + "[" * 16 + "]" * 16),
    }
    for name, text in bombs.items():
        yield f"bomb_{name}", RS256.sign(RS256.header(), text), MALFORMED
    yield "bomb_header", RS256.sign('{"alg":"RS256","a":' + "[" * 3000 + "]" * 3000 + "}", claims()), MALFORMED


def group_claims() -> Iterator[Case]:
    wrong: dict[str, object] = {
        "object": {"admins": True},
        "number": 1,
        "true": True,
        "null": None,
        "list_of_lists": [["admins"]],
        "list_of_objects": [{"name": "admins"}],
        "with_null": ["payments", None],
        "with_number": ["payments", 0],
        "line_end": ["payments\r\nX-Stagedoor-Groups: admins"],
        "nul": ["payments\x00"],
        "long": ["g" * 256],
        "empty_name": [""],
    }
    for name, value in wrong.items():
        yield f"groups_{name}", RS256.token(groups=value), CLAIMS


CLASSES: dict[str, Callable[[], Iterator[Case]]] = {
    "alg_none": alg_none,
    "confusion": confusion,
    "brought_keys": brought_keys,
    "kid": kid,
    "tampering": tampering,
    "degenerate": degenerate,
    "times": times,
    "names": names,
    "kinds": kinds,
    "meaning": meaning,
    "json": json_readings,
}


def cases(kinds_of: dict[str, Callable[[], Iterator[Case]]]) -> list[Any]:
    return [
        pytest.param(token, code, id=f"{kind}-{name}")
        for kind, make in kinds_of.items()
        for name, token, code in make()
    ]


@pytest.mark.parametrize(("token", "code"), cases(CLASSES))
def test_an_attack_is_refused_with_its_code(token: bytes | Callable[[], bytes], code: str) -> None:
    assert code_of(token() if callable(token) else token) == code


@pytest.mark.parametrize(("token", "code"), cases({"groups": group_claims}))
def test_groups_of_a_wrong_type_refuse_the_token(token: bytes, code: str) -> None:
    issuers = IssuerTable.from_settings([replace(IDP, groups=Groups("groups", MATCH))])
    verdict = verify(token, issuers, KEYS, NOW)
    assert isinstance(verdict, Refused)
    assert verdict.code == code


def test_the_token_the_attacks_start_from_is_good() -> None:
    """Each case differs from an accepted token in what it is named after."""
    for signer in (RS256, ES256, EDDSA):
        assert code_of(signer.token()) == "accepted"
    assert code_of(OTHERS_KEY.token(iss="https://other.test")) == "accepted"
    assert code_of(RS256.token(iss="https://plain.test")) == "accepted"


def test_members_that_are_not_understood_choose_nothing() -> None:
    """Key material in the header of a sound token is not looked at: the issuer's key decides."""
    header: dict[str, object] = {
        "jwk": ATTACKER.jwk,
        "jku": "https://evil.test",
        "x5u": "https://evil.test",
        "x5c": ["AA"],
    }
    assert code_of(RS256.token(header)) == "accepted"


def test_no_single_changed_byte_is_accepted() -> None:
    """Every byte of a token matters: there is no second spelling of an accepted one."""
    good = ES256.token()
    for position in range(len(good)):
        for changed in {good[position] ^ 1, good[position] ^ 0x20, ord("A"), ord("."), ord("=")} - {good[position]}:
            token = good[:position] + bytes((changed,)) + good[position + 1 :]
            assert code_of(token) != "accepted", (position, changed)
