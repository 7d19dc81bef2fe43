"""`stagedoor check`: every fault of every part at once, with file and line; 3 means that a node would not take it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.certificates import make
from tests.support.commands import run, told

CONFIG = """\
listeners:
  - name: main
    address: 127.0.0.1:8443
    tls: {certificate: door.pem, key: door.key}
central_host: localhost
environments:
  prod: {hosts: [.localhost], upstreams: [127.0.0.1/32]}
catalog: {files: [catalog.yaml]}
access_policy: access.yaml
state: {folder: state}
"""
ACCESS = "version: 1\nenvironments:\n  prod: {owners: [all]}\n"
CATALOG = """\
apiVersion: backstage.io/v1alpha1
kind: Group
metadata: {name: payments}
spec: {type: team, children: []}
---
apiVersion: backstage.io/v1alpha1
kind: User
metadata: {name: jane}
spec: {memberOf: [payments]}
---
apiVersion: backstage.io/v1alpha1
kind: Component
metadata:
  name: shop
  annotations:
    stagedoor.dev/environments: prod
    stagedoor.dev/host: shop.localhost
    stagedoor.dev/upstream: http://127.0.0.1:8080
spec: {type: website, lifecycle: production, owner: payments}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make(tmp_path, "door", "localhost", "shop.localhost")
    for name, text in (("stagedoor.yaml", CONFIG), ("access.yaml", ACCESS), ("catalog.yaml", CATALOG)):
        (tmp_path / name).write_text(text)
    return tmp_path


def check(folder: Path, code: int = 0) -> Any:
    return told("check", "--config", folder / "stagedoor.yaml", code=code)


def verdicts(report: Any) -> dict[str, str]:
    return {part["name"]: part["verdict"] for part in report["parts"]}


def change(file: Path, before: str, after: str) -> None:
    text = file.read_text()
    assert before in text
    file.write_text(text.replace(before, after))


def test_good_files_are_usable_and_counted(folder: Path) -> None:
    report = check(folder)
    assert report["usable"] is True
    assert set(verdicts(report).values()) == {"ok"}
    assert report["counts"] == {
        "listeners": 1, "issuers": 0, "environments": 1, "entities": 3, "people": 1, "teams": 1, "services": 1,
        "exposures": 1, "rules": 1,
    }  # fmt: skip
    assert report["certificates"][0]["names"] == ["localhost", "shop.localhost"]
    assert report["faults"] == []


