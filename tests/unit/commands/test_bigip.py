"""`stagedoor bigip render`: what a device would be told, from files alone, with exit codes that pipelines may trust."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gateway.engine.network.bigip.as3.lint import faults_of
from tests.support.commands import run
from tests.support.declarations import AS3, as3_schema, needs_as3

CONFIGURATION = """\
listeners: [{name: main, address: "127.0.0.1:8443", bigip: true}]
environments:
  prod: {hosts: [.apps.example.com], upstreams: [10.0.0.0/8]}
catalog: {files: [catalog.yaml]}
access_policy: access.yaml
state: {folder: state}
devices:
  bigip:
    - name: dc1
      units: [https://192.0.2.10]
      username: stagedoor
      password_file: nowhere
      members: ["192.0.2.21:8443"]
      environments:
        prod:
          virtual_address: 203.0.113.10
          networks: [10.200.0.0/24]
          client_tls: /Common/clients
          trust_ca: /Common/doors.crt
          server_name: door.example.com
"""
COMPONENT = """\
---
apiVersion: backstage.io/v1alpha1
kind: Component
metadata:
  name: {name}
  annotations:
    stagedoor.dev/environments: prod
    stagedoor.dev/host: {name}.apps.example.com
    stagedoor.dev/upstream: http://10.0.0.1:8080
    {more}
spec: {{type: website, lifecycle: production, owner: finance}}
"""
GROUP = "apiVersion: backstage.io/v1alpha1\nkind: Group\nmetadata: {name: finance}\nspec: {type: team, children: []}\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "stagedoor.yaml").write_text(CONFIGURATION)
    (tmp_path / "access.yaml").write_text("version: 1\nenvironments: {prod: {owners: [all]}}\n")
    write(tmp_path, pay="", shop="stagedoor.dev/virtual-address: 10.200.0.9")
    return tmp_path


def write(folder: Path, **components: str) -> None:
    text = "".join(COMPONENT.format(name=name, more=more) for name, more in components.items())
    (folder / "catalog.yaml").write_text(GROUP + text)


def render(folder: Path, *more: str, code: int = 0) -> Any:
    result = run("bigip", "render", "prod", "--config", folder / "stagedoor.yaml", *more)
    assert result.exit_code == code, result.output
    return result


def hosts(folder: Path) -> dict[str, str]:
    shared = json.loads(render(folder).stdout)["stagedoor_prod"]["Shared"]
    return {each["key"]: each["value"] for each in shared["hosts"]["records"]}


def test_a_declaration_comes_of_the_files_and_no_password_is_needed(folder: Path) -> None:
    result = render(folder)
    declaration = json.loads(result.stdout)
    assert faults_of(declaration) == []
    assert result.stderr == ""
    assert hosts(folder)["pay.apps.example.com"].startswith("component:default/pay group:default/finance ")
    own = [name for name in declaration["stagedoor_prod"] if name.startswith("shop_")]
    assert declaration["stagedoor_prod"][own[0]]["vs"]["virtualAddresses"] == ["10.200.0.9"]
    assert not list((folder / "state").rglob("*.addresses"))


def test_the_data_group_follows_the_catalog(folder: Path) -> None:
    before = hosts(folder)
    write(folder, pay="", news="")
    assert hosts(folder).keys() == (before.keys() - {"shop.apps.example.com"}) | {"news.apps.example.com"}


@needs_as3
def test_it_is_valid_in_the_schema_of_as3_also_by_the_operators_copy(folder: Path) -> None:
    assert as3_schema().is_valid(json.loads(render(folder).stdout))
    said = f"      as3_schema: {AS3 / 'as3-schema.json'}\n      username"
    (folder / "stagedoor.yaml").write_text(CONFIGURATION.replace("      username", said))
    render(folder)


def test_a_declaration_that_must_not_be_sent_is_not_written(folder: Path) -> None:
    (folder / "schema.json").write_text('{"definitions": {"ADC": {"required": ["nothing"]}}}')
    said = "      as3_schema: schema.json\n      username"
    (folder / "stagedoor.yaml").write_text(CONFIGURATION.replace("      username", said))
    result = render(folder, code=1)
    assert result.stdout == ""
    assert '"nothing" is a required property' in result.stderr


def test_an_empty_catalog_is_no_wish_unless_it_is_said_to_be(folder: Path) -> None:
    (folder / "catalog.yaml").write_text(GROUP)
    result = render(folder, code=1)
    assert (result.stdout, "--allow-empty" in result.stderr) == ("", True)
    assert json.loads(render(folder, "--allow-empty").stdout)["stagedoor_prod"]["Shared"]["hosts"]["records"] == []


def test_an_access_policy_that_cannot_be_used_is_no_wish_either(folder: Path) -> None:
    (folder / "access.yaml").write_text("version: 2\n")
    assert "cannot be used" in render(folder, "--allow-empty", code=3).stderr


def test_a_fault_that_may_cost_a_host_is_no_success(folder: Path) -> None:
    """The doors go on with the last good form of a broken entry; files alone have none. A pipeline that goes on after
    this would take the host away."""
    write(folder, pay="", shop="stagedoor.dev/host.prod: shop.elsewhere.example")
    result = render(folder, code=5)
    assert "may lack hosts that the doors serve" in result.stderr
    assert "shop.elsewhere.example" in result.stderr
    assert json.loads(result.stdout)["stagedoor_prod"]["Shared"]["hosts"]["records"][0]["key"] == "pay.apps.example.com"


def test_a_fault_in_another_environment_costs_nothing_here(folder: Path) -> None:
    said = "environments:\n  dev: {hosts: [.dev.example.com], upstreams: [10.0.0.0/8]}\n"
    (folder / "stagedoor.yaml").write_text(CONFIGURATION.replace("environments:\n", said, 1))
    write(folder, pay="stagedoor.dev/host.dev: nowhere.example")
    text = (folder / "catalog.yaml").read_text()
    (folder / "catalog.yaml").write_text(text.replace("environments: prod", "environments: prod,dev"))
    assert render(folder).stderr == ""


def test_the_wish_can_be_read_without_knowing_the_vendor(folder: Path) -> None:
    wish = json.loads(render(folder, "--format", "json").stdout)
    assert wish == json.loads(render(folder, "--json").stdout)
    assert (wish["device"], wish["environment"]) == ("dc1", "prod")
    assert [(each["host"], each["address"]) for each in wish["places"]] == [
        ("pay.apps.example.com", ""), ("shop.apps.example.com", "10.200.0.9"),
    ]  # fmt: skip


def test_a_script_of_tmsh_creates_the_same_in_one_transaction(folder: Path) -> None:
    lines = render(folder, "--format", "tmsh").stdout.splitlines()
    assert (lines[1], lines[-2:]) == ("create cli transaction", ["submit cli transaction", "save sys config"])
    assert sum(line.startswith("create ltm virtual ") for line in lines) == 2
    (records,) = [line for line in lines if "/Shared/hosts " in line]
    assert records.count("{ data ") == 2


def test_who_gets_no_address_is_named(folder: Path) -> None:
    write(folder, pay="stagedoor.dev/virtual-address: 10.200.0.9", shop="stagedoor.dev/virtual-address: 10.200.0.9")
    assert "component:default/shop does not get 10.200.0.9" in render(folder).stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("dev",), "no device serves `dev`"),
        (("prod", "--device", "dc9"), "`dc9` does not serve `prod`; say --device, one of: dc1"),
    ],
)
def test_a_device_that_is_not_there_is_a_question_of_usage(folder: Path, arguments: tuple[str, ...], said: str) -> None:
    result = run("bigip", "render", *arguments, "--config", folder / "stagedoor.yaml")
    assert (result.exit_code, said in result.stderr) == (2, True)


def test_of_several_devices_one_is_named(folder: Path) -> None:
    second = CONFIGURATION.partition("  bigip:\n")[2].replace("dc1", "dc2").replace("192.0.2.10", "192.0.2.99")
    (folder / "stagedoor.yaml").write_text(CONFIGURATION + second)
    assert "say --device, one of: dc1, dc2" in render(folder, code=2).stderr
    assert json.loads(render(folder, "--device", "dc2", "--format", "json").stdout)["device"] == "dc2"


def test_a_damaged_memory_of_addresses_stops_it(folder: Path) -> None:
    (folder / "state" / "devices").mkdir(parents=True)
    (folder / "state" / "devices" / "dc1@prod.addresses").write_text("nonsense")
    assert "put back a copy" in render(folder, code=4).stderr
