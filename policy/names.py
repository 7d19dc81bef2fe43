"""Names that lead nowhere: a team, a service, a system that the access policy or an annotation names in vain.

These are warnings. A rule about a team that is gone grants nothing, and a catalog that lost a team must not
keep the rest of a new version from taking effect.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Final

from policy.facts import Catalog, Service, Source
from policy.reading import Fault, did_you_mean
from policy.statements import AccessPolicy, Selector, facts_of

# How a fault speaks of a selector's key.
_BEARS: Final = {
    "service": "is",
    "system": "has system",
    "domain": "has domain",
    "api": "provides",
    "type": "is of type",
    "tag": "is tagged",
}

Known = Mapping[str, Collection[str]]


def unknown_names(catalog: Catalog, policy: AccessPolicy) -> list[Fault]:
    """A warning for every name that nothing in the catalog bears."""
    known = _known(catalog)
    faults: list[Fault] = []
    for rule in policy.rules:
        faults += _unknown_refs(rule.subjects, known, rule.source)
        faults += _unmatched(rule.services, known, rule.source)
    for default in policy.defaults:
        faults += _unmatched(default.services, known, default.source)
    for service in catalog.services.values():
        if service.exposures:
            faults += _in_annotations(service, known)
    return faults


def _known(catalog: Catalog) -> Known:
    """What there is, by the kind of ref and by the key of a selector."""
    found: dict[str, set[str]] = {"user": set(catalog.people), "group": set(catalog.teams), "component": set()}
    for service in catalog.services.values():
        found["component"].add(service.ref)
        for key, value in facts_of(service):
            found.setdefault(key, set()).add(value)
    return found


def _unknown_refs(refs: Iterable[str], known: Known, source: Source) -> list[Fault]:
    faults = []
    for ref in refs:
        kind, colon, _ = ref.partition(":")
        if colon and ref not in known.get(kind, ()):
            faults.append(_warning(source, f"unknown {kind} `{ref}`", did_you_mean(ref, known.get(kind, ()))))
    return faults


def _unmatched(selector: Selector, known: Known, source: Source) -> list[Fault]:
    return [
        _warning(source, f"no service {_BEARS[key]} `{value}`", did_you_mean(value, known.get(key, ())))
        for key, values in selector.terms
        for value in values
        if value not in known.get(key, ())
    ]


def _in_annotations(service: Service, known: Known) -> list[Fault]:
    faults = _unknown_refs((*service.allow_groups, *service.allow_consumers), known, service.source)
    if not service.owner:
        faults.append(
            _warning(service.source, f"nobody owns `{service.ref}`", "name an existing Group as `spec.owner`")
        )
    if service.allow_consumers and service.access == "owners":
        message = "`allow-consumers` has no effect while `access` is `owners`"
        faults.append(_warning(service.source, message, "set `access: consumers`"))
    return faults


def _warning(source: Source, message: str, suggestion: str) -> Fault:
    return Fault(source, message, suggestion, "warning")
