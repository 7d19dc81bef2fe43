"""The emulator's iControl REST: log-in, objects, what a device refuses to hold, transactions, tasks, two units, knobs.

The texts are those of the vendor's documents and of public recordings; each is written out here, so that these run
without the files beside the project.
"""

from __future__ import annotations

import base64
import http.client
from collections.abc import Iterator
from typing import Any

import pytest

from gateway.lab.bigip.archive import lock_key
from tests.support.bigip import Caller, devices_in_thread

POOL = "/mgmt/tm/ltm/pool"
VIRTUAL = "/mgmt/tm/ltm/virtual"
DECLARE = "/mgmt/shared/appsvcs/declare"
TOKENS = "/mgmt/shared/authz/tokens"


class Clock:
    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


CLOCK = Clock()


@pytest.fixture(scope="module")
def pair_of_callers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Caller, Caller]]:
    with devices_in_thread(tmp_path_factory.mktemp("pair"), 2, clock=CLOCK) as (first, second):
        yield Caller(first), Caller(second)


@pytest.fixture
def pair(pair_of_callers: tuple[Caller, Caller]) -> tuple[Caller, Caller]:
    for caller in pair_of_callers:
        caller("DELETE", "/_lab/faults", token="")
        caller.lab("empty")
        caller.lab("revoke")
        caller.token = ""
    pair_of_callers[0].device.unit.group.active = 0
    return pair_of_callers


@pytest.fixture
def caller(pair: tuple[Caller, Caller]) -> Caller:
    return pair[0]


def declaration(tenant: str = "stage_prod", address: str = "192.0.2.10", **members: Any) -> dict[str, Any]:
    """A virtual server with one pool of one member on a shared node."""
    member = {"servicePort": 8443, "serverAddresses": ["198.51.100.7"], "shareNodes": True, **members}
    service = {"class": "Service_HTTP", "virtualAddresses": [address], "pool": "pool", "persistenceMethods": []}
    app = {"class": "Application", "vs": service, "pool": {"class": "Pool", "members": [member]}}
    return {"class": "ADC", "schemaVersion": "3.50.0", "id": "one", tenant: {"class": "Tenant", "app": app}}


def message(answer: tuple[int, Any]) -> str:
    return str(answer[1]["message"])


# === log-in ===


def test_a_login_answers_with_a_token(caller: Caller) -> None:
    status, body = caller("POST", "/mgmt/shared/authn/login", {"username": "stagedoor", "password": "lab"}, token="")
    token = body["token"]
    assert (status, token["timeout"], token["generation"], len(token["token"])) == (200, 1200, 1, 26)
    assert token["selfLink"] == f"https://localhost{TOKENS}/{token['token']}"
    assert caller("GET", POOL, token=token["token"])[0] == 200


def test_a_wrong_password_and_no_credentials_are_401(caller: Caller) -> None:
    wrong = {"username": "stagedoor", "password": "lbb", "loginProviderName": "tmos"}
    assert caller("POST", "/mgmt/shared/authn/login", wrong, token="")[0] == 401
    status, body = caller("GET", POOL, token="")
    assert (status, body["kind"]) == (401, ":resterrorresponse")
    assert body["message"].startswith("Authorization failed: no user authentication header or token detected.")
    assert caller("GET", POOL, token="A" * 26)[1]["message"] == "X-F5-Auth-Token does not exist."
    assert caller("GET", POOL, token="", Authorization="Basic " + base64.b64encode(b"admin:no").decode())[0] == 401
    assert caller("GET", POOL, token="", Authorization="Basic " + base64.b64encode(b"admin:admin").decode())[0] == 200


def test_a_token_lives_from_its_start_and_at_most_ten_hours(caller: Caller) -> None:
    token = caller.log_in()
    CLOCK.now += 1000
    status, body = caller("PATCH", f"{TOKENS}/{token}", {"timeout": "1500"})
    assert (status, body["timeout"], body["generation"]) == (200, 1500, 2)
    CLOCK.now += 499
    assert caller("GET", POOL)[0] == 200
    answer = caller("PATCH", f"{TOKENS}/{token}", {"timeout": 36001})
    assert (answer[0], message(answer)) == (406, "Auth-token absolute timeout (36000 seconds) exceeded")
    CLOCK.now += 2
    assert message(caller("GET", POOL, token=token)) == "X-F5-Auth-Token does not exist."


