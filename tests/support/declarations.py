"""Golden files of BIG-IP declarations: a device, an environment and places in short form, ``----------``, the AS3
declaration that comes of them.

The given part is one YAML document: ``device`` and ``environment`` are fields of `gateway.config.devices`, beside
usual ones; ``places`` are lines `HOST/PATH ENTITY OWNER VERSION [ADDRESS]`, ``assigned`` addresses by name of a
component; without, they are those that a node gives which remembers nothing. AS3's schema and F5's examples are read
where they are and are no part of this project: what needs them is skipped without.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from gateway.config.devices import Bigip, BigipEnvironment
from gateway.documents import read_text
from gateway.engine.network.bigip.as3.assignment import Assignment
from gateway.engine.network.bigip.as3.declaration import declaration_of
from gateway.engine.network.desired import Desired, Place

FOLDER = Path(__file__).parents[1] / "golden" / "bigip"
LINE = "----------\n"
AS3 = Path(os.environ.get("AS3_DATA", Path(__file__).parents[3] / "shared" / "data" / "as3"))
VERSION = "abcdefghijkl"

needs_as3 = pytest.mark.skipif(
    not (AS3 / "as3-schema.json").exists(), reason=f"AS3's schema is not at {AS3}: set AS3_DATA"
)


def environment(**changes: Any) -> BigipEnvironment:
    usual = {
        "environment": "prod", "virtual_address": "203.0.113.10", "client_tls": "/Common/clients",
        "trust_ca": "/Common/doors.crt", "server_name": "door.example.com", "networks": ("10.200.0.0/24",),
    }  # fmt: skip
    return BigipEnvironment(**{**usual, **{key: _frozen(value) for key, value in changes.items()}})


def device(*environments: BigipEnvironment, **changes: Any) -> Bigip:
    usual = {
        "name": "dc1", "units": ("https://192.0.2.10",), "username": "stagedoor", "password_file": "/secret",
        "members": ("192.0.2.21:8443", "192.0.2.22:8443"),
    }  # fmt: skip
    made: dict[str, Any] = {**usual, **{key: _frozen(value) for key, value in changes.items()}}
    return Bigip(**made, environments=environments)


def place(name: str, **changes: Any) -> Place:
    usual = {
        "entity": f"component:default/{name}", "title": name, "owner": "group:default/team", "system": "",
        "domain": "", "host": f"{name}.example.com", "path": "/", "version": "000000000001",
    }  # fmt: skip
    return Place(**{**usual, **changes})


def desired(*places: Place, version: str = VERSION, name: str = "prod") -> Desired:
    ordered = sorted(places, key=lambda each: (each.host, each.path, each.entity))
    return Desired(name, version, tuple(ordered))


def addresses_of(wanted: Desired, at: BigipEnvironment) -> Mapping[str, str]:
    """The addresses that components get of a node that remembers nothing."""
    return Assignment("/nowhere").assign(device(at), at, wanted, 0, keep=False)


@cache
def as3_schema() -> jsonschema_rs.Validator:
    """AS3's schema of a single declaration."""
    schema = json.loads((AS3 / "as3-schema.json").read_bytes())
    form = {"$schema": schema["$schema"], "$ref": "#/definitions/ADC", "definitions": schema["definitions"]}
    return jsonschema_rs.validator_for(form)


def made_of(given: str) -> dict[str, Any]:
    """The declaration of a golden file's given part, without the number of this release."""
    (document,), faults = read_text(given.encode(), "case.yaml")
    assert not faults, faults
    said: Any = document.value
    at = environment(**said.get("environment", {}))
    wanted = desired(*(_place_of(line) for line in said.get("places", ())), name=at.environment)
    assigned = {f"component:default/{name}": address for name, address in said.get("assigned", {}).items()}
    on = device(at, **said.get("device", {}))
    declaration = declaration_of(wanted, on, at, assigned or addresses_of(wanted, at))
    declaration["controls"]["userAgent"] = "stagedoor/VERSION"
    return declaration


def rendered(given: str) -> str:
    return json.dumps(made_of(given), indent=1) + "\n"


def _place_of(line: str) -> Place:
    where, entity, owner, version, *address = line.split()
    host, slash, path = where.partition("/")
    entity = f"component:default/{entity}"
    owner = f"group:default/{owner}" if owner != "-" else ""
    return place("x", host=host, path=slash + path or "/", entity=entity, owner=owner, version=version,
                 address=address[0] if address else "")  # fmt: skip


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def rewrite() -> None:
    """Writes what comes out now into every golden file. The difference is then read like code."""
    for path in sorted(FOLDER.glob("*.case")):
        given = path.read_text().partition(LINE)[0]
        path.write_text(given + LINE + rendered(given))


if __name__ == "__main__":
    rewrite()
