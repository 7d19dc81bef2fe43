"""The schema of `stagedoor.yaml`: it takes what the loader takes, refuses what the loader refuses key by key, and tells
an editor about every key."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from gateway import config, config_load
from gateway.config_load.schema import configuration_schema
from gateway.documents import read_text
from tests.support.node import ROOT
from tests.support.whole_node import CONFIG

SCHEMA = configuration_schema()
VALIDATOR = jsonschema_rs.Draft202012Validator(SCHEMA)
MINIMAL = """\
listeners: [{name: main, address: "127.0.0.1:8443"}]
environments: {prod: {hosts: [.example.com], upstreams: [10.0.0.0/8]}}
catalog: {files: [catalog]}
access_policy: access.yaml
state: {folder: state}
"""
FULL = """\
issuers:
  - name: corp
    preset: okta
    issuer: https://corp.okta.example/oauth2/default
    audiences: [api]
    algorithms: [RS256, EdDSA]
    match: {uid: annotations.okta.com/id, email: {field: spec.profile.email, domains: [example.com]}}
    groups: {claim: groups, match: {groups: metadata.name}}
    membership: both
    workload_when: {sub: "{client}"}
    clients: ours
  - {name: other, preset: keycloak, issuer: "http://localhost:1/x", audiences: [a], groups: {claim: g, match: a.b}}
workers: 3
central_host: Door.Example.COM
admin: {address: "[::1]:9440"}
administrators: [group:default/ops]
limits: {head: 16KiB, connections: 5, body: 1GiB}
timeouts: {connect: 250ms, idle: 1.5h, drain: {finish: 1d, announce: 0s}}
audit: {sync: batch, folder: audit}
log: {format: text}
devices:
  bigip:
    - name: dc1
      units: ["https://BigIP.example:8443/"]
      username: stagedoor
      password_file: secrets/bigip
      device_group: /Common/pair
      members: ["10.20.0.11:9443", "[2001:db8::1]:9443"]
      health_port: 8081
      removed_share: 1
      environments:
        prod: {virtual_address: "2001:DB8::10", networks: [10.200.0.0/24, 10.9.9.9], client_tls: /Common/apps/clients,
               trust_ca: /Common/ca.crt, server_name: Door.example.com, mode: observe, access_profile: /Common/people,
               windows: ["mon 00:00-24:00", "sat-sun 22:00-04:00"], required_claims: [groups], ticket: true}
  panos:
    - name: edge
      units: ["https://fw1.example", "https://fw2.example:8443/"]
      key_files: [secrets/tags, secrets/tags-next]
      rules_key_files: [secrets/rules]
      pins: ["AB:CD:AB:CD:AB:CD:AB:CD:AB:CD:AB:CD:AB:CD:AB:CD:AB:CD:AB:CD:AB:CD:AB:CD:AB:CD:AB:CD:AB:CD:AB:CD"]
      vsys: vsys2
      tags: enforce
      user_name: '{annotations.example.com/domain}\\{metadata.name}'
      anchor: deny the rest
      commit_gap: 1h
      settle: 0s
      environments:
        prod: {front: {}, back: {from_zones: [dmz 1], to_zones: [trust]}, direct: {}, mode: observe,
               directs: [{services: [Component:default/ledger-db], ports: [tcp/5432, udp/6000-6010]}],
               virtual_addresses: ["2001:DB8::10"], doors: [10.20.0.11], networks: [10.30.0.0/16], log_setting: to-siem,
               windows: ["mon 00:00-24:00"]}