def test_a_token_can_be_ended_and_extended_only_while_it_lives(caller: Caller) -> None:
    token = caller.log_in()
    assert caller("DELETE", f"{TOKENS}/{token}")[0] == 200
    assert caller("GET", POOL, token=token)[0] == 401


def test_a_hundred_live_tokens_are_the_most(caller: Caller) -> None:
    for _ in range(100):
        caller.log_in()
    body = {"username": "stagedoor", "password": "lab"}
    status, refused = caller("POST", "/mgmt/shared/authn/login", body, token="")
    assert (status, refused["code"]) == (400, 400)
    assert "has reached maximum active login tokens" in refused["message"]
    assert caller("POST", "/mgmt/shared/authn/login", {"username": "admin", "password": "admin"}, token="")[0] == 200


# === objects ===


def test_a_pool_and_its_members(caller: Caller) -> None:
    status, made = caller("POST", POOL, {"name": "web", "monitor": "/Common/http", "members": ["192.0.2.7:80"]})
    assert (status, made["kind"], made["fullPath"]) == (200, "tm:ltm:pool:poolstate", "/Common/web")
    assert made["selfLink"].startswith("https://localhost/mgmt/tm/ltm/pool/~Common~web?ver=")
    assert made["membersReference"]["isSubcollection"] is True
    assert "items" not in made["membersReference"]
    _, shown = caller("GET", f"{POOL}/~Common~web?expandSubcollections=true")
    (member,) = shown["membersReference"]["items"]
    assert (member["name"], member["address"], member["session"], member["state"]) == (
        "192.0.2.7:80", "192.0.2.7", "monitor-enabled", "up")  # fmt: skip
    assert caller("GET", "/mgmt/tm/ltm/node/~Common~192.0.2.7")[0] == 200


def test_an_operator_drains_and_a_monitor_finds(caller: Caller) -> None:
    caller("POST", POOL, {"name": "web", "monitor": "/Common/http", "members": ["192.0.2.7:80", "192.0.2.8:80"]})
    member = f"{POOL}/~Common~web/members/~Common~192.0.2.7:80"
    caller.faults(members={"192.0.2.8:80": "down"})
    _, drained = caller("PATCH", member, {"session": "user-disabled", "state": "user-up"})
    assert (drained["session"], drained["state"]) == ("user-disabled", "up")
    _, offline = caller("PATCH", member, {"session": "user-disabled", "state": "user-down"})
    assert (offline["session"], offline["state"]) == ("user-disabled", "user-down")
    _, all_members = caller("GET", f"{POOL}/~Common~web/members")
    assert [one["state"] for one in all_members["items"]] == ["user-down", "down"]
    assert all_members["kind"] == "tm:ltm:pool:members:memberscollectionstate"
    _, stats = caller("GET", f"{POOL}/~Common~web/stats")
    (entries,) = [one["nestedStats"]["entries"] for one in stats["entries"].values()]
    assert entries["status.availabilityState"]["description"] == "offline"


def test_an_empty_collection_has_no_items(caller: Caller) -> None:
    _, none = caller("GET", "/mgmt/tm/ltm/virtual")
    assert none["kind"] == "tm:ltm:virtual:virtualcollectionstate"
    assert "items" not in none


