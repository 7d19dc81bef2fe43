"""Promises about what a door asks control for: made-up tokens of one issuer cost nobody of another one an answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import pytest

from gateway.door.exchange import Exchange
from gateway.door.questions import NO_KEY, NOT_TOLD, WAITING_KEYS, WAITING_TOKENS, Questions, Waiting


class Asker:
    """An exchange, as far as questions know one."""

    def __init__(self) -> None:
        self.ended = False
        self.refusals: list[str] = []
        self.looked = 0

    def refuse(self, code: str, detail: str) -> None:
        self.refusals.append(detail)

    def key_arrived(self) -> None:
        self.looked += 1


class Control:
    """Takes every message and answers none by itself."""

    def __init__(self) -> None:
        self.asked: list[dict[str, object]] = []
        self.questions = Questions(lambda: 0, self._take)

    def _take(self, message: dict[str, object]) -> bool:
        self.asked.append(message)
        return True

    def wait(self, waiting: Waiting) -> Asker:
        asker = Asker()
        self.questions.wait(waiting, cast(Exchange, asker))
        return asker


def about_key(issuer: str, number: int) -> Waiting:
    return Waiting(issuer, f"kid-{number}", NO_KEY)


def about_token(issuer: str, number: int) -> Waiting:
    return Waiting(issuer, "", NOT_TOLD, b"opaque", b"digest-%d" % number)


@pytest.mark.parametrize(("make", "most"), [(about_key, WAITING_KEYS), (about_token, WAITING_TOKENS)])
def test_made_up_tokens_of_one_issuer_leave_room_for_questions_about_another(
    make: Callable[[str, int], Waiting], most: int
) -> None:
    control = Control()
    for number in range(most):
        control.wait(make("flooded", number))
    refused = control.wait(make("flooded", most))
    assert len(refused.refusals) == 1
    other = control.wait(make("other", 0))
    assert not other.refusals
    assert (control.asked[-1]["issuer"], len(control.asked)) == ("other", most + 1)

    question = control.questions.take(cast(int, control.asked[0]["id"]))
    assert question is not None
    question.look_again()
    assert not control.wait(make("flooded", most)).refusals, "an answer makes room again"


def test_questions_about_keys_and_about_tokens_do_not_count_for_each_other() -> None:
    control = Control()
    for number in range(WAITING_KEYS):
        control.wait(about_key("idp", number))
    assert not control.wait(about_token("idp", 0)).refusals
    assert control.wait(about_key("idp", WAITING_KEYS)).refusals
    control.questions.give_up(tokens_alone=True)
    assert control.wait(about_key("idp", WAITING_KEYS)).refusals
    control.questions.give_up()
    assert not control.wait(about_key("idp", WAITING_KEYS)).refusals
