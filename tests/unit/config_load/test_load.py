"""The configuration file: every fault at once with its place, nothing silently ignored, variables over the file."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway import config, config_load
from gateway.config import Settings

MINIMAL = """\
listeners:
  - {name: main, address: "127.0.0.1:8443"}
environments:
  prod:
    hosts: [.example.com]
    upstreams: [10.0.0.0/8]
catalog: {files: [catalog]}
access_policy: access.yaml
state: {folder: state}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "access.yaml").write_text("version: 1\n")
    return tmp_path


def load(folder: Path, text: str, **environ: str) -> Settings:
    (folder / "stagedoor.yaml").write_text(text)
    return config_load.load(folder / "stagedoor.yaml", environ)


def faults_of(folder: Path, text: str, **environ: str) -> list[str]:
    with pytest.raises(config_load.ConfigFaults) as raised:
        load(folder, text, **environ)
    return [str(line).removeprefix(f"{folder}/") for line in str(raised.value).splitlines()]


def test_paths_are_relative_to_the_file(folder: Path) -> None:
    settings = load(folder, MINIMAL)
    assert settings.access_policy == str(folder / "access.yaml")
    assert settings.catalog.files == (str(folder / "catalog"),)
    assert settings.state_folder == str(folder / "state")


def test_durations_and_sizes_are_read_with_their_units(folder: Path) -> None:
    more = (
        "limits: {head: 16KiB, body: 1MiB}\ntimeouts: {connect: 250ms, idle: 5m, drain: {finish: 1h, announce: 0s}}\n"
    )
    settings = load(folder, MINIMAL + more)
    assert (settings.limits.head_bytes, settings.limits.body_bytes) == (16 * 1024, 1024 * 1024)
    assert (settings.timeouts.connect_s, settings.timeouts.idle_s) == (0.25, 300.0)
    assert (settings.timeouts.drain_finish_s, settings.timeouts.drain_announce_s) == (3600.0, 0.0)


def test_a_bigip_listener_makes_drain_announce_long_enough_for_its_monitors(folder: Path) -> None:
    assert load(folder, MINIMAL).timeouts.drain_announce_s == 0
    with_bigip = MINIMAL.replace('8443"}', '8443", bigip: true}')
    assert load(folder, with_bigip).timeouts.drain_announce_s == 21


def test_every_fault_is_said_at_once_with_file_line_and_suggestion(folder: Path) -> None:
    text = (
        MINIMAL.replace("hosts:", "host:").replace("127.0.0.1:8443", "localhost") + "listener: []\nlimits: {head: 5}\n"
    )
    faults = faults_of(folder, text)
    assert [fault.split(" ")[0] for fault in faults] == [
        "stagedoor.yaml:2:", "stagedoor.yaml:4:", "stagedoor.yaml:5:", "stagedoor.yaml:10:", "stagedoor.yaml:11:",
    ]  # fmt: skip
    assert "did you mean `hosts`" in faults[2]
    assert "did you mean `listeners`" in faults[3]
    assert "32KiB" in faults[4]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("state:", "secrets: {}\nstate:"),
    ],
)
def test_a_key_of_a_feature_that_is_not_there_is_refused_by_name(folder: Path, before: str, after: str) -> None:
    (fault,) = faults_of(folder, MINIMAL.replace(before, after))
    assert "is not supported by this version" in fault


def test_a_variable_overrides_one_setting(folder: Path) -> None:
    settings = load(
        folder, MINIMAL, STAGEDOOR_WORKERS="3", STAGEDOOR_LISTENERS__0__ADDRESS="127.0.0.1:9", STAGEDOOR_CONFIG="x",
        STAGEDOOR_TIMEOUTS__DRAIN__FINISH="2s", STAGEDOOR_ENVIRONMENTS__PROD__HOSTS="[.a.example, .b.example]",
    )  # fmt: skip
    assert settings.workers == 3
    assert settings.listeners[0].address == "127.0.0.1:9"
    assert settings.timeouts.drain_finish_s == 2
    assert settings.environments["prod"].hosts == (".a.example", ".b.example")


def test_a_fault_in_a_variable_names_the_variable(folder: Path) -> None:
    faults = faults_of(folder, MINIMAL, STAGEDOOR_WORKERS="many", STAGEDOOR_LIMIT__HEAD="1KiB")
    assert sorted(fault.split(":")[0] for fault in faults) == [
        "variable STAGEDOOR_LIMIT__HEAD",
        "variable STAGEDOOR_WORKERS",
    ]


