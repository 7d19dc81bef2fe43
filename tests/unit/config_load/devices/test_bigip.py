"""BIG-IP device groups in the configuration: everything can be said, and what a device would refuse or misunderstand is
a fault with its place."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gateway import config
from gateway.config.devices import Bigip, BigipEnvironment, ChangeWindow, Devices
from gateway.config_load.devices.values import MINUTES_OF_WEEK, windows_of
from tests.support.certificates import make
from tests.unit.config_load.test_load import MINIMAL, faults_of, load

LEAST = """\
devices:
  bigip:
    - name: dc1
      units: [https://192.0.2.10]
      username: stagedoor
      password_file: password
      members: ["192.0.2.21:8443"]
      environments:
        prod: {virtual_address: 203.0.113.10, client_tls: /Common/c, trust_ca: /Common/ca.crt, server_name: d.example}
"""
DAY = 24 * 60


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "access.yaml").write_text("version: 1\n")
    (tmp_path / "password").write_text("a-secret\n")
    (tmp_path / "password").chmod(0o600)
    return tmp_path


def with_stage(text: str) -> str:
    return (
        MINIMAL.replace("environments:\n", "environments:\n  stage: {hosts: [.s.example], upstreams: [10.1.0.0/16]}\n")
        + text
    )


def test_the_least_that_has_to_be_said(folder: Path) -> None:
    settings = load(folder, MINIMAL + LEAST)
    prod = BigipEnvironment(
        "prod", virtual_address="203.0.113.10", client_tls="/Common/c", trust_ca="/Common/ca.crt",
        server_name="d.example",
    )  # fmt: skip
    expected = Bigip(
        "dc1", ("https://192.0.2.10",), "stagedoor", str(folder / "password"), members=("192.0.2.21:8443",),
        environments=(prod,),
    )  # fmt: skip
    assert settings.devices == Devices((expected,))
    assert prod.mode == "plan"
    assert settings.environments["prod"].virtual_networks == ()


def test_without_devices_nothing_is_kept_in_step(folder: Path) -> None:
    settings = load(folder, MINIMAL)
    assert settings.devices == Devices()
    assert settings.environments["prod"].virtual_networks is None


def test_everything_can_be_said_and_reaches_the_roles_in_the_frame_without_the_password(folder: Path) -> None:
    make(folder / "tls", "units", "localhost")
    (folder / "schema.json").write_text('{"definitions": {"ADC": {}}}')
    said = """\
devices:
  bigip:
    - name: dc1
      units: [https://B1.example:8443/, https://b2.example]
      username: stagedoor
      password_file: password
      ca: tls/ca.pem
      login_provider: ldap
      device_group: /Common/pair
      tenant_prefix: gate
      members: ["192.0.2.21:9443", "[2001:db8::2]:9443"]
      member_tls: true
      health_port: 8081
      as3_schema: schema.json
      removed_share: 0.5
      removed_most: 9
      environments:
        prod:
          mode: enforce
          addresses: pool
          networks: [10.200.0.0/24]
          port: 8443
          redirect: true
          client_tls: /Common/folder/clients
          trust_ca: /Common/ca.crt
          server_name: Door.example
          client_certificate: /Common/bigip.crt
          proxy_protocol: true
          access_profile: /Common/people
          per_request_policy: /Common/claims
          required_claims: [groups]
          windows: ["mon-tue 22:00-02:00"]
          frozen: a fair
          ticket: true
          rules: [/Common/log, /Common/_sys_https_redirect]
"""
    settings = load(folder, MINIMAL + said)
    (device,) = settings.devices.bigip
    assert device.units == ("https://b1.example:8443", "https://b2.example")
    assert device.environments[0] == BigipEnvironment(
        "prod", "enforce", "pool", "", ("10.200.0.0/24",), 8443, True, "/Common/folder/clients", "/Common/ca.crt",
        "door.example", "/Common/bigip.crt", True, "/Common/people", "/Common/claims", ("groups",),
        (ChangeWindow(22 * 60, 26 * 60), ChangeWindow(DAY + 22 * 60, DAY + 26 * 60)), "a fair", True,
        ("/Common/log", "/Common/_sys_https_redirect"),
    )  # fmt: skip
    assert device == Bigip(
        "dc1", device.units, "stagedoor", str(folder / "password"), str(folder / "tls" / "ca.pem"), "ldap",
        "/Common/pair", "gate", ("192.0.2.21:9443", "[2001:db8::2]:9443"), True, 8081, str(folder / "schema.json"),
        0.5, 9, device.environments,
    )  # fmt: skip
    assert settings.environments["prod"].virtual_networks == ("10.200.0.0/24",)
    frame = config.encode(settings)
    assert config.decode(frame) == settings
    assert b"a-secret" not in frame


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("mon 00:00-24:00", [(0, DAY)]),
        ("mon-fri 20:00-23:30", [(day * DAY + 1200, day * DAY + 1410) for day in range(5)]),
        ("sat 22:00-04:00", [(5 * DAY + 1320, 6 * DAY + 240)]),
        ("sun 22:00-04:00", [(6 * DAY + 1320, MINUTES_OF_WEEK), (0, 240)]),
        ("sun 22:00-24:00", [(6 * DAY + 1320, MINUTES_OF_WEEK)]),
        ("sat-mon 01:00-02:00", [(5 * DAY + 60, 5 * DAY + 120), (6 * DAY + 60, 6 * DAY + 120), (60, 120)]),
    ],
)
def test_a_change_window_is_minutes_of_the_week(text: str, expected: list[tuple[int, int]]) -> None:
    assert [(window.begins, window.ends) for window in windows_of(text)] == expected


@pytest.mark.parametrize(
    "text",
    ["", "mon", "always", "mon 9:00-10:00", "mon 10:00-10:00", "mon 25:00-26:00", "mon 24:00-01:00", "Mon 01:00-02:00",
     "mon 01:00-24:30", "mon-xyz 01:00-02:00", "mon 01:00-02:00 "],
)  # fmt: skip
def test_what_is_no_window_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="change window|whole day"):
        windows_of(text)


@pytest.mark.parametrize(
    ("before", "after", "line", "message"),
    [
        ("https://192.0.2.10", "http://192.0.2.10", 4, "is no management address"),
        ("https://192.0.2.10", "https://u:p@192.0.2.10", 4, "is no management address"),
        ("https://192.0.2.10", "https://192.0.2.10/mgmt", 4, "is no management address"),
        ("[https://192.0.2.10]", "[https://192.0.2.10, https://192.0.2.10/]", 4, "is listed twice in `units`"),
        ('["192.0.2.21:8443"]', "[]", 7, "is empty"),
        ("192.0.2.21:8443", "192.0.2.21", 7, "is no address"),
        ("192.0.2.21:8443", "127.0.0.1:8443", 7, "no address at which a BIG-IP reaches a node"),
        ("192.0.2.21:8443", "0.0.0.0:8443", 7, "no address at which a BIG-IP reaches a node"),
        ("        prod:", "        prdo:", 9, "did you mean `prod`"),
        ("virtual_address: 203.0.113.10, ", "", 9, "`shared` needs `virtual_address`"),
        ("203.0.113.10", "203.0.113.0/24", 9, "is no address"),
        ("203.0.113.10", "224.0.0.1", 9, "no address of a virtual server"),
        ("203.0.113.10", "127.0.0.1", 9, "no address that clients reach"),
        ("virtual_address: 203.0.113.10, ", "addresses: pool, ", 9, "`pool` needs `networks`"),
        ("virtual_address:", "addresses: pool, networks: [10.0.0.0/24], virtual_address:", 9, "is of no use with"),
        ("/Common/c,", "clients,", 9, "names nothing on a BIG-IP"),
        ("/Common/c,", "/Common/../c,", 9, "names nothing on a BIG-IP"),
        ("/Common/c,", "/Common/a b,", 9, "names nothing on a BIG-IP"),
        ("client_tls: /Common/c, ", "", 9, "client_tls` is missing"),
        ("trust_ca: /Common/ca.crt, ", "", 9, "without `trust_ca` BIG-IP would take anybody for a door"),
        (", server_name: d.example", "", 9, "without `server_name` BIG-IP would take anybody for a door"),
        ("      username", "      member_tls: false\n      username", 10, "is of no use with `member_tls: false`"),
        ("trust_ca", "proxy_protocol: true, trust_ca", 9, "it needs `health_port`"),
        ("trust_ca", "per_request_policy: /Common/p, trust_ca", 9, "needs `access_profile`"),
        ("trust_ca", "required_claims: [groups], trust_ca", 9, "needs `access_profile`"),
        ("trust_ca", "windows: [always], trust_ca", 9, "is no change window"),
        ("trust_ca", "mode: apply, trust_ca", 9, "mode"),
        ("trust_ca", "networks: [10.0.0.1/8], trust_ca", 9, "is no network"),
        ("      username", "      tenant_prefix: a_b\n      username", 5, "begins no tenant"),
        ("      username", "      tenant_prefix: common\n      username", 5, "is the device's own"),
        ("      username", "      removed_share: 2\n      username", 5, "removed_share"),
        ("      username", "      user: x\n      username", 5, "did you mean `username`"),
        ("password_file: password", "password_file: nothing", 6, "cannot read"),
        ("      username", "      ca: access.yaml\n      username", 5, "holds no certificates"),
        ("      username", "      ca: nothing\n      username", 5, "cannot read"),
        ("      username", "      as3_schema: password\n      username", 5, "holds no JSON"),
        ("      username", "      as3_schema: nothing\n      username", 5, "cannot read"),
    ],
)
def test_a_fault_says_where_and_what(folder: Path, before: str, after: str, line: int, message: str) -> None:
    text = LEAST.replace(before, after, 1)
    assert text != LEAST
    faults = faults_of(folder, text + MINIMAL)
    assert any(f"stagedoor.yaml:{line}:" in fault and message in fault for fault in faults), faults


def test_a_pool_is_given_out_by_one_node_alone(folder: Path) -> None:
    keys = folder / "keys"
    keys.write_text(f"k1 {'A' * 43}=\n")
    keys.chmod(0o600)
    database = "database: postgresql://stagedoor@localhost/stagedoor"
    text = MINIMAL.replace("state: {folder: state}", f"state: {{folder: state, {database}}}")
    pool = LEAST.replace("virtual_address: 203.0.113.10", "addresses: pool, networks: [10.200.0.0/24]")
    faults = faults_of(folder, f"{pool}sessions: {{keys_file: keys}}\n{text}")
    said = [fault for fault in faults if "addresses of the `pool` by itself" in fault]
    assert ["stagedoor.yaml:9:" in fault for fault in said] == [True], faults


def test_a_device_on_this_machine_may_have_its_members_here(folder: Path) -> None:
    text = LEAST.replace("https://192.0.2.10", "https://localhost:9443").replace("192.0.2.21", "127.0.0.1")
    assert load(folder, MINIMAL + text.replace("203.0.113.10", "127.0.0.2")).devices.bigip


def test_a_schema_that_is_another_one_is_no_schema_of_as3(folder: Path) -> None:
    (folder / "s.json").write_text('{"definitions": {}}')
    faults = faults_of(folder, MINIMAL + LEAST.replace("      username", "      as3_schema: s.json\n      username"))
    assert "it defines no `ADC`" in faults[0]


SECOND = (
    "        stage: {{virtual_address: {}, client_tls: /Common/c, trust_ca: /Common/ca.crt, server_name: d.example{}}}"
    "\n"
)


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        ("", SECOND.format("203.0.113.10", ""), "`prod` and `stage` both have 203.0.113.10:443"),
        (", networks: [10.2.0.0/16]", SECOND.format("203.0.113.11", ", networks: [10.2.9.0/24]"), "overlap"),
        (", networks: [203.0.113.0/24]", SECOND.format("203.0.113.11", ""), "lies in a network of this environment"),
    ],
)
def test_two_environments_of_one_device_share_no_address(folder: Path, first: str, second: str, message: str) -> None:
    (fault,) = faults_of(folder, with_stage(LEAST.replace("d.example}", f"d.example{first}}}") + second))
    assert message in fault


def test_two_ports_of_one_address_are_two_virtual_servers(folder: Path) -> None:
    assert load(folder, with_stage(LEAST + SECOND.format("203.0.113.10", ", port: 8443"))).devices.bigip


def test_a_unit_belongs_to_one_group_and_a_name_to_one_device(folder: Path) -> None:
    again = re.sub(r"devices:\n  bigip:\n", "", LEAST)
    (fault,) = faults_of(folder, MINIMAL + LEAST + again.replace("dc1", "dc2"))
    assert "`https://192.0.2.10` is a unit of `dc1` and of `dc2`" in fault
    (fault,) = faults_of(folder, MINIMAL + LEAST + again)
    assert "name `dc1` is used twice" in fault
