"""The access policy's own rules: each statement as one rule per subject and environment.

Annotations neither narrow nor widen them. What an environment asks of every sign-in is asked here too.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal

from policy.reasons import DENIED
from policy.rule import Rule, with_id
from policy.statements import ANYONE, AccessPolicy, PolicyRule, Selector

EVERY_SERVICE: Final = "every service"


def rules_of(statement: PolicyRule, policy: AccessPolicy) -> Iterator[Rule]:
    """One rule per subject and environment of a statement; a deny without environments holds in all."""
    reach: Literal["rule", "public"]
    everywhere = ("",) if statement.effect == "deny" and not statement.environments else statement.environments
    for subject in statement.subjects:
        for environment in everywhere:
            reach = "public" if subject == ANYONE else "rule"
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


def target_of(selector: Selector) -> str:
    """A selector as text: part of a rule's identity, and read by people."""
    return " and ".join(f"{key} {' or '.join(values)}" for key, values in selector.terms) or EVERY_SERVICE
