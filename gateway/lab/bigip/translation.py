"""An AS3 tenant as the objects it asks for: key → command and tmsh properties, as AS3's own traces show them.

Classes that are not known here become an entry of their own kind that holds what was declared: nothing is lost, a
change of it is a change, and no collection shows it. Inside a known class a key that has no property here changes
nothing, as it does on a device for a key of the wrong class.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from typing import Any, Final

from gateway.lab.bigip.declared import Application, Entry, entry, metadata_of, switched
from gateway.lab.bigip.properties import quoted
from gateway.lab.bigip.refusals import Json
from gateway.lab.bigip.services import SERVICES, add_service
from gateway.lab.bigip.templates import MEMBER, TEMPLATES

UNMAPPED_COMMAND: Final = "lab unmapped"
STATES: Final = {
    "enable": ("user-up", "user-enabled"),
    "disable": ("user-up", "user-disabled"),
    "offline": ("user-down", "user-disabled"),
}
HTTP_KEYS: Final = {
    "xForwardedFor": "insert-xforwarded-for",
    "trustXFF": "accept-xff",
    "requestChunking": "request-chunking",
    "responseChunking": "response-chunking",
    "rewriteRedirects": "redirect-rewrite",
    "multiplexTransformations": "oneconnect-transformations",
    "fallbackRedirect": "fallback-host",
}
MULTIPLEX_KEYS: Final = {
    "idleTimeoutOverride": "idle-timeout-override",
    "connectionLimitEnforcement": "limit-type",
    "maxConnectionAge": "max-age",
    "maxConnectionReuse": "max-reuse",
    "maxConnections": "max-size",
    "sharePools": "share-pools",
    "sourceMask": "source-mask",
}
POOL_KEYS: Final = {
    "loadBalancingMode": "load-balancing-mode",
    "minimumMembersActive": "min-active-members",
    "reselectTries": "reselect-tries",
    "serviceDownAction": "service-down-action",
    "slowRampTime": "slow-ramp-time",
}
MONITOR_KEYS: Final = {"interval": "interval", "timeout": "timeout", "timeUntilUp": "time-until-up",
                       "upInterval": "up-interval", "reverse": "reverse", "adaptive": "adaptive",
                       "transparent": "transparent", "dscp": "ip-dscp"}  # fmt: skip
MONITORS: Final = ("http", "https", "tcp")
STOCK_MONITORS: Final = {"icmp": "/Common/gateway_icmp", "http": "/Common/http", "https": "/Common/https",
                         "tcp": "/Common/tcp", "tcp-half-open": "/Common/tcp_half_open"}  # fmt: skip


def desired_of(tenant: str, said: Json) -> dict[str, Entry]:
    """All that the tenant asks for; nothing for a tenant that is empty."""
    found: dict[str, Entry] = {}
    applications = {name: part for name, part in said.items() if _is(part, "Application")}
    for name, content in applications.items():
        app = Application(tenant, name, content)
        app.entries[f"/{tenant}/{name}/"] = entry("sys folder", {})
        for own, part in content.items():
            if isinstance(part, dict) and isinstance(part.get("class"), str):
                _add(app, own, part)
        found |= app.entries
    if found and tenant != "Common":
        found[f"/{tenant}/"] = entry("auth partition", {"default-route-domain": said.get("defaultRouteDomain", 0)})
    return found


def _is(part: Any, kind: str) -> bool:
    return isinstance(part, dict) and part.get("class") == kind


def _add(app: Application, name: str, said: Json) -> None:
    kind = said["class"]
    if kind in SERVICES:
        add_service(app, name, said)
    elif kind == "Monitor" and said.get("monitorType") in MONITORS:
        _add_monitor(app, name, said)
    elif kind == "Certificate" and _only_refers(said):
        return  # the device has it already
    elif kind in ADDERS and not (kind == "Data_Group" and said.get("storageType", "internal") != "internal"):
        ADDERS[kind](app, name, said)
    else:
        app.entries[app.path(name)] = entry(UNMAPPED_COMMAND, {"declared": said})


def _only_refers(said: Json) -> bool:
    return isinstance(said.get("certificate"), dict) and "bigip" in said["certificate"]


def _taken(properties: Json, said: Json, keys: dict[str, str]) -> None:
    for key, name in keys.items():
        if key in said:
            value = said[key]
            properties[name] = switched(value) if isinstance(value, bool) else value


def _add_http(app: Application, name: str, said: Json) -> None:
    properties = dict(TEMPLATES["ltm profile http"])
    properties["insert-xforwarded-for"] = "enabled"
    _taken(properties, said, HTTP_KEYS)
    properties["enforcement"] = {
        **properties["enforcement"],
        "max-header-count": said.get("maxHeaderCount", 64),
        "max-header-size": said.get("maxHeaderSize", 32768),
    }
    if "remark" in said:
        properties["description"] = quoted(said["remark"])
    if "insertHeader" in said:
        properties["header-insert"] = quoted(f"{said['insertHeader']['name']}: {said['insertHeader']['value']}")
    app.entries[app.path(name)] = entry("ltm profile http", properties)


def _add_multiplex(app: Application, name: str, said: Json) -> None:
    properties = dict(TEMPLATES["ltm profile one-connect"]) | {"source-mask": "any"}
    _taken(properties, said, MULTIPLEX_KEYS)
    app.entries[app.path(name)] = entry("ltm profile one-connect", properties)


def _add_pool(app: Application, name: str, said: Json) -> None:
    members: Json = {}
    for declared in said.get("members", []):
        for address in declared.get("serverAddresses", []):
            home = "Common" if declared.get("shareNodes") else app.tenant
            node = f"/{home}/{address}"
            app.entries[node] = entry("ltm node", _node(address, shared=bool(declared.get("shareNodes"))))
            joint = "." if ":" in address else ":"
            members[f"{node}{joint}{declared.get('servicePort', 0)}"] = _member(declared)
    properties: Json = {}
    for key, value in TEMPLATES["ltm pool"].items():
        properties[key] = value
        if key == "min-active-members" and said.get("monitors"):
            properties["minimumMonitors"] = said.get("minimumMonitors", 1)
            properties["monitor"] = {_monitor(app, item): {} for item in said["monitors"]}
    properties["members"] = members
    _taken(properties, said, POOL_KEYS)
    properties["metadata"] = metadata_of(said.get("metadata"))
    app.entries[app.path(name)] = entry("ltm pool", properties)


def _node(address: str, *, shared: bool) -> Json:
    metadata = {"references": {"value": 1}} if shared else {}
    return {"address": address, "metadata": metadata, "monitor": {"default": {}}}


def _member(declared: Json) -> Json:
    state, session = STATES[declared.get("adminState", "enable" if declared.get("enable", True) else "disable")]
    return {
        **MEMBER,
        "connection-limit": declared.get("connectionLimit", 0),
        "priority-group": declared.get("priorityGroup", 0),
        "ratio": declared.get("ratio", 1),
        "state": state,
        "session": session,
        "metadata": metadata_of(declared.get("metadata")),
    }


def _monitor(app: Application, said: Any) -> str:
    if isinstance(said, str) and said in STOCK_MONITORS:
        return STOCK_MONITORS[said]
    return app.pointed(said)


def _add_monitor(app: Application, name: str, said: Json) -> None:
    command = f"ltm monitor {said['monitorType']}"
    properties = dict(TEMPLATES[command])
    _taken(properties, said, MONITOR_KEYS)
    for key, own in (("send", "send"), ("receive", "recv"), ("receiveDown", "recv-disable"), ("remark", "description")):
        if key in said:
            properties[own] = quoted(str(said[key]))
    if said.get("targetAddress") or said.get("targetPort"):
        properties["destination"] = f"{said.get('targetAddress') or '*'}:{said.get('targetPort') or '*'}"
    if said.get("clientTLS"):
        properties["ssl-profile"] = app.pointed(said["clientTLS"])
    app.entries[app.path(name)] = entry(command, properties)


def _add_tls_server(app: Application, name: str, said: Json) -> None:
    properties = dict(TEMPLATES["ltm profile client-ssl"])
    properties["cert-key-chain"] = {
        f"set{number}": _certificate(app, one.get("certificate")) | {"usage": "SERVER"}
        for number, one in enumerate(said.get("certificates", []))
    }
    if said.get("tls1_3Enabled"):
        properties["options"] = {"dont-insert-empty-fragments": {}}
    if "ciphers" in said:
        properties["ciphers"] = said["ciphers"]
    if said.get("authenticationTrustCA"):
        properties["ca-file"] = app.pointed(said["authenticationTrustCA"])
    app.entries[app.path(name)] = entry("ltm profile client-ssl", properties)


def _certificate(app: Application, said: Any) -> Json:
    """Where certificate, key and chain lie: on the device, or where the engine puts declared ones."""
    found = app.object(said)
    if found is None or not _only_refers(found):
        path = app.pointed(said)
        return {"cert": f"{path}.crt", "key": f"{path}.key", "chain": "none"}
    key, chain = found.get("privateKey"), found.get("chainCA")
    return {
        "cert": app.pointed(found["certificate"]),
        "key": app.pointed(key) if isinstance(key, dict) else "none",
        "chain": app.pointed(chain) if isinstance(chain, dict) else "none",
    }


def _add_tls_client(app: Application, name: str, said: Json) -> None:
    properties = dict(TEMPLATES["ltm profile server-ssl"])
    properties["peer-cert-mode"] = "require" if said.get("validateCertificate") else "ignore"
    trusted = said.get("trustCA")
    if trusted:
        properties["ca-file"] = "/Common/ca-bundle.crt" if trusted == "generic" else app.pointed(trusted)
    properties["authenticate-name"] = said.get("serverName", "none")
    properties["server-name"] = said.get("sendSNI", "none")
    if said.get("clientCertificate"):
        properties |= _certificate(app, said["clientCertificate"])
    if said.get("tls1_3Enabled"):
        properties["options"] = {"dont-insert-empty-fragments": {}}
    app.entries[app.path(name)] = entry("ltm profile server-ssl", properties)


def _add_data_group(app: Application, name: str, said: Json) -> None:
    records = {
        quoted(str(record["key"])): {"data": quoted(str(record.get("value", "")))} for record in said.get("records", [])
    }
    properties = {"description": quoted(said.get("remark", "")), "type": said.get("keyDataType", "string"),
                  "records": records}  # fmt: skip
    app.entries[app.path(name)] = entry("ltm data-group internal", properties)


def _add_rule(app: Application, name: str, said: Json) -> None:
    text = said.get("iRule", "")
    if isinstance(text, dict):
        try:
            text = base64.b64decode(str(text.get("base64", ""))).decode()
        except (binascii.Error, UnicodeDecodeError):
            text = ""
    app.entries[app.path(name)] = entry("ltm rule", {"api-anonymous": text.strip()})


ADDERS: Final[dict[str, Callable[[Application, str, Json], None]]] = {
    "HTTP_Profile": _add_http,
    "Multiplex_Profile": _add_multiplex,
    "Pool": _add_pool,
    "TLS_Server": _add_tls_server,
    "TLS_Client": _add_tls_client,
    "Data_Group": _add_data_group,
    "iRule": _add_rule,
}
