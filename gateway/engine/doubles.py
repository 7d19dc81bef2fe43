"""Entities that one key finds: two Users with one address, two teams of one name, two Components with one client id,
or with one address on BIG-IP.

A door finds neither of them (`identity_ambiguous`), whatever else is well with either, so both are told; an address
stays with who had it first. Kept up from round to round: only keys of entities that changed are looked at.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from gateway.engine.sentences import listed
from policy.directory import EMAIL_FIELD
from policy.facts import Catalog, KeyField, Person, Service, Team
from policy.reading import Fault
from policy.tracking import differing

CLIENT: Final = "client-id"
ADDRESS: Final = "virtual-address"

Fact = Person | Team | Service


class Key(NamedTuple):
    """``field``: of a User or Group, `client-id`, or `virtual-address`, whose value begins with the environment."""

    kind: str
    field: str
    value: str


class Doubles:
    """For one set of issuers. Not ``with_clients``: nobody shares client ids with us, so they find nobody anyway."""

    def __init__(self, key_fields: Iterable[KeyField], *, with_clients: bool) -> None:
        self._issuers: dict[tuple[str, str], set[str]] = {}  # (kind, field) -> whose tokens are matched by it
        for each in key_fields:
            self._issuers.setdefault((each.kind, each.field), set()).add(each.issuer)
        self._with_clients = with_clients
        self._known: dict[str, Mapping[str, Fact]] = {}  # kind -> what was looked at
        self._holders: dict[Key, set[str]] = {}
        self._shared: set[Key] = set()

    def faults(self, catalog: Catalog) -> list[Fault]:
        """A warning for each entity and key that it shares."""
        self._take("person", catalog.people)
        self._take("team", catalog.teams)
        self._take("service", catalog.services)
        return [self._fault(key, ref, sorted(self._holders[key])) for key in sorted(self._shared)
                for ref in sorted(self._holders[key])]  # fmt: skip

    def _take(self, kind: str, facts: Mapping[str, Fact]) -> None:
        before = self._known.get(kind, {})
        if facts is before:
            return
        touched: set[Key] = set()
        for ref in differing(before, facts):
            for key in self._keys(kind, before.get(ref)):
                self._holders[key].discard(ref)
                touched.add(key)
            for key in self._keys(kind, facts.get(ref)):
                self._holders.setdefault(key, set()).add(ref)
                touched.add(key)
        self._known[kind] = facts
        for key in touched:
            count = len(self._holders[key])
            (self._shared.add if count > 1 else self._shared.discard)(key)
            if not count:
                del self._holders[key]

    def _keys(self, kind: str, fact: Fact | None) -> Iterable[Key]:
        if isinstance(fact, Service):
            clients = fact.client_ids.values() if self._with_clients else ()
            keys = {Key(kind, CLIENT, client_id) for client_id in clients if client_id}
            return keys | {Key(kind, ADDRESS, " ".join(each)) for each in fact.virtual_addresses.items()}
        found = []
        for of_kind, field in self._issuers:
            value = fact.fields.get(field, "") if fact is not None and of_kind == kind else ""
            if value:
                found.append(Key(kind, field, value.casefold() if field == EMAIL_FIELD else value))
        return found

    def _fault(self, key: Key, ref: str, holders: list[str]) -> Fault:
        facts = self._known[key.kind]
        others = listed(each for each in holders if each != ref)
        if key.field == ADDRESS:
            environment, _, address = key.value.partition(" ")
            message = (
                f"`{ADDRESS}` {address} of `{ref}` in {environment} is that of {others}, too: the first one has it"
            )
            return Fault(facts[ref].source, message, "each needs one of its own", "warning", environment)
        issuers = sorted(self._issuers.get((key.kind, key.field), ()))
        tokens = f"tokens of {listed(issuers)}" if issuers else "tokens"
        message = f"`{key.field}` of `{ref}` is that of {others}, too: {tokens} with it mean nobody"
        return Fault(facts[ref].source, message, "each needs one of its own", "warning")
