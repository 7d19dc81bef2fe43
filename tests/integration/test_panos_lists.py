"""A firewall that gives Stagedoor no right at all: it reads lists at the central host of a whole node, over TLS, and
the packet oracle says who comes through by them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.lab.panos.device import Device
from policy.builtin import FEEDS
from tests.support.certificates import make
from tests.support.door import until
from tests.support.panos import RULES, VSYS1, Api, Clock, in_thread
from tests.support.whole_node import WholeNode, whole_node

pytestmark = pytest.mark.slow

HOST = "localhost"
DOOR, STRANGER = "198.51.100.21", "203.0.113.9"
NAMES = "abcdefgh"
PACE_S = 300
PATIENCE_S = 60.0
COMPONENT = """\
---
apiVersion: backstage.io/v1alpha1
kind: Component
metadata:
  name: {name}
  annotations: {{stagedoor.dev/environments: prod, stagedoor.dev/host: {name}.test,
    stagedoor.dev/upstream: "http://10.0.0.1:80", stagedoor.dev/addresses: {address}}}
spec: {{type: service, lifecycle: production, owner: team}}
"""


def address_of(name: str) -> str:
    return f"10.0.1.{ord(name)}"


class Scene:
    """The node, and a firewall that reads its lists by a rule from doors to services."""

    def __init__(self, node: WholeNode, folder: Path, api: Api, clock: Clock) -> None:
        self.node = node
        self.folder = folder
        self.api = api
        self.clock = clock

    def publish(self, names: str) -> None:
        draft = self.folder / "draft"
        draft.write_text("".join(COMPONENT.format(name=name, address=address_of(name)) for name in names))
        draft.rename(self.folder / "more" / "all.yaml")

    def read(self) -> dict[str, Any]:
        """Five minutes later, by the firewall's clock."""
        self.clock.passes(PACE_S)
        return dict(self.api.lab("lists")["lists"])

    def comes(self, source: str, name: str) -> bool:
        return bool(self.api.lab("packet", source=source, destination=address_of(name))["allowed"])

    def served(self) -> str:
        self.read()
        return "".join(name for name in NAMES if self.comes(DOOR, name))

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-P", "-m", "gateway.cli", *words, "--config", str(self.folder / "stagedoor.yaml")],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip


def configured(text: str, tls: dict[str, str]) -> str:
    said = yaml.safe_load(text)
    said["listeners"] = [{"name": "main", "address": said["listeners"][0]["address"], "tls": tls}]
    said["catalog"]["files"] = ["catalog", "more"]
    said["environments"]["prod"]["upstreams"] = ["127.0.0.0/8", "10.0.0.0/8"]
    prod = {"mode": "observe", "back": {}, "doors": [DOOR], "networks": ["10.0.0.0/8"]}
    edge = {
        "name": "edge", "units": ["https://127.0.0.1:9"], "key_files": ["edge.key"], "tags": "observe",
        "environments": {"prod": prod}, "readers": {"networks": ["127.0.0.1/32"]},
    }  # fmt: skip
    return yaml.safe_dump({**said, "central_host": HOST, "devices": {"panos": [edge]}})


def lists_of(api: Api, port: int) -> None:
    for name in ("doors", "services"):
        url = f"https://{HOST}:{port}{FEEDS}/panos/edge/prod/addresses/{name}.txt"
        profile = "<certificate-profile>ours</certificate-profile>"
        source = f"<ip><url>{url}</url>{profile}<recurring><five-minute/></recurring></ip>"
        api.written(f"{VSYS1}/external-list", f"<entry name='{name}'><type>{source}</type></entry>")
    members = {"from": "any", "to": "any", "source": "doors", "destination": "services", "application": "any",
               "service": "any"}  # fmt: skip
    rule = "".join(f"<{field}><member>{member}</member></{field}>" for field, member in members.items())
    api.written(RULES, f"<entry name='doors-to-services'>{rule}<action>allow</action></entry>")
    api.committed()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("lists")
    for name in ("tls", "more"):
        (folder / name).mkdir()
    certificate, key = make(folder / "tls", "door", HOST, "127.0.0.1")
    (folder / "edge.key").touch(0o600)
    (folder / "edge.key").write_text("LUFRPT1nothing\n")
    (folder / "more" / "all.yaml").write_text("")
    tls, clock = {"certificate": str(certificate), "key": str(key)}, Clock()
    with (
        whole_node(folder, workers=1, configure=lambda text: configured(text, tls)) as node,
        in_thread(folder, Device(clock=clock)) as (firewall,),
    ):
        firewall.device.lists.authorities = {"ours": folder / "tls" / "ca.pem"}
        scene = Scene(node, folder, Api(firewall), clock)
        scene.publish(NAMES)
        lists_of(scene.api, node.port)
        until(lambda: scene.served() == NAMES, PATIENCE_S)
        yield scene


@pytest.fixture
def scene(running: Scene) -> Scene:
    """With every service given again, whatever the test before left."""
    running.publish(NAMES)
    until(lambda: running.served() == NAMES, PATIENCE_S)
    return running


def test_doors_come_to_services_and_nobody_else_does(scene: Scene) -> None:
    assert scene.comes(DOOR, "a")
    assert not scene.comes(STRANGER, "a")
    assert not scene.api.lab("packet", source=DOOR, destination="10.0.2.1")["allowed"]


def test_a_service_that_goes_is_closed_by_the_next_read(scene: Scene) -> None:
    scene.publish(NAMES[1:])
    until(lambda: scene.served() == NAMES[1:], PATIENCE_S)


def test_a_catalog_that_loses_most_of_itself_closes_nothing_before_a_person_says_so(scene: Scene) -> None:
    scene.publish("a")
    until(lambda: "held" in scene.command("feeds", "list").stdout, PATIENCE_S)
    assert scene.served() == NAMES
    assert "503" in scene.read()["services"]["state"]
    done = scene.command("feeds", "accept", "--device", "edge", "--env", "prod", "--yes")
    assert done.returncode == 0, done.stdout + done.stderr
    assert scene.served() == "a"


def test_a_service_that_is_cut_is_closed_by_the_next_read_whatever_the_guards_say(scene: Scene) -> None:
    cut = scene.command("cut", "service", "component:default/b", "--because", "It leaks.")
    assert cut.returncode == 0, cut.stderr
    try:
        until(lambda: scene.served() == NAMES.replace("b", ""), PATIENCE_S)
    finally:
        assert scene.command("cut", "lift", "service", "component:default/b").returncode == 0
