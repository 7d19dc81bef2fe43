"""Whose turn it is: a client takes one slice of each turn of the loop, however much it wants done, and what is beyond
that waits without being lost. The loop is a list here; the time that work takes is real."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter_ns
from typing import Any, cast

import pytest

from gateway.door.turns import CROWDED_REQUESTS, FORGOTTEN_NS, SLICE_NS, TURN_REQUESTS, Share, Turns


class Loop:
    """Calls what was there when a turn began."""

    def __init__(self) -> None:
        self.calls: list[Callable[[], None]] = []

    def call_soon(self, call: Callable[[], None]) -> None:
        self.calls.append(call)

    def turn(self) -> None:
        calls, self.calls = self.calls, []
        for call in calls:
            call()


def spin(duration_ns: int) -> None:
    until = perf_counter_ns() + duration_ns
    while perf_counter_ns() < until:
        pass


def is_refused_at_once(use: Callable[[Share], None]) -> bool:
    """Whether a client that has done ``use`` must wait then. Where the machine stood still in between, so that what
    was used is forgotten, it is done again."""
    while True:
        _, share, _ = crowd()
        began_ns = perf_counter_ns()
        use(share)
        refused = not share.begin()
        if refused or perf_counter_ns() - began_ns <= FORGOTTEN_NS:
            return refused


def crowd() -> tuple[Loop, Share, Share]:
    loop = Loop()
    turns = Turns(cast(Any, loop))
    return loop, turns.join("10.0.0.1", False), turns.join("10.0.0.2", False)


def test_a_client_alone_is_neither_timed_nor_lined_up() -> None:
    loop = Loop()
    turns = Turns(cast(Any, loop))
    share = turns.join("10.0.0.1", False)
    assert turns.join("10.0.0.1", False) is share
    assert (turns.crowded, turns.requests) == (False, TURN_REQUESTS)
    done: list[int] = []
    for number in range(5):
        share.line_up(lambda number=number: done.append(number), "")  # type: ignore[misc]  # a default binds it
    loop.turn()
    assert done == [0, 1, 2, 3, 4]


def test_connections_of_an_address_share_and_those_of_a_trusted_peer_do_not() -> None:
    turns = Turns(cast(Any, Loop()))
    first, second = turns.join("10.0.0.9", True), turns.join("10.0.0.9", True)
    assert first is not second
    assert (turns.crowded, turns.requests) == (True, CROWDED_REQUESTS)
    turns.leave("10.0.0.9", True)
    assert [turns.crowded] == [False]
    one, same = turns.join("10.0.0.1", False), turns.join("10.0.0.1", False)
    assert (one is same, one.connections, turns.crowded) == (True, 2, True)
    turns.leave("10.0.0.1", False)
    assert turns.crowded, "one of its connections is left"
    turns.leave("10.0.0.1", False)
    turns.leave("10.0.0.9", True)
    assert (turns.clients, turns.crowded, turns.shares) == (0, False, {}), "nobody is remembered who has left"


def test_whoever_used_up_its_slice_waits_and_nobody_else_does() -> None:
    def use(greedy: Share) -> None:
        began_ns = perf_counter_ns()
        assert greedy.begin()
        assert not greedy.is_over() or perf_counter_ns() - began_ns >= SLICE_NS
        spin(SLICE_NS)
        assert greedy.is_over()
        greedy.end()

    assert is_refused_at_once(use)
    _, greedy, other = crowd()
    use(greedy)
    assert other.begin()


def test_what_was_used_long_ago_counts_no_more() -> None:
    _, share, _ = crowd()
    assert share.begin()
    spin(SLICE_NS)
    share.end()
    spin(FORGOTTEN_NS)
    assert share.begin()


def test_bytes_count_although_moving_them_cannot_be_timed() -> None:
    def use(share: Share) -> None:
        assert share.begin()
        share.end()
        share.moved(256 * 1024)

    assert is_refused_at_once(use)


def test_a_line_is_served_one_slice_in_a_turn_and_in_order() -> None:
    loop, share, _ = crowd()
    done: list[int] = []

    def work(number: int) -> None:
        spin(SLICE_NS)
        done.append(number)

    for number in range(4):
        share.line_up(lambda number=number: work(number), "")  # type: ignore[misc]  # a default binds it
    assert not share.begin(), "what comes now is behind it"
    for turn in range(1, 5):
        loop.turn()
        assert done == list(range(turn))
    assert not loop.calls, "and then the loop is left alone"


def test_what_was_begun_comes_before_what_was_not_and_others_have_their_turns_all_the_same() -> None:
    loop, share, _ = crowd()
    done: list[str] = []

    def work(name: str, left: int, who: str) -> None:
        spin(SLICE_NS)
        done.append(name)
        if left:
            share.line_up(lambda: work(name, left - 1, who), who, True)

    share.line_up(lambda: work("first", 2, "jane"), "jane")
    share.line_up(lambda: work("second", 0, "jane"), "jane")
    share.line_up(lambda: work("other", 0, "joe"), "joe")
    while loop.calls:
        loop.turn()
    assert done == ["first", "other", "first", "first", "second"]


def test_within_a_line_those_who_are_known_take_turns() -> None:
    """Behind one address, a hundred connections of one do not keep the single one of another waiting."""
    loop, share, _ = crowd()
    done: list[str] = []

    def work(who: str) -> None:
        spin(SLICE_NS)
        done.append(who)

    for who in ("jane", "jane", "jane", "jane", "joe", "", "joe"):
        share.line_up(lambda who=who: work(who), who)  # type: ignore[misc]  # a default binds it
    while loop.calls:
        loop.turn()
    assert done == ["jane", "joe", "", "jane", "joe", "jane", "jane"]


def test_little_work_is_done_together() -> None:
    """In one turn, unless the machine takes the processor away within these few microseconds: not twenty times."""

    def in_one_turn() -> list[int]:
        loop, share, _ = crowd()
        done: list[int] = []
        for number in range(3):
            share.line_up(lambda number=number: done.append(number), "")  # type: ignore[misc]  # a default binds it
        loop.turn()
        return done

    assert [0, 1, 2] in (in_one_turn() for _ in range(20))


def test_reads_of_much_are_let_go_one_in_a_turn() -> None:
    loop, share, _ = crowd()
    released: list[int] = []

    def read_on(number: int) -> None:
        share.use_up()
        released.append(number)

    for number in range(3):
        share.line_up(lambda number=number: read_on(number), "")  # type: ignore[misc]  # a default binds it
    for turn in range(1, 4):
        loop.turn()
        assert len(released) == turn


def test_what_lines_up_again_goes_behind_and_is_called_once_in_a_turn() -> None:
    loop, share, _ = crowd()
    done: list[str] = []

    def again() -> None:
        spin(SLICE_NS)
        done.append("first")
        share.line_up(lambda: done.append("first again"), "")

    share.line_up(again, "")
    share.line_up(lambda: done.append("second"), "")
    loop.turn()
    assert done == ["first"]
    assert len(loop.calls) == 1
    loop.turn()
    assert done == ["first", "second", "first again"]


def test_a_fault_in_ones_work_does_not_strand_the_others() -> None:
    loop, share, _ = crowd()
    done: list[str] = []

    def fault() -> None:
        raise RuntimeError("a fault")

    share.line_up(fault, "")
    share.line_up(lambda: done.append("second"), "")
    with pytest.raises(RuntimeError):
        loop.turn()
    loop.turn()
    assert done == ["second"]


def test_a_line_that_is_left_when_the_crowd_goes_is_served_before_what_comes_later() -> None:
    loop, share, other = crowd()
    done: list[str] = []
    share.line_up(lambda: done.append("before"), "")
    other.turns.leave("10.0.0.2", False)
    share.line_up(lambda: done.append("after"), "")
    loop.turn()
    assert done == ["before", "after"]
