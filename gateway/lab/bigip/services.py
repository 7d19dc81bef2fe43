"""Declared services as virtual servers and their addresses."""

from __future__ import annotations

from typing import Any, Final

from gateway.lab.bigip.declared import Application, entry, metadata_of
from gateway.lab.bigip.properties import REQUEST_POLICY, quoted
from gateway.lab.bigip.refusals import Json
from gateway.lab.bigip.templates import TEMPLATES

HTTP_SERVICES: Final = ("Service_HTTP", "Service_HTTPS")
SERVICES: Final = (*HTTP_SERVICES, "Service_TCP")
TCP_PROFILES: Final = {
    "normal": "/Common/f5-tcp-progressive",
    "lan": "/Common/f5-tcp-lan",
    "wan": "/Common/f5-tcp-wan",
    "mobile": "/Common/f5-tcp-mobile",
}
PERSISTENCE: Final = {"cookie": "/Common/cookie", "source-address": "/Common/source_addr"}
WITH_ACCESS: Final = ("/Common/rba", "/Common/websso")  # what the engine puts beside an access profile
SNAT: Final = {"auto": {"type": "automap"}, "none": {"type": "none"}, "self": {"type": "automap"}}


def add_service(app: Application, name: str, said: Json) -> None:
    """One virtual server per address; the second and later ones are numbered."""
    addresses = [_address(app, item) for item in said.get("virtualAddresses", [])]
    port = said.get("virtualPort", 443 if said["class"] == "Service_HTTPS" else 80)
    for number, address in enumerate(address for address in addresses if address):
        _add_address(app, address)
        own = name if number == 0 else f"{name}-{number}-"
        properties = _virtual(app, said, address, port if isinstance(port, int) else 0)
        app.entries[app.path(own)] = entry("ltm virtual", properties)
        if said["class"] == "Service_HTTPS" and said.get("redirect80", True):
            app.entries[app.path(f"{own}-Redirect-")] = entry("ltm virtual", _redirect(app, properties, address))


def _address(app: Application, said: Any) -> str:
    if isinstance(said, list):  # destination and source
        said = said[0] if said else ""
    if isinstance(said, dict):
        found = app.object(said)
        return str(found.get("virtualAddress", "")) if found else ""
    return str(said)


def _add_address(app: Application, said: str) -> None:
    address, _, bits = said.partition("/")
    any_address = address in ("0.0.0.0", "::")
    properties = {**TEMPLATES["ltm virtual-address"], "address": "any" if any_address else address}
    if ":" in address:
        properties["mask"] = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"
    if any_address or bits == "0":
        properties["mask"] = "any"
    app.entries[f"/{app.tenant}/Service_Address-{address}"] = entry("ltm virtual-address", properties)


def _virtual(app: Application, said: Json, said_address: str, port: int) -> Json:
    address = said_address.partition("/")[0]
    properties: Json = dict(TEMPLATES["ltm virtual"])
    if not said.get("enable", True):
        properties = {("disabled" if name == "enabled" else name): value for name, value in properties.items()}
    properties["description"] = quoted(str(said.get("remark", app.name)))
    joint = "." if ":" in address else ":"
    properties["destination"] = f"/{app.tenant}/{address}{joint}{port}"
    properties["persist"] = _persist(app, said)
    pool = app.pointed(said.get("pool"))
    if pool:
        properties["pool"] = pool
    properties["profiles"] = _profiles(app, said)
    properties["rules"] = {app.pointed(rule): {} for rule in said.get("iRules", [])}
    if said.get("policyPerRequestAccess"):
        properties[REQUEST_POLICY] = app.pointed(said["policyPerRequestAccess"])
    snat = said.get("snat", "auto")
    properties["source-address-translation"] = (
        SNAT[snat] if isinstance(snat, str) and snat in SNAT else {"pool": app.pointed(snat), "type": "snat"}
    )
    properties["metadata"] = metadata_of(said.get("metadata"))
    return properties


def _persist(app: Application, said: Json) -> Json:
    usual = ["cookie"] if said["class"] in HTTP_SERVICES else ["source-address"]
    found: Json = {}
    for method in said.get("persistenceMethods", usual):
        path = PERSISTENCE.get(method, "") if isinstance(method, str) else app.pointed(method)
        if path:
            found[path] = {"default": "no" if found else "yes"}
    return found


def _profiles(app: Application, said: Json) -> Json:
    """In the order in which the engine writes them."""
    found: Json = {}
    if said.get("profileAccess"):
        found |= dict.fromkeys((app.pointed(said["profileAccess"]), *WITH_ACCESS), "all")
    if said["class"] in HTTP_SERVICES:
        found[_profile(app, said.get("profileHTTP", "basic"), {"basic": "/Common/http"})] = "all"
    if said.get("profileMultiplex"):
        found[_profile(app, said["profileMultiplex"], {"basic": "/Common/oneconnect"})] = "all"
    tcp = said.get("profileTCP", "normal")
    if isinstance(tcp, dict) and "ingress" in tcp:
        found[_profile(app, tcp["ingress"], TCP_PROFILES)] = "clientside"
        found[_profile(app, tcp.get("egress", "normal"), TCP_PROFILES)] = "serverside"
    else:
        found[_profile(app, tcp, TCP_PROFILES)] = "all"
    found |= _tls(app, said)
    if said.get("profileWebSocket"):
        found["/Common/websocket"] = "all"
    return {path: {"context": context} for path, context in found.items() if path}


def _tls(app: Application, said: Json) -> dict[str, str]:
    """The words swap sides: `serverTLS` is where the device is a server, towards clients."""
    found: dict[str, str] = {}
    for name, context in (("serverTLS", "clientside"), ("clientTLS", "serverside")):
        several = said.get(name)
        for one in several if isinstance(several, list) else [several]:
            if one:
                found[app.pointed(one)] = context
    return found


def _profile(app: Application, said: Any, usual: dict[str, str]) -> str:
    if isinstance(said, str) and said in usual:
        return usual[said]
    return app.pointed(said)


def _redirect(app: Application, properties: Json, said_address: str) -> Json:
    address = said_address.partition("/")[0]
    joint = "." if ":" in address else ":"
    return {
        **{name: value for name, value in properties.items() if name != "pool"},
        "destination": f"/{app.tenant}/{address}{joint}80",
        "persist": {},
        "profiles": {"/Common/http": {"context": "all"}, "/Common/f5-tcp-progressive": {"context": "all"}},
        "rules": {"/Common/_sys_https_redirect": {}},
        "metadata": {},
    }
