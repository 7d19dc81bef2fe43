"""All tests and invariants of an access policy over one table: what came of each, and which of them say nothing.

A test or an invariant that names nobody or nothing that exists cannot fail. It is told as `void`, so that a slip of the
pen is not taken for a promise that is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

from policy.builtin import BUILTIN_SERVICE
from policy.demands import DemandReader
from policy.directory import Directory
from policy.facts import Operation, Service
from policy.promises.expectations import expectations_in
from policy.promises.invariants import invariants_in
from policy.promises.phrases import VERBS
from policy.promises.proofs import Breach, Place, breach_of, is_about, place_of
from policy.promises.trials import Trial, trial_of
from policy.promises.universe import Universe, named
from policy.reading import Fault, Locate, did_you_mean
from policy.statements import AccessPolicy, Expectation, Invariant
from policy.table import Table

Places = Mapping[str, Place]


class Proof(NamedTuple):
    """What came of one invariant: a breach for each exposure that breaks it. ``decided``: how many it is about."""

    invariant: Invariant
    breaches: tuple[Breach, ...]
    decided: int
    void: str = ""
    hint: str = ""

    @property
    def passed(self) -> bool:
        return not self.breaches and not self.void


class Report(NamedTuple):
    trials: tuple[Trial, ...]
    proofs: tuple[Proof, ...]

    @property
    def passed(self) -> bool:
        return all(each.passed for each in self.trials) and all(each.passed for each in self.proofs)


def has_promises(policy: AccessPolicy) -> bool:
    return bool(policy.expectations or policy.invariants)


def place_in(service: Service, operations: Iterable[Operation]) -> Place:
    return place_of(service, ((each.operation_id, each.method, each.template) for each in operations))


def report_of(
    expectations: Iterable[Expectation], invariants: Iterable[Invariant], table: Table, places: Places, now: int
) -> Report:
    """``places`` by exposure key, one for each exposure of the table; ``now`` in epoch seconds."""
    universe = Universe(table.directory)
    trials = tuple(trial_of(each, table, places, now) for each in expectations)
    return Report(trials, tuple(_proof(each, table, places, universe) for each in invariants))


def _proof(invariant: Invariant, table: Table, places: Places, universe: Universe) -> Proof:
    about = list(_about(invariant, table, places))
    found = (breach_of(invariant, table.exposures[key], places[key], universe) for key in about)
    breaches = tuple(each for each in found if each is not None)
    void, hint = void_of(invariant, lambda: (places[key] for key in about), places.values(), table.directory)
    return Proof(invariant, breaches, len(about), void, hint)


def _about(invariant: Invariant, table: Table, places: Places) -> Iterator[str]:
    """The exposures that an invariant is about, in order. The door's own pages are no service."""
    for key, exposure in sorted(table.exposures.items()):
        if key in places and exposure.service != BUILTIN_SERVICE.ref and is_about(invariant, exposure, places[key]):
            yield key


def void_of(
    invariant: Invariant, about: Callable[[], Iterator[Place]], every: Iterable[Place], directory: Directory
) -> tuple[str, str]:
    """Why an invariant says nothing, and what to do; two empty texts when it says something. ``about``: the places of
    the exposures that it is about, looked through no further than needed."""
    for subject in invariant.subjects:
        if named(subject, directory) is None:
            return f"nobody is called `{subject}`", _known_subject(subject, directory, every) or "correct the name"
    if next(about(), None) is None:
        return _unmatched(invariant, list(every))
    for doing in invariant.doings:
        if doing.operation and not any(doing.operation in place.named for place in about()):
            known = {*VERBS, *(name for place in about() for name in place.named)}
            hint = did_you_mean(doing.operation, known) or "compare with `operationId` in the definitions"
            return f"no operation is called `{doing.operation}`", hint
    return "", ""


def _unmatched(invariant: Invariant, every: list[Place]) -> tuple[str, str]:
    for key, values in invariant.services.terms:
        for value in values:
            if not any((key, value) in place.facts for place in every):
                known = {other for place in every for of, other in place.facts if of == key and other}
                said = f"`{value}` is not published" if key == "service" else f"nothing published has {key} `{value}`"
                return said, did_you_mean(value, known) or "correct the name"
    return "it is about no published service", "correct `of` or `in`"


def _known_subject(subject: str, directory: Directory, every: Iterable[Place]) -> str:
    """Somebody with a name like it, or of the same name and another kind: a bare name is a team."""
    name = subject.partition(":")[2]
    for other in (f"component:{name}", f"user:{name}"):
        is_service = any(("service", other) in place.facts for place in every)
        if is_service or directory.subjects_of(other):
            return f"did you mean `{other}`?"
    frames = directory.frames()
    if subject.startswith("group:"):
        return did_you_mean(subject, frames.get("teams", {}))
    return did_you_mean(subject, [ref for name, frame in frames.items() if name.startswith("people/") for ref in frame])


def void_faults(report: Report) -> Iterator[Fault]:
    """A warning for each promise that says nothing."""
    for each in report.trials:
        if each.void:
            message = f"test `{each.expectation.name}` says nothing: {each.void}"
            yield Fault(each.expectation.source, message, each.hint, "warning")
    for proof in report.proofs:
        if proof.void:
            message = f"`{proof.invariant.name}` says nothing: {proof.void}"
            yield Fault(proof.invariant.source, message, proof.hint, "warning")


def read_promises(
    document: object, locate: Locate, environments: tuple[str, ...]
) -> tuple[tuple[Expectation, ...], tuple[Invariant, ...], list[Fault]]:
    """Those of a document that holds nothing else, with every fault in it."""
    reader = DemandReader(locate)
    top = reader.mapping(document, (), ("version", "tests", "never", "only"))
    expectations = expectations_in(reader, top.get("tests"), environments)
    return expectations, invariants_in(reader, top, environments), reader.faults
