"""The access policy's own rules: each statement as one rule per subject and environment.

Annotations neither narrow nor widen them. What an environment asks of every sign-in is asked here too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final, Literal

from policy.facts import Service
from policy.reasons import DENIED
from policy.rule import Rule, with_id
from policy.statements import ANYONE, AccessPolicy, PolicyRule, Selector

EVERY_SERVICE: Final = "every service"

Instances = Mapping[str, tuple[str, ...]]  # component -> the refs of those that say to be it somewhere


def instances_of(services: Iterable[Service]) -> Instances:
    found: dict[str, tuple[str, ...]] = {}
    for service in sorted(services, key=lambda each: each.ref):
        if service.instance is not None:
            found[service.instance.of] = (*found.get(service.instance.of, ()), service.ref)
    return found


def rules_of(statement: PolicyRule, policy: AccessPolicy, instances: Instances | None = None) -> Iterator[Rule]:
    """One rule per subject and environment of a statement; a deny without environments holds in all."""
    for subject, environment in _parties(statement, instances or {}):
        reach: Literal["rule", "public"] = "public" if subject == ANYONE else "rule"
        requirements = set(statement.requirements)
        if statement.effect == "allow" and subject != ANYONE and environment in policy.environments:
            requirements |= set(policy.environments[environment].requirements)
        yield with_id(
            Rule(
                "",
                DENIED if statement.effect == "deny" else reach,
                "access-policy",
                subject,
                target_of(statement.services),
                environment,
                statement.methods,
                operations=statement.operations,
                confers=statement.scopes,
                requirements=tuple(sorted(requirements, key=repr)),
                except_grants=statement.except_grants,
                because=statement.because,
                source=statement.source,
            )
        )


def _parties(statement: PolicyRule, instances: Instances) -> Iterator[tuple[str, str]]:
    """Subject and environment of each rule. A deny that names a component names those that say to be its instances;
    an allow does not: whoever writes a catalog entry may say so."""
    is_deny = statement.effect == "deny"
    everywhere = ("",) if is_deny and not statement.environments else statement.environments
    for named in statement.subjects:
        for subject in (named, *(instances.get(named, ()) if is_deny else ())):
            yield from ((subject, environment) for environment in everywhere)


def target_of(selector: Selector) -> str:
    """A selector as text: part of a rule's identity, and read by people."""
    return " and ".join(f"{key} {' or '.join(values)}" for key, values in selector.terms) or EVERY_SERVICE
