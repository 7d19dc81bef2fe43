"""The ground the lab stands on: free ports, certificates for the catalog's hosts, and a `stagedoor.yaml`.

Everything is checked before anything is started, and each obstacle is one sentence with the way out. The settings
file is an ordinary one: `stagedoor explain --config .lab/stagedoor.yaml …` reads it like any other.
"""

from __future__ import annotations

import re
import secrets
import shutil
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import yaml

from gateway.lab import firewall, front
from gateway.lab.bigip.unit import USERS
from gateway.lab.child import LOOPBACK
from gateway.lab.directory import SUBJECT_KEY, read_directory
from gateway.lab.folder import LabError, LabFacts, LabFolder, write_private
from gateway.lab.front import CENTRAL_HOST, VIRTUAL_ADDRESSES, Ports
from gateway.lab.provider import AUDIENCE, COMMAND_LINE_CLIENT, ISSUER_NAME, OWN_CLIENT, client_secret
from gateway.lab.sign_ins import MFA
from gateway.lab.upstreams import ENDPOINTS
from policy.builtin import API_AUDIENCE

FIRST_UPSTREAM_PORT: Final = 18101  # as written in the example catalog
# Preferred beside the first upstream's, so that a token outlives a restart of the lab, and of one on other ports, too.
PROVIDER_BESIDE: Final = -1
ADMIN_BESIDE: Final = 8
MEMBER_BESIDE: Final = 9
HEALTH_BESIDE: Final = 10
UNITS_BESIDE: Final = (11, 12)
FIREWALL_BESIDE: Final = 13
DIRECT_BESIDE: Final = 1  # the virtual servers' port
LAST_PORT: Final = 65535
ADMINISTRATORS: Final = "group:default/operations"
ENVIRONMENTS: Final = {"dev": [".dev.localhost"], "staging": [".staging.localhost"], "prod": [".localhost"]}


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the command line asked for."""

    port: int
    folder: Path
    catalog: Path
    access_policy: Path
    upstream_port: int


@dataclass(frozen=True, slots=True)
class Ground:
    """What is settled: the facts others may read, and the ports only the parent needs."""

    folder: LabFolder
    facts: LabFacts
    catalog: Path
    provider_port: int
    upstream_port: int
    ports: Ports


def lay(wishes: Wishes) -> Ground:
    """Check and write everything the lab needs. Raises `LabError`."""
    for needed in (wishes.catalog, wishes.access_policy):
        if not needed.exists():
            raise LabError(f"`{needed}` does not exist: run the lab in the project's folder, or name another one")
    _require_free(wishes)
    folder = LabFolder(wishes.folder)
    folder.prepare()
    catalog = _catalog(wishes, folder)
    free = FreePorts({wishes.port, *_upstream_ports(wishes.upstream_port)})
    provider_port = free.take(wishes.upstream_port + PROVIDER_BESIDE)
    admin_port = free.take(wishes.upstream_port + ADMIN_BESIDE)
    ports = _ports(wishes, free)
    facts = LabFacts(
        port=wishes.port,
        provider=f"http://{LOOPBACK}:{provider_port}",
        admin=f"{LOOPBACK}:{admin_port}",
        catalog=str(catalog),
        access_policy=str(wishes.access_policy),
        command=own_command(),
        ca=_as_typed(folder.certificates / "ca.pem"),
        direct=ports.direct,
        device=front.unit_url(ports.units[0]),
        firewall=firewall.url(ports.firewall),
        upstreams=wishes.upstream_port,
    )
    _certificates(folder, catalog)
    write_private(folder.client_secret, client_secret(folder.secret(), OWN_CLIENT))
    write_private(folder.device_password, USERS[front.USER])
    for key in (folder.firewall_rules_key, folder.firewall_tags_key):
        write_private(key, secrets.token_urlsafe(32))
    folder.settings_file.write_text(_settings(folder, facts, ports, catalog, wishes.access_policy))
    folder.write_facts(facts)
    return Ground(folder, facts, catalog, provider_port, wishes.upstream_port, ports)


def own_command() -> str:
    """How this user starts `stagedoor` in this folder."""
    started = Path(sys.argv[0])
    if started.name != "stagedoor":
        return f"{_as_typed(Path(sys.executable))} -m gateway.cli"
    return "stagedoor" if shutil.which("stagedoor") == str(started) else _as_typed(started)


def _as_typed(path: Path) -> str:
    """Relative to where the user stands when it lies below."""
    absolute = path.absolute()
    return str(absolute.relative_to(Path.cwd())) if absolute.is_relative_to(Path.cwd()) else str(absolute)


# === ports ===


def _require_free(wishes: Wishes) -> None:
    for address in (LOOPBACK, *VIRTUAL_ADDRESSES.values()):
        if _is_free(wishes.port, address):
            continue
        raise LabError(
            f"port {wishes.port} on {address} is taken by another program: stop it (`ss -ltnp` names it), "
            f"or take another port with `make run PORT={9443 if wishes.port != 9443 else 10443}`"
        )
    for port in _upstream_ports(wishes.upstream_port):
        if not _is_free(port):
            raise LabError(
                f"port {port} on {LOOPBACK}, where an example application would listen, is taken: stop that "
                "program (`ss -ltnp` names it), or choose three other ports with `make run UPSTREAMS=28101`"
            )


def _upstream_ports(first: int) -> range:
    return range(first, first + len(ENDPOINTS))


def _is_free(port: int, address: str = LOOPBACK) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError:
            return False
    return True


class FreePorts:
    """``taken``: by parts of the lab that do not listen yet."""

    def __init__(self, taken: set[int]) -> None:
        self._taken = taken

    def take(self, preferred: int) -> int:
        """That one, or another that is free."""
        port = preferred
        while port in self._taken or port > LAST_PORT or not _is_free(port):
            with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
                probe.bind((LOOPBACK, 0))
                port = int(probe.getsockname()[1])
        self._taken.add(port)
        return port


def _ports(wishes: Wishes, free: FreePorts) -> Ports:
    first = wishes.upstream_port
    member, health = free.take(first + MEMBER_BESIDE), free.take(first + HEALTH_BESIDE)
    unit, peer = (free.take(first + beside) for beside in UNITS_BESIDE)
    direct, wall = free.take(wishes.port + DIRECT_BESIDE), free.take(first + FIREWALL_BESIDE)
    return Ports(wishes.port, direct, member, health, (unit, peer), wall)


# === files ===


def _catalog(wishes: Wishes, folder: LabFolder) -> Path:
    """The catalog as it is, or a copy whose upstreams are at the ports asked for."""
    if wishes.upstream_port == FIRST_UPSTREAM_PORT:
        return wishes.catalog.absolute()
    shutil.rmtree(folder.catalog_copy, ignore_errors=True)
    folder.catalog_copy.mkdir(parents=True)
    shift = wishes.upstream_port - FIRST_UPSTREAM_PORT
    known = "|".join(str(port) for port in _upstream_ports(FIRST_UPSTREAM_PORT))
    for path in sorted(wishes.catalog.glob("*.yaml")):
        text = re.sub(
            rf"(?<={re.escape(LOOPBACK)}:)({known})\b", lambda port: str(int(port[0]) + shift), path.read_text()
        )
        (folder.catalog_copy / path.name).write_text(text)
    return folder.catalog_copy


def _certificates(folder: LabFolder, catalog: Path) -> None:
    """A development CA and a leaf that names every host of the catalog, made by the project's own script."""
    script = Path(__file__).parents[2] / "certs" / "make.py"
    if not script.exists():
        raise LabError(f"`{script}` is missing: run the lab from a checkout of the project")
    names = (CENTRAL_HOST, *read_directory(catalog).hosts)
    device = (CENTRAL_HOST, LOOPBACK)
    for leaf, held in (("door", (*names, LOOPBACK)), ("bigip", device), ("panos", device)):
        made = subprocess.run(
            [sys.executable, str(script), "--out", str(folder.certificates), "--leaf", leaf, *held],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if made.returncode != 0:
            raise LabError(f"certificates could not be made: {made.stderr.strip() or made.stdout.strip()}")


def _settings(folder: LabFolder, facts: LabFacts, ports: Ports, catalog: Path, access_policy: Path) -> str:
    environments = {name: {"hosts": hosts, "upstreams": [f"{LOOPBACK}/32"]} for name, hosts in ENVIRONMENTS.items()}
    environments[firewall.ENVIRONMENT]["upstreams"].append(str(firewall.SERVICES))
    document = {
        "listeners": front.listeners(folder, ports),
        "admin": {"address": facts.admin},
        "central_host": CENTRAL_HOST,
        "issuers": [
            {
                "name": ISSUER_NAME,
                "issuer": facts.provider,
                "audiences": [AUDIENCE, API_AUDIENCE],
                "algorithms": ["RS256", "ES256"],
                "match": {"sub": f"annotations.{SUBJECT_KEY}"},
                "workload_when": {"gty": "client-credentials"},
                "client": {
                    "id": OWN_CLIENT,
                    "secret_file": str(folder.client_secret),
                    "scopes": ["openid", "profile", "email", "groups", "offline_access"],
                    "mfa_acr_values": [MFA],
                },
                "command_line": {
                    "client_id": COMMAND_LINE_CLIENT,
                    "scopes": ["openid", "profile", "email", "offline_access"],
                },
            }
        ],
        "catalog": {"files": [str(catalog)]},
        "environments": environments,
        "access_policy": str(access_policy.absolute()),
        "administrators": [ADMINISTRATORS],
        "timeouts": {"drain": {"announce": "0s", "finish": "1s"}},
        "state": {"folder": str(folder.state)},
        "devices": {**front.devices(folder, ports), "panos": [firewall.settings(folder, ports.firewall)]},
        "log": {"format": "json"},
    }
    head = "# Written by `stagedoor lab run`; changes are lost at its next start.\n"
    return head + yaml.safe_dump(document, sort_keys=False, default_flow_style=None, width=110)
