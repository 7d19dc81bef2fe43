"""Promises about the ground of the lab: obstacles are found before anything starts, and the settings are ordinary."""

from __future__ import annotations

import socket
from dataclasses import replace
from pathlib import Path

import pytest

from gateway import config_load
from gateway.lab.folder import LabError
from gateway.lab.ground import FIRST_UPSTREAM_PORT, Wishes, lay
from tests.support.ports import free_ports
from tests.support.running_lab import PORTS_IN_A_ROW, PROJECT


def wishes(folder: Path, port: int) -> Wishes:
    return Wishes(
        port, folder / ".lab", PROJECT / "examples/catalog", PROJECT / "examples/access-policy.yaml", port + 1
    )


def test_the_settings_are_read_like_any_others(tmp_path: Path) -> None:
    ground = lay(wishes(tmp_path, free_ports(4)))
    settings = config_load.load(ground.folder.settings_file, {})
    assert settings.central_host == "localhost"
    pool, health, direct = settings.listeners
    assert direct.address == f"127.0.0.1:{ground.facts.direct}"
    (device,) = settings.devices.bigip
    assert (device.members, device.health_port) == ((pool.address,), int(health.address.rpartition(":")[2]))
    assert {each.port for each in device.environments} == {ground.facts.port}
    assert settings.issuers[0].issuer == ground.facts.provider
    assert settings.admin_address.startswith("127.0.0.1:")


def test_other_upstream_ports_work_on_a_copy_of_the_catalog(tmp_path: Path) -> None:
    ground = lay(wishes(tmp_path, free_ports(4)))
    text = (ground.catalog / "payments.yaml").read_text()
    assert f"127.0.0.1:{ground.upstream_port}" in text
    assert f":{FIRST_UPSTREAM_PORT}" not in text
    assert f":{FIRST_UPSTREAM_PORT}" in (PROJECT / "examples/catalog/payments.yaml").read_text()


def test_provider_and_admin_listener_have_their_ports_beside_the_applications(tmp_path: Path) -> None:
    """Two labs on ports of their own do not meet, and the tokens of each outlive its restart."""
    first = free_ports(PORTS_IN_A_ROW)
    chosen = replace(wishes(tmp_path, first), upstream_port=first + 2)
    for _ in range(2):
        ground = lay(chosen)
        assert (ground.provider_port, ground.facts.admin) == (first + 1, f"127.0.0.1:{first + 10}")
    assert lay(wishes(tmp_path, first)).provider_port != first, "which is the door's"


def test_everything_is_written_below_the_labs_folder(tmp_path: Path) -> None:
    lay(wishes(tmp_path, free_ports(4)))
    assert [path.name for path in tmp_path.iterdir()] == [".lab"]


@pytest.mark.parametrize("offset", [0, 1, 3])
def test_a_taken_port_is_named_with_a_way_out(tmp_path: Path, offset: int) -> None:
    first = free_ports(4)
    with socket.create_server(("127.0.0.1", first + offset)), pytest.raises(LabError) as caught:
        lay(wishes(tmp_path, first))
    assert f"port {first + offset} on 127.0.0.1" in str(caught.value)
    assert "make run " in str(caught.value)
    assert not (tmp_path / ".lab").exists()