def test_filter_select_and_escaped_names(caller: Caller) -> None:
    caller("POST", "/mgmt/tm/auth/partition", {"name": "t1"})
    caller("POST", POOL, {"name": "own", "partition": "t1"})
    caller("POST", POOL, {"name": "other"})
    for text in ("$filter=partition+eq+t1", "$filter=partition%20eq%20%27t1%27"):
        _, found = caller("GET", f"{POOL}?{text}&$select=fullPath,partition")
        assert found["items"] == [{"fullPath": "/t1/own", "partition": "t1"}]
    assert caller("GET", f"{POOL}?$filter=name+eq+web")[0] == 400
    caller("POST", "/mgmt/tm/ltm/node", {"name": "n", "address": "192.0.2.9%4"})
    caller("POST", "/mgmt/tm/ltm/node", {"name": "192.0.2.9%5", "address": "192.0.2.9%5"})
    status, node = caller("GET", "/mgmt/tm/ltm/node/~Common~192.0.2.9%255")
    assert (status, node["address"]) == (200, "192.0.2.9%5")
    assert "%255" in node["selfLink"]
    _, partitions = caller("GET", "/mgmt/tm/auth/partition/")
    assert partitions["kind"] == "tm:auth:partition:partitioncollectionstate"
    assert [one["name"] for one in partitions["items"]] == ["Common", "t1"]


def test_records_of_a_data_group_are_replaced_as_a_whole(caller: Caller) -> None:
    groups = "/mgmt/tm/ltm/data-group/internal"
    body = {"name": "hosts", "type": "string", "records": [{"name": "a", "data": "1"}, {"name": "b", "data": "2"}]}
    _, made = caller("POST", groups, body)
    assert made["records"] == body["records"]
    _, changed = caller("PATCH", f"{groups}/~Common~hosts", {"records": [{"name": "c", "data": "3"}]})
    assert changed["records"] == [{"name": "c", "data": "3"}]
    assert changed["generation"] > made["generation"]
    too_long = {"records": [{"name": "c", "data": "x" * 65521}]}
    assert "Max string size exceeded" in message(caller("PATCH", f"{groups}/~Common~hosts", too_long))
    assert caller("GET", f"{groups}/~Common~hosts")[1]["records"] == [{"name": "c", "data": "3"}]


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "text"),
    [
        ("GET", f"{POOL}/~Common~x", None, 404, "01020036:3: The requested Pool (/Common/x) was not found."),
        ("POST", POOL, {"name": "web"}, 409,
         "01020066:3: The requested Pool (/Common/web) already exists in partition Common."),
        ("POST", VIRTUAL, {"name": "v", "destination": "192.0.2.1:80", "pool": "none_such"}, 404,
         "01020036:3: The requested Pool (/Common/none_such) was not found."),
        ("POST", VIRTUAL, {"name": "again", "destination": "192.0.2.200:80"}, 400,
         "01070333:3: The Virtual Server /Common/vs illegally shares destination address, source address, service "
         "port, and ip-protocol with Virtual Server /Common/again."),
        ("POST", "/mgmt/tm/ltm/node", {"name": "second", "address": "192.0.2.7"}, 400,
         "0107176c:3: Invalid Node, the IP address 192.0.2.7 already exists."),
        ("DELETE", f"{POOL}/~Common~web", None, 400,
         "01070265:3: The Pool (/Common/web) cannot be deleted because it is in use by a Virtual Server (/Common/vs)."),
        ("DELETE", "/mgmt/tm/auth/partition/t1", None, 400,
         "0107082a:3: You must remove all objects from a partition before removing the partition (t1), /t1/p"),
        ("POST", POOL, {"name": "p", "partition": "nowhere"}, 404,
         "01020036:3: The requested folder (/nowhere) was not found."),
        ("GET", "/mgmt/tm/nothing/at/all", None, 404, "Public URI path not registered: /tm/nothing/at/all"),
        ("POST", "/mgmt/tm/util/bash", {"command": "run"}, 403,
         "the emulator runs no commands: util/bash is closed"),
        ("POST", POOL, "{half", 400, "Found invalid JSON body in the request."),
        ("POST", POOL, {"monitor": "/Common/http"}, 400, "one or more properties must be specified: name"),
    ],
    ids=lambda value: value if isinstance(value, str) and value.startswith("/") else "",
)  # fmt: skip
def test_what_a_device_refuses(caller: Caller, method: str, path: str, body: Any, status: int, text: str) -> None:
    """In its own words, and nothing is left of the attempt."""
    caller("POST", POOL, {"name": "web", "members": ["192.0.2.7:80"]})
    caller("POST", VIRTUAL, {"name": "vs", "destination": "192.0.2.200:80", "pool": "web"})
    caller("POST", "/mgmt/tm/auth/partition", {"name": "t1"})
    caller("POST", POOL, {"name": "p", "partition": "t1"})
    before = caller.device.unit.tree.snapshot()
    answer = caller(method, path, body)
    assert (answer[0], message(answer)) == (status, text)
    assert caller.device.unit.tree.snapshot() == before


