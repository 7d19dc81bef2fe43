"""What was derived last, and from what: so that of twenty thousand services only those are derived again that a change
bears on. It says the same as deriving anew, always: what a service's rules depend on is noted while they are made.

    services that differ ─→ their parts (claims, faults)  ─→ who holds each place that is claimed otherwise now
                         ─→ names that came or went       ─→ faults of whoever named them
                         ─→ users of APIs                 ─┐
    access policy ─→ statements that differ ─→ covered by ─┴→ exposures to derive again

Nothing here knows what a rule means. Identity decides whether something differs: whoever makes facts gives the very
same object for what is the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from operator import itemgetter
from typing import NamedTuple, Protocol, TypeVar

from policy.claims import Claim, Claimant, Incumbent, key_of
from policy.facts import Catalog, Exposure, Service
from policy.names import Names, unknown_in_policy, unknown_in_service
from policy.places import Places
from policy.reading import Fault
from policy.rule import Published, Rule
from policy.stated import Instances, instances_of
from policy.statements import AccessPolicy, PolicyRule, ServiceFacts, claimed_facts_of, facts_of
from policy.tracking import Ledger, Tracked, differing

T = TypeVar("T")
Stated = tuple[PolicyRule, tuple[Rule, ...]]
UsersOf = Mapping[str, tuple[Service, ...]]  # API -> the services that declare its use, in order of refs


class Question(NamedTuple):
    """What is derived from. ``reserved``: the host that nobody may claim."""

    catalog: Catalog
    policy: AccessPolicy
    environments: tuple[str, ...]
    incumbents: Mapping[Claim, Incumbent]
    reserved: str


class Part(NamedTuple):
    """What a service claims, and what is wrong with what it says alone."""

    claimants: tuple[Claimant, ...]
    faults: tuple[Fault, ...]


class Rulebook(Protocol):
    """The meaning of an access policy."""

    stated: list[Stated]

    def derived(self, service: Service, exposure: Exposure) -> tuple[Published, tuple[Fault, ...]]: ...


Book = TypeVar("Book", bound=Rulebook)


@dataclass(frozen=True, slots=True)
class _Remembered:
    service: Service
    exposure: Exposure
    published: Published


class Memory:
    """Everything kept between two derivations. One that failed half-way is not built upon."""

    def __init__(self) -> None:
        self._forget_all()

    def _forget_all(self) -> None:
        self._is_sound = True
        self._last: Question | None = None
        self._services: Mapping[str, Service] = {}
        self._named = Ledger()
        self._names = Names(self._named)
        self._name_faults: dict[str, tuple[Fault, ...]] = {}  # by service; "" of the access policy
        self._parts: dict[str, Part] = {}
        self._places = Places()
        # Where there are some: of what services say alone, and (by exposure) of what the book says.
        self._part_faults: dict[str, tuple[Fault, ...]] = {}
        self._book_faults: dict[str, tuple[Fault, ...]] = {}
        self._users: dict[str, tuple[Service, ...]] = {}
        self._used = Ledger()
        self._instances: Instances = {}
        self._stated: list[Stated] = []
        self._remembered: dict[str, _Remembered] = {}

    def derived(
        self,
        question: Question,
        book_of: Callable[[AccessPolicy, Instances, UsersOf], Book],
        part_of: Callable[[Service, Question], Part],
    ) -> Book:
        """Take the question; `published` and `faults` answer it then. Returns the book it was answered by."""
        if not self._is_sound or self._last is None or self._is_of_another_kind(question):
            self._forget_all()
        self._is_sound = False
        last, self._last = self._last, question
        changed = differing(self._services, question.catalog.services)
        before = {ref: self._services[ref] for ref in changed if ref in self._services}
        after = {ref: question.catalog.services[ref] for ref in changed if ref in question.catalog.services}
        self._services = question.catalog.services
        turned = self._names.take(question.catalog, before, after)
        self._judge_names({*changed, *self._named.readers(turned)}, question.policy, is_other=last is None or (
            last.policy is not question.policy or "" in self._named.readers(turned)))  # fmt: skip
        touched = self._take_parts(changed, after, question, part_of)
        moved = differing(last.incumbents if last is not None else {}, question.incumbents)
        touched.update(claim for claim in moved if self._places.is_wanted(claim))  # who is alone holds it anyway
        let_go = self._places.settle(touched, question.incumbents, question.reserved)
        asked = self._take_users(before, after)
        if any(each.instance is not None for each in (*before.values(), *after.values())):
            self._instances = instances_of(self._services.values())
        book = book_of(question.policy, self._instances, Tracked(self._users, self._used))
        stale = {key for ref in after for key in self._keys_of(ref)} | self._used.readers(asked)
        stale |= self._touched_by_policy(last.policy if last is not None else None, question.policy, book)
        self._publish(stale, touched, let_go, book)
        self._is_sound = True
        return book

    @property
    def services(self) -> Mapping[str, Service]:
        return self._services

    def is_claimed(self, claim: Claim, incumbent: Incumbent) -> bool:
        """Whether who held a place wants it, or one on its host instead of it."""
        return self._places.is_claimed(claim, incumbent)

    def published(self) -> list[Published]:
        """In order of keys."""
        return [each.published for each in self._remembered.values()]

    def faults(self) -> Iterator[Fault]:
        yield from self._places.faults()
        for faults in (self._name_faults, self._part_faults, self._book_faults):
            for found in faults.values():
                yield from found

    # ---- steps ----

    def _is_of_another_kind(self, question: Question) -> bool:
        last = self._last
        assert last is not None  # the caller looked
        same = (last.environments, last.reserved) == (question.environments, question.reserved)
        return not same or last.policy.environments.keys() != question.policy.environments.keys()

    def _judge_names(self, refs: set[str], policy: AccessPolicy, *, is_other: bool) -> None:
        known = self._names.known
        refs.discard("")
        for ref in refs:
            self._name_faults.pop(ref, None)
            self._named.forget(ref)
            if ref in self._services:
                self._named.begin()
                faults = unknown_in_service(self._services[ref], known)
                self._named.end(ref)
                if faults:
                    self._name_faults[ref] = tuple(faults)
        if is_other:
            self._named.begin()
            self._name_faults[""] = tuple(unknown_in_policy(policy, known))
            self._named.end("")

    def _take_parts(
        self, changed: Iterable[str], after: Mapping[str, Service], question: Question,
        part_of: Callable[[Service, Question], Part],
    ) -> set[Claim]:  # fmt: skip
        """Returns the claims that somebody makes or drops, or that are made by another fact."""
        touched: set[Claim] = set()
        for ref in changed:
            self._part_faults.pop(ref, None)
            if (old := self._parts.pop(ref, None)) is not None:
                touched.update(map(self._places.leave, old.claimants))
            if ref in after:
                part = self._parts[ref] = part_of(after[ref], question)
                if part.faults:
                    self._part_faults[ref] = part.faults
                touched.update(map(self._places.come, part.claimants))
        return touched

    def _take_users(self, before: Mapping[str, Service], after: Mapping[str, Service]) -> set[str]:
        """Returns the APIs that others use, or that are used by another fact."""
        leaving: dict[str, set[str]] = {}
        coming: dict[str, list[Service]] = {}
        for ref, service in before.items():
            for api in service.consumes:
                leaving.setdefault(api, set()).add(ref)
        for service in after.values():
            for api in set(service.consumes):
                coming.setdefault(api, []).append(service)
        apis = leaving.keys() | coming.keys()
        for api in apis:
            gone = leaving.get(api, set())
            users = [each for each in self._users.get(api, ()) if each.ref not in gone] + coming.get(api, [])
            if users:
                self._users[api] = tuple(sorted(users, key=lambda each: each.ref))
            else:
                del self._users[api]
        return apis

    def _keys_of(self, ref: str) -> Iterator[str]:
        for service, exposure in self._parts[ref].claimants:
            yield key_of(service.ref, exposure.environment)

    def _touched_by_policy(self, before: AccessPolicy | None, after: AccessPolicy, book: Rulebook) -> set[str]:
        """The exposures for which another access policy, or who says to be whose instance, could make a difference."""
        old, self._stated = self._stated, book.stated
        if before is None:
            return set()
        differ = [each.services for each, _ in _either(old, book.stated)]
        environments: set[str] = set()
        if before is not after:
            differ += [each.services for each in _either(before.scopes, after.scopes)]
            differ += [each.services for each in _either(before.defaults, after.defaults)]
            environments = {n for n, each in after.environments.items() if before.environments[n] != each}
        if not differ and not environments:
            return set()
        found = {key for key, each in self._remembered.items() if each.exposure.environment in environments}
        for ref, service in self._services.items() if differ else ():
            facts: ServiceFacts = claimed_facts_of(service, facts_of(service))
            if service.exposures and any(selector.covers(facts) for selector in differ):
                found.update(self._keys_of(ref))
        return found

    def _publish(self, stale: set[str], touched: Iterable[Claim], let_go: set[str], book: Rulebook) -> None:
        """Derive what is stale or newly held; forget what holds no place any more."""
        holding: dict[str, Claimant] = {}
        for claim in touched:
            if (held := self._places.held.get(claim)) is not None:
                holding[key_of(held[0].ref, held[1].environment)] = held
        for key in let_go - holding.keys():
            if key in self._remembered:
                del self._remembered[key]
                self._book_faults.pop(key, None)
                self._used.forget(key)
        for key in stale:
            if key not in holding and (known := self._remembered.get(key)) is not None:
                holding[key] = (known.service, known.exposure)
        is_new = False
        for key, (service, exposure) in sorted(holding.items()):
            known = self._remembered.get(key)
            is_same = known is not None and known.service is service and known.exposure is exposure
            if is_same and key not in stale:
                continue
            self._used.begin()
            published, faults = book.derived(service, exposure)
            self._used.end(key)
            if known is not None and known.published == published:
                published = known.published
            is_new = is_new or known is None
            self._remembered[key] = _Remembered(service, exposure, published)
            self._book_faults.pop(key, None)
            if faults:
                self._book_faults[key] = faults
        if is_new:
            self._remembered = dict(sorted(self._remembered.items(), key=itemgetter(0)))


def _either(before: Iterable[T], after: Iterable[T]) -> list[T]:
    """What only one of the two has, or one has more often."""
    old, new = Counter(before), Counter(after)
    return [*(old - new), *(new - old)]
