"""Issuers' public keys: which keys of a JWKS document may verify a token, and the ring the door holds them in.

Strategy: a key set is read once, when it arrives, and everything that could go wrong with a key is decided then.
What is left is a :class:`Key` that knows the algorithms it may verify, bound to its type and curve, so that a
token's header can only pick among them and never turns an RSA key into an HMAC secret (RFC 8725 section 3.1).
Dropped, each with a fault that names the key: symmetric keys, private keys, keys for encryption, RSA below 2048
bits, unknown curves, points that are not on their curve, keys for which others could sign (`faulty_keys.py`), two
different keys under one ``kid``.

Keys come from the configured issuer alone. Nothing here fetches, and nothing here reads a token.
"""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from hashlib import sha256
from typing import Any, Final, NamedTuple, cast

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256, SHA384, SHA512
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm, RSAPSSAlgorithm
from jwt.exceptions import InvalidKeyError

from gateway.identity.faulty_keys import fault_of
from gateway.identity.strict import base64url, is_clean, json_object

DOCUMENT_LIMIT_BYTES: Final = 512 * 1024
KEYS_LIMIT: Final = 100
RSA_BITS: Final = range(2048, 8193)  # beyond it one verification costs milliseconds
EXPONENT_BYTES: Final = range(1, 5)
FOR_SIGNATURES: Final = frozenset({"sig"})
PARAMETER_LIMIT: Final = 1366  # characters: a modulus of 8192 bits

# The algorithm objects of PyJWT, asymmetric ones alone: HMAC and `none` are not here, so they cannot be chosen.
ALGORITHMS: Final[Mapping[str, Any]] = {
    "RS256": RSAAlgorithm(RSAAlgorithm.SHA256),
    "RS384": RSAAlgorithm(RSAAlgorithm.SHA384),
    "RS512": RSAAlgorithm(RSAAlgorithm.SHA512),
    "PS256": RSAPSSAlgorithm(RSAPSSAlgorithm.SHA256),
    "PS384": RSAPSSAlgorithm(RSAPSSAlgorithm.SHA384),
    "PS512": RSAPSSAlgorithm(RSAPSSAlgorithm.SHA512),
    "ES256": ECAlgorithm(ECAlgorithm.SHA256),
    "ES384": ECAlgorithm(ECAlgorithm.SHA384),
    "ES512": ECAlgorithm(ECAlgorithm.SHA512),
    "EdDSA": OKPAlgorithm(),
}
_PKCS1: Final = {"RS256": SHA256(), "RS384": SHA384(), "RS512": SHA512()}
_PKCS1_PADDING: Final = PKCS1v15()

# (kty, crv) -> the algorithms such a key can verify. RFC 7518 section 3.4 gives each curve one; Ed448 is left out
# because no provider signs tokens with it.
_FITTING: Final[Mapping[tuple[str, str], frozenset[str]]] = {
    ("RSA", ""): frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}),
    ("EC", "P-256"): frozenset({"ES256"}),
    ("EC", "P-384"): frozenset({"ES384"}),
    ("EC", "P-521"): frozenset({"ES512"}),
    ("OKP", "Ed25519"): frozenset({"EdDSA"}),
}
_MATERIAL: Final[Mapping[str, tuple[str, ...]]] = {"RSA": ("e", "n"), "EC": ("crv", "x", "y"), "OKP": ("crv", "x")}
_MAKERS: Final[Mapping[str, Callable[[dict[str, str]], object]]] = {
    "RSA": RSAAlgorithm.from_jwk,
    "EC": ECAlgorithm.from_jwk,
    "OKP": OKPAlgorithm.from_jwk,
}
_PRIVATE: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})


