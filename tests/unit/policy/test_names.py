"""Names that lead nowhere are warnings; golden files show their words."""

from __future__ import annotations

from policy.names import TOLD, unknown_names
from policy.statements import AccessPolicy
from tests.support.policy_worlds import catalog, service, team


def test_a_service_that_is_not_published_is_not_spoken_about() -> None:
    facts = catalog(service("x", owner="", exposures=()))
    assert unknown_names(facts, AccessPolicy({})) == []


def test_known_names_are_silent() -> None:
    facts = catalog(team("owners"), service("x", allow_groups=("group:default/owners",)))
    assert unknown_names(facts, AccessPolicy({})) == []


def test_a_name_in_vain_is_a_warning_with_a_suggestion() -> None:
    facts = catalog(team("owners"), service("x", allow_groups=("group:default/owner",)))
    (fault,) = unknown_names(facts, AccessPolicy({}))
    assert (fault.severity, fault.suggestion) == ("warning", "did you mean `group:default/owners`?")


def test_of_very_many_names_in_vain_the_first_are_told() -> None:
    """Each is a search among all teams: one owner's list must not delay what others change."""
    names = tuple(f"group:default/g{number:03}" for number in range(500))
    faults = unknown_names(catalog(team("owners"), service("x", allow_groups=names)), AccessPolicy({}))
    assert len(faults) == TOLD + 1
    assert faults[-1].message == "490 more of the teams and components that it names are not in the catalog"