"""
FIREWALL = "{name: edge, units: ['https://f'], key_files: [k]"
DEVICE = "{name: dc1, units: ['https://b'], username: s, password_file: p, members: ['10.0.0.1:1'], member_tls: false"


def document(text: str) -> Any:
    (found,), faults = read_text(text.encode(), "stagedoor.yaml")
    assert not faults
    return found.value


def loads(folder: Path, text: str) -> bool:
    (folder / "access.yaml").write_text("version: 1\n")
    (folder / "stagedoor.yaml").write_text(text)
    try:
        config_load.load(folder / "stagedoor.yaml", {}, with_named_files=False)
    except config_load.ConfigFaults:
        return False
    return True


def schemas(schema: Any) -> Iterator[Any]:
    if isinstance(schema, dict):
        yield schema
        for each in schema.values():
            yield from schemas(each)
    elif isinstance(schema, list):
        for each in schema:
            yield from schemas(each)


def test_it_is_a_schema() -> None:
    jsonschema_rs.meta.validate(SCHEMA)
    assert SCHEMA["$schema"].endswith("2020-12/schema")


@pytest.mark.parametrize(
    "text",
    [
        pytest.param((ROOT / "examples" / "stagedoor.yaml").read_text(), id="example"),
        pytest.param(CONFIG.format(workers=1, port=8443, trusted="[]", admin=9440, issuer=1), id="whole-node"),
        pytest.param(MINIMAL, id="minimal"),
        pytest.param(MINIMAL + FULL, id="full"),
    ],
)
def test_what_the_loader_takes_is_valid(tmp_path: Path, text: str) -> None:
    assert loads(tmp_path, text)
    assert [str(error) for error in VALIDATOR.iter_errors(document(text))] == []


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("hosts:", "host:"),
        ("listeners: [{name: main", "listeners: [{nam: main"),
        ('address: "127.0.0.1:8443"', "address: localhost"),
        ('address: "127.0.0.1:8443"', 'address: "127.0.0.1:8443", address6: "[::1]:1"'),
        ("listeners: [{", "listeners: []\nx: [{"),
        ("files: [catalog]", "files: []"),
        ("prod:", "Prod!:"),
        ("access_policy: access.yaml\n", ""),
        ("state: {folder: state}", "state: {folder: state, database: x}"),
        ("state:", "sessions: {idle: 5}\nstate:"),
        ("state:", "sessions: {idel: 5m}\nstate:"),
        ("state:", "issuers: [{name: a, issuer: 'https://x', audiences: [y], client: {}}]\nstate:"),
        ("state:", "limits: {head: 5}\nstate:"),
        ("state:", "limits: {head: 5kb}\nstate:"),
        ("state:", "limits: {connections: 0}\nstate:"),
        ("state:", "timeouts: {idle: 5 minutes}\nstate:"),
        ("state:", "timeouts: {drain: {announc: 1s}}\nstate:"),
        ("state:", "audit: {sync: sometimes}\nstate:"),
        ("state:", "workers: 0\nstate:"),
        ("state:", "devices: {bigip: [{name: dc1}]}\nstate:"),
        ("state:", "devices: {bigip: {dc1: {}}}\nstate:"),
        ("state:", f"devices: {{bigip: [{DEVICE}, enviroments: {{}}}}]}}\nstate:"),
        ("state:", f"devices: {{bigip: [{DEVICE}, environments: {{prod: {{client_tls: clients}}}}}}]}}\nstate:"),
        (
            "state:",
            f"devices: {{bigip: [{DEVICE}, environments: {{prod: {{client_tls: /C/c, windows: [now]}}}}}}]}}\nstate:",
        ),
        ("state:", "devices: {panos: [{name: edge}]}\nstate:"),
        ("state:", f"devices: {{panos: [{FIREWALL}, user_name: jane}}]}}\nstate:"),
        ("state:", f'devices: {{panos: [{FIREWALL}, anchor: "a\'b"}}]}}\nstate:'),
        ("state:", f"devices: {{panos: [{FIREWALL}, environments: {{prod: {{front: {{zones: [x]}}}}}}}}]}}\nstate:"),
        ("state:", f"devices: {{panos: [{FIREWALL}, environments: {{prod: {{directs: [{{}}]}}}}}}]}}\nstate:"),
        ("state:", "issuers: [{name: a, issuer: 'ftp://x', audiences: [y]}]\nstate:"),
        ("state:", "issuers: [{name: a, issuer: 'https://x', audiences: []}]\nstate:"),
        ("state:", "issuers: [{name: a, issuer: 'https://x', audiences: [y], match: {sub: {feld: x}}}]\nstate:"),
    ],
)
def test_what_is_broken_is_refused_by_schema_and_loader(tmp_path: Path, before: str, after: str) -> None:
    text = MINIMAL.replace(before, after)
    assert text != MINIMAL
    assert not loads(tmp_path, text)
    assert not VALIDATOR.is_valid(document(text))


def test_unknown_keys_are_refused_in_every_mapping() -> None:
    mappings = [each for each in schemas(SCHEMA) if "properties" in each and isinstance(each.get("type"), str)]
    assert len(mappings) >= 10
    assert [each for each in mappings if each["additionalProperties"] is not False] == []


def test_every_key_is_described() -> None:
    silent = [
        f"{name}.{key}"
        for name, kind in {"stagedoor.yaml": SCHEMA, **SCHEMA["$defs"]}.items()
        for key, said in kind.get("properties", {}).items()
        if len(said.get("description", "")) < 8
    ]
    assert silent == []


def test_no_description_is_the_general_one_of_its_type() -> None:
    """`A duration.` under a key would mean that nobody said what it is for."""
    general = {"A duration.", "A size.", "A host name.", "A short name.", "Address and port.", "A network."}
    keys = [said for kind in SCHEMA["$defs"].values() for said in kind.get("properties", {}).values()]
    assert not general & {said["description"] for said in keys}


def test_durations_sizes_and_addresses_have_a_pattern_and_examples() -> None:
    timeouts, limits = SCHEMA["$defs"]["TimeoutsModel"]["properties"], SCHEMA["$defs"]["LimitsModel"]["properties"]
    for said in (timeouts["idle"], limits["head"], SCHEMA["$defs"]["ListenerModel"]["properties"]["address"]):
        assert said["pattern"].startswith("^")
        assert said["pattern"].endswith("$")
        assert all(jsonschema_rs.is_valid({"pattern": said["pattern"]}, each) for each in said["examples"])


def test_the_defaults_it_tells_are_the_defaults_there_are(tmp_path: Path) -> None:
    """Written out, they change nothing."""
    said = {
        part: {key: each["default"] for key, each in SCHEMA["$defs"][kind]["properties"].items() if "default" in each}
        for part, kind in (("limits", "LimitsModel"), ("timeouts", "TimeoutsModel"))
    }
    assert len(said["limits"]) >= 7
    assert len(said["timeouts"]) >= 8
    (tmp_path / "access.yaml").write_text("version: 1\n")
    (tmp_path / "stagedoor.yaml").write_text(MINIMAL + f"limits: {said['limits']}\ntimeouts: {said['timeouts']}\n")
    settings = config_load.load(tmp_path / "stagedoor.yaml", {})
    assert settings.limits == config.Limits()
    assert settings.timeouts == config.Timeouts()
