"""The documents of each environment as the engine last gave them, and whether they still may be given.

The engine is asked at every read, by one question for all who read the same at that moment, and sends only what is not
known here. While it is away, or has just begun and published nothing, what it gave last is given for a quarter of an
hour, with its age: that is no doubt of the content, only of its news. What it withholds is forgotten at once.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from hashlib import sha256
from typing import Any, Final, NamedTuple

from gateway.control.api.problems import Problem

AWAY_S: Final = 900.0
PATIENCE_S: Final = 20.0  # a large environment is made anew, and written down, within it
HELD_S: Final = 5.0  # where something is held that can be given instead
NOT_YET: Final = frozenset(("unread", "unknown"))  # of an engine that has just begun, or follows other settings still
AWAY: Final = "away"
NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}(?:/[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?")

Key = tuple[str, str, str]  # vendor, device, environment
Ask = Callable[[dict[str, Any], float], Awaitable[dict[str, Any]]]


class Stored(NamedTuple):
    """``etag``: strong, the same wherever the same bytes are."""

    media_type: str
    body: bytes
    etag: str


class Given(NamedTuple):
    """``age_s``: since the engine stood to it; 0 when it does so now."""

    documents: Mapping[str, Stored]
    age_s: float


class Withheld(NamedTuple):
    code: str


class _Held(NamedTuple):
    mark: str
    documents: Mapping[str, Stored]
    at_s: float


class Memory:
    """``ask``: the engine, within so many seconds; raises `Problem`. ``monotonic``: seconds."""

    def __init__(self, ask: Ask, monotonic: Callable[[], float]) -> None:
        self._ask = ask
        self._monotonic = monotonic
        self._held: dict[Key, _Held] = {}
        self._asking: dict[Key, asyncio.Task[Given | Withheld]] = {}

    async def look(self, key: Key) -> Given | Withheld:
        asking = self._asking.get(key)
        if asking is None:
            asking = self._asking[key] = asyncio.get_running_loop().create_task(self._look(key))
            asking.add_done_callback(lambda _: self._asking.pop(key, None))
        return await asyncio.shield(asking)  # who goes away takes no answer from the others

    def keep_only(self, keys: frozenset[Key]) -> None:
        for key in self._held.keys() - keys:
            del self._held[key]

    def ages(self) -> dict[Key, float]:
        """Seconds since the engine stood to what is held, of all that is."""
        now_s = self._monotonic()
        return {key: now_s - held.at_s for key, held in self._held.items()}

    def close(self) -> None:
        for asking in self._asking.values():
            asking.cancel()

    async def _look(self, key: Key) -> Given | Withheld:
        held = self._held.get(key)
        vendor, device, environment = key
        question = {
            "t": "feed", "vendor": vendor, "device": device, "environment": environment,
            "mark": held.mark if held is not None else "",
        }  # fmt: skip
        try:
            answer = await self._ask(question, PATIENCE_S if held is None else HELD_S)
        except Problem:
            return self._of_before(held)
        code = answer.get("code")
        if code in NOT_YET:
            return self._of_before(held)
        if code != "" or (found := _read(answer, held)) is None:
            self._held.pop(key, None)
            return Withheld(code if isinstance(code, str) and code else "unmade")
        self._held[key] = _Held(str(answer["mark"]), found, self._monotonic())
        return Given(found, 0.0)

    def _of_before(self, held: _Held | None) -> Given | Withheld:
        if held is None:
            return Withheld(AWAY)
        age_s = self._monotonic() - held.at_s
        return Given(held.documents, age_s) if age_s <= AWAY_S else Withheld(AWAY)


def _read(answer: Mapping[str, Any], held: _Held | None) -> Mapping[str, Stored] | None:
    """The documents; None for what is no answer."""
    mark, said = answer.get("mark"), answer.get("documents")
    if not isinstance(mark, str) or not mark:
        return None
    if said is None:
        return held.documents if held is not None and held.mark == mark else None
    if not isinstance(said, dict) or not said:
        return None
    found: dict[str, Stored] = {}
    for name, document in said.items():
        match document:
            case [str(media_type), str(text)] if text and NAME.fullmatch(name):
                found[name] = stored(media_type, text)
            case _:
                return None
    return found


def stored(media_type: str, text: str) -> Stored:
    body = text.encode()
    return Stored(media_type, body, f'"{sha256(body).hexdigest()[:32]}"')
