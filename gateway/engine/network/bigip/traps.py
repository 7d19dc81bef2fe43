"""The traps of each class that we write: what AS3 takes, and does not mean what it seems to.

Each function is given one object and says each fault as the rest of a sentence that begins with the object's path.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from ipaddress import ip_address
from typing import Any, Final

from gateway.engine.network.bigip import names
from gateway.engine.network.bigip.classes import MONITORS

MAX_RECORD_BYTES: Final = 65_520
_ERRORS: Final = "HTTP/1.0 400 Bad Request\r\nHTTP/1.1 503 Service Unavailable\r\nstagedoor-state: failing\r\n"


def _service_faults(service: Mapping[str, Any]) -> Iterator[str]:
    addresses = service.get("virtualAddresses", ())
    if not addresses:
        yield "has no `virtualAddresses`"
    for address in addresses:
        try:
            ip_address(address)
        except ValueError:
            yield f"listens at `{str(address)[:60]}`, which is no address"
    if service.get("persistenceMethods") != []:
        yield "leaves persistence to AS3, which sets cookies of its own; write `persistenceMethods: []`"
    rules = [rule.get("use", "") for rule in service.get("iRules", ()) if isinstance(rule, dict)]
    if "profileMultiplex" in service and any(rule.rpartition("/")[2] == names.PROXY for rule in rules):
        yield "says a PROXY line once per connection, and OneConnect gives that connection to many clients"
    if "policyPerRequestAccess" in service and "profileAccess" not in service:
        yield "has `policyPerRequestAccess` without `profileAccess`"
    if service["class"] == "Service_HTTPS":
        if service.get("redirect80") is not False:
            yield "opens port 80 unless it says `redirect80: false`"
        if "serverTLS" not in service:
            yield "has no `serverTLS`: clients would see no certificate"


def _pool_faults(pool: Mapping[str, Any]) -> Iterator[str]:
    if not pool.get("monitors"):
        yield "has no monitor: a member that is down would go on getting requests"
    seen = set()
    for member in pool.get("members", ()):
        if member.get("shareNodes") is not True:
            yield "has a member without `shareNodes`, which collides with that of another tenant"
        for address in member.get("serverAddresses", ()):
            there = (str(address), member.get("servicePort"))
            if there in seen:
                yield f"has the member {there[0]}:{there[1]} twice"
            seen.add(there)
    if not seen:
        yield "has no member: every request would fail"


def _monitor_faults(monitor: Mapping[str, Any]) -> Iterator[str]:
    if monitor.get("monitorType") not in MONITORS:
        yield f"is of type `{str(monitor.get('monitorType'))[:40]}`; ours are http and https"
    up, drain = str(monitor.get("receive", "")), str(monitor.get("receiveDown", ""))
    if not monitor.get("send") or not up:
        yield "leaves `send` or `receive` to AS3, whose `HTTP/1.` takes an error for health"
    elif not _is_pattern(up) or re.search(up, _ERRORS):
        yield "takes an error for health: its `receive` matches one, or is no pattern"
    if drain and (up in drain or drain in up):
        yield "cannot tell `receive` from `receiveDown`: one holds the other"
    if monitor.get("reverse"):
        yield "has `reverse`, which ignores `receiveDown`"
    interval, timeout = monitor.get("interval", 5), monitor.get("timeout", 16)
    if interval < 1 or timeout < 3 * interval + 1:
        yield f"has a timeout of {timeout} s: with an interval of {interval} s it needs {3 * interval + 1}"


def _tls_faults(profile: Mapping[str, Any]) -> Iterator[str]:
    if profile.get("validateCertificate") is not True or not is_reference(profile.get("trustCA")):
        yield "takes any certificate for a door's; write `validateCertificate: true` and `trustCA`"
    if not profile.get("serverName"):
        yield "says no `serverName`, so that any certificate of the authority passes for a door's"
    if profile.get("ignoreExpired") or profile.get("ignoreUntrusted"):
        yield "looks away from what is wrong with a certificate (`ignoreExpired`, `ignoreUntrusted`)"


def _data_group_faults(group: Mapping[str, Any]) -> Iterator[str]:
    keys = [record.get("key") for record in group.get("records", ())]
    if len(set(keys)) < len(keys):
        yield f"has the record `{next(key for key in keys if keys.count(key) > 1)}` twice"
    for record in group.get("records", ()):
        if len(str(record.get("value", "")).encode()) > MAX_RECORD_BYTES:
            yield f"has a record of more than {MAX_RECORD_BYTES} bytes, `{record.get('key')}`"


CHECKS: Final[Mapping[str, Callable[[Mapping[str, Any]], Iterator[str]]]] = {
    "Service_HTTP": _service_faults,
    "Service_HTTPS": _service_faults,
    "Pool": _pool_faults,
    "Monitor": _monitor_faults,
    "TLS_Client": _tls_faults,
    "Data_Group": _data_group_faults,
}


def is_reference(value: Any) -> bool:
    return isinstance(value, dict) and len(value) == 1 and next(iter(value)) in ("bigip", "use")


def _is_pattern(text: str) -> bool:
    try:
        re.compile(text)
    except re.error:
        return False
    return True
