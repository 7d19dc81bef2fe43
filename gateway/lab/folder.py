"""The folder `.lab/`: everything the lab writes on this machine, and nothing outside it.

One value per path, so that no other module of the lab spells a file name. `facts.json` tells the lab's command
line (`stagedoor lab token`) and its start page what the running lab chose: ports, addresses, the catalog's folder.
"""

from __future__ import annotations

import json
import os
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path

from gateway.errors import StagedoorError


class LabError(StagedoorError):
    """Something on this machine keeps the lab from working; the text says what to do."""


@dataclass(frozen=True, slots=True)
class LabFacts:
    """What a running lab chose."""

    port: int  # of the virtual servers in front
    provider: str  # the issuer's address
    admin: str  # address of the admin listener
    catalog: str  # folder of the catalog's files
    access_policy: str
    command: str  # how this user starts `stagedoor`
    ca: str  # certificate authority, as the user would type it
    direct: int = 0  # port of the door itself
    device: str = ""  # address where the active unit of the emulated BIG-IP is managed at first
    firewall: str = ""  # address where the emulated firewall is managed
    upstreams: int = 0  # first port of the example applications

    def origin(self, host: str) -> str:
        return f"https://{host}" if self.port == 443 else f"https://{host}:{self.port}"


class LabFolder:
    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self.certificates = self.root / "certs"
        self.state = self.root / "state"
        self.logs = self.root / "logs"
        self.catalog_copy = self.root / "catalog"
        self.settings_file = self.root / "stagedoor.yaml"
        self.signing_keys = self.root / "keys" / "provider.json"
        self.client_secret = self.root / "keys" / "door.secret"
        self.device_password = self.root / "keys" / "bigip.password"
        self.device_state = self.root / "bigip" / "saved.json"
        self.firewall_rules_key = self.root / "keys" / "firewall-rules.key"
        self.firewall_tags_key = self.root / "keys" / "firewall-tags.key"
        self.firewall_configuration = self.root / "panos" / "configuration.xml"
        self._secret = self.root / "keys" / "provider.secret"
        self._facts = self.root / "facts.json"

    def prepare(self) -> None:
        for folder in (self.root, self.state, self.logs, self.certificates, self.signing_keys.parent,
                       self.device_state.parent):  # fmt: skip
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def secret(self) -> str:
        """The secret of the provider's `/admin` endpoints, made at first use."""
        if not self._secret.exists():
            write_private(self._secret, secrets.token_urlsafe(32))
        return self._secret.read_text()

    def write_facts(self, facts: LabFacts) -> None:
        write_private(self._facts, json.dumps(asdict(facts), indent=1))

    def facts(self) -> LabFacts:
        try:
            return LabFacts(**json.loads(self._facts.read_text()))
        except (OSError, ValueError, TypeError) as error:
            raise LabError("no lab has run here yet: start it with `make run` and try again") from error


def write_private(path: Path, text: str) -> None:
    """Write a file only its owner reads, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(f".{os.getpid()}.new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    fresh.replace(path)
