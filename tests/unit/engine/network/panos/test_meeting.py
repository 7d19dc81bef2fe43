"""Which virtual addresses are a scope's alone: only those that nobody else is met at, and only if all of its are."""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from gateway.engine.network.panos.meeting import Meeting
from policy.coarse import Scope
from tests.support.panos_rules import DATABASE, LEDGER, PAYMENTS, PLACES, SCOPES, front

API = PLACES[0].entity


def test_an_address_of_one_scope_alone_is_its_own() -> None:
    meeting = Meeting.of(SCOPES, [front(API, "10.0.0.1"), front(LEDGER, "10.0.0.2", 8443)], ())
    assert meeting.own == {PAYMENTS: frozenset({"10.0.0.1"}), LEDGER: frozenset({"10.0.0.2"})}
    assert (meeting.shared, meeting.together) == (frozenset(), ())
    assert (meeting.ports[PAYMENTS], meeting.ports[LEDGER]) == (frozenset({443}), frozenset({8443}))


def test_a_scope_with_one_shared_address_is_met_together_at_all_of_its() -> None:
    fronts = [front(API, "10.0.0.1"), front(DATABASE, "10.0.0.2"), front(LEDGER, "10.0.0.2")]
    meeting = Meeting.of(SCOPES, fronts, ())
    assert meeting.own == {}
    assert (meeting.shared, meeting.together) == (frozenset({"10.0.0.1", "10.0.0.2"}), (LEDGER, PAYMENTS))


def test_addresses_of_settings_are_everybodys_and_take_nobody_their_own() -> None:
    meeting = Meeting.of(SCOPES, [front(API, "10.0.0.1")], ("10.0.0.9",))
    assert meeting.own == {PAYMENTS: frozenset({"10.0.0.1"})}
    assert (meeting.shared, meeting.together) == (frozenset({"10.0.0.9"}), (LEDGER, PAYMENTS))


def test_an_address_of_what_is_in_no_scope_is_nobodys_own() -> None:
    meeting = Meeting.of(SCOPES, [front("component:stagedoor/portal", "10.0.0.1"), front(API, "10.0.0.1")], ())
    assert (meeting.own, meeting.shared, meeting.together) == ({}, frozenset({"10.0.0.1"}), (PAYMENTS,))


refs = st.sampled_from([f"component:default/{one}" for one in "abcdef"])
addresses = st.sampled_from([f"10.0.0.{one}" for one in range(6)])


@given(st.lists(st.tuples(refs, addresses), max_size=12), st.sets(addresses, max_size=2), st.randoms())
def test_own_addresses_lead_to_one_scope_whatever_the_order(
    met: list[tuple[str, str]], everywhere: set[str], random: Random
) -> None:
    scopes = [Scope(ref, "prod", "", (ref,), (), (), False, False, ()) for ref in sorted({ref for ref, _ in met})]
    fronts = [front(ref, address) for ref, address in met]
    meeting = Meeting.of(scopes, fronts, everywhere)
    for ref, held in meeting.own.items():
        assert {who for who, address in met if address in held} == {ref} and not held & {*everywhere, *meeting.shared}
    assert {address for _, address in met} | everywhere == meeting.shared.union(*meeting.own.values())
    assert {ref for ref, _ in met} == {*meeting.own, *meeting.together} or everywhere
    random.shuffle(fronts)
    assert Meeting.of(scopes, fronts, everywhere) == meeting
