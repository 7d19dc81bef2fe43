"""The provider's tokens of one session, as they lie in the store: sealed, and bound to that session's id."""

from __future__ import annotations

from typing import Final, NamedTuple

import orjson

from gateway.control.sessions.sealing import Sealer
from gateway.identity.strict import json_object

LIMIT_BYTES: Final = 48 * 1024


class KeptTokens(NamedTuple):
    """``nonce``: of the sign-in, which a refreshed ID token may repeat. ``due``: when the provider is asked again.
    ``away_since``: since when it does not answer, 0 = it does (epoch seconds)."""

    refresh_token: str
    id_token: str
    nonce: str
    due: int
    away_since: int = 0


def sealed_tokens(tokens: KeptTokens, sid: str, sealer: Sealer) -> bytes:
    """An ID token that is too large is left out: it is a hint for signing out, and nothing hangs on it."""
    if len(tokens.id_token) + len(tokens.refresh_token) > LIMIT_BYTES:
        tokens = tokens._replace(id_token="")
    return sealer.seal("tokens", orjson.dumps(tokens._asdict()), sid)


def opened_tokens(sealed: bytes, sid: str, sealer: Sealer) -> KeptTokens | None:
    """None where the keys are gone, or it is another session's."""
    plain = sealer.open("tokens", sealed, sid)
    said = json_object(plain) if plain is not None else None
    if said is None:
        return None
    texts = [said.get(name) for name in ("refresh_token", "id_token", "nonce")]
    times = [said.get(name) for name in ("due", "away_since")]
    if not all(isinstance(each, str) for each in texts) or not all(type(each) is int for each in times):
        return None
    return KeptTokens(str(texts[0]), str(texts[1]), str(texts[2]), int(str(times[0])), int(str(times[1])))
