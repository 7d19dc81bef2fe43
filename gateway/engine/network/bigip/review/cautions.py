"""When a reader of a plan should look twice: judgements about what would be sent, without the device.

They err towards a needless second look. None of them refuses anything: refusing is the linter's and the guards'.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from ipaddress import ip_address, ip_network
from typing import Any, Final

from gateway.engine.network.bigip.as3.classes import WRITTEN
from gateway.engine.network.bigip.as3.declaration import HTTPS_REDIRECT
from gateway.engine.network.bigip.as3.names import HTTP, MULTIPLEX, POOL, PROXY, SERVICE, SHARED, TEXT_LENGTH, TLS_OUT
from gateway.engine.network.bigip.objects import listed, pointed

Declared = Mapping[str, Any]

_REFUSALS: Final = (
    "HTTP/1.1 400 Bad Request\r\nContent-Type: text/html\r\n\r\n<h1>Bad Request</h1>",
    "HTTP/1.0 404 Not Found\r\nContent-Type: text/html\r\n\r\n<h1>Not Found</h1>",
    "HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/html\r\n\r\n<h1>Service Unavailable</h1>",
)
_FAILING: Final = "HTTP/1.1 503 Service Unavailable\r\nstagedoor-state: failing\r\n\r\nstagedoor-state: failing"
_DRAINING: Final = "HTTP/1.1 200 OK\r\nstagedoor-state: draining\r\n\r\nstagedoor-state: draining"
_LONGEST_PATTERN: Final = 200
_ROUTE_DOMAIN: Final = re.compile(r"%\d+")


def of_monitor(monitor: Mapping[str, Any]) -> str:
    """What is dangerous about a declared monitor, or ""."""
    receive = str(monitor.get("receive", "HTTP/1."))
    for answer in _REFUSALS:
        if _matches(receive, answer):
            said = answer.partition("\r\n")[0]
            return f"`{receive[:60]}` is also found in `{said}`: a door that refuses everybody would count as up"
    if _matches(receive, _FAILING):
        return "a door that says `failing` would count as up"
    if _matches(receive, _DRAINING):
        return "a door that drains would count as up and get new requests until it ends"
    if monitor.get("reverse") is True:
        return "`reverse` turns the meaning round, and drains are not seen"
    interval, timeout = monitor.get("interval", 5), monitor.get("timeout", 16)
    if isinstance(interval, int) and isinstance(timeout, int) and timeout < 3 * interval + 1:
        return f"a timeout of {timeout} s is shorter than three intervals of {interval} s: doors will flap"
    return ""


def _matches(pattern: str, answer: str) -> bool:
    """As a monitor looks for it; what cannot be read as a pattern counts as found."""
    if not pattern or len(pattern) > _LONGEST_PATTERN:
        return True
    if re.fullmatch(r"[\w :./-]*", pattern):  # no repetition: cannot take long
        return re.search(pattern, answer) is not None
    return any(word in answer for word in re.findall(r"\w+", pattern)) or not re.search(r"\w", pattern)


def of_member(name: str, others: Iterable[str], configured: Iterable[str]) -> str:
    """Of a member that is added to ``others``: whether it is one of the settings', and near them."""
    listed = tuple(configured)
    if listed and name not in listed:
        return "it is none of the device's `members` in the settings"
    network = network_of(name)
    networks = {network_of(other) for other in others}
    if network and networks and network not in networks:
        known = ", ".join(sorted(filter(None, networks))) or "no network"
        return f"it lies in {network}, where no other door is (they are in {known})"
    return ""


def of_outsiders(names: Iterable[str]) -> Mapping[str, str]:
    """The same where all members are new: those that are alone in their network while others are together."""
    networks = {name: network_of(name) for name in names}
    together = Counter(networks.values())
    alone = {name for name, network in networks.items() if together[network] == 1}
    if not networks.keys() - alone:
        return {}
    return {name: of_member(name, networks.keys() - alone, ()) for name in alone}


def network_of(member: str) -> str:
    """The /24 or /64 that a member `192.0.2.1:443` or `2001:db8::1.443` lies in; "" where that is no address."""
    address = member.rpartition(":")[0] if "." in member.rpartition(":")[0] else member.rpartition(".")[0]
    try:
        read = ip_address(address.strip("[]").partition("%")[0])
    except ValueError:
        return ""
    return str(ip_network(f"{read}/{24 if read.version == 4 else 64}", strict=False))


class Looks:
    """Hosts of an environment, and what a reader may take for one of them."""

    def __init__(self, hosts: Iterable[str]) -> None:
        self._hosts = frozenset(hosts)

    def like(self, host: str) -> Iterator[str]:
        labels = host[:TEXT_LENGTH].split(".")
        if any(label.startswith("xn--") for label in labels):  # RFC 5890, 2.3.2.1
            yield "browsers show other letters than these, perhaps those of another host"
        shorter = (".".join(labels[:count]) for count in range(2, len(labels)))
        if begins := next((each for each in shorter if each in self._hosts), ""):
            yield f"it begins like `{begins}` and lies elsewhere"


