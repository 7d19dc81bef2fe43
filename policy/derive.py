"""Facts and access policy to rules: what the catalog says, cut down to what the platform team allows.

Each published exposure gets its operations and the rules about it, in canonical order, whatever the order of
the facts. What an owner opens is intersected with what the environment allows; the access policy's own rules
stand beside that and are neither narrowed nor widened by annotations. A broken entity is left out with a
fault that names it; it never changes another one's rules.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from operator import is_
from typing import Final

from policy.builtin import BUILTIN_ENVIRONMENT, BUILTIN_SERVICE, Builtin, publish_builtin
from policy.claims import Claimant, claimable, holders, key_of
from policy.facts import EVERYONE, Catalog, Exposure, Operation, Service, Source
from policy.names import unknown_names
from policy.operations import operation_faults, operations_of, with_named_scopes
from policy.paths import READ, WRITE, template_of
from policy.reading import Fault, did_you_mean
from policy.reasons import CONSUMER, OWNER, PUBLIC
from policy.reasons import EVERYONE as EVERYONE_REACH
from policy.reasons import RULE as RULE_REACH
from policy.rule import Derived, Published, Rule, one_each, with_id
from policy.stated import rules_of
from policy.statements import (
    ANYONE,
    AccessPolicy,
    EnvironmentPolicy,
    ServiceFacts,
    facts_of,
)

__all__ = ["Builtin", "Derived", "Memory", "Published", "Rule", "claimable", "derive", "key_of"]

_WIDTH: Final = {"": 0, "owners": 0, "consumers": 1, "everyone": 2}  # `access` is cumulative


def derive(
    catalog: Catalog,
    policy: AccessPolicy,
    environments: tuple[str, ...],
    builtin: Builtin | None = None,
    incumbents: Mapping[tuple[str, str], str] | None = None,
    memory: Memory | None = None,
) -> Derived:
    """The rules of every exposure that may be published, and every fault.

    ``incumbents`` names who holds a (host, prefix) now, as exposure key: it stays when another one claims it.
    The operator's lists (:func:`claimable`) are the caller's to apply before. With a ``memory`` an exposure whose
    facts are the very same objects as last time is not derived again.
    """
    faults = unknown_names(catalog, policy)
    claimants, more = _claimants(catalog, policy, environments)
    faults += more
    faults += [
        fault for service in catalog.services.values() if service.exposures for fault in operation_faults(service)
    ]
    held, more = holders(claimants, incumbents or {}, builtin.host if builtin else "")
    faults += more
    book = _Book(catalog, policy)
    memory = memory or Memory()
    published = memory.published(book, held)
    if builtin is not None:
        denies = tuple(book.stated_for(facts_of(BUILTIN_SERVICE), BUILTIN_ENVIRONMENT))
        published.append(publish_builtin(builtin, denies))
    faults += book.faults
    return Derived(
        tuple(sorted(published, key=lambda each: each.key)),
        _role_scopes(policy),
        environments,
        tuple(sorted(set(faults), key=lambda each: (each.source.file, each.source.line, each.message))),
    )


def _claimants(
    catalog: Catalog, policy: AccessPolicy, environments: tuple[str, ...]
) -> tuple[list[Claimant], list[Fault]]:
    """Every exposure of a known environment, once per service and environment, in order of refs."""
    claimants: list[Claimant] = []
    faults: list[Fault] = []
    for ref, service in sorted(catalog.services.items()):
        seen: set[str] = set()
        for exposure in sorted(service.exposures, key=lambda each: (each.environment, each.host, each.prefix)):
            name = exposure.environment
            if ref == BUILTIN_SERVICE.ref:
                faults.append(Fault(exposure.source, f"`{ref}` is stagedoor itself", "choose another name"))
            elif name not in environments:
                hint = did_you_mean(name, environments)
                faults.append(Fault(exposure.source, f"unknown environment `{name}` of `{ref}`", hint))
            elif name in seen:
                faults.append(Fault(exposure.source, f"`{ref}` is exposed twice in `{name}`"))
            else:
                claimants.append((service, exposure))
            seen.add(name)
            if name in environments and name not in policy.environments:
                message = f"the access policy says nothing about environment `{name}`: nobody may enter it"
                faults.append(Fault(exposure.source, message, severity="warning"))
    return claimants, faults


def _role_scopes(policy: AccessPolicy) -> dict[str, frozenset[str]]:
    found: dict[str, frozenset[str]] = {}
    for role in policy.roles:
        for group in role.groups:
            found[group] = found.get(group, frozenset()) | role.scopes
    return dict(sorted(found.items()))


@dataclass(frozen=True, slots=True)
class _Place:
    """What is asked again and again while the rules of one exposure are written down."""

    key: str
    service: Service
    facts: ServiceFacts
    environment: EnvironmentPolicy


class _Book:
    """The access policy made ready for many services: its own rules once, who uses which API."""

    def __init__(self, catalog: Catalog, policy: AccessPolicy) -> None:
        self.policy = policy
        self.faults: list[Fault] = []
        self.stated = [(rule, tuple(rules_of(rule, policy))) for rule in policy.rules]
        self.users_of: dict[str, list[Service]] = {}
        for _, service in sorted(catalog.services.items()):
            for api in sorted(set(service.consumes)):
                self.users_of.setdefault(api, []).append(service)

    def publish(self, service: Service, exposure: Exposure) -> Published:
        environment = self.policy.environments.get(exposure.environment)
        place = _Place(
            key_of(service.ref, exposure.environment),
            service,
            facts_of(service),
            environment or EnvironmentPolicy(exposure.environment),
        )
        stated = list(self.stated_for(place.facts, exposure.environment))
        named = (each for rule in stated if rule.is_permit for each in rule.operations)
        operations = tuple(
            with_named_scopes(operation, place.facts, self.policy.scopes) for operation in operations_of(service, named)
        )
        rules = [*self.catalog_rules(place, operations), *stated]
        return Published(place.key, service, exposure, operations, one_each(rules))

    def stated_for(self, facts: ServiceFacts, environment: str) -> Iterator[Rule]:
        """The access policy's rules about a service in an environment."""
        for statement, rules in self.stated:
            if statement.services.covers(facts):
                yield from (rule for rule in rules if rule.environment in ("", environment))

    def catalog_rules(self, place: _Place, operations: tuple[Operation, ...]) -> Iterator[Rule]:
        """What ownership, use and annotations are worth in this environment."""
        service, environment = place.service, place.environment
        access, said_by = self.access(place)
        if service.owner:
            yield from _verb_rules(place, OWNER, service.owner, environment.owners, confers=None)
        if _WIDTH[access] >= _WIDTH["consumers"]:
            for user in self.accepted_users(place):
                apis = frozenset(user.consumes) & frozenset(service.provides)
                yield from _verb_rules(place, CONSUMER, user.ref, environment.consumers, apis=apis)
        if _WIDTH[access] >= _WIDTH["everyone"]:
            yield from _verb_rules(place, EVERYONE_REACH, EVERYONE, environment.everyone, source=said_by)
        for group in sorted(set(service.allow_groups)):
            yield from _verb_rules(place, RULE_REACH, group, environment.groups)
        yield from self.public_rule(place, operations)

    def access(self, place: _Place) -> tuple[str, Source]:
        """How far the owner opens the service; where nothing is said, the widest default that is about it."""
        service = place.service
        if service.access:
            return service.access, service.source
        widest: tuple[str, Source] = ("owners", service.source)
        for default in self.policy.defaults:
            about_here = not default.environments or place.environment.name in default.environments
            if about_here and default.services.covers(place.facts) and _WIDTH[default.access] > _WIDTH[widest[0]]:
                widest = (default.access, default.source)
        return widest

    def accepted_users(self, place: _Place) -> list[Service]:
        """The components that declare an API of this service, and whose use is consented to."""
        service, consent = place.service, place.environment.consent
        users = {user.ref: user for api in service.provides for user in self.users_of.get(api, ())}
        return [
            user
            for ref, user in sorted(users.items())
            if ref in service.allow_consumers
            or consent == "any"
            or (consent == "same-system" and service.system and user.system == service.system)
        ]

    def public_rule(self, place: _Place, operations: tuple[Operation, ...]) -> Iterator[Rule]:
        """What the owner opens to the public. Of two definitions of one operation both must say so."""
        named = {(each.method, template_of(each.template)) for each in operations if each.public}
        closed = (each for each in operations if not each.public or each.unresolved)
        guarded = {(each.method, template_of(each.template)) for each in closed}
        if named and place.environment.public == "never":
            message = f"`public` has no effect in `{place.environment.name}`"
            self.faults.append(Fault(place.service.source, message, severity="warning"))
        elif named - guarded:
            rule = Rule("", PUBLIC, "catalog", ANYONE, place.service.ref, place.environment.name)
            yield with_id(replace(rule, operations=tuple(sorted(named - guarded)), source=place.service.source))


