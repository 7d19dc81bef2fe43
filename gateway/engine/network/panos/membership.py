"""Who and what carries which tags: what a firewall is told without a commit, as one value.

All environments of a firewall are one such value, because it has one table of addresses and one of users. Names of tags
come from `names`, those of users as User-ID writes them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

Key = tuple[str, str]  # an address or user, and a tag


@dataclass(frozen=True, slots=True)
class Membership:
    """``addresses``: hosts ("192.0.2.10"), networks ("192.0.2.0/28") as PAN-OS writes them, without the watermark.
    ``timed``: of users by grants, when it ends (epoch seconds, half-open). ``cut``: users who are to lose every tag of
    ours now, whoever says otherwise; they are in nothing else here. ``shut``: of addresses, the tags that they lost
    because somebody shut a service or an environment."""

    version: str = ""  # the base id that the doors serve
    addresses: Mapping[str, frozenset[str]] = field(default_factory=dict)
    users: Mapping[str, frozenset[str]] = field(default_factory=dict)
    timed: Mapping[Key, int] = field(default_factory=dict)
    cut: frozenset[str] = frozenset()
    remarks: tuple[str, ...] = ()  # what a reader should know: "12 people have no name here: …"
    shut: Mapping[str, frozenset[str]] = field(default_factory=dict)
