"""Public keys that do not belong to one owner, though they can be read: whoever takes the trouble signs for them.

Some come from a generator that was faulty, some from octets that never were a key: zeros, a counter, a placeholder that
stayed. A library that verifies takes them all, because it asks whether a signature fits and not who could have made it.
So a key is looked at once, when its set arrives, and left out with its reason.

* RSA: the partial validation of NIST SP 800-89, section 5.3.3 (no factor below 752, no power), and the keys of
  CVE-2017-15361, whose private half follows from the public one.
* Ed25519: the octets are the one spelling of a point on the curve (RFC 8032, section 5.1.3), and its order is not a
  small one. Under a point of small order one signature fits many messages, and nobody needs a private key to write it.

Points of the NIST curves are checked by the library that reads them, and have no small orders.
"""

from __future__ import annotations

from math import gcd, isqrt, prod
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

_SMALLEST_FACTOR: Final = 752
_SMALL_PRIMES: Final = prod(n for n in range(2, _SMALLEST_FACTOR) if all(n % m for m in range(2, isqrt(n) + 1)))
_ROCA_PRIMES: Final = (11, 13, 17, 19, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151, 157)
_ROCA_POWERS: Final = {prime: {pow(65537, power, prime) for power in range(prime)} for prime in _ROCA_PRIMES}

# RFC 8032 section 5.1: the field, and -x² + y² = 1 + d x² y² over it.
_P: Final = 2**255 - 19
_D: Final = -121665 * pow(121666, -1, _P) % _P
_ROOT_OF_MINUS_ONE: Final = pow(2, (_P - 1) // 4, _P)
_COFACTOR_DOUBLINGS: Final = 3
_NEUTRAL: Final = (0, 1)


def fault_of(public: object) -> str:
    """Why no signature of this key is believed; "" for a sound one."""
    if isinstance(public, RSAPublicKey):
        return _fault_of_modulus(public.public_numbers().n)
    if isinstance(public, Ed25519PublicKey):
        return _fault_of_point(public.public_bytes_raw())
    return ""


def _fault_of_modulus(modulus: int) -> str:
    # By chance it is a power of 65537 modulo every one of them once in 2**28.
    if all(modulus % prime in powers for prime, powers in _ROCA_POWERS.items()):
        return "it was made by a faulty generator (CVE-2017-15361)"
    if gcd(modulus, _SMALL_PRIMES) != 1 or isqrt(modulus) ** 2 == modulus:
        return "its modulus has factors that anybody can find"
    return ""


def _fault_of_point(octets: bytes) -> str:
    point = _point(octets)
    if point is None:
        return "it is no point on its curve"
    for _ in range(_COFACTOR_DOUBLINGS):
        point = _doubled(*point)
    return "its point has a small order: anybody can sign for it" if point == _NEUTRAL else ""


def _point(octets: bytes) -> tuple[int, int] | None:
    """RFC 8032 section 5.1.3; None where the octets spell none, or one that has another spelling."""
    number = int.from_bytes(octets, "little")
    y, is_odd = number % 2**255, number >> 255
    if y >= _P:
        return None
    square = (y * y - 1) * pow(_D * y * y + 1, -1, _P) % _P
    x = pow(square, (_P + 3) // 8, _P)
    if (x * x - square) % _P:
        x = x * _ROOT_OF_MINUS_ONE % _P
    if (x * x - square) % _P or (x == 0 and is_odd):
        return None
    return (_P - x if x % 2 != is_odd else x), y


def _doubled(x: int, y: int) -> tuple[int, int]:
    both = _D * x * x * y * y % _P
    return 2 * x * y * pow(1 + both, -1, _P) % _P, (x * x + y * y) * pow(1 - both, -1, _P) % _P
