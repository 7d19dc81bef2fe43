"""Who is asking: bearer token → verified claims → principal, each remembered as long as it is true.

Two caches, because two things change at different times. *Verified* claims are kept by the digest of the
token (never the token) until the token ends or its key leaves the issuer's set; a policy change does not touch
them. The *principal* made of them is stamped with the table's people version and made anew, without a signature
check, on the first request after somebody changed teams.

A token that names a key nobody has seen is not refused at once: control is asked to read the issuer's keys
again, one question for all requests that wait for the same key, and each waiting exchange looks once more when
the answer is there. Doors fetch nothing themselves.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from hashlib import sha256
from itertools import count, islice
from typing import TYPE_CHECKING, Final, NamedTuple, final

from gateway import counters
from gateway.audit.line import caller_piece
from gateway.config import Issuer
from gateway.counters import TOKEN_CACHE_HITS
from gateway.errors import Refused
from gateway.identity.issuers import IssuerTable
from gateway.identity.principal import header_block, principal_of
from gateway.identity.tokens import KeyWanted, Verified, verify
from policy.facts import ANONYMOUS, Principal

if TYPE_CHECKING:
    from gateway.door.exchange import Exchange
    from gateway.identity.jwks import KeyRing
    from gateway.snapshot import Snapshot
    from policy.table import Table

WAITING_EXCHANGES: Final = 1_000
WAITING_KEYS: Final = 64
KEY_WAIT_S: Final = 2.0


@final
class Caller:
    """A principal and what follows from it, for one token."""

    __slots__ = ("block", "key_id", "keys", "people_version", "principal", "record", "subjects", "until", "verified")

    def __init__(
        self, verified: Verified | None, principal: Principal, people_version: str, keys: KeyRing | None
    ) -> None:
        self.verified = verified
        self.keys = keys
        self.key_id = verified.key_id if verified is not None else ""
        self.until = verified.until if verified is not None else 0
        self.become(principal, people_version)

    def become(self, principal: Principal, people_version: str) -> None:
        """Take what the catalog says now: the principal, its lines for the upstream, its piece of the record."""
        self.principal = principal
        self.people_version = people_version
        self.block = header_block(principal)
        # everybody who takes part: what the overlay denies is looked for among these
        self.subjects = principal.subjects | principal.client_subjects
        self.subjects = self.subjects.union(*[actor.subjects for actor in principal.actors])
        self.record = caller_piece(
            principal.ref, principal.issuer, principal.subject, principal.client_id, self.key_id
        )


@final
class Waiting(NamedTuple):
    """The exchange has to wait for control's answer about this key."""

    issuer: str
    kid: str
    refusal: Refused


