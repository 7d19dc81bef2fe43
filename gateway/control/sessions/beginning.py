"""A session begins: always with an id of its own, whatever the browser brought (no fixation).

What is kept of the browser is for the list in which people find their own sessions: where it was, and what it calls
itself, both short and clean.
"""

from __future__ import annotations

import re
import secrets
from typing import Final

from gateway.config.sign_in import Sessions
from gateway.control.sessions.kept_tokens import KeptTokens, sealed_tokens
from gateway.control.sessions.renewal import next_refresh
from gateway.control.sessions.sealing import Sealer
from gateway.control.signin.exchange import Tokens
from gateway.control.signin.people import Person
from gateway.control.store import Session

AGENT_LIMIT: Final = 160
ADDRESS_LIMIT: Final = 64
_UNCLEAN: Final = re.compile(r"[^\x20-\x7e]")


def new_session(
    person: Person, tokens: Tokens, nonce: str, issuer: str, sessions: Sessions, sealer: Sealer, now: int,
    address: str, agent: str,
) -> Session:  # fmt: skip
    sid = "s-" + secrets.token_hex(16)
    due = next_refresh(tokens.expires_s, sessions, now)
    kept = KeptTokens(tokens.refresh_token, tokens.id_token, nonce, due)
    return Session(
        sid=sid,
        issuer=issuer,
        sub=person.subject,
        signed_in=now,
        seen=now,
        until=now + max(1, int(sessions.absolute_s)),
        idle_s=max(1, int(sessions.idle_s)),
        claims=person.claims,
        tokens=sealed_tokens(kept, sid, sealer),
        provider_sid=person.provider_sid,
        confirmed=now,
        address=_UNCLEAN.sub("", address)[:ADDRESS_LIMIT],
        agent=_UNCLEAN.sub("", agent)[:AGENT_LIMIT],
    )
