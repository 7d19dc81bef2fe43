"""What a rule says of itself on the device: one sentence for who reviews it, and a comment for its history.

Whoever reads a rule base finds there who may what, who answers for it and which entry of the catalog it comes from. The
same sentence leads back: the entry is taken for the rule's only if the rule's name is made of it, so nobody's edit of a
description makes a rule somebody else's.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any, Final, Literal, NamedTuple

from gateway.engine.network.panos import names
from gateway.engine.network.panos.device.writes import COMMENT_MOST

Leg = Literal["front", "direct", "back", "closing"]
LEGS: Final[tuple[Leg, ...]] = ("front", "direct", "back", "closing")
DESCRIPTION_MOST: Final = 1024
NAMED: Final = 6  # subjects in a description
CLOSED: Final = 16  # networks there
_REF_MOST: Final = 190
_ABOUT: Final = re.compile(r"; owner (\S+); catalog (\S+)\.\Z")
_NOBODY: Final = "nobody"


class About(NamedTuple):
    """Which leg and entry of the catalog a rule is for; all "" where it does not say so itself."""

    leg: str
    ref: str
    owner: str


def description_of(
    leg: Leg, ref: str, environment: str, owner: str, who: Sequence[str], ports: Sequence[str], scope: str = ""
) -> str:  # fmt: skip
    """``who``: refs of subjects, or words; networks where these are closed. ``ref`` is "" for what all scopes of an
    environment have together. ``scope``: whose people they are, where that is more than ``ref``."""
    where = cleaned(ref) or "all shared virtual addresses"
    told = {
        "front": f"Lets {listed(who)} come near {where} ({environment}) on {listed(ports)}",
        "direct": f"Lets {listed(who)} reach {where} ({environment}) without a door{_as_people_of(scope)}, on "
        f"{listed(ports)}",
        "back": f"Lets the doors reach {where} ({environment}) on {listed(ports)}",
        "closing": f"Keeps everybody else from {_closed(environment, who)}: the way leads through the doors",
    }[leg]
    tail = f"; owner {cleaned(owner) or _NOBODY}; catalog {cleaned(ref) or environment}."
    return cleaned(told, DESCRIPTION_MOST - len(tail)) + tail


def _as_people_of(scope: str) -> str:
    return f", because they may reach something of {cleaned(scope)}" if scope else ""


def _closed(environment: str, networks: Sequence[str]) -> str:
    return f"all of {listed(networks, CLOSED)}, networks of {environment}" if networks else f"services of {environment}"


def about(rule: Mapping[str, Any], environment: str) -> About:
    found = _ABOUT.search(rule["description"])
    if found is None:
        return About("", "", "")
    owner, said = found.groups()
    for leg in LEGS:
        for ref in (said, ""):
            if names.rule_name(leg, ref, environment) == rule["name"]:
                return About(leg, ref, "" if owner == _NOBODY else owner)
    return About("", "", "")


def comment_of(rule: Mapping[str, Any], environment: str) -> str:
    """The audit comment: owner, entry of the catalog, and a hash of what the rule says."""
    told = about(rule, environment)
    digest = blake2b(json.dumps(rule, sort_keys=True).encode(), digest_size=8).hexdigest()
    return f"owner {told.owner or _NOBODY}; catalog {told.ref or environment}; content {digest}"[:COMMENT_MOST]


def sentence(text: str) -> str:
    """Of a group, in letters that every device shows alike."""
    return f"{cleaned(text, DESCRIPTION_MOST - 2)}."


def listed(texts: Sequence[str], most: int = NAMED) -> str:
    more = len(texts) - most
    first = [cleaned(each, _REF_MOST // 2) for each in texts[:most]]
    return ", ".join(first) + (f" and {more} more" if more > 0 else "")


def cleaned(text: str, most: int = _REF_MOST) -> str:
    """Letters that every device and terminal shows alike."""
    return "".join(each if " " <= each <= "~" else "?" for each in text)[:most]
