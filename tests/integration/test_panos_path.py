"""What `stagedoor path` says of a firewall is what the firewall does: through a whole node, its tags and its rules,
with the packet oracle as judge."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any

import pytest
from click.testing import CliRunner, Result

from gateway.cli import main
from gateway.lab.panos.device import Device
from gateway.lab.panos.oracle import Packet
from tests.support.door import until
from tests.support.panos import PASSWORD, RULES, USER, Api, in_thread
from tests.support.whole_node import WholeNode, whole_node

pytestmark = pytest.mark.slow

VIRTUAL, DOOR, RUNS, PATIENCE_S = "198.51.100.10", "198.51.100.21", "192.0.2.8", 60.0
LEDGER = "https://ledger.test/"
MORE = f"""\
apiVersion: backstage.io/v1alpha1
kind: Component
metadata:
  name: ledger
  annotations: {{stagedoor.dev/environments: prod, stagedoor.dev/host: ledger.test,
    stagedoor.dev/upstream: "http://{RUNS}:8080", stagedoor.dev/addresses: {RUNS}, stagedoor.dev/access: owners}}
spec: {{type: service, lifecycle: production, owner: team}}
"""
DEVICES = f"""\
devices:
  panos:
    - name: edge
      units: ["{{url}}"]
      key_files: [edge.key]
      ca: {{ca}}
      tags: enforce
      user_name: 'corp\\{{{{metadata.name}}}}'
      environments:
        prod:
          mode: plan
          front: {{{{from_zones: [trust], to_zones: [dmz]}}}}
          back: {{{{from_zones: [dmz], to_zones: [untrust]}}}}
          virtual_addresses: [{VIRTUAL}]
          doors: [{DOOR}]
          networks: [192.0.2.0/24]
"""


class Scene:
    def __init__(self, node: WholeNode, device: Device) -> None:
        self.node = node
        self.device = device

    def command(self, *words: str) -> Result:
        return CliRunner().invoke(main, [*words, "--state", str(self.node.folder / "state")])

    def legs(self, who: str) -> list[str]:
        """The states of the firewall's hops on a person's way."""
        return [hop["state"] for hop in self.hops(who) if hop["kind"] == "firewall"]

    def hops(self, who: str) -> list[dict[str, Any]]:
        done = self.command("path", who, LEDGER, "--json")
        assert done.exit_code in (1, 5), done.output  # of `.test` no name server knows
        found: list[dict[str, Any]] = json.loads(done.stdout)["hops"]
        return found

    def sentences(self, who: str) -> str:
        return " ".join(hop["sentence"] for hop in self.hops(who))

    def passes(self, who: str) -> list[str]:
        """The same, asked of the firewall itself."""
        clients = Packet("203.0.113.9", VIRTUAL, 443, from_zone="trust", to_zone="dmz", user=f"corp\\{who}")
        doors = Packet(DOOR, RUNS, 8080, from_zone="dmz", to_zone="untrust")
        return ["open" if self.device.evaluate(each).allowed else "stops" for each in (clients, doors)]


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder, device = tmp_path_factory.mktemp("path"), Device()
    (folder / "edge.key").touch(0o600)
    (folder / "edge.key").write_text(device.admins.keygen(USER, PASSWORD))
    (folder / "more").mkdir()
    (folder / "more" / "all.yaml").write_text(MORE)
    with in_thread(folder, device) as (firewall,):
        api = Api(firewall)
        for anchor in ("sd-begin", "sd-end"):
            ends = "".join(f"<{field}><member>any</member></{field}>"
                           for field in ("from", "to", "source", "destination", "application", "service"))  # fmt: skip
            api.written(RULES, f"<entry name='{anchor}'>{ends}<action>deny</action><disabled>yes</disabled></entry>")
        api.committed()
        said = DEVICES.format(url=firewall.url, ca=firewall.ca)

        def configured(text: str) -> str:
            text = text.replace("files: [catalog]", "files: [catalog, more]")
            return text.replace("upstreams: [127.0.0.0/8]", "upstreams: [127.0.0.0/8, 192.0.2.0/24]") + said

        with whole_node(folder, workers=1, configure=configured) as node:
            node.publish("owners")
            made = Scene(node, device)
            echo = ("path", "joe", "https://echo.test/", "--json")
            until(lambda: "No rule gives" in made.command(*echo).stdout, PATIENCE_S)
            yield made


def test_path_and_firewall_agree_before_and_after_rules_are_there_and_for_who_is_cut(scene: Scene) -> None:
    plan = str(scene.node.folder / "prod.plan")
    assert scene.command("plan", "--device", "edge", "--env", "prod", "--out", plan).exit_code == 1  # it looks, too
    assert scene.legs("jane") == scene.passes("jane") == ["stops", "stops"]
    assert "is not on edge yet" in scene.sentences("jane")

    done = scene.command("apply", plan, "--ticket", "CHG-1042")
    assert done.exit_code == 0, done.output
    said = [each.findtext("description") or "" for each in scene.device.jobs.listed()]
    assert [f"(uid {os.getuid()}), ticket CHG-1042 (plan " in each for each in said if "stagedoor" in each] == [True]
    until(lambda: scene.legs("jane") == ["open", "open"], PATIENCE_S)
    assert scene.passes("jane") == ["open", "open"]

    assert scene.legs("joe") == scene.passes("joe") == ["stops", "open"]
    assert "is none of the teams that may come: group:default/team" in scene.sentences("joe")

    assert scene.command("cut", "person", "jane", "--because", "left").exit_code == 0
    until(lambda: scene.legs("jane") == ["stops", "open"], PATIENCE_S)
    assert scene.passes("jane") == ["stops", "open"]
    assert "user:default/jane is cut off." in scene.sentences("jane")

    inventory = json.loads(scene.command("inventory", "ledger", "--json").stdout)
    (at,) = inventory["environments"]
    assert [(each["leg"], each["state"]) for each in at["firewalls"]] == [("front", "open"), ("back", "open")]
    assert [(each["address"], each["state"]) for each in at["addresses"]] == [(RUNS, "open")]
