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
    facts = frozenset(one.items()) | {(key, value) for key, values in many.items() for value in values}
    return claimed_facts_of(service, facts) if service.instance is not None and service.instance.agreed else facts


def claimed_facts_of(service: Service, facts: ServiceFacts) -> ServiceFacts:
    """The same for what forbids: whose instance a service says that it is counts, whether or not that is agreed."""
    return facts | {("service", service.instance.of)} if service.instance is not None else facts


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
    source: Source = Source("")


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


class Shown(NamedTuple):
    """What the caller of an expectation shows beside being known. Scopes bound what the token may do."""

    scopes: frozenset[str] = frozenset()
    mfa: bool = False
    signed_in_s: int = 0  # how long ago
    issuer: str = ""
    address: str = ""
    certificate: bool = False
    through: str = ""  # the component that carries a person's token
    acting: tuple[str, ...] = ()  # who acts for the caller (RFC 8693 `act`), refs


@dataclass(frozen=True, slots=True)
class Expectation:
    """One entry of `tests`: what a call must come to. The call is named by host and path, or by service,
    environment and operation or path."""

    name: str  # as it was said
    subject: str  # a ref, ALL_PEOPLE, ALL_WORKLOADS or ANYONE
    method: str  # "" where an operation is named
    path: Template | None  # of a URL the whole, else below the service's prefix; None where an operation is named
    host: str  # "" unless a URL was given
    operation: str  # an operationId
    service: str  # "" where a URL was given
    environment: str  # "" where a URL was given and says enough
    shown: Shown
    allowed: bool
    reason: str  # "" = any
    source: Source


class Doing(NamedTuple):
    """What an invariant is about: requests by method, those of them on a path, or one operation by its name."""

    text: str  # as it was said
    methods: frozenset[str]
    template: Template | None = None
    operation: str = ""  # an operationId


@dataclass(frozen=True, slots=True)
class Invariant:
    """One entry of `never` or `only`: who must never, or who alone may, do what where."""

    kind: Literal["never", "only"]
    name: str  # as it was said
    subjects: tuple[str, ...]  # refs, ALL_PEOPLE, ALL_WORKLOADS or ANYONE
    doings: tuple[Doing, ...]
    services: Selector  # no terms = every service
    environments: tuple[str, ...]  # () = all
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
    expectations: tuple[Expectation, ...] = ()
    invariants: tuple[Invariant, ...] = ()
