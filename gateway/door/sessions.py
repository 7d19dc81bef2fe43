"""Who a session cookie speaks for: cookie → what control said of the session → caller, kept as long as it is true.

As with tokens, callers are kept by the digest of what was shown; here with the host, because a cookie is worth nothing
on another one. A caller is used only while what it was made of is what is held of its session (`door.held_facts`):
whatever ends or changes a session replaces that, and there is no second place to forget it in.

An environment may ask for a newer sign-in than others do, and for one after a shorter pause. Who is signed in, but not
newly enough for it, is nobody there.
"""

from __future__ import annotations

from collections import OrderedDict
from hashlib import sha256
from typing import TYPE_CHECKING, Final, final

from gateway.config import Settings
from gateway.counters import SESSION_CACHE_HITS
from gateway.door.callers import Caller
from gateway.door.found_people import FoundPeople
from gateway.door.held_facts import OVER, UNAVAILABLE, Gone, HeldFacts, Wanted, claims_in, lasting, said_in, sid_of
from gateway.errors import Refused
from gateway.identity.claims import read_claims
from gateway.identity.issuers import IssuerTable
from gateway.identity.principal import principal_of
from gateway.identity.session import SessionKeys, open_cookie

if TYPE_CHECKING:
    from gateway.door.worker import Door
    from gateway.http1.request import Head
    from gateway.snapshot import Snapshot

MOST_AT_HAND: Final = 4_096  # cookies with their callers, two kilobytes each
ASKED_S: Final = 2  # how long old facts are used while control is being asked
WAITED_FOR_SESSION: Final = 4  # among what an exchange waits for once


@final
class Place:
    """One cookie that was shown lately, and who that is."""

    __slots__ = ("again", "caller", "confirmed", "facts", "rest", "sid", "signed_in", "until")

    def __init__(self, sid: bytes, until: int, caller: Caller) -> None:
        self.sid = sid
        self.until = until  # of the cookie
        self.caller = caller
        self.facts = b""  # of which the caller was made
        self.again = 0  # when they have to be looked at again
        self.confirmed = 0
        self.signed_in = 0
        self.rest = 0


