"""What control was asked, and which exchanges wait for it: a key nobody has seen, or an issuer's word about a token.

One question for all who wait for the same answer, a bounded number of questions about each issuer and of those who
wait, and none waits longer than a moment: who cannot be told is refused. So made-up tokens of one issuer, or an issuer
that is slow, take no room from another. A token is sent to control and never kept here; what waits for its answer is
known by the token's digest.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import count
from typing import TYPE_CHECKING, Final, NamedTuple, final

from gateway.errors import Refused
from gateway.identity.tokens import Verified

if TYPE_CHECKING:
    from gateway.door.exchange import Exchange
    from gateway.door.tunnel import Tunnel

WAITING_EXCHANGES: Final = 1_000
WAITING_KEYS: Final = 64  # of one issuer
WAITING_TOKENS: Final = 512  # of one issuer
KEY_WAIT_S: Final = 2.0

NO_KEY: Final = Refused("issuer_unavailable", "nobody could be asked for the token's key")
NOT_TOLD: Final = Refused("issuer_unavailable", "the issuer could not be asked about the token")


@final
class Waiting(NamedTuple):
    """The exchange has to wait for control's answer about this key, or about this token."""

    issuer: str
    kid: str
    refusal: Refused  # when the answer does not help
    token: bytes = b""  # b"" = a key is wanted
    digest: bytes = b""
    signed: Verified | None = None  # what the token itself says


@final
class Question:
    """One message to control and the exchanges that wait for its answer."""

    __slots__ = ("asked_at", "digest", "exchanges", "issuer", "number", "signed")

    def __init__(self, number: int, asked_at: int, waiting: Waiting, exchanges: list[Exchange | Tunnel]) -> None:
        self.number = number
        self.asked_at = asked_at
        self.issuer = waiting.issuer
        self.digest = waiting.digest
        self.signed = waiting.signed
        self.exchanges = exchanges

    def refuse(self, refused: Refused) -> None:
        for exchange in self.exchanges:
            if not exchange.ended:
                exchange.refuse(refused.code, refused.detail)

    def look_again(self) -> None:
        for exchange in self.exchanges:
            exchange.key_arrived()


class Questions:
    """One worker's open questions. ``ask`` sends a message and says whether control could be reached."""

    def __init__(self, now: Callable[[], int], ask: Callable[[dict[str, object]], bool]) -> None:
        self._now = now
        self._ask = ask
        self._open: dict[tuple[str, str, bytes], Question] = {}
        self._places: dict[int, tuple[str, str, bytes]] = {}  # by number
        self._under_way: Counter[tuple[str, bool]] = Counter()  # by issuer, and whether they are about tokens
        self._numbers = count(1)

    def wait(self, waiting: Waiting, exchange: Exchange | Tunnel) -> None:
        """``exchange`` is told once control has answered, or is refused now."""
        place = (waiting.issuer, waiting.kid, waiting.digest)
        question = self._open.get(place)
        if question is None or self._now() - question.asked_at >= KEY_WAIT_S:
            question = self._pose(place, waiting, question)
            if question is None:
                refused = NOT_TOLD if waiting.token else NO_KEY
                exchange.refuse(refused.code, refused.detail)
                return
        if len(question.exchanges) >= WAITING_EXCHANGES:
            exchange.refuse(waiting.refusal.code, waiting.refusal.detail)
            return
        question.exchanges.append(exchange)

    def take(self, number: int) -> Question | None:
        """The question that control has answered; it is open no more."""
        place = self._places.get(number)
        question = self._open.get(place) if place is not None else None
        if place is None or question is None:
            return None
        self._close(place, question)
        return question

    def give_up(self, *, tokens_alone: bool = False) -> None:
        """No answer will come, or none that counts: whether the key exists or the token is active is not known."""
        given_up = [(place, question) for place, question in self._open.items() if place[2] or not tokens_alone]
        for place, question in given_up:
            self._close(place, question)
        for place, question in given_up:  # whoever is refused may make room for one that asks again
            question.refuse(NOT_TOLD if place[2] else NO_KEY)

    def forget(self) -> None:
        """What control never answered; those who waited have been refused by their deadline."""
        now = self._now()
        for place, question in list(self._open.items()):
            if now - question.asked_at > KEY_WAIT_S * 2:
                self._close(place, question)

    def _pose(self, place: tuple[str, str, bytes], waiting: Waiting, before: Question | None) -> Question | None:
        """A new question; whoever still waits for an old one waits for this. None when it cannot be asked."""
        still = [each for each in before.exchanges if not each.ended] if before is not None else []
        question = Question(next(self._numbers), self._now(), waiting, still)
        if waiting.token:
            if self._under_way[waiting.issuer, True] >= WAITING_TOKENS:
                return None
            text = waiting.token.decode("ascii")
            asked: dict[str, object] = {
                "t": "introspect", "id": question.number, "issuer": waiting.issuer, "token": text,
            }  # fmt: skip
        else:
            if self._under_way[waiting.issuer, False] >= WAITING_KEYS:
                return None
            asked = {"t": "want_key", "id": question.number, "issuer": waiting.issuer, "kid": waiting.kid}
        if not self._ask(asked):
            return None
        if before is not None:
            self._close(place, before)
        self._open[place] = question
        self._places[question.number] = place
        self._under_way[waiting.issuer, bool(waiting.token)] += 1
        return question

    def _close(self, place: tuple[str, str, bytes], question: Question) -> None:
        del self._open[place]
        del self._places[question.number]
        self._under_way[place[0], bool(place[2])] -= 1