ISSUER = """\
issuers:
  - name: corp
    issuer: https://corp.okta.example/oauth2/default
    audiences: [api]
    preset: okta
    match: {uid: annotations.okta.com/user-id}
"""


def test_an_issuer_takes_what_it_leaves_out_from_its_preset(folder: Path) -> None:
    (issuer,) = load(folder, MINIMAL + ISSUER).issuers
    assert issuer.allow_absent_type
    assert issuer.match[0].claim == "uid"
    assert "openid" in issuer.protocol_scopes


@pytest.mark.parametrize(
    ("said", "clients"),
    [("", ""), ("    clients: ours\n", "ours"), ("    clients: foreign\n", "foreign"),
     ("    workload_when: {idtyp: app}\n", "ours"),
     ("    workload_when: {idtyp: app}\n    clients: foreign\n", "foreign")],
)  # fmt: skip
def test_whose_an_issuers_client_ids_are_is_said_by_itself_or_by_how_its_programs_are_told(
    folder: Path, said: str, clients: str
) -> None:
    (issuer,) = load(folder, MINIMAL + ISSUER + said).issuers
    assert issuer.clients == clients


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("    match: {uid: annotations.okta.com/user-id}\n", "", "needs `match`"),
        ("uid: annotations.okta.com/user-id", "email: spec.profile.email", "needs the `domains`"),
        ("https://corp.okta", "http://corp.okta", "without TLS"),
        ("audiences: [api]", "audiences: []", "name at least one"),
        ("preset: okta", "preset: otka", "okta"),
    ],
)
def test_an_issuer_that_could_let_the_wrong_person_in_is_refused(
    folder: Path, before: str, after: str, message: str
) -> None:
    (fault,) = faults_of(folder, MINIMAL + ISSUER.replace(before, after))
    assert message in fault


def test_two_listeners_cannot_share_an_address(folder: Path) -> None:
    text = MINIMAL.replace("environments:", '  - {name: other, address: "127.0.0.1:8443"}\nenvironments:', 1)
    (fault,) = faults_of(folder, text)
    assert "is used by `main` already" in fault


def test_an_admin_listener_on_the_network_is_refused(folder: Path) -> None:
    (fault,) = faults_of(folder, MINIMAL + 'admin: {address: "10.0.0.1:9440"}\n')
    assert "no sign-in" in fault


def test_a_certificate_and_a_key_that_do_not_belong_together_are_refused_before_any_listener_starts(
    folder: Path,
) -> None:
    (folder / "a.pem").write_text("no certificate")
    (folder / "a.key").write_text("no key")
    text = MINIMAL.replace('8443"}', '8443", tls: {certificate: a.pem, key: a.key}}')
    (fault,) = faults_of(folder, text)
    assert "no certificate and its key" in fault
    assert faults_of(folder, text.replace("a.key", "missing.key"))[0].endswith("missing.key`")


@pytest.mark.parametrize("text", ["", "[]", "a: 1\n---\nb: 1\n", "listeners: [", "x" * (1024 * 1024 + 1)])
def test_a_file_that_is_no_mapping_is_refused(folder: Path, text: str) -> None:
    assert faults_of(folder, text)


def test_a_fault_never_starts_half_a_configuration(folder: Path) -> None:
    with pytest.raises(config_load.ConfigFaults):
        load(folder, MINIMAL + "listeners: []\n")


def test_limits_are_read_and_a_burst_without_a_rate_is_a_fault(tmp_path: Path) -> None:
    text = "limits: {principals: {requests_per_second: 2.5, burst: 5, concurrent: 3}, upload_rate: 0B, memory: 1GiB}\n"
    (tmp_path / "stagedoor.yaml").write_text(MINIMAL + text)
    limits = config_load.load(tmp_path / "stagedoor.yaml", {}, with_named_files=False).limits
    assert limits.principals == config.Rate(2.5, 5, 3)
    assert (limits.upload_rate_bytes, limits.memory_bytes, limits.hosts) == (0, 1 << 30, config.Rate())
    (tmp_path / "stagedoor.yaml").write_text(MINIMAL + "limits: {hosts: {burst: 5}}\n")
    with pytest.raises(config_load.ConfigFaults, match=r"limits\.hosts\.burst"):
        config_load.load(tmp_path / "stagedoor.yaml", {}, with_named_files=False)
