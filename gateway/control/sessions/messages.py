"""What doors ask about sessions over the control link, read as strictly as anything from outside this process.

Three questions: facts about sessions, a session cookie for a hand-over code, and an end. Each has its answer within the
doors' patience or says why not; so many are open at once, and what is no question is dropped with a line in the log.
One word that asks nothing: whom a door found sessions to be.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

from gateway import telemetry
from gateway.control.sessions.live import LiveSessions
from gateway.control.signin.handover import HandOver, Redeemed
from gateway.control.store import StoreUnavailable
from gateway.identity.session import SESSION_ID
from gateway.link import Message

AT_ONCE: Final = 1024  # questions that are open, of all doors
SIDS_LIMIT: Final = 20_000  # in one message
TEXT_LIMIT: Final = 256
REF_LIMIT: Final = 512
FINISH_S: Final = 3.0
AWAY: Final = "store_unavailable"

Send = Callable[[Message], object]
SignOut = Callable[[str, str], Awaitable[str]]


class SessionMessages:
    """``sign_out`` ends a session and says where the browser goes then."""

    def __init__(self, live: LiveSessions, hand_over: HandOver, sign_out: SignOut) -> None:
        self._live = live
        self._hand_over = hand_over
        self._sign_out = sign_out
        self._open: set[asyncio.Task[None]] = set()

    def take(self, send: Send, message: Message) -> None:
        """Answer one message of a door; ``send`` is its link's."""
        if message["t"] == "found":
            self._live.hear(_people(message))
            return
        if len(self._open) >= AT_ONCE:
            telemetry.log("session_question_dropped", level="warning", type=message["t"], open=len(self._open))
            return
        doing = {"sessions": self._facts, "redeem": self._redeem, "sign_out": self._end}[message["t"]]
        task = asyncio.get_running_loop().create_task(self._answered(doing(send, message), message["t"]))
        self._open.add(task)
        task.add_done_callback(self._open.discard)

    async def close(self) -> None:
        """What is under way may finish: the store answers in time, or says that it does not."""
        if self._open:
            await asyncio.wait(self._open, timeout=FINISH_S)

    async def _answered(self, doing: Awaitable[None], kind: str) -> None:
        try:
            await doing
        except StoreUnavailable as fault:
            telemetry.log("session_question_failed", level="warning", type=kind, why=str(fault))

    async def _facts(self, send: Send, message: Message) -> None:
        want, seen, refs = message.get("want", []), message.get("seen", {}), message.get("refs", {})
        if not isinstance(want, list) or not isinstance(seen, dict) or not isinstance(refs, dict):
            return
        wanted = list(dict.fromkeys(filter(_is_sid, want[:SIDS_LIMIT])))
        used = {sid: at for sid, at in list(seen.items())[:SIDS_LIMIT] if _is_sid(sid) and type(at) is int and at >= 0}
        found = {sid: ref for sid, ref in refs.items() if _is_sid(sid) and _is_ref(ref)}
        facts = await self._live.answer(wanted, used, found)
        if facts:
            send({"t": "sessions", "facts": facts})

    async def _redeem(self, send: Send, message: Message) -> None:
        code, host, proof = (_text(message, name) for name in ("code", "host", "proof"))
        redeemed = Redeemed("", "", AWAY)
        try:
            redeemed = await self._hand_over.redeem(code, host, proof)
        finally:
            send({"t": "redeemed", "id": message.get("id"), **redeemed._asdict()})

    async def _end(self, send: Send, message: Message) -> None:
        sid, host = _text(message, "sid"), _text(message, "host")
        to = ""
        try:
            to = await self._sign_out(sid if _is_sid(sid) else "", host)
        finally:
            send({"t": "signed_out", "id": message.get("id"), "to": to})


def _is_sid(value: object) -> bool:
    return isinstance(value, str) and SESSION_ID.fullmatch(value) is not None


def _is_ref(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= REF_LIMIT and "\0" not in value


def _people(message: Message) -> list[tuple[str, str]]:
    """Sessions and whom a door found them to be, the first one first."""
    listed = message.get("people")
    pairs = [each for each in listed[:SIDS_LIMIT] if isinstance(each, list) and len(each) == 2] \
        if isinstance(listed, list) else []  # fmt: skip
    return [(sid, ref) for sid, ref in pairs if _is_sid(sid) and _is_ref(ref)]


def _text(message: Message, name: str) -> str:
    value: Any = message.get(name)
    return value if isinstance(value, str) and len(value) <= TEXT_LIMIT else ""
