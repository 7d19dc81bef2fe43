"""What the real AS3 engine was seen to ask of a device and to answer, when it worked on the emulator: so that the
emulator stays a device that the engine can work on, and a stand-in whose answers are the engine's.

Facts alone: requests as the engine sends them, answers as it gives them, in words of our own declarations.
"""

from __future__ import annotations

import asyncio
import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.engine.network.bigip.device.answers import answer_of, is_no_tenant
from gateway.lab.bigip import scripts
from gateway.lab.bigip.collections import FOLDER, NODE, PARTITION, POOL, RULE
from gateway.lab.bigip.requests import asked_of
from gateway.lab.bigip.unit import Unit
from tests.support.bigip import Caller, devices_in_thread, official_schema

AS3 = "/mgmt/shared/appsvcs"
ADC: dict[str, Any] = {
    "class": "ADC", "schemaVersion": "3.50.0", "id": "one",
    "t1": {"class": "Tenant", "app": {
        "class": "Application",
        "pool": {"class": "Pool", "members": [{"servicePort": 80, "serverAddresses": ["192.0.2.7"],
                                               "shareNodes": True}]},
        "vs": {"class": "Service_HTTP", "virtualAddresses": ["203.0.113.9"], "pool": "pool"},
    }},
}  # fmt: skip


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Caller]:
    with devices_in_thread(tmp_path_factory.mktemp("engine"), schema=official_schema()) as (device,):
        yield Caller(device)


@pytest.fixture
def caller(running: Caller) -> Caller:
    running.lab("empty")
    return running


def _with(**changes: Any) -> dict[str, Any]:
    """The declaration with other properties of its virtual server."""
    made = copy.deepcopy(ADC)
    made["t1"]["app"]["vs"] |= changes
    return made


# === what the engine looks for on a device ===


def test_what_the_engine_asks_when_it_starts(caller: Caller) -> None:
    """Without an active slot, or a list of modules, it refuses every declaration."""
    assert caller("GET", "/mgmt/tm/util/available")[0] == 200
    _, info = caller("GET", "/mgmt/shared/identified-devices/config/device-info")
    assert [(slot["isActive"], slot["product"]) for slot in info["slots"]] == [(True, "BIG-IP")]
    _, provisioned = caller("GET", "/mgmt/tm/sys/provision")
    levels = {one["name"]: one["level"] for one in provisioned["items"]}
    assert {name for name, level in levels.items() if level != "none"} == {"ltm", "apm"}
    assert "afm" in levels


def test_what_other_clients_ask_when_they_start(caller: Caller) -> None:
    """They read the version off the link of a module, and who the first administrator is."""
    _, module = caller("GET", "/mgmt/tm/sys")
    assert (module["kind"], module["selfLink"].partition("?ver=")[2]) == ("tm:sys:syscollectionstate", "17.1.1")
    links = [item["reference"]["link"].partition("?")[0] for item in module["items"]]
    assert "https://localhost/mgmt/tm/sys/folder" in links and links == sorted(set(links))
    assert caller("GET", "/mgmt/tm/sys/db/systemauth.primaryadminuser")[1]["value"] == "admin"


def test_a_group_is_brought_in_step_by_a_command(tmp_path: Path) -> None:
    with devices_in_thread(tmp_path, 2) as devices:
        first, second = (Caller(device) for device in devices)
        assert first("POST", "/mgmt/tm/ltm/pool", {"name": "new"})[0] == 200
        body = {"command": "run", "utilCmdArgs": "config-sync to-group stage-group"}
        assert first("POST", "/mgmt/tm/cm", {**body, "utilCmdArgs": "config-sync to-group other"})[0] == 400
        assert second("GET", "/mgmt/tm/ltm/pool/~Common~new")[0] == 404
        assert first("POST", "/mgmt/tm/cm", body)[0] == 200
        assert second("GET", "/mgmt/tm/ltm/pool/~Common~new")[0] == 200
        assert not devices[0].unit.group.pending


def test_figures_of_one_member_are_its_own(caller: Caller) -> None:
    members = [{"name": "192.0.2.1:80"}, {"name": "192.0.2.2:80"}]
    assert caller("POST", "/mgmt/tm/ltm/pool", {"name": "two", "members": members})[0] == 200
    _, figures = caller("GET", "/mgmt/tm/ltm/pool/~Common~two/members/~Common~192.0.2.2:80/stats")
    ((link, _),) = figures["entries"].items()
    assert "192.0.2.2:80" in link
    assert len(caller("GET", "/mgmt/tm/ltm/pool/~Common~two/members/stats")[1]["entries"]) == 2


