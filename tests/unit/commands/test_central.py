"""An answer that a node gives in pages is shown as one, and nobody in it is lost or doubled."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from gateway.commands import central, what_can, who_can
from gateway.commands.central import Central, Unanswered
from gateway.commands.init import DEFAULT_AUDIENCE
from policy.builtin import API_AUDIENCE


class Paged(Central):
    """A node that answers with the next of these pages each time it is asked."""

    def __init__(self, *pages: dict[str, Any]) -> None:
        self.url = "https://door.test"
        self.asked: list[Mapping[str, Any]] = []
        self._pages: Iterator[dict[str, Any]] = iter(pages)

    def ask(self, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        self.asked.append(parameters)
        return next(self._pages)


def who(following: str, *members: list[str]) -> dict[str, Any]:
    entries: list[dict[str, Any]] = [
        {"rule": f"r-{number}", "members": [{"ref": each} for each in crowd]} for number, crowd in enumerate(members)
    ]
    return {"allowed": entries[:2], "denied": entries[2:], "next": following}


def test_members_of_all_pages_are_those_of_one_answer() -> None:
    node = Paged(who("b", ["a", "b"], [], ["a"]), who("d", ["c"], ["c", "d"], []), who("", [], ["e"], ["e"]))
    found = who_can._told(node, {"method": "GET"})
    assert {**found, "next": ""} == who("", ["a", "b", "c"], ["c", "d", "e"], ["a", "e"])
    assert [each["after"] for each in node.asked] == ["", "b", "d"]


def test_exposures_of_all_pages_are_those_of_one_answer() -> None:
    def page(following: str, **exposures: list[int]) -> dict[str, Any]:
        callers = [{"caller": name, "exposures": found} for name, found in exposures.items()]
        return {"callers": callers, "next": following}

    node = Paged(page("x 1", x=[1], y=[]), page("y 1", x=[2], y=[1]), page("", x=[], y=[2]))
    found = what_can._told(node, {})
    assert {**found, "next": ""} == page("", x=[1, 2], y=[1, 2])


def test_a_node_that_goes_in_circles_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(list(Paged(who("b"), who("b"), who("c")).pages("who-can", {}))) == 2
    monkeypatch.setattr(central, "PAGES", 2)
    with pytest.raises(Unanswered, match="never comes to the end"):
        list(Paged(who("a"), who("b"), who("c")).pages("who-can", {}))


def test_a_first_configuration_keeps_the_tokens_of_applications_apart_from_the_apis() -> None:
    """Doors pass a token on: with one audience for both, a service could ask in its callers' names."""
    assert len({DEFAULT_AUDIENCE, API_AUDIENCE}) == 2
