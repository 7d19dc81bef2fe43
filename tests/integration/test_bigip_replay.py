"""The emulator of BIG-IP answers as the real AS3 engine was recorded to: each exchange, status and body.

Run times, ids and timestamps aside; of scripts, what they begin and end with. The device behind the recorded engine
kept nothing between exchanges, so it is emptied here, too. Without the recordings beside the project these skip.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from gateway.lab.bigip.collections import FOLDER, NODE, PARTITION
from gateway.lab.bigip.tree import Tree
from tests.support.bigip import Caller, devices_in_thread, official_schema, recorded

DECLARE = "/mgmt/shared/appsvcs/declare"
ALREADY = "0107176c:3: Invalid Node, the IP address 198.51.100.7 already exists."
OF_THE_RUN = ("runTime", "archiveTimestamp", "selfLink", "timestamp", "date", "data", "records")
STAMPED = re.compile(r"____appsvcs_declaration-\d+")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Caller]:
    recorded("as3/as3_transcripts.json")
    with devices_in_thread(tmp_path_factory.mktemp("replay"), schema=official_schema()) as (device,):
        yield Caller(device)


@pytest.fixture
def caller(running: Caller) -> Caller:
    running("DELETE", "/_lab/faults", token="")
    running.lab("empty")
    return running


def _forget_tenants(tree: Tree) -> None:
    """What the recorded engine's device did by itself."""
    for tenant in [one["name"] for one in tree.objects(PARTITION) if one["name"] != "Common"]:
        for collection, path, _ in list(tree.within(tenant)):
            tree.drop(collection, path)
        tree.drop(PARTITION, tenant)
        tree.drop(FOLDER, f"/{tenant}")
    for node in tree.objects(NODE):
        tree.drop(NODE, node["fullPath"])


def _compared(value: Any, key: str = "") -> Any:
    """The value with what differs from run to run by its type alone."""
    if isinstance(value, dict):
        return {name: _compared(part, name) for name, part in value.items()}
    if isinstance(value, list):
        return [_compared(part) for part in value] if key not in OF_THE_RUN else [type(part).__name__ for part in value]
    if key.endswith("Script"):
        return value.splitlines()[:10], value.splitlines()[-2:]
    if isinstance(value, str) and (STAMPED.search(value) or key == "id" or value.isdigit()):
        return "generated" if STAMPED.search(value) or re.fullmatch(r"\d+|[0-9a-f-]{36}", value) else value
    return type(value).__name__ if key in OF_THE_RUN else value


def _replayed(caller: Caller, exchange: dict[str, Any]) -> None:
    status, body = caller(exchange["method"], exchange["path"], exchange.get("request"))
    assert status == exchange["response"]["status"], body
    assert _compared(body) == _compared(exchange["response"]["body"])


def test_the_recorded_exchanges(caller: Caller) -> None:
    """In their order, which they depend on; the knobs make what was injected when they were recorded."""
    task = ""
    for exchange in recorded("as3/as3_transcripts.json"):
        name = exchange["name"]
        held = name in ("async", "task now")
        failing = [ALREADY] if name.startswith("device failure") else []
        refusals = {tenant: text for tenant in ("stagedoor_staging", "stagedoor_dev") for text in failing}
        caller.faults(hold=held, as3_locked=name == "locked 503", refused_tenants=refusals)
        if name in ("task now", "task later"):
            exchange["path"] = f"/mgmt/shared/appsvcs/task/{task}"
        if name == "task later":
            while caller("GET", exchange["path"])[1]["results"][0]["message"] == "in progress":
                pass
        _replayed(caller, exchange)
        if name == "async":
            known = caller("GET", "/mgmt/shared/appsvcs/task")[1]["items"]
            task = known[-1]["id"]
        if not held:
            _forget_tenants(caller.device.unit.tree)


def _drifts(caller: Caller) -> dict[str, Any]:
    """What somebody did on the device before each exchange of the second file."""
    member = "/mgmt/tm/ltm/pool/~t1~app~p/members/~Common~198.51.100.7:80"
    return {
        "dry-run drift edit": ("PATCH", "/mgmt/tm/ltm/pool/~t1~app~p",
                               {"loadBalancingMode": "least-connections-member"}),
        "dry-run operator disabled a member": ("PATCH", member, {"session": "user-disabled"}),
        "dry-run operator forced offline": ("PATCH", member, {"state": "user-down"}),
        "dry-run member monitor down (not drift)": ("PATCH", "/_lab/faults", {"members": {"198.51.100.7:80": "down"}}),
        "dry-run rogue object": ("POST", "/mgmt/tm/ltm/pool",
                                 {"name": "rogue", "partition": "t1", "subPath": "app", "minActiveMembers": 1}),
    }  # fmt: skip


def test_the_recorded_drifts(caller: Caller) -> None:
    """An edit, a drain, a monitor's finding, a foreign object: what the engine calls drift, and what it does not."""
    exchanges = recorded("as3/as3_transcripts_drift.json")
    deployed = exchanges[0]["request"]
    drifts = _drifts(caller)
    names = [exchange["name"] for exchange in exchanges]
    assert set(drifts) - set(names) == set()
    for exchange in exchanges:
        _forget_tenants(caller.device.unit.tree)
        caller.faults(members={})
        assert caller("POST", DECLARE, deployed)[0] == 200
        if exchange["name"] in drifts:
            status, answer = caller(*drifts[exchange["name"]])
            assert status == 200, answer
        _replayed(caller, exchange)