def test_the_engine_adds_its_script_to_the_files_that_may_be_loaded(caller: Caller) -> None:
    where = "/mgmt/tm/sys/global-settings"
    _, settings = caller("GET", where)
    wider = settings["fileWhitelistPathPrefix"] + " {/var/config/rest/downloads/appsvcs_update.cli}"
    assert caller("PATCH", where, {"fileWhitelistPathPrefix": wider})[0] == 200
    assert caller("GET", where)[1]["fileWhitelistPathPrefix"] == wider


def test_partitions_lie_in_no_partition(caller: Caller) -> None:
    """The engine asks for those of a tenant, and takes it for new where its own is not among them."""
    assert caller("POST", f"{AS3}/declare", ADC)[0] == 200
    _, found = caller("GET", "/mgmt/tm/auth/partition?$filter=partition%20eq%20't1'")
    assert {one["name"] for one in found["items"]} == {"Common", "t1"}


def test_what_is_not_set_is_said_to_be_none_where_a_device_says_so(caller: Caller) -> None:
    """The engine finds a difference where a profile leaves it out, and writes the whole tenant anew each time."""
    made = copy.deepcopy(ADC)
    made["t1"]["app"] |= {"http": {"class": "HTTP_Profile"}, "oc": {"class": "Multiplex_Profile"}}
    assert caller("POST", f"{AS3}/declare", made)[0] == 200
    _, profile = caller("GET", "/mgmt/tm/ltm/profile/http/~t1~app~http")
    assert {profile[name] for name in ("fallbackHost", "headerInsert", "redirectRewrite", "viaHostName")} == {"none"}
    assert caller("GET", "/mgmt/tm/ltm/profile/one-connect/~t1~app~oc")[1]["limitType"] == "none"
    _, pool = caller("GET", "/mgmt/tm/ltm/pool/~t1~app~pool")
    _, virtual = caller("GET", "/mgmt/tm/ltm/virtual/~t1~app~vs")
    assert (pool["serviceDownAction"], virtual["serviceDownImmediateAction"]) == ("none", "none")
    assert "description" not in pool


# === scripts ===

RULE_TEXT = 'when CLIENT_ACCEPTED {\n    set line "a\\r\\n"\n    if { $x } { return }\n}'
MAKING = r"""cli script __appsvcs_update {
proc script::run {} {
if {[catch {
tmsh::modify ltm data-group internal __appsvcs_update records none
} err]} {
tmsh::create ltm data-group internal __appsvcs_update type string records none
}
if { [catch {
tmsh::create auth partition t1 default-route-domain 0
tmsh::create sys folder /t1/app/
tmsh::begin_transaction
tmsh::create ltm rule /t1/app/rule {
RULE
}
tmsh::create ltm node /t1/192.0.2.8 address 192.0.2.8
tmsh::create ltm pool /t1/app/pool members replace-all-with \{ /t1/192.0.2.8:80 \{ ratio 1 \} \}
tmsh::commit_transaction
} err] } {
catch { tmsh::cancel_transaction } e
}}
}"""
REMOVING = r"""cli script __appsvcs_update {
proc script::run {} {
if { [catch {
tmsh::begin_transaction
tmsh::delete ltm pool /t1/app/pool

tmsh::commit_transaction
tmsh::begin_transaction
tmsh::delete ltm rule /t1/app/rule
tmsh::commit_transaction
catch { tmsh::delete ltm node /Common/192.0.2.99 } e
tmsh::cd /t1
foreach {node} [tmsh::get_config /ltm node] {
  tmsh::delete ltm node [tmsh::get_name $node]
}
tmsh::cd /Common

tmsh::delete sys folder /t1/app/
tmsh::delete sys folder /t1/
} err] } {
catch { tmsh::cancel_transaction } e
}}
}"""


def _unit_after(*texts: str) -> Unit:
    unit = Unit()
    for text in texts:
        _, script = scripts.script_of(text)
        scripts.run(unit.tree, script)
    return unit


def test_the_text_of_an_irule_is_taken_as_it_stands() -> None:
    unit = _unit_after(MAKING.replace("RULE", RULE_TEXT))
    rule = unit.tree.find(RULE, "/t1/app/rule")
    assert rule is not None and rule["apiAnonymous"] == RULE_TEXT
    assert unit.tree.find(POOL, "/t1/app/pool") is not None


def test_a_tenant_goes_with_its_folder_and_all_of_its_nodes() -> None:
    """In two transactions, a loop, and a deletion that may fail."""
    unit = _unit_after(MAKING.replace("RULE", RULE_TEXT), REMOVING)
    gone = ((PARTITION, "t1"), (FOLDER, "/t1"), (FOLDER, "/t1/app"), (NODE, "/t1/192.0.2.8"), (RULE, "/t1/app/rule"))
    assert [unit.tree.find(*one) for one in gone] == [None] * len(gone)


