"""The BIG-IP in front of the lab's door, emulated: its addresses and ports, what both sides are told about each other.

Requests come to virtual servers, one for each environment, on loopback addresses of their own; `*.localhost` leads to
127.0.0.1 alone, so there the emulator goes by the name, as DNS would. It connects to the door from 127.0.0.2, shows a
certificate, and so is the only one whose `X-Forwarded-For` counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from gateway.lab.bigip.prober import SELF_IP
from gateway.lab.child import LOOPBACK
from gateway.lab.folder import LabFolder

DEVICE: Final = "lab"
USER: Final = "stagedoor"
CENTRAL_HOST: Final = "localhost"
VIRTUAL_ADDRESSES: Final = {"prod": "127.0.0.10", "staging": "127.0.0.11", "dev": "127.0.0.12"}
ENDINGS: Final = {"prod": "", "staging": ".staging.localhost", "dev": ".dev.localhost"}
MODES: Final = {"prod": "plan", "staging": "enforce", "dev": "enforce"}
# Names of objects on the device.
APPS: Final = "marlow"
AUTHORITY: Final = "marlow-ca"
IDENTITY: Final = "bigip"

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Ports:
    """All on loopback. ``front``: the virtual servers'; ``direct``: the door's for people who go round the BIG-IP;
    ``member`` and ``health``: the door's for the BIG-IP; ``units``: where the two units are managed; ``firewall``:
    where the firewall is."""

    front: int
    direct: int
    member: int
    health: int
    units: tuple[int, int]
    firewall: int


def unit_url(port: int) -> str:
    return f"https://{LOOPBACK}:{port}"


def emulator_arguments(folder: LabFolder, ports: Ports) -> list[str]:
    """For `python -m gateway.lab.bigip`."""
    certificates = folder.certificates
    words = ["--port", str(ports.units[0]), "--peer-port", str(ports.units[1]), "--automatic"]
    words += ["--certs", str(certificates), "--state", str(folder.device_state)]
    words += ["--certificate", f"{APPS}={certificates / 'door.pem'},{certificates / 'door.key'}"]
    words += ["--certificate", f"{IDENTITY}={certificates / 'bigip.pem'},{certificates / 'bigip.key'}"]
    words += ["--authority", f"{AUTHORITY}={certificates / 'ca.pem'}", "--names-at", str(ports.front)]
    for environment, address in VIRTUAL_ADDRESSES.items():
        words += ["--address", f"{address}:{ports.front}"]
        words += ["--name", f"{ENDINGS[environment]}={address}:{ports.front}"]
    return words


def listeners(folder: LabFolder, ports: Ports) -> list[Document]:
    """The door's: for the BIG-IP, for its monitors, and one past it."""
    tls = {"certificate": str(folder.certificates / "door.pem"), "key": str(folder.certificates / "door.key")}
    trusted = [f"{SELF_IP[0]}/32"]
    return [
        {
            "name": "pool",
            "address": f"{LOOPBACK}:{ports.member}",
            "tls": {**tls, "client_ca": str(folder.certificates / "ca.pem")},
            "bigip": True,
            "trusted_peers": trusted,
        },
        {"name": "health", "address": f"{LOOPBACK}:{ports.health}", "health_only": True, "trusted_peers": trusted},
        {"name": "direct", "address": f"{LOOPBACK}:{ports.direct}", "tls": tls},
    ]


def devices(folder: LabFolder, ports: Ports) -> Document:
    """The key `devices` of the settings."""
    return {
        "bigip": [
            {
                "name": DEVICE,
                "units": [unit_url(port) for port in ports.units],
                "username": USER,
                "password_file": str(folder.device_password),
                "ca": str(folder.certificates / "ca.pem"),
                "members": [f"{LOOPBACK}:{ports.member}"],
                "health_port": ports.health,
                "environments": {
                    environment: {
                        "mode": MODES[environment],
                        "virtual_address": address,
                        "port": ports.front,
                        "client_tls": f"/Common/{APPS}",
                        "trust_ca": f"/Common/{AUTHORITY}.crt",
                        "server_name": CENTRAL_HOST,
                        "client_certificate": f"/Common/{IDENTITY}.crt",
                    }
                    for environment, address in VIRTUAL_ADDRESSES.items()
                },
            }
        ]
    }
