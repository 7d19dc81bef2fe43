"""What a declaration makes and what a device shows are told in one vocabulary: against what AS3 itself said it makes,
and against recordings of real devices."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gateway.engine.network.bigip.as3.declaration import PROXY_RULE, declaration_of
from gateway.engine.network.bigip.device.icontrol import COLLECTIONS, found
from gateway.engine.network.bigip.objects import declared
from gateway.engine.network.bigip.review.comparison import Spellings, edits, foreign
from tests.support.declarations import AS3, desired, device, environment, place

NAME = "stagedoor_prod"


def _recorded(file: str) -> Any:
    path: Path = AS3 / file
    if not path.exists():
        pytest.skip(f"recordings are not at {path.parent}: set AS3_DATA")
    return json.loads(path.read_text())


def test_every_object_that_as3_says_it_makes_is_known_and_every_one_known_is_made() -> None:
    (exchange,) = (each for each in _recorded("as3_transcripts.json") if each["name"] == "dry-run create")
    body = exchange["response"]["body"]
    made = body["traces"]["stagedoor_stagingDesired"]
    ours = declared("stagedoor_staging", body["declaration"]["stagedoor_staging"])
    paths = {path for path in made if path.startswith("/stagedoor_staging/payments/") and not path.endswith("/")}
    assert {path for path in ours if " " not in path} - paths == {"/stagedoor_staging/payments/crt"}  # is a file
    assert paths <= ours.keys()
    virtual = made["/stagedoor_staging/payments/vs"]["properties"]
    told = ours["/stagedoor_staging/payments/vs"]
    assert virtual["destination"] == f"/stagedoor_staging/{told['destination']}"
    assert virtual["pool"] == told["pool"]
    assert sorted(path for path in virtual["profiles"] if "f5-tcp" not in path) == told["profiles"]
    pool = made["/stagedoor_staging/payments/pool"]["properties"]
    assert sorted(pool["monitor"]) == ours["/stagedoor_staging/payments/pool"]["monitors"]
    members = {path.partition(" ")[2] for path in ours if " " in path}
    assert {path.removeprefix("/Common/") for path in pool["members"]} == members
    monitor = made["/stagedoor_staging/payments/mon"]["properties"]
    told = ours["/stagedoor_staging/payments/mon"]
    assert (monitor["recv"], monitor["recv-disable"]) == (f'"{told["receive"]}"', f'"{told["receive down"]}"')
    assert monitor["send"].replace("\\\\", "\\") == f'"{told["send"]}"'
    assert (monitor["interval"], monitor["timeout"]) == (told["interval"], told["timeout"])
    assert made["/stagedoor_staging/payments/http"]["properties"]["insert-xforwarded-for"] == "enabled"
    assert ours["/stagedoor_staging/payments/http"]["forwarded for"] is True
    assert made["/stagedoor_staging/payments/oc"]["properties"]["source-mask"] == "255.255.255.255"
    assert ours["/stagedoor_staging/payments/oc"]["mask"] == "255.255.255.255"


def test_recordings_of_devices_are_read() -> None:
    recorded = _recorded("../icontrol/cccl_bigip_data.json")
    virtuals = found("virtual", {"items": recorded["virtuals"]})
    assert virtuals["/Common/virtual1"]["destination"] == "10.190.1.2:443"
    assert virtuals["/Common/virtual1"]["rules"] == ["/test/https_redirect"]
    pools = found("pool", {"items": recorded["pools"]})
    assert pools["/Common/test_pool"]["balance"] == "least-connections-member"
    assert pools["/Common/test_pool 1.2.3.4:20001"] == {"kind": "member", "session": "monitor-enabled", "state": "down"}
    groups = found("data-group/internal", {"items": recorded["internaldatagroups"]})
    assert groups["/test/test-dg"]["records"] == {"my-record-name": "data-value"}
    monitors = found("monitor/http", {"items": recorded["monitors"]})
    assert all(part["interval"] > 0 for part in monitors.values())


@pytest.mark.parametrize("collection", COLLECTIONS)
@pytest.mark.parametrize(
    "answer",
    [{}, {"items": None}, {"items": [None, 1, "x", {}, {"fullPath": 7}]}, {"items": {"a": 1}}, [], None, "text",
     {"items": [{"fullPath": "/a/b", "destination": 5, "profilesReference": [], "membersReference": "x", "metadata": 1,
                 "records": "x", "monitor": 3, "rules": "one", "send": None, "recv": 4, "sourceMask": []}]}],
)  # fmt: skip
def test_odd_answers_are_read_as_far_as_they_go(collection: str, answer: Any) -> None:
    assert found(collection, answer).keys() <= {"/a/b"}


def test_addresses_of_both_families_and_route_domains_are_compared_as_tmos_writes_them() -> None:
    at = environment(virtual_address="2001:db8::10")
    on = device(members=("[2001:db8::21]:8443", "192.0.2.22:8443"))
    made = declared(NAME, declaration_of(desired(place("shop")), on, at, {})[NAME])
    assert made[f"/{NAME}/Shared/vs"]["destination"] == "2001:db8::10.443"
    assert {path for path in made if "pool " in path} == {
        f"/{NAME}/Shared/pool 2001:db8::21.8443", f"/{NAME}/Shared/pool 192.0.2.22:8443"
    }  # fmt: skip
    for destination in (f"/{NAME}/2001:db8::10.443", f"/{NAME}/2001:db8::10%2.443"):
        shown = {"items": [{"fullPath": f"/{NAME}/Shared/vs", "destination": destination}]}
        assert found("virtual", shown)[f"/{NAME}/Shared/vs"]["destination"] == "2001:db8::10.443"


def test_a_property_that_a_device_leaves_out_says_nothing_and_one_that_differs_is_an_edit() -> None:
    tenant = declaration_of(desired(place("shop")), device(), environment(), {})[NAME]
    made = declared(NAME, tenant)
    assert list(edits(made, made)) == []
    silent = {path: {"kind": part["kind"]} for path, part in made.items()}
    assert list(edits(made, silent)) == []
    edited = {**silent, f"/{NAME}/Shared/tls_out": {"kind": "server-ssl", "checks": False}}
    del edited[f"/{NAME}/Shared/mon"]
    assert [(edit.path.rpartition("/")[2], edit.key, edit.is_missing) for edit in edits(made, edited)] == [
        ("mon", "", True), ("tls_out", "checks", False)
    ]  # fmt: skip
    assert foreign(NAME, tenant, {**made, f"/{NAME}/rogue": {"kind": "pool"}}) == [f"/{NAME}/rogue"]


@pytest.mark.parametrize(
    ("collection", "own", "item", "key"),
    [
        ("profile/server-ssl", "tls_out", {"authenticateName": "none"}, "server name"),
        ("profile/server-ssl", "tls_out", {"serverName": "door.example.com"}, "server name"),
        ("profile/server-ssl", "tls_out", {"authenticateName": "door.example.com", "serverName": "none"}, "sni"),
        ("rule", "proxy", {"apiAnonymous": "when CLIENT_ACCEPTED { HTTP::cookie names }"}, "text"),
        ("profile/http", "http", {"headerInsert": "X-Forwarded-User: admin"}, "inserted header"),
        ("virtual", "vs", {"pool": "x", "sourceAddressTranslation": {"type": "none"}}, "source addresses"),
        ("virtual", "vs", {"sourceAddressTranslation": {"type": "snat", "pool": "/Common/p"}}, "source addresses"),
        ("virtual", "vs", {}, "pool"),
    ],
)  # fmt: skip
def test_an_edit_of_what_decides_who_is_trusted_is_seen(collection: str, own: str, item: Any, key: str) -> None:
    at = environment(proxy_protocol=True)
    wanted = declared(NAME, declaration_of(desired(place("shop")), device(health_port=8081), at, {})[NAME])
    path = f"/{NAME}/Shared/{own}"
    shown = found(collection, {"items": [{"fullPath": path, **item}]})
    assert key in [edit.key for edit in edits({path: wanted[path]}, shown)]


def test_what_devices_show_for_that_untouched_is_no_edit() -> None:
    at = environment(proxy_protocol=True)
    wanted = declared(NAME, declaration_of(desired(place("shop")), device(health_port=8081), at, {})[NAME])
    shared = f"/{NAME}/Shared"
    indented = "\n".join(f"  {line} " for line in PROXY_RULE.splitlines())
    shown = {
        **found("profile/server-ssl", {"items": [{"fullPath": f"{shared}/tls_out", "serverName": "door.example.com",
                                                  "authenticateName": "door.example.com"}]}),
        **found("rule", {"items": [{"fullPath": f"{shared}/proxy", "apiAnonymous": indented}]}),
        **found("profile/http", {"items": [{"fullPath": f"{shared}/http"}]}),
        **found("virtual", {"items": [{"fullPath": f"{shared}/vs", "pool": f"{shared}/pool",
                                       "rules": [f"{shared}/proxy"],
                                       "sourceAddressTranslation": {"type": "automap"}}]}),
    }  # fmt: skip
    assert list(edits({path: wanted[path] for path in shown}, shown)) == []


def test_members_that_somebody_else_fills_in_are_known_by_their_text_and_looked_for_nowhere() -> None:
    tenant = declaration_of(desired(place("shop")), device(), environment(), {})[NAME]
    pool = tenant["Shared"]["pool"]
    pool["members"] += [{"servicePort": 8443, "addressDiscovery": "fqdn", "hostname": "evil.example"}, "odd"]
    made = declared(NAME, tenant)
    (odd,) = [path for path in made if "evil.example" in path]
    assert made[odd] == {"kind": ""}
    assert sum(part["kind"] == "member" for part in made.values()) == 2
    assert odd not in [edit.path for edit in edits(made, {})]


def test_what_was_shown_as_declared_is_never_learnt_and_neither_is_what_decides_anything() -> None:
    tenant = declaration_of(desired(place("shop")), device(), environment(), {})[NAME]
    made = declared(NAME, tenant)
    pool, vs = f"/{NAME}/Shared/pool", f"/{NAME}/Shared/vs"
    shown = {**made, pool: {**made[pool], "balance": "odd"}, vs: {**made[vs], "enabled": False, "rules": ["/x"]}}
    known = Spellings()
    learnt, others = known.learn(list(known.edits(made, shown)), made, made)
    assert (learnt, {edit.key for edit in others}) == ([], {"balance", "enabled", "rules"})
    learnt, others = known.learn(list(known.edits(made, shown)), made, {})
    assert ([edit.key for edit in learnt], {edit.key for edit in others}) == (["balance"], {"enabled", "rules"})
    assert {edit.key for edit in known.edits(made, shown)} == {"enabled", "rules"}