def test_a_partition_that_holds_something_does_not_go_with_its_folder() -> None:
    gone = "\n".join(line for line in REMOVING.splitlines() if "ltm pool" not in line and "ltm rule" not in line)
    unit = _unit_after(MAKING.replace("RULE", RULE_TEXT), gone)
    assert unit.tree.find(PARTITION, "t1") is not None
    notes = unit.tree.find("ltm/data-group/internal", scripts.NOTES)
    assert notes is not None and notes["records"]


def test_what_a_transaction_deletes_and_creates_keeps_its_parts() -> None:
    """The engine changes a pool's balance so, and names no member: the device takes the two for one change."""
    again = MAKING.replace(
        "tmsh::create auth partition t1 default-route-domain 0\ntmsh::create sys folder /t1/app/\n", ""
    )
    lines = [line for line in again.splitlines() if not line.startswith(("tmsh::create ltm node", "RULE", "}\n"))]
    at = next(number for number, line in enumerate(lines) if line.startswith("tmsh::create ltm pool"))
    begin = lines.index("tmsh::begin_transaction")
    lines[begin + 1 : at + 1] = ["tmsh::delete ltm pool /t1/app/pool",
                                 "tmsh::create ltm pool /t1/app/pool load-balancing-mode ratio-member"]  # fmt: skip
    unit = _unit_after(MAKING.replace("RULE", RULE_TEXT), "\n".join(lines))
    pool = unit.tree.find(POOL, "/t1/app/pool")
    assert pool is not None and pool["loadBalancingMode"] == "ratio-member"
    assert [member["name"] for member in pool["members"]] == ["192.0.2.8:80"]


# === what the engine makes of a declaration ===


def test_an_access_profile_brings_two_more() -> None:
    unit = Unit()
    unit.tree.put("apm/profile/access", "/Common/people", {})
    asyncio.run(unit.engine.run(asked_of(_with(profileAccess={"bigip": "/Common/people"}), {})))
    virtual = unit.tree.find("ltm/virtual", "/t1/app/vs")
    assert virtual is not None
    profiles = {one["fullPath"] for one in virtual["profiles"]}
    assert {"/Common/people", "/Common/rba", "/Common/websso"} < profiles


def test_a_virtual_server_without_a_pool_has_no_word_about_one() -> None:
    made = _with()
    del made["t1"]["app"]["vs"]["pool"]
    unit = Unit()
    asyncio.run(unit.engine.run(asked_of(made, {})))
    virtual = unit.tree.find("ltm/virtual", "/t1/app/vs")
    assert virtual is not None and "pool" not in virtual


def test_a_lock_key_guards_what_is_there_alone(caller: Caller) -> None:
    """Of a tenant that nobody declared yet it says nothing, nor does an empty one."""
    made = copy.deepcopy(ADC)
    made["t1"]["optimisticLockKey"] = "of something else"
    assert caller("POST", f"{AS3}/declare", made)[0] == 200
    assert caller("POST", f"{AS3}/declare", made)[0] == 422
    made["t1"]["optimisticLockKey"] = ""
    assert caller("POST", f"{AS3}/declare", made)[0] == 200


# === answers ===

NOTHING = "declaration in specified path not found"
INVALID = "Invalid request: "
EMPTY: tuple[tuple[str, str, Any, int, str], ...] = (
    ("GET", "/declare", None, 204, ""),
    ("GET", "/declare?age=list", None, 204, ""),
    ("GET", "/declare/t1", None, 404, NOTHING),
    ("GET", "/declare/t1/applications/app", None, 404, NOTHING),
    ("GET", "/declare?show=much", None, 400, 'show must be "base", "full", or "expanded"'),
    ("GET", "/declare?age=x", None, 400, 'invalid age value "x" - must be a number between 0-15 or "list"'),
    ("GET", "/declare?showHash=maybe", None, 400, 'showHash must be "true" or "false"'),
    ("GET", "/nowhere", None, 400, "Bad Request: Invalid path"),
    ("DELETE", "/declare/t1/applications", None, 400, "Bad Request: Invalid path"),
    ("POST", "/declare", {}, 422, f"{INVALID}/declaration: should have required property 'class'"),
    ("POST", "/declare", [], 422, f"{INVALID}/: should be object"),
    ("POST", "/declare", {"class": "Other"}, 422, f'{INVALID}/class: should be equal to constant "AS3"'),
    ("POST", "/declare", {"class": "AS3"}, 400, 'for action "deploy", a declaration is required.'),
    ("POST", "/declare?controls.dryRun=maybe", ADC, 400, 'dryRun must be "true" or "false"'),
    ("POST", "/declare?controls.other=true", ADC, 400, 'unrecognized URL query parameter "controls.other"'),
    ("POST", "/declare", {**ADC, "id": "a b"}, 422, "declaration lacks valid 'id' property"),
    ("POST", "/declare", '{"a":', 400, "cannot parse JSON POST payload (Unexpected end of JSON input)"),
)  # fmt: skip


