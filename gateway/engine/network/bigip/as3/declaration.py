"""The desired state of one environment as an AS3 declaration: one tenant, and nothing outside of it.

Equal input gives equal output, in whatever order the catalog was read. Whatever AS3 would choose by itself and we do
not want is said (`persistenceMethods`, `redirect80`, `validateCertificate`, the texts of the monitor). Certificates,
profiles and iRules that exist on the device are referred to; text of the catalog is where `names.py` says. The
declaration's id is a hash of the tenant alone, so that another release of this program is no change of the device.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from hashlib import sha256
from importlib.metadata import version
from ipaddress import ip_address, ip_network
from typing import Any, Final

from gateway.config.devices import Bigip, BigipEnvironment
from gateway.engine.network.bigip.as3 import names
from gateway.engine.network.bigip.as3.apm import Apm, apm_of, usual
from gateway.engine.network.desired import Desired, Place
from gateway.engine.network.faults import DeviceFault

SCHEMA_VERSION: Final = "3.50.0"  # of AS3, the oldest that takes what is written here
HEALTH_PATH: Final = "/.stagedoor/bigip/health"
# bigd reads `\r\n` as two characters each and puts another CRLFCRLF behind (F5 ID1026781).
SEND: Final = rf"GET {HEALTH_PATH} HTTP/1.1\r\nHost: stagedoor\r\nConnection: close\r\n\r\n"
RECEIVE: Final = "stagedoor-state: up"
RECEIVE_DOWN: Final = "stagedoor-state: draining"
INTERVAL_S: Final = 5
TIMEOUT_S: Final = 3 * INTERVAL_S + 1
HTTPS_REDIRECT: Final = "/Common/_sys_https_redirect"
# One line per server-side connection, before TLS. `%N` behind an address is its route domain, which no reader knows.
PROXY_RULE: Final = """\
when CLIENT_ACCEPTED {
    set family [expr {[IP::version] == 6 ? "TCP6" : "TCP4"}]
    set client [getfield [IP::remote_addr] "%" 1]
    set server [getfield [IP::local_addr] "%" 1]
    set proxy_line "PROXY $family $client $server [TCP::remote_port] [TCP::local_port]\\r\\n"
}
when SERVER_CONNECTED {
    TCP::respond $proxy_line
}
"""

Object = dict[str, Any]


def declaration_of(
    desired: Desired, device: Bigip, environment: BigipEnvironment, assigned: Mapping[str, str]
) -> Object:
    """An ADC with the environment's tenant. ``assigned``: component ref → address, as `Assignment` remembers it. Raises
    `DeviceFault` where two of them are called the same, which `Assignment` never gives."""
    tenant = _tenant(desired, device, environment, assigned)
    return {
        "class": "ADC",
        "schemaVersion": SCHEMA_VERSION,
        "id": f"{names.MARK}:{desired.environment}:{content_hash(tenant)}",
        "label": names.MARK,
        "updateMode": "selective",
        "controls": {"class": "Controls", "userAgent": f"stagedoor/{version('stagedoor')}"},
        names.tenant_name(device.tenant_prefix, desired.environment): tenant,
    }


def content_hash(tenant: Object) -> str:
    """32 hex digits over what a tenant holds."""
    said = json.dumps(tenant, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return sha256(said.encode()).hexdigest()[:32]


def own_addresses(
    desired: Desired, environment: BigipEnvironment, assigned: Mapping[str, str]
) -> dict[str, tuple[str, tuple[Place, ...]]]:
    """Component ref → its own address and its places. What an owner says counts where it was assigned, and not before:
    an address may still rest for somebody else. The environment's own address is nobody's."""
    networks = [ip_network(network) for network in environment.networks]
    found: dict[str, tuple[str, tuple[Place, ...]]] = {}
    holders: dict[str, str] = {}
    for place in sorted(desired.places, key=lambda place: (place.entity, place.host, place.path)):
        address = assigned.get(place.entity, "")
        if not address or not any(ip_address(address) in network for network in networks):
            continue
        if address == environment.virtual_address or holders.setdefault(address, place.entity) != place.entity:
            continue
        _, others = found.get(place.entity, ("", ()))
        found[place.entity] = (address, (*others, place))
    return found


# ---- the tenant ----


def _tenant(desired: Desired, device: Bigip, environment: BigipEnvironment, assigned: Mapping[str, str]) -> Object:
    tenant: Object = {"class": "Tenant", "label": names.MARK, names.SHARED: _shared(desired, device, environment)}
    path = f"/{names.tenant_name(device.tenant_prefix, desired.environment)}/{names.SHARED}/"
    own = own_addresses(desired, environment, assigned)
    for entity in sorted(own):
        address, places = own[entity]
        if (name := names.application_name(entity)) in tenant:
            why = f"`{names.safe(entity)}` and another component are both called `{name}`: rename one of them"
            raise DeviceFault(why)
        tenant[name] = {
            "class": "Application",
            "template": "generic",
            "label": names.label(entity),
            **_services(address, device, environment, path, _metadata_of(places), apm_of(environment, places)),
        }
    return tenant


def _shared(desired: Desired, device: Bigip, environment: BigipEnvironment) -> Object:
    made: Object = {"class": "Application", "template": "shared"}
    if environment.virtual_address:
        said = {"environment": desired.environment, "policy": desired.version}
        made |= _services(environment.virtual_address, device, environment, "", _metadata(said), usual(environment))
    made[names.POOL] = _pool(device)
    made[names.MONITOR] = _monitor(device, environment)
    made[names.HTTP] = {"class": "HTTP_Profile", "xForwardedFor": True}
    if environment.proxy_protocol:
        made[names.PROXY] = {"class": "iRule", "iRule": PROXY_RULE, "expand": False}
    else:
        made[names.MULTIPLEX] = {"class": "Multiplex_Profile"}
    if device.member_tls:
        made |= _tls(environment)
    made[names.HOSTS] = _records(_host_records(desired.places))
    made[names.POLICY] = _records([(names.word(desired.environment), names.word(desired.version))])
    return made


def _services(
    address: str, device: Bigip, environment: BigipEnvironment, path: str, metadata: Object, apm: Apm
) -> Object:
    """The virtual server of one address. ``path``: of the application that the rest is in, "" for this one."""
    made: Object = {
        names.SERVICE: {
            "class": "Service_HTTPS",
            "virtualAddresses": [address],
            "virtualPort": environment.port,
            "redirect80": False,
            "pool": {"use": path + names.POOL},
            "snat": "auto",
            "persistenceMethods": [],
            "serverTLS": {"bigip": environment.client_tls},
            "profileHTTP": {"use": path + names.HTTP},
            **_attached(device, environment, path, apm),
            "metadata": metadata,
        }
    }
    if environment.redirect:
        made[names.REDIRECT] = {
            "class": "Service_HTTP",
            "virtualAddresses": [address],
            "virtualPort": 80,
            "snat": "auto",
            "persistenceMethods": [],
            "profileHTTP": "basic",
            "iRules": [{"bigip": HTTPS_REDIRECT}],
        }
        if entity := metadata.get(f"{names.MARK}.entity"):
            made[names.REDIRECT]["metadata"] = {f"{names.MARK}.entity": entity}
    return made


def _attached(device: Bigip, environment: BigipEnvironment, path: str, apm: Apm) -> Object:
    """What a virtual server has by its environment's choice, and by that of the APM mapping."""
    made: Object = {}
    rules: list[Object] = [{"bigip": rule} for rule in environment.rules]
    if environment.proxy_protocol:
        rules.append({"use": path + names.PROXY})
    else:
        made["profileMultiplex"] = {"use": path + names.MULTIPLEX}
    if device.member_tls:
        made["clientTLS"] = {"use": path + names.TLS_OUT}
    if rules:
        made["iRules"] = rules
    if apm.access_profile:
        made["profileAccess"] = {"bigip": apm.access_profile}
    if apm.per_request_policy:
        made["policyPerRequestAccess"] = {"bigip": apm.per_request_policy}
    return made


