"""What a rule comes from: the statements that make it, each with the file and the line where somebody wrote it.

A rule of the access policy is one statement. A rule of the catalog takes several: what the entity says, what its
annotations say, and what the environment lets that be worth. Take one of them away and the rule is gone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple, Protocol

from gateway.engine.access_files import AccessRead
from gateway.engine.sources.entities import Entity
from gateway.questions.rights import source_as_json
from policy.explain import counted_in, sentence_of
from policy.facts import Catalog, Service, Source
from policy.reasons import CONSUMER, EVERYONE, OWNER, PUBLIC
from policy.rule import Published, Rule
from policy.stated import rules_of
from policy.statements import EnvironmentPolicy, facts_of

_OF_POLICY: Final = "a rule of the access policy"
WIDTHS: Final = ("owners", "consumers", "everyone")  # of `access`; each includes the ones before


class Compilation(Protocol):
    """What was read and what came of it, whoever compiled: a command on files, or the engine."""

    @property
    def published(self) -> tuple[Published, ...]: ...

    @property
    def catalog(self) -> Catalog: ...

    @property
    def entities(self) -> Mapping[str, Entity]: ...

    @property
    def access(self) -> AccessRead: ...


class Statement(NamedTuple):
    """One thing that somebody wrote."""

    says: str
    source: Source


class Origin(NamedTuple):
    """A rule, where it holds, and every statement it rests on."""

    rule: Rule
    sentence: str
    exposures: tuple[str, ...]
    statements: tuple[Statement, ...]

    def as_json(self) -> dict[str, Any]:
        """The stable form: every key is always there."""
        return {
            "rule": self.rule.id,
            "known": True,
            "effect": "permit" if self.rule.is_permit else "deny",
            "reason": self.rule.reason,
            "sentence": self.sentence,
            "counted": counted_in(self.rule),
            "because": self.rule.because,
            "subject": self.rule.subject,
            "environment": self.rule.environment,
            "exposures": list(self.exposures),
            "statements": [{"says": each.says, "source": source_as_json(each.source)} for each in self.statements],
        }


def origin_of(compiled: Compilation, rule_id: str) -> Origin | None:
    """None when no rule has this id now. A rule that is published nowhere has no exposures."""
    holding = [each for each in compiled.published if any(rule.id == rule_id for rule in each.rules)]
    if not holding:
        return _stated(compiled, rule_id)
    rule = next(rule for rule in holding[0].rules if rule.id == rule_id)
    statements = tuple(_statements(compiled, rule, holding[0]))
    return Origin(rule, sentence_of(rule), tuple(each.key for each in holding), statements)


def _stated(compiled: Compilation, rule_id: str) -> Origin | None:
    """A rule of the access policy that is about nothing that is published."""
    policy = compiled.access.policy
    if policy is None:
        return None
    stated = (rule for statement in policy.rules for rule in rules_of(statement, policy) if rule.id == rule_id)
    rule = next(stated, None)
    return Origin(rule, sentence_of(rule), (), (Statement(_OF_POLICY, rule.source),)) if rule is not None else None


def _statements(compiled: Compilation, rule: Rule, published: Published) -> Iterator[Statement]:
    service, policy = published.service, compiled.access.policy
    if rule.origin == "access-policy" or policy is None:
        yield Statement(_OF_POLICY, rule.source)
        return
    if rule.origin == "built-in":
        yield Statement("Stagedoor's own pages: no file says it", rule.source)
        return
    environment = policy.environments.get(rule.environment) or EnvironmentPolicy(rule.environment)
    if rule.reason == OWNER:
        yield Statement(f"`spec.owner` of `{service.ref}` is `{rule.subject}`", service.source)
        yield _worth(environment, "owners", environment.owners)
    elif rule.reason == CONSUMER:
        yield from _use(compiled, rule, service, environment)
        yield _worth(environment, "consumers", environment.consumers)
    elif rule.reason == EVERYONE:
        yield _width(compiled, service, rule.source)
        yield _worth(environment, "everyone", environment.everyone)
    elif rule.reason == PUBLIC:
        yield _annotation(compiled, service, "public")
        yield Statement(
            f"environment `{environment.name}` lets owners open operations: `public: declared`", environment.source
        )
    else:
        yield _annotation(compiled, service, "allow-groups")
        yield _worth(environment, "groups", environment.groups)


def _use(compiled: Compilation, rule: Rule, service: Service, environment: EnvironmentPolicy) -> Iterator[Statement]:
    """A use that is declared, on an API that is provided, and that is consented to."""
    user = compiled.catalog.services.get(rule.subject)
    if user is not None:
        apis = ", ".join(f"`{api}`" for api in sorted(set(user.consumes) & set(service.provides)))
        yield Statement(f"`spec.consumesApis` of `{user.ref}` names {apis}", user.source)
        yield Statement(f"`spec.providesApis` of `{service.ref}` names it", service.source)
    yield _width(compiled, service, _default_of(compiled, service, environment.name))
    if rule.subject in service.allow_consumers:
        yield _annotation(compiled, service, "allow-consumers")
    else:
        yield Statement(
            f"environment `{environment.name}` accepts it: `consent: {environment.consent}`", environment.source
        )


def _width(compiled: Compilation, service: Service, said_by: Source) -> Statement:
    """How far the service opens: by its annotation, or where it has none by the default that says most."""
    if service.access:
        return _annotation(compiled, service, "access")
    return Statement(f"a default of the access policy, because `{service.ref}` has no `access`", said_by)


def _default_of(compiled: Compilation, service: Service, environment: str) -> Source:
    """The default that opens a service furthest, as :func:`policy.derive.derive` chooses it."""
    policy = compiled.access.policy
    about = [
        each
        for each in (policy.defaults if policy is not None else ())
        if environment in (each.environments or (environment,)) and each.services.covers(facts_of(service))
    ]
    widest = max(about, key=lambda each: WIDTHS.index(each.access), default=None)
    return widest.source if widest is not None else service.source


def _annotation(compiled: Compilation, service: Service, key: str) -> Statement:
    entity = compiled.entities.get(service.ref)
    place = entity.place(key) if entity is not None else service.source
    return Statement(f"annotation `{key}` of `{service.ref}` is `{service.annotations.get(key, '')}`", place)


def _worth(environment: EnvironmentPolicy, key: str, verbs: Iterable[str]) -> Statement:
    return Statement(f"environment `{environment.name}` says `{key}: [{', '.join(verbs)}]`", environment.source)
