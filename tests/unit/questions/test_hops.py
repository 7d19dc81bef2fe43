"""A way is open where every hop is; what another version of the engine says is never taken for open."""

from __future__ import annotations

from gateway.questions.explain import Answer
from gateway.questions.hops import Hop, State, Way, door_hop, way_of

DOOR = Hop("door", "pay.test", "open", "Payments may.")


def hop(state: State, kind: str = "upstream") -> Hop:
    said = {"kind": kind, "at": "x", "state": state, "sentence": "S.", "todo": "T."}
    return way_of({"clients": [said]}, DOOR).hops[0]


def test_a_way_is_open_only_where_every_hop_is() -> None:
    assert Way((), DOOR, ()).state == "open"
    assert Way((hop("unknown"),), DOOR, ()).state == "unknown"
    assert Way((hop("unknown"),), DOOR, (hop("stops"),)).state == "stops"


def test_the_first_hop_that_stops_is_named() -> None:
    stopped = Way((hop("unknown", "name"), hop("stops", "firewall")), DOOR, (hop("stops"),))
    assert stopped.sentence == "It stops at the firewall x."
    assert Way((hop("unknown", "name"),), DOOR, ()).sentence == "Nobody can tell at the name x."
    assert Way((), DOOR, ()).sentence == "Every hop is open."


def test_the_door_stands_between_the_networks() -> None:
    way = way_of({"clients": [{"kind": "name", "state": "open"}], "upstreams": [{"kind": "upstream"}]}, DOOR)
    assert [each["kind"] for each in way.as_json("user:default/jane", "GET", "https://pay.test/")["hops"]] == [
        "name", "door", "upstream",
    ]  # fmt: skip


def test_words_of_another_version_are_not_known() -> None:
    said = {"clients": [{"kind": "balloon", "state": "splendid", "sentence": 7}, "no hop"], "upstreams": None}
    (found, door) = way_of(said, DOOR).hops
    assert (found.kind, found.state, found.sentence) == ("name", "unknown", "")
    assert door is DOOR


def test_without_the_engine_the_network_is_not_known() -> None:
    way = way_of(None, DOOR)
    assert way.state == "unknown"
    assert way.sentence == "The engine does not answer, so nothing is known of the network."


def test_a_refusal_of_the_door_stops_with_what_to_do() -> None:
    answer = Answer(False, "no_rule", 403, "No rule lets jane come.", "Ask the owner.", "user:default/jane")
    assert door_hop(answer, "pay.test") == Hop("door", "pay.test", "stops", "No rule lets jane come.", "Ask the owner.")


def test_somebody_whom_nobody_knows_is_told_so_and_not_about_tokens() -> None:
    answer = Answer(False, "identity_unknown", 403, "The token is valid, but nobody matches it.", "Ask.", "jnae")
    assert door_hop(answer, "pay.test").sentence == "jnae is nobody whom the catalog knows."


def test_who_is_cut_off_is_stopped_by_the_door_whatever_the_table_says() -> None:
    cut = {"kind": "door", "at": "pay.test", "state": "stops", "sentence": "user:default/jane is cut off."}
    way = way_of({"clients": [cut], "upstreams": []}, DOOR)
    assert [each.sentence for each in way.hops] == ["user:default/jane is cut off."]
    assert way.state == "stops"


def test_what_is_about_the_person_is_told_from_what_is_about_devices() -> None:
    said = {"kind": "firewall", "state": "open", "own": True}
    (own, _), (other, _) = (way_of({"clients": [each]}, DOOR).hops for each in (said, {**said, "own": "yes"}))
    assert (own.own, other.own) == (True, False)
    assert "own" not in own.as_told()