# === properties and objects ===

UNCHECKED: Final = "the doors' certificate is not checked: whoever gets in between reads all and answers for them"
NO_XFF: Final = "doors take BIG-IP's own address for every caller's"
ANYTHING: Final = "an iRule may do anything with what passes"
CUT_OFF: Final = "callers are cut off until DNS names the new address"
OTHER_ANSWERS: Final = "another service answers at this address"
NAMELESS: Final = "it has no address of its own: somebody else says who gets the requests"
OTHER_SHARE: Final = "other doors, or fewer, may get the requests"
FEWER: Final = "it is one of the device's `members` in the settings"
_SHARING: Final = "who shares a connection with whom changes"
_SHOWN: Final = "doors that do not know the new certificate of BIG-IP refuse it"
_CLEAR: Final = "requests go to the doors in the clear"
_OTHERS: Final = "requests go to other machines"
_REACH: Final = "who can reach the virtual server changes"
_CIPHERS: Final = "what protects requests on the way to the doors changes"

#: Class of a shared object that goes -> why to look twice.
LOSSES: Final = {
    "Service_HTTPS": "nothing answers at its address any more",
    "Pool": "requests have nowhere to go",
    "Monitor": "nobody looks any more whether doors are up",
    "TLS_Client": "BIG-IP speaks to the doors without TLS",
}

#: Class and property -> why to look twice, given the object before and after.
OF_PROPERTY: Final[Mapping[tuple[str, str], Callable[[Declared, Declared], str]]] = {
    ("Service", "class"): lambda _, new: "clients are spoken to without TLS" if new["class"] == "Service_HTTP" else "",
    ("Service", "virtualAddresses"): lambda _, new: "; ".join([CUT_OFF, *_wide(new)]),
    ("Service", "virtualPort"): lambda _, __: "callers of the old port are cut off",
    ("Service", "pool"): lambda _, new: _OTHERS if new.get("pool") else "requests go nowhere",
    ("Service", "serverTLS"): lambda _, new: "clients see another certificate, or none",
    ("Service", "clientTLS"): lambda _, new: _CIPHERS if new.get("clientTLS") else _CLEAR,
    ("Service", "iRules"): lambda old, new: ANYTHING if new.get("iRules") else "the rules that ran do no more",
    ("Service", "profileAccess"): lambda _, new: (
        "another profile decides whom APM lets in" if new.get("profileAccess") else "APM checks nobody any more"
    ),
    ("Service", "policyPerRequestAccess"): lambda _, new: (
        "another policy decides which requests APM lets through"
        if new.get("policyPerRequestAccess")
        else "APM checks no request any more"
    ),
    ("Service", "persistenceMethods"): lambda _, __: OTHER_SHARE,
    ("Service", "profileMultiplex"): lambda _, __: _SHARING,
    ("Multiplex_Profile", "sourceMask"): lambda _, __: _SHARING,
    ("Pool", "loadBalancingMode"): lambda _, __: OTHER_SHARE,
    ("Certificate", "certificate"): lambda _, __: _SHOWN,
    ("Certificate", "privateKey"): lambda _, __: _SHOWN,
    ("Service", "enable"): lambda _, new: "nothing answers there" if new.get("enable") is False else "",
    ("Service", "snat"): lambda _, __: "doors that do not know the new addresses stop trusting BIG-IP",
    ("Service", "allowVlans"): lambda _, __: _REACH,
    ("Service", "rejectVlans"): lambda _, __: _REACH,
    ("Pool", "monitors"): lambda _, new: "" if new.get("monitors") else "doors count as up whatever they say",
    ("Monitor", "send"): lambda _, __: "doors that do not answer it count as down",
    ("Monitor", "receive"): lambda _, new: of_monitor(new),
    ("Monitor", "receiveDown"): lambda _, new: "" if new.get("receiveDown") else "drains are not seen",
    ("Monitor", "interval"): lambda _, new: of_monitor(new),
    ("Monitor", "timeout"): lambda _, new: of_monitor(new),
    ("Monitor", "reverse"): lambda _, new: of_monitor(new),
    ("TLS_Client", "validateCertificate"): lambda _, new: "" if new.get("validateCertificate") is True else UNCHECKED,
    ("TLS_Client", "trustCA"): lambda _, __: "whoever holds that authority's key can pass for a door",
    ("TLS_Client", "serverName"): lambda _, __: "a certificate for another name passes for a door's",
    ("TLS_Client", "ignoreExpired"): lambda _, new: "certificates that ended pass" if new.get("ignoreExpired") else "",
    ("TLS_Client", "ignoreUntrusted"): lambda _, new: UNCHECKED if new.get("ignoreUntrusted") else "",
    ("TLS_Client", "clientCertificate"): lambda _, new: (
        _SHOWN if new.get("clientCertificate") else "doors cannot tell BIG-IP from anybody else"
    ),
    ("TLS_Client", "sendSNI"): lambda _, __: "doors may show another certificate to that name",
    ("HTTP_Profile", "xForwardedFor"): lambda _, new: NO_XFF if new.get("xForwardedFor") is False else "",
    ("HTTP_Profile", "trustXFF"): lambda _, new: "callers may write their own address" if new.get("trustXFF") else "",
    ("iRule", "iRule"): lambda _, __: ANYTHING,
    ("Tenant", "enable"): lambda _, new: "nothing of the tenant answers" if new.get("enable") is False else "",
    ("Tenant", "label"): lambda _, __: "it is the mark by which the tenant is known to be ours",
    ("Application", "enable"): lambda _, new: "nothing of it answers" if new.get("enable") is False else "",
    ("Service", "clonePools"): lambda _, new: "requests are copied to other machines" if new.get("clonePools") else "",
    ("Service", "sourceAddress"): lambda _, __: _REACH,
    ("Service", "profileHTTP"): lambda _, __: "doors may take BIG-IP's own address for every caller's",
    ("Monitor", "targetAddress"): lambda _, __: "another machine answers for the doors",
    ("Monitor", "targetPort"): lambda _, __: "what answers at that port decides whether doors are up",
    ("Monitor", "timeUntilUp"): lambda _, __: "doors that come back get no requests for so long",
    ("TLS_Client", "ciphers"): lambda _, __: _CIPHERS,
    ("TLS_Client", "cipherGroup"): lambda _, __: _CIPHERS,
    ("TLS_Client", "ssl3Enabled"): lambda _, __: _CIPHERS,
    ("TLS_Client", "tls1_0Enabled"): lambda _, __: _CIPHERS,
    ("HTTP_Profile", "insertHeader"): lambda _, __: "doors read what BIG-IP writes into every request",
    ("Tenant", "defaultRouteDomain"): lambda _, __: "its addresses lead to other machines",
}


