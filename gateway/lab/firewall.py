"""The firewall round the lab's production, emulated: an imagined network, and what both sides are told of each other.

Everything of the lab listens on loopback, where no firewall stands. So it has a plan of addresses of its own, out of
the networks that are kept for documentation (RFC 5737): people sit in one, the virtual address and the doors in
another, the services in a third, where the catalog's `addresses` say. Whether a packet would pass is asked of the
emulator; no packet of the lab goes through it.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import Any, Final

from gateway.lab.child import LOOPBACK
from gateway.lab.folder import LabFacts, LabFolder, write_private

DEVICE: Final = "firewall"
ENVIRONMENT: Final = "prod"
MODE: Final = "plan"
RULES_ADMIN: Final = "stagedoor"
TAGS_ADMIN: Final = "stagedoor-tags"
REALM: Final = "marlow"  # of names in User-ID, `marlow\jane`
PEOPLE: Final = ipaddress.ip_network("203.0.113.0/24")
MEETING: Final = ipaddress.ip_network("198.51.100.0/24")
SERVICES: Final = ipaddress.ip_network("192.0.2.0/24")
ZONES: Final = {PEOPLE: "clients", MEETING: "dmz", SERVICES: "services"}
VIRTUAL_ADDRESS: Final = "198.51.100.10"
DOOR: Final = "198.51.100.21"
FIRST_SEAT: Final = 10
DATABASE: Final = ("component:default/ledger", "192.0.2.21", 5432)  # that people reach without the door
# Rules of the firewall's own administrators, in this order: name, from, to, service, action, disabled. The last one
# lets people round the door, for as long as nothing of ours stands between the anchors.
RULES: Final = (
    ("time-and-names", "any", "dmz", "time-names", "allow", False),
    ("sd-begin", "any", "any", "any", "deny", True),
    ("sd-end", "any", "any", "any", "deny", True),
    ("old-reporting", "clients", "services", "old-reports", "allow", False),
)

Document = dict[str, Any]


def seats(people: Iterable[str]) -> dict[str, str]:
    """Address → name of each person, in the order of names. Whoever finds no seat has none."""
    return {str(PEOPLE[FIRST_SEAT + at]): name for at, name in enumerate(sorted(people)) if FIRST_SEAT + at < 255}


def user_name(person: str) -> str:
    return f"{REALM}\\{person}"


def zone_of(address: str) -> str:
    """`untrust` for whatever lies elsewhere. Raises `ValueError` for what is no address."""
    found = ipaddress.ip_address(address)
    return next((zone for network, zone in ZONES.items() if found in network), "untrust")


def url(port: int) -> str:
    return f"https://{LOOPBACK}:{port}"


def furnish(folder: LabFolder, facts: LabFacts, people: Iterable[str]) -> list[str]:
    """Writes what the device has from the beginning; the arguments for `python -m gateway.lab.panos`."""
    write_private(folder.firewall_configuration, _configuration(facts.upstreams))
    words = ["--port", facts.firewall.rpartition(":")[2], "--certs", str(folder.certificates)]
    words += ["--configuration", str(folder.firewall_configuration)]
    for admin, file in ((RULES_ADMIN, folder.firewall_rules_key), (TAGS_ADMIN, folder.firewall_tags_key)):
        words += ["--key", f"{admin}={file}"]
    for address, person in seats(people).items():
        words += ["--person", f"{address}={user_name(person)}"]
    return words


def settings(folder: LabFolder, port: int) -> Document:
    """One entry of `devices.panos`."""
    return {
        "name": DEVICE,
        "units": [url(port)],
        "key_files": [str(folder.firewall_tags_key)],
        "rules_key_files": [str(folder.firewall_rules_key)],
        "ca": str(folder.certificates / "ca.pem"),
        "tags": "enforce",
        "user_name": REALM + "\\{metadata.name}",
        "environments": {
            ENVIRONMENT: {
                "mode": MODE,
                "front": {"from_zones": ["clients"], "to_zones": ["dmz"]},
                "back": {"from_zones": ["dmz"], "to_zones": ["services"]},
                "direct": {"from_zones": ["clients"], "to_zones": ["services"]},
                "directs": [{"services": [DATABASE[0]], "ports": [f"tcp/{DATABASE[2]}"]}],
                "virtual_addresses": [VIRTUAL_ADDRESS],
                "doors": [DOOR],
                "networks": [str(SERVICES)],
            }
        },
    }


def _configuration(first_upstream: int) -> str:
    zones = "".join(
        f'<entry name="{zone}"><network><layer3/></network></entry>' for zone in dict.fromkeys(ZONES.values())
    )
    services = _service("time-names", "udp", "53,123") + _service(
        "old-reports", "tcp", f"{first_upstream}-{first_upstream + 2}"
    )
    rules = "".join(_rule(*rule) for rule in RULES)
    vsys = f"<zone>{zones}</zone><service>{services}</service>"
    vsys += f"<rulebase><security><rules>{rules}</rules></security></rulebase>"
    inside = f'<entry name="localhost.localdomain"><vsys><entry name="vsys1">{vsys}</entry></vsys></entry>'
    return f"<config><devices>{inside}</devices></config>\n"


def _service(name: str, protocol: str, ports: str) -> str:
    return f'<entry name="{name}"><protocol><{protocol}><port>{ports}</port></{protocol}></protocol></entry>'


def _rule(name: str, come: str, go: str, service: str, action: str, disabled: bool) -> str:
    members = {"from": come, "to": go, "source": "any", "destination": "any", "application": "any", "service": service}
    inside = "".join(f"<{field}><member>{value}</member></{field}>" for field, value in members.items())
    state = "<disabled>yes</disabled>" if disabled else ""
    return f'<entry name="{name}">{inside}<action>{action}</action>{state}</entry>'
