"""A declaration in the words of tmsh: the same objects, for people who read those, and for devices without AS3.

One transaction that creates what is not there; on a device that has the objects already it fails whole, and changes
nothing. Only what `declaration.py` writes is known here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from ipaddress import ip_address
from typing import Any, Final

from gateway.engine.network.bigip.as3 import names

# In this order: what is pointed to comes before what points there.
_ORDER: Final = (
    "iRule", "Data_Group", "HTTP_Profile", "Multiplex_Profile", "TLS_Client", "Monitor", "Pool",
    "Service_HTTP", "Service_HTTPS",
)  # fmt: skip

Object = Mapping[str, Any]


def script_of(declaration: Object) -> str:
    """Raises `KeyError` for a declaration that is not ours."""
    (tenant,) = [name for name, each in declaration.items() if isinstance(each, dict) and each["class"] == "Tenant"]
    lines = [f"# {declaration['id']}", "create cli transaction"]
    lines.append(f'create auth partition {tenant} description "{names.MARK}"')
    applications = [(name, each) for name, each in declaration[tenant].items() if isinstance(each, dict)]
    lines += [f"create sys folder /{tenant}/{name}" for name, _ in applications]
    for kind in _ORDER:
        for name, application in applications:
            for key, held in application.items():
                if isinstance(held, dict) and held.get("class") == kind:
                    lines += _created(kind, f"/{tenant}/{name}/{key}", held, application)
    return "".join(f"{line}\n" for line in (*lines, "submit cli transaction", "save sys config"))


def _created(kind: str, path: str, held: Object, application: Object) -> Iterator[str]:
    match kind:
        case "Data_Group":
            records = " ".join(f'"{each["key"]}" {{ data "{each["value"]}" }}' for each in held["records"])
            added = f" records add {{ {records} }}" if records else ""
            yield f"create ltm data-group internal {path} type string{added}"
        case "Monitor":
            yield _monitor(path, held)
        case "HTTP_Profile":
            yield f"create ltm profile http {path} defaults-from http insert-xforwarded-for enabled"
        case "Multiplex_Profile":
            yield f"create ltm profile one-connect {path} defaults-from oneconnect"
        case "TLS_Client":
            yield _tls(path, held, application)
        case "Pool":
            yield _pool(path, held)
        case "Service_HTTP" | "Service_HTTPS":
            yield _virtual(path, held)
        case "iRule":
            yield f"create ltm rule {path} {{"
            yield from held["iRule"].splitlines()
            yield "}"


def _monitor(path: str, held: Object) -> str:
    kind = held["monitorType"]
    target = f' destination "*:{held["targetPort"]}"' if "targetPort" in held else ""
    profile = f" ssl-profile {_at(held['clientTLS'], path)}" if "clientTLS" in held else ""
    return (
        f"create ltm monitor {kind} {path} defaults-from {kind} interval {held['interval']} timeout {held['timeout']}"
        f'{target}{profile} recv "{held["receive"]}" recv-disable "{held["receiveDown"]}" send "{held["send"]}"'
    )


def _tls(path: str, held: Object, application: Object) -> str:
    shown = ""
    if "clientCertificate" in held:
        certificate = application[held["clientCertificate"]]
        shown = f" cert {certificate['certificate']['bigip']} key {certificate['privateKey']['bigip']}"
    return (
        f"create ltm profile server-ssl {path} defaults-from serverssl ca-file {held['trustCA']['bigip']}"
        f" peer-cert-mode require authenticate-name {held['serverName']} server-name {held['sendSNI']}{shown}"
    )


def _pool(path: str, held: Object) -> str:
    members = " ".join(
        f"/Common/{_socket(address, member['servicePort'])} {{ address {address} }}"
        for member in held["members"]
        for address in member["serverAddresses"]
    )
    (monitor,) = held["monitors"]
    return f"create ltm pool {path} members add {{ {members} }} monitor {_at(monitor, path)}"


def _virtual(path: str, held: Object) -> str:
    (address,) = held["virtualAddresses"]
    tenant = path.split("/")[1]
    mask = "255.255.255.255" if ip_address(address).version == 4 else "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"
    said = [f"create ltm virtual {path} destination /{tenant}/{_socket(address, held['virtualPort'])}"]
    said += [f"ip-protocol tcp mask {mask} profiles add {{ {_profiles(held, path)} }}"]
    said += [f"pool {_at(held['pool'], path)}"] if "pool" in held else []
    rules = " ".join(_at(rule, path) for rule in held.get("iRules", ()))
    said += [f"rules {{ {rules} }}"] if rules else []
    if "policyPerRequestAccess" in held:
        said += [f"per-flow-request-access-policy {_at(held['policyPerRequestAccess'], path)}"]
    metadata = " ".join(f'{key} {{ value "{each["value"]}" }}' for key, each in held.get("metadata", {}).items())
    said += [f"metadata add {{ {metadata} }}"] if metadata else []
    return " ".join((*said, "source-address-translation { type automap }"))


def _profiles(held: Object, path: str) -> str:
    http = held["profileHTTP"]
    said = ["/Common/f5-tcp-progressive", "/Common/http" if http == "basic" else _at(http, path)]
    said += [_at(held[key], path) for key in ("profileMultiplex", "profileAccess") if key in held]
    sides = (("serverTLS", "clientside"), ("clientTLS", "serverside"))
    said += [f"{_at(held[key], path)} {{ context {side} }}" for key, side in sides if key in held]
    return " ".join(said)


def _at(pointer: Any, path: str) -> str:
    """The whole path of what a pointer leads to."""
    if isinstance(pointer, dict) and "bigip" in pointer:
        return str(pointer["bigip"])
    name = str(pointer["use"] if isinstance(pointer, dict) else pointer)
    return name if name.startswith("/") else f"{path.rpartition('/')[0]}/{name}"


def _socket(address: str, port: int) -> str:
    return f"{address}:{port}" if ip_address(address).version == 4 else f"{address}.{port}"
