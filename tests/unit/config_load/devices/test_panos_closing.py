"""A firewall that closes whole networks: nothing in them that has to stay open."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.certificates import make
from tests.unit.config_load.test_load import MINIMAL, faults_of, load

TEXT = MINIMAL.replace("prod:", "dev: {hosts: [.dev], upstreams: [10.0.0.0/8]}\n  prod:", 1)
CLOSING = """\
devices:
  panos:
    - name: edge
      units: [https://192.0.2.30]
      key_files: [key]
      environments:
        prod:
          back: {}
          doors: [10.20.0.11/32]
          networks: [10.30.0.0/16, "2001:db8:30::/48"]
          virtual_addresses: [203.0.113.10]
          closes: networks
        dev: {networks: [10.40.0.0/16], doors: [10.20.0.12/32]}
"""
OTHER = """\
    - name: branch
      units: ["https://192.0.2.40"]
      key_files: [key]
      environments:
        dev: {networks: [10.41.0.0/16], doors: [10.20.0.13/32], virtual_addresses: [203.0.113.11]}
        prod: {networks: [10.30.7.0/24]}
"""
BIGIP = """\
  bigip:
    - name: big
      units: [https://192.0.2.10]
      username: s
      password_file: key
      members: ["10.20.0.11:8443"]
      member_tls: false
      environments:
        prod: {client_tls: /Common/c, virtual_address: 203.0.113.9, networks: [203.0.113.0/26]}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "access.yaml").write_text("version: 1\n")
    (tmp_path / "key").touch(0o600)
    (tmp_path / "key").write_text("LUFRPT-a-key\n")
    make(tmp_path, "leaf", "fw.localhost")
    return tmp_path


def test_networks_of_services_alone_may_be_closed(folder: Path) -> None:
    """Those of another firewall's same environment are the same services'."""
    edge, branch = load(folder, TEXT + CLOSING + OTHER + BIGIP).devices.panos
    assert {each.environment: each.closed_networks for each in edge.environments} == {
        "dev": (), "prod": ("10.30.0.0/16", "2001:db8:30::/48"),
    }  # fmt: skip
    assert not any(each.closed_networks for each in branch.environments)


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("10.20.0.11/32", "10.30.0.11/32", "`10.30.0.11/32`, a door of `prod`, in `10.30.0.0/16`"),
        ("10.20.0.12/32", "10.30.0.0/30", "`10.30.0.0/30`, a door of `dev`, in `10.30.0.0/16`"),
        ("203.0.113.10", '"2001:db8:30::10"', "`2001:db8:30::10`, a virtual address of `prod`, in `2001:db8:30::/48`"),
        ("https://192.0.2.30", "https://10.30.0.1", "`10.30.0.1`, where `edge` is managed, in"),
        ("https://192.0.2.40", "https://[2001:db8:30::1]:8443", "`2001:db8:30::1`, where `branch` is managed, in"),
        ("https://192.0.2.10", "https://10.30.0.1", "`10.30.0.1`, where `big` is managed, in"),
        ("10.20.0.11:8443", "10.30.0.9:8443", "`10.30.0.9`, a door behind `big`, in"),
        ("203.0.113.9", "10.30.0.9", "`10.30.0.9`, virtual addresses of `prod` on `big`, in"),
        ("203.0.113.0/26", "10.0.0.0/8", "`10.0.0.0/8`, virtual addresses of `prod` on `big`, in"),
        ("10.20.0.13/32", "10.30.0.13/32", "`10.30.0.13/32`, a door of `dev` on `branch`, in `10.30.0.0/16`"),
        ("203.0.113.11", "10.30.0.13", "`10.30.0.13`, a virtual address of `dev` on `branch`, in `10.30.0.0/16`"),
        ("10.41.0.0/16", "10.30.9.0/24", "`10.30.9.0/24`, services of `dev` on `branch`, in"),
    ],
)
def test_a_network_with_what_has_to_stay_open_is_not_closed(
    folder: Path, before: str, after: str, message: str
) -> None:  # fmt: skip
    text = CLOSING + OTHER + BIGIP
    assert before in text
    (fault,) = faults_of(folder, TEXT + text.replace(before, after))
    assert f"`closes: networks` would keep everybody from {message}" in str(fault)
    assert "list networks that hold services alone, or write `closes: addresses`" in str(fault)
    relented = text.replace(before, after).replace("closes: networks", "closes: addresses")
    assert load(folder, TEXT + relented).devices.panos


@pytest.mark.parametrize("address", ["10.30.0.5:8443", "[2001:db8:30::5]:8443"])
def test_where_this_node_listens_stays_open(folder: Path, address: str) -> None:
    (fault,) = faults_of(folder, TEXT.replace("127.0.0.1:8443", address) + CLOSING)
    host = address.removesuffix(":8443").strip("[]")
    assert f"would keep everybody from `{host}`, where this node listens, in `" in str(fault)
    assert load(folder, TEXT.replace("127.0.0.1:8443", "0.0.0.0:8443") + CLOSING).devices.panos


def test_a_door_of_several_firewalls_is_told_once(folder: Path) -> None:
    both = CLOSING + OTHER.replace("10.20.0.13/32", "10.30.0.11/32")
    (fault,) = faults_of(folder, TEXT + both.replace("10.20.0.11/32", "10.30.0.11/32"))
    assert "a door of `prod`, in" in str(fault)


def test_what_back_closes_needs_back(folder: Path) -> None:
    text = CLOSING.replace("          back: {}\n", "")
    (fault,) = faults_of(folder, TEXT + text)
    assert "`closes` says what `back` closes, and there is no `back`" in str(fault)


def test_a_name_is_taken_for_no_address(folder: Path) -> None:
    assert load(folder, TEXT + CLOSING.replace("192.0.2.30", "fw.example")).devices.panos


def test_only_two_things_can_be_closed(folder: Path) -> None:
    (fault,) = faults_of(folder, TEXT + CLOSING.replace("closes: networks", "closes: network"))
    assert "`networks`" in str(fault) or "'networks'" in str(fault), fault
