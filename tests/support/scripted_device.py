"""A device that answers by script, on a real loopback socket with TLS: the calls that the client makes, in the shapes
that AS3 and iControl were seen to use, and every way in which they can go wrong.

Without a script it works: it knows its tokens, keeps one tenant's declaration and shows the objects that come of it.
A script is a list of answers to a method and the beginning of a path; they are used up in order, then the device is
well again. Time and chance of the client are `FakeTime`'s: nothing here waits.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import web

from gateway.config.devices import Bigip
from gateway.engine.network.bigip.device.units import DeviceGroup
from gateway.engine.network.transport.patience import Limits, Time
from tests.support.https_site import https_site

Script = Callable[[web.Request], Awaitable[web.StreamResponse]]
PASSWORD = "a-password-of-nobody"
NOW = 1_800_000_000
PATIENT = Limits(connect=60.0, goodbye=60.0)  # real time passes only where this machine stands still
DECLARE = "/mgmt/shared/appsvcs/declare"


class FakeTime:
    """A clock that moves only when somebody sleeps; chance gives the upper bound."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self.slept: list[float] = []
        self.drawn: list[tuple[float, float]] = []
        self.share = 1.0

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now_s += seconds
        await asyncio.sleep(0)

    def uniform(self, low: float, high: float) -> float:
        self.drawn.append((low, high))
        return low + self.share * (high - low)

    def time(self) -> Time:
        return Time(lambda: self.now_s, self.sleep, self.uniform, lambda: NOW)


# === scripted answers ===


def says(status: int, body: Any = None, text: str | None = None, content_type: str = "application/json") -> Script:
    async def answer(_: web.Request) -> web.StreamResponse:
        shown = json.dumps(body) if text is None else text
        return web.Response(status=status, text=shown, content_type=content_type)

    return answer


def redirects(to: str) -> Script:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(status=302, headers={"Location": to})

    return answer


def breaks_off(after: str = '{"results": [{"co', status: int = 200) -> Script:
    """Half an answer, then a reset."""

    async def answer(request: web.Request) -> web.StreamResponse:
        begun = web.StreamResponse(status=status, headers={"Content-Length": "5000"})
        await begun.prepare(request)
        await begun.write(after.encode())
        assert request.transport is not None
        request.transport.abort()
        return begun

    return answer


def is_huge(pieces: int = 100_000) -> Script:
    async def answer(request: web.Request) -> web.StreamResponse:
        begun = web.StreamResponse()
        await begun.prepare(request)
        try:
            for _ in range(pieces):
                await begun.write(b" " * 65536)
        except ConnectionError:
            pass
        return begun

    return answer


def dawdles(until: asyncio.Event) -> Script:
    """Begins an answer and does not go on until the event."""

    async def answer(request: web.Request) -> web.StreamResponse:
        begun = web.StreamResponse(headers={"Content-Length": "5000"})
        await begun.prepare(request)
        await begun.write(b"{")
        await until.wait()
        return begun

    return answer


LOCKED = says(
    503,
    {"code": 503, "message": "Error: Configuration operation in progress on device localhost, please try again in 2 "
     "minutes", "host": "localhost"},
)  # fmt: skip
RESTARTING = says(503, text="<html><head><title>Configuration Utility restarting...</title></head></html>",
                  content_type="text/html")  # fmt: skip
MCPD_LOST = says(500, {"code": 500, "message": "The connection to mcpd has been lost, try again."})
NOT_REGISTERED = says(404, {"code": 404, "message": "Public URI path not registered: /shared/appsvcs/declare"})
NO_TOKEN = says(401, {"code": 401, "message": "X-F5-Auth-Token does not exist."})
TOO_MANY = says(400, {"code": 400, "message": "user 1234 has reached maximum active login tokens"})


# === the device ===


