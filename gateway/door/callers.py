"""Who is asking: bearer token → verified claims → principal, each remembered as long as it is true.

Two caches, because two things change at different times. *Verified* claims are kept by the digest of the
token (never the token) until the token ends or its key leaves the issuer's set; a policy change does not touch
them. The *principal* made of them is stamped with the table's people version and made anew, without a signature
check, on the first request after somebody changed teams. A new token that says what the last one said is verified like
any other, and then shares what was made of that one (`Caller.share`).

A token that names a key nobody has seen is not refused at once: control is asked to read the issuer's keys
again, or, where only the issuer knows what a token is worth, for its word (`questions.py`). Each waiting exchange
looks once more when the answer is there. Doors fetch nothing themselves.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import TYPE_CHECKING, Final, final

from gateway import counters
from gateway.audit.line import caller_piece
from gateway.config import Issuer
from gateway.counters import TOKEN_CACHE_HITS
from gateway.door.questions import NOT_TOLD, Questions, Waiting
from gateway.door.sightings import Sightings
from gateway.errors import Refused
from gateway.identity.claims import say_the_same, whose
from gateway.identity.client_certificates import ClientCertificate
from gateway.identity.introspection import read_answer, verified_by
from gateway.identity.issuers import IssuerTable
from gateway.identity.principal import header_block, principal_of, principal_of_certificate
from gateway.identity.tokens import AnswerWanted, KeyWanted, Verified, verify
from policy.facts import ANONYMOUS, Principal

if TYPE_CHECKING:
    from gateway.door.exchange import Exchange
    from gateway.door.tunnel import Tunnel
    from gateway.identity.jwks import KeyRing
    from gateway.snapshot import Snapshot
    from policy.table import Table

_SHA256: Final = sha256()
_EXPIRED: Final = Refused("token_expired", "`exp` is past")


@final
class Caller:
    """A principal and what follows from it, for one token, one certificate or one session."""

    __slots__ = (
        "asked_again", "block", "issued_at", "key_id", "keys", "latest", "people_version", "principal", "record",
        "session", "subjects", "until", "verified",
    )  # fmt: skip

    def __init__(
        self, verified: Verified | None, principal: Principal, people_version: str, keys: KeyRing | None,
        key_id: str = "", alike: Caller | None = None,
    ) -> None:  # fmt: skip
        """``alike``: one of the same principal, to share what is made of it with."""
        # of this token, certificate or session
        self.keys = keys
        self.until = verified.until if verified is not None else 0
        self.asked_again = verified is not None and verified.until < verified.expires  # its issuer, what it is worth
        self.issued_at = verified.issued_at if verified is not None else 0
        self.session = ""  # the id of the session that shows who it is
        self.latest = False  # among those that are held of whose it is
        # of what it says
        self.verified = verified
        self.key_id = verified.key_id if verified is not None else key_id
        if alike is None:
            self.become(principal, people_version)
        else:
            self.share(alike)

    def is_cut(self, not_before: Mapping[str, int]) -> bool:
        """Whether what shows who it is was issued before the time from which on that counts."""
        return self.issued_at < max([not_before.get(subject, 0) for subject in self.subjects], default=0)

    def become(self, principal: Principal, people_version: str) -> None:
        """Take what the catalog says now: the principal, its lines for the upstream, its piece of the record."""
        self.principal = principal
        self.people_version = people_version
        self.block = header_block(principal)
        # everybody who takes part: what the overlay denies is looked for among these
        self.subjects = principal.subjects
        if principal.client_subjects or principal.actors:
            acting = [actor.subjects | actor.client_subjects for actor in principal.actors]
            self.subjects = self.subjects.union(principal.client_subjects, *acting)
        self.record = caller_piece(principal.ref, principal.issuer, principal.subject, principal.client_id, self.key_id)

    def share(self, alike: Caller) -> None:
        """Become what another token's caller is by now, which says the same: one copy serves both."""
        self.verified = alike.verified
        self.key_id = alike.key_id
        self.principal = alike.principal
        self.people_version = alike.people_version
        self.block = alike.block
        self.subjects = alike.subjects
        self.record = alike.record