def test_a_virtual_server_brings_its_address_and_takes_it_along(caller: Caller) -> None:
    caller("POST", VIRTUAL, {"name": "a", "destination": "192.0.2.3:80", "profiles": ["/Common/http"]})
    caller("POST", VIRTUAL, {"name": "b", "destination": "192.0.2.3:443"})
    address = "/mgmt/tm/ltm/virtual-address/~Common~192.0.2.3"
    caller("DELETE", f"{VIRTUAL}/~Common~a")
    assert caller("GET", address)[0] == 200
    caller("DELETE", f"{VIRTUAL}/~Common~b")
    assert caller("GET", address)[0] == 404


# === transactions and tasks ===


def test_a_transaction_is_whole_or_nothing(caller: Caller) -> None:
    _, begun = caller("POST", "/mgmt/tm/transaction", {})
    assert (begun["state"], begun["timeoutSeconds"], begun["kind"]) == ("STARTED", 120, "tm:transactionstate")
    number = begun["transId"]
    queued = {"X_F5_REST_Coordination_Id": str(number)}
    _, first = caller("POST", POOL, {"name": "one"}, **queued)
    assert (first["evalOrder"], first["kind"]) == (1, "tm:transaction:commandsstate")
    caller("POST", VIRTUAL, {"name": "v", "destination": "192.0.2.5:80", "pool": "missing"}, **queued)
    assert caller("GET", f"{POOL}/~Common~one")[0] == 404
    status, failed = caller("PATCH", f"/mgmt/tm/transaction/{number}", {"state": "VALIDATING"})
    assert (status, "transaction failed:01020036:3" in failed["message"]) == (404, True)
    assert caller("GET", f"{POOL}/~Common~one")[0] == 404
    _, shown = caller("GET", f"/mgmt/tm/transaction/{number}")
    assert shown["state"] == "FAILED"
    assert "missing" in shown["failureReason"]


def test_a_transaction_is_dropped_after_its_time(caller: Caller) -> None:
    number = caller("POST", "/mgmt/tm/transaction", {})[1]["transId"]
    CLOCK.now += 121
    assert caller("PATCH", f"/mgmt/tm/transaction/{number}", {"state": "VALIDATING"})[0] == 404


def test_a_save_is_a_task_and_a_reboot_forgets_the_rest(caller: Caller) -> None:
    caller("POST", POOL, {"name": "kept"})
    _, task = caller("POST", "/mgmt/tm/task/sys/config", {"command": "save"})
    assert caller("PUT", f"/mgmt/tm/task/sys/config/{task['_taskId']}", {"_taskState": "VALIDATING"})[0] == 202
    assert caller("GET", f"/mgmt/tm/task/sys/config/{task['_taskId']}")[1]["_taskState"] == "COMPLETED"
    caller("POST", POOL, {"name": "lost"})
    token = caller.token
    caller.lab("reboot", seconds=60)
    assert caller("GET", POOL, token=token)[0] == 401
    caller.log_in()
    assert [one["name"] for one in caller("GET", POOL)[1]["items"]] == ["kept"]
    answer = caller("GET", "/mgmt/shared/appsvcs/info")
    assert (answer[0], message(answer)) == (404, "Public URI path not registered: /shared/appsvcs/info")
    CLOCK.now += 60
    assert caller("GET", "/mgmt/shared/appsvcs/info")[1]["version"] == "3.56.0"


# === two units ===


def _status(caller: Caller, name: str) -> dict[str, str]:
    _, body = caller("GET", f"/mgmt/tm/cm/{name}")
    (entries,) = [one["nestedStats"]["entries"] for one in body["entries"].values()]
    return {key: value["description"] for key, value in entries.items() if "description" in value}