class Sessions:
    """One worker's sessions."""

    def __init__(self, door: Door) -> None:
        self.door = door
        self.keys = SessionKeys(())
        self.facts = HeldFacts(door)
        self.people = FoundPeople(door)
        self._at_hand: OrderedDict[bytes, Place] = OrderedDict()  # by the digest of host and cookie
        self.configure(door.settings)

    def configure(self, settings: Settings) -> None:
        """Take other settings; who was found under the old ones is found anew."""
        self._issuers = {issuer.name: issuer for issuer in settings.issuers}
        self._table = IssuerTable.from_settings(settings.issuers)
        self._ends: dict[str, tuple[int, int]] = {}  # idle and absolute, of environments that have their own
        whole = settings.sessions
        for name, environment in settings.environments.items():
            own = environment.sessions
            if own.idle_s is not None or own.absolute_s is not None:
                idle_s = whole.idle_s if own.idle_s is None else min(own.idle_s, whole.idle_s)
                absolute_s = whole.absolute_s if own.absolute_s is None else min(own.absolute_s, whole.absolute_s)
                self._ends[name] = (int(idle_s), int(absolute_s))
        self._at_hand.clear()

    # === the hot path ===

    def find(self, head: Head, environment: str, snapshot: Snapshot) -> Caller | Refused | Wanted | Gone:
        """Whom the session cookie of ``head`` speaks for, in this environment, under this snapshot."""
        digest = sha256(head.authority + b"\0" + head.session).digest()
        now: int = self.door.now
        place = self._at_hand.get(digest)
        if place is None or now >= place.again or self.facts.held.get(place.sid) is not place.facts:
            found = self._look(head, digest, place, snapshot, now)
            if not isinstance(found, Place):
                self._at_hand.pop(digest, None)
                return found
            place = found
        else:
            self.door.values[SESSION_CACHE_HITS] += 1
        caller = place.caller
        if caller.people_version != snapshot.table.people_version:
            assert caller.verified is not None
            before = caller.principal.ref
            principal = principal_of(caller.verified, self._issuers[caller.verified.issuer], snapshot.table)
            caller.become(principal, snapshot.table.people_version)
            if principal.ref != before:
                self.people.found(place.sid, principal.ref)
        if snapshot.not_before and caller.is_cut(snapshot.not_before):
            return OVER
        if self._ends:
            return self._within(place, environment, now)
        return caller

    def _within(self, place: Place, environment: str, now: int) -> Caller | Wanted | Gone:
        """The caller, unless this environment asks for a newer sign-in."""
        ends = self._ends.get(environment)
        if ends is None:
            return place.caller
        idle_s, absolute_s = ends
        if now - place.signed_in >= absolute_s:
            return Gone(absolute_s)
        if place.rest >= idle_s:
            return Gone(idle_s)
        return Wanted(place.sid) if now - place.confirmed >= idle_s else place.caller

    # === first sight, and second thoughts ===

    def _look(
        self, head: Head, digest: bytes, place: Place | None, snapshot: Snapshot, now: int
    ) -> Place | Refused | Wanted | Gone:
        """True on entry: the cookie was not shown before, or what is known of its session changed or grew old."""
        if place is not None:
            sid, until = place.sid, place.until
        elif not self.keys:
            return UNAVAILABLE
        else:
            cookie = open_cookie(head.session, head.host, self.keys, now)
            if cookie is None:
                return OVER
            sid, until = sid_of(cookie.sid), cookie.until
        known = self.facts.known(sid, now, ref_under(snapshot, place.caller) if place is not None else "")
        if not isinstance(known, bytes):
            return known
        if now >= until:
            return OVER
        if place is None or said_in(place.facts) != said_in(known):
            caller = self._caller_of(sid, known, snapshot, now)
            if not isinstance(caller, Caller):
                return caller
            place = Place(sid, until, caller)
            self.people.found(sid, caller.principal.ref)
            if len(self._at_hand) >= MOST_AT_HAND:
                self._at_hand.popitem(last=False)
            self._at_hand[digest] = place
        _renew(place, known, now)
        return place

    def _caller_of(self, sid: bytes, known: bytes, snapshot: Snapshot, now: int) -> Caller | Refused | Gone:
        name, claims = claims_in(known)
        rules, issuer = self._table.named(name), self._issuers.get(name)
        if rules is None or issuer is None:
            return OVER  # nobody signs in there any more
        session = "s-" + sid.hex()
        claims["exp"] = lasting(known).until
        verified = read_claims(claims, rules, session, now)
        if isinstance(verified, Refused):
            return verified
        verified.bounded = False
        verified.workload = False
        caller = Caller(verified, principal_of(verified, issuer, snapshot.table), snapshot.table.people_version, None)
        caller.session = session
        return caller

    # === what goes on for long ===

    def end_of(self, caller: Caller, environment: str) -> int:
        """When what is open for this caller has to end, whatever happens: the session's end, or the one that the
        environment sets to its sign-in. Of a token its end; 0 = none is known."""
        ends = self._ends.get(environment)
        if ends is None or not caller.session:
            return caller.until
        return min(caller.until, caller.issued_at + ends[1])

    def again(self, caller: Caller, environment: str, snapshot: Snapshot) -> Caller | str:
        """Who the session of an open tunnel is now, or why it shows nobody. The tunnel counts as a use of it."""
        sid, now = sid_of(caller.session), self.door.now
        known = self.facts.known(sid, now, ref_under(snapshot, caller))
        if isinstance(known, Wanted):
            return "session_unavailable" if self.facts.is_missed(sid, now) else caller
        if isinstance(known, Gone):
            return "session_ended"
        found = self._caller_of(sid, known, snapshot, now)
        if not isinstance(found, Caller):
            return found.code if isinstance(found, Refused) else "session_ended"
        if found.principal.ref != caller.principal.ref:
            self.people.found(sid, found.principal.ref)
        said = lasting(known)
        found.until, found.issued_at = min(caller.until, said.until), said.signed_in
        ends = self._ends.get(environment)
        if ends is not None and (now - said.signed_in >= ends[1] or said.rest >= ends[0]):
            return "session_ended"
        return "session_ended" if snapshot.not_before and found.is_cut(snapshot.not_before) else found


def ref_under(snapshot: Snapshot, caller: Caller) -> str:
    """The User that this snapshot's catalog finds the caller to be; "" while only an older one was asked. Whose User it
    was there may be somebody else's by now."""
    return caller.principal.ref if caller.people_version == snapshot.table.people_version else ""


def _renew(place: Place, known: bytes, now: int) -> None:
    """Take the times of facts that say the same of the person."""
    said = lasting(known)
    place.facts = known
    place.confirmed, place.signed_in, place.rest = said.confirmed, said.signed_in, said.rest
    fresh_until = said.confirmed + said.fresh_s
    if now >= fresh_until:
        fresh_until = now + ASKED_S
    place.again = min(fresh_until, place.until, said.until, said.confirmed + said.idle_s)
    place.caller.until = min(place.until, said.until)
    place.caller.issued_at = said.signed_in