class Callers:
    """One worker's callers. ``ask`` sends a `want_key` message and says whether control could be reached."""

    def __init__(
        self, issuers: tuple[Issuer, ...], limit: int, counters: counters.Counters, now: Callable[[], int],
        ask: Callable[[dict[str, object]], bool],
    ) -> None:  # fmt: skip
        self.anonymous = Caller(None, ANONYMOUS, "", None)
        self._values = counters.values
        self._now = now
        self._limit = limit
        self._held: dict[bytes, Caller] = {}
        self._digests: list[bytes] = []  # of those, and of some that were dropped: a ring, once there are `limit`
        self._oldest = 0  # place in it, of what gives way next
        self._swept = 0  # likewise, of what is looked at next
        self._latest: dict[tuple[str, str, str], Caller] = {}  # of those that are held, by issuer, subject and client
        self._certified: OrderedDict[str, Caller] = OrderedDict()  # by thumbprint
        self._questions = Questions(now, ask)
        self.sightings = Sightings()
        self.configure(issuers)

    def configure(self, issuers: tuple[Issuer, ...]) -> None:
        """Take other issuer settings; what was verified under the old ones is forgotten."""
        self._issuers: Mapping[str, Issuer] = {issuer.name: issuer for issuer in issuers}
        self._table = IssuerTable.from_settings(issuers)
        self.sightings.configure(self._table)
        self._held.clear()
        self._digests.clear()
        self._oldest = self._swept = 0
        self._latest.clear()
        self._questions.give_up(tokens_alone=True)

    # === the hot path ===

    def find(self, token: bytes, snapshot: Snapshot) -> Caller | Refused | Waiting:
        """Whom ``token`` speaks for under this snapshot."""
        # -- shortcut: sha256(token) says the same, and looks the algorithm up anew each time (0.25 us)
        hashing = _SHA256.copy()
        hashing.update(token)
        digest = hashing.digest()
        # -- end of shortcut
        caller = self._held.get(digest)
        if caller is not None:
            if caller.keys is not snapshot.keys and not self._confirmed(caller, snapshot.keys):
                self._drop(digest)
            elif self._now() >= caller.until:
                self._drop(digest)  # it ended, or its issuer has to be asked again
            else:
                self._values[TOKEN_CACHE_HITS] += 1
                if caller.people_version != snapshot.table.people_version:
                    self._rematch(caller, snapshot.table)
                return caller
        return self._meet(token, digest, snapshot)

    def certified(self, certificate: ClientCertificate, snapshot: Snapshot) -> Caller:
        """Which program a client certificate speaks for, where no token came with it."""
        caller = self._certified.get(certificate.thumbprint)
        if caller is None or caller.people_version != snapshot.table.people_version:
            principal = principal_of_certificate(certificate, snapshot.table)
            caller = Caller(None, principal, snapshot.table.people_version, None, f"x5t:{certificate.thumbprint}")
            caller.issued_at = certificate.begins
            if len(self._certified) >= self._limit:
                self._certified.popitem(last=False)
            self._certified[certificate.thumbprint] = caller
        return caller

    # === first sight, and second thoughts ===

    def _meet(self, token: bytes, digest: bytes, snapshot: Snapshot) -> Caller | Refused | Waiting:
        verified = verify(token, self._table, snapshot.keys, self._now())
        if isinstance(verified, KeyWanted):
            return Waiting(verified.issuer, verified.kid, verified.refusal)
        if isinstance(verified, AnswerWanted):
            return Waiting(verified.issuer, "", NOT_TOLD, token, digest, verified.signed)
        self._values[counters.TOKENS_VERIFIED] += 1
        if isinstance(verified, Refused):
            return verified
        caller = self._hold(digest, verified, snapshot)
        self.sightings.note(verified, caller.principal, token, self._now())
        return caller

    def _hold(self, digest: bytes, verified: Verified, snapshot: Snapshot) -> Caller:
        """A caller for the token of which this is known. Where there is no room, the oldest gives way."""
        self._drop(digest)
        table = snapshot.table
        person = whose(verified)
        latest = self._latest.get(person)
        if latest is not None and _is_alike(latest, verified, table):
            caller = Caller(verified, latest.principal, latest.people_version, snapshot.keys, alike=latest)
        else:
            principal = principal_of(verified, self._issuers[verified.issuer], table)
            caller = Caller(verified, principal, table.people_version, snapshot.keys)
        if latest is not None:
            latest.latest = False
        caller.latest = True
        self._latest[person] = caller
        digests = self._digests
        if len(digests) < self._limit:
            digests.append(digest)
        else:
            place = self._oldest
            self._oldest = (place + 1) % self._limit
            self._drop(digests[place])
            digests[place] = digest
        self._held[digest] = caller
        return caller

    def _drop(self, digest: bytes) -> None:
        caller = self._held.pop(digest, None)
        if caller is not None and caller.latest and caller.verified is not None:
            self._latest.pop(whose(caller.verified), None)

    def _confirmed(self, caller: Caller, keys: KeyRing) -> bool:
        """The key that verified the token is still its issuer's; where the issuer was asked, there is none."""
        if caller.key_id and caller.key_id not in keys.ids:
            return False
        caller.keys = keys
        return True

    def _rematch(self, caller: Caller, table: Table) -> None:
        verified = caller.verified
        assert verified is not None
        latest = self._latest.get(whose(verified))
        if latest is not None and _is_alike(latest, verified, table):
            caller.share(latest)
        else:
            caller.become(principal_of(verified, self._issuers[verified.issuer], table), table.people_version)

    def issuer_of(self, caller: Caller) -> Issuer | None:
        """The settings of the issuer that the caller's token is of, as they are now."""
        return self._issuers.get(caller.verified.issuer) if caller.verified is not None else None

    def doubt(self, caller: Caller, snapshot: Snapshot) -> str:
        """Why a token that was verified before counts no more, its end aside; "" if it does: then the caller has the
        rights of now. Its issuer's settings are those under which it was verified."""
        if caller.keys is not snapshot.keys and not self._confirmed(caller, snapshot.keys):
            return "token_key_unknown"
        if caller.people_version != snapshot.table.people_version:
            self._rematch(caller, snapshot.table)
        return ""

    def sweep(self, most: int = 256) -> None:
        """Forget ended tokens, a few of the oldest at a time: a digest is not kept longer than it is of use."""
        now = self._now()
        held, digests = self._held, self._digests
        for _ in range(min(most, len(digests))):
            place = self._swept
            self._swept = (place + 1) % len(digests)
            digest = digests[place]
            caller = held.get(digest)
            if caller is None or caller.until <= now:
                self._drop(digest)
                digests[place] = b""
        self._values[counters.TOKENS_CACHED] = len(held)
        self._questions.forget()

    # === waiting for control ===

    def wait(self, waiting: Waiting, exchange: Exchange | Tunnel) -> None:
        """`exchange.key_arrived` is called once control has looked, or the exchange is refused."""
        self._questions.wait(waiting, exchange)

    def answered(self, number: int) -> None:
        """Control has read the issuer's keys again (their overlay came before this message), or could not."""
        question = self._questions.take(number)
        if question is not None:
            question.look_again()

    def introspected(self, number: int, answer: bytes, until: int, snapshot: Snapshot) -> None:
        """Control has the issuer's word about a token, which holds until ``until``; b"" = it could not be had."""
        question = self._questions.take(number)
        if question is None:
            return
        claims = read_answer(answer) if answer else None
        if claims is None:
            question.refuse(NOT_TOLD)
            return
        verified = verified_by(claims, question.issuer, self._table, question.signed, self._now(), until)
        if isinstance(verified, Verified) and verified.until <= self._now():
            verified = _EXPIRED if verified.expires <= self._now() else NOT_TOLD
        if isinstance(verified, Refused):
            question.refuse(verified)
            return
        caller = self._hold(question.digest, verified, snapshot)
        self.sightings.note(verified, caller.principal, answer, self._now())
        question.look_again()

    def control_lost(self) -> None:
        self._questions.give_up()


def _is_alike(latest: Caller, verified: Verified, table: Table) -> bool:
    """Whether ``latest`` was made, by these people, of a token that said the same as this one."""
    return latest.people_version == table.people_version and say_the_same(verified, latest.verified)
