"""What the platform team states, as immutable values: environments, roles, named scopes, defaults, rules.

Nothing here knows how the statements were written down or whether the teams they name exist.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from policy.facts import Service, Source
from policy.paths import Template

ANYONE: Final = "anyone"  # also who is not signed in
Access = Literal["owners", "consumers", "everyone"]
ServiceFacts = frozenset[tuple[str, str]]


class Requirement(NamedTuple):
    """What must be shown: ``mfa``, ``fresh`` (seconds) by people; by workloads a token of an ``issuer`` (names, comma
    between), an address in a ``network`` (the same), a ``certificate``."""

    kind: Literal["person", "workload"]
    name: Literal["mfa", "fresh", "issuer", "network", "certificate"]
    argument: int | str = ""


def facts_of(service: Service) -> ServiceFacts:
    """What a selector can ask of a service, as (key, value) pairs. Made once per service: there are many rules."""
    many = {"tag": tuple(tag.lower() for tag in service.tags), "api": service.provides}
    one = {"service": service.ref, "system": service.system, "domain": service.domain, "type": service.type.lower()}
    return frozenset(one.items()) | {(key, value) for key, values in many.items() for value in values}


@dataclass(frozen=True, slots=True)
class Selector:
    """Which services a rule is about: every key must agree, one of its values is enough. Empty: all services."""

    terms: tuple[tuple[str, tuple[str, ...]], ...] = ()

    def covers(self, facts: ServiceFacts) -> bool:
        return all(any((key, value) in facts for value in values) for key, values in self.terms)


@dataclass(frozen=True, slots=True)
class Temporary:
    """How temporary access may be asked for."""

    longest_s: int
    approvers: tuple[str, ...]  # refs; ("owners",) = the owning team
    reason_required: bool


@dataclass(frozen=True, slots=True)
class EnvironmentPolicy:
    """What a relation to a service is worth in one environment: verbs `read`, `write`, `all`, `declared`."""

    name: str
    owners: tuple[str, ...] = ()
    consumers: tuple[str, ...] = ()
    everyone: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()  # for teams that a service names in `allow-groups`
    consent: Literal["named", "same-system", "any"] = "named"
    public: Literal["never", "declared"] = "never"
    requirements: tuple[Requirement, ...] = ()
    temporary: Temporary | None = None
    source: Source = Source("")


@dataclass(frozen=True, slots=True)
class Role:
    name: str
    groups: tuple[str, ...]
    scopes: frozenset[str]
    source: Source = Source("")


@dataclass(frozen=True, slots=True)
class NamedScope:
    """A scope that stands for the scopes of many operations: whoever holds it needs no other there."""

    name: str
    services: Selector
    methods: frozenset[str] | None


@dataclass(frozen=True, slots=True)
class Default:
    """The access of services that do not state their own."""

    services: Selector
    access: Access
    environments: tuple[str, ...]  # () = all
    source: Source


@dataclass(frozen=True, slots=True)
class PolicyRule:
    """One entry of `rules`."""

    effect: Literal["allow", "deny"]
    subjects: tuple[str, ...]
    services: Selector
    environments: tuple[str, ...]  # () = all; denies only
    methods: frozenset[str] | None
    operations: tuple[tuple[str, Template], ...]
    scopes: frozenset[str]
    requirements: tuple[Requirement, ...]
    except_grants: bool
    because: str
    source: Source


@dataclass(frozen=True, slots=True)
class Waiver:
    """Findings of `lint` that somebody accepts for a time: one id, or all of one kind about one thing."""

    finding: str  # "f-…", or a kind of finding
    about: str  # "" when ``finding`` is an id
    until: str  # "2027-01-31": the last day, UTC
    because: str
    source: Source


@dataclass(frozen=True, slots=True)
class AccessPolicy:
    environments: Mapping[str, EnvironmentPolicy]
    roles: tuple[Role, ...] = ()
    scopes: tuple[NamedScope, ...] = ()
    defaults: tuple[Default, ...] = ()
    rules: tuple[PolicyRule, ...] = ()
    waivers: tuple[Waiver, ...] = ()
