"""Firewalls in the configuration: everything can be said, and what could not work is a fault with its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway import config
from gateway.config_devices import Devices, Panos
from tests.support.certificates import make
from tests.unit.test_config_load import MINIMAL, faults_of, load

LEAST = """\
devices:
  panos:
    - name: edge
      units: [https://192.0.2.30]
      key_files: [key]
"""
PIN = "AB:" * 31 + "cd"


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


def test_a_firewall_has_one_name_and_one_entry(folder: Path) -> None:
    second = LEAST.partition("panos:\n")[2]
    faults = faults_of(folder, MINIMAL + LEAST + second.replace("edge", "core"))
    assert "is a unit of `edge` and of `core`" in str(faults[0])


def test_a_key_that_others_can_read_is_none(folder: Path) -> None:
    (folder / "key").chmod(0o640)
    (fault,) = faults_of(folder, MINIMAL + LEAST)
    assert "can be read by others than its owner" in str(fault)
    assert "chmod 600" in str(fault)
