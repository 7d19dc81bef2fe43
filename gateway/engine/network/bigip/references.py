"""What an environment refers to and others keep on the device: certificates and APM objects. Read, never written.

A certificate is told with the days it has left and the names it carries; an APM profile or policy with the claims that
no branch of it tests. What is not there is a remark: a declaration that names it would be refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final
from urllib.parse import quote

from gateway.config_devices import BigipEnvironment
from gateway.engine.network.bigip.answers import is_missing, shown
from gateway.engine.network.bigip.client import Client
from gateway.engine.network.bigip.objects import Parts, listed
from gateway.engine.network.bigip.phrases import count, some

DAY_S: Final = 86_400
EXPIRES_SOON_D: Final = 30
CHAINS: Final = 8  # certificates of one profile that are looked at
_DNS: Final = re.compile(r"DNS:([^\s,]{1,253})")


async def references_of(client: Client, environment: BigipEnvironment) -> Parts:
    """By path, what the environment refers to; a ``remark`` where something is wrong. Raises `DeviceFault`."""
    parts: Parts = {}
    if environment.client_tls:
        profile = await _object(client, "ltm/profile/client-ssl", environment.client_tls)
        if profile is None:
            parts[environment.client_tls] = _absent(environment.client_tls, "client_tls")
        else:
            for path in _certificates_of(profile):
                parts[path] = await _certificate(client, path, "client_tls")
    if environment.trust_ca:
        parts[environment.trust_ca] = await _certificate(client, environment.trust_ca, "trust_ca")
    if environment.access_profile:
        parts |= await _access_profile(client, environment)
    if environment.per_request_policy:
        path = environment.per_request_policy
        policy = await _object(client, "apm/policy/access-policy", path)
        parts[path] = {"kind": "access"} if policy is not None else _absent(path, "per_request_policy")
    return parts


async def _object(client: Client, kind: str, path: str) -> dict[str, Any] | None:
    name = quote(path.replace("/", "~"), safe="~")
    said = await client.read(f"/mgmt/tm/{kind}/{name}", missing=is_missing)
    return said if isinstance(said, dict) else None


def _absent(path: str, setting: str) -> dict[str, Any]:
    return {"kind": "absent", "setting": setting, "remark": f"`{path}` (`{setting}`) is not on the device"}


# === certificates ===


async def _certificate(client: Client, path: str, setting: str) -> dict[str, Any]:
    said = await _object(client, "sys/file/ssl-cert", path)
    if said is None:
        return _absent(path, setting)
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


# === APM ===


async def _access_profile(client: Client, environment: BigipEnvironment) -> Parts:
    path = environment.access_profile
    profile = await _object(client, "apm/profile/access", path)
    if profile is None:
        return {path: _absent(path, "access_profile")}
    part: dict[str, Any] = {"kind": "access"}
    policy = profile.get("accessPolicy")
    if environment.required_claims and isinstance(policy, str):
        tested = await _expressions(client, policy)
        untested = [claim for claim in environment.required_claims if not _is_tested(claim, tested)]
        if untested:
            part["remark"] = f"no branch of access policy `{shown(policy)}` tests {some(untested)}"
    return {path: part}


async def _expressions(client: Client, policy: str) -> list[str]:
    """The Tcl tests on the items of one access policy."""
    held = await _object(client, "apm/policy/access-policy", policy) or {}
    own = {str(each.get("name")) for each in listed(held.get("items")) if isinstance(each, dict)}
    partition = quote(policy.strip("/").partition("/")[0], safe="")
    answer = await client.read(f"/mgmt/tm/apm/policy/policy-item?$filter=partition+eq+{partition}")
    items = listed(answer.get("items")) if isinstance(answer, dict) else []
    rules = [
        rule
        for item in items
        if isinstance(item, dict) and str(item.get("name")) in own
        for rule in listed(item.get("rules"))
    ]
    return [str(rule.get("expression", "")) for rule in rules if isinstance(rule, dict)]


def _is_tested(claim: str, expressions: Iterable[str]) -> bool:
    """Whether a session variable that ends in the claim's name is looked at."""
    name = re.compile(rf"\{{[\w.-]*\b{re.escape(claim)}\}}")
    return any(name.search(expression) for expression in expressions)
