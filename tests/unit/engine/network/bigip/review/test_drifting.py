"""Each kind of drift is told by its name, with what the catalog wants, what was applied and what the device says."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from gateway.engine.network.bigip.as3.declaration import declaration_of
from gateway.engine.network.bigip.target import BigipTarget
from gateway.engine.network.plans.plan import Difference, Drift, Kind
from tests.support.declarations import desired, environment, place
from tests.support.scripted_device import DECLARE, NOW, ScriptedDevice, says
from tests.unit.engine.network.bigip.test_target import NAME, POOL, scene

SHOP, PAY = place("shop"), place("pay")


def drifts_after(folder: Path, spoil: Callable[[ScriptedDevice], None]) -> tuple[Drift, ...]:
    """What is found after somebody did something to a device that has all it should."""

    async def whole() -> tuple[Drift, ...]:
        async with scene(folder) as it:
            applied = (await it.applied(SHOP, PAY)).content
            assert it.target.drift(desired(SHOP, PAY), applied, await it.target.observe()) == ()
            spoil(it.device)
            return it.target.drift(desired(SHOP, PAY), applied, await it.target.observe())

    return asyncio.run(whole())


def _edit(device: ScriptedDevice) -> None:
    device.item("pool", POOL)["loadBalancingMode"] = "least-connections-member"


def _edit_records(device: ScriptedDevice) -> None:
    device.item("data-group/internal", f"/{NAME}/Shared/hosts")["records"].pop()


def _remove(device: ScriptedDevice) -> None:
    device.objects["virtual"].clear()


def _rogue(device: ScriptedDevice) -> None:
    device.objects["pool"].append({"fullPath": f"/{NAME}/Shared/rogue", "name": "rogue"})


def _drain(device: ScriptedDevice) -> None:
    device.member(POOL, "192.0.2.22:8443").update(session="user-disabled")


def _replace(device: ScriptedDevice) -> None:
    assert device.declaration is not None
    shared = {**device.declaration[NAME]["Shared"]}
    del shared["hosts"]
    device.declare({**device.declaration, "id": "cis", NAME: {**device.declaration[NAME], "Shared": shared}})


def _unmark(device: ScriptedDevice) -> None:
    assert device.declaration is not None
    device.declare({**device.declaration, NAME: {**device.declaration[NAME], "label": "cis"}})


def _wipe(device: ScriptedDevice) -> None:
    device.declaration, device.objects = None, {}


def _age(device: ScriptedDevice) -> None:
    device.certificate_ends = NOW + 5 * 86_400


def _other_version(device: ScriptedDevice) -> None:
    (record,) = device.item("data-group/internal", f"/{NAME}/Shared/policy")["records"]
    record["data"] = "zzzzzzzzzzzz"


@pytest.mark.parametrize(
    ("spoil", "kinds", "words"),
    [
        (_edit, [Difference.EDITED], "from `round-robin` to `least-connections-member`"),
        (_edit_records, [Difference.EDITED], "1 record of the hosts"),
        (_remove, [Difference.MISSING], "/Shared/vs` by hand"),
        (_rogue, [Difference.FOREIGN], "/Shared/rogue` by hand in our tenant"),
        (_drain, [Difference.DRAINED], "192.0.2.22:8443` (`disable`)"),
        (_unmark, [Difference.REPLACED], "does not carry our mark"),
        (_wipe, [Difference.GONE], "gone"),
        (_age, [Difference.EXPIRING] * 2, "ends in 5 days"),
        (_other_version, [Difference.EDITED, Difference.VERSION], "1 record of the records"),
    ],
)
def test_each_kind_of_drift(
    tmp_path: Path, spoil: Callable[[ScriptedDevice], None], kinds: list[Difference], words: str
) -> None:
    found = drifts_after(tmp_path, spoil)
    assert [drift.difference for drift in found] == kinds
    assert words in found[0].sentence


def test_another_writer_is_named_by_its_id_and_by_what_it_changed(tmp_path: Path) -> None:
    drift, *others = drifts_after(tmp_path, _replace)
    assert drift.difference is Difference.REPLACED
    assert "id is `cis`" in drift.sentence
    assert f"/{NAME}/Shared/hosts" in drift.sentence
    assert all(each.difference is not Difference.EDITED for each in others)


def test_a_device_that_names_another_policy_than_the_doors_serve(tmp_path: Path) -> None:
    async def whole() -> tuple[Drift, ...]:
        async with scene(tmp_path) as it:
            applied = (await it.applied(SHOP)).content
            return it.target.drift(desired(SHOP, version="bbbbbbbbbbbb"), applied, await it.target.observe())

    (drift,) = asyncio.run(whole())
    assert drift.difference is Difference.VERSION
    assert (drift.intent, drift.applied, drift.device) == ("bbbbbbbbbbbb", "abcdefghijkl", "abcdefghijkl")


def test_an_edit_shows_three_values(tmp_path: Path) -> None:
    (drift,) = drifts_after(tmp_path, _edit)
    assert (drift.intent, drift.applied, drift.device) == ("round-robin", "round-robin", "least-connections-member")


def test_what_was_done_by_hand_is_set_back_by_a_plan_that_says_so(tmp_path: Path) -> None:
    async def whole() -> None:
        async with scene(tmp_path) as it:
            await it.applied(SHOP)
            _edit(it.device)
            _remove(it.device)
            plan = await it.plan(SHOP)
            assert [(step.kind, step.object) for step in plan.steps] == [
                (Kind.CHANGE, POOL), (Kind.ADD, f"/{NAME}/Shared/vs")
            ]  # fmt: skip
            assert "by hand" in plan.steps[0].sentence
            assert (await it.target.apply(plan)).done
            assert (await it.plan(SHOP)).steps == ()

    asyncio.run(whole())


def test_an_object_made_by_hand_is_deleted_by_no_plan_of_its_own_and_never_unsaid(tmp_path: Path) -> None:
    async def whole() -> None:
        async with scene(tmp_path) as it:
            await it.applied(SHOP)
            _rogue(it.device)
            assert (await it.plan(SHOP)).steps == (), "nothing is sent for its sake"
            removal, addition = (await it.plan(SHOP, PAY)).steps
            assert removal.kind is Kind.REMOVE
            assert removal.entities == ()
            assert "made by hand" in removal.sentence
            assert removal.caution
            assert addition.kind is Kind.ADD

    asyncio.run(whole())


def test_a_missing_certificate_is_a_remark_and_reading_writes_nothing(tmp_path: Path) -> None:
    async def whole() -> None:
        async with scene(tmp_path) as it:
            gone: Any = {"code": 404, "message": "01020036:3: The requested Certificate was not found."}
            it.device.script("GET", "/mgmt/tm/sys/file/ssl-cert/~Common~doors.crt", says(404, gone))
            observed = await it.target.observe()
            assert "`/Common/doors.crt` (`trust_ca`) is not on the device" in observed.remarks
            changing = [call for call in it.device.calls if not call.startswith("GET")]
            assert changing == ["POST /mgmt/shared/authn/login"]
            assert not it.device.asked(f"POST {DECLARE}")

    asyncio.run(whole())


def _fqdn(device: ScriptedDevice) -> None:
    assert device.declaration is not None
    declaration = copy.deepcopy(device.declaration)
    member = {"servicePort": 8443, "addressDiscovery": "fqdn", "hostname": "evil.example", "shareNodes": True}
    declaration[NAME]["Shared"]["pool"]["members"].append(member)
    device.declaration = declaration


def _kept(device: ScriptedDevice) -> None:
    assert device.declaration is not None
    declaration = copy.deepcopy(device.declaration)
    declaration[NAME]["Shared"]["hosts"]["ignoreChanges"] = True
    device.declaration = declaration


@pytest.mark.parametrize("spoil", [_fqdn, _kept])
def test_another_writer_who_adds_what_has_no_address_or_is_not_kept_is_seen(
    tmp_path: Path, spoil: Callable[[ScriptedDevice], None]
) -> None:
    (drift,) = drifts_after(tmp_path, spoil)
    assert drift.difference is Difference.REPLACED


def _no_name(device: ScriptedDevice) -> None:
    device.item("profile/server-ssl", f"/{NAME}/Shared/tls_out")["authenticateName"] = "none"


def _header(device: ScriptedDevice) -> None:
    device.item("profile/http", f"/{NAME}/Shared/http")["headerInsert"] = "X-Forwarded-User: admin"


def _snat(device: ScriptedDevice) -> None:
    device.item("virtual", f"/{NAME}/Shared/vs")["sourceAddressTranslation"] = {"type": "snat", "pool": "/Common/odd"}


def _no_pool(device: ScriptedDevice) -> None:
    del device.item("virtual", f"/{NAME}/Shared/vs")["pool"]


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (_no_name, "server name of `/stagedoor_prod/Shared/tls_out` from `door.example.com` to nothing"),
        (_header, "inserted header of `/stagedoor_prod/Shared/http` from nothing to `X-Forwarded-User: admin`"),
        (_snat, "source addresses of `/stagedoor_prod/Shared/vs` from `automap` to `/Common/odd`"),
        (_no_pool, "pool of `/stagedoor_prod/Shared/vs` from `/stagedoor_prod/Shared/pool` to nothing"),
    ],
)
def test_edits_of_what_decides_who_is_trusted_are_drift(
    tmp_path: Path, spoil: Callable[[ScriptedDevice], None], words: str
) -> None:
    (drift,) = drifts_after(tmp_path, spoil)
    assert drift.difference is Difference.EDITED
    assert words in drift.sentence


def test_an_edit_of_the_rule_that_names_clients_is_drift_and_set_back(tmp_path: Path) -> None:
    async def whole() -> None:
        at = environment(proxy_protocol=True)
        async with scene(tmp_path, health_port=8081) as it:
            render = partial(declaration_of, device=it.group.device, environment=at, assigned={})
            target = BigipTarget(it.group, at, render)
            plan = target.plan(desired(SHOP), await target.observe(), "")
            assert (await target.apply(plan)).done
            assert target.drift(desired(SHOP), plan.content, await target.observe()) == ()
            rule = it.device.item("rule", f"/{NAME}/Shared/proxy")
            rule["apiAnonymous"] = rule["apiAnonymous"].replace("IP::remote_addr", "IP::local_addr")
            observed = await target.observe()
            (drift,) = target.drift(desired(SHOP), plan.content, observed)
            assert drift.sentence == f"Somebody changed `line 3` of iRule `/{NAME}/Shared/proxy`."
            (step,) = target.plan(desired(SHOP), observed, "").steps
            assert "Sets `line 3` in the text of" in step.sentence

    asyncio.run(whole())
