"""Entities and access policy to frames: the engine's brain, without files and without a clock.

`Compiler` holds what makes the next compile cheap; everything it needs to know of the past (who holds a place, what
was published last) is an argument, so a compile is repeatable. The base id is a hash of what was said (catalog,
access policy, the settings that bear on them); the compiler's own version is kept beside it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Any

from gateway import config
from gateway.engine.sources.assembly import Assembler, Bounds
from gateway.engine.sources.entities import Entity
from gateway.identity.issuers import are_clients_ours
from gateway.identity.presets import key_fields
from gateway.snapshot import WHY, frame_body, frame_hash
from policy.access import AccessPolicy
from policy.compile import compile_frames
from policy.derive import Builtin, Derived, Memory, Published, derive
from policy.facts import Catalog, Exposure
from policy.reading import Fault

COMPILER = "1"  # raise it when equal input gives other frames
BASE_DIGITS = 12


@dataclass(frozen=True, slots=True)
class Past:
    """What was published last."""

    routes: Mapping[str, tuple[Exposure, ...]]  # service -> its exposures
    incumbents: Mapping[tuple[str, str], str]  # (host, prefix) -> exposure key
    rules: Mapping[str, tuple[str, ...]]  # exposure key -> ids of its permits


@dataclass(frozen=True, slots=True)
class Compiled:
    catalog: Catalog
    frames: Mapping[str, Any]
    past: Past  # what the next compile is told
    faults: tuple[Fault, ...]
    published: tuple[Published, ...]


def no_past() -> Past:
    return Past({}, {}, {})


class Compiler:
    """For one set of settings."""

    def __init__(self, settings: config.Settings) -> None:
        self._environments = tuple(sorted(settings.environments))
        self._key_fields = key_fields(settings.issuers)
        self._assembler = Assembler(Bounds(settings.environments, settings.central_host))
        self._builtin = _builtin(settings)
        self._digest = _digest_of(settings)
        self._clients_unsaid = bool(settings.issuers) and not any(
            are_clients_ours(each, settings.issuers) for each in settings.issuers
        )
        self._memory = Memory()
        self._published: dict[str, Published] = {}
        self._known: dict[str, Any] = {}

    def base(self, entities: Mapping[str, Entity], access_digest: str) -> str:
        """12 base32 digits over everything that was said."""
        digest = blake2b(f"{self._digest} {access_digest}\n".encode(), digest_size=20)
        for ref in sorted(entities):
            digest.update(f"{ref} {entities[ref].digest}\n".encode())
        return frame_hash(digest.digest())[:BASE_DIGITS]

    def compile(self, entities: Mapping[str, Entity], access: AccessPolicy, past: Past) -> Compiled:
        facts = self._assembler.facts(entities, past.routes)
        derived = derive(facts.catalog, access, self._environments, self._builtin, past.incumbents, memory=self._memory)
        published = tuple(_shrunk(each, past) if each.key in facts.quarantined else each for each in derived.published)
        frames = self._frames(facts.catalog, replace(derived, published=published))
        faults = tuple(dict.fromkeys((*facts.faults, *derived.faults, *self._useless_client_ids(facts.catalog))))
        return Compiled(facts.catalog, frames, _past(published), faults, published)

    def _useless_client_ids(self, catalog: Catalog) -> Iterator[Fault]:
        if self._clients_unsaid:
            for service in catalog.services.values():
                if service.client_ids:
                    message = f"`client-id` of `{service.ref}` has no effect: no issuer shares its client ids with us"
                    yield Fault(service.source, message, "the operator says so with `clients: ours`", "warning")

    def _frames(self, catalog: Catalog, derived: Derived) -> dict[str, Any]:
        """As `compile_frames` makes them; frames of what is the same as last time are the same objects."""
        fresh = tuple(each for each in derived.published if self._published.get(each.key) != each)
        frames = compile_frames(catalog, replace(derived, published=fresh), self._key_fields)
        changed = frozenset(each.key for each in fresh)
        for each in derived.published:
            if each.key not in changed:
                for name in (f"exposure/{each.key}", f"{WHY}{each.key}"):
                    frames[name] = self._known[name]
        for name, frame in frames.items():
            if self._known.get(name) == frame:
                frames[name] = self._known[name]
        self._published = {each.key: each for each in derived.published}
        self._known = dict(sorted(frames.items()))
        return self._known


def _past(published: Iterable[Published]) -> Past:
    routes: dict[str, tuple[Exposure, ...]] = {}
    incumbents, rules = {}, {}
    for each in published:
        ref, exposure = each.service.ref, each.exposure
        routes[ref] = (*routes.get(ref, ()), exposure)
        incumbents[exposure.host, exposure.prefix] = each.key
        rules[each.key] = tuple(rule.id for rule in each.rules if rule.is_permit)
    return Past(routes, incumbents, rules)


def _shrunk(published: Published, past: Past) -> Published:
    """A broken service is open to nobody and for nothing that it was not open for before; denies all hold."""
    before = frozenset(past.rules.get(published.key, ()))
    rules = tuple(rule for rule in published.rules if not rule.is_permit or rule.id in before)
    return replace(published, rules=rules)


def _builtin(settings: config.Settings) -> Builtin | None:
    if not settings.central_host:
        return None
    return Builtin(
        host=settings.central_host,
        public=settings.central_public,
        administrators=settings.administrators,
    )


def _digest_of(settings: config.Settings) -> str:
    """Of the settings that change what a compile gives."""
    said = (
        settings.catalog.prefix,
        settings.central_host,
        settings.central_public,
        settings.administrators,
        [(name, each.hosts, each.upstreams) for name, each in sorted(settings.environments.items())],
        [(each.issuer, each.kind, each.claim, each.field) for each in key_fields(settings.issuers)],
    )
    return frame_hash(frame_body(said))
