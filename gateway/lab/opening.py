"""The lab opens when a request would be answered: the node is ready, the device is in step, its virtual servers pass.

What waits for production when the lab starts, the lab applies: on the first day everything. From then on plans wait for
a person, as `mode: plan` says. The firewall is written while people already look: nothing of the lab goes through it.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
import time
from typing import Any, Final

from gateway.engine.network.answers.requests import ANSWER
from gateway.errors import StagedoorError
from gateway.lab import firewall
from gateway.lab.folder import LabFolder
from gateway.lab.front import CENTRAL_HOST, DEVICE, MODES, VIRTUAL_ADDRESSES, Ports
from gateway.node.asking import ENGINE, ask

HEALTH: Final = "/.stagedoor/bigip/health"
HEALTHY: Final = b"stagedoor-state: up"
ASKED_S: Final = 10.0
APPLIED_S: Final = 20.0
FIREWALL_S: Final = 60.0
TURN_S: Final = 0.5


def open_up(folder: LabFolder, ports: Ports) -> str:
    """Returns "" when all virtual servers pass requests, else what is missing; to be called again then."""
    missing = [name for name, address in VIRTUAL_ADDRESSES.items() if not answers(folder, address, ports.front)]
    for environment in missing:
        if MODES[environment] == "plan":
            _apply_what_waits(folder, DEVICE, environment)
    return f"no answer yet through the virtual servers of {', '.join(missing)}" if missing else ""


def write_firewall(folder: LabFolder, ended: threading.Event) -> None:
    """Until its first plan is applied, or the lab ends. One that cannot be is left to a person."""
    until = time.monotonic() + FIREWALL_S
    while not _apply_what_waits(folder, firewall.DEVICE, firewall.ENVIRONMENT) and time.monotonic() < until:
        if ended.wait(TURN_S):
            return


def answers(folder: LabFolder, address: str, port: int) -> bool:
    """Whether a door answers through the virtual server, over TLS that holds."""
    try:
        context = ssl.create_default_context(cafile=str(folder.certificates / "ca.pem"))
        with socket.create_connection((address, port), timeout=2) as plain:
            connection = http.client.HTTPConnection(CENTRAL_HOST)
            with context.wrap_socket(plain, server_hostname=CENTRAL_HOST) as connection.sock:
                connection.request("GET", HEALTH)
                return HEALTHY in connection.getresponse().read()
    except (OSError, http.client.HTTPException):
        return False


def _apply_what_waits(folder: LabFolder, device: str, environment: str) -> bool:
    """Whether it was applied. Whatever stands against it now may not at the next try."""
    try:
        asked: dict[str, Any] = {"device": device, "environment": environment}
        said = ask(folder.state, ENGINE, {"t": "device_plan", **asked}, ANSWER, within_s=ASKED_S)
        if said.get("fault") or not said["plan"]["steps"]:
            return False
        wish = {"t": "device_apply", "plan": said["plan"], "approve_removals": True, "ticket": ""}
        return not ask(folder.state, ENGINE, wish, ANSWER, within_s=APPLIED_S).get("fault")
    except StagedoorError:
        return False
