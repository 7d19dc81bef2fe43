"""Declarations: what the catalog says and nothing else, the same in whatever order, and text that harms nobody."""

from __future__ import annotations

import json
import random
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.engine.network.bigip.as3 import declaration as written
from gateway.engine.network.bigip.as3.declaration import content_hash, declaration_of, own_addresses
from gateway.engine.network.bigip.as3.lint import faults_of
from gateway.engine.network.desired import Place
from tests.support.declarations import (
    FOLDER,
    LINE,
    addresses_of,
    as3_schema,
    desired,
    device,
    environment,
    made_of,
    needs_as3,
    place,
    rendered,
)
from tests.support.examples import examples

CASES = sorted(FOLDER.glob("*.case"))
AT = environment()
ON = device(AT)
OWN = {"component:default/a": "10.200.0.9"}


def shared(declaration: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = declaration["stagedoor_prod"]["Shared"]
    return found


def records(declaration: dict[str, Any]) -> dict[str, str]:
    return {each["key"]: each["value"] for each in shared(declaration)["hosts"]["records"]}


def test_there_are_golden_files() -> None:
    assert len(CASES) >= 5


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_a_golden_declaration_is_what_comes_out(path: Path) -> None:
    """Any change of what is sent to a device is a change of these files, to be read like code."""
    given_part, _, expected = path.read_text().partition(LINE)
    assert rendered(given_part) == expected


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_a_golden_declaration_passes_the_linter(path: Path) -> None:
    assert faults_of(made_of(path.read_text().partition(LINE)[0])) == []


@needs_as3
@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_a_golden_declaration_is_valid_in_the_schema_of_as3(path: Path) -> None:
    made = made_of(path.read_text().partition(LINE)[0])
    assert [error.message for error in as3_schema().iter_errors(made)] == []


def test_every_host_and_path_is_in_the_data_group_and_no_other() -> None:
    """A host that is left out is unknown to whoever reads the group on the device; one that stays is a lie."""
    places = [place(f"s{n}", host=f"s{n % 30}.example.com", path="/" if n < 30 else f"/v{n}") for n in range(200)]
    made = records(declaration_of(desired(*places), ON, AT, {}))
    assert set(made) == {each.host if each.path == "/" else each.host + each.path for each in places}
    fewer = records(declaration_of(desired(*places[1:]), ON, AT, {}))
    assert set(made) - set(fewer) == {"s0.example.com"}
    assert made["s7.example.com"] == "component:default/s7 group:default/team 000000000001"


def test_a_host_that_changes_hands_changes_its_record_and_the_content_hash() -> None:
    before = declaration_of(desired(place("a"), place("b")), ON, AT, {})
    after = declaration_of(desired(place("a", owner="group:default/other"), place("b")), ON, AT, {})
    assert records(after)["a.example.com"].split()[1] == "group:default/other"
    assert records(after)["b.example.com"] == records(before)["b.example.com"]
    assert before["id"] != after["id"]


def test_the_order_of_the_catalog_changes_nothing() -> None:
    places = [place(f"s{n}", address=f"10.200.0.{n % 250 + 1}" if n % 3 else "") for n in range(100)]
    assigned = addresses_of(desired(*places), AT)
    made = json.dumps(declaration_of(desired(*places), ON, AT, assigned))
    for seed in range(5):
        shuffled = random.Random(seed).sample(places, len(places))
        assert json.dumps(declaration_of(replace(desired(), places=tuple(shuffled)), ON, AT, assigned)) == made


def test_another_release_changes_no_content(monkeypatch: pytest.MonkeyPatch) -> None:
    before = declaration_of(desired(place("a")), ON, AT, {})
    monkeypatch.setattr(written, "version", lambda _: "99.0")
    after = declaration_of(desired(place("a")), ON, AT, {})
    assert after["controls"]["userAgent"] == "stagedoor/99.0" != before["controls"]["userAgent"]
    assert (after["id"], after["stagedoor_prod"]) == (before["id"], before["stagedoor_prod"])


@pytest.mark.parametrize(
    "other",
    [
        declaration_of(desired(place("a"), version="zzzzzzzzzzzz"), ON, AT, {}),
        declaration_of(desired(place("a")), replace(ON, members=("192.0.2.21:8443",)), AT, {}),
        declaration_of(desired(place("a")), ON, replace(AT, client_tls="/Common/other"), {}),
        declaration_of(desired(place("a")), ON, AT, {"component:default/a": "10.200.0.1"}),
    ],
    ids=["policy", "members", "certificate", "address"],
)
def test_whatever_the_tenant_holds_is_in_its_hash(other: dict[str, Any]) -> None:
    assert declaration_of(desired(place("a")), ON, AT, {})["id"] != other["id"]


def test_the_hash_is_of_the_content_and_not_of_its_order() -> None:
    assert content_hash({"a": 1, "b": [1, 2]}) == content_hash({"b": [1, 2], "a": 1})
    assert content_hash({"b": [1, 2]}) != content_hash({"b": [2, 1]})


def test_a_thousand_components_are_written_and_looked_at_within_a_second() -> None:
    """Of this process's own time, and with an address each, which is the most that there is to write: 0.1 s."""
    places = desired(*(place(f"s{number}") for number in range(1000)))
    at = environment(addresses="pool", virtual_address="", networks=("10.200.0.0/16",))
    assigned = {each.entity: f"10.200.{number // 200}.{number % 200 + 1}" for number, each in enumerate(places.places)}
    took = []
    for _ in range(3):
        began = time.process_time()
        made = declaration_of(places, device(at), at, assigned)
        assert faults_of(made) == []
        took.append(time.process_time() - began)
    assert len(made["stagedoor_prod"]) == 1003
    assert min(took) < 1.0


def test_there_is_one_monitor_and_one_pool_whatever_the_number_of_components() -> None:
    """At most one probe per node and interval."""
    places = [place(f"s{n}") for n in range(50)]
    assigned = {each.entity: f"10.200.0.{n + 1}" for n, each in enumerate(places)}
    text = json.dumps(declaration_of(desired(*places), ON, AT, assigned))
    assert text.count('"class": "Monitor"') == text.count('"class": "Pool"') == 1
    assert text.count('"class": "Service_HTTPS"') == 51


def test_the_monitor_says_its_texts_itself_and_they_never_match_each_other() -> None:
    monitor = shared(declaration_of(desired(), ON, AT, {}))["mon"]
    assert monitor["send"].startswith("GET /.stagedoor/bigip/health HTTP/1.1\\r\\nHost: ")
    assert monitor["send"].endswith("\\r\\n\\r\\n")  # as bigd wants it: two characters each, no line ends
    assert "\r" not in monitor["send"]
    assert (monitor["receive"], monitor["receiveDown"]) == ("stagedoor-state: up", "stagedoor-state: draining")
    assert monitor["timeout"] >= 3 * monitor["interval"] + 1


def test_two_components_with_one_address_do_not_share_a_virtual_server() -> None:
    one, two = place("b", address="10.200.0.9"), place("a", address="10.200.0.9")
    both = {one.entity: "10.200.0.9", two.entity: "10.200.0.9"}
    found = own_addresses(desired(one, two), AT, both)
    assert {entity: address for entity, (address, _) in found.items()} == {"component:default/a": "10.200.0.9"}
    assert set(records(declaration_of(desired(one, two), ON, AT, both))) == {"a.example.com", "b.example.com"}


def test_an_address_that_is_said_and_was_not_assigned_is_nobodys() -> None:
    """It may rest for somebody else, who is away for one look: then it leads nowhere, and to nobody else."""
    assert own_addresses(desired(place("a", address="10.200.0.9")), AT, {}) == {}


def test_the_address_of_the_environment_is_nobodys_own() -> None:
    within = environment(virtual_address="10.200.0.1")
    assert own_addresses(desired(place("a")), within, {"component:default/a": "10.200.0.1"}) == {}


def test_what_was_assigned_counts_before_what_is_said() -> None:
    """Who says an address that is another's keeps what they had."""
    found = own_addresses(desired(place("a", address="10.200.0.9")), AT, {"component:default/a": "10.200.0.1"})
    assert found["component:default/a"][0] == "10.200.0.1"


def test_an_address_that_was_assigned_is_not_taken_over_by_saying_it() -> None:
    places = desired(place("a", address="10.200.0.9"), place("pay", address="10.200.0.9"))
    found = own_addresses(places, AT, {"component:default/pay": "10.200.0.9"})
    assert {entity: address for entity, (address, _) in found.items()} == {"component:default/pay": "10.200.0.9"}
    alone = own_addresses(desired(place("a", address="10.200.0.9")), AT, {"component:default/pay": "10.200.0.9"})
    assert alone == {}


HOSTILE = [
    "`tmsh sys`", "${::env}", "[exec id]", '" ; delete ltm pool all ; "', "{{}}", "\\", "$(id)", "<script>", "a\nb",
    "\x00", "名前", "\u202e", "a" * 10_000, "é" * 10_000, "~", "a b", "\ud800",
]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: ascii(text[:12]))
def test_text_of_the_catalog_reaches_a_device_in_plain_characters_only(text: str) -> None:
    """Whoever writes an entity writes these; Tcl, AS3's backquotes and HTML must not see anything of them."""
    fields = ("entity", "title", "owner", "system", "domain", "version")
    one = place("a", address="10.200.0.9", host="a.example.com", path=f"/{text}", **dict.fromkeys(fields, text))
    made = declaration_of(desired(one, place("b")), ON, AT, {one.entity: one.address})
    assert faults_of(made) == []
    assert not set(json.dumps(made["stagedoor_prod"])) & set("`$<>;'")
    untouched = declaration_of(desired(place("b")), ON, AT, {})
    for name in ("mon", "pool", "http", "tls_out", "oc"):
        assert shared(made)[name] == shared(untouched)[name]
    assert all(len(value) < 1000 for value in records(made).values())