def test_nothing_is_started_or_written(folder: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    check(folder)
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == before


def test_faults_of_all_parts_are_told_at_once_each_with_its_place(folder: Path) -> None:
    change(folder / "stagedoor.yaml", "127.0.0.1:8443", "127.0.0.1:9440")  # the admin listener's
    make(folder, "other", "other.localhost")
    change(folder / "stagedoor.yaml", "key: door.key", "key: other.key")
    change(folder / "access.yaml", "owners: [all]", "owners: [everything]")
    change(folder / "catalog.yaml", "kind: User\n", "kind: User\nkind: User\n")
    report = check(folder, code=3)
    assert report["usable"] is False
    assert set(verdicts(report).values()) == {"fault"}
    places = {(fault["part"], Path(fault["file"]).name, fault["line"]) for fault in report["faults"]}
    assert places == {
        ("configuration", "stagedoor.yaml", 3),
        ("credentials", "stagedoor.yaml", 4),
        ("access policy", "access.yaml", 3),
        ("catalog", "catalog.yaml", 8),
    }


def test_broken_keys_do_not_hide_the_access_policys_faults(folder: Path) -> None:
    change(folder / "stagedoor.yaml", "central_host", "centralhost")
    change(folder / "access.yaml", "owners", "owner")
    report = check(folder, code=3)
    assert verdicts(report) == {
        "configuration": "fault", "credentials": "skipped", "access policy": "fault", "catalog": "skipped",
    }  # fmt: skip
    assert any("central_host" in fault["suggestion"] for fault in report["faults"])
    assert any("owners" in fault["suggestion"] for fault in report["faults"])


@pytest.mark.parametrize("name", ["stagedoor.yaml", "access.yaml"])
def test_a_missing_file_of_the_operator_is_a_fault_said_once(folder: Path, name: str) -> None:
    (folder / name).unlink()
    report = check(folder, code=3)
    (fault,) = [fault for fault in report["faults"] if "cannot read" in fault["message"]]
    assert name in fault["message"]


def test_a_fault_in_the_catalog_is_told_and_rejects_nothing(folder: Path) -> None:
    change(folder / "catalog.yaml", "host: shop.localhost", "host: shop.example.com")
    report = check(folder)
    assert report["usable"] is True
    assert verdicts(report)["catalog"] == "fault"
    (fault,) = report["faults"]
    assert (fault["entity"], fault["severity"]) == ("component:default/shop", "error")
    assert fault["line"] > 0
    assert report["counts"]["exposures"] == 0


# === certificates ===


def test_a_certificate_that_is_over_rejects_and_one_that_ends_soon_warns(folder: Path) -> None:
    make(folder, "door", "localhost", "shop.localhost", days_left=-1)
    over = check(folder, code=3)
    assert "ended on" in over["faults"][0]["message"]
    make(folder, "door", "localhost", "shop.localhost", days_left=20)
    soon = check(folder)
    assert verdicts(soon)["credentials"] == "warning"
    assert "in 20 days" in soon["faults"][0]["message"]
    assert "SIGHUP" in soon["faults"][0]["suggestion"]


def test_hosts_that_no_certificate_names_are_a_warning(folder: Path) -> None:
    make(folder, "door", "door.localhost")
    messages = [fault["message"] for fault in check(folder)["faults"]]
    assert any("central host `localhost`" in message for message in messages)
    assert any("`shop.localhost`" in message for message in messages)


def test_behind_a_bigip_names_are_the_bigips_business(folder: Path) -> None:
    make(folder, "door", "door.localhost")
    change(folder / "stagedoor.yaml", "    tls:", "    bigip: true\n    tls:")
    assert check(folder)["faults"] == []


def test_a_key_that_others_can_read_is_a_warning_with_its_remedy(folder: Path) -> None:
    (folder / "door.key").chmod(0o644)
    (fault,) = check(folder)["faults"]
    assert fault["severity"] == "warning"
    assert f"chmod 600 {folder / 'door.key'}" in fault["suggestion"]


def test_a_secret_that_is_not_there_is_told(folder: Path) -> None:
    change(folder / "stagedoor.yaml", "central_host", """\
issuers:
  - name: idp
    issuer: https://idp.example.com
    audiences: [api]
    match: {sub: metadata.name}
    introspection: {client_id: door, client_secret_file: absent}
central_host""")  # fmt: skip
    report = check(folder, code=3)
    assert [fault["line"] for fault in report["faults"]] == [10]


# === for people ===


def test_the_text_form_ends_with_a_verdict_and_shows_places_as_they_are_typed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    good = run("check")
    assert good.exit_code == 0
    assert good.stdout.splitlines()[-1] == "usable: a node would take stagedoor.yaml"
    change(folder / "stagedoor.yaml", "central_host: localhost", "central_host: local_host")
    bad = run("check")
    assert bad.exit_code == 3
    assert bad.stdout.splitlines()[-1] == "not usable: mend the errors above before a node gets stagedoor.yaml"
    assert "error: stagedoor.yaml:5: `central_host`:" in bad.stdout
    assert "\x1b" not in good.output + bad.output


def test_a_hostile_catalog_moves_no_cursor(folder: Path) -> None:
    change(folder / "catalog.yaml", "host: shop.localhost", 'host: "\\e[2Jshop.example.com"')
    result = run("check", "--config", folder / "stagedoor.yaml")
    assert "\x1b" not in result.output
    assert "shop.example.com" in result.stdout


def test_an_issuer_that_is_asked_for_and_not_configured_is_told(folder: Path) -> None:
    """No token is of it: the rule would refuse every program, and nobody would see why."""
    idp = "issuers: [{name: idp, issuer: 'https://idp.test', audiences: [a], match: {sub: metadata.name}}]\n"
    (folder / "stagedoor.yaml").write_text(CONFIG + idp)
    asks = "version: 1\nenvironments:\n  prod: {owners: [all], workloads: {require: [{issuer: ipd}]}}\n"
    (folder / "access.yaml").write_text(asks)
    (fault,) = (each for each in check(folder)["faults"] if each["part"] == "access policy")
    assert (fault["severity"], fault["line"], fault["suggestion"]) == ("warning", 3, "did you mean `idp`?")
    (folder / "access.yaml").write_text(asks.replace("ipd", "idp"))
    assert [each for each in check(folder)["faults"] if each["part"] == "access policy"] == []
