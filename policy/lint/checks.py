"""What is allowed and perhaps not meant: all checks over a compiled catalog and its access policy, with the waivers.

Each check is a function from the ground to findings; none knows of another, and none decides anything. The kinds are
listed in `policy.lint.findings`.
"""

from __future__ import annotations

from policy.lint.findings import Finding, with_waivers
from policy.lint.ground import Api, Ground
from policy.lint.reach import lint_reach
from policy.lint.rules import lint_rules
from policy.lint.services import lint_services

__all__ = ["Api", "Finding", "Ground", "lint"]


def lint(ground: Ground, today: str) -> tuple[Finding, ...]:
    """Every finding, in order of places; ``today`` is a day in UTC, such as ``2027-01-31``."""
    found = [*lint_rules(ground), *lint_services(ground), *lint_reach(ground)]
    return with_waivers(found, ground.policy.waivers, today)
