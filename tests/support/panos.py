"""Firewalls that a test may hurt: the lab's emulator in this process, on loopback, behind TLS of a test authority."""

from __future__ import annotations

import asyncio
import http.client
import json
import ssl
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit
from xml.etree.ElementTree import Element, fromstring

from aiohttp import web

from gateway.lab.panos.device import Device
from gateway.lab.panos.faults import Knobs
from gateway.lab.panos.pairs import Pair
from gateway.lab.panos.serving import Front
from tests.support.bigip import all_closed
from tests.support.certificates import make

USER, PASSWORD = "stagedoor", "lab"
WAIT_S = 50.0  # of a machine that stands still now and then
LOCALHOST = "/config/devices/entry[@name='localhost.localdomain']"
VSYS1 = f"{LOCALHOST}/vsys/entry[@name='vsys1']"
RULES = f"{VSYS1}/rulebase/security/rules"


class Clock:
    """Epoch seconds, moved by hand."""

    def __init__(self, at: float = 1_800_000_000.0) -> None:
        self.at = at

    def __call__(self) -> float:
        return self.at

    def passes(self, seconds: float) -> None:
        self.at += seconds


@dataclass(frozen=True)
class RunningFirewall:
    """``url`` is its management address; ``ca`` the PEM file of the authority of its certificate."""

    device: Device
    front: Front
    url: str
    ca: Path
    username: str = USER
    password: str = PASSWORD

    @property
    def knobs(self) -> Knobs:
        return self.device.knobs

    @property
    def port(self) -> int:
        return int(urlsplit(self.url).port or 0)

    def client_tls(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.ca))


@asynccontextmanager
async def running_firewall(folder: Path, **how: Any) -> AsyncIterator[RunningFirewall]:
    """One firewall by itself. ``how`` is the `Device`'s: clock, vsys, model, admins."""
    async with running(folder, Device(**how)) as (firewall,):
        yield firewall


@asynccontextmanager
async def running_pair(
    folder: Path, *, pair: Pair | None = None, **how: Any
) -> AsyncIterator[tuple[RunningFirewall, ...]]:
    """Two firewalls, active and passive; the first is active."""
    together = pair or Pair()
    first = Device("firewall-a.lab.test", pair=together, **how)
    second = Device("firewall-b.lab.test", serial="007051000000002", pair=together, **how)
    async with running(folder, first, second) as firewalls:
        yield firewalls


@asynccontextmanager
async def running_panorama(folder: Path, count: int = 1, **how: Any) -> AsyncIterator[tuple[RunningFirewall, ...]]:
    """A Panorama, and the firewalls that it manages."""
    panorama = Device("panorama.lab.test", serial="000702000000001", panorama=True, **how)
    firewalls = [
        Device(f"firewall-{one}.lab.test", serial=f"00705100000000{one}", **how) for one in range(1, count + 1)
    ]
    panorama.managed = {firewall.serial: firewall for firewall in firewalls}
    async with running(folder, panorama, *firewalls) as devices:
        yield devices


@asynccontextmanager
async def running(folder: Path, *devices: Device) -> AsyncIterator[tuple[RunningFirewall, ...]]:
    certificate, key = make(folder / "panos-certs", "panos", "localhost", "127.0.0.1")
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate, key)
    found, runners = [], []
    try:
        for device in devices:
            front = Front(device)
            runner = web.AppRunner(front.app(), access_log=None, shutdown_timeout=0.5)
            await runner.setup()
            runners.append(runner)
            await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
            url = f"https://127.0.0.1:{runner.addresses[0][1]}"
            found.append(RunningFirewall(device, front, url, certificate.parent / "ca.pem"))
        yield tuple(found)
    finally:
        for runner in runners:
            await _ended(runner)


async def _ended(runner: web.AppRunner) -> None:
    """Clients have closed their connections: that arrives first, before the server ends the rest by force."""
    for _ in range(300):
        if runner.server is None or not runner.server.connections:
            break
        await asyncio.sleep(0.01)
    await runner.cleanup()


