"""The vendor's own client finds in the emulator what it expects of a firewall and of a Panorama.

pan-os-python is strict about shapes and shares no code with the emulator. It never checks a certificate and sends its
key as a parameter, which is why it is an oracle here and nothing more.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import pytest

from gateway.lab.panos.device import Device
from gateway.lab.panos.pairs import Pair
from tests.support.panos import Api, Clock, RunningFirewall, in_thread

NOT_THERE = "pan-os-python is not installed: pip install stagedoor[dev]"
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of its own spelling, when it is compiled
    errors = pytest.importorskip("panos.errors", reason=NOT_THERE)
    firewalls = pytest.importorskip("panos.firewall")
    objects = pytest.importorskip("panos.objects")
    panoramas = pytest.importorskip("panos.panorama")
    policies = pytest.importorskip("panos.policies")


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RunningFirewall, ...]]:
    with in_thread(tmp_path_factory.mktemp("panos"), Device(), Device()) as found:
        yield found


@pytest.fixture
def running(serving: tuple[RunningFirewall, ...]) -> RunningFirewall:
    serving[0].front.device = device = Device(clock=Clock())
    return RunningFirewall(device, serving[0].front, serving[0].url, serving[0].ca)


@pytest.fixture
def firewall(running: RunningFirewall) -> Any:
    return firewalls.Firewall("127.0.0.1", running.username, running.password, port=running.port)


def test_it_connects_and_knows_what_it_talks_to(firewall: Any) -> None:
    firewall.refresh_system_info()
    assert (firewall.version, firewall.serial, firewall.multi_vsys) == ("11.1.6", "007051000000001", False)


def test_a_wrong_password_is_its_own_error(running: RunningFirewall) -> None:
    wrong = firewalls.Firewall("127.0.0.1", "stagedoor", "guess", port=running.port)
    with pytest.raises(errors.PanDeviceError, match="403"):
        wrong.refresh_system_info()


def coarse_rule(firewall: Any) -> Any:
    """Tag, dynamic groups and the rule that uses them, written as the configuration worker would."""
    rulebase = firewall.add(policies.Rulebase())
    for one in (
        objects.Tag("stagedoor", comments="managed"),
        objects.AddressGroup("sd-svc", dynamic_value="'sd-payments' and 'sd-prod'", tag=["stagedoor"]),
        objects.DynamicUserGroup("sd-team", filter="'sd-team'", tag=["stagedoor"]),
        objects.ServiceObject("sd-https", "tcp", destination_port="443"),
    ):
        firewall.add(one).create()
    rule = policies.SecurityRule(
        "sd-payments-0a1b2c3d", fromzone=["trust"], tozone=["untrust"], source=["any"], source_user=["sd-team"],
        destination=["sd-svc"], application=["any"], service=["sd-https"], action="allow", tag=["stagedoor"],
    )  # fmt: skip
    rulebase.add(rule).create()
    return rule


def test_objects_and_rules_are_written_read_back_moved_and_deleted(firewall: Any) -> None:
    rule = coarse_rule(firewall)
    last = rule.parent.add(policies.SecurityRule("last", action="deny"))
    last.create()
    last.move("top")
    rulebase = rule.parent
    found = policies.SecurityRule.refreshall(rulebase, add=False)
    assert [one.name for one in found] == ["last", "sd-payments-0a1b2c3d"]
    assert (found[1].source_user, found[1].destination, found[1].tag) == (["sd-team"], ["sd-svc"], ["stagedoor"])
    assert found[1].uuid
    rule.description = "Team payments may reach payments-api"
    rule.apply()
    rule.refresh()
    assert rule.description == "Team payments may reach payments-api"
    with pytest.raises(errors.PanDeviceError, match="cannot be deleted because of references from"):
        firewall.find("sd-svc", objects.AddressGroup).delete()
    rule.delete()
    assert [one.name for one in policies.SecurityRule.refreshall(rulebase, add=False)] == ["last"]


def test_a_commit_of_ones_own_changes_is_waited_for(firewall: Any, running: RunningFirewall) -> None:
    coarse_rule(firewall)
    assert firewall.pending_changes()
    command = firewalls.FirewallCommit(description="plan 1", admins=["stagedoor"])
    result = firewall.commit(sync=True, cmd=command, exception=True)
    assert (result["success"], result["result"]) == (True, "OK")
    assert not firewall.pending_changes()
    with pytest.raises(errors.PanCommitNotNeeded):
        firewall.commit(sync=True, cmd=command, exception=True)
    names = [rule.get("name") for rule in running.device.configuration.running.iter("entry") if rule.get("uuid")]
    assert names == ["sd-payments-0a1b2c3d"]


def test_a_failed_commit_is_its_own_error_with_the_devices_words(firewall: Any, running: RunningFirewall) -> None:
    coarse_rule(firewall)
    running.knobs.fail_jobs = "rule sd-payments: profile group is missing"
    result = firewall.commit(sync=True)
    assert not result["success"]
    assert "profile group is missing" in str(result["messages"])
    with pytest.raises(errors.PanCommitFailed):
        firewall.commit(sync=True, exception=True)


def test_locks_are_taken_checked_and_given_back(firewall: Any, running: RunningFirewall) -> None:
    firewall.add_config_lock(comment="plan 1", scope="shared")
    assert firewall.check_config_locks()
    other = firewalls.Firewall("127.0.0.1", "admin", "admin", port=running.port)
    with pytest.raises(errors.PanDeviceError, match="Config lock is already held by stagedoor"):
        other.add_config_lock(scope="shared")
    firewall.remove_config_lock(scope="shared")
    assert not firewall.check_config_locks()


def test_access_comes_and_goes_with_tags(firewall: Any, running: RunningFirewall) -> None:
    """The promise of the whole integration, driven by another make's client and judged by the oracle."""
    coarse_rule(firewall)
    firewall.commit(sync=True)
    api = Api(running)
    packet = {"source": "10.9.0.1", "destination": "10.0.0.1", "user": "corp\\ann"}
    firewall.userid.register("10.0.0.1", ["sd-payments", "sd-prod"])
    assert not api.lab("packet", **packet)["allowed"]
    firewall.userid.tag_user("corp\\ann", ["sd-team"], timeout=60)
    assert firewall.userid.get_user_tags() == {"corp\\ann": ["sd-team"]}
    assert firewall.userid.get_group_members("sd-team") == ["corp\\ann"]
    assert api.lab("packet", **packet)["allowed"]
    clock = running.device._clock
    assert isinstance(clock, Clock)
    clock.passes(60)
    assert not api.lab("packet", **packet)["allowed"]
    registered = firewall.userid.get_registered_ip()
    assert {address: set(tags) for address, tags in registered.items()} == {"10.0.0.1": {"sd-payments", "sd-prod"}}
    firewall.userid.audit_registered_ip({"10.0.0.2": ("sd-payments",)})
    assert firewall.userid.get_registered_ip() == {"10.0.0.2": ["sd-payments"]}


