"""Firewalls in the configuration: everything can be said, and what could not work is a fault with its place."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gateway import config, config_load
from gateway.config.devices import ChangeWindow, Devices, Direct, Leg, Panos, PanosEnvironment, Readers
from tests.support.certificates import make
from tests.support.node import ROOT
from tests.unit.config_load.test_load import MINIMAL, faults_of, load

LEAST = """\
devices:
  panos:
    - name: edge
      units: [https://192.0.2.30]
      key_files: [key]
"""
PIN = "AB:" * 31 + "cd"
RULES = (
    LEAST
    + """\
      rules_key_files: [next]
      tags: enforce
      user_name: 'corp\\{metadata.name}'
      environments:
        prod:
          mode: enforce
          front: {from_zones: [untrust], to_zones: [dmz]}
          back: {}
          direct: {to_zones: [services]}
          directs: [{services: [system:default/Ledger], ports: [tcp/5432, udp/6000-6010]}]
          virtual_addresses: ["2001:DB8::10", 203.0.113.10]
          doors: [10.20.0.11/32, 10.20.0.12/32]
          networks: [10.30.0.0/16]
"""
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "access.yaml").write_text("version: 1\n")
    for name in ("key", "next"):
        (tmp_path / name).touch(0o600)
        (tmp_path / name).write_text("LUFRPT-a-key\n")
        (tmp_path / name).chmod(0o600)
    return tmp_path


def test_the_least_that_has_to_be_said(folder: Path) -> None:
    expected = Panos("edge", ("https://192.0.2.30",), (str(folder / "key"),))
    assert load(folder, MINIMAL + LEAST).devices == Devices(panos=(expected,))


def test_everything_can_be_said_and_reaches_the_roles_without_the_key(folder: Path) -> None:
    text = LEAST.replace("[https://192.0.2.30]", "[HTTPS://192.0.2.30/, https://fw2.example:8443]")
    text = text.replace("[key]", "[key, next]") + f"      pins: ['{PIN}']\n      vsys: vsys3\n      concurrent: 5\n"
    settings = load(folder, MINIMAL + text)
    (device,) = settings.devices.panos
    assert device.units == ("https://192.0.2.30", "https://fw2.example:8443")
    assert device.pins == ("ab" * 31 + "cd",)
    assert (device.vsys, device.concurrent, len(device.key_files)) == ("vsys3", 5, 2)
    frame = config.encode(settings)
    assert config.decode(frame) == settings
    assert b"LUFRPT" not in frame


@pytest.mark.parametrize(
    ("said", "unit"),
    [
        ("HTTPS://192.0.2.30:443/", "https://192.0.2.30"),
        ("'https://[2001:db8::443]:443'", "https://[2001:db8::443]"),
        ("'https://[2001:db8::443]'", "https://[2001:db8::443]"),
        ("https://192.0.2.30:8443", "https://192.0.2.30:8443"),
    ],
)
def test_one_management_address_has_one_spelling(folder: Path, said: str, unit: str) -> None:
    """All who speak to it share its few calls."""
    (device,) = load(folder, MINIMAL + LEAST.replace("https://192.0.2.30", said)).devices.panos
    assert device.units == (unit,)


def test_two_installations_with_central_hosts_are_told_apart_unsaid(folder: Path) -> None:
    (device,) = load(folder, MINIMAL + "central_host: door.example.com\n" + LEAST).devices.panos
    (alone,) = load(folder, MINIMAL + LEAST).devices.panos
    assert (device.instance, alone.instance) == ("door.example.com", "stagedoor")


def test_the_examples_of_the_documents_are_taken(folder: Path) -> None:
    examples = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs" / "panos.md").read_text(), re.DOTALL)
    assert len(examples) == 3
    text = MINIMAL.replace("prod:", "dev: {hosts: [.dev], upstreams: [10.0.0.0/8]}\n  prod:", 1)
    (folder / "stagedoor.yaml").write_text(text + "".join(examples))
    devices = config_load.load(folder / "stagedoor.yaml", {}, with_named_files=False).devices.panos
    assert [each.name for each in devices] == ["edge", "branches", "branch-1"]
    assert [each.environments[0].has_rules for each in devices] == [True, True, False]


def test_what_a_firewall_does_can_be_said(folder: Path) -> None:
    more = """\
          closes: networks
          log_setting: to siem
          profile_group: strict
          windows: [sat 22:00-24:00]
          frozen: audit until Monday
          ticket: true
        dev: {networks: [10.40.0.0/16]}
      device_group: Branches
      instance: eu
      anchor: deny-rest
      commit_gap: 1h
      settle: 5s
      removed_share: 0.5
      removed_most: 3
      address_capacity: 100000
      readers: {networks: [192.0.2.30/32]}
"""
    text = MINIMAL.replace("prod:", "dev: {hosts: [.dev], upstreams: [10.0.0.0/8]}\n  prod:", 1)
    assert text != MINIMAL
    settings = load(folder, text + "central_host: door.example.com\n" + RULES + more)
    (device,) = settings.devices.panos
    assert config.decode(config.encode(settings)) == settings
    prod = PanosEnvironment(
        "prod", "enforce", Leg(("untrust",), ("dmz",)), Leg(), Leg((), ("services",)),
        (Direct(("system:default/ledger",), ("tcp/5432", "udp/6000-6010")),),
        ("2001:db8::10", "203.0.113.10"), ("10.20.0.11/32", "10.20.0.12/32"), ("10.30.0.0/16",), "networks",
        "to siem", "strict", (ChangeWindow(8520, 8640),), "audit until Monday", ticket=True,
    )  # fmt: skip
    assert device == Panos(
        "edge", ("https://192.0.2.30",), (str(folder / "key"),), device_group="Branches",
        rules_key_files=(str(folder / "next"),), tags="enforce", user_name="corp\\{metadata.name}", instance="eu",
        anchor="deny-rest", commit_gap_s=3600, settle_s=5, removed_share=0.5, removed_most=3, address_capacity=100_000,
        environments=(PanosEnvironment("dev", networks=("10.40.0.0/16",)), prod),
        readers=Readers(("192.0.2.30/32",)),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("https://192.0.2.30", "http://192.0.2.30", "is no management address"),
        ("[https://192.0.2.30]", "[https://a.example, https://b.example, https://c.example]", "at most 2"),
        ("[https://192.0.2.30]", "[https://192.0.2.30, https://192.0.2.30/]", "listed twice in `units`"),
        ("[key]", "[key, key]", "listed twice in `key_files`"),
        ("[key]", "[away]", "cannot read"),
        ("[key]", "[]", "at least one"),
        ("[key]", "[key]\n      vsys: Payments", "is no virtual system"),
        ("[key]", "[key]\n      pins: [ab]", "is no SHA-256 of a certificate"),
        ("[key]", "[key]\n      concurrent: 6", "5"),
        ("[key]", "[key]\n      ca: away.pem", "away.pem"),
        ("[key]", f"[key]\n      ca: ca.pem\n      pins: ['{PIN}']", "two things about the same certificates"),
    ],
)
def test_a_fault_says_what(folder: Path, before: str, after: str, message: str) -> None:
    make(folder, "leaf", "fw.localhost")
    faults = faults_of(folder, MINIMAL + LEAST.replace(before, after))
    assert any(message in str(fault) for fault in faults), faults


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("prod:", "prd:", "did you mean `prod`"),
        ("{from_zones: [untrust]", "{from_zones: [any]", "`any` is no zone"),
        ("{from_zones: [untrust]", "{from_zones: ['un/trust']", "is no zone"),
        ("{from_zones: [untrust]", "{from_zones: [" + "z" * 32 + "]", "is no zone"),
        ("{from_zones: [untrust]", "{from: [untrust]", "unknown key"),
        ("tcp/5432", "tcp5432", "is no port"),
        ("tcp/5432", "tcp/0", "is no port"),
        ("udp/6000-6010", "udp/6010-6000", "is no port"),
        ("udp/6000-6010", "tcp/5432-5432", "`tcp/5432` is listed twice"),
        ("system:default/Ledger", "group:default/ledger", "is no component and no system"),
        ("'corp\\{metadata.name}'", "corp", "is the same for everybody"),
        ("'corp\\{metadata.name}'", "'{metadata.title}'", "which nobody has"),
        ("      user_name: 'corp\\{metadata.name}'\n", "", "nobody has one without `user_name`"),
        ('          virtual_addresses: ["2001:DB8::10", 203.0.113.10]\n', "", "where clients meet the environment"),
        ("          doors: [10.20.0.11/32, 10.20.0.12/32]\n", "", "no door is known without `doors`"),
        ("          networks: [10.30.0.0/16]\n", "", "needs `networks`"),
        ("direct: {to_zones: [services]}", "direct: null", "`directs` is of no use without `direct`"),
        ("[{services: [system:default/Ledger], ports: [tcp/5432, udp/6000-6010]}]", "[]", "`direct` needs `directs`"),
        ("10.20.0.11/32", "10.20.0.0/16", "whoever is in it reaches all services"),
        ("10.20.0.11/32", "127.0.0.1/32", "is nothing that a firewall sees"),
        ("10.20.0.11/32", "10.20.0.12/32", "`10.20.0.12/32` is listed twice in `doors`"),
        ("10.30.0.0/16", "0.0.0.0/0", "is nearly everybody"),
        ("10.30.0.0/16", "169.254.0.0/16", "is nothing that a firewall sees"),
        ("tags: enforce", "tags: plan", "between groups that nobody fills"),
        ("rules_key_files: [next]", "rules_key_files: [key]", "is in `key_files` and in `rules_key_files`"),
        ("rules_key_files: [next]", "rules_key_files: [away]", "cannot read"),
        ("tags: enforce", "tags: enforce\n      anchor: 'a\"b'", "names nothing on a firewall"),
        ("tags: enforce", "tags: enforce\n      device_group: ' x'", "names nothing on a firewall"),
        ("tags: enforce", "tags: enforce\n      commit_gap: 10s", "is no pause between commits"),
        ("tags: enforce", "tags: enforce\n      settle: 2h", "is too long to wait"),
        ("tags: enforce", "tags: enforce\n      readers: {networks: [192.0.2.30/32]}", "without `central_host`"),
    ],
)
def test_what_could_not_work_or_would_open_too_much_is_a_fault(
    folder: Path, before: str, after: str, message: str
) -> None:
    assert before in RULES
    faults = faults_of(folder, MINIMAL + RULES.replace(before, after))
    assert any(message in str(fault) for fault in faults), faults


@pytest.mark.parametrize(
    "said", ["log_setting: x", "profile_group: x", "frozen: audit", "ticket: true", "windows: [mon 01:00-02:00]"]
)
def test_what_is_about_rules_needs_a_leg(folder: Path, said: str) -> None:
    (fault,) = faults_of(folder, MINIMAL + LEAST + f"      environments: {{prod: {{{said}}}}}\n")
    assert "there are none without `front`, `back` or `direct`" in str(fault)


def test_tags_alone_need_neither_legs_nor_another_key(folder: Path) -> None:
    text = LEAST + "      tags: enforce\n      environments: {prod: {networks: [10.30.0.0/16]}}\n"
    (device,) = load(folder, MINIMAL + text).devices.panos
    assert device.environments == (PanosEnvironment("prod", networks=("10.30.0.0/16",)),)


def test_a_firewall_behind_a_panorama_is_told_tags_and_the_panorama_rules(folder: Path) -> None:
    """Both say what the environment is; who changes rules tells nobody who is meant."""
    panorama = RULES.replace("tags: enforce", "tags: observe\n      device_group: Branches")
    member = """\
    - name: branch
      units: [https://192.0.2.40]
      key_files: [next]
      tags: enforce
      user_name: '{metadata.name}'
      environments:
        prod:
          directs: [{services: [system:default/ledger], ports: [tcp/5432]}]
          virtual_addresses: [203.0.113.10]
          doors: [10.20.0.11/32]
          networks: [10.30.0.0/16]
"""
    first, second = load(folder, MINIMAL + panorama + member).devices.panos
    assert (first.tags, first.environments[0].mode, first.environments[0].has_rules) == ("observe", "enforce", True)
    assert not second.environments[0].has_rules


def test_an_address_of_services_is_one_environments(folder: Path) -> None:
    """Whoever owns a service of `dev` could else open an address of `prod`."""
    text = MINIMAL.replace("prod:", "dev: {hosts: [.dev], upstreams: [10.0.0.0/8]}\n  prod:", 1)
    (fault,) = faults_of(folder, text + RULES + "        dev: {networks: [10.30.4.0/24]}\n")
    assert "`10.30.4.0/24` of `dev` and `10.30.0.0/16` of `prod` overlap" in str(fault)


def test_a_device_has_its_name_alone(folder: Path) -> None:
    bigip = """\
  bigip:
    - {name: edge, units: [https://192.0.2.10], username: s, password_file: key, members: ["10.0.0.1:1"],
       member_tls: false, environments: {prod: {client_tls: /Common/c, virtual_address: 203.0.113.9}}}
"""
    (fault,) = faults_of(folder, MINIMAL + LEAST + bigip)
    assert "is the name of a BIG-IP, too" in str(fault)


def test_a_firewall_has_one_name_and_one_entry(folder: Path) -> None:
    second = LEAST.partition("panos:\n")[2]
    faults = faults_of(folder, MINIMAL + LEAST + second.replace("edge", "core"))
    assert "is a unit of `edge` and of `core`" in str(faults[0])


def test_virtual_systems_of_one_firewall_are_entries_of_their_own(folder: Path) -> None:
    second = LEAST.partition("panos:\n")[2].replace("edge", "core") + "      vsys: vsys2\n"
    assert len(load(folder, MINIMAL + LEAST + second).devices.panos) == 2
    (fault,) = faults_of(folder, MINIMAL + LEAST + second + "      concurrent: 4\n")
    assert "`edge`, `core` make 6 calls at once to `https://192.0.2.30` together" in str(fault)
    (fault,) = faults_of(folder, MINIMAL + LEAST + second.replace("30]", "30, https://192.0.2.31]"))
    assert "has another peer in `edge`" in str(fault)


def test_a_key_that_others_can_read_is_none(folder: Path) -> None:
    (folder / "key").chmod(0o640)
    (fault,) = faults_of(folder, MINIMAL + LEAST)
    assert "can be read by others than its owner" in str(fault)
    assert "chmod 600" in str(fault)