# ---- what virtual servers share ----


def _pool(device: Bigip) -> Object:
    """Nodes in /Common: several tenants have the same."""
    members = []
    for member in device.members:
        host, _, port = member.rpartition(":")
        members.append({"servicePort": int(port), "serverAddresses": [host.strip("[]")], "shareNodes": True})
    return {"class": "Pool", "monitors": [{"use": names.MONITOR}], "members": members}


def _monitor(device: Bigip, environment: BigipEnvironment) -> Object:
    """In plain HTTP where the nodes have a port for health alone. With a certificate of its own where they ask for
    one: without an SSL profile a monitor shows none."""
    made: Object = {
        "class": "Monitor",
        "monitorType": "https" if device.member_tls and not device.health_port else "http",
        "send": SEND,
        "receive": RECEIVE,
        "receiveDown": RECEIVE_DOWN,
        "interval": INTERVAL_S,
        "timeout": TIMEOUT_S,
    }
    if device.health_port:
        made["targetPort"] = device.health_port
    elif environment.client_certificate:
        made["clientTLS"] = {"use": names.TLS_OUT}
    return made


def _tls(environment: BigipEnvironment) -> Object:
    """Towards the doors, whose certificate is verified: AS3 would take any."""
    profile: Object = {
        "class": "TLS_Client",
        "trustCA": {"bigip": environment.trust_ca},
        "validateCertificate": True,
        "serverName": environment.server_name,
        "sendSNI": environment.server_name,
    }
    if not environment.client_certificate:
        return {names.TLS_OUT: profile}
    certificate = environment.client_certificate
    certificate = certificate if certificate.endswith(".crt") else f"{certificate}.crt"
    return {
        names.TLS_OUT: {**profile, "clientCertificate": names.CERTIFICATE},
        names.CERTIFICATE: {
            "class": "Certificate",
            "certificate": {"bigip": certificate},
            "privateKey": {"bigip": f"{certificate.removesuffix('.crt')}.key"},
        },
    }


# ---- what the catalog says ----


def host_key(place: Place) -> str:
    """How a place is called in the data group: its host, with the path behind where that is not all of it."""
    return names.word(place.host if place.path == "/" else place.host + place.path)


def host_value(place: Place) -> str:
    """Whose it is and what is decided there: entity, owner (`-` for nobody), version."""
    return f"{names.word(place.entity)} {names.word(place.owner)} {names.word(place.version)}"


def _host_records(places: Iterable[Place]) -> list[tuple[str, str]]:
    return [(host_key(place), host_value(place)) for place in places]


def _records(records: Iterable[tuple[str, str]]) -> Object:
    """Sorted, so that the order of the catalog changes nothing."""
    listed = [{"key": key, "value": value} for key, value in sorted(records)]
    return {"class": "Data_Group", "keyDataType": "string", "records": listed}


def _metadata_of(places: tuple[Place, ...]) -> Object:
    """Of one component; its places differ in nothing else but their versions."""
    versions = "+".join(place.version for place in places)
    return _metadata({"entity": places[0].entity, "owner": places[0].owner or "-", "policy": versions})


def _metadata(said: Mapping[str, str]) -> Object:
    return {f"{names.MARK}.{key}": {"value": names.safe(value)} for key, value in said.items()}
