"""Who lags behind what is published, out of an inventory: a door, a device, a firewall without a rule or a tag.

The command line and the portal say it in the same sentences. The inventory may be another version's, so only what its
model promises is read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

_ADDRESSES: Final = 20  # that one sentence names


def lagging(found: Mapping[str, Any]) -> list[str]:
    """A sentence each."""
    said = [f"door {each['slot']} serves {each['base'] or 'nothing'}" for each in found["doors"] if each["lags"]]
    for at in found["environments"]:
        said += lagging_in(at)
    return list(dict.fromkeys(said))


def lagging_in(at: Mapping[str, Any]) -> list[str]:
    """Of one environment."""
    return list(dict.fromkeys(_in_environment(at)))


def _in_environment(at: Mapping[str, Any]) -> Iterator[str]:
    for each in at["devices"]:
        if each["lags"]:
            yield f"{each['device']} in {at['environment']}: {each['why'] or _told(each)}"
    for each in at["firewalls"]:
        if each["state"] == "stops":
            yield f"{each['device']} in {at['environment']}, {each['leg']}: {each['why']}"
    missing = [f"{each['address']} on {each['device']}" for each in at["addresses"] if each["state"] == "stops"]
    if missing:
        more = len(missing) - _ADDRESSES
        named = ", ".join(missing[:_ADDRESSES]) + (f" and {more} more" if more > 0 else "")
        yield f"not tagged in {at['environment']}: {named}"


def _told(device: Mapping[str, Any]) -> str:
    """Of one that has no fault."""
    if device["steps"]:
        return "1 step waits to be applied" if device["steps"] == 1 else f"{device['steps']} steps wait to be applied"
    if device["state"] == "unread":
        return "it was not looked at yet"
    return "it names another policy version than the doors serve"