def test_one_unit_is_active_and_a_write_waits_for_config_sync(pair: tuple[Caller, Caller]) -> None:
    active, standby = pair
    assert [_status(one, "failover-status")["status"] for one in pair] == ["ACTIVE", "STANDBY"]
    assert _status(active, "sync-status") | {"summary": ""} == {
        "color": "green", "mode": "high-availability", "status": "In Sync", "summary": ""}  # fmt: skip
    assert active("POST", DECLARE, declaration())[0] == 200
    assert _status(active, "sync-status")["status"] == "Changes Pending"
    assert standby("GET", DECLARE)[0] == 204
    body = {"command": "run", "options": [{"to-group": "/Common/stage-group"}]}
    _, task = active("POST", "/mgmt/tm/task/cm/config-sync", body)
    active("PUT", f"/mgmt/tm/task/cm/config-sync/{task['_taskId']}", {"_taskState": "VALIDATING"})
    assert _status(standby, "sync-status")["status"] == "In Sync"
    assert standby("GET", DECLARE)[1]["stage_prod"]["app"]["pool"]["members"][0]["servicePort"] == 8443
    assert standby("GET", f"{VIRTUAL}/~stage_prod~app~vs")[0] == 200
    _, devices = standby("GET", "/mgmt/tm/cm/device")
    assert [(one["failoverState"], one["selfDevice"]) for one in devices["items"]] == [
        ("active", "false"), ("standby", "true")]  # fmt: skip


def test_a_dry_run_marks_the_group_and_a_standby_takes_writes(pair: tuple[Caller, Caller]) -> None:
    active, standby = pair
    assert active("POST", f"{DECLARE}?controls.dryRun=true", declaration())[1]["dryRun"] is True
    assert _status(active, "sync-status")["status"] == "Changes Pending"
    assert active("GET", DECLARE)[0] == 204
    active.lab("failover")
    assert [_status(one, "failover-status")["status"] for one in pair] == ["STANDBY", "ACTIVE"]
    assert active("POST", DECLARE, declaration())[0] == 200
    assert standby("GET", DECLARE)[0] == 204


# === AS3 beside the recordings ===


def test_the_lock_key_of_a_known_tenant() -> None:
    """Computed by the real engine for this tenant."""
    pointer = {"use": "mon"}
    monitor = {
        "class": "Monitor", "monitorType": "http",
        "send": "GET /-/health/bigip HTTP/1.1\\r\\nHost: stagedoor\\r\\nConnection: close\\r\\n\\r\\n",
        "receive": "stagedoor-up", "receiveDown": "stagedoor-draining", "interval": 5, "timeout": 16,
    }  # fmt: skip
    service = {
        "class": "Service_HTTPS", "virtualAddresses": ["192.0.2.10"], "virtualPort": 443, "redirect80": False,
        "pool": "pool", "serverTLS": "tls", "profileHTTP": {"use": "http"}, "profileMultiplex": {"use": "oc"},
        "persistenceMethods": [], "snat": "auto",
        "metadata": {"stagedoor.ref": {"value": "component:default/payments"}},
    }  # fmt: skip
    certificate = {"class": "Certificate", "certificate": {"bigip": "/Common/default.crt"},
                   "privateKey": {"bigip": "/Common/default.key"}}  # fmt: skip
    members = [{"servicePort": 8443, "serverAddresses": ["198.51.100.7", "198.51.100.8"], "shareNodes": True}]
    app = {
        "class": "Application", "label": "component:default/payments", "vs": service,
        "http": {"class": "HTTP_Profile", "xForwardedFor": True},
        "oc": {"class": "Multiplex_Profile", "sourceMask": "255.255.255.255"},
        "pool": {"class": "Pool", "monitors": [pointer], "members": members}, "mon": monitor,
        "tls": {"class": "TLS_Server", "certificates": [{"certificate": "crt"}]}, "crt": certificate,
        "dg": {"class": "Data_Group", "keyDataType": "string", "records": [{"key": "policy", "value": "staging-v3"}]},
    }  # fmt: skip
    tenant = {"class": "Tenant", "label": "stagedoor", "remark": "env=staging", "payments": app}
    assert lock_key(tenant) == "O0iufAdRDkO872yH07jICfi2tQ3Kaw4UCT7kmliH1p8="


