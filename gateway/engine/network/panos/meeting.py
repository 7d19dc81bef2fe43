"""Where clients meet the scopes of an environment: at virtual addresses that are one scope's alone, or at shared ones.

A firewall sees addresses, not hosts. Only what lies behind an address of its own can be told apart there; a scope that
has any address in common with another one is met with all of the others. Who tags addresses and who writes rules ask
the same value.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from gateway.engine.network.fronts import Front
from policy.coarse import Scope


@dataclass(frozen=True, slots=True)
class Meeting:
    """``own``: by the ref of the scope. ``together``: refs of the scopes that are met at ``shared``, in order.
    ``ports``: by the ref of the scope, "" for the shared ones."""

    own: Mapping[str, frozenset[str]]
    shared: frozenset[str]
    together: tuple[str, ...]
    ports: Mapping[str, frozenset[int]]

    @classmethod
    def of(cls, scopes: Sequence[Scope], fronts: Iterable[Front], virtual_addresses: Iterable[str]) -> Meeting:
        """``virtual_addresses``: of settings, where any scope may be met on port 443."""
        scope_of = {service: scope.ref for scope in scopes for service in scope.services}
        met: dict[str, set[str]] = defaultdict(set)  # address → refs, "" for what belongs to no scope
        ports: dict[str, set[int]] = defaultdict(set)  # of an address
        for front in fronts:
            met[front.address].add(scope_of.get(front.entity, ""))
            ports[front.address].add(front.port)
        everywhere = frozenset(virtual_addresses)
        for address in everywhere:
            met[address].update(scope.ref for scope in scopes)
            met[address].add("")
            ports[address].add(443)
        return cls._parted(met, ports, everywhere)

    @classmethod
    def _parted(
        cls, met: Mapping[str, set[str]], ports: Mapping[str, set[int]], everywhere: frozenset[str]
    ) -> Meeting:  # fmt: skip
        """A scope that is met at addresses of settings alone, or at those that others have, too, is met together."""
        mixed = {ref for address, refs in met.items() if len(refs) > 1 and address not in everywhere for ref in refs}
        own: dict[str, set[str]] = defaultdict(set)
        for address, refs in met.items():
            if len(refs) == 1 and not refs & {*mixed, ""}:
                own[min(refs)].add(address)
        shared = frozenset(address for address, refs in met.items() if refs & {*mixed, ""})
        together = {ref for address in shared for ref in met[address]} - {""}
        of_each = {ref: frozenset(port for address in held for port in ports[address]) for ref, held in own.items()}
        of_each[""] = frozenset(port for address in shared for port in ports[address])
        held = {ref: frozenset(addresses) for ref, addresses in sorted(own.items())}
        return cls(held, shared, tuple(sorted(together)), of_each)