@pytest.mark.parametrize(("method", "path", "body", "status", "message"), EMPTY)
def test_an_empty_engine_answers(caller: Caller, method: str, path: str, body: Any, status: int, message: str) -> None:
    found, answer = caller(method, AS3 + path, body)
    assert (found, (answer or {}).get("message", "")) == (status, message)


REFUSED: tuple[tuple[Any, str], ...] = (
    ({"pool": {"bigip": "/Common/gone"}}, "Unable to find /Common/gone for /t1/app/vs/pool"),
    ({"iRules": [{"bigip": "/Common/gone"}]}, "Unable to find /Common/gone for /t1/app/vs/iRules/0"),
    ({"pool": {"use": "gone"}}, "/t1/app/vs/pool/use: contains path to non-existent object gone"),
    ({"profileHTTP": {"use": "pool"}},
     "/t1/app/vs/profileHTTP/use: AS3 pointer pool does not point to required object type"),
)  # fmt: skip
BY_SCHEMA: tuple[tuple[Any, str], ...] = (
    ({"virtualAddresses": ["300.1.1.1"]}, '/t1/app/vs/virtualAddresses/0: should match format "f5ip"'),
    ({"virtualAddresses": []}, "/t1/app/vs/virtualAddresses: should NOT have fewer than 1 items"),
    ({"virtualPort": "x"}, "/t1/app/vs/virtualPort: should be integer"),
    ({"snat": "some"}, '/t1/app/vs/snat: should be equal to one of the allowed values ["none","self","auto"]'),
)


@pytest.mark.parametrize(("change", "words"), [*REFUSED, *BY_SCHEMA])
def test_a_declaration_is_refused_in_the_engines_words(caller: Caller, change: Any, words: str) -> None:
    if (change, words) in BY_SCHEMA and official_schema() is None:
        pytest.skip("AS3's schema lies beside the project, not in it")
    status, answer = caller("POST", f"{AS3}/declare", _with(**change))
    assert (status, answer.get("errors", [answer["message"]])) == (422, [words])


def test_a_declaration_of_nothing_changes_nothing(caller: Caller) -> None:
    """One result, of no tenant."""
    head = {name: ADC[name] for name in ("class", "schemaVersion", "id")}
    assert caller("POST", f"{AS3}/declare", ADC)[0] == 200
    status, answer = caller("POST", f"{AS3}/declare", head)
    assert (status, answer["results"]) == (200, [{"message": "no change", "host": "localhost", "code": 200}])
    assert caller("GET", f"{AS3}/declare/t1")[0] == 200


def test_nobody_declares_a_tenant_twice_at_once(caller: Caller) -> None:
    status, answer = caller("POST", f"{AS3}/declare", [ADC, ADC])
    assert (status, [one["code"] for one in answer["items"]]) == (422, [422, 422])
    assert caller("GET", f"{AS3}/declare")[0] == 204


def test_one_application_is_shown_by_itself(caller: Caller) -> None:
    assert caller("POST", f"{AS3}/declare", ADC)[0] == 200
    more = {"schemaVersion": "3.50.0", "more": {"class": "Application", "pool": ADC["t1"]["app"]["pool"]}}
    status, answer = caller("POST", f"{AS3}/declare/t1/applications", more)
    assert (status, answer["declaration"]) == (200, more)
    status, answer = caller("GET", f"{AS3}/declare/t1/applications/gone")
    assert (status, answer["message"]) == (404, "specified Application 'gone' not found in 't1'")


@pytest.mark.parametrize("declared", [False, True])
@pytest.mark.parametrize("query", ["", "?showHash=true"])
def test_a_tenant_that_is_not_there_is_told_from_a_device_that_refuses(
    caller: Caller, declared: bool, query: str
) -> None:
    """A device that AS3 never wrote to says so in other words and, with hashes, in another field."""
    if declared:
        assert caller("POST", f"{AS3}/declare", ADC)[0] == 200
    status, body = caller("GET", f"{AS3}/declare/stagedoor_prod{query}")
    assert (status, "errorMessage" in body) == (404, bool(query))
    assert is_no_tenant(answer_of(status, json.dumps(body).encode()))