def test_the_lock_key_guards_against_another_writer(caller: Caller) -> None:
    caller("POST", DECLARE, declaration())
    key = caller("GET", f"{DECLARE}/stage_prod?showHash=true")[1]["stage_prod"]["optimisticLockKey"]
    wanted = declaration(adminState="disable")
    wanted["stage_prod"]["optimisticLockKey"] = key
    assert caller("POST", DECLARE, wanted)[1]["results"][0]["message"] == "success"
    _, refused = caller("POST", DECLARE, wanted)
    assert refused["results"][0]["message"].startswith("The hash you submitted does not match")
    assert "optimisticLockKey" not in caller("GET", DECLARE)[1]["stage_prod"]


def test_one_address_in_two_tenants_is_taken_by_a_dry_run_and_refused_by_the_device(caller: Caller) -> None:
    caller("POST", DECLARE, declaration())
    other = declaration("stage_dev")
    assert caller("POST", f"{DECLARE}?controls.dryRun=true", other)[1]["results"][0]["message"] == "success"
    status, body = caller("POST", DECLARE, other)
    assert (status, body["results"][0]["message"]) == (422, "declaration failed")
    assert "illegally shares destination address" in body["results"][0]["response"]
    assert "stage_dev" not in caller("GET", DECLARE)[1]
    assert caller("GET", "/mgmt/tm/auth/partition/stage_dev")[0] == 404


def test_nodes_are_shared_where_the_tenants_say_so_and_collide_elsewhere(caller: Caller) -> None:
    caller("POST", DECLARE, declaration("t1", "192.0.2.1"))
    caller("POST", DECLARE, declaration("t2", "192.0.2.2"))
    _, node = caller("GET", "/mgmt/tm/ltm/node/~Common~198.51.100.7")
    assert node["metadata"] == [{"name": "references", "persist": "true", "value": "2"}]
    caller("DELETE", f"{DECLARE}/t1")
    assert caller("GET", "/mgmt/tm/ltm/node/~Common~198.51.100.7")[1]["metadata"][0]["value"] == "1"
    _, body = caller("POST", DECLARE, declaration("t3", "192.0.2.3", shareNodes=False))
    assert body["results"][0]["response"] == "0107176c:3: Invalid Node, the IP address 198.51.100.7 already exists."
    caller("DELETE", f"{DECLARE}/t2")
    assert caller("GET", "/mgmt/tm/ltm/node/~Common~198.51.100.7")[0] == 404
    assert caller("GET", DECLARE)[0] == 204


def test_tenants_end_each_for_itself(caller: Caller) -> None:
    caller.faults(refused_tenants={"t2": "01071234:3: not today"})
    both = {**declaration("t1", "192.0.2.1"), **declaration("t2", "192.0.2.2")}
    status, body = caller("POST", DECLARE, both)
    assert (status, [one["code"] for one in body["results"]]) == (207, [200, 422])
    assert caller("GET", f"{VIRTUAL}/~t1~app~vs")[0] == 200
    assert caller("GET", f"{VIRTUAL}/~t2~app~vs")[0] == 404


def test_an_application_alone_is_declared_and_removed(caller: Caller) -> None:
    apps = {"schemaVersion": "3.50.0", "id": "x", "app": declaration()["stage_prod"]["app"]}
    where = f"{DECLARE}/stage_prod/applications"
    assert caller("POST", where, apps)[0] == 200
    assert caller("GET", f"{where}/app")[1]["app"]["class"] == "Application"
    assert caller("GET", f"{where}/other")[0] == 404
    assert caller("DELETE", f"{where}/app")[0] == 200
    assert caller("GET", f"{VIRTUAL}/~stage_prod~app~vs")[0] == 404


