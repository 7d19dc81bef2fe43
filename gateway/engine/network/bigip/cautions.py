"""When a reader of a plan should look twice: judgements about what would be sent, without the device.

They err towards a needless second look. None of them refuses anything: refusing is the linter's and the guards'.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from ipaddress import ip_address, ip_network
from typing import Any, Final

_REFUSALS: Final = (
    "HTTP/1.1 400 Bad Request\r\nContent-Type: text/html\r\n\r\n<h1>Bad Request</h1>",
    "HTTP/1.0 404 Not Found\r\nContent-Type: text/html\r\n\r\n<h1>Not Found</h1>",
    "HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/html\r\n\r\n<h1>Service Unavailable</h1>",
)
_FAILING: Final = "HTTP/1.1 503 Service Unavailable\r\nstagedoor-state: failing\r\n\r\nstagedoor-state: failing"
_DRAINING: Final = "HTTP/1.1 200 OK\r\nstagedoor-state: draining\r\n\r\nstagedoor-state: draining"
_LONGEST_PATTERN: Final = 200


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
    alone = {name for name, network in networks.items() if list(networks.values()).count(network) == 1}
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
