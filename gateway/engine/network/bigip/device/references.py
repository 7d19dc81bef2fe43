"""What an environment refers to and others keep on the device: certificates and APM objects. Read, never written.

A certificate is told with the days it has left and the names it carries, APM objects in `apm.py`. What is not there is
a remark: a declaration that names it would be refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from gateway.config.devices import BigipEnvironment
from gateway.engine.network.bigip.as3.apm import all_of
from gateway.engine.network.bigip.device.apm import apm_parts
from gateway.engine.network.bigip.device.client import Client
from gateway.engine.network.bigip.device.looking_up import absent, object_at
from gateway.engine.network.bigip.objects import Parts, listed
from gateway.engine.network.plans.phrases import count, some
from gateway.engine.network.transport.texts import shown

DAY_S: Final = 86_400
EXPIRES_SOON_D: Final = 30
CHAINS: Final = 8  # certificates of one profile that are looked at
_DNS: Final = re.compile(r"DNS:([^\s,]{1,253})")


async def references_of(client: Client, environment: BigipEnvironment) -> Parts:
    """By path, what the environment refers to; a ``remark`` where something is wrong. Raises `DeviceFault`."""
    parts: Parts = {}
    if environment.client_tls:
        profile = await object_at(client, "ltm/profile/client-ssl", environment.client_tls)
        if profile is None:
            parts[environment.client_tls] = absent(environment.client_tls, "client_tls")
        else:
            for path in _certificates_of(profile):
                parts[path] = await _certificate(client, path, "client_tls")
    if environment.trust_ca:
        parts[environment.trust_ca] = await _certificate(client, environment.trust_ca, "trust_ca")
    return parts | await apm_parts(client, all_of(environment))


# === certificates ===


async def _certificate(client: Client, path: str, setting: str) -> dict[str, Any]:
    said = await object_at(client, "sys/file/ssl-cert", path)
    if said is None:
        return absent(path, setting)
    part: dict[str, Any] = {"kind": "certificate", "setting": setting}
    expires = said.get("expirationDate")
    if isinstance(expires, int) and not isinstance(expires, bool) and said.get("isBundle") not in (True, "true"):
        part["days left"] = left = int((expires - client.time.wall()) // DAY_S)
        if left < EXPIRES_SOON_D:
            part["remark"] = f"certificate `{shown(path)}` (`{setting}`) {ends(left)}"
    if names := _DNS.findall(str(said.get("subjectAlternativeName", ""))):
        part["names"] = [name.lower() for name in names]
    return part


def ends(days: int) -> str:
    return f"ends in {count(days, 'day')}" if days >= 0 else f"ended {count(-days, 'day')} ago"


def _certificates_of(profile: Mapping[str, Any]) -> list[str]:
    chain = [each.get("cert") for each in listed(profile.get("certKeyChain")) if isinstance(each, dict)]
    named = chain or [profile.get("cert")]
    return [path for path in named if isinstance(path, str) and path.startswith("/")][:CHAINS]


def uncovered(hosts: Iterable[str], parts: Mapping[str, Mapping[str, Any]]) -> str:
    """A remark about hosts whose name none of the certificates for clients carries; "" for none, and where a device
    does not say which names they carry."""
    shown_ones = [part for part in parts.values() if part.get("setting") == "client_tls"]
    if not shown_ones or any("names" not in part for part in shown_ones):
        return ""
    names = {name for part in shown_ones for name in part["names"]}
    bare = sorted({host for host in hosts if host not in names and f"*.{host.partition('.')[2]}" not in names})
    if not bare:
        return ""
    return f"no certificate of `client_tls` carries {some(bare)}: browsers will refuse {count(len(bare), 'host')}"
