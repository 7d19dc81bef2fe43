"""A whole node with a service that many may use: a team of thousands, dozens of programs, rules and tags on an emulated
firewall. `crowd` belongs to olga's team; what it lacks on the firewall until a plan is applied makes it lag behind.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from gateway.lab.panos.device import Device
from tests.support.central import CentralNode, central_node
from tests.support.door import until
from tests.support.panos import PASSWORD, RULES, USER, Api, in_thread

PEOPLE: Final = 5000
PROGRAMS: Final = 60
CROWD: Final = "component:default/crowd"
PAGE: Final = f"/portal/services/{CROWD}/inventory"
PATIENCE_S: Final = 60.0
SERVICE = """\
apiVersion: backstage.io/v1alpha1
kind: API
metadata: {name: crowd-api}
spec:
  type: openapi
  lifecycle: production
  owner: books
  definition: |
    openapi: 3.0.3
    info: {title: Crowd, version: "1"}
    paths: {/entries: {get: {responses: {"200": {description: ok}}}}}
---
apiVersion: backstage.io/v1alpha1
kind: Component
metadata:
  name: crowd
  title: Crowd
  annotations: {stagedoor.dev/environments: prod, stagedoor.dev/host: crowd.test, stagedoor.dev/access: consumers,
    stagedoor.dev/upstream: "http://192.0.2.8:8080", stagedoor.dev/addresses: "ADDRESSES",
    stagedoor.dev/allow-consumers: "ALLOWED"}
spec: {type: service, lifecycle: production, owner: books, providesApis: [crowd-api]}
"""
PROGRAM = """\
---
apiVersion: backstage.io/v1alpha1
kind: Component
metadata: {{name: program-{number:02}, annotations: {{stagedoor.dev/client-id: program-{number:02}}}}}
spec: {{type: service, lifecycle: production, owner: team, consumesApis: [crowd-api]}}
"""
PERSON = """\
---
apiVersion: backstage.io/v1alpha1
kind: User
metadata: {{name: person-{number:04}}}
spec: {{memberOf: [books]}}
"""
DEVICES = """\
devices:
  panos:
    - name: edge
      units: ["{url}"]
      key_files: [edge.key]
      ca: {ca}
      tags: enforce
      user_name: 'corp\\{{metadata.name}}'
      environments:
        prod:
          mode: plan
          front: {{from_zones: [trust], to_zones: [dmz]}}
          back: {{from_zones: [dmz], to_zones: [untrust]}}
          virtual_addresses: [198.51.100.10]
          doors: [198.51.100.21]
          networks: [192.0.2.0/24]
"""
ALLOWED: Final = ", ".join(f"program-{number:02}" for number in range(PROGRAMS))
ADDRESSES: Final = ", ".join(f"192.0.2.{number}" for number in range(8, 48))


def _anchored(api: Api) -> None:
    for anchor in ("sd-begin", "sd-end"):
        ends = "".join(f"<{field}><member>any</member></{field}>"
                       for field in ("from", "to", "source", "destination", "application", "service"))  # fmt: skip
        api.written(RULES, f"<entry name='{anchor}'>{ends}<action>deny</action><disabled>yes</disabled></entry>")
    api.committed()


@contextmanager
def inventory_scene(folder: Path) -> Iterator[CentralNode]:
    device = Device()
    (folder / "edge.key").touch(0o600)
    (folder / "edge.key").write_text(device.admins.keygen(USER, PASSWORD))
    with in_thread(folder, device) as (firewall,):
        _anchored(Api(firewall))
        said = DEVICES.format(url=firewall.url, ca=firewall.ca)

        def configured(text: str) -> str:
            return text.replace("upstreams: [127.0.0.0/8]", "upstreams: [127.0.0.0/8, 192.0.2.0/24]") + said

        with central_node(folder, configure=configured) as central:
            parts = [SERVICE.replace("ADDRESSES", ADDRESSES).replace("ALLOWED", ALLOWED)]
            parts += [PROGRAM.format(number=number) for number in range(PROGRAMS)]
            parts += [PERSON.format(number=number) for number in range(PEOPLE)]
            (folder / "crowd.draft").write_text("".join(parts))
            (folder / "crowd.draft").rename(folder / "more" / "crowd.yaml")
            until(lambda: _is_told(central), PATIENCE_S)
            yield central


def _is_told(central: CentralNode) -> bool:
    answer = central.ask(f"inventory/{CROWD}", "olga")
    if answer.status != 200:
        return False
    (at,) = answer.json["environments"]
    found: list[dict[str, Any]] = at["addresses"]
    return at["people"] > PEOPLE and bool(found) and all(each["state"] == "open" for each in found)
