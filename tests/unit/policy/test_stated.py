"""The access policy's own rules stand on their own; an environment's requirements hold for them too."""

from __future__ import annotations

from policy.facts import Instance, Source
from policy.stated import instances_of, rules_of, target_of
from policy.statements import AccessPolicy, EnvironmentPolicy, PolicyRule, Requirement, Selector
from tests.support.policy_worlds import service

MFA = Requirement("person", "mfa")
ISSUER = Requirement("workload", "issuer", "main")
POLICY = AccessPolicy({"prod": EnvironmentPolicy("prod", requirements=(MFA,)), "dev": EnvironmentPolicy("dev")})


def stated(effect: str, subjects: tuple[str, ...], environments: tuple[str, ...]) -> PolicyRule:
    return PolicyRule(
        effect=effect,  # type: ignore[arg-type]  # one of the two words
        subjects=subjects,
        services=Selector((("tag", ("pci",)),)),
        environments=environments,
        methods=None,
        operations=(),
        scopes=frozenset(),
        requirements=(ISSUER,) if effect == "allow" else (),
        except_grants=False,
        because="because",
        source=Source("p", 1),
    )


def test_one_rule_per_subject_and_environment() -> None:
    rules = list(rules_of(stated("allow", ("group:default/a", "user:default/b"), ("dev", "prod")), POLICY))
    assert [(rule.subject, rule.environment, rule.reason) for rule in rules] == [
        ("group:default/a", "dev", "rule"), ("group:default/a", "prod", "rule"),
        ("user:default/b", "dev", "rule"), ("user:default/b", "prod", "rule"),
    ]  # fmt: skip
    assert [set(rule.requirements) for rule in rules[:2]] == [{ISSUER}, {ISSUER, MFA}]


def test_a_deny_without_environments_holds_in_all_and_asks_for_nothing() -> None:
    (rule,) = rules_of(stated("deny", ("all-people",), ()), POLICY)
    assert (rule.reason, rule.environment, rule.requirements) == ("denied", "", ())


def test_anyone_is_public_and_shows_nothing() -> None:
    (rule,) = rules_of(stated("allow", ("anyone",), ("prod",)), POLICY)
    assert rule.reason == "public"
    assert MFA not in rule.requirements


def test_a_selector_reads_as_text() -> None:
    assert target_of(Selector()) == "every service"
    assert target_of(Selector((("system", ("a", "b")), ("tag", ("c",))))) == "system a or b and tag c"


def test_what_is_denied_to_a_component_is_denied_to_its_instances_and_nothing_is_allowed_to_them() -> None:
    """Whoever writes a catalog entry may claim to be an instance: that takes away, and never gives."""
    claim = Instance("component:default/a", "prod", agreed=True)
    instances = instances_of([service("b", instance=claim), service("a")])
    of = ("component:default/a",)
    denied = list(rules_of(stated("deny", of, ()), POLICY, instances))
    assert [rule.subject for rule in denied] == ["component:default/a", "component:default/b"]
    allowed = list(rules_of(stated("allow", of, ("prod",)), POLICY, instances))
    assert [rule.subject for rule in allowed] == ["component:default/a"]
