"""Facts and access policy to rules: what the catalog says, cut down to what the platform team allows.

Each published exposure gets its operations and the rules about it, in canonical order, whatever the order of
the facts. What an owner opens is intersected with what the environment allows; the access policy's own rules
stand beside that and are neither narrowed nor widened by annotations. A broken entity is left out with a
fault that names it; it never changes another one's rules.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from policy.builtin import BUILTIN_ENVIRONMENT, BUILTIN_SERVICE, Builtin, publish_builtin
from policy.claims import Claimant, Incumbent, claimable, key_of
from policy.facts import EVERYONE, Catalog, Exposure, Operation, Service, Source
from policy.memory import Memory, Part, Question, UsersOf
from policy.operations import operation_faults, operations_of, with_named_scopes
from policy.paths import READ, WRITE, template_of
from policy.reading import Fault, did_you_mean
from policy.reasons import CONSUMER, OWNER, PUBLIC
from policy.reasons import EVERYONE as EVERYONE_REACH
from policy.reasons import RULE as RULE_REACH
from policy.rule import Derived, Published, Rule, one_each, with_id
from policy.stated import Instances, rules_of
from policy.statements import (
    ANYONE,
    AccessPolicy,
    EnvironmentPolicy,
    ServiceFacts,
    claimed_facts_of,
    facts_of,
)

__all__ = ["Builtin", "Derived", "Memory", "Published", "Rule", "claimable", "derive", "key_of"]

_WIDTH: Final = {"": 0, "owners": 0, "consumers": 1, "everyone": 2}  # `access` is cumulative


def derive(
    catalog: Catalog,
    policy: AccessPolicy,
    environments: tuple[str, ...],
    builtin: Builtin | None = None,
    incumbents: Mapping[tuple[str, str], Incumbent] | None = None,
    memory: Memory | None = None,
) -> Derived:
    """The rules of every exposure that may be published, and every fault.

    ``incumbents`` names who holds a (host, prefix) now: they keep it, and its host, when another one claims it.
    The operator's lists (:func:`claimable`) are the caller's to apply before. With a ``memory`` only that is derived
    again which a change bears on; what is the very same object as last time counts as unchanged.
    """
    memory = memory or Memory()
    reserved = builtin.host if builtin is not None else ""
    question = Question(catalog, policy, environments, incumbents or {}, reserved)
    book = memory.derived(question, _Book, _part)
    published = memory.published()
    faults = set(memory.faults())
    if builtin is not None:
        denies = tuple(book.stated_for(facts_of(BUILTIN_SERVICE), BUILTIN_ENVIRONMENT))
        own = publish_builtin(builtin, denies, catalog.services.values(), environments)
        insort(published, own, key=lambda each: each.key)
    return Derived(
        tuple(published),
        _role_scopes(policy),
        environments,
        tuple(sorted(faults, key=_order)),
    )


def _order(fault: Fault) -> tuple[str, int, str, str, str]:
    return (fault.source.file, fault.source.line, fault.message, fault.source.entity, fault.suggestion)


def _part(service: Service, question: Question) -> Part:
    """Every exposure of a known environment, once per environment; what is wrong with the service alone."""
    claimants: list[Claimant] = []
    faults: list[Fault] = operation_faults(service) if service.exposures else []
    seen: set[str] = set()
    for exposure in sorted(service.exposures, key=lambda each: (each.environment, each.host, each.prefix)):
        name = exposure.environment
        if service.ref == BUILTIN_SERVICE.ref:
            message = f"`{service.ref}` is stagedoor itself"
            faults.append(Fault(exposure.source, message, "choose another name", environment=name))
        elif name not in question.environments:
            hint = did_you_mean(name, question.environments)
            message = f"unknown environment `{name}` of `{service.ref}`"
            faults.append(Fault(exposure.source, message, hint, environment=name))
        elif name in seen:
            faults.append(Fault(exposure.source, f"`{service.ref}` is exposed twice in `{name}`", environment=name))
        else:
            claimants.append((service, exposure))
        seen.add(name)
        if name in question.environments and name not in question.policy.environments:
            message = f"the access policy says nothing about environment `{name}`: nobody may enter it"
            faults.append(Fault(exposure.source, message, severity="warning", environment=name))
    return Part(tuple(claimants), tuple(faults))


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

    def __init__(self, policy: AccessPolicy, instances: Instances, users_of: UsersOf) -> None:
        self.policy = policy
        self.faults: list[Fault] = []
        self.stated = [(rule, tuple(rules_of(rule, policy, instances))) for rule in policy.rules]
        self.users_of = users_of

    def derived(self, service: Service, exposure: Exposure) -> tuple[Published, tuple[Fault, ...]]:
        """The exposure, and what is wrong with its service in that environment."""
        self.faults = []
        published = self.publish(service, exposure)
        return published, tuple(self.faults)

    def publish(self, service: Service, exposure: Exposure) -> Published:
        environment = self.policy.environments.get(exposure.environment)
        place = _Place(
            key_of(service.ref, exposure.environment),
            service,
            facts_of(service),
            environment or EnvironmentPolicy(exposure.environment),
        )
        stated = list(self.stated_for(place.facts, exposure.environment, claimed_facts_of(service, place.facts)))
        named = (each for rule in stated if rule.is_permit for each in rule.operations)
        operations = tuple(
            with_named_scopes(operation, place.facts, self.policy.scopes) for operation in operations_of(service, named)
        )
        rules = [*self.catalog_rules(place, operations), *stated]
        return Published(place.key, service, exposure, operations, one_each(rules))

    def stated_for(self, facts: ServiceFacts, environment: str, claimed: ServiceFacts | None = None) -> Iterator[Rule]:
        """The access policy's rules about a service in an environment. ``claimed``: what is said of it to denies."""
        for statement, rules in self.stated:
            if statement.services.covers(facts if statement.effect == "allow" else claimed or facts):
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
        opened = (each for each in operations if each.public and not each.stands_for)
        named = {(each.method, template_of(each.template)) for each in opened}
        closed = (each for each in operations if not each.public or each.unresolved)
        guarded = {(each.method, template_of(each.template)) for each in closed}
        if named and place.environment.public == "never":
            name = place.environment.name
            message = f"`public` has no effect in `{name}`"
            hint = "the access policy says `public: never` there, which only the platform team can change"
            self.faults.append(Fault(place.service.source, message, hint, "warning", name))
        elif named - guarded:
            rule = Rule("", PUBLIC, "catalog", ANYONE, place.service.ref, place.environment.name)
            yield with_id(replace(rule, operations=tuple(sorted(named - guarded)), source=place.service.source))


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