@needs_as3
@settings(max_examples=examples(100), deadline=None)
@given(st.lists(st.tuples(st.text(max_size=300), st.text(max_size=300), st.integers(0, 300)), max_size=8))
def test_whatever_the_catalog_says_the_declaration_is_valid(said: list[tuple[str, str, int]]) -> None:
    places: dict[tuple[str, str], Place] = {}
    for entity, owner, number in said:
        address = f"10.200.0.{number}" if 0 < number < 256 else ""
        made = place("x", entity=entity, owner=owner, title=owner, host=f"h{number}.example.com", address=address)
        places[made.host, made.path] = made
    wanted = desired(*places.values())
    declaration = declaration_of(wanted, ON, AT, addresses_of(wanted, AT))
    assert faults_of(declaration) == []
    assert as3_schema().is_valid(declaration)
    assert set(records(declaration)) == {host for host, _ in places}


@pytest.mark.parametrize("changes", [{}, {"addresses": "pool", "virtual_address": ""}, {"proxy_protocol": True}])
def test_one_identity_is_never_given_to_another_by_a_shared_connection(changes: dict[str, Any]) -> None:
    """A PROXY line is said once per connection; OneConnect gives connections to many."""
    at = environment(**changes)
    text = json.dumps(declaration_of(desired(place("a")), device(at, health_port=81), at, OWN))
    assert ("Multiplex" in text) != ("SERVER_CONNECTED" in text)


def test_names_of_other_tenants_and_common_are_never_written() -> None:
    made = declaration_of(desired(place("a")), ON, AT, OWN)
    assert [key for key, value in made.items() if isinstance(value, dict)] == ["controls", "stagedoor_prod"]
    assert made["updateMode"] == "selective"