def test_an_old_declaration_is_deployed_again(caller: Caller) -> None:
    caller("POST", DECLARE, declaration())
    caller("POST", DECLARE, declaration(ratio=3))
    member = f"{POOL}/~stage_prod~app~pool/members/~Common~198.51.100.7:8443"
    assert caller("GET", member)[1]["ratio"] == 3
    assert caller("POST", DECLARE, {"class": "AS3", "action": "redeploy", "redeployAge": 1})[0] == 200
    assert caller("GET", member)[1]["ratio"] == 1


# === knobs ===


@pytest.mark.parametrize(
    ("knobs", "status", "text"),
    [
        ({"as3_locked": True}, 503, "Configuration operation in progress"),
        ({"as3_missing": True}, 404, "Public URI path not registered"),
        ({"restarting": True}, 503, "Configuration Utility restarting..."),
        ({"save_fails": True}, 500, "failed to save"),
        ({"next": [{"method": "POST", "path": DECLARE, "status": 500, "html": "AsyncContext timeout"}]}, 500,
         "AsyncContext timeout"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)  # fmt: skip
def test_a_knob_strikes_and_can_be_taken_back(caller: Caller, knobs: dict[str, Any], status: int, text: str) -> None:
    caller.log_in()
    caller.faults(**knobs)
    came, body = caller("POST", DECLARE, declaration())
    assert (came, text in (body if isinstance(body, str) else body["message"])) == (status, True)
    assert bool(caller.device.unit.tree.objects("ltm/virtual")) == ("save_fails" in knobs)
    caller("DELETE", "/_lab/faults", token="")
    assert caller("POST", DECLARE, declaration())[0] == 200


def test_mcpd_can_be_lost(caller: Caller) -> None:
    caller.log_in()
    caller.faults(mcpd_lost=True)
    status, body = caller("GET", POOL)
    assert (status, body["apiError"]) == (500, 32768001)


@pytest.mark.parametrize(("reset", "applied"), [("before", False), ("after", True), ("body", True)])
def test_a_connection_can_end_before_after_and_within(caller: Caller, reset: str, applied: bool) -> None:
    """Whoever wrote cannot know which it was."""
    caller.log_in()
    caller.faults(next=[{"method": "POST", "path": DECLARE, "reset": reset}])
    with pytest.raises((OSError, http.client.HTTPException)):
        caller("POST", DECLARE, declaration())
    assert bool(caller.device.unit.tree.objects("ltm/virtual")) == applied


def test_what_takes_too_long_turns_into_a_task_and_a_reboot_cancels_it(caller: Caller) -> None:
    caller.log_in()
    caller.faults(hold=True, sync_limit_s=0.05)
    status, body = caller("POST", DECLARE, declaration())
    assert (status, body["results"][0]["message"]) == (202, "Declaration successfully submitted")
    task = f"/mgmt/shared/appsvcs/task/{body['id']}"
    assert caller("GET", task)[1]["results"][0]["message"] == "in progress"
    assert "Configuration operation in progress" in message(caller("POST", DECLARE, declaration()))
    caller.lab("reboot")
    caller.log_in()
    _, cancelled = caller("GET", task)
    assert (cancelled["results"][0]["code"], cancelled["results"][0]["message"]) == (0, "task cancelled")
    assert caller.device.unit.tree.objects("ltm/virtual") == []


def test_errors_can_be_cut_short(caller: Caller) -> None:
    caller.log_in()
    caller.faults(truncated_errors=True)
    with pytest.raises(ValueError, match="Unterminated|Expecting"):
        caller("GET", f"{POOL}/~Common~x")


def test_knobs_refuse_what_they_are_not_and_pages(caller: Caller) -> None:
    status, body = caller("PATCH", "/_lab/faults", {"as3_lokced": True}, token="")
    assert (status, "no knob is called as3_lokced" in body["message"]) == (400, True)
    assert caller("PATCH", "/_lab/faults", {"as3_locked": "yes"}, token="")[0] == 400
    assert caller("GET", "/_lab/faults", token="", Origin="https://evil.example")[0] == 403
