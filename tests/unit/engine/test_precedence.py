"""Promise: who works long beside the rounds waits while one is under way, and goes on after it, however it ended."""

from __future__ import annotations

import threading

import pytest

from gateway.engine.precedence import Precedence

SOON_S = 10.0


def test_it_waits_for_the_round_alone() -> None:
    precedence = Precedence()
    precedence.give_way()
    passed = threading.Event()

    def work() -> None:
        precedence.give_way()
        passed.set()

    worker = threading.Thread(target=work)
    with precedence.claimed():
        worker.start()
        assert not passed.wait(0.05)
    assert passed.wait(SOON_S)
    worker.join()


def test_a_round_that_failed_keeps_nobody_waiting() -> None:
    precedence = Precedence()
    with pytest.raises(MemoryError), precedence.claimed():
        raise MemoryError
    precedence.give_way()
