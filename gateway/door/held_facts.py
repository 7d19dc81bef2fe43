"""What a worker knows of sessions: control's word about each, how old it is, and who waits to hear it.

A worker may have seen a hundred thousand sessions; as objects they would take some kilobytes each. So the numbers of
each are packed, the values of its claims stay JSON, and both are one text of bytes: two hundred for most. Each change
makes another text, so whoever kept one knows by identity whether it still holds.

What control said is used silently while it is fresh; then it is asked again in the background, which is also how it
hears that the session is in use. About a session that is not known, or not for as long as sessions may idle, exchanges
wait a moment: one question for all who want to know, all questions of one turn of the loop in one message. Who cannot
be told is refused, and nobody is signed out by it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice
from struct import Struct
from typing import TYPE_CHECKING, Any, Final, NamedTuple, final

import orjson

from gateway.counters import SESSIONS_HELD
from gateway.errors import Refused
from gateway.identity.session import SESSION_ID, SessionFacts, read_facts

if TYPE_CHECKING:
    from gateway.door.exchange import Exchange
    from gateway.door.worker import Door

MOST_HELD: Final = 250_000
MOST_WAITING: Final = 1_000  # exchanges
MOST_ASKED: Final = 4_096  # sessions in one message
SESSION_WAIT_S: Final = 2.0
ASKED_AGAIN_S: Final = 2  # while no answer comes
MISSED_S: Final = 4  # an open tunnel goes on this long while nothing is known of its session
UNKNOWN_S: Final = 5  # a session that control does not know is asked about again after this
ENDED_S: Final = 900  # one that ended is remembered this long; the overlay names it for ten minutes
SWEPT: Final = 512  # of those that are held, each second
UNAVAILABLE: Final = Refused("session_unavailable", "nobody could be asked about the session")

_NUMBERS: Final = Struct(">7I")
_LARGEST: Final = 2**32 - 1  # as seconds, the year 2106
_OVER: Final = Struct(">?I")  # for good, and since when
# The names of claims are the same in most sessions: a text has the number of the list of its own.
MOST_SHAPES: Final = 1_000
_UNSHAPED: Final = b"\xff\xff"
_shapes: Final[dict[tuple[str, ...], int]] = {}
_names: Final[list[tuple[str, ...]]] = []


@final
class Wanted(NamedTuple):
    """Control has to be asked about this session first."""

    sid: bytes


@final
class Gone(NamedTuple):
    """The cookie shows nobody. ``anew_s``: within how many seconds before now the person would have had to sign in for
    this environment; -1 = the session is over everywhere."""

    anew_s: int


OVER: Final = Gone(-1)


class Lasting(NamedTuple):
    """The numbers of facts. Times are epoch seconds."""

    confirmed: int  # when control said it
    signed_in: int
    until: int
    idle_s: int
    fresh_s: int
    version: int
    rest: int


# === one text ===


def packed(facts: SessionFacts, confirmed: int) -> bytes:
    numbers = (
        confirmed, facts.signed_in, facts.until, facts.idle_s, facts.fresh_s, facts.version, facts.rest
    )  # fmt: skip
    packed_numbers = _NUMBERS.pack(*[min(each, _LARGEST) for each in numbers])
    names = tuple(facts.claims)
    shape = _shapes.get(names)
    if shape is None:
        if len(_names) == MOST_SHAPES:
            return packed_numbers + _UNSHAPED + orjson.dumps([facts.issuer, facts.claims])
        shape = _shapes[names] = len(_names)
        _names.append(names)
    return packed_numbers + shape.to_bytes(2, "big") + orjson.dumps([facts.issuer, *facts.claims.values()])


def lasting(held: bytes) -> Lasting:
    return Lasting(*_NUMBERS.unpack_from(held))


def said_in(held: bytes) -> bytes:
    """The part that says who it is: equal for two texts of which only the times differ."""
    return held[_NUMBERS.size :]


def claims_in(held: bytes) -> tuple[str, dict[str, Any]]:
    """The issuer's name and the claims."""
    said = said_in(held)
    issuer, *values = orjson.loads(said[2:])
    if said[:2] == _UNSHAPED:
        return issuer, values[0]
    return issuer, dict(zip(_names[int.from_bytes(said[:2], "big")], values, strict=True))


def sid_of(session: str) -> bytes:
    """The sixteen bytes of a session's id."""
    return bytes.fromhex(session[2:])


def _over(now: int, for_good: bool) -> bytes:
    return _OVER.pack(for_good, now)


def _is_over(held: bytes) -> bool:
    return len(held) == _OVER.size


def _ended_for_good(held: bytes) -> bool:
    return _is_over(held) and bool(_OVER.unpack(held)[0])


def _is_useless(held: bytes, now: int) -> bool:
    if _is_over(held):
        return now - int(_OVER.unpack(held)[1]) > ENDED_S
    said = lasting(held)
    return now >= min(said.until, said.confirmed + said.idle_s)


# === all of them ===