def test_hit_counts_and_audit_comments_of_a_rule(firewall: Any, running: RunningFirewall) -> None:
    rule = coarse_rule(firewall)
    rule.opstate.audit_comment.update("owner group:payments")
    firewall.commit(sync=True)
    Api(running).lab("packet", source="10.9.0.1", destination="10.0.0.1")
    hits = rule.parent.opstate.hit_count.refresh("security", all_rules=True)
    assert hits["sd-payments-0a1b2c3d"].hit_count == 0
    assert [entry.comment for entry in rule.opstate.audit_comment.history()] == ["owner group:payments"]


def test_panorama_lists_its_firewalls_and_pushes_a_group(serving: tuple[RunningFirewall, ...]) -> None:
    managed = Device("firewall-a", serial="007051000000007")
    serving[1].front.device = device = Device("panorama", serial="000702000000001", panorama=True)
    device.managed = {managed.serial: managed}
    panorama = panoramas.Panorama("127.0.0.1", "stagedoor", "lab", port=serving[1].port)
    group = panorama.add(panoramas.DeviceGroup("DG"))
    group.create()
    Api(RunningFirewall(device, serving[1].front, serving[1].url, serving[1].ca)).written(
        "/config/devices/entry[@name='localhost.localdomain']/device-group/entry[@name='DG']/devices",
        f"<entry name='{managed.serial}'/>",
    )
    rule = policies.SecurityRule("sd-one", action="allow", fromzone=["any"], tozone=["any"])
    group.add(policies.PreRulebase()).add(rule).create()
    assert panorama.commit(sync=True)["success"]
    push = panoramas.PanoramaCommitAll("device group", "DG", include_template=False)
    result = panorama.commit(sync=True, sync_all=True, cmd=push)
    assert result["success"], result
    pushed = managed.configuration.running.findall("./panorama/vsys/entry/pre-rulebase/security/rules/entry")
    assert [(one.get("name"), one.get("loc")) for one in pushed] == [("sd-one", "DG")]


def test_the_pair_is_asked_for_its_state_as_the_client_does(serving: tuple[RunningFirewall, ...]) -> None:
    together = Pair()
    serving[0].front.device = Device("a", pair=together)
    serving[1].front.device = Device("b", serial="2", pair=together)
    first, second = (firewalls.Firewall("127.0.0.1", "stagedoor", "lab", port=one.port) for one in serving)
    first.set_ha_peers(second)
    first.refresh_ha_active()
    assert first.active() is first
    assert first.config_synced()
    together.fail_over()
    first.refresh_ha_active()
    assert first.active() is second
