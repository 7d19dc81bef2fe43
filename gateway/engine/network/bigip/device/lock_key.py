"""AS3's `optimisticLockKey`: what a tenant's declaration was when somebody read it, in 44 characters.

AS3 hashes the text of the declaration, so the order of keys counts and is kept: what came from a device is hashed as
it came. It guards against other writers of declarations, not against edits of the objects themselves.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Final

MEMBER: Final = "optimisticLockKey"


def lock_key_of(tenant: Mapping[str, Any]) -> str:
    """Of a tenant's declaration, with or without a key in it (AS3 3.56, seen at work: base64 of SHA-256 of base64)."""
    bare = {name: value for name, value in tenant.items() if name != MEMBER}
    text = json.dumps(bare, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass")
    return b64encode(sha256(b64encode(text)).digest()).decode()
