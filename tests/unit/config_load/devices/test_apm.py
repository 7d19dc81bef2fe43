"""The APM mapping: what can be said is read, what cannot is a fault with its line and what to do, and the schema for
editors refuses nothing that the reader takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from gateway.config.devices import ApmEntry
from gateway.config_load.devices.apm import mapping_schema, read_mapping
from gateway.documents import read_text
from tests.unit.config_load.devices.test_bigip import LEAST
from tests.unit.config_load.test_load import MINIMAL, faults_of, load

WHOLE = """\
version: 1
environments:
  prod:
    - for: {services: payroll, teams: [hr, "group:people/leads"], hosts: Pay.Example.com}
      access_profile: /Common/hr
      per_request_policy: /Common/apm/hr
      claims: {groups: [hr, payroll], acr: }
    - for: {teams: money}
      access_profile: /Common/money
"""
VALIDATOR = jsonschema_rs.Draft202012Validator(mapping_schema())


def read(folder: Path, text: str) -> tuple[Any, list[str]]:
    (folder / "apm.yaml").write_text(text)
    made, faults = read_mapping(str(folder / "apm.yaml"))
    return made, [str(fault).removeprefix(f"{folder}/") for fault in faults]


def document(text: str) -> Any:
    (found,), faults = read_text(text.encode(), "apm.yaml")
    assert not faults
    return found.value


def test_all_that_can_be_said(tmp_path: Path) -> None:
    made, faults = read(tmp_path, WHOLE)
    assert faults == []
    assert made == {
        "prod": (
            ApmEntry(
                ("component:default/payroll",), ("group:default/hr", "group:people/leads"), ("pay.example.com",),
                "/Common/hr", "/Common/apm/hr", (("groups", ("hr", "payroll")), ("acr", ())), "apm.yaml:4",
            ),
            ApmEntry((), ("group:default/money",), (), "/Common/money", place="apm.yaml:8"),
        )
    }  # fmt: skip
    jsonschema_rs.meta.validate(mapping_schema())
    assert [str(error) for error in VALIDATOR.iter_errors(document(WHOLE))] == []


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("version: 1", "version: 2", "apm.yaml:1: `version` must be 1; write `version: 1`"),
        ("environments:", "environment:", "apm.yaml:2: unknown key `environment`; did you mean `environments`?"),
        ("access_profile: /Common/m", "acces_profile: /Common/m",
         "apm.yaml:9: unknown key `acces_profile`; did you mean `access_profile`?"),
        ("teams: money", "team: money", "apm.yaml:8: unknown key `team`; did you mean `teams`?"),
        ("for: {teams: money}", "for: {}",
         "apm.yaml:8: an entry says `for` which services it is: `services`, `teams`, `hosts`; what all services have "
         "is said by `access_profile` of the environment's settings"),
        ("/Common/money", "money",
         "apm.yaml:9: `money` names nothing on a BIG-IP; write the whole path of what exists on the BIG-IP, "
         "`/Common/name`"),
        ("/Common/money", '"/Common/m`oney`"', "names nothing on a BIG-IP"),
        ("Pay.Example.com", '"pay.example.com:443"', "apm.yaml:4: `pay.example.com:443` is no host"),
        ("acr: ", '"a c r": x', "apm.yaml:7: `a c r` is no name of a claim"),
        ("[hr, payroll]", "[hr, 7]", "must be text, not the number `7`"),
        ("[hr, payroll]", '["h\\nr"]', "a value of `groups` is not at most 200 plain characters"),
        ("  prod:\n", "  prod: 7\n  dev:\n", "apm.yaml:3: `prod` must be a list"),
        ("for: {teams: money}",
         "for: {services: payroll, teams: [hr, 'group:people/leads'], hosts: pay.example.com}",
         "apm.yaml:8: entry 2 of `prod` is for the same as entry 1, which decides"),
        (WHOLE, "", "file holds 0 documents"),
        (WHOLE, "version: 1\nversion: 1\n", "version"),
    ],
)  # fmt: skip
def test_what_cannot_be_said_has_its_line_and_a_way_out(tmp_path: Path, before: str, after: str, said: str) -> None:
    assert before in WHOLE
    _, faults = read(tmp_path, WHOLE.replace(before, after, 1))
    assert any(said in fault for fault in faults), faults


def test_an_editor_is_told_of_keys_and_forms() -> None:
    for before, after in (
        ("version: 1", "version: 2"), ("teams: money", "team: money"), ("/Common/money", "money"),
        ("      access_profile: /Common/money\n", ""), ("for: {teams: money}", "for: {}"),
    ):  # fmt: skip
        assert not VALIDATOR.is_valid(document(WHOLE.replace(before, after, 1))), after


def settings(folder: Path, mapping: str = WHOLE, more: str = ", networks: [10.200.0.0/24]") -> str:
    (folder / "access.yaml").write_text("version: 1\n")
    (folder / "password").write_text("a-secret\n")
    (folder / "password").chmod(0o600)
    (folder / "apm.yaml").write_text(mapping)
    return MINIMAL + LEAST.replace("d.example}", f"d.example, apm: {{mapping: apm.yaml}}{more}}}")


def test_the_settings_name_the_file_and_hold_what_it_says(tmp_path: Path) -> None:
    (prod,) = load(tmp_path, settings(tmp_path)).devices.bigip[0].environments
    assert prod.apm_mapping == str(tmp_path / "apm.yaml")
    assert [entry.access_profile for entry in prod.apm] == ["/Common/hr", "/Common/money"]


@pytest.mark.parametrize(
    ("mapping", "more", "said"),
    [
        (WHOLE.replace("hosts:", "host:"), ", networks: [10.200.0.0/24]", "apm.yaml:4: unknown key `host`"),
        (WHOLE.replace("  prod:", "  prd:"), ", networks: [10.200.0.0/24]", "did you mean `prd`?"),
        (WHOLE, "", "has no `networks`, so no service has an address of its own"),
    ],
)
def test_a_mapping_that_would_have_no_effect_is_refused(tmp_path: Path, mapping: str, more: str, said: str) -> None:
    faults = faults_of(tmp_path, settings(tmp_path, mapping, more))
    assert any(said in str(fault) for fault in faults), faults


def test_a_mapping_that_is_away_is_refused(tmp_path: Path) -> None:
    text = settings(tmp_path)
    (tmp_path / "apm.yaml").unlink()
    assert any("cannot read" in str(fault) for fault in faults_of(tmp_path, text))
