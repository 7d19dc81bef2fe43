"""The value a head is read into: whole from its first moment, and nothing to act on where nothing was read."""

from __future__ import annotations

import pytest

from gateway.http1.request import Head, unread_head
from gateway.http1.target import Target


@pytest.mark.parametrize(("version", "keep_alive"), [(11, True), (10, False)])
def test_a_new_head_has_every_field_absent(version: int, keep_alive: bool) -> None:
    head = Head("GET", Target(b"/a", "/a", ("a",)), version)
    names = [name for name in dir(head) if not name.startswith("_")]
    told = {name: getattr(head, name) for name in names}
    del told["target"]
    assert told.pop("method") == "GET"
    assert told.pop("version") == version
    assert told.pop("keep_alive") is keep_alive
    assert len(told) == 21
    assert not any(told.values())


def test_two_heads_share_no_lines() -> None:
    first, second = (Head("GET", Target(b"/", "/", ("",)), 11) for _ in range(2))
    first.passed.append(b"X: 1\r\n")
    assert second.passed == []


def test_what_was_not_read_is_kept_for_the_record_and_never_acted_on() -> None:
    head = unread_head("BREW", b"/pot\xff")
    assert (head.method, head.target.path, head.target.segments) == ("BREW", "/pot\xff", ())
    assert not head.keep_alive
    assert not head.host
    assert not head.bearer
    assert head.length == 0


def test_of_what_was_not_read_it_is_known_whether_a_person_wants_a_page() -> None:
    fields = [(b"Host", b"a.test"), (b"ACCEPT", b"text/html"), (b"Cookie", b"a=b")]
    head = unread_head("", b"/", fields)
    assert (head.accept, head.host, head.own_cookies) == (b"text/html", "", b"")
