"""Plans that take over what is not ours, as they were shown to a person: each may be applied once, by the same user,
and soon. So no file takes anything over, however it came to the engine."""

from __future__ import annotations

from typing import Final

OFFER_S: Final = 900.0  # to read it and say yes
MOST: Final = 32


class Offers:
    """In memory: an engine that starts anew has shown nothing."""

    def __init__(self) -> None:
        self._made: dict[tuple[str, int], float] = {}  # digest and user -> when

    def make(self, digest: str, uid: int, now_s: float) -> None:
        self._made.pop((digest, uid), None)
        self._made[digest, uid] = now_s
        while len(self._made) > MOST:
            del self._made[next(iter(self._made))]

    def take(self, digest: str, uid: int, now_s: float) -> bool:
        """Whether it was made, for this user, and not long ago; it is used up then."""
        made_s = self._made.pop((digest, uid), None)
        return made_s is not None and 0 <= now_s - made_s <= OFFER_S
