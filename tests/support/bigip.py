"""A BIG-IP that a test may hurt: the lab's emulator in this process, on loopback, behind TLS of a test authority."""

from __future__ import annotations

import asyncio
import http.client
import json
import ssl
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from aiohttp import web

from gateway.lab.bigip.availability import DeviceGroup
from gateway.lab.bigip.faults import Knobs
from gateway.lab.bigip.schema import Schema
from gateway.lab.bigip.serving import Device
from gateway.lab.bigip.unit import Unit
from tests.support.certificates import make

USER, PASSWORD = "stagedoor", "lab"
SHARED = Path(__file__).parents[3] / "shared" / "data"


def recorded(name: str) -> Any:
    """A file of recordings, which lie beside the project; skips where they do not."""
    path = SHARED / name
    if not path.exists():
        pytest.skip(f"{path.name} lies beside the project (../shared/data/{name}), not in it")
    return json.loads(path.read_bytes())


@cache
def official_schema() -> Schema | None:
    """AS3's own schema, None where it does not lie beside the project."""
    path = SHARED / "as3" / "as3-schema.json"
    return Schema(path) if path.exists() else None


@dataclass(frozen=True)
class RunningDevice:
    """``url`` is its management address; ``ca`` the PEM file of the authority of its certificate."""

    unit: Unit
    url: str
    ca: Path
    username: str = USER
    password: str = PASSWORD

    @property
    def knobs(self) -> Knobs:
        return self.unit.knobs

    def client_tls(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.ca))


@asynccontextmanager
async def running_device(folder: Path, **how: Any) -> AsyncIterator[RunningDevice]:
    """One unit by itself. ``how`` is the `Unit`'s: clock, users, schema."""
    async with running_units(folder, 1, **how) as (device,):
        yield device


@asynccontextmanager
async def running_pair(
    folder: Path, *, automatic: bool = False, **how: Any
) -> AsyncIterator[tuple[RunningDevice, ...]]:
    """Two units in one device group; the first is active."""
    async with running_units(folder, 2, automatic=automatic, **how) as devices:
        yield devices


@asynccontextmanager
async def running_units(
    folder: Path, count: int, *, automatic: bool = False, **how: Any
) -> AsyncIterator[tuple[RunningDevice, ...]]:
    certificate, key = make(folder / "bigip-certs", "bigip", "localhost", "127.0.0.1")
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate, key)
    group = DeviceGroup(automatic=automatic)
    devices, runners = [], []
    try:
        for letter in "ab"[:count]:
            unit = Unit(f"bigip-{letter}.lab.test", group=group, **how)
            runner = web.AppRunner(Device(unit).app(), access_log=None, shutdown_timeout=0.5)
            await runner.setup()
            runners.append(runner)
            site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
            await site.start()
            port = runner.addresses[0][1]
            devices.append(RunningDevice(unit, f"https://127.0.0.1:{port}", certificate.parent / "ca.pem"))
        yield tuple(devices)
    finally:
        for device in devices:
            await device.unit.records.close()
        for runner in runners:
            await _ended(runner)


async def _ended(runner: web.AppRunner) -> None:
    """Clients have closed their connections: that arrives first. One that a client keeps open and never reads again is
    cut off: TLS would wait half a minute for its word of farewell."""
    for _ in range(300):
        if runner.server is None or not runner.server.connections:
            break
        await asyncio.sleep(0.01)
    for kept in runner.server.connections if runner.server is not None else ():
        if kept.transport is not None:
            kept.transport.abort()
    await runner.cleanup()
    for _ in range(5):
        await asyncio.sleep(0)  # a transport ends one step after its protocol


async def all_closed() -> None:
    """No socket is open on this loop but its own: what closes over TLS takes a few steps."""
    selector = asyncio.get_running_loop()._selector  # type: ignore[attr-defined]  # there is no public way to ask
    while len(selector.get_map()) > 1:
        await asyncio.sleep(0.01)


# === for tests that wait ===

WAIT_S = 50.0  # of a machine that stands still now and then


class Caller:
    """Plain requests, one connection each. Logs in once, at the first need."""

    def __init__(self, device: RunningDevice) -> None:
        self.device = device
        self._where = urlsplit(device.url)
        self._tls = device.client_tls()
        self.token = ""

    def log_in(self) -> str:
        body = {"username": self.device.username, "password": self.device.password, "loginProviderName": "tmos"}
        status, answer = self("POST", "/mgmt/shared/authn/login", body, token="")
        assert status == 200, answer
        self.token = answer["token"]["token"]
        return self.token

    def __call__(
        self, method: str, path: str, body: Any = None, *, token: str | None = None, **headers: str
    ) -> tuple[int, Any]:
        """Status and body: JSON as a value, anything else as text, None where there is none.

        ``body``: a string is sent as it is. ``token``: "" sends none. ``headers``: with `_` for `-`.
        """
        if token is None:
            token = self.token or self.log_in()
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if token:
            sent["X-F5-Auth-Token"] = token
        data = None if body is None else body if isinstance(body, str) else json.dumps(body)
        connection = http.client.HTTPSConnection(
            str(self._where.hostname), self._where.port, context=self._tls, timeout=WAIT_S
        )
        try:
            connection.request(method, path, body=data, headers=sent)
            answer = connection.getresponse()
            came = answer.read()
            kind = answer.headers.get_content_type()
        finally:
            connection.close()
        if not came:
            return answer.status, None
        return answer.status, json.loads(came) if kind == "application/json" else came.decode()

    def faults(self, **knobs: Any) -> None:
        """Turn knobs over HTTPS."""
        status, answer = self("PATCH", "/_lab/faults", knobs, token="")
        assert status == 200, answer

    def lab(self, name: str, **values: Any) -> Any:
        status, answer = self("POST", f"/_lab/{name}", values, token="")
        assert status == 200, answer
        return answer


@contextmanager
def devices_in_thread(folder: Path, count: int = 1, **how: Any) -> Iterator[tuple[RunningDevice, ...]]:
    """The same, on a loop of its own, for clients that block."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    running = running_units(folder, count, **how)
    try:
        devices = asyncio.run_coroutine_threadsafe(running.__aenter__(), loop).result(WAIT_S)
        try:
            yield devices
        finally:
            asyncio.run_coroutine_threadsafe(running.__aexit__(None, None, None), loop).result(WAIT_S)
            asyncio.run_coroutine_threadsafe(all_closed(), loop).result(WAIT_S)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(WAIT_S)
        loop.close()
