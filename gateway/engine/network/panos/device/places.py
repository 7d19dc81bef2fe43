"""Where on a device our objects and rules lie, and what it calls that place: a vsys, or a device group of a Panorama.

Whatever stands in an xpath was compared with a list of harmless characters before, so nothing can end a quotation.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from typing import Final, NamedTuple

from gateway.config.devices import Panos
from gateway.engine.network.faults import Rejected

_LOCALHOST: Final = "/config/devices/entry[@name='localhost.localdomain']"
_WHOLE: Final = re.compile(r"(/(?!entry/|entry\Z)[a-z][a-z0-9-]*(\[@name='[^']*'\])?)+\Z")
_STEP: Final = re.compile(r"/([^/\[]*)((?:\[[^\]]*\])*)")
_NAMED: Final = re.compile(r"\[@name='[^']*'\]\Z")
HARMLESS: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,126}\Z")


class Place(NamedTuple):
    """``base``: what tags, groups and services lie below; ``scope``: as locks and commands name it."""

    base: str
    rules: str
    scope: str


def place_of_rules(device: Panos) -> Place:
    """Raises `Rejected` for a name that no xpath may hold."""
    if device.device_group:
        base = f"{_LOCALHOST}/device-group/{entry(device.device_group)}"
        return Place(base, f"{base}/pre-rulebase/security/rules", device.device_group)
    base = vsys_base(device.vsys)
    return Place(base, f"{base}/rulebase/security/rules", device.vsys)


def vsys_base(vsys: str) -> str:
    return f"{_LOCALHOST}/vsys/{entry(vsys)}"


def entry(name: str) -> str:
    """Raises `Rejected` for a name that no xpath may hold."""
    if not HARMLESS.match(name):
        raise Rejected(f"`{name[:80]}` may stand in no xpath: give it letters, digits, spaces, `.`, `_` and `-`")
    return f"entry[@name='{name}']"


def touches(one: str, other: str) -> bool:
    """Whether one xpath is the other, lies in it, or holds it. One that does not say every name may mean any."""
    if _WHOLE.match(one) and _WHOLE.match(other):
        return one == other or one.startswith(f"{other}/") or other.startswith(f"{one}/")
    return any(_may_touch(each, other) for each in one.split("|"))


def touching(ours: Collection[str]) -> Callable[[str], bool]:
    """Whether an xpath `touches` any of these, for many of both. Ours say every name, none with a `/`."""
    holders = {own.rpartition("/")[0] for own in ours}
    above = {each for holder in holders for each in _ways_to(holder)}
    known = frozenset(ours)

    def is_touching(xpath: str) -> bool:
        if _WHOLE.match(xpath):
            return xpath in above or any(each in known for each in _ways_to(xpath))
        return any(touches(xpath, own) for own in known)

    return is_touching


def _ways_to(xpath: str) -> Iterator[str]:
    """It, and what it lies in."""
    while xpath:
        yield xpath
        xpath = xpath.rpartition("/")[0]


def _may_touch(one: str, other: str) -> bool:
    pairs = zip(_STEP.findall(one.strip()), _STEP.findall(other), strict=False)
    for (tag, told), (other_tag, other_told) in pairs:
        if not tag:  # `//`: anywhere below
            return True
        if tag != other_tag and "*" not in (tag, other_tag):
            return False
        if _NAMED.match(told) and _NAMED.match(other_told) and told != other_told:
            return False
    return True
