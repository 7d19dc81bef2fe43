"""What a firewall's history says of a change: who wanted it and why, whatever names and tickets are made of."""

from __future__ import annotations

import re
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gateway.engine.network.panos.commit.change import Change, Comment
from gateway.engine.network.panos.commit.history import DESCRIPTION_MOST, description_of, signed
from gateway.engine.network.panos.device.writes import COMMENT_MOST
from gateway.engine.network.plans.guards import ENGINE, Consent
from gateway.engine.network.plans.plan import Kind, Plan, Step

DIGEST = "7f3a0c9be1d25f3c"
JANE = "jane (uid 1000), ticket CHG-1042"


def plan_about(*refs: str, **changes: Any) -> Plan:
    steps = tuple(Step(Kind.ADD, "", "", (ref,)) for ref in refs)
    said: dict[str, Any] = {
        "device": "edge", "environment": "prod", "made": "", "version": "c7xki4wd", "fingerprint": "", "steps": steps,
    }  # fmt: skip
    return Plan(**{**said, **changes})


def test_a_commit_says_how_much_for_whom_by_whom_and_by_which_plan() -> None:
    said = description_of("main", plan_about("component:default/payments"), DIGEST, JANE)
    begins = "stagedoor main prod: 1 step for component:default/payments, applied by jane (uid 1000), ticket CHG-1042"
    assert re.fullmatch(re.escape(begins) + rf" \(plan {DIGEST}, policy c7xki4wd, attempt [0-9a-f]{{8}}\)", said)


def test_of_many_services_their_number_is_told() -> None:
    said = description_of("main", plan_about("component:default/a", "component:default/b"), DIGEST, ENGINE)
    assert ": 2 steps for 2 services, applied by engine (" in said


def test_two_attempts_are_told_apart() -> None:
    assert description_of("main", plan_about(), DIGEST, JANE) != description_of("main", plan_about(), DIGEST, JANE)


@given(by=st.text(max_size=400), ref=st.text(max_size=400), environment=st.text(max_size=200))
def test_whatever_names_hold_a_description_is_short_plain_and_ends_with_its_attempt(
    by: str, ref: str, environment: str
) -> None:
    said = description_of("i" * 300, plan_about(ref, environment=environment, version="v" * 300), DIGEST, by)
    assert len(said) <= DESCRIPTION_MOST
    assert all(" " <= each <= "~" for each in said)
    assert said == said.strip()
    assert re.search(rf" \(plan {DIGEST}, policy v+, attempt [0-9a-f]{{8}}\)\Z", said)


@given(by=st.text(max_size=400), text=st.text(alphabet="abc; :/", max_size=400))
def test_a_comment_keeps_the_rules_words_and_ends_with_who_and_the_plan(by: str, text: str) -> None:
    (comment,) = signed(Change((), (Comment("/x", text),)), by, DIGEST).comments
    assert len(comment.text) <= COMMENT_MOST
    assert comment.text.endswith(f"plan {DIGEST}")
    assert comment.text.startswith(text[:100])
    assert all(" " <= each <= "~" for each in comment.text)


def test_a_ticket_stands_beside_who_brought_it() -> None:
    assert Consent("jane (uid 1000)", "CHG-1042").signature == JANE
    assert Consent(ENGINE).signature == "engine"