class Memory:
    """What was derived last, by exposure key. It holds for one access policy, and says the same as deriving anew."""

    def __init__(self) -> None:
        self._policy: AccessPolicy | None = None
        self._known: dict[str, _Remembered] = {}

    def published(self, book: _Book, held: Iterable[Claimant]) -> list[Published]:
        known = self._known if book.policy == self._policy else {}
        self._policy, self._known = book.policy, {}
        for service, exposure in held:
            key = key_of(service.ref, exposure.environment)
            users = tuple(user for api in service.provides for user in book.users_of.get(api, ()))
            last = known.get(key)
            if last is None or not last.is_about(service, exposure, users):
                before = len(book.faults)
                published = book.publish(service, exposure)
                last = _Remembered(service, exposure, users, published, tuple(book.faults[before:]))
            else:
                book.faults += last.faults
            self._known[key] = last
        return [each.published for each in self._known.values()]


@dataclass(frozen=True, slots=True)
class _Remembered:
    """Everything that the rules of an exposure depend on beside the access policy, and what came of it."""

    service: Service
    exposure: Exposure
    users: tuple[Service, ...]  # who declares to use an API of the service
    published: Published
    faults: tuple[Fault, ...]

    def is_about(self, service: Service, exposure: Exposure, users: tuple[Service, ...]) -> bool:
        """By identity, not equality: comparing is what deriving would cost."""
        same_users = len(users) == len(self.users) and all(map(is_, users, self.users))
        return self.service is service and self.exposure is exposure and same_users


def _verb_rules(
    place: _Place,
    reason: str,
    subject: str,
    verbs: tuple[str, ...],
    *,
    apis: frozenset[str] | None = None,
    confers: frozenset[str] | None = frozenset(),
    source: Source | None = None,
) -> Iterator[Rule]:
    """One rule per verb, or one for both halves; `declared` limits a rule to ``apis``."""
    rule = Rule("", reason, "catalog", subject, place.service.ref, place.environment.name, confers=confers)
    rule = replace(rule, requirements=place.environment.requirements, source=source or place.service.source)
    if "all" in verbs or {"read", "write"} <= set(verbs):
        yield with_id(rule)
        return
    for verb in verbs:
        if verb == "declared":
            yield with_id(replace(rule, apis=apis))
        else:
            yield with_id(replace(rule, methods=READ if verb == "read" else WRITE))