def _wide(service: Declared) -> list[str]:
    """Whether a virtual server answers at more than single addresses."""
    for address in map(str, listed(service.get("virtualAddresses"))):
        try:
            network = ip_network(_ROUTE_DOMAIN.sub("", address), strict=False)
        except ValueError:
            return ["it answers at what is no single address"]
        if network.num_addresses > 1 or network.network_address.is_unspecified:
            whose = "the device" if network.network_address.is_unspecified else str(network)
            return [f"it answers at every address of {whose}"]
    return []


def of_unwritten(own: str, key: str) -> str:
    """Of a property for which no reason is known."""
    return "" if key in WRITTEN.get(own, ()) or key in _BOUNDS else f"Stagedoor writes no `{key}` there"


_BOUNDS: Final = ("maxConnections", "maxHeaderCount", "maxHeaderSize", "maxRequests")  # how much, not who or where


_ALIKE: Final = {"snat": "auto", "persistenceMethods": []}  # of each virtual server that answers over TLS


def of_service(path: str, service: Declared, shared: Declared) -> list[str]:
    """Of a virtual server that is added at ``path``, beside the tenant's application ``shared``."""
    folder, _, _ = path.rpartition("/")
    home = f"/{path.split('/')[1]}/{SHARED}"
    usual = shared.get(SERVICE)
    usual = usual if isinstance(usual, dict) and folder != home else {}
    rules = {pointed(folder, each) for each in listed(service.get("iRules"))}
    if service.get("class") == "Service_HTTP":
        return [*_wide(service), *([] if rules <= {HTTPS_REDIRECT} else [ANYTHING])]
    found = [*_wide(service), *([] if service.get("serverTLS") else ["clients would be spoken to without TLS"])]
    if pointed(folder, service.get("pool")) != f"{home}/{POOL}":
        found.append(_OTHERS if service.get("pool") else "requests go nowhere")
    # Where all doors are spoken to in the clear, that is said once, of the shared address.
    if not service.get("clientTLS") and (folder == home or usual.get("clientTLS") or TLS_OUT in shared):
        found.append(_CLEAR)
    if rules - {f"{home}/{PROXY}"} - {pointed(home, each) for each in listed(usual.get("iRules"))}:
        found.append(ANYTHING)
    if usual and service.get("serverTLS") and service["serverTLS"] != usual.get("serverTLS"):
        found.append("clients see another certificate than at the shared address")
    if any(usual.get(key) and service.get(key) != usual[key] for key in ("profileAccess", "policyPerRequestAccess")):
        found.append("APM does not check there what it checks at the shared address")
    if odd := _odd_keys(folder, home, service):
        found.append(f"it has another {', '.join(f'`{key}`' for key in odd)} than Stagedoor writes")
    return found


def _odd_keys(folder: str, home: str, service: Declared) -> list[str]:
    """Where a virtual server is not as Stagedoor writes all of them."""
    odd = [key for key, usual in _ALIKE.items() if service.get(key, usual) != usual]
    for key, name in (("profileHTTP", HTTP), ("profileMultiplex", MULTIPLEX)):
        if service.get(key) and pointed(folder, service[key]) != f"{home}/{name}":
            odd.append(key)
    return odd
