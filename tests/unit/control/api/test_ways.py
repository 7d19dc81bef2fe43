"""Visitors are told which hop stops them and what is about themselves, and nothing of devices, rules and addresses."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from gateway.control.api.callers import Caller
from gateway.control.api.ways import Ways, for_visitor
from gateway.questions.explain import Answer
from gateway.questions.hops import Hop, State, Way
from policy.facts import Principal

if TYPE_CHECKING:
    from gateway.control.api.engine import Engine

JANE = Caller(Principal("person", "user:default/jane", frozenset(("user:default/jane",))), False, True)
RULE = "Rule sd-front-prod-6a8f6f69 lets corp\\jane come, who carries sd-g-payments-ac3dbe76."


def way(state: State) -> Way:
    todo = "" if state == "open" else "Read and apply the plan that waits: `stagedoor plan --device edge`."
    return Way(
        (
            Hop("name", "pay.test", state, "DNS leads pay.test to 203.0.113.9, instead of to 203.0.113.10.", todo),
            Hop("virtual-server", "lb1, /prod/Shared/vs", state, "Clients meet it at 203.0.113.10 (/prod/vs).", todo),
            Hop("firewall", "edge, front", state, "Rule sd-front-prod-1 on edge is not as it is wanted.", todo),
            Hop("firewall", "edge, front", "open", RULE, own=True),
        ),
        Hop("door", "pay.test", "open", "Payments may."),
        (
            Hop("firewall", "edge, back", state, "Service address 10.0.0.1 carries none of the tags.", todo),
            Hop("upstream", "component:default/pay@prod", "open", "Checks are answered by http://10.0.0.1:8080."),
        ),
    )


def test_a_visitor_learns_where_it_stops_and_not_by_what() -> None:
    for state in ("open", "stops", "unknown"):
        told = for_visitor(way(state))
        assert [hop.state for hop in told.hops] == [state, state, state, "open", "open", state]
        text = json.dumps([hop.as_told() for hop in told.hops])
        for secret in ("lb1", "/prod", "sd-front-prod-1 ", "203.0.113.", "10.0.0.1", "8080", "`stagedoor"):
            assert secret not in text, secret
        assert all(hop.sentence for hop in told.hops)
        assert all(hop.todo for hop in told.hops if hop.state != "open")


def test_what_is_about_themselves_stays() -> None:
    assert RULE in [hop.sentence for hop in for_visitor(way("open")).hops]


def test_commands_of_administrators_are_not_what_a_visitor_is_to_do() -> None:
    cut = Hop("door", "pay.test", "stops", "user:default/jane is cut off.", "`stagedoor cut list` says why.")
    assert for_visitor(Way((), cut, ())).door.todo == "Tell the platform team."


@pytest.mark.parametrize("owns", [None, False, True])
def test_an_engine_that_is_away_is_not_waited_for_twice(monkeypatch: pytest.MonkeyPatch, owns: bool | None) -> None:
    asked: list[dict[str, Any]] = []

    async def door(*_arguments: object) -> tuple[Answer, str, bool | None]:
        return Answer(True, "owner", 0, "May.", "", JANE.ref, "component:default/pay@prod"), "x@prod", owns

    async def hops(question: dict[str, Any]) -> None:
        asked.append(question)

    ways = Ways(cast("Engine", SimpleNamespace(table=SimpleNamespace(ready=True))))
    monkeypatch.setattr(ways, "_door", door)
    monkeypatch.setattr(ways, "_hops", hops)
    found, _ = asyncio.run(ways.path(JANE, "GET", "https://pay.test/"))
    assert bool(asked) is (owns is not None)
    assert found["sentence"] == "The engine does not answer, so nothing is known of the network."
