"""Issuers that the access policy asks programs to have a token of, and that nobody has configured.

Such a demand is never met, which harms nobody in silence: it is a warning with what was probably meant.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from policy.facts import Source
from policy.reading import Fault, did_you_mean
from policy.statements import AccessPolicy, Requirement


def unknown_issuers(policy: AccessPolicy, configured: Collection[str]) -> list[Fault]:
    """A warning for each name that is none of the ``configured``, where it is asked for."""
    said: list[tuple[Iterable[Requirement], Source]] = [
        *((each.requirements, each.source) for each in policy.environments.values()),
        *((each.requirements, each.source) for each in policy.rules),
    ]
    return [
        Fault(source, f"no issuer is called `{name}`: no token is of it", _hint(name, configured), "warning")
        for requirements, source in said
        for requirement in requirements
        if requirement.name == "issuer"
        for name in str(requirement.argument).split(",")
        if name not in configured
    ]


def _hint(name: str, configured: Collection[str]) -> str:
    return did_you_mean(name, configured) or f"configured are {', '.join(sorted(configured)) or 'none'}"
