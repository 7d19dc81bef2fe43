"""Names that lead nowhere: a team, a service, a system that the access policy or an annotation names in vain.

These are warnings. A rule about a team that is gone grants nothing, and a catalog that lost a team must not
keep the rest of a new version from taking effect.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Hashable, Iterable, Mapping
from typing import Final

from policy.facts import Catalog, Service, Source
from policy.reading import Fault, did_you_mean
from policy.statements import AccessPolicy, Selector, facts_of
from policy.tracking import WHOLE, Ledger, Tracked

# How a fault speaks of a selector's key.
_BEARS: Final = {
    "service": "is",
    "system": "has system",
    "domain": "has domain",
    "api": "provides",
    "type": "is of type",
    "tag": "is tagged",
}

TOLD: Final = 10  # names in vain of one service: whoever writes thousands is not worth a search for each

# What else it may be that a name means nothing.
_UNSAID: Final = {"component": "if it is in the catalog, it says nothing to Stagedoor: give it a `client-id`"}

Known = Mapping[str, Collection[str]]


def unknown_names(catalog: Catalog, policy: AccessPolicy) -> list[Fault]:
    """A warning for every name that nothing in the catalog bears."""
    names = Names(Ledger())
    names.take(catalog, {}, catalog.services)
    faults = unknown_in_policy(policy, names.known)
    for service in catalog.services.values():
        faults += unknown_in_service(service, names.known)
    return faults


def unknown_in_policy(policy: AccessPolicy, known: Known) -> list[Fault]:
    faults: list[Fault] = []
    for rule in policy.rules:
        faults += _unknown_refs(rule.subjects, known, rule.source)
        faults += _unmatched(rule.services, known, rule.source)
    for default in policy.defaults:
        faults += _unmatched(default.services, known, default.source)
    for role in policy.roles:
        faults += _unknown_refs(role.groups, known, role.source)
    for scope in policy.scopes:
        faults += _unmatched(scope.services, known, scope.source)
    for environment in policy.environments.values():
        approvers = environment.temporary.approvers if environment.temporary is not None else ()
        faults += _unknown_refs(approvers, known, environment.source)
    return faults


def unknown_in_service(service: Service, known: Known) -> list[Fault]:
    """Nothing is said of a service that is not published."""
    return _in_annotations(service, known) if service.exposures else []


class Names:
    """What there is, by the kind of ref and by the key of a selector. ``known`` notes in the ledger what is asked."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._people: Mapping[str, object] = {}
        self._teams: Mapping[str, object] = {}
        self._borne: dict[str, dict[str, int]] = {kind: {} for kind in ("component", *_BEARS)}  # by how many services
        self.known: Known = {}
        self._make_known()

    def take(self, catalog: Catalog, before: Mapping[str, Service], after: Mapping[str, Service]) -> set[Hashable]:
        """Another catalog, of which these services are what differs. Returns what came or went, as the ledger notes
        it."""
        turned: set[tuple[str, str]] = set()
        for kind, was, now in (("user", self._people, catalog.people), ("group", self._teams, catalog.teams)):
            if was is not now:
                turned.update((kind, ref) for ref in was.keys() ^ now.keys())
        self._people, self._teams = catalog.people, catalog.teams
        shifts: Counter[tuple[str, str]] = Counter()
        for services, by in ((before, -1), (after, 1)):
            for service in services.values():
                for borne in _borne_by(service):
                    shifts[borne] += by
        for (kind, name), by in shifts.items():
            there = self._borne.setdefault(kind, {})
            was_there = name in there
            there[name] = there.get(name, 0) + by
            if not there[name]:
                del there[name]
            if was_there != (name in there):
                turned.add((kind, name))
        self._make_known()
        return {*turned, *((kind, WHOLE) for kind, _ in turned)}

    def _make_known(self) -> None:
        kinds: Mapping[str, Mapping[str, object]] = {"user": self._people, "group": self._teams, **self._borne}
        self.known = {kind: Tracked(names, self._ledger, kind) for kind, names in kinds.items()}


def _borne_by(service: Service) -> set[tuple[str, str]]:
    """What a service is a reason to know."""
    found = {("component", service.ref), *facts_of(service)}
    if service.instance is not None:
        found.add(("component", service.instance.of))
    return found


def _unknown_refs(refs: Iterable[str], known: Known, source: Source) -> list[Fault]:
    faults = []
    for ref in refs:
        kind, colon, _ = ref.partition(":")
        if colon and ref not in known.get(kind, ()):
            hint = did_you_mean(ref, known.get(kind, ())) or _UNSAID.get(kind, "")
            faults.append(_warning(source, f"unknown {kind} `{ref}`", hint))
    return faults


def _unmatched(selector: Selector, known: Known, source: Source) -> list[Fault]:
    return [
        _warning(source, f"no service {_BEARS[key]} `{value}`", did_you_mean(value, known.get(key, ())))
        for key, values in selector.terms
        for value in values
        if value not in known.get(key, ())
    ]


def _in_annotations(service: Service, known: Known) -> list[Fault]:
    named = (*service.allow_groups, *service.allow_consumers, *service.approvers)
    in_vain = [ref for ref in named if ref not in known.get(ref.partition(":")[0], ())]
    faults = _unknown_refs(in_vain[:TOLD], known, service.source)
    if len(in_vain) > TOLD:
        message = f"{len(in_vain) - TOLD:,} more of the teams and components that it names are not in the catalog"
        faults.append(_warning(service.source, message, "remove them"))
    if service.allow_consumers and service.access == "owners":
        message = "`allow-consumers` has no effect while `access` is `owners`"
        faults.append(_warning(service.source, message, "set `access: consumers`"))
    return faults


def _warning(source: Source, message: str, suggestion: str) -> Fault:
    return Fault(source, message, suggestion, "warning")
