"""One question, one answer over a real socket; whatever else happens is a sentence that says what to do."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gateway.link import OWN_UIDS, Link, LinkServer, Message
from gateway.node import asking
from gateway.node.asking import CONTROL, ENGINE, Away, Refusing, ask

STRANGERS = frozenset((4_000_000_000,))


@contextmanager
def serving(
    path: Path, answer: Callable[[Link, Message], None], uids: frozenset[int] = OWN_UIDS
) -> Iterator[list[Message]]:
    """A role at the other end, in a loop and thread of its own."""
    heard: list[Message] = []
    loop = asyncio.new_event_loop()

    def take(link: Link, message: Message) -> None:
        heard.append(message)
        answer(link, message)

    server = LinkServer(path, take, lambda link: None, uids=uids)
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    asyncio.run_coroutine_threadsafe(server.start(), loop).result(5)

    async def turns() -> None:
        for _ in range(20):
            await asyncio.sleep(0)

    async def end() -> None:
        await turns()  # whoever was accepted becomes a link
        server.close()
        await turns()  # transports close

    try:
        yield heard
    finally:
        asyncio.run_coroutine_threadsafe(end(), loop).result(5)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(5)
        loop.close()


def test_the_answer_is_the_first_message_of_a_type_that_was_asked_for(tmp_path: Path) -> None:
    def answer(link: Link, _message: Message) -> None:
        link.send({"t": "overlay", "seq": 1})
        link.send({"t": "status", "node": "up"})
        link.send({"t": "status", "node": "later"})

    with serving(tmp_path / CONTROL, answer) as heard:
        assert ask(tmp_path, CONTROL, {"t": "status"}, "status") == {"t": "status", "node": "up"}
        assert heard == [{"t": "status"}]


def test_a_state_folder_may_lie_deeper_than_a_socket_address_reaches(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 60) / ("e" * 60)
    deep.mkdir(parents=True)

    def answer(link: Link, _message: Message) -> None:
        link.send({"t": "status"})

    with serving(deep / ENGINE, answer):
        assert ask(deep, ENGINE, {"t": "status"}, "status") == {"t": "status"}


def test_nobody_there_is_said_by_name(tmp_path: Path) -> None:
    with pytest.raises(Away, match="control does not run: nobody listens"):
        ask(tmp_path, CONTROL, {"t": "status"}, "status")
    with pytest.raises(Away):
        ask(tmp_path / "absent", CONTROL, {"t": "status"}, "status")


def test_a_socket_that_was_left_behind_is_nobody(tmp_path: Path) -> None:
    with serving(tmp_path / "other.sock", lambda link, _message: None):
        os.link(tmp_path / "other.sock", tmp_path / ENGINE)
    with pytest.raises(Away, match="the engine does not run"):
        ask(tmp_path, ENGINE, {"t": "status"}, "status")


def test_who_does_not_answer_in_time_is_refusing(tmp_path: Path) -> None:
    with serving(tmp_path / CONTROL, lambda link, _message: None), pytest.raises(Refusing, match="did not answer"):
        ask(tmp_path, CONTROL, {"t": "status"}, "status", within_s=0.05)


def test_who_answers_only_others_is_refusing(tmp_path: Path) -> None:
    """The node looks at our uid (`SO_PEERCRED`) and ends the connection."""
    with (
        serving(tmp_path / CONTROL, lambda link, _message: None, uids=STRANGERS) as heard,
        pytest.raises(Refusing, match="its own user and root"),
    ):
        ask(tmp_path, CONTROL, {"t": "status"}, "status")
    assert heard == []


def test_an_answer_of_a_stranger_is_not_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "OWN_UIDS", STRANGERS)
    monkeypatch.setattr(asking, "_owner_of", lambda folder: next(iter(STRANGERS)))
    with (
        serving(tmp_path / CONTROL, lambda link, _message: link.close()) as heard,
        pytest.raises(Refusing),
    ):
        ask(tmp_path, CONTROL, {"t": "status"}, "status")
    assert heard == [], "not even the question is told"
