"""A door takes a key that is one, and none from a message of another form: then it vouches for nobody."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import pytest

from gateway.door.vouching import key_in

GOOD = {"t": "assertion_key", "kid": "k1", "secret": b64encode(b"k" * 32).decode()}


def test_a_key_is_taken() -> None:
    key = key_in(GOOD)
    assert key is not None
    assert (key.kid, key.algorithm) == ("k1", "HS256")


@pytest.mark.parametrize(
    "changed",
    [
        {"kid": None},
        {"kid": 7},
        {"secret": None},
        {"secret": "not base64!"},
        {"secret": b64encode(b"short").decode()},
        {"secret": ""},
        {"secret": ["k"]},
    ],
)
def test_anything_else_is_no_key(changed: dict[str, Any]) -> None:
    assert key_in({**GOOD, **changed}) is None