class Key:
    """One public key that may verify tokens.

    ``id`` names the key *material* (``kid`` and RFC 7638 thumbprint): an issuer that puts another key under an old
    ``kid`` has another id. ``jwk`` is the public key again, with nothing but what :func:`read_keys` needs.
    """

    __slots__ = ("algorithms", "id", "issuer", "jwk", "kid", "kty", "octets", "public")

    def __init__(
        self, kid: str, kty: str, algorithms: frozenset[str], public: object, jwk: Mapping[str, object], thumbprint: str
    ) -> None:
        self.kid = kid  # "" = the key set gives it none
        self.kty = kty
        self.algorithms = algorithms
        self.public = public
        self.octets = (public.key_size + 7) // 8 if isinstance(public, RSAPublicKey) else 0  # of an RSA signature
        self.jwk = jwk
        self.issuer = str(jwk.get("issuer", ""))  # Microsoft's extension: the only `iss` it signs for
        self.id = f"{kid}:{thumbprint}"

    def verify(self, algorithm: str, message: bytes, signature: bytes) -> bool:
        """True when ``signature`` is this key's over ``message``; False for an algorithm that is not the key's."""
        if algorithm not in self.algorithms:
            return False
        # RFC 8017 sections 8.1.2 and 8.2.2, step 1. OpenSSL takes a PSS signature without its leading zeros, too.
        if self.octets and len(signature) != self.octets:
            return False
        digest = _PKCS1.get(algorithm)
        if digest is None:
            return bool(ALGORITHMS[algorithm].verify(message, self.public, signature))
        # INVARIANT: the key is RSA, by `_FITTING`. PyJWT does the same, but makes padding and hash anew each time.
        try:
            cast(RSAPublicKey, self.public).verify(signature, message, _PKCS1_PADDING, digest)
        except InvalidSignature:
            return False
        return True


class _IssuerKeys(NamedTuple):
    keys: tuple[Key, ...]
    by_kid: Mapping[str, Key]
    fetched_at: int


class KeyRing:
    """The keys of all issuers. Immutable: a refresh makes another ring, and a request reads one ring."""

    __slots__ = ("_issuers", "ids")

    def __init__(self, issuers: Mapping[str, _IssuerKeys] | None = None) -> None:
        self._issuers: Mapping[str, _IssuerKeys] = issuers or {}
        # What `Verified.key_id` is looked up in, to forget tokens whose key has left its issuer's set.
        self.ids = frozenset(key_id(name, key) for name, held in self._issuers.items() for key in held.keys)

    def with_issuer(self, name: str, keys: Sequence[Key], fetched_at: int) -> KeyRing:
        """A ring in which ``keys`` are all the keys of issuer ``name``."""
        by_kid = {key.kid: key for key in keys if key.kid}
        return KeyRing({**self._issuers, name: _IssuerKeys(tuple(keys), by_kid, fetched_at)})

    def known(self, name: str) -> bool:
        """Whether the issuer's key set was ever read; False is no statement about a token."""
        return name in self._issuers

    def fetched_at(self, name: str) -> int:
        """When the issuer last confirmed its keys, epoch seconds; 0 = never."""
        held = self._issuers.get(name)
        return held.fetched_at if held is not None else 0

    def get(self, name: str, kid: str) -> Key | None:
        held = self._issuers.get(name)
        return held.by_kid.get(kid) if held is not None else None

    def only(self, name: str, algorithm: str) -> Key | None:
        """The issuer's one key for ``algorithm``: what a token without ``kid`` means, if it means anything."""
        held = self._issuers.get(name)
        fitting = [key for key in held.keys if algorithm in key.algorithms] if held is not None else []
        return fitting[0] if len(fitting) == 1 else None


def key_id(issuer_name: str, key: Key) -> str:
    """The name of a key across issuers, as in `Verified.key_id`, `KeyRing.ids` and audit records."""
    return f"{issuer_name}:{key.id}"


def read_jwks(
    document: bytes, algorithms: Iterable[str], uses: frozenset[str] = FOR_SIGNATURES
) -> tuple[tuple[Key, ...], list[str]]:
    """The usable keys of a JWKS document (RFC 7517 section 5) and a fault for each one left out. ``uses``: what the
    `use` of a key may say."""
    if len(document) > DOCUMENT_LIMIT_BYTES:
        return (), [f"the key set is larger than {DOCUMENT_LIMIT_BYTES // 1024} KiB"]
    jwks = json_object(document)
    keys = jwks.get("keys") if jwks is not None else None
    if not isinstance(keys, list):
        return (), ["the key set is not a JSON object with a list `keys`"]
    return read_keys(keys, algorithms, uses)


def read_keys(
    jwks: Sequence[object], algorithms: Iterable[str], uses: frozenset[str] = FOR_SIGNATURES
) -> tuple[tuple[Key, ...], list[str]]:
    """The same for the list inside: how a door reads the keys that control sends it."""
    allowed = frozenset(algorithms)
    keys: list[Key] = []
    faults: list[str] = []
    for index, jwk in enumerate(jwks[:KEYS_LIMIT]):
        key = _read_key(jwk, allowed, uses)
        if isinstance(key, Key):
            keys.append(key)
        else:
            faults.append(f"key {_named(jwk, index)} is left out: {key}")
    if len(jwks) > KEYS_LIMIT:
        faults.append(f"keys after the first {KEYS_LIMIT} are left out")
    return _unambiguous(keys, faults), faults


