"""A firewall that answers what a test scripts: real TLS, the XML API's one address, every call kept as it came."""

from __future__ import annotations

import asyncio
import hashlib
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from aiohttp import web

from gateway.config.devices import Panos
from tests.support.https_site import https_site

KEY = "LUFRPT1yZWFsbHktbm90LWEta2V5"
SYSTEM = (
    '<response status="success"><result><system><hostname>fw1</hostname><model>PA-VM</model><serial>0123</serial>'
    "<sw-version>11.1.6</sw-version><app-version>1-2</app-version><multi-vsys>off</multi-vsys></system></result></response>"
)
ALONE = '<response status="success"><result><enabled>no</enabled></result></response>'
TAGS = '<response status="success"><result><count>0</count></result></response>'
UNKNOWN_KEY = "<response status = 'error' code = '403'><result><msg>Invalid Credential</msg></result></response>"


class Said(NamedTuple):
    """One answer; ``status`` 0 breaks the connection instead."""

    status: int
    body: str
    content_type: str = "application/xml"


class Call(NamedTuple):
    key: str
    said: dict[str, str]


@dataclass
class ScriptedFirewall:
    """``script`` answers by the command (`cmd`), the next of ``queue`` first."""

    script: Callable[[str], Said]
    keys: tuple[str, ...] = (KEY,)
    queue: list[Said] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0
    url: str = ""
    fingerprint: str = ""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        said = {name: str(value) for name, value in (await request.post()).items()}
        key = request.headers.get("X-PAN-KEY", "")
        self.calls.append(Call(key, said))
        assert request.method == "POST" and request.path == "/api/" and not request.query_string
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(0)
        self.at_once -= 1
        found = self.queue.pop(0) if self.queue else None
        if found is None:
            found = self.script(said.get("cmd", "")) if key in self.keys else Said(403, UNKNOWN_KEY)
        if found.status == 0:
            assert request.transport is not None
            request.transport.abort()
        return web.Response(status=found.status or 200, text=found.body, content_type=found.content_type)


def well(command: str) -> Said:
    """A firewall that stands alone and lets its tags be read."""
    body = SYSTEM if "<info" in command else ALONE if "high-availability" in command else TAGS
    return Said(200, body)


def paired(state: str, sync: str = "synchronized") -> Callable[[str], Said]:
    """One of a pair."""
    body = (
        '<response status="success"><result><enabled>yes</enabled><group><mode>Active-Passive</mode>'
        f"<local-info><state>{state}</state></local-info><peer-info><state>passive</state></peer-info>"
        f"<running-sync>{sync}</running-sync><running-sync-enabled>yes</running-sync-enabled></group></result></response>"
    )
    return lambda command: Said(200, body) if "high-availability" in command else well(command)


@asynccontextmanager
async def scripted_firewall(
    folder: Path, script: Callable[[str], Said] = well, names: tuple[str, ...] = ("localhost", "127.0.0.1")
) -> AsyncIterator[ScriptedFirewall]:
    """Its authority is `ca.pem` in ``folder``; ``names`` are what its certificate carries."""
    made = ScriptedFirewall(script)
    async with https_site(folder, names, made.answer) as (url, certificate):
        first, end, _ = certificate.read_text().partition("-----END CERTIFICATE-----")
        made.url = url
        made.fingerprint = hashlib.sha256(ssl.PEM_cert_to_DER_cert(f"{first}{end}\n")).hexdigest()
        yield made


def firewall_settings(folder: Path, *units: ScriptedFirewall, **changes: Any) -> Panos:
    """A firewall of these units; its key lies in a file."""
    key = folder / "panos-key"
    if not key.exists():
        key.write_text(KEY + "\n")
    said: dict[str, Any] = {
        "name": "edge", "units": tuple(unit.url for unit in units), "key_files": (str(key),),
        "ca": str(folder / "ca.pem"),
    }  # fmt: skip
    return Panos(**{**said, **changes})
