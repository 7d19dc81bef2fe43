"""Whether an invariant holds, asked of the compiled table: of every caller and every request that could break it.

* ``never S do O`` is broken when somebody of S, however well equipped, is permitted a request that calls one of O.
* ``only S may do O`` is broken when somebody who is not of S is, signed in or not.

However well equipped: with every scope, a fresh sign-in with a second factor, a certificate, and a token of any issuer
and an address that some rule asks for. A person's token through a client and one that somebody acts with never have
more than the person alone. Who counts as a caller is said in `policy.promises.universe`, which paths stand for all in
`policy.promises.samples`. Each exposure is asked by itself, as if no other one had a place below its own.

A request calls an operation when it needs that operation's permit: by matching it, or by coming so near that an
upstream may run it. An invariant that names a path is about the operation of that path; where there is none, or the
path ends in ``**``, about every request that matches it, whichever operation serves it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice, product
from typing import Final, NamedTuple

from policy.facts import Circumstances, Permit, Principal, Service
from policy.operations import SLASH_SAME
from policy.paths import TAIL, Segments, Template, shape, template_of
from policy.probe import Asker, Way, demands_of, principal_of
from policy.promises.samples import Samples, shared
from policy.promises.universe import ANONYMOUS, COMMON, PERSON, WORKLOAD, Universe
from policy.statements import ANYONE, Doing, Invariant, ServiceFacts, facts_of
from policy.table import Exposure

NOW: Final = 10**9  # an hour like any other: what must be fresh is fresh then
_NO_PERMIT: Final = Permit("", "", "")
Call = tuple[str, Template]  # method, template
Named = Mapping[str, tuple[Call, ...]]  # operationId -> the operations that bear it


class _Request(NamedTuple):
    """``subjects``: to whom the operation that answers is open. ``template``: which operation has to answer, None where
    any may; another one can have the better claim to a path."""

    method: str
    path: Segments
    subjects: frozenset[str]
    template: Template | None = None


class Place(NamedTuple):
    """What an invariant needs to know of an exposure beside its compiled form."""

    facts: ServiceFacts
    named: Named
    slash_same: bool = False  # a path with a slash at its end is the path without


class Breach(NamedTuple):
    """One caller who is permitted what an invariant forbids. ``needs`` and ``scopes``: what they would show."""

    invariant: Invariant
    exposure: str
    caller: str  # a ref, or a word for somebody
    request: str  # "POST /refunds", below the exposure's host
    permit: Permit


def place_of(service: Service, operations: Iterable[tuple[str, str, str]]) -> Place:
    """``operations``: operationId, method and template of each that has a name."""
    named: dict[str, tuple[Call, ...]] = {}
    for name, method, template in operations:
        if name:
            named[name] = (*named.get(name, ()), (method, template_of(template)))
    return Place(facts_of(service), named, SLASH_SAME in service.options)


def is_about(invariant: Invariant, exposure: Exposure, place: Place) -> bool:
    in_environment = not invariant.environments or exposure.environment in invariant.environments
    return in_environment and invariant.services.covers(place.facts)


def breach_of(invariant: Invariant, exposure: Exposure, place: Place, universe: Universe) -> Breach | None:
    """The first breach of an invariant on an exposure that it is about, None when it holds."""
    reach = frozenset(exposure.reach)
    suspects = [
        asker
        for asker in _suspects(invariant, reach, reach | exposure.denied, universe)
        if ANYONE in reach or not asker.subjects.isdisjoint(reach)
    ]
    if not suspects:
        return None
    rules = exposure.rules()
    barred = {name for names, _, methods, operations in rules.denies for name in names if not (methods or operations)}
    suspects = [asker for asker in suspects if asker.subjects.isdisjoint(barred)]
    requests = list(_requests(invariant, Samples(rules), place)) if suspects else []
    for asker, (method, path, subjects, template) in product(suspects, requests):
        if ANYONE in subjects or not asker.subjects.isdisjoint(subjects):
            permit = _permit(exposure, method, path, asker)
            if permit is not None and (template is None or _is_like(template, permit)):
                text = f"{exposure.prefix.rstrip('/')}/{'/'.join(path)}" if path else exposure.prefix
                return Breach(invariant, exposure.key, _caller(asker), f"{method} {text}", permit)
    return None


def _suspects(
    invariant: Invariant, reach: frozenset[str], mentioned: frozenset[str], universe: Universe
) -> Iterator[Asker]:
    """Everybody whom the invariant keeps out and somebody lets in, the plainest first, alike ones once."""
    meant = frozenset(invariant.subjects)
    is_never = invariant.kind == "never"
    own = [asker for subject in sorted(meant) if is_never and (asker := universe.named(subject)) is not None]
    special = sorted(reach - COMMON)
    alone = [asker for name in special if (asker := universe.named(name)) is not None]
    users = [asker for name in sorted(mentioned) if name.startswith("user:") and (asker := universe.named(name))]
    for asker in (*own, PERSON, WORKLOAD, ANONYMOUS, *alone, *users):
        if _is_of(asker, meant) == is_never:
            yield asker
    elsewhere = (each for each in universe.limited if ANYONE in reach and each.subjects.isdisjoint(mentioned))
    yield from islice((each for each in elsewhere if _is_of(each, meant) == is_never), 1)
    for asker in universe.carrying(special, mentioned | meant):
        if _is_of(asker, meant) == is_never:
            yield asker


def _is_of(asker: Asker, meant: frozenset[str]) -> bool:
    if asker.kind == "anonymous":
        return ANYONE in meant
    return any(name.partition("@")[0] in meant for name in asker.subjects)


def _requests(invariant: Invariant, samples: Samples, place: Place) -> Iterator[_Request]:
    """The requests that stand for all which the invariant is about."""
    for doing in dict.fromkeys(invariant.doings):
        for method, template in operations_of(doing, samples, place):
            if method == "OPTIONS" and doing.operation:  # whatever answers on its paths answers for it
                yield from _requests_on_paths(Doing("", frozenset({method}), template), samples, place)
                continue
            subjects = samples.operations[method, template]
            answering = None if doing.text == "any" else template
            yield from (_Request(method, path, subjects, answering) for path in samples.paths(template))
        if is_of_paths(doing, samples, place):
            yield from _requests_on_paths(doing, samples, place)


def _requests_on_paths(doing: Doing, samples: Samples, place: Place) -> Iterator[_Request]:
    template, (asked,) = doing.template or (), doing.methods
    spellings = {template, (*_plain(template, place), "")} if place.slash_same and TAIL not in template else {template}
    for (method, offered), subjects in samples.operations.items():
        if serves(method, asked):
            for both in sorted(each for spelling in spellings for each in shared(spelling, offered)):
                yield from (_Request(asked, path, subjects) for path in samples.paths(both, template))


def is_of_paths(doing: Doing, samples: Samples, place: Place) -> bool:
    """Whether it names paths rather than an operation of the exposure."""
    if doing.template is None:
        return False
    asked = _plain(doing.template, place)
    described = any(method in doing.methods and _plain(each, place) == asked for method, each in samples.operations)
    return doing.template[-1] == TAIL or not described or doing.methods == {"OPTIONS"}


def operations_of(doing: Doing, samples: Samples, place: Place) -> list[Call]:
    """The operations that a doing is about, unless it is about paths."""
    if doing.operation:
        named = {(method, _plain(each, place)) for method, each in place.named.get(doing.operation, ())}
        return [(method, each) for method, each in samples.operations if (method, _plain(each, place)) in named]
    if is_of_paths(doing, samples, place):
        return []
    asked = None if doing.template is None else _plain(doing.template, place)
    return [
        (method, template)
        for method, template in samples.operations
        if method in doing.methods and asked in (None, _plain(template, place))
    ]


def _plain(template: Template, place: Place) -> Template:
    """Without the slash at its end, where that makes no difference."""
    return template[:-1] if place.slash_same and len(template) > 1 and template[-1] == "" else template


def serves(method: str, asked: str) -> bool:
    """Whether an operation of ``method`` may answer a request with ``asked``: GET answers HEAD, and any OPTIONS."""
    return asked in (method, "OPTIONS") or (asked, method) == ("HEAD", "GET")


def _is_like(template: Template, permit: Permit) -> bool:
    """Whether the operation of a permit has the shape of a template that its path matches: then both are needed."""
    return shape(template_of(permit.operation.partition(" ")[2])) == shape(template)


def _permit(exposure: Exposure, method: str, path: Segments, asker: Asker) -> Permit | None:
    """Whether the best equipped caller of this kind is let in, by whichever token and address."""
    for principal, call in _equipped(exposure, asker):
        verdict = exposure.verdict(path, method, principal, NOW, {}, call)
        if isinstance(verdict, Permit):
            return verdict
    return None


def _equipped(exposure: Exposure, asker: Asker) -> Iterator[tuple[Principal, Circumstances]]:
    scopes = {scope for needed in exposure.rules().scopes for alternative in needed or () for scope in alternative}
    demands = demands_of(exposure, asker.kind)
    for origin in demands.origins:
        yield principal_of(asker, Way(_NO_PERMIT, tuple(scopes), (*demands.needs, *origin)), NOW)


def _caller(asker: Asker) -> str:
    if asker.kind == "anonymous":
        return "whoever is not signed in"
    if not asker.ref:
        return "any person of the catalog" if asker.kind == "person" else "any program"
    return f"a member of `{asker.ref}`" if asker.ref.startswith("group:") else f"`{asker.ref}`"