class ScriptedDevice:
    """``calls`` are `METHOD path?query` of what was asked, logins included; ``bodies`` what was sent with them."""

    def __init__(self) -> None:
        self.scripts: list[tuple[str, str, Script]] = []
        self.calls: list[str] = []
        self.bodies: list[Any] = []
        self.tokens: list[str] = []
        self.given = 0
        self.token_life: Any = 1200
        self.failover = "ACTIVE"
        self.sync = "Standalone"
        self.version = "3.56.0"
        self.declaration: dict[str, Any] | None = None  # as AS3 keeps it: one tenant
        self.objects: dict[str, list[dict[str, Any]]] = {}  # by collection
        self.tasks: dict[str, list[Any]] = {}  # what each look at a task finds; the last one stays
        self.states: list[str] = ["COMPLETED"]  # of iControl's tasks
        self.async_posts = True  # a declaration becomes a task
        self.applies = True  # what is declared takes effect
        self.after: list[Callable[[], None]] = []  # done once, when a declaration took effect
        self.certificate_ends = NOW + 90 * 86_400
        self.url = ""

    def script(self, method: str, path: str, *answers: Script) -> None:
        self.scripts += [(method, path, answer) for answer in answers]

    def asked(self, beginning: str) -> list[str]:
        return [call for call in self.calls if call.startswith(beginning)]

    @property
    def tenant(self) -> str:
        assert self.declaration is not None
        (name,) = (k for k, v in self.declaration.items() if isinstance(v, dict) and v.get("class") == "Tenant")
        return name

    def declare(self, declaration: dict[str, Any]) -> None:
        """As if somebody had posted it."""
        self.declaration = json.loads(json.dumps(declaration))
        assert self.declaration is not None
        self.declaration[self.tenant].pop("optimisticLockKey", None)
        self.objects = _objects_of(self.tenant, self.declaration[self.tenant])
        for change in self.after:
            change()
        self.after.clear()

    def item(self, collection: str, path: str) -> dict[str, Any]:
        return next(each for each in self.objects[collection] if each["fullPath"] == path)

    def member(self, pool: str, name: str) -> dict[str, Any]:
        items = self.item("pool", pool)["membersReference"]["items"]
        found: dict[str, Any] = next(each for each in items if each["name"] == name)
        return found

    # --- answers ---

    async def answer(self, request: web.Request) -> web.StreamResponse:
        path = request.raw_path
        self.calls.append(f"{request.method} {path}")
        text = await request.text()
        self.bodies.append(json.loads(text) if text else None)
        for number, (method, beginning, script) in enumerate(self.scripts):
            if method == request.method and path.startswith(beginning):
                del self.scripts[number]
                return await script(request)
        if path == "/mgmt/shared/authn/login":
            return self._login(self.bodies[-1])
        if request.headers.get("X-F5-Auth-Token") not in self.tokens:
            return await NO_TOKEN(request)
        return await self._known(request.method, path, self.bodies[-1])(request)

    def _login(self, body: Any) -> web.Response:
        if body.get("password") != PASSWORD:
            return web.json_response({"code": 401, "message": "Authentication failed."}, status=401)
        self.given += 1
        token = "TOKENTOKENTOKENTOKENTOKEN" + "ABCDEFGHIJKLMNOPQRSTUVWXYZ"[self.given % 26]
        self.tokens.append(token)
        # A clock of its own: nobody may reckon with it.
        shown = {"token": token, "timeout": self.token_life, "startTime": "1999-06-25T17:49:47.671+0000"}
        return web.json_response({"username": body["username"], "token": shown})

    def _known(self, method: str, path: str, body: Any) -> Script:
        bare, _, query = path.partition("?")
        if bare.startswith("/mgmt/shared/authz/tokens/"):
            return self._token(method, bare.rpartition("/")[2], body)
        if bare.startswith(DECLARE):
            return self._declare(method, query, body)
        if bare.startswith("/mgmt/shared/appsvcs/task/"):
            found = self.tasks.get(bare.rpartition("/")[2])
            if not found:
                return says(404, {"message": f"No record found with ID of {bare.rpartition('/')[2]}"})
            return says(200, found.pop(0) if len(found) > 1 else found[0])
        if bare.startswith("/mgmt/tm/task/"):
            return self._task(method)
        return self._read(bare)

    def _token(self, method: str, token: str, body: Any) -> Script:
        if method == "DELETE":
            self.tokens.remove(token)
            return says(200, {})
        if int(body["timeout"]) > 36_000:
            return says(406, {"code": 406, "message": "Auth-token absolute timeout (36000 seconds) exceeded"})
        return says(200, {"token": token, "timeout": body["timeout"], "generation": 2})

    def _read(self, path: str) -> Script:
        name = path.removeprefix("/mgmt/tm/ltm/")
        known = {
            "/mgmt/shared/appsvcs/info": {"version": self.version, "release": "10", "schemaCurrent": self.version},
            "/mgmt/tm/cm/failover-status": _statistic("failover-status", self.failover),
            "/mgmt/tm/cm/sync-status": _statistic("sync-status", self.sync),
        }
        if path in known:
            return says(200, known[path])
        if path.startswith("/mgmt/tm/ltm/profile/client-ssl/"):
            return says(200, {"certKeyChain": [{"name": "a", "cert": "/Common/clients.crt"}]})
        if path.startswith("/mgmt/tm/sys/file/ssl-cert/"):
            return says(200, {"expirationDate": self.certificate_ends})
        items = self.objects.get(name, [])
        return says(200, {"kind": f"tm:ltm:{name}:collectionstate"} | ({"items": items} if items else {}))

    def _task(self, method: str) -> Script:
        if method == "POST":
            return says(200, {"_taskId": 7, "_taskState": "STARTED"})
        if method == "PUT":
            return says(202, {"_taskId": 7})
        return says(200, {"_taskId": 7, "_taskState": self.states.pop(0) if len(self.states) > 1 else self.states[0]})

    def _declare(self, method: str, query: str, body: Any) -> Script:
        if method == "GET":
            if self.declaration is None:
                return says(404, {"code": 404, "message": "specified Tenant(s) 'x' not found in declaration"})
            tenant = {**self.declaration[self.tenant], "optimisticLockKey": self.key()}
            return says(200, {**self.declaration, self.tenant: tenant})
        if method == "DELETE":
            name, self.declaration, self.objects = self.tenant, None, {}
            return self._ended(name, "success")
        declaration = body["declaration"] if body.get("class") == "AS3" else body
        (name,) = (k for k, v in declaration.items() if isinstance(v, dict) and v.get("class") == "Tenant")
        if "dryRun=true" in query:
            return says(200, {"results": [_result(name, 200, "success") | {"dryRun": True}],
                              "traces": {f"{name}Diff": []}})  # fmt: skip
        key = declaration[name].get("optimisticLockKey")
        if key is not None and key != self.key():
            why = "The hash you submitted does not match the hash on the current Tenant. This usually indicates"
            return says(422, {"results": [_result(name, 422, why)], "code": 422})
        if self.applies:
            self.declare(declaration)
        return self._ended(name, "success")

    def _ended(self, name: str, message: str) -> Script:
        body = {"results": [_result(name, 200, message)], "declaration": {}}
        if not self.async_posts:
            return says(200, body)
        task = f"task-{len(self.tasks)}"
        self.tasks[task] = [{"id": task, "results": [_result("", 0, "in progress")]}, {"id": task, **body}]
        waiting = [_result("", 0, "Declaration successfully submitted")]
        link = f"https://localhost/mgmt/shared/appsvcs/task/{task}"
        return says(202, {"id": task, "results": waiting, "selfLink": link})

    def key(self) -> str:
        """Written down apart from the product's: base64 of SHA-256 of base64 of the text."""
        if self.declaration is None:
            return ""
        text = json.dumps(self.declaration[self.tenant], separators=(",", ":"), ensure_ascii=False).encode()
        return base64.b64encode(hashlib.sha256(base64.b64encode(text)).digest()).decode()


