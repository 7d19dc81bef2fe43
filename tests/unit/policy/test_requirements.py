"""What a sign-in must show; a claim the token lacks is a requirement that is not met."""

from __future__ import annotations

import pytest

from policy.facts import Principal
from policy.requirements import PlainRequirement, all_met, unmet

MFA: PlainRequirement = ("person", "mfa", "")
FRESH: PlainRequirement = ("person", "fresh", 100)
ISSUER: PlainRequirement = ("workload", "issuer", "main")


@pytest.mark.parametrize(
    ("requirement", "who", "expected"),
    [
        (MFA, Principal("person"), ("mfa",)),
        (MFA, Principal("person", amr=frozenset({"pwd", "mfa"})), ()),
        (MFA, Principal("workload"), ()),
        (FRESH, Principal("person"), ("max_age=100",)),
        (FRESH, Principal("person", auth_time=901), ()),
        (FRESH, Principal("person", auth_time=900), ("max_age=100",)),
        (ISSUER, Principal("workload", issuer="main"), ()),
        (ISSUER, Principal("workload", issuer="other"), ("issuer=main",)),
        (("person", "unheard-of", ""), Principal("person"), ("unheard-of",)),
    ],
)
def test_requirements(requirement: PlainRequirement, who: Principal, expected: tuple[str, ...]) -> None:
    """Both forms of the question agree; an unknown requirement is never met."""
    assert unmet((requirement,), who, 1000) == expected
    assert all_met((requirement,), who, 1000) is (expected == ())