@contextmanager
def in_thread(folder: Path, *devices: Device) -> Iterator[tuple[RunningFirewall, ...]]:
    """The same, on a loop of its own, for clients that block."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    serving = running(folder, *devices)
    try:
        yield asyncio.run_coroutine_threadsafe(serving.__aenter__(), loop).result(WAIT_S)
    finally:
        asyncio.run_coroutine_threadsafe(serving.__aexit__(None, None, None), loop).result(WAIT_S)
        asyncio.run_coroutine_threadsafe(all_closed(), loop).result(WAIT_S)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(WAIT_S)
        loop.close()


@dataclass(frozen=True)
class Came:
    """What was answered. ``xml`` is empty where it was none."""

    status: int
    kind: str
    body: bytes

    @property
    def xml(self) -> Element:
        return fromstring(self.body)

    def found(self, path: str) -> Element:
        element = self.xml.find(path)
        assert element is not None, f"no {path} in {self}"
        return element

    @property
    def text(self) -> str:
        return self.body.decode()

    def __str__(self) -> str:
        return self.text

    @property
    def code(self) -> tuple[str, str]:
        """Status and code of the envelope."""
        return self.xml.get("status", ""), self.xml.get("code", "")

    @property
    def said(self) -> str:
        """The text of the first message, wherever it lies."""
        for path in ("msg/line", "result/msg/line", "result/msg", "msg", "result"):
            if text := (self.xml.findtext(path) or "").strip():
                return text
        return ""


class Api:
    """Plain requests of one administrator, one connection each. Asks for a key at the first need."""

    def __init__(self, firewall: RunningFirewall, user: str = USER, password: str = PASSWORD) -> None:
        self.firewall, self._user, self._password = firewall, user, password
        self._where = urlsplit(firewall.url)
        self._tls = firewall.client_tls()
        self.key = ""

    def raw(self, method: str, path: str, body: str | None = None, **headers: str) -> Came:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        connection = http.client.HTTPSConnection(
            str(self._where.hostname), self._where.port, context=self._tls, timeout=WAIT_S
        )
        try:
            connection.request(method, path, body=body, headers=sent)
            answer = connection.getresponse()
            return Came(answer.status, answer.headers.get("Content-Type", ""), answer.read())
        finally:
            connection.close()

    def __call__(self, type: str, **parameters: str) -> Came:
        """POST, with the key in its header."""
        if not self.key:
            self.log_in()
        return self.post({"type": type, **parameters}, X_PAN_KEY=self.key)

    def post(self, parameters: dict[str, str], **headers: str) -> Came:
        form = {"Content_Type": "application/x-www-form-urlencoded"}
        return self.raw("POST", "/api/", urlencode(parameters), **form, **headers)

    def log_in(self) -> str:
        came = self.post({"type": "keygen", "user": self._user, "password": self._password})
        self.key = came.xml.findtext("result/key") or ""
        assert self.key, came
        return self.key

    # === the few things that every test does ===

    def op(self, cmd: str, **parameters: str) -> Came:
        return self("op", cmd=cmd, **parameters)

    def config(self, action: str, xpath: str = "", element: str = "", **parameters: str) -> Came:
        return self("config", action=action, xpath=xpath, element=element, **parameters)

    def written(self, xpath: str, element: str, action: str = "set") -> None:
        came = self.config(action, xpath, element)
        assert came.code == ("success", "20"), came

    def tell(self, payload: str, **parameters: str) -> Came:
        message = f"<uid-message><version>1.0</version><type>update</type><payload>{payload}</payload></uid-message>"
        return self("user-id", cmd=message, **parameters)

    def commit(self, inside: str = "") -> str:
        """The job's number."""
        came = self("commit", cmd=f"<commit>{inside}</commit>")
        assert came.xml.findtext("result/job"), came
        return str(came.xml.findtext("result/job"))

    def job(self, number: str) -> Element:
        came = self.op(f"<show><jobs><id>{number}</id></jobs></show>")
        found = came.xml.find("result/job")
        assert found is not None, came
        return found

    def committed(self, inside: str = "") -> None:
        """For devices whose jobs take no time."""
        job = self.job(self.commit(inside))
        assert (job.findtext("status"), job.findtext("result")) == ("FIN", "OK"), [
            line.text for line in job.findall("details/line")
        ]

    def lab(self, name: str, method: str = "POST", **values: Any) -> Any:
        came = self.raw(method, f"/_lab/{name}", json.dumps(values))
        assert came.status == 200, came
        return json.loads(came.body)

    def faults(self, **knobs: Any) -> None:
        self.lab("faults", "PATCH", **knobs)


def rule(name: str, **fields: str) -> str:
    """The element of a rule that allows; ``fields`` with `_` for `-`, several values with a comma."""
    values = {"from": "any", "to": "any", "source": "any", "destination": "any", "source_user": "any",
              "application": "any", "service": "any"}  # fmt: skip
    values |= {field.rstrip("_"): value for field, value in fields.items()}
    plain = ("action", "disabled", "description", "negate_source", "negate_destination", "rule_type", "group_tag")
    inside = ""
    for field, value in ({"action": "allow"} | values).items():
        tag = field.replace("_", "-")
        members = "".join(f"<member>{one}</member>" for one in value.split(","))
        inside += f"<{tag}>{value if field in plain else members}</{tag}>"
    return f"<entry name='{name}'>{inside}</entry>"
