"""Promises about the lab's firewall: a device takes what it is given; people and zones are where they should be."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.lab import firewall
from gateway.lab.folder import LabFacts, LabFolder
from gateway.lab.panos import furnishing
from gateway.lab.panos.device import Device
from gateway.lab.panos.oracle import Packet, rules_in_order

FACTS = LabFacts(
    8443, "http://127.0.0.1:1", "127.0.0.1:2", "catalog", "access", "stagedoor", "ca.pem",
    firewall="https://127.0.0.1:18114", upstreams=18101,
)  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> LabFolder:
    made = LabFolder(tmp_path / ".lab")
    made.prepare()
    return made


def option(words: list[str], name: str) -> list[str]:
    return [value for word, value in zip(words, words[1:], strict=False) if word == name]


def furnished(words: list[str]) -> Device:
    device = Device()
    for file in option(words, "--configuration"):
        furnishing.add_configuration(device, Path(file))
    for pair in option(words, "--person"):
        furnishing.add_person(device, *pair.split("="))
    return device


def test_the_anchors_stand_in_a_row_and_every_zone_of_the_settings_exists(folder: LabFolder) -> None:
    device = furnished(firewall.furnish(folder, FACTS, ["jane"]))
    rules = [rule.get("name") for _, rule in rules_in_order(device.configuration.running, "vsys1")]
    assert rules[rules.index("sd-begin") + 1] == "sd-end"
    zones = {zone.get("name") for zone in device.configuration.running.iter("entry")}
    environment = firewall.settings(folder, 18114)["environments"]["prod"]
    for leg in ("front", "back", "direct"):
        assert zones >= {*environment[leg]["from_zones"], *environment[leg]["to_zones"]}


def test_people_sit_in_the_order_of_their_names(folder: LabFolder) -> None:
    device = furnished(firewall.furnish(folder, FACTS, ["omar", "jane"]))
    assert device.identities_of("").user_at("203.0.113.10") == r"marlow\jane"
    assert device.identities_of("").user_at("203.0.113.11") == r"marlow\omar"


def test_the_way_round_the_door_is_open_until_somebody_closes_it(folder: LabFolder) -> None:
    device = furnished(firewall.furnish(folder, FACTS, ["jane"]))
    packet = Packet("203.0.113.10", "192.0.2.11", 18101, from_zone="clients", to_zone="services")
    assert device.evaluate(packet).rule == "old-reporting"


def test_more_people_than_seats_is_no_fault() -> None:
    seats = firewall.seats(f"p{number:04}" for number in range(400))
    assert len(seats) == 255 - firewall.FIRST_SEAT
    assert "203.0.113.255" not in seats


@pytest.mark.parametrize(
    ("address", "zone"),
    [("203.0.113.9", "clients"), ("198.51.100.10", "dmz"), ("192.0.2.1", "services"), ("::1", "untrust")],
)
def test_an_address_lies_in_the_zone_of_its_network(address: str, zone: str) -> None:
    assert firewall.zone_of(address) == zone


def test_what_cannot_be_furnished_is_said(tmp_path: Path) -> None:
    file = tmp_path / "configuration.xml"
    for text, says in (
        ('<config><shared><tag><entry name="it\'s"/></tag></shared></config>', "invalid name"),
        ("<response/>", "not with <config>"),
        ("<config>", "malformed"),
    ):
        file.write_text(text)
        with pytest.raises(furnishing.BadFurniture, match=says):
            furnishing.add_configuration(Device(), file)
    with pytest.raises(furnishing.BadFurniture, match="stagedoor-tags"):
        furnishing.add_key(Device(), "nobody", file)
    with pytest.raises(ValueError, match="not one address"):
        furnishing.add_person(Device(), "192.0.2.0/24", "jane")
