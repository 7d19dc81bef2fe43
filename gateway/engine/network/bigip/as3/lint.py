"""What a declaration must not be, whoever made it: the faults that AS3's schema lets pass and a device acts on.

`structural_faults` are about any declaration: a property in a class that has none such, a name that no device takes.
`faults_of` adds what we never mean, whatever AS3 makes of it: a tenant without our mark, a pointer that leads nowhere,
a monitor that calls every answer healthy, a door whose certificate nobody checks, text that Tcl or AS3 would expand,
and anything at all that `declaration.py` does not write: what no plan tells in its sentences is not sent.
An empty list is the leave to send. Every declaration goes through here, also one that was read back from a file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from gateway.engine.network.bigip.as3 import names
from gateway.engine.network.bigip.as3.classes import MEMBER_WRITTEN, MONITORS, POOL_MEMBER, PROPERTIES, WRITTEN
from gateway.engine.network.bigip.as3.pointers import pointer_faults
from gateway.engine.network.bigip.as3.traps import CHECKS, is_reference
from policy.reading import did_you_mean

Said = Iterator[tuple[str, str]]  # where, what

MAX_NAME: Final = 190
MAX_PATH: Final = 195
APPLICATIONS: Final = 100  # of a tenant, beyond which F5 advises against
MANY: Final = f"{{}} applications in one tenant; F5 advises no more than about {APPLICATIONS}: AS3 takes long for them"
_NAME: Final = re.compile(r"[A-Za-z][0-9A-Za-z_.-]*\Z")
_APPLICATION: Final = re.compile(r"[A-Za-z](?:[0-9A-Za-z_.-]{0,188}[0-9A-Za-z_.])?\Z")
_ID: Final = re.compile(r"[\x21-\x7e]{0,255}\Z")
_LABEL: Final = re.compile(r'[^\x00-\x1f"#&*<>?\[\\\]`\x7f]{0,64}\Z')
_REMARK: Final = re.compile(r'[^\x00-\x1f"\\\x7f]{0,64}\Z')
_TEXT: Final = re.compile(r"[A-Za-z0-9 ._:/@,=+*~-]*\Z")  # what `names.safe` makes, of labels, metadata and records
_EXPANDED: Final = ("send", "receive", "receiveDown", "url", "iRule")
_SECRETS: Final = ("passphrase", "privateKey", "pkcs12")
# Property → how we point: at an object of the declaration, or at what the device has.
_WAYS: Final = {
    "pool": "use", "monitors": "use", "profileMultiplex": "use", "clientTLS": "use", "serverTLS": "bigip",
    "profileAccess": "bigip", "policyPerRequestAccess": "bigip", "trustCA": "bigip", "certificate": "bigip",
    "privateKey": "bigip",
}  # fmt: skip
# Name → class, of the objects that we write, in an application of a service's own and in the shared one.
_OWN: Final = {names.SERVICE: "Service_HTTPS", names.REDIRECT: "Service_HTTP"}
_SHARED: Final = {
    **_OWN, names.POOL: "Pool", names.MONITOR: "Monitor", names.HTTP: "HTTP_Profile",
    names.MULTIPLEX: "Multiplex_Profile", names.PROXY: "iRule", names.TLS_OUT: "TLS_Client",
    names.CERTIFICATE: "Certificate", names.HOSTS: "Data_Group", names.POLICY: "Data_Group",
}  # fmt: skip
_NOT_OURS: Final = "is nothing that Stagedoor writes"


def faults_of(declaration: Mapping[str, Any]) -> list[str]:
    """Each fault as one sentence that begins with its place; [] when the declaration may be sent."""
    faults = structural_faults(declaration)
    try:
        faults += [f"{place}: {said}" for place, said in _ours(declaration)]
    except (AttributeError, TypeError, ValueError):  # a list where a mapping belongs, a text where a number does
        faults.append("/: holds values of other types than AS3 takes; its schema says which (`as3_schema`)")
    return faults


def structural_faults(declaration: Mapping[str, Any]) -> list[str]:
    """Of an ADC."""
    try:
        return [f"{place}: {said}" for place, said in _structure(declaration)]
    except (AttributeError, TypeError, ValueError):
        return ["/: is not put together as a declaration is"]


# ---- structure ----


def _structure(declaration: Mapping[str, Any]) -> Said:
    if declaration.get("class") != "ADC":
        yield "/", "is no declaration: its class is not `ADC`"
        return
    if not _ID.match(str(declaration.get("id", ""))):
        yield "/id", "has a space, or more than 255 characters"
    yield from _properties(declaration, "ADC", "", nested="Tenant")
    for name, tenant in declaration.items():
        if isinstance(tenant, dict) and tenant.get("class") == "Tenant":
            yield from _tenant_structure(tenant, f"/{name}")


def _tenant_structure(tenant: Mapping[str, Any], path: str) -> Said:
    yield from _name(path, _NAME)
    yield from _properties(tenant, "Tenant", path, nested="Application")
    for name, application in tenant.items():
        if not isinstance(application, dict) or application.get("class") != "Application":
            continue
        inside = f"{path}/{name}"
        yield from _name(inside, _APPLICATION)
        yield from _properties(application, "Application", inside, nested="")
        for each, held in application.items():
            if isinstance(held, dict) and each not in PROPERTIES["Application"]:
                yield from _name(f"{inside}/{each}", _APPLICATION)
                yield from _object(held, f"{inside}/{each}")


def _object(held: Mapping[str, Any], path: str) -> Said:
    kind = str(held.get("class", ""))
    known = _known(kind, held)
    if known is not None:
        yield from _unknown(held, known, kind, path)
        yield from _texts(held, path)
    if kind == "Pool":
        for position, member in enumerate(held.get("members", ())):
            if isinstance(member, dict):
                yield from _unknown(member, POOL_MEMBER, "Pool_Member", f"{path}/members/{position}")


def _known(kind: str, held: Mapping[str, Any]) -> frozenset[str] | None:
    return MONITORS.get(str(held.get("monitorType"))) if kind == "Monitor" else PROPERTIES.get(kind)


def _properties(held: Mapping[str, Any], kind: str, path: str, nested: str) -> Said:
    """Of a class that holds others under names of their own."""
    for key, value in held.items():
        if key in PROPERTIES[kind]:
            continue
        inner = value.get("class") if isinstance(value, dict) else None
        if inner is None or (nested and inner != nested):
            what = f"no property of {kind}" + (f", and no {nested}" if nested else ", and no object")
            yield f"{path}/{key}", f"is {what}{_meant(key, PROPERTIES[kind])}"
    yield from _texts(held, path)


def _unknown(held: Mapping[str, Any], known: frozenset[str], kind: str, path: str) -> Said:
    for key in held:
        if key not in known:
            yield f"{path}/{key}", f"is no property of {kind}, and AS3 may leave it out{_meant(key, known)}"


def _meant(key: str, known: frozenset[str]) -> str:
    meant = did_you_mean(key, known)
    return f"; {meant}" if meant else ""


def _name(path: str, form: re.Pattern[str]) -> Said:
    name = path.rpartition("/")[2]
    if not form.match(name) or len(name) > MAX_NAME:
        yield path, "is a name that AS3 does not take: a letter first, then letters, digits, `_`, `.`, `-`"
    if len(path) > MAX_PATH:
        yield path, f"is a path of more than {MAX_PATH} characters"


def _texts(held: Mapping[str, Any], path: str) -> Said:
    for key, form in (("label", _LABEL), ("remark", _REMARK)):
        if key in held and not form.match(str(held[key])):
            yield f"{path}/{key}", "has more than 64 characters, or one that AS3 does not take"
    for key, entry in (held.get("metadata") or {}).items():
        if not isinstance(entry, dict) or not isinstance(entry.get("value"), str):
            yield f"{path}/metadata/{key}", "is no `{value: text}`"


# ---- what we never mean ----


def _ours(declaration: Mapping[str, Any]) -> Said:
    tenants = {name: each for name, each in declaration.items() if _is_a(each, "Tenant")}
    if declaration.get("updateMode") != "selective":
        yield "/updateMode", "is not `selective`: every tenant that is not named here would be deleted"
    if len(tenants) != 1:
        yield "/", f"has {len(tenants)} tenants instead of one environment's"
    yield from _unwritten(declaration, "ADC", "", nested="Tenant")
    if isinstance(controls := declaration.get("controls"), dict):
        yield from _unwritten(controls, "Controls", "/controls")
    for name, tenant in tenants.items():
        if name == "Common":
            yield "/Common", "is the device's own, and never written"
        if tenant.get("label") != names.MARK:
            yield f"/{name}/label", f"is not `{names.MARK}`: without that mark the tenant would be nobody's"
        yield from _values(tenant, f"/{name}")
        yield from _listening(tenant, f"/{name}")
        yield from _too_many(tenant, f"/{name}")
        yield from _unwritten(tenant, "Tenant", f"/{name}", nested="Application")
        for application, held in tenant.items():
            if _is_a(held, "Application"):
                yield from _application(held, tenant, name, application)


def _unwritten(held: Mapping[str, Any], kind: str, path: str, nested: str = "") -> Said:
    """Properties that AS3 knows and we never write. Those of no class are told by the structure."""
    known = _known(kind, held) or frozenset()
    for key, value in held.items():
        if key in known and key not in WRITTEN[kind] and not (nested and _is_a(value, nested)):
            yield f"{path}/{key}", _NOT_OURS


def _application(held: Mapping[str, Any], tenant: Mapping[str, Any], name: str, application: str) -> Said:
    path = f"/{name}/{application}"
    is_shared = application == names.SHARED
    if held.get("template") != ("shared" if is_shared else "generic"):
        yield f"{path}/template", _NOT_OURS
    for key, value in held.items():
        if not isinstance(value, dict) or "class" not in value:
            if key in PROPERTIES["Application"] and key not in WRITTEN["Application"]:
                yield f"{path}/{key}", _NOT_OURS
            continue
        if (_SHARED if is_shared else _OWN).get(key) != value["class"]:
            yield f"{path}/{key}", f"is a {str(value['class'])[:40]}, which we never write there"
        if value["class"] in WRITTEN:
            yield from _our_object(value, f"{path}/{key}")
        for fault in pointer_faults(value, held, tenant, name):
            yield f"{path}/{key}", fault


def _our_object(value: Mapping[str, Any], path: str) -> Said:
    kind = value["class"]
    yield from _unwritten(value, kind, path)
    for said in CHECKS[kind](value) if kind in CHECKS else ():
        yield path, said
    for key, way in _WAYS.items():
        for each in _listed(value.get(key)):
            if not isinstance(each, dict) or each.keys() != {way}:
                what = "the declaration" if way == "use" else "the device"
                yield f"{path}/{key}", f"points to something else than an object of {what}: write `{way}`"
    for key, entry in (value.get("metadata") or {}).items():
        if not key.startswith(f"{names.MARK}.") or entry.keys() != {"value"}:
            yield f"{path}/metadata/{key}", _NOT_OURS
    for position, member in enumerate(value.get("members", ()) if kind == "Pool" else ()):
        for key in member:
            if key in POOL_MEMBER and key not in MEMBER_WRITTEN:
                yield f"{path}/members/{position}/{key}", _NOT_OURS


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _values(held: Any, path: str) -> Said:
    """Text that would be expanded or run, and secrets, at any depth."""
    if isinstance(held, list):
        for position, each in enumerate(held):
            yield from _values(each, f"{path}/{position}")
    if not isinstance(held, dict):
        return
    for key, value in held.items():
        if key in _EXPANDED and isinstance(value, str) and "`" in value:
            yield f"{path}/{key}", "holds a backquote, which AS3 expands"
        if key in ("label", "remark", "key", "value") and isinstance(value, str) and not _TEXT.match(value):
            yield f"{path}/{key}", "holds a character that means something to Tcl or HTML"
        if key in _SECRETS and (isinstance(value, str) or not is_reference(value)):
            yield f"{path}/{key}", "is a secret in the declaration; name what exists on the device"
        yield from _values(value, f"{path}/{key}")


def _too_many(tenant: Mapping[str, Any], path: str) -> Said:
    number = sum(_is_a(held, "Application") for application, held in tenant.items() if application != names.SHARED)
    if number > names.MOST_APPLICATIONS:
        yield (
            path,
            f"has {number:,} services with an address of their own, and {names.MOST_APPLICATIONS:,} is the most for "
            "one tenant: write `addresses: shared`, or give some of them an environment or a device of their own",
        )


def _listening(tenant: Mapping[str, Any], path: str) -> Said:
    """AS3 accepts two virtual servers on one address; the device refuses the second when the first is there."""
    seen: dict[tuple[str, int], str] = {}
    for application, held in tenant.items():
        for key, service in held.items() if _is_a(held, "Application") else ():
            if not isinstance(service, dict) or not str(service.get("class", "")).startswith("Service_"):
                continue
            for address in service.get("virtualAddresses", ()):
                there, place = (str(address), int(service.get("virtualPort", 0))), f"{path}/{application}/{key}"
                if (other := seen.setdefault(there, place)) != place:
                    yield place, f"listens at {address}:{there[1]}, as {other} does"


def _is_a(value: Any, kind: str) -> bool:
    return isinstance(value, dict) and value.get("class") == kind