class HeldFacts:
    """One worker's."""

    def __init__(self, door: Door) -> None:
        self.door = door
        self.held: dict[bytes, bytes] = {}  # by session
        self._asked: dict[bytes, int] = {}  # about which control was asked, and when
        self._wanted: dict[bytes, int] = {}  # to be asked about with the next message, and when they were used
        self._refs: dict[bytes, str] = {}  # of some of those: who they are in the catalog
        self._waiting: dict[bytes, list[Exchange]] = {}
        self._waiters = 0
        self._missed: dict[bytes, int] = {}  # sessions of open tunnels of which nothing is known, and since when
        self._round: list[bytes] = []  # what is left of this round of the sweep

    def known(self, sid: bytes, now: int, ref: str = "") -> bytes | Wanted | Gone:
        """The facts that count now. Old ones count, and control is asked about them, and told whose they are."""
        held = self.held.get(sid)
        if held is None:
            return Wanted(sid)
        if _is_over(held):
            for_good, since = _OVER.unpack(held)
            return OVER if for_good or now - int(since) < UNKNOWN_S else Wanted(sid)
        said = lasting(held)
        if now >= said.until:
            return OVER
        if now >= said.confirmed + said.idle_s:
            return Wanted(sid)
        if now >= said.confirmed + said.fresh_s:
            self.ask(sid, now, ref)
        return held

    def is_missed(self, sid: bytes, now: int) -> bool:
        """Whether an open tunnel has to end, because nothing is known of its session for too long."""
        self.ask(sid, now)
        return now - self._missed.setdefault(sid, now) > MISSED_S

    # === asking ===

    def wait(self, wanted: Wanted, exchange: Exchange) -> None:
        """`exchange.key_arrived` is called once control has answered, or the exchange is refused."""
        if self._waiters >= MOST_WAITING:
            exchange.refuse("session_unavailable", "too many wait for the same")
            return
        self._waiters += 1
        self._waiting.setdefault(wanted.sid, []).append(exchange)
        self.ask(wanted.sid, self.door.now)

    def ask(self, sid: bytes, now: int, ref: str = "") -> None:
        """Once for all who want to know, with all that is wanted in this turn of the loop."""
        if now - self._asked.get(sid, -ASKED_AGAIN_S) < ASKED_AGAIN_S or len(self._wanted) >= MOST_ASKED:
            return
        self._asked[sid] = now
        if not self._wanted:
            self.door.loop.call_soon(self._send)
        self._wanted[sid] = now
        if ref:
            self._refs[sid] = ref

    def _send(self) -> None:
        wanted, self._wanted = self._wanted, {}
        refs, self._refs = self._refs, {}
        used = {"s-" + sid.hex(): at for sid, at in wanted.items()}
        named = {"s-" + sid.hex(): ref for sid, ref in refs.items()}
        if not self.door.following.ask_control({"t": "sessions", "want": list(used), "seen": used, "refs": named}):
            for sid in wanted:
                self._give_up(sid)

    def _give_up(self, sid: bytes) -> None:
        """No answer will come."""
        self._asked.pop(sid, None)
        for exchange in self._let_go(sid):
            if not exchange.ended:
                exchange.refuse(UNAVAILABLE.code, UNAVAILABLE.detail)

    def _let_go(self, sid: bytes) -> list[Exchange]:
        waiting = self._waiting.pop(sid, [])
        self._waiters -= len(waiting)
        return waiting

    # === hearing ===

    def take(self, entries: Iterable[Any]) -> bool:
        """What control says, asked or unasked. True if anybody is another than before."""
        changed = False
        for entry in entries:
            facts = read_facts(entry)
            if facts is not None:
                changed = self._take(facts, sid_of(facts.sid), self.door.now) or changed
        self.door.values[SESSIONS_HELD] = len(self.held)
        return changed

    def _take(self, facts: SessionFacts, sid: bytes, now: int) -> bool:
        before = self.held.get(sid)
        if before is None and sid not in self._asked:
            return False  # news of somebody who was never here
        after = _over(now, facts.over != "unknown") if facts.over else packed(facts, now)
        if before is not None and (_ended_for_good(before) or _is_older(after, before)):
            after = before
        if before is None and len(self.held) >= MOST_HELD:
            for each in list(islice(self.held, MOST_HELD // 16)):
                del self.held[each]
        self.held[sid] = after
        self._asked.pop(sid, None)
        self._missed.pop(sid, None)
        for exchange in self._let_go(sid):
            exchange.key_arrived()
        return before is not None and (_is_over(after) or _is_over(before) or said_in(after) != said_in(before))

    def take_ended(self, message: Mapping[str, Any], last: int) -> None:
        """What the overlay says of sessions that ended. ``last`` is the number of the one before."""
        if last < int(message.get("ended_from", 0)):
            self.held.clear()  # more of them ended than it names
        now = self.door.now
        for session in message.get("ended", ()):
            if isinstance(session, str) and SESSION_ID.fullmatch(session):
                self.held[sid_of(session)] = _over(now, True)

    def control_lost(self) -> None:
        """Nobody answers any more: who waits is told so now."""
        for sid in list(self._waiting):
            self._give_up(sid)
        self._asked.clear()

    def sweep(self) -> None:
        """Each second: forget what is of no use any more, a part of it at a time."""
        now, held = self.door.now, self.held
        if not self._round:
            self._round = list(held)
        for sid in self._round[-SWEPT:]:
            if sid in held and _is_useless(held[sid], now):
                del held[sid]
        del self._round[-SWEPT:]
        for sid, asked_at in list(self._asked.items()):
            if now - asked_at > 2 * ASKED_AGAIN_S:
                self._give_up(sid)
        for sid, since in list(self._missed.items()):
            if now - since > ENDED_S:
                del self._missed[sid]
        self.door.values[SESSIONS_HELD] = len(held)


def _is_older(after: bytes, before: bytes) -> bool:
    """What is older than what is known is no news."""
    if _is_over(after) or _is_over(before):
        return False
    return lasting(after).version < lasting(before).version