def _result(tenant: str, code: int, message: str) -> dict[str, Any]:
    return {"code": code, "message": message, "host": "localhost", "tenant": tenant, "runTime": 1}


def _statistic(name: str, status: str) -> dict[str, Any]:
    place = f"https://localhost/mgmt/tm/cm/{name}/0"
    nested = {"color": {"description": "green"}, "status": {"description": status}}
    return {"kind": f"tm:cm:{name}:stats", "entries": {place: {"nestedStats": {"entries": nested}}}}


def _objects_of(name: str, tenant: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """What AS3 makes of the classes that Stagedoor writes, as iControl shows it."""
    made: dict[str, list[dict[str, Any]]] = {}
    for application, members in tenant.items():
        for own, said in members.items() if isinstance(members, dict) else ():
            if isinstance(said, dict):
                folder = f"/{name}/{application}"
                collection, item = _item(folder, said)
                if collection:
                    item |= {"name": own, "partition": name, "fullPath": f"{folder}/{own}", "generation": 1}
                    made.setdefault(collection, []).append(item)
    return made


def _item(folder: str, said: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    def at(pointer: Any) -> str:
        path = str(pointer.get("bigip") or pointer.get("use")) if isinstance(pointer, dict) else str(pointer)
        return path if path.startswith("/") else "/Common/http" if path == "basic" else f"{folder}/{path}"

    kind = said["class"]
    if kind in ("Service_HTTPS", "Service_HTTP"):
        named = [said[key] for key in ("profileHTTP", "profileMultiplex", "serverTLS", "clientTLS") if key in said]
        profiles = [{"fullPath": at(each)} for each in named] + [{"fullPath": "/Common/f5-tcp-progressive"}]
        item = {
            "destination": f"{folder.rpartition('/')[0]}/{said['virtualAddresses'][0]}:{said['virtualPort']}",
            "enabled": True, "rules": [at(each) for each in said.get("iRules", [])],
            "sourceAddressTranslation": {"type": {"auto": "automap"}.get(said["snat"], "none")},
            "profilesReference": {"isSubcollection": True, "items": profiles},
            "metadata": [{"name": key, "persist": "true", "value": each["value"]}
                         for key, each in said.get("metadata", {}).items()],
        }  # fmt: skip
        return "virtual", item | ({"pool": at(said["pool"])} if "pool" in said else {})
    if kind == "Pool":
        items = [
            _member(f"{address}:{entry['servicePort']}", entry.get("adminState", "enable"))
            for entry in said["members"] for address in entry["serverAddresses"]
        ]  # fmt: skip
        monitors = " ".join(at(each) for each in said.get("monitors", []))
        return "pool", {"loadBalancingMode": "round-robin", "monitor": f"min 1 of {{ {monitors} }}",
                        "membersReference": {"isSubcollection": True, "items": items}}  # fmt: skip
    if kind == "Monitor":
        return f"monitor/{said['monitorType']}", {
            "send": said["send"], "recv": said["receive"], "recvDisable": said.get("receiveDown", "none"),
            "interval": said["interval"], "timeout": said["timeout"],
        }  # fmt: skip
    if kind == "TLS_Client":
        mode = "require" if said.get("validateCertificate") else "ignore"
        return "profile/server-ssl", {"peerCertMode": mode, "caFile": at(said["trustCA"]),
                                      "authenticateName": said.get("serverName", "none"),
                                      "serverName": said.get("sendSNI", "none")}  # fmt: skip
    if kind == "Data_Group":
        records = [{"name": each["key"], "data": each["value"]} for each in said["records"]]
        return "data-group/internal", {"type": "string"} | ({"records": records} if records else {})
    if kind == "HTTP_Profile":
        return "profile/http", {"insertXforwardedFor": "enabled" if said.get("xForwardedFor", True) else "disabled",
                                "headerInsert": "none"}  # fmt: skip
    if kind == "Multiplex_Profile":
        return "profile/one-connect", {"sourceMask": "any"}
    return ("rule", {"apiAnonymous": f"{said['iRule'].strip()}\n"}) if kind == "iRule" else ("", {})


def _member(name: str, state: str) -> dict[str, Any]:
    session, shown = {"enable": ("monitor-enabled", "up"), "disable": ("user-disabled", "up"),
                      "offline": ("user-disabled", "user-down")}[state]  # fmt: skip
    return {"name": name, "fullPath": f"/Common/{name}", "session": session, "state": shown}


@asynccontextmanager
async def scripted(folder: Path, names: tuple[str, ...] = ("localhost", "127.0.0.1")) -> AsyncIterator[ScriptedDevice]:
    """One device. Its authority is `ca.pem` in ``folder``; ``names`` are what its certificate carries."""
    made = ScriptedDevice()
    async with https_site(folder, names, made.answer) as (url, _):
        made.url = url
        yield made


def settings_of(folder: Path, *units: ScriptedDevice, **changes: Any) -> Bigip:
    """A device group of these units; its password lies in a file."""
    password = folder / "password"
    if not password.exists():
        password.write_text(PASSWORD + "\n")
    said: dict[str, Any] = {
        "name": "dc1", "units": tuple(unit.url for unit in units), "username": "stagedoor",
        "password_file": str(password), "ca": str(folder / "ca.pem"),
        "members": ("192.0.2.21:8443", "192.0.2.22:8443"),
    }  # fmt: skip
    return Bigip(**{**said, **changes})


@asynccontextmanager
async def group_of(device: Bigip, clock: FakeTime) -> AsyncIterator[DeviceGroup]:
    group = DeviceGroup(device, clock.time(), PATIENT)
    try:
        yield group
    finally:
        await group.close()
