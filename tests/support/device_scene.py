"""A whole node with an emulated BIG-IP that has drifted away from it, and a plan of many steps that waits.

`dc1` holds `prod` in mode `plan`: what was published first is applied; then the catalog changes, and hands on the
device do what hands do. `dc2` is away. Clients would meet `prod` at loopback, where a virtual
server shows a certificate.
"""

from __future__ import annotations

import asyncio
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.bigip import Caller, RunningDevice, devices_in_thread
from tests.support.central import CentralNode, central_node
from tests.support.certificates import make
from tests.support.ports import free_port

TENANT = "stagedoor_prod"
PATIENCE_S = 60.0
FIRST = tuple(f"ledger-{number:02}" for number in range(1, 29))
LATER = (*(f"ledger-{number:02}" for number in range(4, 29)), *(f"orders-{number:02}" for number in range(1, 24)))
OWN = {"ledger-20": "127.0.0.20", "ledger-21": "127.0.0.21"}  # services with virtual addresses of their own
OWN_LATER = {"ledger-20": "127.0.0.20", "ledger-21": "127.0.0.22"}
SETTINGS = """\
devices:
  bigip:
    - name: dc1
      units: ["{url}"]
      username: {username}
      password_file: bigip.password
      ca: "{ca}"
      members: ["192.0.2.21:8443", "192.0.2.22:8443"]
      environments:
        prod: {{mode: plan, virtual_address: 127.0.0.10, port: {port}, networks: [127.0.0.0/24],
               client_tls: /Common/clientssl, trust_ca: /Common/ca-bundle.crt, server_name: door.example.com,
               ticket: true}}
    - name: dc2
      units: ["https://127.0.0.1:9"]
      username: stagedoor
      password_file: bigip.password
      members: ["192.0.2.21:8443"]
      environments:
        prod: {{mode: observe, virtual_address: 127.0.0.11, client_tls: /Common/clientssl,
               trust_ca: /Common/ca-bundle.crt, server_name: door.example.com}}
"""
SERVICE = """\
apiVersion: backstage.io/v1alpha1
kind: Component
metadata:
  name: {name}
  title: {title}
  annotations:
    stagedoor.dev/environments: prod
    stagedoor.dev/host: {name}.localhost
    stagedoor.dev/upstream: http://127.0.0.1:9
    stagedoor.dev/access: consumers
{more}spec: {{type: service, lifecycle: production, owner: {owner}}}
"""


class DeviceScene:
    def __init__(self, central: CentralNode, device: RunningDevice) -> None:
        self.central = central
        self.device = device
        self.call = Caller(device)

    def standing(self, device: str = "dc1") -> Mapping[str, Any]:
        """As the API tells it to an administrator."""
        answer = self.central.ask("devices", "root")
        assert answer.status == 200, answer.text
        unknown = {"state": "", "drift": 0, "waiting": {"steps": 0}}
        return next((each for each in answer.json["devices"] if each["device"] == device), unknown)

    def view(self) -> Mapping[str, Any]:
        answer = self.central.ask("devices/dc1/prod", "root")
        assert answer.status == 200, answer.text
        found: Mapping[str, Any] = answer.json
        return found

    def until(self, holds: Callable[[], Any]) -> None:
        until_s = time.monotonic() + PATIENCE_S
        while not holds():
            assert time.monotonic() < until_s, self.standing()
            time.sleep(0.1)

    def publish(self, names: Iterable[str], own: Mapping[str, str], owners: Mapping[str, str] | None = None) -> None:
        documents = [
            SERVICE.format(
                name=name, title=name.replace("-", " ").title(), owner=(owners or {}).get(name, "books"),
                more=f"    stagedoor.dev/virtual-address: {own[name]}\n" if name in own else "",
            )
            for name in names
        ]  # fmt: skip
        folder = self.central.node.folder
        draft = folder / "draft.services"
        draft.write_text("---\n".join(documents))
        draft.rename(folder / "more" / "services.yaml")

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        state = self.central.node.folder / "state"
        return subprocess.run(
            [sys.executable, "-P", "-m", "gateway.cli", *arguments, "--state", str(state)],
            capture_output=True, text=True, cwd=self.central.node.folder, timeout=PATIENCE_S, check=False,
        )  # fmt: skip

    def looked(self) -> Any:
        """The standing, after the engine looked as for a person who asks for the drift."""
        self.command("drift", "--device", "dc1", "--env", "prod")
        return self.standing()

    def apply(self, ticket: str) -> None:
        plan = "prod.plan"
        planned = self.command("plan", "--device", "dc1", "--env", "prod", "--out", plan)
        assert planned.returncode in (0, 1), planned.stderr
        applied = self.command("apply", plan, "--ticket", ticket)
        assert applied.returncode == 0, applied.stdout + applied.stderr

    def hands_on_the_device(self) -> None:
        """An edit, a drain and an object of somebody's."""
        mine = f"/mgmt/tm/ltm/virtual/~{TENANT}~Shared~vs"
        assert self.call("PATCH", mine, {"destination": f"/{TENANT}/127.0.0.99:443"})[0] == 200
        _, pools = self.call("GET", f"/mgmt/tm/ltm/pool/~{TENANT}~Shared~pool/members")
        member = pools["items"][0]["selfLink"].partition("localhost")[2].partition("?")[0]
        assert self.call("PATCH", member, {"session": "user-disabled", "state": "user-down"})[0] == 200
        foreign = {"name": "handmade", "partition": TENANT, "fullPath": f"/{TENANT}/handmade"}
        status, answer = self.call("POST", "/mgmt/tm/ltm/pool", foreign)
        assert status == 200, answer


@contextmanager
def _shown(port: int, folder: Path) -> Iterator[None]:
    """A virtual server's TLS on loopback, for hosts below `localhost` and for some days only."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*make(folder / "front", "front", "*.localhost", days_left=9))
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    async def serve() -> asyncio.Server:
        return await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.10", port, ssl=context)

    server = asyncio.run_coroutine_threadsafe(serve(), loop).result(PATIENCE_S)
    try:
        yield
    finally:
        loop.call_soon_threadsafe(server.close)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(PATIENCE_S)
        loop.close()


@contextmanager
def device_scene(folder: Path) -> Iterator[DeviceScene]:
    """Applied once by a ticket, and drifted since; `FIRST` is on the device, `LATER` is wanted."""
    port = free_port()
    with devices_in_thread(folder) as (device,), _shown(port, folder):
        password = folder / "bigip.password"
        password.touch(0o600)
        password.write_text(device.password)
        more = SETTINGS.format(url=device.url, username=device.username, ca=device.ca, port=port)

        def configured(settings: str) -> str:
            return settings.replace("hosts: [.test]", "hosts: [.test, .localhost]") + more

        with central_node(folder, configure=configured) as central:
            scene = DeviceScene(central, device)
            scene.publish(FIRST, OWN)
            scene.until(lambda: scene.standing()["waiting"]["steps"] > 3)
            scene.apply("CHG-1041")
            scene.publish(LATER, OWN_LATER, {"ledger-07": "team"})
            scene.until(lambda: scene.looked()["waiting"]["steps"] > 25)
            scene.hands_on_the_device()
            scene.until(lambda: scene.looked()["drift"] >= 3)
            yield scene
