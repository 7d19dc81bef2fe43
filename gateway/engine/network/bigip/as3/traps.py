"""The traps of each class that we write: what AS3 takes, and does not mean what it seems to.

Each function is given one object and says each fault as the rest of a sentence that begins with the object's path.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from ipaddress import ip_address
from typing import Any, Final

from gateway.engine.network.bigip.as3 import names
from gateway.engine.network.bigip.as3.classes import MONITORS
from gateway.engine.network.bigip.as3.declaration import HTTPS_REDIRECT, PROXY_RULE

MAX_RECORD_BYTES: Final = 65_520
_ERRORS: Final = "HTTP/1.0 400 Bad Request\r\nHTTP/1.1 503 Service Unavailable\r\nstagedoor-state: failing\r\n"
_PLAIN: Final = re.compile(r"[\w :./-]{1,200}")  # a pattern without repetition: it cannot take long


def _service_faults(service: Mapping[str, Any]) -> Iterator[str]:
    addresses = service.get("virtualAddresses", ())
    if not addresses:
        yield "has no `virtualAddresses`"
    elif len(addresses) > 1:
        yield "listens at more than one of `virtualAddresses`"
    for address in addresses:
        if not _is_address(address):
            yield f"listens at `{str(address)[:60]}`, which is no address"
    if service.get("persistenceMethods") != []:
        yield "leaves persistence to AS3, which sets cookies of its own; write `persistenceMethods: []`"
    if service.get("snat") != "auto":
        yield "shows doors other addresses than BIG-IP's own, which they trust; write `snat: auto`"
    if "profileMultiplex" in service and any(_names_proxy(rule) for rule in service.get("iRules", ())):
        yield "says a PROXY line once per connection, and OneConnect gives that connection to many clients"
    if "policyPerRequestAccess" in service and "profileAccess" not in service:
        yield "has `policyPerRequestAccess` without `profileAccess`"
    if service["class"] == "Service_HTTP":
        if service.get("iRules") != [{"bigip": HTTPS_REDIRECT}] or service.get("profileHTTP") != "basic":
            yield f"does more than send to HTTPS by `{HTTPS_REDIRECT}`, all that a plain one is for"
    else:
        yield from _https_faults(service)


def _is_address(value: Any) -> bool:
    """A single one as text, in the tenant's own route domain."""
    try:
        return isinstance(value, str) and "%" not in value and bool(ip_address(value))
    except ValueError:
        return False


def _names_proxy(rule: Any) -> bool:
    return isinstance(rule, dict) and str(rule.get("use", "")).rpartition("/")[2] == names.PROXY


def _https_faults(service: Mapping[str, Any]) -> Iterator[str]:
    if service.get("redirect80") is not False:
        yield "opens port 80 unless it says `redirect80: false`"
    if "serverTLS" not in service:
        yield "has no `serverTLS`: clients would see no certificate"
    if "pool" not in service:
        yield "has no `pool`: requests would go nowhere"
    if "profileMultiplex" not in service and not any(_names_proxy(rule) for rule in service.get("iRules", ())):
        yield "has neither OneConnect nor PROXY lines, of which each of ours has one"
    http = service.get("profileHTTP")
    if not isinstance(http, dict) or http.keys() != {"use"}:
        yield "has another HTTP profile than the tenant's: doors may take BIG-IP's address for every caller's"


def _pool_faults(pool: Mapping[str, Any]) -> Iterator[str]:
    if not pool.get("monitors"):
        yield "has no monitor: a member that is down would go on getting requests"
    seen = set()
    for member in pool.get("members", ()):
        if member.get("shareNodes") is not True:
            yield "has a member without `shareNodes`, which collides with that of another tenant"
        addresses = member.get("serverAddresses")
        if not isinstance(addresses, list) or not addresses:
            yield "has a member without `serverAddresses`: somebody else would say who gets the requests"
            continue
        for address in addresses:
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
    elif not _PLAIN.fullmatch(up) or re.search(up, _ERRORS):
        yield "takes an error for health: its `receive` matches one, or is no pattern of letters, digits and ` :./-`"
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
    if group.get("keyDataType") != "string":
        yield "has keys that are no text; write `keyDataType: string`"
    if any(record.keys() != {"key", "value"} for record in group.get("records", ())):
        yield "has a record that is no key and value"
    keys = [record.get("key") for record in group.get("records", ())]
    if twice := [key for key, times in Counter(keys).items() if times > 1]:
        yield f"has the record `{twice[0]}` twice"
    for record in group.get("records", ()):
        if len(str(record.get("value", "")).encode()) > MAX_RECORD_BYTES:
            yield f"has a record of more than {MAX_RECORD_BYTES} bytes, `{record.get('key')}`"


def _rule_faults(rule: Mapping[str, Any]) -> Iterator[str]:
    if rule.get("iRule") != PROXY_RULE or rule.get("expand") is not False:
        yield "is another iRule than the one that writes PROXY lines, and may do anything"


CHECKS: Final[Mapping[str, Callable[[Mapping[str, Any]], Iterator[str]]]] = {
    "Service_HTTP": _service_faults,
    "Service_HTTPS": _service_faults,
    "Pool": _pool_faults,
    "Monitor": _monitor_faults,
    "TLS_Client": _tls_faults,
    "Data_Group": _data_group_faults,
    "iRule": _rule_faults,
}


def is_reference(value: Any) -> bool:
    return isinstance(value, dict) and len(value) == 1 and next(iter(value)) in ("bigip", "use")
