"""Which endpoint takes a request: failures put an endpoint aside for a while, a trial brings it back.

Passive: what requests meet is all the evidence. One connection that cannot be made, or several answers in a row
that are a gateway's failure (502, 503, 504, none at all, none in time), eject an endpoint for a time that doubles
with each failed trial up to a bound. When the time is over one request tries it, and only its outcome counts.

At most half of an exposure's endpoints are ejected: many failing at once says more about the way there, or about
the request, than about each of them. When nothing sound is left, everything is tried. What the engine's checks say
(`is_down`) is honoured beside it, with the same way out. All of this belongs to one exposure: no environment and
no other service sees it.

On the good path none of it runs: a route without trouble chooses by load alone, and an answer is compared with one
number (`Endpoint.notable`).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from gateway.door.endpoint import Endpoint

CONNECT_FAILURES: Final = 1  # nothing was sent: the request goes elsewhere, and so should the next
ANSWER_FAILURES: Final = 5  # in a row; each may be about its request
GATEWAY_FAILURES: Final = (502, 503, 504)
FIRST_S: Final = 2.0
LONGEST_S: Final = 60.0
DOUBLINGS: Final = 5
FORGIVEN_S: Final = 60.0  # well for so long, and the next ejection is a first one again
TRIAL_S: Final = 5.0  # how long a trial keeps other requests away; its outcome counts whenever it comes

NOTABLE: Final = 408  # answers below say nothing about an endpoint that is well
ALL_NOTABLE: Final = 0  # after a failure every answer does

RETRY_SHARE: Final = 0.2
RETRY_FLOOR: Final = 20  # in a window, whatever was sent
WINDOW_S: Final = 10.0


class Health:
    """What one endpoint's failures add up to. Times are the door's monotonic clock."""

    __slots__ = ("asked", "ejected", "failures", "level", "on_trial", "said", "until_s")

    def __init__(self) -> None:
        self.failures = 0  # in a row
        self.ejected = False
        self.asked = False  # since the ejection: from now on a good answer ends it
        self.on_trial = False  # its time is over: from now on a failure is one more
        self.until_s = float("-inf")  # of the ejection; where there must be none, of the silence about it
        self.level = 0  # how often it doubled
        self.said = False  # that something is wrong

    def failed(self, enough: int) -> bool:
        """One more failure. True when it is time to `eject`."""
        self.failures += 1
        return self.on_trial if self.ejected else self.failures >= enough

    def eject(self, now_s: float) -> float:
        """Pass it over from now on. Returns for how long, in seconds."""
        self.ejected = True
        self.asked = self.on_trial = False
        self.said = True
        return self._grow(now_s)

    def keep(self, now_s: float) -> bool:
        """It would be ejected, but must stay in use. True when that is worth saying again."""
        if now_s < self.until_s:
            return False
        self._grow(now_s)
        self.said = True
        return True

    def succeeded(self) -> bool:
        """An answer that is none of its failures. True when that ends what was said about it."""
        if self.ejected and not self.asked:
            return False  # it answers what was sent before it was ejected
        self.failures = 0
        self.ejected = self.asked = self.on_trial = False
        said, self.said = self.said, False
        return said

    def is_passed_over(self, now_s: float) -> bool:
        return self.ejected and now_s < self.until_s

    def chosen(self, now_s: float) -> None:
        """A request goes there: once the time is over that is the trial, before that there is nobody better."""
        if self.ejected:
            self.asked = True
            if now_s >= self.until_s:
                self.on_trial = True
                self.until_s = now_s + TRIAL_S

    def _grow(self, now_s: float) -> float:
        self.level = 0 if now_s - self.until_s > FORGIVEN_S else min(self.level + 1, DOUBLINGS)
        seconds = min(FIRST_S * 2.0**self.level, LONGEST_S)
        self.until_s = now_s + seconds
        return seconds


class RetryBudget:
    """At most a fifth of what was sent to an endpoint in the last seconds is sent again, beyond a floor: an upstream
    that dies is not asked twice for everything. ``taken`` is how many requests it ever took."""

    __slots__ = ("_began_s", "_spent", "_spent_before", "_taken", "_taken_before")

    def __init__(self) -> None:
        self._began_s = 0.0
        self._taken = 0  # when this window began
        self._taken_before = 0  # when the one before it began
        self._spent = 0
        self._spent_before = 0

    def grant(self, taken: int) -> bool:
        allowed = max(RETRY_FLOOR, RETRY_SHARE * (taken - self._taken_before))
        if self._spent + self._spent_before >= allowed:
            return False
        self._spent += 1
        return True

    def turn(self, now_s: float, taken: int) -> None:
        """Called each second."""
        if now_s - self._began_s >= WINDOW_S:
            self._began_s = now_s
            self._taken_before, self._taken = self._taken, taken
            self._spent_before, self._spent = self._spent, 0


def candidates(endpoints: Sequence[Endpoint], tried: Collection[Endpoint], now_s: float) -> list[Endpoint]:
    """The endpoints to choose from: the sound ones; none of them left, those that are not down; else any untried."""
    untried = [each for each in endpoints if each not in tried]
    up = [each for each in untried if not each.is_down(now_s)]
    return [each for each in up if not each.health.is_passed_over(now_s)] or up or untried


def may_eject(endpoints: Sequence[Endpoint]) -> bool:
    """Whether one more of these may be ejected: at most half are."""
    return sum(each.health.ejected for each in endpoints) < len(endpoints) // 2


def reinstate_surplus(endpoints: Sequence[Endpoint]) -> None:
    """After the exposure lost endpoints: those due first come back, until half at most is ejected."""
    ejected = sorted((each for each in endpoints if each.health.ejected), key=lambda each: each.health.until_s)
    for endpoint in ejected[: max(0, len(ejected) - len(endpoints) // 2)]:
        endpoint.health.ejected = False