def _read_key(jwk: object, allowed: frozenset[str], uses: frozenset[str]) -> Key | str:
    """A key, or why not."""
    if not isinstance(jwk, dict):
        return "it is not a JSON object"
    kty, crv = jwk.get("kty"), jwk.get("crv", "")
    if not isinstance(kty, str) or kty not in _MATERIAL:
        return "its `kty` is none of RSA, EC, OKP"
    if not _PRIVATE.isdisjoint(jwk):
        return "its private part is published"
    kid = jwk.get("kid", "")
    if kid != "" and not is_clean(kid):
        return "its `kid` is not a short text"
    fitting = _algorithms_of(jwk, kty, crv, uses)
    if isinstance(fitting, str):
        return fitting
    if not fitting & allowed:
        return "no algorithm it fits is accepted from this issuer"
    material = {"kty": kty} | {name: jwk.get(name) for name in _MATERIAL[kty]}
    if not all(isinstance(value, str) for value in material.values()):
        return "its parameters are incomplete"
    made = _public_key(tuple(sorted(cast(dict[str, str], material).items())))
    if isinstance(made, str):
        return made
    public, thumbprint = made
    rest = {name: jwk[name] for name in ("kid", "alg", "issuer") if isinstance(jwk.get(name), str)}
    return Key(kid, kty, fitting & allowed, public, material | rest, thumbprint)


def _algorithms_of(jwk: Mapping[str, object], kty: str, crv: object, uses: frozenset[str]) -> frozenset[str] | str:
    """What the key may verify by its type, narrowed by its own `use`, `key_ops` and `alg` (RFC 7517 section 4)."""
    if jwk.get("use", "sig") not in list(uses):
        return "its `use` is not sig"
    operations = jwk.get("key_ops", ["verify"])
    if not isinstance(operations, list) or "verify" not in operations:
        return "its `key_ops` lack verify"
    fitting = _FITTING.get((kty, crv if kty != "RSA" and isinstance(crv, str) else ""))
    if fitting is None:
        return "its curve is not supported"
    own = jwk.get("alg")
    if own is None:
        return fitting
    return fitting & {own} if isinstance(own, str) and own in fitting else "its `alg` does not fit its type"


@lru_cache(maxsize=512)
def _public_key(material: tuple[tuple[str, str], ...]) -> tuple[object, str] | str:
    """The key object and its RFC 7638 thumbprint. Remembered, because every overlay repeats every key."""
    jwk = dict(material)
    if any(len(value) > PARAMETER_LIMIT or not value.isascii() for value in jwk.values()):
        return "its parameters make no key"
    # PyJWT reads padded and junk base64; what it is given has one spelling.
    parameters = {name: base64url(jwk[name].encode()) for name in ("e", "n", "x", "y") if name in jwk}
    if not all(parameters.values()):
        return "its parameters are not base64url"
    if jwk["kty"] == "RSA" and len(parameters["e"] or b"") not in EXPONENT_BYTES:
        return "its exponent is too large"
    try:
        public = _MAKERS[jwk["kty"]](jwk)
    except (InvalidKeyError, ValueError, UnsupportedAlgorithm):
        return "its parameters make no key"
    if isinstance(public, RSAPublicKey) and public.key_size not in RSA_BITS:
        return f"it has {public.key_size} bits, not {RSA_BITS[0]} to {RSA_BITS[-1]}"
    if fault := fault_of(public):
        return fault
    canonical = "{" + ",".join(f'"{name}":"{value}"' for name, value in material) + "}"
    digest = sha256(canonical.encode()).digest()
    return public, urlsafe_b64encode(digest[:12]).decode()


def _unambiguous(keys: list[Key], faults: list[str]) -> tuple[Key, ...]:
    """Same key twice is one key; two keys under one `kid` are none, because a token could mean either."""
    distinct = {key.id: key for key in keys}
    counts: dict[str, int] = {}
    for key in distinct.values():
        counts[key.kid] = counts.get(key.kid, 0) + 1
    ambiguous = sorted(kid for kid, count in counts.items() if kid and count > 1)
    faults.extend(f"all keys named `{kid}` are left out: the name is given to different keys" for kid in ambiguous)
    return tuple(key for key in distinct.values() if key.kid not in ambiguous)


def _named(jwk: object, index: int) -> str:
    kid = jwk.get("kid") if isinstance(jwk, dict) else None
    return f"`{kid}`" if is_clean(kid) else f"number {index + 1}"
