"""What operators say about single services: times, limits, TLS and checks, each with its bounds and its faults."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway import config, config_load
from tests.support.authority import Authority

DOCUMENT = """\
listeners: [{{name: main, address: "127.0.0.1:8443"}}]
environments:
  prod:
    hosts: [.example.com]
    upstreams: [10.0.0.0/8]
    services:
      component:default/echo: {service}
catalog: {{files: [catalog]}}
access_policy: access.yaml
state: {{folder: state}}
"""


def load(folder: Path, service: str) -> config.ServiceSettings:
    (folder / "access.yaml").touch()
    (folder / "stagedoor.yaml").write_text(DOCUMENT.format(service=service))
    settings = config_load.load(folder / "stagedoor.yaml", {})
    assert config.decode(config.encode(settings)) == settings
    return settings.environments["prod"].services["component:default/echo"]


def fault(folder: Path, service: str) -> str:
    with pytest.raises(config_load.ConfigFaults) as raised:
        load(folder, service)
    (said,) = raised.value.faults
    assert said.source.line == 7
    return f"{said.message}; {said.suggestion}"


def test_everything_that_can_be_said(tmp_path: Path) -> None:
    service = load(
        tmp_path,
        "{timeouts: {connect: 250ms, response: 2m, idle: 5m, tunnel_idle: 8h}, connections: 8, body_limit: 1MiB,"
        " check: {path: '/healthz?deep=1', interval: 2s}, upgrades: [X-Lines, websocket]}",
    )
    assert service == config.ServiceSettings(
        connect_s=0.25, response_s=120.0, idle_s=300.0, connections=8, body_limit_bytes=1 << 20,
        check=config.Check("/healthz?deep=1", 2.0), tunnel_idle_s=28800.0, upgrades=("x-lines", "websocket"),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("protocol", "why"), [("h2c", "second HTTP"), ("H2", "second HTTP"), ("'a b'", "no field name")]
)
def test_a_protocol_is_a_token_and_no_other_http(tmp_path: Path, protocol: str, why: str) -> None:
    assert why in fault(tmp_path, f"{{upgrades: [{protocol}]}}")


def test_trailers_are_names_of_the_service_itself(tmp_path: Path) -> None:
    """A field that the door has judged in the head must not come again behind the body."""
    assert load(tmp_path, "{trailers: [Grpc-Status, x-checksum]}").trailers == ("grpc-status", "x-checksum")
    for name in ("Host", "content-length", "X_Stagedoor-User", "set-cookie", "transfer-encoding"):
        said = fault(tmp_path, f"{{trailers: [x-checksum, {name}]}}")
        assert said.startswith(f"`{name.lower()}` counts in a head alone") and "grpc-status" in said


def test_a_check_needs_a_path_alone(tmp_path: Path) -> None:
    assert load(tmp_path, "{check: {path: /healthz}}").check == config.Check("/healthz", 10.0)
    assert load(tmp_path, "{connections: 1}").check is None
    assert "`environments.prod.services.component:default/echo.check.path` is missing" in fault(tmp_path, "{check: {}}")


@pytest.mark.parametrize("path", ["healthz", "http://x/healthz", "'/a b'", "'/a#b'", '"/a\\r\\nX: y"', "''", "/ä"])
def test_a_check_asks_a_path_and_nothing_else(tmp_path: Path, path: str) -> None:
    assert "write `/healthz`" in fault(tmp_path, f"{{check: {{path: {path}}}}}")


@pytest.mark.parametrize("interval", ["99ms", "0s", "2h", "5", "-1s"])
def test_a_check_is_neither_frantic_nor_forgotten(tmp_path: Path, interval: str) -> None:
    assert "; write `" in fault(tmp_path, f"{{check: {{path: /, interval: {interval}}}}}")


def test_a_certificate_that_is_shown_to_the_service_comes_with_its_key(tmp_path: Path) -> None:
    certificate, key = Authority(tmp_path, "ours").leaf("door", "door.internal", client=True)
    assert load(tmp_path, "{tls: {certificate: door.pem, key: door.key}}").tls == config.UpstreamTls(
        "", str(certificate), str(key), ""
    )
    for half in ("{tls: {certificate: door.pem}}", "{tls: {key: door.key}}"):
        with pytest.raises(config_load.ConfigFaults, match="needs both"):
            load(tmp_path, half)
