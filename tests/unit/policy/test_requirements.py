"""What a sign-in must show; a claim the token lacks is a requirement that is not met."""

from __future__ import annotations

import pytest

from policy.facts import Circumstances, Principal
from policy.requirements import PlainRequirement, all_met, in_words, is_of_programs, unmet

MFA: PlainRequirement = ("person", "mfa", "")
FRESH: PlainRequirement = ("person", "fresh", 100)
ISSUER: PlainRequirement = ("workload", "issuer", "main")
ISSUERS: PlainRequirement = ("workload", "issuer", "ci,main")
NETWORK: PlainRequirement = ("workload", "network", "10.0.0.0/8,2001:db8::/32")
CERTIFICATE: PlainRequirement = ("workload", "certificate", "")


@pytest.mark.parametrize(
    ("requirement", "who", "expected"),
    [
        (MFA, Principal("person"), ("mfa",)),
        (MFA, Principal("person", amr=frozenset({"pwd", "mfa"})), ()),
        (MFA, Principal("workload"), ()),
        (FRESH, Principal("person"), ("max_age=100",)),
        (FRESH, Principal("person", auth_time=901), ()),
        (FRESH, Principal("person", auth_time=900), ("max_age=100",)),
        (("person", "fresh", 5000), Principal("person"), ("max_age=5000",)),
        (ISSUER, Principal("workload", issuer="main"), ()),
        (ISSUER, Principal("workload", issuer="other"), ("issuer=main",)),
        (ISSUER, Principal("workload"), ("issuer=main",)),
        (("workload", "issuer", ""), Principal("workload"), ("issuer",)),
        (ISSUERS, Principal("workload", issuer="ci"), ()),
        (ISSUERS, Principal("workload", issuer="ci,main"), ("issuer=ci,main",)),
        (ISSUERS, Principal("workload", issuer="mai"), ("issuer=ci,main",)),
        (("person", "unheard-of", ""), Principal("person"), ("unheard-of",)),
        (("workload", "unheard-of", ""), Principal("workload"), ("unheard-of",)),
    ],
)
def test_requirements(requirement: PlainRequirement, who: Principal, expected: tuple[str, ...]) -> None:
    """Both forms of the question agree; an unknown requirement is never met."""
    assert unmet((requirement,), who, 1000) == expected
    assert all_met((requirement,), who, 1000) is (expected == ())


@pytest.mark.parametrize(
    ("requirement", "call", "met"),
    [
        (NETWORK, Circumstances("10.20.30.40"), True),
        (NETWORK, Circumstances("::ffff:10.20.30.40"), True),
        (NETWORK, Circumstances("2001:db8::1"), True),
        (NETWORK, Circumstances("11.0.0.1"), False),
        (NETWORK, Circumstances("::ffff:11.0.0.1"), False),
        (NETWORK, Circumstances("::10.20.30.40"), False),
        (NETWORK, Circumstances(""), False),
        (NETWORK, Circumstances("10.20.30.40, 8.8.8.8"), False),
        (("workload", "network", "10.0.0.0/8,what"), Circumstances("10.20.30.40"), False),
        (("workload", "network", ""), Circumstances(""), False),
        (CERTIFICATE, Circumstances("10.20.30.40", True), True),
        (CERTIFICATE, Circumstances("10.20.30.40"), False),
    ],
)
def test_how_a_program_calls(requirement: PlainRequirement, call: Circumstances, met: bool) -> None:
    """The address counts in one spelling, and what cannot be read is outside every network."""
    who = Principal("workload")
    assert all_met((requirement,), who, 1000, call) is met
    assert unmet((requirement,), who, 1000, call) == (() if met else (requirement[1],))
    assert all_met((requirement,), Principal("person"), 1000), "people are not asked"
    assert not all_met((requirement,), who, 1000), "what nobody said is not met"


def test_what_is_missing_names_no_network() -> None:
    need = unmet((ISSUERS, NETWORK, CERTIFICATE), Principal("workload"), 1000)
    assert need == ("issuer=ci,main", "network", "certificate")
    assert is_of_programs(need)
    assert not is_of_programs(("mfa", "max_age=100", "networks"))
    assert in_words(need) == (
        "a token of issuer ci or main, an address in an allowed network, a verified client certificate"
    )
