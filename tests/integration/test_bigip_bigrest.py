"""An independent client of iControl REST finds in the emulator what it expects of a device.

BIGREST is strict about statuses and shapes; it knows nothing of this project, and shares no code with the emulator.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.bigip import RunningDevice, devices_in_thread

bigip = pytest.importorskip("bigrest.bigip", reason="BIGREST is not installed: pip install stagedoor[dev]")
RESTAPIError = pytest.importorskip("bigrest.common.exceptions").RESTAPIError
POOL = "/mgmt/tm/ltm/pool"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDevice]:
    with devices_in_thread(tmp_path_factory.mktemp("bigrest"), 2) as (device, _):
        yield device


@pytest.fixture
def device(running: RunningDevice, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(running.ca))  # which its HTTP client puts before what it is told
    running.unit.empty()
    running.unit.tokens.revoke()
    client = bigip.BIGIP(
        running.url.removeprefix("https://"),
        running.username,
        running.password,
        request_token=True,
        session_verify=str(running.ca),
        timeout=50,
    )
    try:
        yield client
    finally:
        client.session.close()


def test_objects_are_created_loaded_saved_and_deleted(device: Any) -> None:
    device.create("/mgmt/tm/sys/folder", {"name": "stage", "partition": "Common"})
    made = device.create(POOL, {"name": "web", "partition": "Common", "subPath": "stage", "monitor": "/Common/http"})
    assert made.properties["fullPath"] == "/Common/stage/web"
    path = f"{POOL}/~Common~stage~web"
    assert device.exist(path)
    assert not device.exist(f"{POOL}/~Common~none")
    loaded = device.load(path)
    loaded.properties["loadBalancingMode"] = "least-connections-member"
    assert device.save(loaded).properties["loadBalancingMode"] == "least-connections-member"
    assert device.modify(path, {"description": "of the stage"}).properties["description"] == "of the stage"
    assert [pool.properties["name"] for pool in device.load(POOL)] == ["web"]
    device.delete(path)
    assert not device.exist(path)


def test_members_and_a_virtual_server(device: Any) -> None:
    device.create(POOL, {"name": "web", "monitor": "/Common/http"})
    members = f"{POOL}/~Common~web/members"
    device.create(members, {"name": "192.0.2.7:80"})
    device.create(members, {"name": "192.0.2.8:80"})
    assert [member.properties["address"] for member in device.load(members)] == ["192.0.2.7", "192.0.2.8"]
    drained = device.modify(f"{members}/~Common~192.0.2.7:80", {"session": "user-disabled"})
    assert drained.properties["session"] == "user-disabled"
    virtual = device.create("/mgmt/tm/ltm/virtual", {"name": "vs", "destination": "192.0.2.1:443", "pool": "web"})
    assert virtual.properties["destination"] == "/Common/192.0.2.1:443"
    with pytest.raises(RESTAPIError) as refused:
        device.delete(f"{POOL}/~Common~web")
    assert "in use by a Virtual Server" in str(refused.value)
    assert device.show(f"{POOL}/~Common~web/stats") is not None


def test_a_transaction(device: Any) -> None:
    with device as transaction:
        device.create(POOL, {"name": "one"})
        device.create(POOL, {"name": "two"})
    assert transaction.properties["state"] == "STARTED"
    assert [pool.properties["name"] for pool in device.load(POOL)] == ["one", "two"]


def test_tasks_of_save_and_config_sync(device: Any) -> None:
    saving = device.task_start("/mgmt/tm/task/sys/config", {"command": "save"})
    device.task_wait(saving, interval=1)
    assert device.task_completed(saving)
    body = {"command": "run", "options": [{"to-group": "/Common/stage-group"}]}
    device.task_wait(device.task_start("/mgmt/tm/task/cm/config-sync", body), interval=1)
    body = {"command": "run", "options": [{"to-group": "/Common/none"}]}
    failing = device.task_start("/mgmt/tm/task/cm/config-sync", body)
    with pytest.raises(RESTAPIError):
        device.task_wait(failing, interval=1)


def test_what_the_device_says_of_itself(device: Any) -> None:
    assert device.show("/mgmt/tm/cm/failover-status") is not None
    assert device.show("/mgmt/tm/cm/sync-status") is not None
    assert device.show("/mgmt/tm/sys/version") is not None
    (own,) = [one for one in device.load("/mgmt/tm/cm/device") if one.properties["selfDevice"] == "true"]
    assert own.properties["failoverState"] == "active"


def test_a_declaration_through_another_client(device: Any) -> None:
    app = {
        "class": "Application",
        "web": {"class": "Pool", "members": [{"servicePort": 80, "serverAddresses": ["192.0.2.9"]}]},
    }
    body = {"class": "ADC", "schemaVersion": "3.50.0", "id": "x", "t1": {"class": "Tenant", "app": app}}
    answer = device.create("/mgmt/shared/appsvcs/declare", body)
    assert answer.properties["results"][0]["message"] == "success"
    assert device.load(f"{POOL}/~t1~app~web/members")[0].properties["fullPath"] == "/t1/192.0.2.9:80"
