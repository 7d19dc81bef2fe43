"""Entities and access policy to frames: the engine's brain, without files and without a clock.

`Compiler` holds what makes the next compile cheap; everything it needs to know of the past (who holds a place, what
was published last) is an argument, so a compile is repeatable. The base id is a hash of what was said (catalog,
access policy, the settings that bear on them); the compiler's own version is kept beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Any

from gateway import config
from gateway.engine.digests import CatalogDigest
from gateway.engine.doubles import Doubles
from gateway.engine.sources.assembly import Assembler, Bounds
from gateway.engine.sources.entities import Entity
from gateway.identity.issuers import are_clients_ours
from gateway.identity.presets import key_fields
from gateway.snapshot import frame_body, frame_hash
from policy.access import AccessPolicy
from policy.builtin import with_own_operations
from policy.claims import Claim, Incumbent, key_of, team_of
from policy.derive import Builtin, Memory, Published, derive
from policy.facts import Catalog, Exposure, Service
from policy.reading import Fault
from policy.remaking import Frames
from policy.tracking import Comparison, differing

COMPILER = "2"  # raise it when equal input gives other frames
BASE_DIGITS = 12


@dataclass(frozen=True, slots=True)
class Past:
    """What was published last."""

    routes: Mapping[str, tuple[Exposure, ...]]  # service -> its exposures
    incumbents: Mapping[Claim, Incumbent]
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
    """For one set of settings. ``comparison``: of entities, shared with who compares the same."""

    def __init__(self, settings: config.Settings, comparison: Comparison[str, Entity] | None = None) -> None:
        comparison = comparison or Comparison()
        self._environments = tuple(sorted(settings.environments))
        self._key_fields = key_fields(settings.issuers)
        self._assembler = Assembler(Bounds(settings.environments, settings.central_host), comparison)
        self._builtin = _builtin(settings)
        self._digest = _digest_of(settings)
        self._clients_unsaid = bool(settings.issuers) and not any(
            are_clients_ours(each, settings.issuers) for each in settings.issuers
        )
        self._memory = Memory()
        self._frames = Frames(self._key_fields, self._environments)
        self._said = CatalogDigest(comparison)
        self._history = History()
        self._services: Mapping[str, Service] = {}
        self._useless: dict[str, Fault] = {}  # client ids that nobody shares with us, by service
        self._doubles = Doubles(self._key_fields, with_clients=not self._clients_unsaid)

    def base(self, entities: Mapping[str, Entity], access_digest: str, unsaid: frozenset[str] = frozenset()) -> str:
        """12 base32 digits over everything that was said. ``unsaid``: the services that nobody describes as they
        count (kept, or held)."""
        digest = blake2b(f"{self._digest} {access_digest}\n".encode(), digest_size=20)
        digest.update(self._said.of(entities))
        for ref in sorted(unsaid):
            digest.update(f"{ref} unsaid\n".encode())
        return frame_hash(digest.digest())[:BASE_DIGITS]

    def compile(
        self, entities: Mapping[str, Entity], access: AccessPolicy, past: Past, unsaid: frozenset[str] = frozenset()
    ) -> Compiled:
        """``unsaid``: services that, like those in quarantine, are opened no further than they were."""
        facts = self._assembler.facts(entities, past.routes)
        derived = derive(facts.catalog, access, self._environments, self._builtin, past.incumbents, memory=self._memory)
        published = derived.published
        if facts.quarantined or unsaid:
            published = tuple(
                _shrunk(each, past) if each.key in facts.quarantined or each.service.ref in unsaid else each
                for each in published
            )
        frames = self._frames.compiled(facts.catalog, replace(derived, published=published))
        unmatched = (*self._useless_client_ids(facts.catalog), *self._doubles.faults(facts.catalog))
        faults = tuple(dict.fromkeys((*facts.faults, *derived.faults, *unmatched)))
        now = self._history.past(published, past, self._memory.is_claimed)
        return Compiled(facts.catalog, frames, now, faults, published)

    def _useless_client_ids(self, catalog: Catalog) -> Iterable[Fault]:
        changed = differing(self._services, catalog.services) if self._clients_unsaid else ()
        self._services = catalog.services
        for ref in changed:
            self._useless.pop(ref, None)
            service = catalog.services.get(ref)
            if service is not None and service.client_ids:
                message = f"`client-id` of `{ref}` has no effect: no issuer shares its client ids with us"
                todo = "the operator says so with `clients: ours`"
                self._useless[ref] = Fault(service.source, message, todo, "warning")
        return [fault for _, fault in sorted(self._useless.items())]


class History:
    """What was published last, kept up with what is published next."""

    def __init__(self) -> None:
        self._published: dict[str, Published] = {}
        self._past = no_past()
        self._held: dict[Claim, Incumbent] = {}  # of all incumbents those who are at their place

    def past(
        self, published: Iterable[Published], before: Past, is_claimed: Callable[[Claim, Incumbent], bool]
    ) -> Past:
        """Copies that nobody changes; what did not change in them is the very same object. Who held a place ``before``
        and has lost it to a dispute is an incumbent still."""
        after = {each.key: each for each in published}
        if changed := differing(self._published, after):
            self._take(changed, after)
        lost = before.incumbents.keys() - self._held.keys()
        waiting = {claim: each for claim in lost if is_claimed(claim, each := before.incumbents[claim])}
        incumbents = {**self._held, **waiting} if waiting else self._held
        if incumbents != self._past.incumbents:
            self._past = replace(self._past, incumbents=incumbents)
        return self._past

    def _take(self, changed: Iterable[str], after: dict[str, Published]) -> None:
        before, routes, rules, held = self._published, dict(self._past.routes), dict(self._past.rules), dict(self._held)
        touched: dict[str, set[str]] = {}  # service -> environments
        for old in [before[key] for key in changed if key in before]:
            held.pop((old.exposure.host, old.exposure.prefix), None)
            rules.pop(old.key, None)
            touched.setdefault(old.service.ref, set()).add(old.exposure.environment)
        for new in [after[key] for key in changed if key in after]:
            held[new.exposure.host, new.exposure.prefix] = Incumbent(new.key, team_of((new.service, new.exposure)))
            rules[new.key] = tuple(rule.id for rule in new.rules if rule.is_permit)
            touched.setdefault(new.service.ref, set()).add(new.exposure.environment)
        for ref, environments in touched.items():
            environments.update(each.environment for each in routes.pop(ref, ()))
            there = (after.get(key_of(ref, name)) for name in sorted(environments))
            if exposures := tuple(each.exposure for each in there if each is not None):
                routes[ref] = exposures
        self._held = held if held != self._held else self._held
        self._past = Past(routes, self._past.incumbents, rules)
        self._published = after


def _shrunk(published: Published, past: Past) -> Published:
    """A broken service is open to nobody and for nothing that it was not open for before; denies all hold."""
    before = frozenset(past.rules.get(published.key, ()))
    rules = tuple(rule for rule in published.rules if not rule.is_permit or rule.id in before)
    return replace(published, rules=rules)


def _builtin(settings: config.Settings) -> Builtin | None:
    if not settings.central_host:
        return None
    builtin = Builtin(
        host=settings.central_host,
        public=settings.central_public,
        administrators=settings.administrators,
    )
    return with_own_operations(
        builtin, signed_sync=bool(settings.catalog.sync_secret_file), feeds=_has_readers(settings)
    )  # fmt: skip


def _has_readers(settings: config.Settings) -> bool:
    devices = settings.devices
    readers = (*(each.readers for each in devices.bigip), *(each.readers for each in devices.panos))
    return any(each.networks for each in readers)


def _digest_of(settings: config.Settings) -> str:
    """Of the settings that change what a compile gives."""
    said = (
        settings.catalog.prefix,
        settings.central_host,
        settings.central_public,
        bool(settings.catalog.sync_secret_file),
        _has_readers(settings),
        settings.administrators,
        [(name, each.hosts, each.upstreams) for name, each in sorted(settings.environments.items())],
        [(each.issuer, each.kind, each.claim, each.field) for each in key_fields(settings.issuers)],
    )
    return frame_hash(frame_body(said))
