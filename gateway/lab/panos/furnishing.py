"""What a firewall holds before anybody comes to it: configuration that is running, keys that were made, people on it.

Configuration is merged into that of the box, held to the same checks as what a client writes, and committed. Who is
mapped stays mapped until the next reboot, which is when a device has to learn it anew.
"""

from __future__ import annotations

from pathlib import Path
from xml.etree.ElementTree import tostring

from gateway.lab.panos.answers import Declined, read
from gateway.lab.panos.device import Device
from gateway.lab.panos.tags import address_key
from gateway.lab.panos.tree import Change
from gateway.lab.panos.userid import Mapping

ADMIN = "admin"


class BadFurniture(ValueError):
    """The text is what is wrong with it."""


def add_configuration(device: Device, file: Path) -> None:
    """``file`` holds a `<config>`. Raises `OSError` and `BadFurniture`."""
    try:
        root = read(file.read_bytes())
        if root.tag != "config":
            raise BadFurniture(f"begins with <{root.tag}> and not with <config>")
        parts = [
            Change("set", f"/config/{part.tag}", "".join(tostring(child, "unicode") for child in part)) for part in root
        ]
        configuration = device.configuration
        configuration.write(ADMIN, parts)
        staged = configuration.staged()
        before = configuration.running
        configuration.land(staged, configuration.built(staged))
        device.committed(ADMIN, staged.entries, before)
    except Declined as refused:
        raise BadFurniture("; ".join(refused.lines)) from None


def add_key(device: Device, admin: str, file: Path) -> None:
    """The file's content is a key of the administrator's. Raises `OSError` and `BadFurniture`."""
    if admin not in device.admins.by_name:
        raise BadFurniture(f"no administrator is called {admin}; there are {', '.join(device.admins.by_name)}")
    device.admins.admit(admin, file.read_text().strip())


def add_person(device: Device, address: str, user: str) -> None:
    """Whoever sits at the address, in every vsys. Raises `ValueError`."""
    key, (low, high) = address_key(address)
    if low != high:
        raise BadFurniture(f"{address} is not one address")
    for identities in device.identities.values():
        identities.mappings[key] = Mapping(user.lower(), 0.0)