class Callers:
    """One worker's callers. ``ask`` sends a `want_key` message and says whether control could be reached."""

    def __init__(
        self,
        issuers: tuple[Issuer, ...],
        limit: int,
        counters: counters.Counters,
        now: Callable[[], int],
        ask: Callable[[dict[str, object]], bool],
    ) -> None:
        self.anonymous = Caller(None, ANONYMOUS, "", None)
        self._values = counters.values
        self._now = now
        self._ask = ask
        self._limit = limit
        self._held: OrderedDict[bytes, Caller] = OrderedDict()
        self._waiting: dict[tuple[str, str], _Question] = {}
        self._numbers = count(1)
        self.configure(issuers)

    def configure(self, issuers: tuple[Issuer, ...]) -> None:
        """Take other issuer settings; what was verified under the old ones is forgotten."""
        self._issuers: Mapping[str, Issuer] = {issuer.name: issuer for issuer in issuers}
        self._table = IssuerTable.from_settings(issuers)
        self._held.clear()

    # === the hot path ===

    def find(self, token: bytes, snapshot: Snapshot) -> Caller | Refused | Waiting:
        """Whom ``token`` speaks for under this snapshot."""
        digest = sha256(token).digest()
        caller = self._held.get(digest)
        if caller is not None:
            if caller.keys is not snapshot.keys and not self._confirmed(caller, snapshot.keys):
                del self._held[digest]
            elif self._now() >= caller.until:
                del self._held[digest]
                return Refused("token_expired", "`exp` is past")
            else:
                self._values[TOKEN_CACHE_HITS] += 1
                if caller.people_version != snapshot.table.people_version:
                    self._rematch(caller, snapshot.table)
                return caller
        return self._meet(token, digest, snapshot)

    # === first sight, and second thoughts ===

    def _meet(self, token: bytes, digest: bytes, snapshot: Snapshot) -> Caller | Refused | Waiting:
        verified = verify(token, self._table, snapshot.keys, self._now())
        if isinstance(verified, KeyWanted):
            return Waiting(verified.issuer, verified.kid, verified.refusal)
        self._values[counters.TOKENS_VERIFIED] += 1
        if isinstance(verified, Refused):
            return verified
        principal = principal_of(verified, self._issuers[verified.issuer], snapshot.table)
        caller = Caller(verified, principal, snapshot.table.people_version, snapshot.keys)
        if len(self._held) >= self._limit:
            self._held.popitem(last=False)
        self._held[digest] = caller
        return caller

    def _confirmed(self, caller: Caller, keys: KeyRing) -> bool:
        """The key that verified the token is still its issuer's."""
        if caller.key_id not in keys.ids:
            return False
        caller.keys = keys
        return True

    def _rematch(self, caller: Caller, table: Table) -> None:
        assert caller.verified is not None
        principal = principal_of(caller.verified, self._issuers[caller.verified.issuer], table)
        caller.become(principal, table.people_version)

    def sweep(self, most: int = 256) -> None:
        """Forget ended tokens, a few of the oldest at a time: a digest is not kept longer than it is of use."""
        now = self._now()
        held = self._held
        for digest in list(islice(held, most)):
            if held[digest].until <= now:
                del held[digest]
            else:
                held.move_to_end(digest)
        self._values[counters.TOKENS_CACHED] = len(held)
        self._forget_questions()

    # === waiting for a key ===

    def wait(self, waiting: Waiting, exchange: Exchange) -> None:
        """`exchange.key_arrived` is called once control has looked, or the exchange is refused now."""
        key = (waiting.issuer, waiting.kid)
        question = self._waiting.get(key)
        if question is None or self._now() - question.asked_at >= KEY_WAIT_S:
            still = [each for each in question.exchanges if not each.ended] if question is not None else []
            question = _Question(next(self._numbers), self._now(), still)
            asked = {"t": "want_key", "id": question.number, "issuer": waiting.issuer, "kid": waiting.kid}
            if len(self._waiting) >= WAITING_KEYS or not self._ask(asked):
                exchange.refuse("issuer_unavailable", "nobody could be asked for the token's key")
                return
            self._waiting[key] = question
        if len(question.exchanges) >= WAITING_EXCHANGES:
            exchange.refuse(waiting.refusal.code, waiting.refusal.detail)
            return
        question.exchanges.append(exchange)

    def answered(self, number: int) -> None:
        """Control has read the issuer's keys again (their overlay came before this message), or could not."""
        for key, question in list(self._waiting.items()):
            if question.number == number:
                del self._waiting[key]
                for exchange in question.exchanges:
                    exchange.key_arrived()

    def control_lost(self) -> None:
        """No answer will come on this link, and whether the key exists is not known."""
        waiting, self._waiting = self._waiting, {}
        for question in waiting.values():
            for exchange in question.exchanges:
                if not exchange.ended:
                    exchange.refuse("issuer_unavailable", "nobody could be asked for the token's key")

    def _forget_questions(self) -> None:
        """What control never answered; those who waited have been refused by their deadline."""
        now = self._now()
        for key, question in list(self._waiting.items()):
            if now - question.asked_at > KEY_WAIT_S * 2:
                del self._waiting[key]


class _Question(NamedTuple):
    """One `want_key` message and the exchanges that wait for its answer."""

    number: int
    asked_at: int
    exchanges: list[Exchange]
